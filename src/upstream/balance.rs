//! Which of several nodes gets a new session.
//!
//! Pure. Runs for every request.

/// One that may be chosen.
#[derive(Clone, Copy, Debug)]
pub(super) struct Candidate<T> {
    /// What is given back if it is chosen.
    pub(super) node: T,
    /// What it has to do already; finite and not negative.
    pub(super) load: f64,
    /// Its share beside the others' weights; at least 1.
    pub(super) weight: u32,
}

/// The candidate with the least load for its weight, `None` if there is no candidate.
///
/// Among equals each is as likely as its weight says, so that shares follow the weights also where
/// no load ever stays. `below(n)` gives a random number less than `n`.
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

    proptest! {
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
