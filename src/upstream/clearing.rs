//! Nodes that drain are emptied: which of their tunnels are told to end, and when.
//!
//! Closing begins as late as it may to be done when the sessions are given up, and one pace counts
//! for all nodes of an upstream: their clients all come back to the nodes that are left.
//!
//! Runs at start, at reload, or on a timer.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::Duration;

use tracing::info;

use super::settings::{Rate, Settings};
use super::standing::DrainCause;
use super::{Node, Upstream};
use crate::Instant;
use crate::tunnel::Dismissal;

/// How far the emptying of a node is.
///
/// One task writes it, others may read it at any time.
#[derive(Debug)]
pub(super) struct Progress {
    base: Instant,
    phase: AtomicU8,
    closed: AtomicU64,
    /// Milliseconds from `base` to when there was a tunnel or an exchange.
    busy_at: AtomicU64,
}

/// A node that drains, as the admin listener shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draining {
    /// Why; at least one cause.
    pub causes: Vec<DrainCause>,
    /// Since when.
    pub since: Instant,
    /// When its tunnels begin to be closed, as things are.
    pub closing_at: Instant,
    /// When its sessions are given up.
    pub until: Instant,
    /// Whether nothing was open or pending there for [`Draining::QUIET`].
    pub is_empty: bool,
}

impl Draining {
    /// How long a node has nothing to do before it counts as empty: a client that polls is between
    /// two polls for a moment only.
    pub const QUIET: Duration = Duration::from_secs(2);
}

impl Upstream {
    /// Tells tunnels of nodes that drain to end if it is time, and logs the drains that begin and
    /// end. How long until it should look again.
    pub fn clear(&self, now: Instant) -> Duration {
        let mut is_busy = false;
        for node in self.all_nodes() {
            is_busy |= self.follow(node, now);
            node.host().retry();
        }
        self.close_due(now);
        self.rebalance(now);
        if is_busy { TICK } else { REST }
    }

    /// How `node` drains; `None` if it does not.
    pub fn draining(&self, node: &Arc<Node>, now: Instant) -> Option<Draining> {
        let (since, until) = (node.draining_since()?, self.drained_at(node)?);
        let queue = self.clearing_queue();
        let place = queue.iter().position(|(queued, _)| Arc::ptr_eq(queued, node));
        let begins = begins(queue.iter().map(|(_, due)| *due), self.closes_per_second());
        let closing_at = place.and_then(|place| begins.get(place).copied().flatten());
        Some(Draining {
            causes: node.drain_causes().collect(),
            since,
            closing_at: closing_at.unwrap_or(since).max(since).min(until),
            until,
            is_empty: node.clearing().is_empty(now) && !is_busy(node),
        })
    }

    /// All nodes, those that have left too.
    pub fn all_nodes(&self) -> impl Iterator<Item = &Arc<Node>> + Clone {
        self.nodes.iter().chain(self.retired.iter().map(|retired| &retired.node))
    }

    /// Takes note of how far `node` is; whether it is being emptied.
    fn follow(&self, node: &Arc<Node>, now: Instant) -> bool {
        let (upstream, name, progress) = (self.name(), node.name(), node.clearing());
        let (Some(since), Some(until)) = (node.draining_since(), self.drained_at(node)) else {
            if progress.enter(Phase::Open) {
                info!(%upstream, node = %name, "node takes new sessions again");
            }
            return false;
        };
        if progress.begin() {
            progress.note_busy(now);
            let causes: Vec<&str> = node.drain_causes().map(DrainCause::label).collect();
            let timeout_seconds = self.settings.drain.timeout.as_secs_f64();
            let tunnels = node.tunnels();
            let causes = causes.join(" ");
            info!(%upstream, node = %name, causes, tunnels, timeout_seconds, "node drains");
        }
        if is_busy(node) {
            progress.note_busy(now);
        }
        let is_over = progress.is_empty(now) || (until <= now && node.roster().present() == 0);
        if is_over && progress.enter(Phase::Over) {
            let seconds = now.saturating_duration_since(since).as_secs_f64();
            let tunnels_closed = progress.closed.load(Ordering::Relaxed);
            info!(%upstream, node = %name, tunnels_closed, seconds, "node drained");
        }
        !is_over
    }

    /// Tells as many tunnels to end as the pace allows, of the nodes whose time has come.
    fn close_due(&self, now: Instant) {
        let queue = self.clearing_queue();
        if queue.is_empty() {
            return;
        }
        let rate = self.settings.closing_rate();
        let begins = begins(queue.iter().map(|(_, due)| *due), self.closes_per_second());
        for ((node, due), begins) in queue.into_iter().zip(begins) {
            if begins.is_some_and(|begins| now < begins) {
                return;
            }
            let bucket = &self.shared.closes;
            let paced = (0..due.tunnels).take_while(|_| bucket.take(rate, now).is_ok()).count();
            let told = node.roster().dismiss(Dismissal::NodeDrained, paced, None);
            node.clearing().note_closed(told);
            (told..paced).for_each(|_| bucket.give_back(rate));
            if paced < due.tunnels {
                return;
            }
        }
    }

