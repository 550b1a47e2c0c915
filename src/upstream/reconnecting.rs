//! Clients whose tunnels were closed and who have not reconnected yet.
//!
//! Runs at start, at reload, or on a timer.

use std::collections::VecDeque;
use std::time::Duration;

use crate::Instant;

/// How many tunnels were closed recently whose clients have not reconnected.
#[derive(Debug, Default)]
pub(crate) struct Reconnecting {
    updated_at: Option<Instant>,
    /// The counts of the last update.
    counts: TunnelCounts,
    /// How many tunnels were closed in each of the last seconds, the latest last.
    closed: VecDeque<u64>,
}

/// What shows how many clients have reconnected and how many will.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct TunnelCounts {
    /// How many tunnels were opened so far.
    pub(crate) entered: u64,
    /// How many nodes drain.
    pub(crate) draining_nodes: usize,
    /// How many tunnels these have.
    pub(crate) draining: u64,
}

impl Reconnecting {
    /// Whether the last update is a second old.
    pub(crate) fn is_due(&self, now: Instant) -> bool {
        self.updated_at.is_none_or(|last| now >= last + EVERY)
    }

    /// How many clients are reconnecting. `None` if the last update is less than a second old.
    pub(crate) fn update(&mut self, counts: TunnelCounts, now: Instant) -> Option<u64> {
        if !self.is_due(now) {
            return None;
        }
        let is_stale = self.updated_at.is_some_and(|last| now >= last + EVERY * RETURN_UPDATES);
        if is_stale {
            self.closed.clear();
        }
        self.updated_at = Some(now);
        let before = std::mem::replace(&mut self.counts, counts);
        // Clients that left a node that drains look for another one just now. When another node began to
        // drain, or one stopped, the counts do not show how many left.
        let are_same = before.draining_nodes == counts.draining_nodes;
        self.closed.push_back(match are_same {
            true => before.draining.saturating_sub(counts.draining),
            false => 0,
        });
        let mut opened = counts.entered.saturating_sub(before.entered);
        for closed in &mut self.closed {
            let returned = opened.min(*closed);
            *closed -= returned;
            opened -= returned;
        }
        while self.closed.len() > RETURN_UPDATES as usize {
            self.closed.pop_front();
        }
        Some(self.closed.iter().sum())
    }

    /// Notes that so many more tunnels are closed now.
    pub(crate) fn note_closed(&mut self, tunnels: u64) {
        if let Some(last) = self.closed.back_mut() {
            *last += tunnels;
        }
    }
}

/// How often it is updated.
pub(crate) const EVERY: Duration = Duration::from_secs(1);

/// After so many updates a client no longer counts as reconnecting. Socket.IO clients reconnect within
/// 1.5 s, and after a first failure within 3 s.
const RETURN_UPDATES: u32 = 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_that_came_back_or_stays_away_is_not_reconnecting() {
        let base = Instant::now();
        let at = |seconds| base + Duration::from_secs(seconds);
        let come = |entered| TunnelCounts { entered, ..TunnelCounts::default() };
        let mut reconnecting = Reconnecting::default();
        assert_eq!(reconnecting.update(come(100), at(0)), Some(0));
        reconnecting.note_closed(5);
        assert_eq!(reconnecting.update(come(100), base + Duration::from_millis(900)), None);
        assert_eq!(reconnecting.update(come(102), at(1)), Some(3));
        reconnecting.note_closed(5);
        assert_eq!(reconnecting.update(come(103), at(2)), Some(7));
        reconnecting.note_closed(0);
        for second in 3..10 {
            assert_eq!(reconnecting.update(come(103), at(second)), Some(7));
            reconnecting.note_closed(0);
        }
        assert_eq!(reconnecting.update(come(103), at(10)), Some(5));
        reconnecting.note_closed(0);
        assert_eq!(reconnecting.update(come(103), at(11)), Some(0));
        reconnecting.note_closed(9);
        assert_eq!(reconnecting.update(come(103), at(60)), Some(0), "it was off meanwhile");
    }

    #[test]
    fn a_client_that_left_a_node_that_drains_is_reconnecting() {
        let base = Instant::now();
        let at = |seconds| base + Duration::from_secs(seconds);
        let counts = |entered, draining| TunnelCounts { entered, draining_nodes: 1, draining };
        let mut reconnecting = Reconnecting::default();
        assert_eq!(
            reconnecting.update(TunnelCounts { entered: 300, ..TunnelCounts::default() }, at(0)),
            Some(0)
        );
        assert_eq!(reconnecting.update(counts(300, 100), at(1)), Some(0), "a node begins to drain");
        assert_eq!(reconnecting.update(counts(300, 60), at(2)), Some(40));
        assert_eq!(reconnecting.update(counts(340, 0), at(3)), Some(60));
        reconnecting.note_closed(20);
        assert_eq!(reconnecting.update(counts(400, 0), at(4)), Some(20));
        let undrained = TunnelCounts { entered: 420, draining_nodes: 0, draining: 0 };
        assert_eq!(reconnecting.update(undrained, at(5)), Some(0));
    }
}
