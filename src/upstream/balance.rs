//! Balancing: which of several nodes gets a new session.
//!
//! Pure. Runs for every request.

use std::sync::atomic::{AtomicU64, Ordering};

/// A node that may be chosen.
#[derive(Clone, Copy, Debug)]
pub(super) struct Candidate<T> {
    /// What is given back if it is chosen.
    pub(super) node: T,
    /// Its load; finite and not negative.
    pub(super) load: f64,
    /// Its share relative to the others' weights; at least 1.
    pub(super) weight: u32,
}

/// The candidate with the least load for its weight, `None` if there is no candidate.
///
/// Among equals each is as likely as its weight says, so that shares follow the weights also if load is
/// always zero. `below(n)` gives a random number less than `n`.
pub(super) fn least_loaded<T>(
    candidates: impl IntoIterator<Item = Candidate<T>>,
    mut below: impl FnMut(u64) -> u64,
) -> Option<T> {
    let mut candidates = candidates.into_iter();
    let mut best = candidates.next()?;
    let mut equals_weight = u64::from(best.weight);
    for candidate in candidates {
        // a/v < b/w, without the division that would make equals unequal.
        let load = candidate.load * f64::from(best.weight);
        let best_load = best.load * f64::from(candidate.weight);
        if load < best_load {
            equals_weight = u64::from(candidate.weight);
            best = candidate;
        } else if load == best_load {
            equals_weight += u64::from(candidate.weight);
            if below(equals_weight) < u64::from(candidate.weight) {
                best = candidate;
            }
        }
    }
    Some(best.node)
}

/// The less loaded of two candidates that are drawn by their weights.
pub(super) fn less_of_two<T: Copy>(
    candidates: impl Iterator<Item = Candidate<T>> + Clone,
    mut below: impl FnMut(u64) -> u64,
) -> Option<T> {
    let total: u64 = candidates.clone().map(|candidate| u64::from(candidate.weight)).sum();
    let first = drawn(candidates.clone().enumerate(), below(total.max(1)))?;
    let others = candidates.enumerate().filter(|(index, _)| *index != first.0);
    let rest = total - u64::from(first.1.weight);
    let second = drawn(others, below(rest.max(1)));
    least_loaded([Some(first.1), second.map(|(_, second)| second)].into_iter().flatten(), below)
}

/// The candidate whose weight covers `point` when all weights are laid end to end.
fn drawn<T>(
    candidates: impl Iterator<Item = (usize, Candidate<T>)>,
    mut point: u64,
) -> Option<(usize, Candidate<T>)> {
    for (index, candidate) in candidates {
        match point.checked_sub(candidate.weight.into()) {
            Some(rest) => point = rest,
            None => return Some((index, candidate)),
        }
    }
    None
}

/// The candidate whose turn it is, each as often as its weight says, by stride scheduling. `turn` gives
/// the position of a candidate and `round` that of the round: the candidate with the lowest position is
/// next, and advances by a step that is inversely proportional to its weight. A candidate that was
/// unavailable continues with the others and does not catch up.
pub(super) fn next_in_round<'a, T: Copy>(
    candidates: impl Iterator<Item = Candidate<T>> + Clone,
    turn: impl Fn(T) -> &'a AtomicU64,
    round: &AtomicU64,
) -> Option<T> {
    loop {
        let floor = round.load(Ordering::Relaxed);
        let seen = candidates.clone().map(|candidate| {
            let at = turn(candidate.node).load(Ordering::Relaxed);
            (at.max(floor), at, candidate)
        });
        let (from, seen, candidate) = seen.min_by_key(|(at, _, _)| *at)?;
        let next = from.wrapping_add(step(candidate.weight));
        let step = turn(candidate.node);
        // Another worker may have taken the same turn; then the next one is ours.
        if step.compare_exchange(seen, next, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            round.fetch_max(from, Ordering::Relaxed);
            return Some(candidate.node);
        }
    }
}

/// Holds `turn` to one step before `round`, now that its candidate has this weight: a step that was
/// made with a small weight would keep it out for many rounds.
pub(super) fn hold_to_step(turn: &AtomicU64, weight: u32, round: &AtomicU64) {
    let latest = round.load(Ordering::Relaxed).saturating_add(step(weight));
    turn.fetch_min(latest, Ordering::Relaxed);
}

fn step(weight: u32) -> u64 {
    STRIDE / u64::from(weight.max(1))
}

