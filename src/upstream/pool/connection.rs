//! One HTTP/1.1 connection to a node, the request on it and the answer.
//!
//! A connection serves one exchange at a time and closes when what holds it is dropped: a client
//! that goes away ends its poll at the node.
//!
//! Runs for every request.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use pin_project_lite::pin_project;
use tokio::net::TcpStream;

use super::Pool;
use crate::drain::Tasks;
use crate::upstream::connect::{ConnectError, connect};
use crate::upstream::node::Node;

/// A connection that is ready for a request.
pub struct Connection<B> {
    node: Arc<Node>,
    /// Dropped, it ends the connection's task: at once if nothing is under way, else when that has
    /// come to its end or nobody waits for it any more.
    sender: SendRequest<B>,
    /// Where it goes afterwards; nowhere if an upgrade was asked for.
    pool: Weak<Pool<B>>,
}

/// Why there is no answer.
#[derive(thiserror::Error)]
pub enum SendError<B> {
    /// The connection was closed before a byte of the request left: it may be sent again,
    /// whatever it is.
    #[error("the connection was closed before the request was sent")]
    Unsent {
        /// The request, untouched.
        request: Box<Request<B>>,
        /// What hyper says.
        source: hyper::Error,
    },
    /// The node may have got the request, or a part of it.
    #[error("the connection was lost before the answer came")]
    Lost {
        /// What hyper says.
        source: hyper::Error,
    },
}

impl<B> Connection<B>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    /// Sends `request`, which has a `Host` and a target in origin form, and waits for the head of
    /// the answer. There is no deadline but the caller's; if the future is dropped, the
    /// connection closes.
    ///
    /// If the node answers before it has the whole request, the rest still goes to it: the body
    /// needs a deadline of its own.
    ///
    /// # Errors
    ///
    /// The connection broke, or the node's answer is no HTTP/1.1.
    pub fn send(
        mut self,
        request: Request<B>,
    ) -> impl Future<Output = Result<Response<Answer<B>>, SendError<B>>> {
        let sent = self.sender.try_send_request(request);
        Sending { sent, connection: Some(self) }
    }

    /// Connects; afterwards the connection goes to `pool`.
    pub(super) async fn open(
        node: &Arc<Node>,
        timeout: Duration,
        tasks: &Tasks,
        pool: Weak<Pool<B>>,
    ) -> Result<Self, ConnectError> {
        let (sender, connection) = shake_hands(node, timeout).await?;
        tasks.spawn(run(connection, node.name().clone()));
        Ok(Self::new(node.clone(), sender, pool))
    }
}

pin_project! {
    /// A request on its way, until the head of its answer has come. An async function would have
    /// room for the request twice, as long as a poll is pending.
    struct Sending<F, B> {
        #[pin]
        sent: F,
        connection: Option<Connection<B>>,
    }
}

impl<F, B> Future for Sending<F, B>
where
    F: Future<Output = Result<Response<Incoming>, TrySendError<Request<B>>>>,
{
    type Output = Result<Response<Answer<B>>, SendError<B>>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let sending = self.project();
        let response = ready!(sending.sent.poll(context)).map_err(SendError::of)?;
        let connection = sending.connection.take();
        Poll::Ready(Ok(response.map(|body| Answer { body, is_whole: false, connection })))
    }
}

impl<B> SendError<B> {
    pub(super) fn of(mut error: TrySendError<Request<B>>) -> Self {
        match error.take_message() {
            Some(request) => {
                Self::Unsent { request: Box::new(request), source: error.into_error() }
            }
            None => Self::Lost { source: error.into_error() },
        }
    }
}

impl<B> Connection<B> {
    pub(super) fn new(node: Arc<Node>, sender: SendRequest<B>, pool: Weak<Pool<B>>) -> Self {
        Self { node, sender, pool }
    }

    /// To which node it leads.
    pub fn node(&self) -> &Arc<Node> {
        &self.node
    }

    /// Whether a request could be sent at once: the node did not close, and both the last request
    /// and its answer are done with.
    pub(super) fn is_ready(&self) -> bool {
        self.sender.is_ready()
    }
}

/// The body of a node's answer. Dropped when whole, it puts its connection back into the pool;
/// dropped before, it closes the connection.
pub struct Answer<B> {
    body: Incoming,
    /// The end was seen, where [`Body::is_end_stream`] cannot tell: it never does of a chunked
    /// body.
    is_whole: bool,
    connection: Option<Connection<B>>,
}

impl<B> Answer<B> {
    /// `body` as it comes over `connection`.
    pub(super) fn new(body: Incoming, connection: Connection<B>) -> Self {
        Self { body, is_whole: false, connection: Some(connection) }
    }
}

impl<B> Body for Answer<B> {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let this = self.get_mut();
        let frame = Pin::new(&mut this.body).poll_frame(context);
        match &frame {
            Poll::Ready(None) => this.is_whole = true,
            // Nothing comes after trailers, and not every reader asks.
            Poll::Ready(Some(Ok(frame))) => this.is_whole = frame.is_trailers(),
            Poll::Ready(Some(Err(_))) | Poll::Pending => (),
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl<B> Drop for Answer<B> {
    fn drop(&mut self) {
        let is_whole = self.is_whole || self.body.is_end_stream();
        let Some(connection) = self.connection.take_if(|_| is_whole) else { return };
        if let Some(pool) = connection.pool.upgrade() {
            pool.put(connection);
        }
    }
}

impl<B> fmt::Debug for Connection<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("node", self.node.name()).finish_non_exhaustive()
    }
}

impl<B> fmt::Debug for Answer<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer").field("body", &self.body).finish_non_exhaustive()
    }
}

// Derived, it would ask for bodies that can be printed.
impl<B> fmt::Debug for SendError<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unsent { source, .. } => f.debug_tuple("Unsent").field(source).finish(),
            Self::Lost { source } => f.debug_tuple("Lost").field(source).finish(),
        }
    }
}

/// Moves the bytes of one connection of hyper's until it ends.
pub(super) fn run<F>(connection: F, node: Arc<str>) -> Run<F> {
    Run { connection, node }
}

pin_project! {
    /// The future of [`run`]. An async function would have room for the connection twice.
    pub(super) struct Run<F> {
        #[pin]
        connection: F,
        node: Arc<str>,
    }
}

impl<F: Future<Output = hyper::Result<()>>> Future for Run<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let run = self.project();
        if let Err(error) = ready!(run.connection.poll(context)) {
            tracing::debug!(node = %run.node, %error, "connection to node broke");
        }
        Poll::Ready(())
    }
}

/// A TCP connection, given to hyper.
pub(super) async fn shake_hands<B>(
    node: &Node,
    timeout: Duration,
) -> Result<(SendRequest<B>, HyperConnection<B>), ConnectError>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let stream = connect(node, timeout).await?;
    let shaken =
        http1::Builder::new().max_buf_size(BUFFER_BYTES_MAX).handshake(TokioIo::new(stream)).await;
    // Hyper's HTTP/1 has nothing to say to the node before a request, so that this cannot fail
    // but for a change in hyper.
    shaken.map_err(|error| ConnectError::Io {
        node: node.name().clone(),
        source: io::Error::other(error),
    })
}

pub(super) type HyperConnection<B> = http1::Connection<TokioIo<TcpStream>, B>;

/// The longest head of an answer, and the most of a body that waits in a connection.
const BUFFER_BYTES_MAX: usize = 64 * 1024;
