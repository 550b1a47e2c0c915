//! Adds a tunnel's bytes and messages to the metrics.
//!
//! Counting each frame there would cost more than passing it. So the tunnel counts its own frames,
//! and the difference goes to the metrics with the first bytes of each second, when its timer fires
//! anyway, at least once per idle timeout, and at its end.
//!
//! Pure. Runs for every byte.

use std::sync::Arc;

use crate::metrics::{Traffic, TunnelCounts};
use crate::websocket::Counts;

/// The metrics of both directions, and what was added to them.
#[derive(Debug)]
pub(super) struct TrafficMetrics {
    counts: Arc<TunnelCounts>,
    from_client: Added,
    from_node: Added,
}

#[derive(Debug, Default)]
struct Added {
    bytes: u64,
    messages: u64,
}

impl TrafficMetrics {
    /// Nothing was added to `counts` yet.
    pub(super) fn new(counts: Arc<TunnelCounts>) -> Self {
        Self { counts, from_client: Added::default(), from_node: Added::default() }
    }

    /// Adds what is new in the totals of both directions.
    pub(super) fn update(&mut self, from_client: Counts, from_node: Counts) {
        self.from_client.update(from_client, &self.counts.from_clients);
        self.from_node.update(from_node, &self.counts.from_nodes);
    }
}

impl Added {
    fn update(&mut self, total: Counts, traffic: &Traffic) {
        traffic.bytes.inc_by(total.bytes.saturating_sub(self.bytes));
        traffic.messages.inc_by(total.messages.saturating_sub(self.messages));
        *self = Self { bytes: total.bytes, messages: total.messages };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_added_twice() {
        let counts = Arc::<TunnelCounts>::default();
        let mut metrics = TrafficMetrics::new(counts.clone());
        let total = |bytes, messages| Counts { bytes, messages, ..Counts::default() };
        let mut check = |client: (u64, u64), node: (u64, u64)| {
            metrics.update(total(client.0, client.1), total(node.0, node.1));
            let added = |traffic: &Traffic| (traffic.bytes.get(), traffic.messages.get());
            assert_eq!((added(&counts.from_clients), added(&counts.from_nodes)), (client, node));
        };
        check((0, 0), (0, 0));
        check((10, 1), (0, 0));
        check((10, 1), (7, 0));
        check((30, 4), (8, 1));
    }
}
