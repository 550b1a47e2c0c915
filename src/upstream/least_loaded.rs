//! The least loaded of many nodes, by an index: a look at each of 1,000 nodes would cost a handshake a
//! quarter of all that it costs.
//!
//! The index knows which nodes were open and how loaded they were at most [`LoadIndex::REFRESH_EVERY`] ago,
//! and each session that it gave to a node since then. A node is looked at before it is chosen, so that
//! none gets a session that it may not have.
//!
//! Runs for every request.

use std::sync::{Arc, Mutex, PoisonError};

use super::backups::Tier;
use super::balance::{self, Candidate};
use super::load_index::LoadIndex;
use super::{Node, Upstream};
use crate::Instant;

/// The index of an upstream's nodes.
#[derive(Debug, Default)]
pub(super) struct LeastLoaded(Mutex<Indexed>);

#[derive(Debug, Default)]
struct Indexed {
    loads: LoadIndex,
    /// The nodes that start slowly, which are not in the index.
    starting: Vec<usize>,
}

impl Upstream {
    /// The least loaded node of those of `tier` that `may` have a session. `None` if the index does not
    /// know: then each node is to be looked at.
    pub(super) fn least_of_many(
        &self,
        tier: Tier,
        now: Instant,
        may: impl Fn(&Node) -> bool,
    ) -> Option<&Arc<Node>> {
        if self.nodes.len() < MANY || tier == Tier::Backup {
            return None;
        }
        // A panic leaves wrong loads at worst, which the next refresh replaces.
        let mut indexed = self.least_loaded.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Indexed { loads, starting } = &mut *indexed;
        if loads.is_stale(now) {
            self.refresh(loads, starting, now);
        }
        if starting.len() > STARTING_MAX {
            return None;
        }
        let settled = self.least_settled(loads, now, &may)?;
        let starting = self.starting(starting, loads.weight(), now, &may);
        let chosen = balance::least_loaded(starting.chain([settled]), |n| fastrand::u64(..n))?;
        if chosen == settled.node {
            loads.set(chosen, Some(Candidate { load: settled.load + 1.0, ..settled }));
        }
        self.nodes.get(chosen)
    }

    /// Reads the loads of all nodes.
    fn refresh(&self, loads: &mut LoadIndex, starting: &mut Vec<usize>, now: Instant) {
        starting.clear();
        let nodes = self.nodes.iter().enumerate().map(|(index, node)| {
            if !Tier::Primary.has(node) || !self.is_open(node, now) {
                return None;
            }
            if self.allowed_share(node, now) < 1.0 {
                starting.push(index);
                return None;
            }
            Some(loaded(index, node, now))
        });
        loads.refresh(nodes, now);
    }

    /// The least loaded node of the index that `may` have a session.
    fn least_settled(
        &self,
        loads: &mut LoadIndex,
        now: Instant,
        may: impl Fn(&Node) -> bool,
    ) -> Option<Candidate<usize>> {
        for _ in 0..TRIES_MAX {
            let index = loads.least(|n| fastrand::u64(..n))?;
            let (node, known) = (self.nodes.get(index)?, loads.load(index)?);
            let found = may(node).then(|| loaded(index, node, now));
            // It may have sessions that it did not get from here.
            let is_least = |found: &Candidate<usize>| found.load / f64::from(found.weight) <= known;
            if found.as_ref().is_some_and(is_least) {
                return found;
            }
            loads.set(index, found);
        }
        None
    }

    /// The nodes of `starting` that may be chosen this time, with the probability of their share of new
    /// sessions, as in [`Upstream::choose`]; `settled` is the weight of all others.
    fn starting(
        &self,
        starting: &[usize],
        settled: u64,
        now: Instant,
        may: impl Fn(&Node) -> bool,
    ) -> impl Iterator<Item = Candidate<usize>> {
        let open = starting.iter().filter_map(|index| {
            let node = self.nodes.get(*index).filter(|node| may(node))?;
            Some((loaded(*index, node, now), self.allowed_share(node, now)))
        });
        let open: Vec<_> = open.collect();
        let weight = |(one, _): &(Candidate<usize>, f64)| f64::from(one.weight);
        let total = settled as f64 + open.iter().map(weight).sum::<f64>();
        let may_have = move |(one, share): (Candidate<usize>, f64)| {
            (fastrand::f64() * total < share * f64::from(one.weight)).then_some(one)
        };
        open.into_iter().filter_map(may_have)
    }
}