/// The first of `order`, indexes into `candidates`, whose load is below its [`bound`]. There always is
/// one, because not all can have more than their share.
pub(super) fn first_within_bound<T: Copy>(
    candidates: &[Candidate<T>],
    order: impl Iterator<Item = usize>,
) -> Option<T> {
    let load: f64 = candidates.iter().map(|candidate| candidate.load).sum();
    let weight: f64 = candidates.iter().map(|candidate| f64::from(candidate.weight)).sum();
    let fits = |candidate: &&Candidate<T>| {
        candidate.load < bound((load + 1.0) * f64::from(candidate.weight) / weight)
    };
    order.filter_map(|index| candidates.get(index)).find(fits).map(|candidate| candidate.node)
}

/// The load that a candidate with this share may have. A whole number, so that a load that has decayed to
/// less than one session leaves room for one.
fn bound(share: f64) -> f64 {
    (BOUND * share).max(share + FEW).ceil()
}

/// The step of a candidate of weight 1: fine enough for the largest weights, and 64 bits of it last
/// for ages.
const STRIDE: u64 = 1_000_000_000;

/// How much more than its share of the load a preferred node may have ("Consistent Hashing with
/// Bounded Loads", Mirrokni, Thorup and Zadimoghaddam, 2016): closer to 1 evens out more and moves
/// more sessions to nodes that they prefer less.
const BOUND: f64 = 1.25;

