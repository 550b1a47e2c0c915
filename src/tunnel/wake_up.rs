//! One wake-up of a tunnel: what it lends to both flows, and what they did.
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
    /// Bytes wait for the sink.
    pub(super) waits: bool,
    /// The poll stopped to let others run: poll again soon, nothing else will wake the task.
    pub(super) more: bool,
}