fn loaded(index: usize, node: &Node, now: Instant) -> Candidate<usize> {
    Candidate { node: index, load: node.load().at(now), weight: node.weight() }
}

/// With fewer nodes a look at each is as cheap, and exact.
const MANY: usize = 64;

/// If more start slowly, the index would save nothing.
const STARTING_MAX: usize = 16;

/// How many nodes of the index may turn out to be closed or more loaded.
const TRIES_MAX: usize = 16;

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::collections::HashSet;
    use std::time::Duration;

    use super::super::settings::{Balance, Settings};
    use super::super::tests::node_settings;
    use super::super::{AdmissionToken, DrainCause, Lease, NodePreference};
    use super::*;

    fn upstream(nodes: usize, carried: Option<&Upstream>) -> Upstream {
        let nodes = (0..nodes).map(|index| node_settings(&format!("n{index}"), 1)).collect();
        let balance = Balance::LeastConnections;
        Upstream::new(&Settings { balance, ..Settings::new("chat", nodes) }, carried)
    }

    fn admitted(upstream: &Upstream, now: Instant) -> Lease {
        let any = NodePreference::default();
        upstream.admit(&any, &[], AdmissionToken::Due, now).unwrap().into_tunnel()
    }

    #[test]
    fn each_of_many_nodes_gets_one_session_before_any_gets_two() {
        let upstream = upstream(300, None);
        let now = Instant::now();
        let mut tunnels = Vec::new();
        for sessions in 1..=3 {
            tunnels.extend((0..300).map(|_| admitted(&upstream, now)));
            assert!(upstream.nodes().iter().all(|node| node.tunnels() == sessions));
        }
    }

    #[test]
    fn a_node_that_drains_gets_none_at_once_and_one_that_returns_gets_some_soon() {
        let upstream = upstream(100, None);
        let now = Instant::now();
        drop(admitted(&upstream, now));
        for node in &upstream.nodes()[..90] {
            node.set_drain(DrainCause::Ordered, true, now);
        }
        let names = |now| -> HashSet<Arc<str>> {
            let tunnels: Vec<_> = (0..50).map(|_| admitted(&upstream, now)).collect();
            tunnels.iter().map(|lease| lease.node().name().clone()).collect()
        };
        let open: HashSet<_> =
            upstream.nodes()[90..].iter().map(|node| node.name().clone()).collect();
        assert_eq!(names(now), open);
        for node in &upstream.nodes()[..90] {
            node.set_drain(DrainCause::Ordered, false, now);
        }
        assert_eq!(names(now + Duration::from_secs(60)).len(), 50, "all are open and empty");
    }

    #[test]
    fn what_others_give_to_a_node_counts() {
        let upstream = upstream(100, None);
        let now = Instant::now();
        drop(admitted(&upstream, now));
        let others: Vec<_> = upstream.nodes()[1..]
            .iter()
            .map(|node| upstream.lease_on(node).into_tunnel())
            .collect();
        let later = now + LoadIndex::REFRESH_EVERY;
        assert_eq!(&**admitted(&upstream, later).node().name(), "n0");
        drop(others);
    }

    #[test]
    fn a_node_that_starts_among_many_gets_a_tenth_of_its_share() {
        let before = upstream(99, None);
        let now = Instant::now() + Duration::from_secs(60);
        let mut tunnels: Vec<_> = (0..990).map(|_| admitted(&before, now)).collect();
        let after = upstream(100, Some(&before));
        let new = after.node("n99").unwrap();
        new.availability().begin_slow_start(now);
        tunnels.extend((0..10_000).map(|_| admitted(&after, now)));
        // A thousandth of 10,000 are 10; of the load it would be 110.
        assert!((1..=30).contains(&new.tunnels()), "{}", new.tunnels());
    }

    #[test]
    fn a_session_among_a_thousand_nodes_needs_a_look_at_one() {
        let upstream = upstream(1000, None);
        let now = Instant::now();
        let looks = Cell::new(0);
        let may = |_: &Node| {
            looks.set(looks.get() + 1);
            true
        };
        let lease = |_| upstream.lease_on(upstream.least_of_many(Tier::Primary, now, may).unwrap());
        let _leases: Vec<_> = (0..1000).map(lease).collect();
        assert_eq!(looks.get(), 1000);
    }
}
