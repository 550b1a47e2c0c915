//! What of a tunnel's traffic metrics know already.
//!
//! To count each frame there would cost more than to pass it. So the frames are counted in the
//! tunnel itself, and what is new goes to the metrics when its timer fires anyway, at least once in
//! each idle timeout, and at its end.
//!
//! Pure. Runs at start, at reload, or on a timer.

use std::sync::Arc;

use crate::metrics::{Traffic, TunnelCounts};
use crate::websocket::Counts;

/// What was told of both directions.
#[derive(Debug)]
pub(super) struct Tally {
    counts: Arc<TunnelCounts>,
    from_client: Told,
    from_node: Told,
}

#[derive(Debug, Default)]
struct Told {
    bytes: u64,
    messages: u64,
}

impl Tally {
    /// Nothing was told to `counts` yet.
    pub(super) fn new(counts: Arc<TunnelCounts>) -> Self {
        Self { counts, from_client: Told::default(), from_node: Told::default() }
    }

    /// Tells what is new, where all that came so far is given.
    pub(super) fn tell(&mut self, from_client: Counts, from_node: Counts) {
        self.from_client.tell(from_client, &self.counts.from_clients);
        self.from_node.tell(from_node, &self.counts.from_nodes);
    }
}

impl Told {
    fn tell(&mut self, now: Counts, traffic: &Traffic) {
        traffic.bytes.inc_by(now.bytes.saturating_sub(self.bytes));
        traffic.messages.inc_by(now.messages.saturating_sub(self.messages));
        *self = Self { bytes: now.bytes, messages: now.messages };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_told_is_not_told_again() {
        let counts = Arc::<TunnelCounts>::default();
        let mut tally = Tally::new(counts.clone());
        let so_far = |bytes, messages| Counts { bytes, messages, ..Counts::default() };
        let mut check = |client: (u64, u64), node: (u64, u64)| {
            tally.tell(so_far(client.0, client.1), so_far(node.0, node.1));
            let told = |traffic: &Traffic| (traffic.bytes.get(), traffic.messages.get());
            assert_eq!((told(&counts.from_clients), told(&counts.from_nodes)), (client, node));
        };
        check((0, 0), (0, 0));
        check((10, 1), (0, 0));
        check((10, 1), (7, 0));
        check((30, 4), (8, 1));
    }
}