    /// The nodes that drain and have tunnels, in the order in which they are to be emptied.
    fn clearing_queue(&self) -> Vec<(&Arc<Node>, Due)> {
        let due = |node: &Node| {
            let (tunnels, until) = (node.roster().staying(), self.drained_at(node)?);
            (tunnels > 0).then_some(Due { tunnels, until })
        };
        let mut queue: Vec<_> =
            self.all_nodes().filter_map(|node| Some((node, due(node)?))).collect();
        queue.sort_by_key(|(_, due)| due.until);
        queue
    }

    fn closes_per_second(&self) -> u32 {
        self.settings.drain.closes_per_second.get()
    }
}

impl Settings {
    /// A look that comes late makes up for it; more at once would be no pace.
    pub(super) fn closing_rate(&self) -> Rate {
        let per_second = self.drain.closes_per_second;
        Rate { per_second, burst: per_second.div_ceil(LOOKS_IN_BURST) }
    }
}

fn is_busy(node: &Node) -> bool {
    node.tunnels() > 0 || node.exchanges() > 0 || node.roster().present() > 0
}

/// Tunnels that are to be closed until then.
#[derive(Clone, Copy, Debug)]
struct Due {
    tunnels: usize,
    until: Instant,
}

/// When the closing of each of `nodes` begins, which stand in the order of their deadlines and are
/// emptied one after the other: as late as each is still done in time, with all behind it. `None` is
/// before the clock began.
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

/// Where the emptying of a node stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum Phase {
    /// It does not drain.
    Open,
    /// It drains.
    Draining,
    /// It is empty, or its time is over.
    Over,
}

impl Progress {
    /// The node does not drain; `base` is no later than any time that is ever passed in.
    pub(super) fn new(base: Instant) -> Self {
        Self {
            base,
            phase: AtomicU8::new(Phase::Open as u8),
            closed: AtomicU64::new(0),
            busy_at: AtomicU64::new(0),
        }
    }

    /// The drain begins, if it has not; whether that is news.
    fn begin(&self) -> bool {
        let begins = self.phase.load(Ordering::Relaxed) == Phase::Open as u8;
        if begins {
            self.closed.store(0, Ordering::Relaxed);
            self.phase.store(Phase::Draining as u8, Ordering::Relaxed);
        }
        begins
    }

    /// Whether it is news that it is this now.
    fn enter(&self, phase: Phase) -> bool {
        self.phase.swap(phase as u8, Ordering::Relaxed) != phase as u8
    }

    fn note_closed(&self, tunnels: usize) {
        self.closed.fetch_add(tunnels as u64, Ordering::Relaxed);
    }

    fn note_busy(&self, now: Instant) {
        self.busy_at.store(self.millis(now), Ordering::Relaxed);
    }

    /// Whether the node drains and has had nothing to do for a while.
    fn is_empty(&self, now: Instant) -> bool {
        let idle = self.millis(now).saturating_sub(self.busy_at.load(Ordering::Relaxed));
        self.phase.load(Ordering::Relaxed) != Phase::Open as u8
            && Duration::from_millis(idle) >= Draining::QUIET
    }

    fn millis(&self, now: Instant) -> u64 {
        let millis = now.saturating_duration_since(self.base).as_millis();
        u64::try_from(millis).unwrap_or(u64::MAX)
    }
}

/// How often tunnels are told to end while a node is being emptied: ten times a second is smooth to
/// those who take the clients.
const TICK: Duration = Duration::from_millis(100);

/// How often somebody looks whether a node drains, and whether nodes are out of balance.
const REST: Duration = Duration::from_secs(1);

