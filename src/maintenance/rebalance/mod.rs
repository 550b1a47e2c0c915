//! Moves tunnels to nodes that have fewer than their share, as after a node was added.
//!
//! Moving a tunnel means closing it: its client reconnects, and the balance takes it to the node with
//! the least load. Until then no node counts it, so it counts as reconnecting; otherwise ever more
//! tunnels would be closed.
//!
//! Runs at start, at reload, or on a timer.

mod surplus;

use std::time::Duration;

use tracing::debug;

use crate::Instant;
use crate::tunnel::Dismissal;
use crate::upstream::reconnecting::TunnelCounts;
use crate::upstream::{Node, Upstream};
use surplus::{Holding, surplus};

/// Closes tunnels of nodes that have more than their share, once a second, if `rebalance` is set. Each
/// call samples the pending exchanges.
///
/// The tunnels that were silent for longest go first, and none that has bytes to take. A tunnel need
/// not be silent for long: where a room sends something each second, waiting for silence would move
/// none. Nothing is moved to or from backups. Clients of a node that drains will look for another one soon, so they count as reconnecting.
pub(super) fn advance(upstream: &Upstream, now: Instant) {
    let Some(settings) = upstream.settings().rebalance else { return };
    for node in upstream.all_nodes() {
        node.recent_exchanges().note(node.exchanges());
    }
    if !upstream.reconnecting().is_due(now) {
        return;
    }
    let (mut counts, mut draining_exchanges) = (TunnelCounts::default(), 0);
    let (mut members, mut holdings) = (Vec::new(), Vec::new());
    for node in upstream.all_nodes() {
        let (roster, exchanges) = (node.roster(), u64::from(node.recent_exchanges().median()));
        counts.entered += roster.entered();
        node.mass_disconnect().update(roster.present() as u64, now);
        if node.is_draining() {
            counts.draining_nodes += 1;
            counts.draining += roster.present() as u64;
            draining_exchanges += exchanges;
        } else if !node.is_backup() && upstream.is_well(node, now) && node.failed_at().is_none() {
            let handshakes = node.handshakes_at(now).round() as u64;
            let load = roster.staying() as u64 + exchanges + handshakes;
            // Nothing is moved to a node that starts slowly, but what it lacks is not for others.
            let has_started = upstream.share(node, now) >= 1.0;
            let has_room = upstream.has_room(node) && has_started && is_known_well(node);
            members.push(node);
            holdings.push(Holding { load, weight: node.weight(), has_room });
        }
    }
    let Some(recently_closed) = upstream.reconnecting().update(counts, now) else { return };
    let reconnecting = recently_closed + counts.draining + draining_exchanges;
    let mut closed = 0;
    for (node, surplus) in members.into_iter().zip(surplus(&holdings, reconnecting, settings)) {
        let count = usize::try_from(surplus).unwrap_or(usize::MAX);
        let told = node.roster().dismiss(Dismissal::Rebalanced, count, Some(now));
        if told > 0 {
            let (upstream, name) = (upstream.name(), node.name());
            debug!(%upstream, node = %name, tunnels = told, "rebalancing");
        }
        closed += told as u64;
    }
    upstream.reconnecting().note_closed(closed);
}

/// The time between two samples: a tenth of a second on average, and by chance, so that they do not keep
/// step with what nodes send to all their clients.
pub(super) fn sample_pause() -> Duration {
    Duration::from_millis(fastrand::u64(50..=150))
}

