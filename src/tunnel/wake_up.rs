//! One wake-up of a tunnel: what it lends to both flows, what they did, and what is known of the
//! sides then.
//!
//! Pure. Runs for every byte.

use std::task::Context;

use crate::Instant;

/// What a wake-up of a tunnel lends to its flows.
#[derive(Debug)]
pub(super) struct WakeUp<'a, 'b> {
    /// When it came: the clock is read once.
    pub(super) now: Instant,
    pub(super) scratch: &'a mut [u8],
    pub(super) cx: &'a mut Context<'b>,
}

/// What one poll of a flow did.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step {
    /// Bytes came from the source.
    pub(super) arrived: bool,
    /// Bytes were written to the sink.
    pub(super) wrote: bool,
    /// Bytes wait for the sink.
    pub(super) waits: bool,
    /// The poll stopped to let others run: poll again soon, nothing else will wake the task.
    pub(super) more: bool,
}

/// What is heard of the side that sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// Bytes may come.
    Flowing,
    /// It sent FIN.
    Ended,
    /// Its connection failed.
    Failed,
    /// Its host acknowledges nothing.
    Silent,
}

/// What the side that receives may still get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sink {
    Open,
    /// Gets FIN when it has taken what is kept.
    Ending,
    /// Got FIN.
    Ended,
    /// Its connection failed.
    Failed,
    /// Its host acknowledges nothing.
    Silent,
}