/// Of a second's closings a fifth may come at once, two looks' worth.
const LOOKS_IN_BURST: std::num::NonZeroU32 = std::num::NonZeroU32::new(5).expect("it is not zero");

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::super::settings::{Drain, NodeAddress, NodeSettings};
    use super::*;
    use crate::tunnel::RosterGuard;

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

    /// `a` and `b`, of which `a` has so many tunnels; ten a second are closed within a minute.
    fn upstream(tunnels: usize) -> (Upstream, Vec<RosterGuard>) {
        let node =
            |name: &str| NodeSettings::new(name, NodeAddress { host: name.into(), port: 3000 });
        let mut settings = Settings::new("chat", vec![node("a"), node("b")]);
        let closes_per_second = NonZeroU32::new(10).unwrap();
        settings.drain = Drain { timeout: Duration::from_secs(60), closes_per_second };
        let upstream = Upstream::new(&settings, None);
        let roster = upstream.nodes()[0].roster().clone();
        let guards = (0..tunnels).map(|_| roster.enter(Instant::now())).collect();
        (upstream, guards)
    }

    /// Looks every tenth of a second from `from` to `to`, in seconds after `since`; how many stay
    /// after each look.
    fn look(upstream: &Upstream, since: Instant, (from, to): (u32, u32)) -> Vec<usize> {
        let looks = from * 10..to * 10;
        looks
            .map(|look| {
                upstream.clear(since + look * TICK);
                upstream.nodes()[0].roster().staying()
            })
            .collect()
    }

    #[test]
    fn a_node_is_emptied_at_its_pace_and_in_time() {
        let (upstream, guards) = upstream(100);
        let node = &upstream.nodes()[0];
        let since = Instant::now();
        node.set_drain(DrainCause::Ordered, true, since);

        assert!(look(&upstream, since, (0, 50)).iter().all(|staying| *staying == 100));
        let staying = look(&upstream, since, (50, 60));
        for (look, staying) in staying.iter().enumerate() {
            // A tenth of a second is one tunnel; two may go at once.
            assert!(100 - staying <= look + 2, "{staying} after {look} looks");
        }
        assert_eq!(staying.last(), Some(&0));
        let told = node.clearing().closed.load(Ordering::Relaxed);
        assert_eq!((told, node.roster().present()), (100, 100));
        drop(guards);
        assert_eq!(upstream.clear(since + Duration::from_secs(61)), REST);
    }

    #[test]
    fn whoever_is_told_late_is_closed_at_once_and_at_the_same_pace() {
        let (upstream, _guards) = upstream(2000);
        let since = Instant::now();
        upstream.nodes()[0].set_drain(DrainCause::Ordered, true, since);
        let staying = look(&upstream, since, (0, 100));
        assert!(staying[0] < 2000);
        for (look, staying) in staying.iter().enumerate() {
            assert!(2000 - staying <= look + 2, "{staying} after {look} looks");
        }
        assert!(staying[999] <= 1000, "it goes on behind the deadline: {}", staying[999]);
    }

    #[test]
    fn two_nodes_share_the_pace() {
        let (upstream, _a) = upstream(50);
        let roster = upstream.nodes()[1].roster();
        let _b: Vec<RosterGuard> = (0..50).map(|_| roster.enter(Instant::now())).collect();
        let since = Instant::now();
        for node in upstream.nodes() {
            node.set_drain(DrainCause::Ordered, true, since);
        }
        assert_eq!(look(&upstream, since, (49, 55)).last(), Some(&0), "one after the other");
        assert!(roster.staying() >= 38, "{}", roster.staying());
        look(&upstream, since, (55, 60));
        assert_eq!(roster.staying(), 0);
    }

    #[test]
    fn a_drain_that_is_called_off_closes_nothing_more() {
        let (upstream, _guards) = upstream(100);
        let node = &upstream.nodes()[0];
        let since = Instant::now();
        node.set_drain(DrainCause::Ordered, true, since);
        let left = *look(&upstream, since, (50, 53)).last().unwrap();
        assert!(left < 100);
        node.set_drain(DrainCause::Ordered, false, since + Duration::from_secs(53));
        assert_eq!(look(&upstream, since, (53, 70)).last(), Some(&left));
        assert_eq!(upstream.draining(node, since), None);
    }

    #[test]
    fn a_shorter_timeout_counts_at_once_and_a_node_that_left_is_emptied_too() {
        let (before, _guards) = upstream(100);
        let mut settings = before.settings().clone();
        settings.nodes.remove(0);
        settings.drain.timeout = Duration::from_secs(10);
        let now = Instant::now();
        let after = Upstream::new(&settings, Some(&before));
        after.enact(now);
        let left = before.nodes()[0].clone();
        let draining = after.draining(&left, now).unwrap();
        assert_eq!(draining.causes, [DrainCause::Left]);
        assert!(draining.until <= now + Duration::from_secs(10));
        assert!(draining.closing_at <= now);
        for look in 0..110 {
            after.clear(now + look * TICK);
        }
        assert_eq!(left.roster().staying(), 0);
        let later = Upstream::new(&settings, Some(&after));
        assert!(Arc::ptr_eq(&later.retired()[0].node, &left), "its tunnels have yet to end");
    }

    #[test]
    fn a_node_is_empty_after_two_quiet_seconds() {
        let (upstream, guards) = upstream(1);
        let node = &upstream.nodes()[0];
        let since = Instant::now();
        node.set_drain(DrainCause::Ordered, true, since);
        let is_empty = |upstream: &Upstream, seconds| {
            let now = since + Duration::from_secs(seconds);
            upstream.clear(now);
            upstream.draining(node, now).unwrap().is_empty
        };
        assert!(!is_empty(&upstream, 5));
        drop(guards);
        assert!(!is_empty(&upstream, 6));
        let poll = upstream.lease_on(node);
        assert!(!is_empty(&upstream, 7));
        drop(poll);
        assert!(!is_empty(&upstream, 8));
        assert!(is_empty(&upstream, 9));
    }
}
