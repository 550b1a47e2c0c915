//! Applies the balance to an upstream's nodes: which one gets a new session.
//!
//! Runs for every request.

use std::sync::Arc;

use super::backups::Tier;
use super::balance::{self, Candidate};
use super::node::Node;
use super::settings::Balance;
use super::{NodePreference, Upstream};
use crate::Instant;

impl Upstream {
    /// The node that `preference` and the balance prefer, of those of `tier` that `may` have a session. The
    /// node that is preferred most need not be of `tier`: it is where the client is already.
    pub(super) fn choose(
        &self,
        (preference, tier): (&NodePreference, Tier),
        now: Instant,
        may: impl Fn(&Node) -> bool,
    ) -> Option<Arc<Node>> {
        let mut order = preference.order.iter().enumerate();
        let preferred = order.find(|(rank, node)| may(node) && (*rank == 0 || tier.has(node)));
        if let Some((_, node)) = preferred {
            return Some(node.clone());
        }
        let below = |n| fastrand::u64(..n);
        let open = self.nodes.iter().filter(|node| tier.has(node) && may(node));
        let loaded = |node: &'_ Arc<Node>| node.load().at(now);
        let chosen = match (&self.settings.balance, preference.key.as_deref()) {
            (Balance::RoundRobin, _) => {
                let candidates =
                    open.map(|node| Candidate { node, load: 0.0, weight: self.weight(node, now) });
                balance::next_in_round(candidates, |node| node.stride(), &self.shared.round)
            }
            (Balance::LeastConnections | Balance::LeastLag, _) | (Balance::Rendezvous(_), None) => {
                if let Some(node) = self.least_of_many(tier, now, &may) {
                    return Some(node.clone());
                }
                let open = open.map(|node| (node, loaded(node)));
                balance::least_loaded(self.candidates(open, now, fastrand::f64), below)
            }
            (Balance::RandomTwo, _) => {
                let candidates =
                    self.candidates(open.map(|node| (node, loaded(node))), now, fastrand::f64);
                balance::less_of_two(candidates.into_iter(), below)
            }
            (Balance::Rendezvous(_), Some(key)) => {
                let held = open.map(|node| (node, node.load().sessions_at(now)));
                let candidates = self.candidates(held, now, fastrand::f64);
                let place = |index: usize| {
                    let node = self.nodes.get(index)?;
                    candidates.iter().position(|candidate| Arc::ptr_eq(candidate.node, node))
                };
                let order = self.rendezvous.order(key).into_iter().filter_map(place);
                balance::first_within_bound(&candidates, order)
            }
        };
        chosen.cloned()
    }

    /// The nodes that a request may get, the most likely first, each with whether it is as likely as the
    /// first. Nothing is counted, and no turn is taken.
    pub(crate) fn outlook(
        &self,
        preference: &NodePreference,
        now: Instant,
    ) -> Vec<(Arc<Node>, bool)> {
        let mut order: Vec<Arc<Node>> = preference.order.clone();
        let (tier, first) = (self.tier(&[], now), preference.order.first());
        let is_there = |node: &Arc<Node>| first.is_some_and(|first| Arc::ptr_eq(first, node));
        let takes =
            |node: &Arc<Node>| self.is_open(node, now) && (tier.has(node) || is_there(node));
        let is_first_certain = order.iter().any(takes);
        let load = |node: &Node| node.load().at(now) / f64::from(node.weight());
        let mut rest: Vec<&Arc<Node>> =
            self.nodes.iter().filter(|node| !is_in(&preference.order, node)).collect();
        match (&self.settings.balance, preference.key.as_deref()) {
            (Balance::Rendezvous(_), Some(key)) => {
                let ranks = self.rendezvous.order(key);
                let rank = |node: &&Arc<Node>| {
                    let index = self.nodes.iter().position(|known| Arc::ptr_eq(known, node));
                    ranks.iter().position(|ranked| Some(*ranked) == index)
                };
                rest.sort_by_key(rank);
            }
            (Balance::LeastConnections | Balance::LeastLag, _) | (Balance::Rendezvous(_), None) => {
                rest.sort_by(|a, b| load(a).total_cmp(&load(b)));
            }
            (Balance::RoundRobin | Balance::RandomTwo, _) => (),
        }
        order.extend(rest.into_iter().cloned());
        // Those that take no session come last, in the same order.
        order.sort_by_key(|node| (!takes(node), !self.is_open(node, now)));
        let least = order.first().map(|node| load(node));
        let is_alike = |index: usize, node: &Arc<Node>| match &self.settings.balance {
            _ if !takes(node) => false,
            _ if is_first_certain => index == 0,
            Balance::Rendezvous(_) if preference.key.is_some() => index == 0,
            Balance::LeastConnections | Balance::LeastLag | Balance::Rendezvous(_) => {
                Some(load(node)) == least
            }
            Balance::RoundRobin | Balance::RandomTwo => true,
        };
        let alike: Vec<bool> =
            order.iter().enumerate().map(|(index, node)| is_alike(index, node)).collect();
        order.into_iter().zip(alike).collect()
    }

