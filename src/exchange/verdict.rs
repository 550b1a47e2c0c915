//! What the handshake of a session shows about the nodes that were asked.
//!
//! Only handshakes are judged: a node may have a reason to fail the requests of one session. A
//! handshake that one node fails and another one answers counts against the first. If every node
//! that saw it fails it, the cause is the request and not the nodes: otherwise a client could eject
//! healthy nodes. A node that no connection can be made to has not seen the request.
//!
//! Runs for every request.

use std::sync::Arc;

use http::StatusCode;

use super::context::Exchange;
use super::error::{ExchangeError, Retry};
use crate::Instant;
use crate::upstream::Node;

/// A handshake whose result is not known yet. Dropped before, it says nothing: the client has left.
#[derive(Debug)]
pub(super) struct HandshakeVerdict<'a> {
    /// `None` if the request does not open a session.
    exchange: Option<&'a Exchange<'a>>,
    /// Nodes that saw the handshake and failed it.
    failed_on: Vec<Arc<Node>>,
    /// Nodes whose failed connect was counted, which happens once per request.
    unreachable: Vec<Arc<Node>>,
}

impl<'a> HandshakeVerdict<'a> {
    /// For a request that `opens_session`; others are not judged.
    pub(super) fn new(exchange: &'a Exchange<'a>, opens_session: bool) -> Self {
        let exchange = opens_session.then_some(exchange);
        Self { exchange, failed_on: Vec::new(), unreachable: Vec::new() }
    }

    /// `node` has answered.
    pub(super) fn answered(&mut self, node: &Arc<Node>, status: StatusCode) {
        let Some(exchange) = self.exchange else { return };
        if status.is_server_error() {
            return;
        }
        exchange.route.upstream.handshake_succeeded(node);
        let others = self.failed_on.drain(..).filter(|other| !Arc::ptr_eq(other, node));
        others.for_each(|other| exchange.handshake_failed(&other));
    }

    /// `node` has not answered.
    pub(super) fn failed(&mut self, node: &Arc<Node>, error: &ExchangeError) {
        let Some(exchange) = self.exchange else { return };
        let facts = error.facts();
        // A name that does not resolve, or a lack of descriptors here, says nothing about the node.
        if let ExchangeError::Connect { source, .. } = error
            && !source.counts_against_node()
        {
            return;
        }
        match facts.retry {
            _ if !facts.against_node => (),
            Retry::Once => self.note_failure(node),
            Retry::Unsent if !is_among(&self.unreachable, node) => {
                exchange.handshake_failed(node);
                self.unreachable.push(node.clone());
            }
            // It is not tried elsewhere, so there is nothing to compare it with.
            Retry::Unsent | Retry::Never => (),
        }
    }

    /// `node` has seen the handshake and failed it: this counts as soon as another one answers.
    pub(super) fn note_failure(&mut self, node: &Arc<Node>) {
        if !is_among(&self.failed_on, node) {
            self.failed_on.push(node.clone());
        }
    }

    /// Whether what `node` answered, a 5xx, is worth a comparison: it is not the first since the last
    /// success.
    pub(super) fn doubts(&self, node: &Node) -> bool {
        self.exchange.is_some_and(|exchange| exchange.route.upstream.doubts(node))
    }

    /// Another node failed the handshake, too.
    pub(super) fn clear_doubt(&self, node: &Node) {
        if let Some(exchange) = self.exchange {
            exchange.route.upstream.clear_doubt(node);
        }
    }
}

fn is_among(nodes: &[Arc<Node>], node: &Arc<Node>) -> bool {
    nodes.iter().any(|other| Arc::ptr_eq(other, node))
}

impl Exchange<'_> {
    fn handshake_failed(&self, node: &Node) {
        self.route.upstream.handshake_failed(node, self.address, Instant::now());
    }
}
