//! Which nodes an exchange may ask, one after the other.
//!
//! Runs for every request.

use std::sync::Arc;

use crate::Instant;
use crate::upstream::{Lease, Node, Upstream};

/// The nodes that may be asked, in order, each at most once.
#[derive(Debug)]
pub(super) struct Candidates<'a> {
    upstream: &'a Upstream,
    choice: Choice,
    tried: Vec<Arc<Node>>,
}

/// Where a request may go.
#[derive(Debug)]
enum Choice {
    /// To whichever node has room.
    Any,
    /// To the first of these that can take it.
    Preferred(Vec<Arc<Node>>),
    /// To this one alone: it has the session.
    Bound(Arc<Node>),
}

impl<'a> Candidates<'a> {
    /// Whichever node has room.
    pub(super) fn any(upstream: &'a Upstream) -> Self {
        Self { upstream, choice: Choice::Any, tried: Vec::new() }
    }

    /// The first of `order` that can take it, then the next.
    pub(super) fn preferred(upstream: &'a Upstream, order: Vec<Arc<Node>>) -> Self {
        Self { upstream, choice: Choice::Preferred(order), tried: Vec::new() }
    }

    /// `node` alone.
    pub(super) fn bound(upstream: &'a Upstream, node: Arc<Node>) -> Self {
        Self { upstream, choice: Choice::Bound(node), tried: Vec::new() }
    }

    /// A place on the next node; `None` when there is no other to ask.
    pub(super) fn next(&mut self, now: Instant) -> Option<Lease> {
        if self.tried.len() >= TRIES_MAX {
            return None;
        }
        let lease = match &self.choice {
            Choice::Any => self.upstream.lease(&self.tried, now).ok()?,
            Choice::Preferred(order) => {
                self.upstream.lease_preferred(order, &self.tried, now).ok()?
            }
            Choice::Bound(_) if !self.tried.is_empty() => return None,
            Choice::Bound(node) => self.upstream.lease_on(node),
        };
        self.tried.push(lease.node().clone());
        Some(lease)
    }
}

/// At most this many nodes are asked for one request: a request that fails on five nodes will
/// hardly be served by the sixth, and each try may cost a connect timeout.
const TRIES_MAX: usize = 5;
