//! A request as it goes to a node, and whether it can go a second time.
//!
//! Its head is made into bytes once. The framing fields come from the body that is really sent.
//!
//! Runs for every request.

use std::mem;

use http::Method;

use super::ExchangeError;
use super::body::RequestBody;
use super::context::{Exchange, Request};
use super::gather::{self, Gathered};
use crate::upstream::pool::OutboundHead;

/// A request to a node.
#[derive(Debug)]
pub(super) struct Outbound {
    pub(super) head: OutboundHead,
    pub(super) body: RequestBody,
    /// The body, if it is in memory.
    gathered: Option<Gathered>,
    had_body: bool,
    is_safe: bool,
}

impl Outbound {
    /// Makes `request` ready to be sent, and leaves nothing of it.
    ///
    /// # Errors
    ///
    /// The client's body is too long or does not come.
    pub(super) async fn new(
        exchange: &Exchange<'_>,
        request: &mut Request,
        bytes_max: u64,
        gathered_max: usize,
    ) -> Result<Self, ExchangeError> {
        let (head, mut body) = mem::take(request).into_parts();
        if http_body::Body::size_hint(&body).lower() > bytes_max {
            return Err(ExchangeError::BodyTooLarge(bytes_max));
        }
        // A client that expects a 100 sends nothing before, and the node may refuse it.
        let gathered = match head.headers.contains_key(http::header::EXPECT) {
            true => None,
            false => {
                let patience = exchange.route.limits.request_body_timeout;
                let budget = &exchange.shared.budget;
                gather::gather(&mut body, budget, gathered_max, patience).await?
            }
        };
        if let Some(gathered) = &gathered {
            body = RequestBody::whole(gathered.bytes.clone());
        }
        let framing = body.framing();
        let had_body = !http_body::Body::is_end_stream(&body);
        let is_safe = matches!(head.method, Method::GET | Method::HEAD | Method::OPTIONS);
        let head = OutboundHead::new(&head.method, &head.uri, &head.headers, framing);
        Ok(Self { head, body, gathered, had_body, is_safe })
    }

    /// Whether it may be sent again although it may have reached a node, as far as that depends on
    /// what it is: it is safe (RFC 9110, section 9.2.1) and has no body.
    pub(super) fn may_be_resent(&self) -> bool {
        self.is_safe && !self.had_body
    }

    /// Whether the body can be made whole again.
    pub(super) fn may_be_restored(&self) -> bool {
        self.gathered.is_some() || !self.had_body
    }

    /// Makes the body whole again; false if that cannot be.
    pub(super) fn restore(&mut self) -> bool {
        if let Some(gathered) = &self.gathered {
            self.body = RequestBody::whole(gathered.bytes.clone());
        }
        self.may_be_restored()
    }
}
