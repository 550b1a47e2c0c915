//! Which node now, and a connection to it.
//!
//! A new session gets a [`Lease`] on the node that has least to do; a request of a session gets
//! one on the session's node, whatever is known against that node. The [`pool`] has connections.
//!
//! Runs for every request.

pub mod settings;
mod node;
mod lease;
mod load;
mod reach;
mod balance;
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
pub use settings::{NodeAddress, NodeSettings, Settings};

use crate::Instant;
use balance::Candidate;

/// A named group of nodes.
#[derive(Debug)]
pub struct Upstream {
    name: Arc<str>,
    nodes: Box<[Arc<Node>]>,
    connect_timeout: Duration,
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
    /// same name, if that is at the same address; its weight may be another.
    pub fn new(settings: &Settings, carried: Option<&Self>) -> Self {
        let node_of =
            |node: &NodeSettings| match carried.and_then(|upstream| upstream.node(&node.name)) {
                Some(carried) => Node::carried(node, carried),
                None => Arc::new(Node::new(node)),
            };
        Self {
            name: settings.name.clone(),
            nodes: settings.nodes.iter().map(node_of).collect(),
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

    /// A place for a request that is bound to `node`, one of this upstream's: its session lives
    /// there and nowhere else, so that nothing known against the node counts.
    pub fn lease_on(&self, node: &Arc<Node>) -> Lease {
        debug_assert!(self.node(node.name()).is_some(), "{node:?} is not of {}", self.name);
        Lease::new(node.clone())
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
