//! The ways to break RFC 6455.
//!
//! Pure. Runs for every byte.

/// A way to break RFC 6455.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Section 5.1: a client must mask.
    #[error("unmasked frame from the client")]
    Unmasked,
    /// Section 5.1: a server must not mask.
    #[error("masked frame from the node")]
    Masked,
    /// Section 5.2: opcodes 3 to 7 and 11 to 15.
    #[error("reserved opcode")]
    ReservedOpcode,
    /// Section 5.2: a reserved bit that no extension gave a meaning.
    #[error("reserved bit set")]
    ReservedBit,
    /// Section 5.5: at most 125 bytes.
    #[error("control frame of more than 125 bytes")]
    LongControl,
    /// Section 5.5: control frames have FIN set.
    #[error("fragmented control frame")]
    FragmentedControl,
    /// Section 5.5.1: a Close frame's payload is empty or begins with a code of two bytes.
    #[error("close frame of one byte")]
    ShortClose,
    /// Section 7.4: 0 to 999, 1004, 1005, 1006, 1015, and 5000 and more may not be sent.
    #[error("close code that must not be sent")]
    CloseCode,
    /// Section 5.2: the shortest form must be used.
    #[error("length not in its shortest form")]
    LongLength,
    /// Section 5.2: the highest bit of a 64-bit length is 0.
    #[error("length with the highest bit set")]
    HugeLength,
    /// Section 5.4: there is no message to continue.
    #[error("continuation without a start")]
    StrayContinuation,
    /// Section 5.4: a message's fragments come one after another.
    #[error("new message inside a fragmented one")]
    Interleaved,
}
