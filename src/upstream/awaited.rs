//! Clients who were closed and who are on their way back.
//!
//! Runs at start, at reload, or on a timer.

use std::collections::VecDeque;
use std::time::Duration;

use crate::Instant;

/// The tunnels that were closed of late and whose clients have not come back.
#[derive(Debug, Default)]
pub(super) struct Awaited {
    looked_at: Option<Instant>,
    /// What there was when somebody last looked.
    seen: Seen,
    /// How many were closed in each of the last seconds, the latest last.
    closed: VecDeque<u64>,
}

/// What tells of those who come back and of those who will.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Seen {
    /// How many tunnels have come so far.
    pub(super) entered: u64,
    /// How many nodes drain.
    pub(super) draining_nodes: usize,
    /// How many tunnels these have.
    pub(super) draining: u64,
}

impl Awaited {
    /// Whether nobody has looked for a second.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.looked_at.is_none_or(|last| now >= last + EVERY)
    }

    /// How many are awaited who were closed. `None` if somebody looked less than a second ago.
    pub(super) fn look(&mut self, seen: Seen, now: Instant) -> Option<u64> {
        if !self.is_due(now) {
            return None;
        }
        let is_stale = self.looked_at.is_some_and(|last| now >= last + EVERY * RETURN_LOOKS);
        if is_stale {
            self.closed.clear();
        }
        self.looked_at = Some(now);
        let before = std::mem::replace(&mut self.seen, seen);
        // Those who have left a node that drains look for another one just now. Where another node
        // drains, or one does no more, the figures tell nothing of who has left.
        let are_same = before.draining_nodes == seen.draining_nodes;
        self.closed.push_back(match are_same {
            true => before.draining.saturating_sub(seen.draining),
            false => 0,
        });
        let mut came = seen.entered.saturating_sub(before.entered);
        for closed in &mut self.closed {
            let returned = came.min(*closed);
            *closed -= returned;
            came -= returned;
        }
        while self.closed.len() > RETURN_LOOKS as usize {
            self.closed.pop_front();
        }
        Some(self.closed.iter().sum())
    }

    /// So many more are closed now.
    pub(super) fn close(&mut self, tunnels: u64) {
        if let Some(last) = self.closed.back_mut() {
            *last += tunnels;
        }
    }
}

/// How often.
pub(super) const EVERY: Duration = Duration::from_secs(1);

/// After so many looks a client is not awaited any more. Socket.IO's come back within 1.5 s, and
/// after a first failure within 3 s.
const RETURN_LOOKS: u32 = 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_came_back_or_stays_away_is_awaited_no_more() {
        let base = Instant::now();
        let at = |seconds| base + Duration::from_secs(seconds);
        let come = |entered| Seen { entered, ..Seen::default() };
        let mut awaited = Awaited::default();
        assert_eq!(awaited.look(come(100), at(0)), Some(0));
        awaited.close(5);
        assert_eq!(awaited.look(come(100), base + Duration::from_millis(900)), None);
        assert_eq!(awaited.look(come(102), at(1)), Some(3));
        awaited.close(5);
        assert_eq!(awaited.look(come(103), at(2)), Some(7));
        awaited.close(0);
        for second in 3..10 {
            assert_eq!(awaited.look(come(103), at(second)), Some(7));
            awaited.close(0);
        }
        assert_eq!(awaited.look(come(103), at(10)), Some(5));
        awaited.close(0);
        assert_eq!(awaited.look(come(103), at(11)), Some(0));
        awaited.close(9);
        assert_eq!(awaited.look(come(103), at(60)), Some(0), "it was off meanwhile");
    }

    #[test]
    fn who_left_a_node_that_drains_is_awaited() {
        let base = Instant::now();
        let at = |seconds| base + Duration::from_secs(seconds);
        let seen = |entered, draining| Seen { entered, draining_nodes: 1, draining };
        let mut awaited = Awaited::default();
        assert_eq!(awaited.look(Seen { entered: 300, ..Seen::default() }, at(0)), Some(0));
        assert_eq!(awaited.look(seen(300, 100), at(1)), Some(0), "a node begins to drain");
        assert_eq!(awaited.look(seen(300, 60), at(2)), Some(40));
        assert_eq!(awaited.look(seen(340, 0), at(3)), Some(60));
        awaited.close(20);
        assert_eq!(awaited.look(seen(400, 0), at(4)), Some(20));
        let undrained = Seen { entered: 420, draining_nodes: 0, draining: 0 };
        assert_eq!(awaited.look(undrained, at(5)), Some(0));
    }
}
