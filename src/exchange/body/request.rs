//! What a client sends to a node, and what becomes of it.
//!
//! Runs for every request.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, SizeHint};
use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Incoming;
use tokio::sync::Notify;

use super::{BodyError, Polled, Stall, length, whole};
use crate::exchange::ExchangeError;
use crate::route;

/// What a client sends to a node; `None` if that is nothing.
///
/// In a box, for few requests have a body, and each connection to a node has room for 32 requests:
/// hyper's channel takes them in blocks of so many.
#[derive(Debug, Default)]
pub struct RequestBody(Option<Box<Kind>>);

#[derive(Debug)]
enum Kind {
    /// A body that was read before, so that it can be sent again.
    Whole(Option<Bytes>),
    /// A body from hyper's own server.
    Streamed(Incoming, Watched),
    /// A body from an embedder's server.
    Foreign(UnsyncBoxBody<Bytes, BodyError>, Watched),
}

impl RequestBody {
    /// Nothing.
    pub(in crate::exchange) const EMPTY: Self = Self(None);

    fn of(kind: Kind) -> Self {
        Self(Some(Box::new(kind)))
    }

    /// Takes over the body of any server: hyper's own as it is, others boxed.
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
        if let Some(incoming) = slot.downcast_mut::<Option<Incoming>>().and_then(Option::take) {
            return Self::of(Kind::Streamed(incoming, Watched::unbounded()));
        }
        let body = body.expect("it was not an Incoming, so nobody took it");
        let body = UnsyncBoxBody::new(body.map_err(Into::into));
        Self::of(Kind::Foreign(body, Watched::unbounded()))
    }

    /// A body that is known whole.
    pub(in crate::exchange) fn whole(bytes: Bytes) -> Self {
        if bytes.is_empty() { Self::EMPTY } else { Self::of(Kind::Whole(Some(bytes))) }
    }

    /// Sets how long the body may be (`None`: any length) and how long it may make no progress,
    /// and gives what tells of its end; `None` if there is no body to wait for.
    pub(in crate::exchange) fn bound(
        &mut self,
        bytes_max: Option<u64>,
        stalled_after: Duration,
    ) -> Option<Arc<Upload>> {
        match self.0.as_deref_mut()? {
            Kind::Whole(_) => None,
            Kind::Streamed(_, watched) | Kind::Foreign(_, watched) => {
                watched.bytes_left = bytes_max.unwrap_or(u64::MAX);
                watched.stall = Stall::after(stalled_after);
                Some(watched.upload.clone())
            }
        }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Polled {
        let Some(kind) = self.0.as_deref_mut() else { return Poll::Ready(None) };
        match kind {
            Kind::Whole(bytes) => Poll::Ready(whole(bytes)),
            Kind::Streamed(body, watched) => {
                let polled = Pin::new(body).poll_frame(cx).map_err(BodyError::from);
                watched.poll(cx, polled)
            }
            Kind::Foreign(body, watched) => {
                let polled = Pin::new(body).poll_frame(cx);
                watched.poll(cx, polled)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self.0.as_deref() {
            None => true,
            Some(Kind::Whole(bytes)) => bytes.is_none(),
            Some(Kind::Streamed(body, _)) => body.is_end_stream(),
            Some(Kind::Foreign(body, _)) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self.0.as_deref() {
            None => SizeHint::with_exact(0),
            Some(Kind::Whole(bytes)) => SizeHint::with_exact(length(bytes.as_ref())),
            Some(Kind::Streamed(body, _)) => body.size_hint(),
            Some(Kind::Foreign(body, _)) => body.size_hint(),
        }
    }
}

/// Bounds on a body from a client, and what became of it.
#[derive(Debug)]
struct Watched {
    upload: Arc<Upload>,
    bytes_left: u64,
    stall: Stall,
}

impl Watched {
    /// No bounds yet: they come with the route, see [`RequestBody::bound`].
    fn unbounded() -> Self {
        Self { upload: Arc::default(), bytes_left: u64::MAX, stall: Stall::after(Duration::MAX) }
    }

    fn poll(&mut self, cx: &mut Context<'_>, polled: Polled) -> Polled {
        let Poll::Ready(frame) = polled else {
            ready!(self.stall.poll(cx));
            return self.fail(Fate::Stalled);
        };
        self.stall.progress();
        match frame {
            None => self.upload.ended(),
            Some(Err(_)) => self.upload.0.set(Fate::BrokenOff),
            Some(Ok(ref frame)) => {
                let bytes = frame.data_ref().map_or(0, Bytes::len) as u64;
                match self.bytes_left.checked_sub(bytes) {
                    Some(left) => self.bytes_left = left,
                    None => return self.fail(Fate::TooLarge),
                }
            }
        }
        Poll::Ready(frame)
    }

    fn fail(&self, fate: Fate) -> Polled {
        self.upload.0.set(fate);
        Poll::Ready(Some(Err(format!("the request's body is {fate:?}").into())))
    }
}

/// What became of a request's body; shared by the body and the exchange that waits for an answer.
#[derive(Debug, Default)]
pub(in crate::exchange) struct Upload(State, Notify);

#[derive(Debug, Default)]
struct State(AtomicU8);

/// How far a request's body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Flowing,
    Ended,
    Stalled,
    TooLarge,
    BrokenOff,
}

impl State {
    fn set(&self, fate: Fate) {
        self.0.store(fate as u8, Ordering::Release);
    }

    fn fate(&self) -> Fate {
        let all = [Fate::Flowing, Fate::Ended, Fate::Stalled, Fate::TooLarge, Fate::BrokenOff];
        let stored = self.0.load(Ordering::Acquire);
        all.into_iter().find(|fate| *fate as u8 == stored).unwrap_or(Fate::Flowing)
    }
}

impl Upload {
    fn ended(&self) {
        self.0.set(Fate::Ended);
        self.1.notify_one();
    }

    /// Waits for the end of the body. Only the exchange waits, so one notice suffices.
    pub(in crate::exchange) async fn has_ended(&self) {
        while self.0.fate() != Fate::Ended {
            self.1.notified().await;
        }
    }

    /// What failed, if the body is the reason that an exchange failed.
    pub(in crate::exchange) fn failure(
        &self,
        limits: &route::Limits,
        max: u64,
    ) -> Option<ExchangeError> {
        match self.0.fate() {
            Fate::Flowing | Fate::Ended => None,
            Fate::Stalled => Some(ExchangeError::BodyStalled(limits.body_timeout)),
            Fate::TooLarge => Some(ExchangeError::BodyTooLarge(max)),
            Fate::BrokenOff => Some(ExchangeError::ClientGone),
        }
    }
}
