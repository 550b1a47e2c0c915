//! A request on its way, after it is known where its session lives: asked of a node, and answered.
//!
//! Runs for every request.

use std::net::IpAddr;
use std::sync::Arc;

use http::header::{CONNECTION, HeaderValue, SET_COOKIE};
use http::{Method, StatusCode};

use super::access_log::Entry;
use super::body::Passage;
use super::candidates::{Candidates, Errand, Preference};
use super::forward::{self, Answer};
use super::switch::{self, ClientSide};
use super::upgrade::{self, Handshake, Outcome};
use super::{ExchangeError, Proxy, Request, Response, ResponseBody, handshake, headers, heal};
use crate::Instant;
use crate::affinity::Recall;
use crate::client::ClientInfo;
use crate::engineio::{Call, SessionBounds, Sid, Transport};
use crate::insight::Sight;
use crate::route::Route;
use crate::upstream::Node;

/// A request on its way: what every step needs to know.
#[derive(Debug)]
pub(super) struct Asking<'a> {
    pub(super) proxy: &'a Proxy,
    pub(super) route: Arc<Route>,
    pub(super) call: Option<Call>,
    pub(super) client: &'a ClientInfo,
    /// The client's address, after trusted proxies were believed.
    pub(super) address: IpAddr,
    /// The bounds of its session, if they are known.
    pub(super) bounds: Option<SessionBounds>,
    /// Whether a session would begin with it.
    pub(super) opens: bool,
    /// What `balance: rendezvous` goes by.
    pub(super) key: Option<Box<[u8]>>,
}

/// A WebSocket handshake, and the connection that asks for it.
pub(super) type Upgrade = (Handshake, ClientSide);

