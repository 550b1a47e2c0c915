//! What the beginning of a session tells of the nodes where it was tried.
//!
//! Only handshakes are judged: a node that fails the requests of one session may be right to. A
//! handshake that a node breaks off and another one answers counts against the first. One that every
//! node breaks off says something of the request, not of the nodes: a client could take healthy
//! nodes out with it.
//!
//! Runs for every request.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;

use super::context::Exchange;
use super::error::{ExchangeError, Retry};
use crate::Instant;
use crate::upstream::Node;

/// A handshake until it is known how it went. Dropped before that, its client has left: the node
/// that was asked last is to blame if it had long enough.
#[derive(Debug)]
pub(super) struct HandshakeVerdict<'a> {
    /// `None` if the request opens no session.
    exchange: Option<&'a Exchange<'a>>,
    asked: Option<(Arc<Node>, Instant)>,
    /// Nodes that saw the handshake and broke it off.
    broke_off: Vec<Arc<Node>>,
    /// Whether a failed connect was counted, which is once for each request.
    unreachable: Vec<Arc<Node>>,
}

impl<'a> HandshakeVerdict<'a> {
    /// For a request that `opens_session`; any other is not judged.
    pub(super) fn new(exchange: &'a Exchange<'a>, opens_session: bool) -> Self {
        let exchange = opens_session.then_some(exchange);
        Self { exchange, asked: None, broke_off: Vec::new(), unreachable: Vec::new() }
    }

    /// `node` is asked now.
    pub(super) fn asks(&mut self, node: &Arc<Node>) {
        if self.exchange.is_some() {
            self.asked = Some((node.clone(), Instant::now()));
        }
    }

    /// The node that was asked has answered.
    pub(super) fn answered(&mut self, status: StatusCode) {
        let (Some(exchange), Some((node, _))) = (self.exchange, self.asked.take()) else { return };
        if status.is_server_error() {
            exchange.handshake_failed(&node);
            return;
        }
        exchange.route.upstream.handshake_succeeded(&node);
        let others = self.broke_off.drain(..).filter(|other| !Arc::ptr_eq(other, &node));
        others.for_each(|other| exchange.handshake_failed(&other));
    }

    /// There is no answer of the node's.
    pub(super) fn failed(&mut self, error: &ExchangeError) {
        let (Some(exchange), Some((node, _))) = (self.exchange, self.asked.take()) else { return };
        let facts = error.facts();
        // A name that does not resolve, or a lack of descriptors here, says nothing of the node.
        if let ExchangeError::Connect { source, .. } = error
            && !source.counts_against_node()
        {
            return;
        }
        match facts.retry {
            _ if !facts.against_node => (),
            Retry::Once if !is_among(&self.broke_off, &node) => self.broke_off.push(node),
            Retry::Unsent if !is_among(&self.unreachable, &node) => {
                exchange.handshake_failed(&node);
                self.unreachable.push(node);
            }
            Retry::Once | Retry::Unsent => (),
            // It is not tried elsewhere, so that there is nothing to compare it with.
            Retry::Never => exchange.handshake_failed(&node),
        }
    }
}

fn is_among(nodes: &[Arc<Node>], node: &Arc<Node>) -> bool {
    nodes.iter().any(|other| Arc::ptr_eq(other, node))
}

impl Drop for HandshakeVerdict<'_> {
    fn drop(&mut self) {
        let (Some(exchange), Some((node, since))) = (self.exchange, self.asked.take()) else {
            return;
        };
        if Instant::now().saturating_duration_since(since) >= PATIENCE {
            exchange.handshake_failed(&node);
        }
    }
}

impl Exchange<'_> {
    fn handshake_failed(&self, node: &Node) {
        self.route.upstream.handshake_failed(node, self.address, Instant::now());
    }
}

/// A node that is well answers a handshake within milliseconds, and clients give it up after 20 s:
/// of one that hangs there is no other sign.
const PATIENCE: Duration = Duration::from_secs(10);
