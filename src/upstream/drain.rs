//! The state of drains: which nodes drain, how far they are, and when their tunnels are to be closed.
//!
//! Closing begins as late as possible for it to be done when the sessions are given up, and one rate
//! applies to all nodes of an upstream: their clients all return to the nodes that are left.
//! `maintenance` closes the tunnels.
//!
//! Runs at start, at reload, or on a timer.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::Duration;

use super::availability::DrainCause;
use super::settings::Settings;
use super::{Node, Upstream};
use crate::Instant;
use crate::clock::{AtomicInstant, Epoch};
use crate::rate::Rate;

/// How far the drain of a node is.
///
/// One task writes it, others may read it at any time.
#[derive(Debug)]
pub(crate) struct DrainProgress {
    phase: AtomicU8,
    closed: AtomicU64,
    /// The drain that it belongs to, by its beginning.
    since: AtomicInstant,
    /// When there last was a tunnel or an exchange.
    busy_at: AtomicInstant,
}

/// The phase of a node's drain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum DrainPhase {
    /// It does not drain.
    Open,
    /// It drains.
    Draining,
    /// It is empty, or its time is over.
    Over,
}

/// A node that drains, as the admin listener shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draining {
    /// Why; at least one cause.
    pub causes: Vec<DrainCause>,
    /// Since when.
    pub since: Instant,
    /// When its tunnels begin to be closed, at the present number of tunnels.
    pub closing_at: Instant,
    /// When its sessions are given up.
    pub until: Instant,
    /// Whether nothing was open or pending there for [`Draining::QUIET`].
    pub is_empty: bool,
}

impl Draining {
    /// How long a node has no tunnel and no exchange before it counts as empty: a client that polls is
    /// between two polls for only a moment.
    pub const QUIET: Duration = Duration::from_secs(2);
}

/// A node that drains and has tunnels.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ToClose<'a> {
    pub(crate) node: &'a Arc<Node>,
    /// How many tunnels are to be closed.
    pub(crate) tunnels: usize,
    /// When closing begins; `None` is before the clock began.
    pub(crate) begins: Option<Instant>,
}

impl Upstream {
    /// How `node` drains; `None` if it does not.
    pub fn draining(&self, node: &Arc<Node>, now: Instant) -> Option<Draining> {
        let (since, until) = (node.draining_since()?, self.drained_at(node)?);
        let queue = self.drain_queue();
        let queued = queue.iter().find(|to_close| Arc::ptr_eq(to_close.node, node));
        let closing_at = queued.and_then(|to_close| to_close.begins);
        Some(Draining {
            causes: node.drain_causes().collect(),
            since,
            closing_at: closing_at.unwrap_or(since).max(since).min(until),
            until,
            is_empty: node.drain_progress().is_empty(since, now) && !node.is_busy(),
        })
    }

    /// The nodes that drain and have tunnels, in the order in which they are to be emptied.
    pub(crate) fn drain_queue(&self) -> Vec<ToClose<'_>> {
        let due = |node: &Node| {
            let (tunnels, until) = (node.roster().staying(), self.drained_at(node)?);
            (tunnels > 0).then_some(Due { tunnels, until })
        };
        let mut queue: Vec<_> =
            self.all_nodes().filter_map(|node| Some((node, due(node)?))).collect();
        queue.sort_by_key(|(_, due)| due.until);
        let per_second = self.settings.drain.closes_per_second.get();
        let begins = begins(queue.iter().map(|(_, due)| *due), per_second);
        let queue = queue.into_iter().zip(begins);
        queue.map(|((node, due), begins)| ToClose { node, tunnels: due.tunnels, begins }).collect()
    }
}

impl Node {
    /// Whether a drain has to wait for anything of it.
    pub(crate) fn is_busy(&self) -> bool {
        self.tunnels() > 0 || self.exchanges() > 0 || self.roster().present() > 0
    }
}

impl Settings {
    /// How fast tunnels of nodes that drain are closed. A tick that comes late makes up for it; a larger
    /// burst would not be a rate.
    pub(crate) fn closing_rate(&self) -> Rate {
        let per_second = self.drain.closes_per_second;
        Rate { per_second, burst: per_second.div_ceil(BURST_DIVISOR) }
    }
}

/// Tunnels that are to be closed until then.
#[derive(Clone, Copy, Debug)]
struct Due {
    tunnels: usize,
    until: Instant,
}

