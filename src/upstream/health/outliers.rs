//! Ejects a node for a while when its clients' handshakes fail repeatedly (outlier detection).
//!
//! What fails is a handshake that another node has answered: one that every node fails shows nothing
//! about a node. One client may fail by its own fault, so several have to. When many nodes fail, the cause is more
//! likely the clients or a service behind the nodes, so at least half of the nodes stay.
//!
//! Runs for every request.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tracing::warn;

use crate::Instant;
use crate::upstream::{Node, Upstream};

/// Detects a node whose clients' handshakes fail.
#[derive(Debug, Default)]
pub(in crate::upstream) struct OutlierDetector {
    /// As in `history`, so that a handshake which succeeds takes no lock.
    failures: AtomicU32,
    /// A handshake was answered with a 5xx since the last that succeeded.
    is_doubted: AtomicBool,
    /// Locked for one step, and only by what fails.
    history: Mutex<History>,
}

/// Consecutive failures, and consecutive ejections.
#[derive(Debug, Default)]
struct History {
    failures: u32,
    /// The first clients whose handshakes failed, all of other addresses.
    clients: [Option<IpAddr>; CLIENTS_MIN],
    ejections: u32,
    ejected_until: Option<Instant>,
}

impl Upstream {
    /// Notes that `node` opened a session, or refused it for a valid reason.
    pub fn handshake_succeeded(&self, node: &Node) {
        node.health().outliers.succeeded();
    }

    /// Notes that `node` answered a handshake with a 5xx. Whether it is worth asking another node, too,
    /// to find out whose fault that is: not for the first in a row, since an overloaded upstream would
    /// get twice as many handshakes.
    pub(crate) fn doubts(&self, node: &Node) -> bool {
        self.settings.health.eject_after.is_some() && node.health().outliers.doubt()
    }

    /// Another node failed the same handshake.
    pub(crate) fn clear_doubt(&self, node: &Node) {
        node.health().outliers.clear_doubt();
    }

    /// Notes that a session of the client at that address could not begin on `node`, by the node's fault:
    /// another node has opened it, or no connection could be made to `node`. Ejects the node after enough
    /// failures.
    pub fn handshake_failed(&self, node: &Node, client: IpAddr, now: Instant) {
        let Some(after) = self.settings.health.eject_after else { return };
        let outliers = &node.health().outliers;
        // Handshakes that were under way when it was ejected show nothing new.
        if node.ejected_until(now).is_some() || !outliers.failed(client, after) {
            return;
        }
        // One at a time: two workers could otherwise eject the last two nodes that may be ejected.
        let _turn = self.shared.ejecting();
        if node.ejected_until(now).is_some() || !self.can_spare(node, now) {
            return;
        }
        let span = outliers.eject(now);
        node.availability().eject(now + span);
        node.counts().ejections.inc();
        let (upstream, name) = (self.name(), node.name());
        let seconds = span.as_secs_f64();
        warn!(%upstream, node = %name, failures = after, seconds, "node ejected");
    }

    /// Whether half of the nodes are well without `node`.
    fn can_spare(&self, node: &Node, now: Instant) -> bool {
        let others = self.nodes.iter().filter(|other| other.identity() != node.identity());
        let well = others.filter(|other| self.is_well(other, now)).count();
        is_half(well, self.nodes.len())
    }
}

impl OutlierDetector {
    fn succeeded(&self) {
        self.clear_doubt();
        if self.failures.load(Ordering::Relaxed) != 0 {
            let mut history = self.history();
            history.succeeded();
            self.failures.store(0, Ordering::Relaxed);
        }
    }

    /// Notes a 5xx. Whether there was one before.
    fn doubt(&self) -> bool {
        self.is_doubted.swap(true, Ordering::Relaxed)
    }

    fn clear_doubt(&self) {
        // Nearly always there is nothing to write; a store would take the line from other workers.
        if self.is_doubted.load(Ordering::Relaxed) {
            self.is_doubted.store(false, Ordering::Relaxed);
        }
    }

    /// Notes a failure. Whether the node is to be ejected.
    fn failed(&self, client: IpAddr, after: NonZeroU32) -> bool {
        let mut history = self.history();
        history.failed(client);
        self.failures.store(history.failures, Ordering::Relaxed);
        history.is_enough(after)
    }

    /// Ejects it. For how long.
    fn eject(&self, now: Instant) -> Duration {
        let mut history = self.history();
        let span = history.eject(now);
        self.failures.store(0, Ordering::Relaxed);
        span
    }

    fn history(&self) -> MutexGuard<'_, History> {
        // A panic would leave it in order: each step of its methods is whole.
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl History {
    fn succeeded(&mut self) {
        self.failures = 0;
        self.clients = [None; CLIENTS_MIN];
    }

    fn failed(&mut self, client: IpAddr) {
        self.failures = self.failures.saturating_add(1);
        let client = network_of(client);
        if !self.clients.contains(&Some(client))
            && let Some(free) = self.clients.iter_mut().find(|known| known.is_none())
        {
            *free = Some(client);
        }
    }

    fn is_enough(&self, after: NonZeroU32) -> bool {
        self.failures >= after.get() && self.clients.iter().all(Option::is_some)
    }

    fn eject(&mut self, now: Instant) -> Duration {
        self.succeeded();
        let goes_on = self.ejected_until.is_some_and(|until| now < until + FORGET_AFTER);
        self.ejections = if goes_on { self.ejections.saturating_add(1) } else { 1 };
        let span = EJECT_STEP.saturating_mul(self.ejections).min(EJECT_MAX);
        self.ejected_until = Some(now + span);
        span
    }
}

/// Whether `part` is at least half of `all`.
fn is_half(part: usize, all: usize) -> bool {
    part >= all.div_ceil(2)
}

/// The network in which one client can choose its address: in IPv6 it has 64 bits (RFC 6177).
fn network_of(client: IpAddr) -> IpAddr {
    match client.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            std::net::Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
    }
}

