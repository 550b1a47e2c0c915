//! The body of a request to a node.
//!
//! Runs for every request.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Incoming;

use super::{BodyError, Polled};
use crate::http1::RequestFraming;
use crate::net::ClientBody;

/// The body of a request to a node; `None` if it is empty.
///
/// Boxed, because few requests have a body.
#[derive(Debug, Default)]
pub struct RequestBody(Option<Box<Kind>>);

#[derive(Debug)]
enum Kind {
    /// A body from our own listener, or from hyper's server.
    Streamed(ClientBody),
    /// A body from an embedder's server.
    Foreign(UnsyncBoxBody<Bytes, BodyError>),
    /// What was read of a body of unknown length, and the rest.
    Begun(Bytes, RequestBody),
}

impl RequestBody {
    /// No body.
    pub(in crate::exchange) const EMPTY: Self = Self(None);

    fn new(kind: Kind) -> Self {
        Self(Some(Box::new(kind)))
    }

    /// The same behind `begun`, which was read of it. Its length must not be known.
    pub(in crate::exchange) fn behind(self, begun: Bytes) -> Self {
        Self::new(Kind::Begun(begun, self))
    }

    /// Its framing on the connection to a node.
    pub(in crate::exchange) fn framing(&self) -> RequestFraming {
        match (&self.0, self.size_hint().exact()) {
            (None, _) => RequestFraming::None,
            (Some(_), Some(bytes)) => RequestFraming::Length(bytes),
            (Some(_), None) => RequestFraming::Chunked,
        }
    }

    /// Takes the body of any server: our listener's and hyper's unchanged, others boxed.
    pub(in crate::exchange) fn adopt<B>(body: B) -> Self
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BodyError>,
    {
        if body.is_end_stream() {
            return Self::EMPTY;
        }
        let mut body = Some(body);
        let slot: &mut dyn std::any::Any = &mut body;
        if let Some(body) = slot.downcast_mut::<Option<ClientBody>>().and_then(Option::take) {
            return Self::new(Kind::Streamed(body));
        }
        if let Some(incoming) = slot.downcast_mut::<Option<Incoming>>().and_then(Option::take) {
            return Self::new(Kind::Streamed(ClientBody::Http1(incoming)));
        }
        let body = body.expect("it was neither of them, so nobody took it");
        let body = UnsyncBoxBody::new(body.map_err(Into::into));
        Self::new(Kind::Foreign(body))
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Polled {
        let Some(kind) = self.0.as_deref_mut() else { return Poll::Ready(None) };
        match kind {
            Kind::Streamed(body) => Pin::new(body).poll_frame(cx),
            Kind::Foreign(body) => Pin::new(body).poll_frame(cx),
            Kind::Begun(begun, rest) if begun.is_empty() => Pin::new(rest).poll_frame(cx),
            Kind::Begun(begun, _) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(begun))))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self.0.as_deref() {
            None => true,
            Some(Kind::Streamed(body)) => body.is_end_stream(),
            Some(Kind::Foreign(body)) => body.is_end_stream(),
            Some(Kind::Begun(begun, rest)) => begun.is_empty() && rest.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self.0.as_deref() {
            None => SizeHint::with_exact(0),
            Some(Kind::Streamed(body)) => body.size_hint(),
            Some(Kind::Foreign(body)) => body.size_hint(),
            Some(Kind::Begun(begun, rest)) => {
                let mut hint = SizeHint::new();
                let begun = u64::try_from(begun.len()).unwrap_or(u64::MAX);
                hint.set_lower(rest.size_hint().lower().saturating_add(begun));
                hint
            }
        }
    }
}
