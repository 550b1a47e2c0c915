//! WebSocket's frames on the wire (RFC 6455, section 5): where they begin and end, and which of
//! them a client may send.
//!
//! - `scanner`: follows the frames of one direction; `stream`: what it says of them
//! - `head`: the head of a frame; `rules`: what a frame may not be; `error`: the names of those
//!   faults
//! - `trail`: the last frames of a direction; `reader`: its frames, for those who watch it
//! - `extensions`: what the 101 agreed on; `limits`: how much a client may send
//! - `internal`: the scanner as benchmarks and fuzz targets see it
//!
//! Pure. Runs for every byte.

mod error;
mod extensions;
mod head;
pub(crate) mod internal;
mod limits;
mod reader;
mod rules;
mod scanner;
mod stream;
#[cfg(test)]
mod tests;
mod trail;

pub(crate) use error::FrameError;
pub use extensions::Extensions;
pub(crate) use stream::Counts;

pub(crate) use head::{Head, Opcode};
pub(crate) use limits::{Breach, SenderLimits};
pub(crate) use reader::{FrameReader, ReadFrame};
pub(crate) use scanner::Scanner;
pub(crate) use stream::{ControlSeen, Followed, PingPayload, Position, Sender, Until};
pub(crate) use trail::{PastFrame, Trail};
