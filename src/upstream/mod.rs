//! Which node now, and a connection to it.
//!
//! A new session gets a [`Lease`] on the node that has least to do; a request of a session gets
//! one on the session's node, whatever is known against that node. The [`pool`] has connections.
//!
//! Runs for every request.

pub mod settings;
pub mod health;
mod node;
mod lease;
mod load;
mod reach;
mod balance;
pub(crate) mod rendezvous;
mod resolve;
mod connect;
pub mod pool;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

pub use connect::{ConnectError, connect};
pub use lease::Lease;
pub use node::Node;
pub use settings::{NodeAddress, NodeSettings, RendezvousKey, Settings};

use crate::Instant;
use balance::Candidate;

/// A named group of nodes.
#[derive(Debug)]
pub struct Upstream {
    name: Arc<str>,
    nodes: Box<[Arc<Node>]>,
    retired: Box<[Retired]>,
    connect_timeout: Duration,
}

/// A node that is no longer in the configuration. It gets no new session, and those that it has go
/// on there for a while.
#[derive(Clone, Debug)]
pub struct Retired {
    /// The node.
    pub node: Arc<Node>,
    /// When its sessions are given up.
    pub until: Instant,
}

/// There is no node left to try.
#[derive(Debug, thiserror::Error)]
#[error("all nodes of upstream {upstream} were tried")]
pub struct NoNode {
    /// The upstream's name.
    pub upstream: Arc<str>,
}

impl Upstream {
    /// The upstream of `settings`. What is known of a node is `carried` over from the node of the
    /// same name, if that is at the same address; its weight may be another. A node of `carried`
    /// that `settings` does not name is retired for [`RETIREMENT`].
    pub fn new(settings: &Settings, carried: Option<&Self>) -> Self {
        let node_of =
            |node: &NodeSettings| match carried.and_then(|upstream| upstream.known(&node.name)) {
                Some(carried) => Node::carried(node, carried),
                None => Arc::new(Node::new(node)),
            };
        Self {
            name: settings.name.clone(),
            nodes: settings.nodes.iter().map(node_of).collect(),
            retired: carried
                .map(|carried| carried.retire(settings, Instant::now()))
                .unwrap_or_default(),
            connect_timeout: settings.connect_timeout,
        }
    }

    /// Its key in the configuration.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// All its nodes, in the order of the configuration.
    pub fn nodes(&self) -> &[Arc<Node>] {
        &self.nodes
    }

    /// The nodes that have left, the last one first; their time may be over.
    pub fn retired(&self) -> &[Retired] {
        &self.retired
    }

    /// The node of that name.
    pub fn node(&self, name: &str) -> Option<&Arc<Node>> {
        self.nodes.iter().find(|node| **node.name() == *name)
    }

    /// How long a connection to one of its nodes may take.
    pub fn connect_timeout(&self) -> Duration {
        self.connect_timeout
    }

    /// A place for a new session: on the node with the least load for its weight, but on none of
    /// `tried`, and on one whose last connect failed only if nothing else is left.
    ///
    /// # Errors
    ///
    /// All nodes are in `tried`.
    pub fn lease(&self, tried: &[Arc<Node>], now: Instant) -> Result<Lease, NoNode> {
        let candidates = untried(&self.nodes, tried)
            .filter(|node| !node.is_avoided(now))
            .map(|node| Candidate { node, load: node.load().at(now), weight: node.weight() });
        let chosen = balance::least_loaded(candidates, |n| fastrand::u64(..n));
        self.lease_or_last_resort(chosen, tried)
    }

    /// A place for a new session where affinity has a preference: on the first node of `order`
    /// that is not in `tried` and whose last connect did not fail. If nothing else is left, as
    /// [`Upstream::lease`].
    ///
    /// # Errors
    ///
    /// All nodes are in `tried`.
    pub fn lease_preferred<'a>(
        &self,
        order: impl IntoIterator<Item = &'a Arc<Node>>,
        tried: &[Arc<Node>],
        now: Instant,
    ) -> Result<Lease, NoNode> {
        let chosen = untried(order, tried).find(|node| !node.is_avoided(now));
        self.lease_or_last_resort(chosen, tried)
    }

    /// A place for a request that is bound to `node`, one of this upstream's or a retired one: its session lives
    /// there and nowhere else, so that nothing known against the node counts.
    pub fn lease_on(&self, node: &Arc<Node>) -> Lease {
        debug_assert!(self.known(node.name()).is_some(), "{node:?} is not of {}", self.name);
        Lease::new(node.clone())
    }

    /// The node of that name, be it a retired one.
    fn known(&self, name: &str) -> Option<&Arc<Node>> {
        self.node(name).or_else(|| {
            let mut retired = self.retired.iter().map(|retired| &retired.node);
            retired.find(|node| **node.name() == *name)
        })
    }

    /// The retired nodes of the upstream that follows this one.
    fn retire(&self, next: &Settings, now: Instant) -> Box<[Retired]> {
        let fresh = self.nodes.iter().map(|node| {
            let until = now + RETIREMENT;
            Retired { node: node.clone(), until }
        });
        let earlier = self.retired.iter().filter(|retired| now < retired.until).cloned();
        let has_left =
            |retired: &Retired| !next.nodes.iter().any(|node| node.name == *retired.node.name());
        fresh.chain(earlier).filter(has_left).take(RETIRED_MAX).collect()
    }

    /// Never refuses while there is a node to try: of those that are avoided, the one that had the
    /// most time to come back.
    fn lease_or_last_resort(
        &self,
        chosen: Option<&Arc<Node>>,
        tried: &[Arc<Node>],
    ) -> Result<Lease, NoNode> {
        chosen
            .or_else(|| untried(&self.nodes, tried).min_by_key(|node| node.failed_at()))
            .map(|node| Lease::new(node.clone()))
            .ok_or_else(|| NoNode { upstream: self.name.clone() })
    }
}

fn untried<'a>(
    nodes: impl IntoIterator<Item = &'a Arc<Node>>,
    tried: &[Arc<Node>],
) -> impl Iterator<Item = &'a Arc<Node>> {
    let is_tried = |node: &Arc<Node>| tried.iter().any(|tried| Arc::ptr_eq(tried, node));
    nodes.into_iter().filter(move |node| !is_tried(node))
}

/// How long sessions on a node that left the configuration still reach it.
pub const RETIREMENT: Duration = Duration::from_mins(10);

/// Who changes more nodes within [`RETIREMENT`] loses the sessions of the first ones.
const RETIRED_MAX: usize = 1000;
