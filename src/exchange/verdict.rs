//! What the handshake of a session shows about the nodes that were asked.
//!
//! Only handshakes are judged: a node may have a reason to fail the requests of one session. A
//! handshake that one node breaks off and another one answers counts against the first. If every
//! node breaks it off, the cause is the request and not the nodes: otherwise a client could eject
//! healthy nodes.
//!
//! Runs for every request.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;

use super::context::Exchange;
use super::error::{ExchangeError, Retry};
use crate::Instant;
use crate::upstream::Node;

/// A handshake whose result is not known yet. If this is dropped before, the client has left: the
/// last node is to blame if it had enough time.
#[derive(Debug)]
pub(super) struct HandshakeVerdict<'a> {
    /// `None` if the request does not open a session.
    exchange: Option<&'a Exchange<'a>>,
    asked: Option<(Arc<Node>, Instant)>,
    /// Nodes that saw the handshake and broke it off.
    broke_off: Vec<Arc<Node>>,
    /// Nodes whose failed connect was counted, which happens once per request.
    unreachable: Vec<Arc<Node>>,
}

impl<'a> HandshakeVerdict<'a> {
    /// For a request that `opens_session`; others are not judged.
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

    /// The node that was asked has not answered.
    pub(super) fn failed(&mut self, error: &ExchangeError) {
        let (Some(exchange), Some((node, _))) = (self.exchange, self.asked.take()) else { return };
        let facts = error.facts();
        // A name that does not resolve, or a lack of descriptors here, says nothing about the node.
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
            // It is not tried elsewhere, so there is nothing to compare it with.
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
        if Instant::now().saturating_duration_since(since) >= HANDSHAKE_TIMEOUT {
            exchange.handshake_failed(&node);
        }
    }
}

impl Exchange<'_> {
    fn handshake_failed(&self, node: &Node) {
        self.route.upstream.handshake_failed(node, self.address, Instant::now());
    }
}

/// A healthy node answers a handshake within milliseconds, and clients give up after 20 s: there is
/// no other sign of a node that hangs.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
