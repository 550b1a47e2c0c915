//! The lease of a node, which counts in the node's load, exactly once, until it is dropped.
//!
//! Runs for every request.

use std::sync::Arc;

use super::node::Node;
use crate::Instant;

/// The use of a node for one exchange or one tunnel; returned on drop.
#[derive(Debug)]
#[must_use = "dropping it returns the lease"]
pub struct Lease {
    node: Arc<Node>,
    kind: LeaseKind,
}

/// What the lease is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LeaseKind {
    Exchange,
    Tunnel,
}

impl Lease {
    /// A lease for an exchange.
    pub(crate) fn new(node: Arc<Node>) -> Self {
        node.load().enter_exchange();
        Self { node, kind: LeaseKind::Exchange }
    }

    /// The leased node.
    pub fn node(&self) -> &Arc<Node> {
        &self.node
    }

    /// Counts it as a tunnel from now on.
    pub fn into_tunnel(mut self) -> Self {
        match self.kind {
            LeaseKind::Exchange => {
                self.node.load().enter_tunnel();
                self.node.load().leave_exchange();
                self.kind = LeaseKind::Tunnel;
            }
            LeaseKind::Tunnel => (),
        }
        self
    }

    /// Notes that the node answered an Engine.IO handshake: the new session counts in its load for some
    /// seconds, even if nothing of it is pending.
    pub fn handshake_answered(&self, now: Instant) {
        self.node.load().handshake_answered(now);
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        match self.kind {
            LeaseKind::Exchange => self.node.load().leave_exchange(),
            LeaseKind::Tunnel => self.node.load().leave_tunnel(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::node;
    use super::*;

    #[test]
    fn a_lease_is_counted_until_it_is_dropped() {
        let node = node("a");
        let first = Lease::new(node.clone());
        let second = Lease::new(node.clone());
        assert_eq!((node.exchanges(), node.tunnels()), (2, 0));
        drop(first);
        assert_eq!((node.exchanges(), node.tunnels()), (1, 0));
        drop(second);
        assert_eq!((node.exchanges(), node.tunnels()), (0, 0));
    }

    #[test]
    fn a_lease_that_becomes_a_tunnel_is_counted_once() {
        let node = node("a");
        let lease = Lease::new(node.clone()).into_tunnel();
        assert_eq!((node.exchanges(), node.tunnels()), (0, 1));
        let lease = lease.into_tunnel();
        assert_eq!((node.exchanges(), node.tunnels()), (0, 1));
        drop(lease);
        assert_eq!((node.exchanges(), node.tunnels()), (0, 0));
    }

    #[test]
    fn an_answered_handshake_weighs_on_after_the_exchange() {
        let node = node("a");
        let now = Instant::now();
        let lease = Lease::new(node.clone());
        lease.handshake_answered(now);
        drop(lease);
        assert!(node.load().at(now) > 0.9);
    }
}