impl Asking<'_> {
    /// The session that asks, if it was opened before.
    pub(super) fn session(&self) -> Option<&Sid> {
        self.call.as_ref()?.sid.as_ref()
    }

    /// Tells of the request's session.
    pub(super) fn saw(&self, sight: Sight) {
        if let Some(sid) = self.session() {
            self.route.insight.saw(sid, sight, Instant::now());
        }
    }

    /// What an ordinary request shows of its session: nodes take what asks for a WebSocket by its
    /// query alone for a mistake.
    pub(super) fn sight(&self) -> Sight {
        match self.call.as_ref().map(|call| call.transport) {
            Some(Transport::WebSocket) => Sight::Stripped,
            Some(Transport::Polling | Transport::Other) | None => Sight::Polled,
        }
    }

    /// An ordinary request.
    pub(super) async fn forward(
        &mut self,
        request: &mut Request,
        recall: Recall,
        entry: &Entry,
    ) -> Result<Response, ExchangeError> {
        let opens = handshake::is_by_polling(request.method(), self.call.as_ref());
        if opens {
            handshake::ask_uncompressed(request);
        }
        let known = Known::of(&recall);
        let mut answer = match recall {
            Recall::Unknown { sid, order } => {
                Box::pin(heal::ask_around(self, (&sid, order), request)).await?
            }
            Recall::Anywhere
            | Recall::Preferred(_)
            | Recall::Bound { .. }
            | Recall::Gone { .. } => {
                let errand = match *request.method() {
                    Method::POST => Errand::Post,
                    _ => Errand::Other,
                };
                let mut candidates = self.candidates(recall, errand)?;
                let answer = forward::forward(self, request, &mut candidates).await?;
                self.route = candidates.into_route();
                answer
            }
        };
        if let Some(call) = self.call.as_ref().filter(|_| opens) {
            answer = Box::pin(handshake::remember(self, call, answer)).await?;
        }
        Ok(self.pass(answer, &known, entry))
    }

    /// A WebSocket handshake.
    pub(super) async fn upgrade(
        &mut self,
        (handshake, client_side): Upgrade,
        request: &mut Request,
        recall: Recall,
        entry: &Entry,
    ) -> Result<Response, ExchangeError> {
        let (mut head, _) = std::mem::take(request).into_parts();
        upgrade::put_upgrade(&mut head.headers);
        let known = Known::of(&recall);
        let outcome = match recall {
            Recall::Unknown { sid, order } => {
                heal::ask_around_for_upgrade(self, (&sid, order), &handshake, &head).await?
            }
            Recall::Anywhere
            | Recall::Preferred(_)
            | Recall::Bound { .. }
            | Recall::Gone { .. } => {
                let mut candidates = self.candidates(recall, Errand::Other)?;
                let outcome = upgrade::forward(self, &handshake, &head, &mut candidates).await?;
                self.route = candidates.into_route();
                outcome
            }
        };
        match outcome {
            Outcome::Switched(switched) => {
                let node = switched.lease.node().clone();
                self.answered(&node, switched.response.status(), entry);
                self.switched(&node);
                let mut response = switch::switch(self, client_side, switched, entry.for_tunnel());
                self.put_cookie(&mut response, &known, &node);
                Ok(response)
            }
            Outcome::Refused(answer) => {
                let cause = upgrade::refusal_cause(answer.head.status);
                self.route.counts.upgrades.count(["refused", cause]);
                self.saw(Sight::Refused(cause));
                let mut response = self.pass(answer, &known, entry);
                let close = HeaderValue::from_static("close");
                response.headers_mut().insert(CONNECTION, close);
                Ok(response)
            }
        }
    }

    /// The nodes that may be asked, as far as the affinity decides it.
    fn candidates(&mut self, recall: Recall, errand: Errand) -> Result<Candidates, ExchangeError> {
        let order = match recall {
            Recall::Anywhere | Recall::Unknown { .. } => Vec::new(),
            Recall::Preferred(order) => order,
            Recall::Bound { node, .. } => {
                return Ok(Candidates::bound(self.route.clone(), node, errand));
            }
            Recall::Gone { sid: _ } => return Err(ExchangeError::SessionGone),
        };
        let preference = Preference { order, key: self.key.take() };
        Ok(if self.opens {
            Candidates::opening(self.route.clone(), preference, self.proxy)
        } else {
            Candidates::any(self.route.clone(), preference)
        })
    }

    /// A node's answer, on its way to the client.
    fn pass(&self, answer: Answer, known: &Known, entry: &Entry) -> Response {
        let Answer { mut head, read, rest, lease } = answer;
        let node = lease.node().clone();
        self.answered(&node, head.status, entry);
        headers::remove_hop_by_hop(&mut head.headers);
        let body = match rest {
            None => ResponseBody::whole(read),
            Some(rest) => {
                let passage = Passage::new(lease, self.route.limits.body_timeout);
                ResponseBody::node(read, rest, passage)
            }
        };
        let mut response = Response::from_parts(head, body);
        self.put_cookie(&mut response, known, &node);
        response
    }

    /// Logs and counts what a node said.
    fn answered(&self, node: &Node, status: StatusCode, entry: &Entry) {
        entry.answered(node.name(), status);
        self.route.counts.answers.count(status);
        node.counts().answers.count(status);
    }

    /// Counts an upgrade, and the session that begins with it.
    fn switched(&self, node: &Node) {
        self.route.counts.upgrades.count(["switched", "none"]);
        if self.call.as_ref().is_some_and(|call| call.sid.is_none()) {
            node.counts().handshakes_by_websocket.inc();
        }
    }

    fn put_cookie(&self, response: &mut Response, known: &Known, node: &Arc<Node>) {
        if known.is(node) {
            return;
        }
        if let Some(cookie) = self.route.affinity.set_cookie(node, self.client.scheme) {
            response.headers_mut().append(SET_COOKIE, cookie);
        }
    }
}

/// The node that the request itself names: its client's cookie needs no renewal.
#[derive(Debug)]
struct Known(Option<Arc<Node>>);

impl Known {
    fn of(recall: &Recall) -> Self {
        match recall {
            Recall::Bound { node, .. } => Self(Some(node.clone())),
            Recall::Preferred(order) => Self(order.first().cloned()),
            Recall::Anywhere | Recall::Gone { .. } | Recall::Unknown { .. } => Self(None),
        }
    }

    fn is(&self, node: &Arc<Node>) -> bool {
        self.0.as_ref().is_some_and(|known| Arc::ptr_eq(known, node))
    }
}