    /// These nodes with their loads, without some of those that get less than their share: one that starts
    /// slowly and is empty has the least load for a long time, and would get every new session although it
    /// should get few.
    ///
    /// Such a node is included with a probability of its share of new sessions, by weight, times how much of
    /// it it gets. If this holds for all nodes, those that get the most are always included.
    fn candidates<'a>(
        &self,
        nodes: impl Iterator<Item = (&'a Arc<Node>, f64)>,
        now: Instant,
        mut random: impl FnMut() -> f64,
    ) -> Vec<Candidate<&'a Arc<Node>>> {
        let candidate =
            |(node, load): (&'a Arc<Node>, f64)| Candidate { node, load, weight: node.weight() };
        let mut candidates: Vec<_> = nodes.map(candidate).collect();
        let shares: Vec<f64> =
            candidates.iter().map(|one| self.allowed_share(one.node, now)).collect();
        let most = shares.iter().copied().fold(0.0, f64::max);
        let weight: f64 = candidates.iter().map(|one| f64::from(one.weight)).sum();
        let mut shares = shares.into_iter();
        candidates.retain(|one| {
            let started = shares.next().unwrap_or(1.0) / most;
            started >= 1.0 || random() * weight < started * f64::from(one.weight)
        });
        candidates
    }

    /// Its weight in hundredths, lower while it starts slowly.
    pub(super) fn weight(&self, node: &Node, now: Instant) -> u32 {
        let hundredths = f64::from(node.weight()) * 100.0 * self.share(node, now);
        (hundredths as u32).max(1)
    }

    /// How much of its share `node` gets, by its slow start and its lag.
    pub(super) fn allowed_share(&self, node: &Node, now: Instant) -> f64 {
        let by_lag = match self.settings.balance {
            Balance::LeastLag => node.lag().summary(now).map_or(1.0, |lag| lag.share()),
            Balance::LeastConnections
            | Balance::RoundRobin
            | Balance::RandomTwo
            | Balance::Rendezvous(_) => 1.0,
        };
        self.share(node, now) * by_lag
    }

    /// How much of its share it gets in its slow start, from 0 to 1.
    pub(crate) fn share(&self, node: &Node, now: Instant) -> f64 {
        self.settings.slow_start.map_or(1.0, |slow| node.availability().share(slow, now))
    }
}

