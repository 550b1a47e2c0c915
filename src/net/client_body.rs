//! The body of a client's request, whatever HTTP it came by.
//!
//! Runs for every byte.

use std::error::Error;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::RecvStream;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

/// The body of a request from our own listener.
#[derive(Debug)]
pub(crate) enum ClientBody {
    /// None.
    Empty,
    /// From hyper.
    Http1(Incoming),
    /// From a stream of an HTTP/2 connection.
    Http2(Http2Body),
}

/// The body of a request over HTTP/2. Its trailers are discarded, like those over HTTP/1.1.
#[derive(Debug)]
pub(crate) struct Http2Body {
    stream: RecvStream,
    /// The bytes to come, if the head declared them. h2 checks that they come.
    remaining: Option<u64>,
    /// Set when the body is awaited, for a client that expects a 100 before it.
    awaited: Option<Awaited>,
}

/// Whether a body is awaited. Clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Awaited(Arc<AtomicBool>);

impl Awaited {
    /// Whether it was set since the last call.
    pub(crate) fn take(&self) -> bool {
        self.0.swap(false, Relaxed)
    }
}

impl Http2Body {
    /// The body that comes on `stream`, with `length` bytes if that was declared. `awaited` is set when
    /// it is first polled.
    pub(crate) fn new(stream: RecvStream, length: Option<u64>, awaited: Option<Awaited>) -> Self {
        Self { stream, remaining: length, awaited }
    }
}

type BodyError = Box<dyn Error + Send + Sync>;
type Polled = Poll<Option<Result<Frame<Bytes>, BodyError>>>;

impl Body for Http2Body {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Polled {
        if let Some(Awaited(awaited)) = self.awaited.take() {
            awaited.store(true, Relaxed);
        }
        let Some(bytes) = ready!(self.stream.poll_data(cx)) else { return Poll::Ready(None) };
        let bytes = bytes?;
        // Fails only if the stream is over: then no window matters.
        let _ = self.stream.flow_control().release_capacity(bytes.len());
        self.remaining = self.remaining.map(|left| left.saturating_sub(bytes.len() as u64));
        Poll::Ready(Some(Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.stream.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.remaining.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

impl Body for ClientBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Polled {
        match self.get_mut() {
            Self::Empty => Poll::Ready(None),
            Self::Http1(body) => Pin::new(body).poll_frame(cx).map_err(BodyError::from),
            Self::Http2(body) => Pin::new(body).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Http1(body) => body.is_end_stream(),
            Self::Http2(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Http1(body) => body.size_hint(),
            Self::Http2(body) => body.size_hint(),
        }
    }
}