/// When the closing of each of `nodes` begins, which are in the order of their deadlines and are
/// emptied one after the other: as late as possible for it and all after it to be done in time. `None`
/// is before the clock began.
fn begins(nodes: impl Iterator<Item = Due>, per_second: u32) -> Vec<Option<Instant>> {
    let mut tunnels = 0_usize;
    let mut begins: Vec<Option<Instant>> = nodes
        .map(|due| {
            tunnels = tunnels.saturating_add(due.tunnels);
            let needs = Duration::from_secs_f64(tunnels as f64 / f64::from(per_second.max(1)));
            due.until.checked_sub(needs)
        })
        .collect();
    for index in (1..begins.len()).rev() {
        begins[index - 1] = begins[index - 1].min(begins[index]);
    }
    begins
}

impl DrainProgress {
    /// The node does not drain; `base` is no later than any time that is ever passed in.
    pub(super) fn new(base: Instant) -> Self {
        let epoch = Epoch::new(base);
        Self {
            phase: AtomicU8::new(DrainPhase::Open as u8),
            closed: AtomicU64::new(0),
            since: AtomicInstant::new(epoch),
            busy_at: AtomicInstant::new(epoch),
        }
    }

    /// Begins the drain that the node is in `since` then. Whether it had not begun: it may follow another
    /// one so closely that nothing saw the node open in between.
    pub(crate) fn begin(&self, since: Instant) -> bool {
        let is_open = self.phase.load(Ordering::Relaxed) == DrainPhase::Open as u8;
        let begins = is_open || self.since.get() != Some(since);
        if begins {
            self.since.set(Some(since));
            self.closed.store(0, Ordering::Relaxed);
            self.phase.store(DrainPhase::Draining as u8, Ordering::Relaxed);
        }
        begins
    }

    /// Sets the phase. Whether it was another one.
    pub(crate) fn enter(&self, phase: DrainPhase) -> bool {
        self.phase.swap(phase as u8, Ordering::Relaxed) != phase as u8
    }

    /// How many tunnels were told to end since the drain began.
    pub(crate) fn closed(&self) -> u64 {
        self.closed.load(Ordering::Relaxed)
    }

    /// Notes that so many more tunnels were told to end.
    pub(crate) fn note_closed(&self, tunnels: usize) {
        self.closed.fetch_add(tunnels as u64, Ordering::Relaxed);
    }

    /// Notes that the node is busy.
    pub(crate) fn note_busy(&self, now: Instant) {
        self.busy_at.set(Some(now));
    }

    /// Whether the drain that the node is in `since` then has begun, and the node was not busy for
    /// [`Draining::QUIET`].
    pub(crate) fn is_empty(&self, since: Instant, now: Instant) -> bool {
        self.phase.load(Ordering::Relaxed) != DrainPhase::Open as u8
            && self.since.get() == Some(since)
            && self.busy_at.get().is_some_and(|at| at + Draining::QUIET <= now)
    }
}

/// A fifth of a second's closings may come at once, which is what two ticks give.
const BURST_DIVISOR: std::num::NonZeroU32 = std::num::NonZeroU32::new(5).expect("it is not zero");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closing_begins_as_late_as_all_are_done_in_time() {
        // check(tunnels and deadlines in seconds, when each begins in seconds), ten a second
        fn check(nodes: &[(usize, u64)], expected: &[f64]) {
            let base = Instant::now();
            let at = |seconds: f64| base + Duration::from_secs_f64(1000.0 + seconds);
            let due = |&(tunnels, until)| Due { tunnels, until: at(until as f64) };
            let begins = begins(nodes.iter().map(due), 10);
            let expected: Vec<Option<Instant>> =
                expected.iter().map(|seconds| Some(at(*seconds))).collect();
            assert_eq!(begins, expected, "{nodes:?}");
        }
        check(&[], &[]);
        check(&[(100, 60)], &[50.0]);
        check(&[(100, 60), (100, 60)], &[40.0, 40.0]);
        check(&[(100, 30), (100, 60)], &[20.0, 40.0]);
        check(&[(100, 55), (100, 60)], &[40.0, 40.0]);
        check(&[(5, 10), (100, 60), (600, 70)], &[-0.5, -0.5, -0.5]);
    }
}