/// So many clients must fail: one alone may be at fault, and two may be one and its neighbour.
const CLIENTS_MIN: usize = 3;

/// The first ejection; each that follows is longer by as much.
const EJECT_STEP: Duration = Duration::from_secs(5);

/// The longest ejection.
const EJECT_MAX: Duration = Duration::from_mins(5);

/// After so long without an ejection the next is the first again.
const FORGET_AFTER: Duration = Duration::from_mins(5);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::upstream::settings::{NodeAddress, NodeSettings, Settings};

    const FIVE: NonZeroU32 = NonZeroU32::new(5).unwrap();

    /// `handshakes` are clients whose handshakes fail, by the last part of their address; `+` is one
    /// that succeeds.
    fn check(handshakes: &str, expected: bool) {
        let mut history = History::default();
        for client in handshakes.split(' ') {
            match client {
                "+" => history.succeeded(),
                client => {
                    let client = client.parse().map_or_else(
                        |_| client.parse().unwrap(),
                        |last| IpAddr::from([127, 0, 0, last]),
                    );
                    history.failed(client);
                }
            }
        }
        assert_eq!(history.is_enough(FIVE), expected, "{handshakes}");
    }

    #[test]
    fn a_node_is_ejected_after_consecutive_failures_of_three_clients() {
        check("1 2 3 1", false);
        check("1 2 3 1 2", true);
        check("1 1 1 1 1 1 1 1", false);
        check("1 2 1 2 1 2 1 2", false);
        check("1 1 1 1 1 2 3", true);
        check("1 2 3 4 + 5", false);
        check("1 2 3 1 2 +", false);
        check("1 2 3 + 1 2 3 4 5", true);
    }

    #[test]
    fn neighbours_in_one_network_of_ipv6_are_one_client() {
        check("2001:db8::1 2001:db8::2 2001:db8::3 2001:db8::4 2001:db8::5", false);
        check("2001:db8::1 2001:db8:0:1::1 2001:db8:0:2::1 2001:db8::4 2001:db8::5", true);
        check("1 ::ffff:127.0.0.1 2 1 2", false);
    }

    #[test]
    fn ejections_that_follow_each_other_grow() {
        let start = Instant::now();
        let mut history = History::default();
        let mut now = start;
        let mut spans = Vec::new();
        for _ in 0..70 {
            let span = history.eject(now);
            spans.push(span.as_secs());
            now += span;
        }
        assert_eq!(spans[..4], [5, 10, 15, 20]);
        assert_eq!(spans[58..], [295, 300, 300, 300, 300, 300, 300, 300, 300, 300, 300, 300]);

        let (before, after) = (FORGET_AFTER - Duration::from_millis(1), FORGET_AFTER);
        assert_eq!(history.eject(now + before), EJECT_MAX);
        assert_eq!(history.eject(now + before + EJECT_MAX + after), EJECT_STEP);
    }

    fn upstream(nodes: usize) -> Upstream {
        let nodes = (0..nodes).map(|index| {
            let address = NodeAddress { host: "10.0.0.1".into(), port: 3000 };
            NodeSettings::new(&format!("n{index}"), address)
        });
        Upstream::new(&Settings::new("chat", nodes.collect()), None)
    }

    #[test]
    fn a_node_that_is_unavailable_for_another_reason_does_not_count_as_staying() {
        let upstream = upstream(4);
        let now = Instant::now();
        let fail_all = |node: &Node| {
            (1..=5).for_each(|last| upstream.handshake_failed(node, [127, 0, 0, last].into(), now));
        };
        let nodes = upstream.nodes();
        nodes[3].availability().set_failing(true, now);
        nodes[2].availability().set_failing(true, now);
        fail_all(&nodes[0]);
        assert_eq!(nodes[0].ejected_until(now), None, "one of four would be left");

        nodes[2].availability().set_failing(false, now);
        fail_all(&nodes[0]);
        assert!(nodes[0].ejected_until(now).is_some());
        assert_eq!(nodes[0].ejected_until(now + EJECT_STEP), None);
    }

    proptest! {
        #[test]
        fn half_of_the_nodes_always_stay(
            nodes in 1_usize..9,
            steps in prop::collection::vec((0_usize..9, 0_u8..5, 0_u64..4000, any::<bool>()), 0..200),
        ) {
            let upstream = upstream(nodes);
            let mut now = Instant::now();
            for (index, last, millis, succeeds) in steps {
                now += Duration::from_millis(millis);
                let node = &upstream.nodes()[index % nodes];
                if succeeds && last == 0 {
                    upstream.handshake_succeeded(node);
                } else {
                    upstream.handshake_failed(node, [127, 0, 0, last].into(), now);
                }
                let left = upstream.nodes().iter().filter(|node| node.ejected_until(now).is_none());
                prop_assert!(left.count() >= nodes.div_ceil(2));
            }
        }
    }
}
