//! A node's response on its way to the client.
//!
//! Runs for every request.

use std::sync::Arc;

use http::StatusCode;
use http::header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};

use super::access_log::LogEntry;
use super::body::{BodyGuard, ResponseBody};
use super::context::{Exchange, Response};
use super::outcome::NodeResponse;
use super::{headers, upgrade};
use crate::affinity::Placement;
use crate::insight::Observation;
use crate::upstream::Node;

impl Exchange<'_> {
    /// Passes on a response.
    pub(super) fn pass(&self, answer: NodeResponse, entry: &LogEntry) -> Response {
        let NodeResponse { mut head, read, rest, lease } = answer;
        self.count_answer(lease.node(), head.status, entry);
        headers::remove_hop_by_hop(&mut head.headers);
        let body = match rest {
            None => ResponseBody::whole(read),
            Some(rest) => {
                let silence_max = self.route.limits.response_body_timeout.max(
                    head.headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes),
                    head.headers.contains_key(CONTENT_LENGTH),
                );
                let guard = BodyGuard::new(lease, self.route.clone(), entry, silence_max);
                ResponseBody::node(read, rest, guard)
            }
        };
        Response::from_parts(head, body)
    }

    /// Passes on a response that is not the requested 101. The client's connection ends with it:
    /// WebSocket frames that the client sent ahead would be read as its next request.
    pub(super) fn pass_refused_upgrade(&self, answer: NodeResponse, entry: &LogEntry) -> Response {
        let cause = upgrade::refusal_cause(answer.status());
        self.route.counts.upgrades.count(["refused", cause]);
        self.observe(Observation::RefusedByNode(cause));
        let mut response = self.pass(answer, entry);
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        response
    }

    /// Logs and counts a node's response.
    pub(super) fn count_answer(&self, node: &Node, status: StatusCode, entry: &LogEntry) {
        entry.answered(node.name(), status);
        if self.purpose.opens_session() {
            self.shared.ended.tell_handshake(|| entry.answered_handshake(node.name(), status));
        }
        self.route.counts.answers.of(entry.protocol()).count(status);
        node.counts().answers.count(status);
    }

    /// Counts an upgrade, and the session that it opens.
    pub(super) fn count_switch(&self, node: &Node) {
        self.route.counts.upgrades.count(["switched", "none"]);
        if self.call.as_ref().is_some_and(|call| call.sid.is_none()) {
            node.counts().handshakes_by_websocket.inc();
        }
    }

    /// The cookie that names `node`, if the client needs one.
    pub(super) fn cookie(&self, named: &NamedNode, node: &Arc<Node>) -> Option<HeaderValue> {
        match named.is(node) {
            true => None,
            false => self.route.affinity.set_cookie(node, self.client.scheme),
        }
    }
}

/// The node that the request itself names: its client needs no new cookie.
#[derive(Debug)]
pub(super) struct NamedNode(Option<Arc<Node>>);

impl NamedNode {
    pub(super) fn new(placement: &Placement) -> Self {
        match placement {
            Placement::Bound { node, .. } => Self(Some(node.clone())),
            Placement::Preferred(order) => Self(order.first().cloned()),
            Placement::Anywhere | Placement::Gone { .. } | Placement::Unknown { .. } => Self(None),
        }
    }

    fn is(&self, node: &Arc<Node>) -> bool {
        self.0.as_ref().is_some_and(|known| Arc::ptr_eq(known, node))
    }
}
