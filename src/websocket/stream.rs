//! What is known of one direction's stream: who sends it, where it stands, and what has passed.
//!
//! Pure. Runs for every byte.

use super::FrameError;

/// Which control frames arrived since the last call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ControlSeen {
    pub(crate) ping: bool,
    /// One that does not answer a Ping of ours.
    pub(crate) pong: bool,
    /// One that does.
    pub(crate) own_pong: bool,
}

/// How much of a chunk was followed: first `passed`, then `dropped` bytes. The rest has to be
/// scanned again; if both are zero, together with the next chunk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Followed {
    /// Bytes for the other side.
    pub(crate) passed: usize,
    /// Bytes that are not for it: a Pong that answers our own Ping.
    pub(crate) dropped: usize,
}

/// The side that sends the stream: clients mask, servers do not (RFC 6455, section 5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sender {
    /// Each frame must be masked.
    Client,
    /// No frame may be masked.
    Node,
}

/// How far [`Scanner::scan`](super::Scanner::scan) goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Until {
    /// To the chunk's end, or to the end of a Close frame, after which nothing may follow.
    Close,
    /// To the end of the current frame.
    Boundary,
}

/// The position in the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Position {
    /// Between two frames: a frame of ours may be inserted here.
    Boundary,
    /// Inside a frame.
    Frame,
    /// After a Close frame, with its code.
    Closed(Option<u16>),
    /// Unknown: the stream broke the protocol and is no longer followed.
    Unparsable(FrameError),
    /// Nowhere: the stream has no frames.
    Unframed,
}

/// What our Pings through one tunnel carry.
pub(crate) type PingPayload = [u8; 8];

/// What arrived from one side. After a Close frame, or once the stream broke the protocol
/// (see [`FrameError`](super::FrameError)), frames are not counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Bytes, heads and payloads.
    pub bytes: u64,
    /// Data messages, by their last frame.
    pub messages: u64,
    /// Frames of all kinds whose last byte has arrived; wraps around at 2^32.
    pub frames: u32,
    /// Pings, Pongs, Closes; wraps around at 2^32.
    pub control_frames: u32,
}
