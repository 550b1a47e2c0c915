//! What goes to a client: an answer of ours, or a node's.
//!
//! Runs for every request.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, SizeHint};

use super::{BodyError, NodeBody, Polled, Stall, length, whole};
use crate::upstream::Lease;

/// What goes to a client: an answer of ours, or a node's.
#[derive(Debug)]
pub struct ResponseBody(Kind);

#[derive(Debug)]
enum Kind {
    Whole(Option<Bytes>),
    Node {
        /// What was read already.
        head: Option<Bytes>,
        rest: NodeBody,
        passage: Passage,
    },
}

/// What an answer under way holds: its place on the node, and its bound.
#[derive(Debug)]
pub(in crate::exchange) struct Passage {
    stall: Stall,
    _lease: Lease,
}

impl Passage {
    /// An answer from the node of `lease` that may make no progress for `stalled_after`.
    pub(in crate::exchange) fn new(lease: Lease, stalled_after: Duration) -> Self {
        Self { stall: Stall::after(stalled_after), _lease: lease }
    }
}

impl ResponseBody {
    /// A node's body, of which `head` was read already.
    pub(in crate::exchange) fn node(head: Bytes, rest: NodeBody, passage: Passage) -> Self {
        Self(Kind::Node { head: Some(head).filter(|head| !head.is_empty()), rest, passage })
    }

    /// A body that is known whole.
    pub(in crate::exchange) fn whole(bytes: impl Into<Bytes>) -> Self {
        Self(Kind::Whole(Some(bytes.into()).filter(|bytes: &Bytes| !bytes.is_empty())))
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Polled {
        match &mut self.0 {
            Kind::Whole(bytes) => Poll::Ready(whole(bytes)),
            Kind::Node { head, rest, passage } => {
                if let Some(frame) = whole(head) {
                    return Poll::Ready(Some(frame));
                }
                let Poll::Ready(frame) = Pin::new(rest).poll_frame(cx) else {
                    ready!(passage.stall.poll(cx));
                    return Poll::Ready(Some(Err("the node's body made no progress".into())));
                };
                passage.stall.progress();
                Poll::Ready(frame.map(|frame| frame.map_err(BodyError::from)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Whole(bytes) => bytes.is_none(),
            Kind::Node { head, rest, .. } => head.is_none() && rest.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Whole(bytes) => SizeHint::with_exact(length(bytes.as_ref())),
            Kind::Node { head, rest, .. } => {
                let (head, rest) = (length(head.as_ref()), rest.size_hint());
                let mut hint = SizeHint::new();
                hint.set_lower(rest.lower().saturating_add(head));
                if let Some(upper) = rest.upper() {
                    hint.set_upper(upper.saturating_add(head));
                }
                hint
            }
        }
    }
}
