//! Moves tunnels to nodes that have fewer than their share, as after a node was added.
//!
//! Moving a tunnel means closing it: its client reconnects, and the balance takes it to the node with
//! the least load. Until then no node counts it, so it counts as reconnecting; otherwise ever more
//! tunnels would be closed.
//!
//! Runs at start, at reload, or on a timer.

use tracing::debug;

use crate::Instant;
use crate::tunnel::Dismissal;
use crate::upstream::reconnecting::TunnelCounts;
use crate::upstream::settings::Rebalance;
use crate::upstream::{Node, Upstream};

/// What a node has, and what it should have.
#[derive(Clone, Copy, Debug)]
struct Holding {
    /// Tunnels and pending exchanges, as the balance counts: counting tunnels alone would move back what
    /// the balance had placed. Sessions that poll cannot be moved, but others can make room for them.
    load: u64,
    /// At least 1.
    weight: u32,
    /// Whether new sessions may go there.
    has_room: bool,
}

/// Closes tunnels of nodes that have more than their share, once a second, if `rebalance` is set.
///
/// The tunnels that were silent for longest go first, and none that has bytes to take. A tunnel need
/// not be silent for long: where a room sends something each second, waiting for silence would move
/// none. Clients of a node that drains will look for another one soon, so they count as reconnecting.
pub(super) fn advance(upstream: &Upstream, now: Instant) {
    let Some(settings) = upstream.settings().rebalance else { return };
    if !upstream.reconnecting().is_due(now) {
        return;
    }
    let (mut counts, mut draining_exchanges) = (TunnelCounts::default(), 0);
    let (mut members, mut holdings) = (Vec::new(), Vec::new());
    for node in upstream.all_nodes() {
        let (roster, exchanges) = (node.roster(), u64::from(node.exchanges()));
        counts.entered += roster.entered();
        node.mass_disconnect().update(roster.present() as u64, now);
        if node.is_draining() {
            counts.draining_nodes += 1;
            counts.draining += roster.present() as u64;
            draining_exchanges += exchanges;
        } else if upstream.is_well(node, now) && node.failed_at().is_none() {
            let load = roster.staying() as u64 + exchanges;
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

/// Whether a connect to `node` has succeeded since it lost its tunnels. A node that has just died has
/// the least load of all, until a connect fails.
fn is_known_well(node: &Node) -> bool {
    let Some(connected_at) = node.connect_failures().connected_at() else { return false };
    node.mass_disconnect().at().is_none_or(|lost_at| lost_at < connected_at)
}

/// How many tunnels of each node are to be closed this second: none where loads are near enough to
/// each other, else what they have beyond their shares, as far as others lack it, less the clients that
/// are `reconnecting`.
fn surplus(nodes: &[Holding], reconnecting: u64, settings: Rebalance) -> Vec<u64> {
    let mut surplus = vec![0; nodes.len()];
    if is_even(nodes, reconnecting, settings.within_percent) {
        return surplus;
    }
    let all: u64 = nodes.iter().map(|node| node.load).sum::<u64>() + reconnecting;
    let weight: u64 = nodes.iter().map(|node| u64::from(node.weight)).sum();
    // In whole tunnels, rounded down: a remainder is not moved to and fro.
    let share = |node: &Holding| {
        let share = u128::from(all) * u128::from(node.weight) / u128::from(weight.max(1));
        u64::try_from(share).unwrap_or(u64::MAX)
    };
    let takers = nodes.iter().filter(|node| node.has_room);
    let lacking: u64 = takers.map(|node| share(node).saturating_sub(node.load)).sum();
    let mut left =
        lacking.saturating_sub(reconnecting).min(settings.closes_per_second.get().into());
    let excess = |node: &Holding| node.load.saturating_sub(share(node));
    let mut order: Vec<usize> = (0..nodes.len()).collect();
    order.sort_by_key(|index| std::cmp::Reverse(excess(&nodes[*index])));
    for index in order {
        surplus[index] = excess(&nodes[index]).min(left);
        left -= surplus[index];
    }
    surplus
}

/// Whether the node with the highest load for its weight is at most `within` percent above the lowest
/// that can take more, once that has all clients that are `reconnecting`, and a few. Comparing each node
/// with the average alone would leave two of three a tenth above it and the third a fifth below.
fn is_even(nodes: &[Holding], reconnecting: u64, within: u32) -> bool {
    let most =
        nodes.iter().copied().reduce(|most, node| if node.is_above(most) { node } else { most });
    let takers = nodes.iter().copied().filter(|node| node.has_room);
    let least = takers.reduce(|least, node| if least.is_above(node) { node } else { least });
    most.zip(least).is_none_or(|(most, mut least)| {
        least.load += reconnecting + FEW;
        most.weighed(least, 100) <= least.weighed(most, 100 + within)
    })
}

impl Holding {
    /// Whether this load is higher for its weight.
    fn is_above(self, other: Self) -> bool {
        self.weighed(other, 1) > other.weighed(self, 1)
    }

    /// `factor` times the load, comparable with that of `other`.
    fn weighed(self, other: Self, factor: u32) -> u128 {
        u128::from(self.load) * u128::from(other.weight) * u128::from(factor)
    }
}

/// A difference of so many is no reason to move anything: concurrent requests alone cause as much.
const FEW: u64 = 5;

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::num::NonZeroU32;
    use std::sync::Arc;
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::upstream::DrainCause;
    use crate::upstream::reconnecting::{EVERY, Reconnecting};
    use crate::upstream::settings::{NodeAddress, NodeSettings, Settings};

    fn settings(within_percent: u32, per_second: u32) -> Rebalance {
        Rebalance { within_percent, closes_per_second: NonZeroU32::new(per_second).unwrap() }
    }

    fn holdings(nodes: &[(u64, u32)]) -> Vec<Holding> {
        let holding = |&(load, weight)| Holding { load, weight, has_room: true };
        nodes.iter().map(holding).collect()
    }

    #[test]
    fn only_what_others_lack_is_moved() {
        // check(tunnels and weights, reconnecting, how many are closed on each), 10 %, 20 a second
        fn check(nodes: &[(u64, u32)], reconnecting: u64, expected: &[u64]) {
            assert_eq!(
                surplus(&holdings(nodes), reconnecting, settings(10, 20)),
                expected,
                "{nodes:?}"
            );
        }
        check(&[], 0, &[]);
        check(&[(100, 1)], 0, &[0]);
        check(&[(100, 1), (0, 1)], 0, &[20, 0]);
        check(&[(60, 1), (40, 1)], 0, &[10, 0]);
        check(&[(57, 1), (43, 1)], 0, &[7, 0]);
        check(&[(13, 1), (8, 1)], 0, &[0, 0]);
        check(&[(52, 1), (48, 1)], 0, &[0, 0]);
        check(&[(100, 3), (0, 1)], 0, &[20, 0]);
        check(&[(75, 3), (25, 1)], 0, &[0, 0]);
        check(&[(4, 1), (3, 1), (3, 1)], 0, &[0, 0, 0]);
        check(&[(70, 1), (65, 1), (0, 1)], 0, &[20, 0, 0]);
        check(&[(48, 1), (42, 1), (0, 1)], 0, &[18, 2, 0]);
        check(&[(366, 1), (365, 1), (269, 1)], 0, &[20, 0, 0]);
        check(&[(346, 1), (346, 1), (308, 1)], 0, &[13, 7, 0]);
        // Reconnecting clients belong to all, and will go to the nodes that lack them.
        check(&[(60, 1), (0, 1)], 40, &[10, 0]);
        check(&[(52, 1), (0, 1)], 48, &[0, 0]);
    }

    #[test]
    fn a_node_without_room_is_no_reason_to_move_anything() {
        let mut nodes = holdings(&[(100, 1), (10, 1)]);
        nodes[1].has_room = false;
        assert_eq!(surplus(&nodes, 0, settings(10, 20)), [0, 0]);
    }

    /// Nodes that are rebalanced within 10 %, 20 a second.
    fn group(names: &[&str]) -> Upstream {
        let node = |name: &&str| {
            let address = NodeAddress { host: (*name).into(), port: 3000 };
            NodeSettings::new(name, address)
        };
        let mut group = Settings::new("chat", names.iter().map(node).collect());
        group.rebalance = Some(settings(10, 20));
        let upstream = Upstream::new(&group, None);
        upstream.nodes().iter().for_each(|node| node.connected());
        upstream
    }

    #[test]
    fn nothing_is_moved_to_a_node_that_may_be_dead() {
        let (upstream, now) = (group(&["a", "b"]), Instant::now() + Duration::from_secs(60));
        let [a, b] = upstream.nodes() else { panic!("two nodes") };
        let enter =
            |node: &Arc<Node>| (0..100).map(|_| node.roster().enter(now)).collect::<Vec<_>>();
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
        let _on_a: Vec<_> = (0..100).map(|_| a.enter(now)).collect();
        advance(&upstream, now + Duration::from_secs(60));
        assert_eq!(a.staying(), 100);
    }

    #[test]
    fn tunnels_that_hear_something_each_second_are_moved_too() {
        let upstream = group(&["a", "b"]);
        let roster = upstream.nodes()[0].roster();
        let heard = Instant::now() + Duration::from_secs(60);
        let _guards: Vec<_> = (0..100).map(|_| roster.enter(heard)).collect();

        advance(&upstream, heard + Duration::from_millis(50));
        assert_eq!(roster.staying(), 80);
    }

    #[test]
    fn clients_of_a_node_that_drains_count_as_reconnecting() {
        let (upstream, now) = (group(&["a", "b", "c"]), Instant::now() + Duration::from_secs(60));
        let [a, _, c] = upstream.nodes() else { panic!("three nodes") };
        let enter =
            |node: &Arc<Node>| (0..100).map(|_| node.roster().enter(now)).collect::<Vec<_>>();
        let _guards = [enter(a), enter(c)];

        c.set_drain(DrainCause::Ordered, true, now);
        advance(&upstream, now);
        assert_eq!(a.roster().staying(), 100);

        c.set_drain(DrainCause::Ordered, false, now);
        advance(&upstream, now + EVERY);
        assert_eq!(a.roster().staying() + c.roster().staying(), 180);
    }

    #[test]
    fn what_a_node_lacks_that_starts_slowly_is_not_for_others() {
        let nodes = [(120, true), (100, true), (0, false)].map(|(load, has_room)| Holding {
            load,
            weight: 1,
            has_room,
        });
        assert_eq!(surplus(&nodes, 0, settings(10, 20)), [0, 0, 0]);
    }

    #[test]
    fn tunnels_make_room_for_sessions_that_poll_and_are_not_moved_back() {
        let check = |tunnels: [usize; 2], polls: [usize; 2], expected: [usize; 2]| {
            let upstream = group(&["a", "b"]);
            let now = Instant::now() + Duration::from_secs(60);
            let (mut guards, mut leases) = (Vec::new(), Vec::new());
            for (index, node) in upstream.nodes().iter().enumerate() {
                guards.extend((0..tunnels[index]).map(|_| node.roster().enter(now)));
                leases.extend((0..polls[index]).map(|_| upstream.lease_on(node)));
            }
            advance(&upstream, now);
            assert_eq!([0, 1].map(|index| upstream.nodes()[index].roster().staying()), expected);
        };
        check([50, 50], [50, 0], [30, 50]);
        check([25, 75], [50, 0], [25, 75]);
        check([5, 0], [50, 0], [0, 0]);
    }

    proptest! {
        #[test]
        fn no_more_is_closed_than_is_too_much(
            nodes in prop::collection::vec((0_u64..500, 1_u32..10), 1..8),
            reconnecting in 0_u64..100,
            within in 1_u32..=100,
            per_second in 1_u32..50,
        ) {
            let closed = surplus(&holdings(&nodes), reconnecting, settings(within, per_second));
            let all = nodes.iter().map(|node| node.0).sum::<u64>() + reconnecting;
            let weight: u32 = nodes.iter().map(|node| node.1).sum();
            let share = |node: &(u64, u32)| all * u64::from(node.1) / u64::from(weight);
            let lacking: u64 = nodes.iter().map(|node| share(node).saturating_sub(node.0)).sum();
            for (node, closed) in nodes.iter().zip(&closed) {
                prop_assert!(*closed == 0 || node.0 - closed >= share(node));
            }
            prop_assert!(closed.iter().sum::<u64>() <= lacking.min(per_second.into()));
        }

        #[test]
        fn the_nodes_come_to_their_shares_and_not_beyond(
            nodes in prop::collection::vec((0_u64..200, 1_u32..5), 2..6),
            per_second in 1_u32..20,
            seconds_to_return in 0_usize..6,
        ) {
            let weight: u32 = nodes.iter().map(|node| node.1).sum();
            let all: u64 = nodes.iter().map(|node| node.0).sum();
            let share = |node: &(u64, u32)| all * u64::from(node.1) / u64::from(weight);
            let excess: u64 = nodes.iter().map(|node| node.0.saturating_sub(share(node))).sum();
            let (mut held, base) = (nodes.clone(), Instant::now());
            let (mut reconnecting, mut entered, mut total) = (Reconnecting::default(), 0, 0);
            let mut away: VecDeque<u64> = std::iter::repeat_n(0, seconds_to_return).collect();
            for second in 0..1500 {
                let now = base + Duration::from_secs(second);
                let missing = reconnecting.update(TunnelCounts { entered, ..TunnelCounts::default() }, now).unwrap();
                let closed = surplus(&holdings(&held), missing, settings(10, per_second));
                for (node, closed) in held.iter_mut().zip(&closed) {
                    node.0 -= closed;
                }
                let sum: u64 = closed.iter().sum();
                reconnecting.note_closed(sum);
                total += sum;
                away.push_back(sum);
                let back = away.pop_front().unwrap();
                entered += back;
                for _ in 0..back {
                    let least = held.iter_mut().min_by_key(|node| node.0 * 1000 / u64::from(node.1));
                    least.unwrap().0 += 1;
                }
            }
            prop_assert!(total <= excess, "{total} of {excess}");
            // A remainder may leave one or two for each other node. The few that are no reason to move
            // anything may be measured with another node's weight, if both have the same load for it.
            let slack = FEW + nodes.len() as u64;
            for (one, other) in held.iter().flat_map(|one| held.iter().map(move |other| (one, other))) {
                let weights = [one, other].map(|node| u64::from(node.1));
                let most = (other.0 + slack * weights[1]) * weights[0] * 11 / (weights[1] * 10);
                prop_assert!(one.0 <= most + slack, "{nodes:?} -> {held:?}");
            }
        }
    }
}
