//! One poll of a tunnel: what it lends to both flows, what they did, and the state of both sides
//! afterwards.
//!
//! Pure. Runs for every byte.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use super::Stream;
use crate::Instant;

/// What a poll of a tunnel lends to its flows.
#[derive(Debug)]
pub(super) struct PollContext<'a, 'b> {
    /// The time of the poll: the clock is read once.
    pub(super) now: Instant,
    pub(super) scratch: &'a mut [u8],
    pub(super) cx: &'a mut Context<'b>,
}

/// What one poll of a flow did.
#[derive(Clone, Copy, Debug)]
pub(super) struct FlowStep {
    /// Bytes arrived from the source.
    pub(super) arrived: bool,
    /// Bytes were written to the sink.
    pub(super) wrote: bool,
    /// Bytes wait for the sink.
    pub(super) waits: bool,
    /// The poll stopped to let other tasks run: poll again soon, nothing else will wake the task.
    pub(super) more: bool,
}

/// The side that sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SourceState {
    /// Bytes may arrive.
    Flowing,
    /// It sent FIN.
    Ended,
    /// Its connection failed.
    Failed,
    /// Its host acknowledges nothing.
    Silent,
}

/// The side that receives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SinkState {
    Open,
    /// Gets its ending when it has taken the backlog.
    Ending(Ending),
    /// Got FIN, or was told that the source was reset.
    Ended,
    /// Its connection failed.
    Failed,
    /// Its host acknowledges nothing.
    Silent,
}

/// What ends a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// FIN.
    Fin,
    /// That the other side was reset.
    Reset,
}

impl Ending {
    /// Ends `sink`.
    pub(super) fn poll<W: Stream>(
        self,
        sink: &mut W,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        match self {
            Self::Fin => Pin::new(sink).poll_shutdown(cx),
            Self::Reset => Pin::new(sink).poll_pass_reset(cx),
        }
    }
}