/// So many sessions more than its share are always allowed, however small the share is: among few
/// sessions chance alone causes as much, and spreading them would separate clients from their nodes.
const FEW: f64 = 8.0;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// `nodes` are load and weight; `expected` is the place of the one chosen, whatever the dice.
    fn check(nodes: &[(f64, u32)], expected: Option<usize>) {
        for seed in 0..20 {
            assert_eq!(choose(nodes, &mut fastrand::Rng::with_seed(seed)), expected, "{nodes:?}");
        }
    }

    fn choose(nodes: &[(f64, u32)], random: &mut fastrand::Rng) -> Option<usize> {
        let candidates = nodes.iter().enumerate();
        let candidates = candidates.map(|(node, &(load, weight))| Candidate { node, load, weight });
        least_loaded(candidates, |n| random.u64(..n))
    }

    #[test]
    fn the_least_loaded_is_chosen() {
        check(&[], None);
        check(&[(9.0, 1)], Some(0));
        check(&[(2.0, 1), (1.0, 1), (3.0, 1)], Some(1));
        check(&[(2.0, 1), (3.0, 2)], Some(1));
        check(&[(0.5, 1), (501.0, 1000)], Some(0));
        check(&[(0.0, 1), (0.1, 1000)], Some(0));
    }

    #[test]
    fn equals_are_chosen_as_often_as_their_weights_say() {
        // Thirds times three: the loads for their weight are equal only without a division.
        let nodes = [(1.0, 3), (9.0, 1), (3.0, 9), (9.0, 1)];
        let mut random = fastrand::Rng::with_seed(7);
        let mut counts = [0_u32; 4];
        for _ in 0..12_000 {
            counts[choose(&nodes, &mut random).unwrap()] += 1;
        }
        assert_eq!(counts[1] + counts[3], 0);
        assert!(counts[0].abs_diff(3_000) < 200, "{counts:?}");
        assert!(counts[2].abs_diff(9_000) < 200, "{counts:?}");
    }

    #[test]
    fn a_round_goes_over_all_as_often_as_their_weights_say() {
        let weights = [1, 2, 1];
        let turns: Vec<AtomicU64> = weights.iter().map(|_| AtomicU64::new(0)).collect();
        let round = AtomicU64::new(0);
        let next = |without: Option<usize>| {
            let all = weights.iter().enumerate();
            let candidates = all
                .map(|(node, &weight)| Candidate { node, load: 0.0, weight })
                .filter(move |candidate| Some(candidate.node) != without);
            next_in_round(candidates, |node| &turns[node], &round).unwrap()
        };
        let first: Vec<usize> = (0..8).map(|_| next(None)).collect();
        assert_eq!(first, [0, 1, 2, 1, 0, 1, 2, 1]);
        for _ in 0..300 {
            assert_ne!(next(Some(0)), 0);
        }
        let behind = (0..8).filter(|_| next(None) == 0).count();
        assert!(behind <= 3, "an unavailable node does not catch up");
    }

    #[test]
    fn a_node_with_a_new_weight_is_not_kept_out_by_its_last_step() {
        let turns = [(); 2].map(|()| AtomicU64::new(0));
        let round = AtomicU64::new(0);
        let next = |weights: [u32; 2]| {
            let nodes = weights.into_iter().enumerate();
            let candidates = nodes.map(|(node, weight)| Candidate { node, load: 0.0, weight });
            next_in_round(candidates, |node| &turns[node], &round).unwrap()
        };
        (0..1001).for_each(|_| _ = next([1, 1000]));
        hold_to_step(&turns[0], 1000, &round);
        let then: Vec<usize> = (0..10).map(|_| next([1000, 1000])).collect();
        assert_eq!(then.iter().filter(|node| **node == 0).count(), 5, "{then:?}");
    }

    #[test]
    fn of_two_that_are_drawn_the_less_loaded_is_chosen() {
        let candidates = |nodes: &[(f64, u32)]| {
            let nodes: Vec<_> = nodes.iter().copied().enumerate().collect();
            nodes.into_iter().map(|(node, (load, weight))| Candidate { node, load, weight })
        };
        let mut random = fastrand::Rng::with_seed(7);
        assert_eq!(less_of_two(candidates(&[]), |n| random.u64(..n)), None);
        assert_eq!(less_of_two(candidates(&[(9.0, 1)]), |n| random.u64(..n)), Some(0));
        let two = candidates(&[(9.0, 1), (1.0, 1)]);
        for _ in 0..20 {
            assert_eq!(less_of_two(two.clone(), |n| random.u64(..n)), Some(1));
        }
        let three = candidates(&[(9.0, 1), (1.0, 1), (5.0, 1)]);
        let mut counts = [0; 3];
        for _ in 0..3_000 {
            counts[less_of_two(three.clone(), |n| random.u64(..n)).unwrap()] += 1;
        }
        // The most loaded never wins; the least loaded wins whenever it is drawn: in two of three.
        assert_eq!(counts[0], 0);
        assert!(i32::abs_diff(counts[1], 2_000) < 150, "{counts:?}");
    }

    proptest! {
        #[test]
        fn no_node_has_more_than_its_bound_and_the_preferred_comes_first(
            loads in prop::collection::vec((0_u32..50, 1_u32..20), 1..9),
            sessions in 1_usize..200,
            seed: u64,
        ) {
            let mut random = fastrand::Rng::with_seed(seed);
            let of = |(node, &(_, weight)): (usize, &(u32, u32))| Candidate { node, load: 0.0, weight };
            let mut nodes: Vec<_> = loads.iter().enumerate().map(of).collect();
            let weights: f64 = nodes.iter().map(|node| f64::from(node.weight)).sum();
            for session in 1..=sessions {
                let mut order: Vec<usize> = (0..nodes.len()).collect();
                random.shuffle(&mut order);
                let chosen = first_within_bound(&nodes, order.iter().copied()).unwrap();
                nodes[chosen].load += 1.0;
                for node in &nodes {
                    let share = session as f64 * f64::from(node.weight) / weights;
                    prop_assert!(node.load <= bound(share), "{nodes:?}");
                }
                let before = order.iter().take_while(|node| **node != chosen);
                for &node in before {
                    let share = session as f64 * f64::from(nodes[node].weight) / weights;
                    prop_assert!(nodes[node].load + 1.0 > bound(share));
                }
            }
        }

        #[test]
        fn a_round_follows_the_weights(weights in prop::collection::vec(1_u32..=20, 1..8)) {
            let turns: Vec<AtomicU64> = weights.iter().map(|_| AtomicU64::new(0)).collect();
            let round = AtomicU64::new(0);
            let mut counts = vec![0_u32; weights.len()];
            let total: u32 = weights.iter().sum();
            for _ in 0..10 * total {
                let all = weights.iter().enumerate();
                let candidates = all.map(|(node, &weight)| Candidate { node, load: 0.0, weight });
                counts[next_in_round(candidates, |node| &turns[node], &round).unwrap()] += 1;
            }
            for (count, weight) in counts.into_iter().zip(weights) {
                prop_assert!(count.abs_diff(10 * weight) <= 1, "{count} of {}", 10 * weight);
            }
        }

        #[test]
        fn shares_of_what_stays_follow_the_weights(
            weights in prop::collection::vec(1_u32..=20, 1..8),
            seed: u64,
        ) {
            let mut random = fastrand::Rng::with_seed(seed);
            let mut nodes: Vec<(f64, u32)> = weights.iter().map(|&weight| (0.0, weight)).collect();
            let total: u32 = weights.iter().sum();
            const ROUNDS: u32 = 3;
            for _ in 0..ROUNDS * total {
                let chosen = choose(&nodes, &mut random).unwrap();
                nodes[chosen].0 += 1.0;
            }
            for (load, weight) in nodes {
                prop_assert_eq!(load, f64::from(ROUNDS * weight));
            }
        }
    }
}
