//! How many tunnels each node has beyond what it should have.
//!
//! Pure. Runs at start, at reload, or on a timer.

use crate::upstream::settings::Rebalance;

/// What a node has, and what it should have.
#[derive(Clone, Copy, Debug)]
pub(super) struct Holding {
    /// Tunnels, pending exchanges and recent handshakes, as the balance counts: by another measure, what
    /// the balance has placed would be moved back, or the balance would not take what is moved to where
    /// it is lacking. Sessions that poll cannot be moved, but others can make room for them.
    pub(super) load: u64,
    /// At least 1.
    pub(super) weight: u32,
    /// Whether new sessions may go there.
    pub(super) has_room: bool,
}

/// How many tunnels of each node are to be closed this second: none where loads are near enough to
/// each other, else what they have beyond their shares, as far as others lack it, less the clients that
/// are `reconnecting`.
pub(super) fn surplus(nodes: &[Holding], reconnecting: u64, settings: Rebalance) -> Vec<u64> {
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
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::Instant;
    use crate::upstream::reconnecting::{Reconnecting, TunnelCounts};

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

    #[test]
    fn what_a_node_lacks_that_starts_slowly_is_not_for_others() {
        let nodes = [(120, true), (100, true), (0, false)].map(|(load, has_room)| Holding {
            load,
            weight: 1,
            has_room,
        });
        assert_eq!(surplus(&nodes, 0, settings(10, 20)), [0, 0, 0]);
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
