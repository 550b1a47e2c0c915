//! A request as it is sent to a node, and whether it can be sent a second time.
//!
//! Its head is written as bytes once. The framing fields come from the body that is actually sent.
//!
//! Runs for every request.

use std::mem;

use http::header::{EXPECT, HeaderValue};
use http::{Method, Version};

use super::body::RequestBody;
use super::buffered_body::{self, BufferedBody, Buffering};
use super::context::{Exchange, Request};
use super::error::ExchangeError;
use super::node_fields::NodeFields;
use super::target;
use crate::affinity::Placement;
use crate::http1::RequestFraming;
use crate::pool::OutboundHead;

/// A request to a node.
#[derive(Debug)]
pub(super) struct Outbound {
    pub(super) head: OutboundHead,
    /// The body, unless it is in memory and is sent with the head.
    pub(super) body: RequestBody,
    buffered: Option<BufferedBody>,
    had_body: bool,
    is_safe: bool,
}

impl Outbound {
    /// Takes `request` and makes it ready to be sent. Our tag is removed from its sid.
    ///
    /// # Errors
    ///
    /// The client's body is too long or does not arrive.
    pub(super) async fn new(
        exchange: &Exchange<'_>,
        request: &mut Request,
        host: &str,
        placement: &Placement,
        request_id: &HeaderValue,
    ) -> Result<Self, ExchangeError> {
        let small = Buffering::Declared(buffered_body::BYTES_MAX);
        let (untagged, buffering) = match placement {
            Placement::Bound { sid, .. } => (sid.as_ref(), small),
            // Otherwise only one node could be asked.
            Placement::Unknown { .. } => (None, Buffering::All(buffered_body::SEARCH_BYTES_MAX)),
            Placement::Anywhere | Placement::Preferred(_) | Placement::Gone { .. } => (None, small),
        };
        let bytes_max = exchange.body_bytes_max();
        let (head, mut body) = mem::take(request).into_parts();
        if http_body::Body::size_hint(&body).lower() > bytes_max {
            return Err(ExchangeError::BodyTooLarge(bytes_max));
        }
        // A client that expects a 100 sends nothing before it, and the node may refuse.
        // An HTTP/1.0 client does not know 100 and does not wait for it (RFC 9110, section 10.1.1).
        let expect = head.headers.get(EXPECT).filter(|_| head.version != Version::HTTP_10);
        let buffered = match expect.is_some() {
            true => None,
            false => {
                let stalled_after = exchange.route.limits.request_body_timeout;
                let budget = &exchange.shared.budget;
                buffered_body::read(&mut body, budget, buffering, stalled_after).await?
            }
        };
        let framing = match &buffered {
            Some(buffered) => RequestFraming::Length(buffered.bytes.len() as u64),
            None => body.framing(),
        };
        let had_body = buffered.is_some() || !http_body::Body::is_end_stream(&body);
        let is_safe = matches!(head.method, Method::GET | Method::HEAD | Method::OPTIONS);
        let target = target::for_node(&head.uri, untagged, exchange.route.rewrite.as_deref());
        let asked = (&head.uri, &head.headers);
        let fields = NodeFields::new(exchange.sender(), asked, expect, (host, request_id));
        let mut head = OutboundHead::new(&head.method, &target, fields.iter(), framing);
        if expect.is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue")) {
            head = head.expecting_continue();
        }
        if let Some(buffered) = &buffered {
            (head, body) = (head.with_body(buffered.bytes.clone()), RequestBody::EMPTY);
        }
        Ok(Self { head, body, buffered, had_body, is_safe })
    }

    /// Whether it may be sent again although it may have reached a node: it is safe (RFC 9110,
    /// section 9.2.1) and has no body.
    pub(super) fn may_be_resent(&self) -> bool {
        self.is_safe && !self.had_body
    }

    /// The same for a second node. Only for a request that had no body.
    pub(super) fn again(&self) -> Self {
        debug_assert!(!self.had_body, "a body is sent once");
        let (head, body) = (self.head.clone(), RequestBody::EMPTY);
        Self { head, body, buffered: None, had_body: self.had_body, is_safe: self.is_safe }
    }

    /// Whether it is still complete after it was sent.
    pub(super) fn is_whole(&self) -> bool {
        self.buffered.is_some() || !self.had_body
    }
}