fn is_in(nodes: &[Arc<Node>], node: &Arc<Node>) -> bool {
    nodes.iter().any(|known| Arc::ptr_eq(known, node))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::settings::{NodeAddress, NodeSettings, RendezvousKey, Settings};
    use super::super::{AdmissionToken, Lease};
    use super::*;

    fn settings(balance: &Balance, names: &[&str]) -> Settings {
        let node =
            |name: &&str| NodeSettings::new(name, NodeAddress { host: (*name).into(), port: 3000 });
        let mut settings = Settings::new("chat", names.iter().map(node).collect());
        settings.balance = balance.clone();
        settings
    }

    #[test]
    fn a_node_that_starts_gets_a_tenth_of_its_share_of_new_sessions() {
        let by_key = Balance::Rendezvous(RendezvousKey::Address);
        for balance in [Balance::LeastConnections, Balance::RandomTwo, Balance::RoundRobin, by_key]
        {
            let before = Upstream::new(&settings(&balance, &["a", "b"]), None);
            let now = Instant::now() + Duration::from_secs(60);
            let lease =
                |upstream: &Upstream| upstream.lease(&NodePreference::default(), &[], now).unwrap();
            let mut tunnels: Vec<Lease> = (0..400).map(|_| lease(&before).into_tunnel()).collect();
            let after = Upstream::new(&settings(&balance, &["a", "b", "c"]), Some(&before));
            let c = after.node("c").unwrap();
            c.availability().begin_slow_start(now);
            tunnels.extend((0..600).map(|_| lease(&after).into_tunnel()));
            // A thirtieth of 600 are 20; of the load it would be 32 and at first all.
            assert!((5..=45).contains(&c.tunnels()), "{balance:?}: {}", c.tunnels());
        }
    }

    #[test]
    fn a_node_that_answers_late_gets_fewer_new_sessions_by_least_lag() {
        for (balance, expected) in
            [(Balance::LeastLag, 10..=120), (Balance::LeastConnections, 190..=210)]
        {
            let upstream = Upstream::new(&settings(&balance, &["a", "b", "c"]), None);
            let now = Instant::now() + Duration::from_secs(60);
            let lease = || upstream.lease(&NodePreference::default(), &[], now).unwrap();
            let [a, b, c] = upstream.nodes() else { panic!("three nodes") };
            for (node, late) in [(a, 2_000), (b, 3), (c, 40)] {
                node.lag().record(Duration::from_millis(1), now - Duration::from_secs(3));
                node.lag().record(Duration::from_millis(late), now - Duration::from_secs(1));
            }
            let tunnels: Vec<Lease> = (0..600).map(|_| lease().into_tunnel()).collect();
            assert!(expected.contains(&a.tunnels()), "{balance:?}: {}", a.tunnels());
            assert!(b.tunnels().abs_diff(c.tunnels()) <= 1, "both are well");
            drop(tunnels);
        }
    }

    #[test]
    fn if_all_nodes_start_slowly_the_first_take_all() {
        let upstream = Upstream::new(&settings(&Balance::LeastConnections, &["a", "b", "c"]), None);
        let now = Instant::now() + Duration::from_secs(60);
        let [a, b, c] = upstream.nodes() else { panic!("three nodes") };
        a.availability().begin_slow_start(now - Duration::from_secs(2));
        b.availability().begin_slow_start(now - Duration::from_secs(2));
        c.availability().begin_slow_start(now - Duration::from_secs(1));
        let candidates = |random: f64| {
            let nodes = upstream.nodes().iter().map(|node| (node, 0.0));
            let candidates = upstream.candidates(nodes, now, || random);
            candidates.iter().map(|one| &**one.node.name()).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(candidates(0.0), "a b c");
        assert_eq!(candidates(0.16), "a b c");
        assert_eq!(candidates(0.17), "a b", "half of a third");
    }

    #[test]
    fn a_client_that_returns_finds_its_node() {
        let balance = Balance::Rendezvous(RendezvousKey::Address);
        for clients in [1_u32, 3, 12, 60] {
            let upstream = Upstream::new(&settings(&balance, &["a", "b", "c"]), None);
            let begun = Instant::now();
            let connect = |client: u32, now| {
                let key = Some(client.to_be_bytes().into());
                let preference = NodePreference { order: Vec::new(), key };
                let lease = upstream.admit(&preference, &[], AdmissionToken::Due, now).unwrap();
                lease.handshake_answered(now);
                lease.into_tunnel()
            };
            let mut tunnels: Vec<Lease> =
                (0..clients).map(|client| connect(client, begun)).collect();
            for client in 0..clients {
                let now = begun + Duration::from_millis(3000 + 400 * u64::from(client));
                let former = tunnels[client as usize].node().clone();
                let next = match client % 2 {
                    // Its old connection is still there, or is not.
                    0 => connect(client, now),
                    _ => {
                        let placeholder = upstream.lease_on(&former);
                        drop(std::mem::replace(&mut tunnels[client as usize], placeholder));
                        connect(client, now)
                    }
                };
                assert!(Arc::ptr_eq(next.node(), &former), "client {client} of {clients}");
                tunnels[client as usize] = next;
            }
        }
    }
}
