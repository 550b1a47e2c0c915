//! What a frame may not be in its direction, at its place in the stream (RFC 6455, section 5).
//!
//! Pure. Runs for every byte.

use super::head::{Head, Opcode};
use super::{CONTROL_PAYLOAD_MAX, Compression, FrameError, Scanner, Sender};

impl Scanner {
    /// Whether `head` may be here.
    ///
    /// # Errors
    /// The rule that it breaks.
    pub(super) fn check(&self, head: &Head) -> Result<(), FrameError> {
        match (self.sender, head.mask.is_some()) {
            // An intermediary that lets unmasked frames through can be made to carry a forged
            // HTTP request (RFC 6455, section 10.3).
            (Sender::Client, false) => return Err(FrameError::Unmasked),
            (Sender::Node, true) => return Err(FrameError::Masked),
            (Sender::Client, true) | (Sender::Node, false) => (),
        }
        let starts_message = matches!(head.opcode, Opcode::Text | Opcode::Binary);
        let deflated = self.compression == Compression::Negotiated && starts_message;
        if head.rsv2_or_rsv3 || (head.rsv1 && !deflated) {
            return Err(FrameError::ReservedBit);
        }
        match head.opcode {
            Opcode::Close | Opcode::Ping | Opcode::Pong if !head.fin => {
                Err(FrameError::FragmentedControl)
            }
            Opcode::Close | Opcode::Ping | Opcode::Pong
                if head.payload_bytes > CONTROL_PAYLOAD_MAX =>
            {
                Err(FrameError::LongControl)
            }
            Opcode::Close if head.payload_bytes == 1 => Err(FrameError::ShortClose),
            Opcode::Continuation if !self.in_message => Err(FrameError::StrayContinuation),
            Opcode::Text | Opcode::Binary if self.in_message => Err(FrameError::Interleaved),
            Opcode::Close
            | Opcode::Ping
            | Opcode::Pong
            | Opcode::Continuation
            | Opcode::Text
            | Opcode::Binary => Ok(()),
        }
    }
}
