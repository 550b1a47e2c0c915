//! A node: it opens one session after the other, each in the same time, in the order of arrival.
//!
//! It cannot tell that a client has given up, so it opens that session too, for nobody. Pure.

use std::collections::VecDeque;

use sockeye::internal::upstream::Lease;

use super::storm::Attempt;

/// What a node has to do.
#[derive(Debug, Default)]
pub(super) struct Node {
    waiting: VecDeque<(Attempt, Lease)>,
    /// When it has done what it works at, in microseconds from the beginning.
    busy_until: u64,
}

impl Node {
    /// A handshake arrives at `now`, in milliseconds, and takes `service_micros`. When the node has
    /// done it, if it has nothing else to do.
    pub(super) fn arrive(
        &mut self,
        attempt: Attempt,
        lease: Lease,
        (now, service_micros): (u64, u64),
    ) -> Option<u64> {
        self.waiting.push_back((attempt, lease));
        let is_idle = self.waiting.len() == 1;
        is_idle.then(|| {
            self.busy_until = self.busy_until.max(now * 1000) + service_micros;
            self.busy_until.div_ceil(1000)
        })
    }

    /// A session is open, and when the next one will be. Whole milliseconds are what is planned by;
    /// the node itself loses nothing to rounding.
    pub(super) fn finish(
        &mut self,
        service_micros: u64,
    ) -> (Option<(Attempt, Lease)>, Option<u64>) {
        let done = self.waiting.pop_front();
        let next = (!self.waiting.is_empty()).then(|| {
            self.busy_until += service_micros;
            self.busy_until.div_ceil(1000)
        });
        (done, next)
    }
}
