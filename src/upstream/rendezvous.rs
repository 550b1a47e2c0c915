//! Highest random weight: a key prefers nodes in an order that depends on the key and on each
//! node by itself.
//!
//! A node in or out moves only the keys that prefer it most; a weight moves only its share. Every
//! proxy with the same nodes has the same order: the hash is fixed and has no seed of its own.
//!
//! Pure. Runs for every request.

use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

/// The nodes of one upstream, which it knows by their index.
#[derive(Clone, Debug)]
pub(crate) struct Rendezvous {
    nodes: Vec<Candidate>,
}

#[derive(Clone, Copy, Debug)]
struct Candidate {
    seed: u64,
    weight: f64,
}

impl Rendezvous {
    /// Nodes by name and weight; a weight of 0 counts as 1.
    pub(crate) fn new<'a>(nodes: impl Iterator<Item = (&'a str, u32)>) -> Self {
        let candidate = |(name, weight): (&str, u32)| Candidate {
            seed: xxh3_64(name.as_bytes()),
            weight: weight.max(1).into(),
        };
        Self { nodes: nodes.map(candidate).collect() }
    }

    /// All nodes, by their index, from the one that `key` prefers to the one it prefers least.
    pub(crate) fn order(&self, key: &[u8]) -> Vec<usize> {
        let distances: Vec<f64> = self.nodes.iter().map(|node| node.distance(key)).collect();
        let mut order: Vec<usize> = (0..distances.len()).collect();
        order.sort_by(|a, b| f64::total_cmp(&distances[*a], &distances[*b]));
        order
    }
}

impl Candidate {
    /// Exponentially distributed with the weight as its rate: the least of several such numbers
    /// belongs to each node with a chance that is its share of the weights.
    fn distance(self, key: &[u8]) -> f64 {
        let hash = xxh3_64_with_seed(key, self.seed);
        // Strictly between 0 and 1, with all the bits that an f64 holds.
        let uniform = ((hash >> 11) as f64 + 0.5) / (1_u64 << 53) as f64;
        -uniform.ln() / self.weight
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rendezvous(nodes: &[(&str, u32)]) -> Rendezvous {
        Rendezvous::new(nodes.iter().copied())
    }

    #[test]
    fn an_order_is_the_same_in_every_release() {
        let nodes = rendezvous(&[("n1", 1), ("n2", 1), ("n3", 2)]);
        assert_eq!(nodes.order(b"10.0.0.1"), [0, 2, 1]);
        assert_eq!(nodes.order(b""), [2, 1, 0]);
        assert!(rendezvous(&[]).order(b"a").is_empty());
    }

    #[test]
    fn keys_spread_by_weight() {
        let nodes = rendezvous(&[("n1", 1), ("n2", 1), ("n3", 2), ("n4", 0)]);
        let mut firsts = [0; 4];
        for key in 0..10_000_u32 {
            firsts[nodes.order(&key.to_be_bytes())[0]] += 1;
        }
        for (found, expected) in firsts.into_iter().zip([2000, 2000, 4000, 2000_i32]) {
            assert!((found - expected).abs() < 200, "{firsts:?}");
        }
    }

    proptest! {
        #[test]
        fn a_node_that_leaves_moves_only_its_own_keys(
            key in prop::collection::vec(any::<u8>(), 0..32),
            weights in prop::collection::vec(1..100_u32, 2..8),
            leaver in any::<prop::sample::Index>(),
        ) {
            let names: Vec<String> = (0..weights.len()).map(|index| format!("n{index}")).collect();
            let all = names.iter().map(String::as_str).zip(weights);
            let leaver = leaver.index(names.len());
            let rest = all.clone().filter(|(name, _)| *name != names[leaver]);

            let mut before = Rendezvous::new(all).order(&key);
            before.retain(|index| *index != leaver);
            let after = Rendezvous::new(rest).order(&key);
            let after: Vec<usize> =
                after.into_iter().map(|index| index + usize::from(index >= leaver)).collect();
            prop_assert_eq!(before, after);
        }
    }
}
