//! What is known of one direction's stream: who sends it, where it stands, and what has passed.
//!
//! Pure. Runs for every byte.

use super::FrameError;

/// Which control frames came since somebody asked, but our own Pongs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ControlSeen {
    pub(crate) ping: bool,
    pub(crate) pong: bool,
}

/// What became of a chunk: its first bytes, then the next ones. What is behind both is to be
/// scanned again, together with what comes then if both are none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Followed {
    /// Bytes that are the other side's.
    pub(crate) passed: usize,
    /// Bytes that are not: a Pong that answers a Ping of ours.
    pub(crate) dropped: usize,
}

/// Who sends what a scanner follows: clients mask, servers do not (RFC 6455, section 5.1).
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
    /// To the chunk's end, or to the end of a Close frame: nothing may follow one.
    Close,
    /// To the end of the frame that the stream stands in.
    Boundary,
}

/// Where the stream stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Position {
    /// Between two frames: an own frame may be put in here.
    Boundary,
    /// Inside a frame.
    Frame,
    /// Behind a Close frame.
    Closed(Option<u16>),
    /// Nobody knows: the stream broke the protocol and is not followed any more.
    Lost(FrameError),
}

/// What our Pings through one tunnel carry.
pub(crate) type PingPayload = [u8; 8];

/// What came from one side. Behind a Close frame, or once the stream is not WebSocket's any more
/// (see [`FrameError`](super::FrameError)), frames are not counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Bytes, heads and payloads.
    pub bytes: u64,
    /// Data messages, by their last frame.
    pub messages: u64,
    /// Frames of all kinds whose last byte has come; wraps around at 2^32.
    pub frames: u32,
    /// Pings, Pongs, Closes; wraps around at 2^32.
    pub control_frames: u32,
}
