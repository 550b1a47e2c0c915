//! The least loaded of many nodes, found without a look at each of them.
//!
//! A tree over the nodes: each vertex has the least load below it, and the weight of the nodes that have
//! it. Among equals each is as likely as its weight says, as in [`balance`](super::balance).
//!
//! Pure. Runs for every request.

use std::time::Duration;

use super::balance::Candidate;
use crate::Instant;

/// Nodes, known by their index, with their loads as of the last refresh.
#[derive(Debug, Default)]
pub(super) struct LoadIndex {
    /// The root at 1, the two below each vertex `v` at `2v` and `2v + 1`, the nodes in the second half.
    vertices: Vec<Vertex>,
    /// The weight of all nodes that get sessions.
    weight: u64,
    refreshed_at: Option<Instant>,
}

/// The least load for its weight below a vertex, and the weight of all that have it. The weight is zero if
/// there is no node.
#[derive(Clone, Copy, Debug)]
struct Vertex {
    load: f64,
    weight: u64,
}

const NO_NODE: Vertex = Vertex { load: f64::INFINITY, weight: 0 };

impl LoadIndex {
    /// For how long the loads of a refresh are used: loads that fade change by a hundredth meanwhile.
    pub(super) const REFRESH_EVERY: Duration = Duration::from_millis(50);

    /// Whether the loads have to be read again.
    pub(super) fn is_stale(&self, now: Instant) -> bool {
        self.refreshed_at.is_none_or(|at| now < at || now >= at + Self::REFRESH_EVERY)
    }

    /// Takes the loads of all nodes, in the order of their indexes; `None` for one that gets no session.
    pub(super) fn refresh(
        &mut self,
        nodes: impl ExactSizeIterator<Item = Option<Candidate<usize>>>,
        now: Instant,
    ) {
        let leaves = nodes.len().next_power_of_two();
        self.vertices.clear();
        self.vertices.resize(leaves, NO_NODE);
        self.vertices.extend(nodes.map(Vertex::new));
        self.vertices.resize(2 * leaves, NO_NODE);
        for vertex in (1..leaves).rev() {
            self.update(vertex);
        }
        let leaves = self.vertices.get(leaves..).unwrap_or_default();
        self.weight = leaves.iter().map(|leaf| leaf.weight).sum();
        self.refreshed_at = Some(now);
    }

    /// The weight of all nodes that got sessions at the last refresh.
    pub(super) fn weight(&self) -> u64 {
        self.weight
    }

    /// Replaces the load of the node `index`; `None` if it gets no session.
    pub(super) fn set(&mut self, index: usize, node: Option<Candidate<usize>>) {
        let mut vertex = self.vertices.len() / 2 + index;
        if let Some(leaf) = self.vertices.get_mut(vertex) {
            *leaf = Vertex::new(node);
        }
        while vertex > 1 {
            vertex /= 2;
            self.update(vertex);
        }
    }

    /// The load of the node `index` for its weight.
    pub(super) fn load(&self, index: usize) -> Option<f64> {
        Some(self.vertices.get(self.vertices.len() / 2 + index)?.load)
    }

    /// A node with the least load for its weight. `below(n)` gives a random number less than `n`.
    pub(super) fn least(&self, below: impl FnOnce(u64) -> u64) -> Option<usize> {
        let root = *self.vertices.get(1)?;
        let leaves = self.vertices.len() / 2;
        if root.weight == 0 {
            return None;
        }
        let (mut vertex, mut point) = (1, below(root.weight));
        while vertex < leaves {
            vertex *= 2;
            let left = self.vertices.get(vertex)?;
            match left.load == root.load {
                true if point < left.weight => (),
                true => {
                    point -= left.weight;
                    vertex += 1;
                }
                false => vertex += 1,
            }
        }
        Some(vertex - leaves)
    }

    fn update(&mut self, vertex: usize) {
        if let Some([left, right]) = self.vertices.get(2 * vertex..2 * vertex + 2) {
            self.vertices[vertex] = left.or_less(*right);
        }
    }
}

impl Vertex {
    fn new(node: Option<Candidate<usize>>) -> Self {
        // The division is exact enough: equal loads for their weights give equal quotients.
        node.map_or(NO_NODE, |node| Self {
            load: node.load / f64::from(node.weight),
            weight: node.weight.into(),
        })
    }

    fn or_less(self, other: Self) -> Self {
        if self.load == other.load {
            return Self { weight: self.weight + other.weight, ..self };
        }
        if self.load < other.load { self } else { other }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn candidate((load, weight): (f64, u32)) -> Candidate<usize> {
        Candidate { node: 0, load, weight }
    }

    fn index(nodes: &[Option<(f64, u32)>]) -> LoadIndex {
        let mut index = LoadIndex::default();
        index.refresh(nodes.iter().map(|node| node.map(candidate)), Instant::now());
        index
    }

    #[test]
    fn without_nodes_there_is_none() {
        assert_eq!(LoadIndex::default().least(|_| 0), None);
        assert_eq!(index(&[]).least(|_| 0), None);
        assert_eq!(index(&[None, None, None]).least(|_| 0), None);
    }

    #[test]
    fn loads_are_read_again_after_a_while() {
        let index = index(&[None]);
        let read = index.refreshed_at.unwrap();
        assert!(LoadIndex::default().is_stale(read));
        assert!(!index.is_stale(read));
        assert!(index.is_stale(read + LoadIndex::REFRESH_EVERY));
    }

    proptest! {
        #[test]
        fn it_finds_what_a_look_at_each_node_finds(
            nodes in prop::collection::vec(prop::option::of((0..4_u32, 1..4_u32)), 1..40),
            changes in prop::collection::vec((0..40_usize, prop::option::of((0..4_u32, 1..4_u32))), 0..20),
        ) {
            let mut nodes: Vec<_> = nodes.iter().map(|node| node.map(|(load, weight)| (f64::from(load), weight))).collect();
            let mut index = index(&nodes);
            for (at, change) in changes {
                let at = at % nodes.len();
                nodes[at] = change.map(|(load, weight)| (f64::from(load), weight));
                index.set(at, nodes[at].map(candidate));
            }
            let loads = || nodes.iter().flatten().map(|(load, weight)| load / f64::from(*weight));
            let least = loads().min_by(f64::total_cmp);
            // Each point of the weights laid end to end belongs to one node.
            let mut found = vec![0; nodes.len()];
            let mut total = 0;
            if index.least(|n| { total = n; 0 }).is_some() {
                for point in 0..total {
                    found[index.least(|_| point).unwrap()] += 1;
                }
            }
            let expected = nodes.iter().map(|node| node.map_or(0, |(load, weight)| {
                if Some(load / f64::from(weight)) == least { weight } else { 0 }
            }));
            prop_assert!(expected.eq(found), "{nodes:?}");
        }
    }
}