/// Whether a connect to `node` has succeeded since it lost its tunnels. A node that has just died has
/// the least load of all, until a connect fails.
fn is_known_well(node: &Node) -> bool {
    let Some(connected_at) = node.connect_failures().connected_at() else { return false };
    node.mass_disconnect().at().is_none_or(|lost_at| lost_at < connected_at)
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;
    use std::sync::Arc;

    use super::*;
    use crate::tunnel::Identity;
    use crate::upstream::reconnecting::EVERY;
    use crate::upstream::settings::{NodeAddress, NodeSettings, Rebalance, Settings};
    use crate::upstream::{DrainCause, Lease, NodePreference};

    fn settings(within_percent: u32, per_second: u32) -> Rebalance {
        Rebalance { within_percent, closes_per_second: NonZeroU32::new(per_second).unwrap() }
    }

    /// Nodes that are rebalanced within 10 %, 20 a second.
    fn group(names: &[&str]) -> Upstream {
        group_with(names, settings(10, 20))
    }

    fn group_with(names: &[&str], rebalance: Rebalance) -> Upstream {
        let node = |name: &&str| {
            let address = NodeAddress { host: (*name).into(), port: 3000 };
            NodeSettings::new(name, address)
        };
        let mut group = Settings::new("chat", names.iter().map(node).collect());
        group.rebalance = Some(rebalance);
        let upstream = Upstream::new(&group, None);
        upstream.nodes().iter().for_each(|node| node.connected());
        upstream
    }

    #[test]
    fn nothing_is_moved_to_a_node_that_may_be_dead() {
        let (upstream, now) = (group(&["a", "b"]), Instant::now() + Duration::from_secs(60));
        let [a, b] = upstream.nodes() else { panic!("two nodes") };
        let enter = |node: &Arc<Node>| {
            (0..100).map(|_| node.roster().enter(Identity::begun(now))).collect::<Vec<_>>()
        };
        let (_on_a, on_b) = (enter(a), enter(b));
        let staying_at = |second| {
            advance(&upstream, now + Duration::from_secs(second));
            a.roster().staying()
        };
        assert_eq!(staying_at(0), 100);
        drop(on_b);
        assert_eq!(staying_at(1), 100, "its tunnels ended, and nobody knows why");
        let failed = now + Duration::from_secs(1);
        b.connect_failures().failed(failed, failed);
        assert_eq!(staying_at(9), 100, "it is not avoided any more, and not known to be well");
        b.connect_failures().connected(now + Duration::from_secs(10));
        assert_eq!(staying_at(11), 80);
    }

    #[test]
    fn nothing_is_moved_to_a_node_that_was_never_reached() {
        let mut settings = group(&["a"]).settings().clone();
        settings.nodes.push(NodeSettings::new("b", settings.nodes[0].address.clone()));
        let (upstream, now) = (Upstream::new(&settings, None), Instant::now());
        let a = upstream.nodes()[0].roster();
        let _on_a: Vec<_> = (0..100).map(|_| a.enter(Identity::begun(now))).collect();
        advance(&upstream, now + Duration::from_secs(60));
        assert_eq!(a.staying(), 100);
    }

    #[test]
    fn tunnels_that_hear_something_each_second_are_moved_too() {
        let upstream = group(&["a", "b"]);
        let roster = upstream.nodes()[0].roster();
        let heard = Instant::now() + Duration::from_secs(60);
        let _guards: Vec<_> = (0..100).map(|_| roster.enter(Identity::begun(heard))).collect();

        advance(&upstream, heard + Duration::from_millis(50));
        assert_eq!(roster.staying(), 80);
    }

    #[test]
    fn clients_of_a_node_that_drains_count_as_reconnecting() {
        let (upstream, now) = (group(&["a", "b", "c"]), Instant::now() + Duration::from_secs(60));
        let [a, _, c] = upstream.nodes() else { panic!("three nodes") };
        let enter = |node: &Arc<Node>| {
            (0..100).map(|_| node.roster().enter(Identity::begun(now))).collect::<Vec<_>>()
        };
        let _guards = [enter(a), enter(c)];

        c.set_drain(DrainCause::Ordered, true, now);
        advance(&upstream, now);
        assert_eq!(a.roster().staying(), 100);

        c.set_drain(DrainCause::Ordered, false, now);
        advance(&upstream, now + EVERY);
        assert_eq!(a.roster().staying() + c.roster().staying(), 180);
    }

    #[test]
    fn tunnels_make_room_for_sessions_that_poll_and_are_not_moved_back() {
        let check = |tunnels: [usize; 2], polls: [usize; 2], expected: [usize; 2]| {
            let upstream = group(&["a", "b"]);
            let now = Instant::now() + Duration::from_secs(60);
            let (mut guards, mut leases) = (Vec::new(), Vec::new());
            for (index, node) in upstream.nodes().iter().enumerate() {
                guards
                    .extend((0..tunnels[index]).map(|_| node.roster().enter(Identity::begun(now))));
                leases.extend((0..polls[index]).map(|_| upstream.lease_on(node)));
            }
            advance(&upstream, now);
            assert_eq!([0, 1].map(|index| upstream.nodes()[index].roster().staying()), expected);
        };
        check([50, 50], [50, 0], [30, 50]);
        check([25, 75], [50, 0], [25, 75]);
        check([5, 0], [50, 0], [0, 0]);
    }

    /// Moves tunnels of `tunnels`, one number for each node, for a minute, and lets their clients come back
    /// after a second to where the balance says, by a handshake if they are of those that poll first.
    /// How many were moved, and how many each node has then.
    fn move_for_a_minute(
        tunnels: [usize; 3],
        per_second: u32,
        polls_first: impl Fn(usize) -> bool,
    ) -> (usize, Vec<usize>) {
        let upstream = group_with(&["a", "b", "c"], settings(5, per_second));
        let begun = Instant::now() + Duration::from_secs(60);
        let enter = |lease: Lease, now| (lease.node().roster().enter(now), lease.into_tunnel());
        let mut open: Vec<_> = upstream
            .nodes()
            .iter()
            .zip(tunnels)
            .flat_map(|(node, count)| std::iter::repeat_n(node, count))
            .map(|node| enter(upstream.lease_on(node), Identity::begun(begun)))
            .collect();
        let (mut moved, mut away) = (0, 0);
        for second in 0..60 {
            let now = begun + Duration::from_secs(second);
            for client in moved - away..moved {
                let lease = upstream.lease(&NodePreference::default(), &[], now).unwrap();
                if polls_first(client) {
                    lease.handshake_answered(now);
                }
                open.push(enter(lease, Identity::begun(now)));
            }
            advance(&upstream, now);
            let before = open.len();
            open.retain(|(guard, _)| guard.dismissal().is_none());
            away = before - open.len();
            moved += away;
        }
        (moved, upstream.nodes().iter().map(|node| node.roster().present()).collect())
    }

    #[test]
    fn a_client_is_moved_once() {
        for per_second in [5, 20, 100] {
            for share_that_polls_first in 0..=2 {
                let polls_first = |client| client % 2 < share_that_polls_first;
                let (moved, held) = move_for_a_minute([480, 480, 40], per_second, polls_first);
                let (least, most) = (held.iter().min().unwrap(), held.iter().max().unwrap());
                assert!((270..=310).contains(&moved), "{moved} at {per_second} a second");
                assert!(most * 10 <= least * 11, "{held:?} at {per_second} a second");
            }
        }
    }

    #[test]
    fn sessions_whose_polls_are_all_answered_at_once_are_not_gone() {
        let (upstream, now) = (group(&["a", "b"]), Instant::now() + Duration::from_secs(60));
        let [a, b] = upstream.nodes() else { panic!("two nodes") };
        let enter = |node: &Arc<Node>, tunnels| {
            (0..tunnels).map(|_| node.roster().enter(Identity::begun(now))).collect::<Vec<_>>()
        };
        let _tunnels = [enter(a, 50), enter(b, 100)];
        let polls = || (0..50).map(|_| upstream.lease_on(a)).collect::<Vec<Lease>>();
        let mut pending = polls();
        for look in 0..50 {
            // Once a second, as rebalancing, a message to all of them goes out.
            if look % 10 == 0 && look > 0 {
                pending.clear();
            }
            advance(&upstream, now + look * EVERY / 10);
            pending = polls();
            assert_eq!([a, b].map(|node| node.roster().staying()), [50, 100], "look {look}");
        }
        drop(pending);
    }
}
