//! A connection to a node for one request that asks for an upgrade.
//!
//! Until the node has answered, whoever asks moves its bytes: so there is neither a task nor a
//! wake-up between a node's 101 and its tunnel. Only an answer that has a body needs a task.
//!
//! Runs for every request.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::Body;
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use hyper::client::conn::http1::{Parts, SendRequest};
use hyper_util::rt::TokioIo;
use pin_project_lite::pin_project;
use tokio::net::TcpStream;

use super::connection::{Answer, Connection, HyperConnection, SendError, run, shake_hands};
use crate::tasks::Tasks;
use crate::upstream::connect::ConnectError;
use crate::upstream::node::Node;

/// A connection that is ready for its one request. Dropped, it is closed.
pub struct UpgradeConnection<B: Body + 'static> {
    node: Arc<Node>,
    sender: SendRequest<B>,
    // In a box, for it is large and moved several times.
    connection: Box<HyperConnection<B>>,
    tasks: Tasks,
}

/// What a node answered to a request that asks for an upgrade.
#[derive(Debug)]
pub enum Reply<B> {
    /// 101: the connection speaks HTTP no more.
    Switched(Response<NodeSocket>),
    /// Anything else.
    Declined(Response<Answer<B>>),
}

/// A node's socket without HTTP.
#[derive(Debug)]
pub struct NodeSocket {
    /// The socket.
    pub stream: TcpStream,
    /// What came behind the 101 already: it comes before what the socket will give.
    pub read_ahead: Bytes,
}

impl<B> UpgradeConnection<B>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    /// Connects; `tasks` own what is left to do of an answer that is no 101.
    pub(super) async fn open(
        node: &Arc<Node>,
        timeout: Duration,
        tasks: &Tasks,
    ) -> Result<Self, ConnectError> {
        let (sender, connection) = shake_hands(node, timeout).await?;
        let connection = Box::new(connection);
        Ok(Self { node: node.clone(), sender, connection, tasks: tasks.clone() })
    }

    /// As [`Connection::send`]. It is in no pool afterwards: nobody knows what a server that half
    /// understood an upgrade makes of the bytes that follow.
    ///
    /// # Errors
    ///
    /// The connection broke, or the node's answer is no HTTP/1.1.
    pub fn send(self, request: Request<B>) -> impl Future<Output = Result<Reply<B>, SendError<B>>> {
        let Self { node, mut sender, connection, tasks } = self;
        let sent = sender.try_send_request(request);
        Sending {
            sent,
            connection: Some(connection),
            over: None,
            rest: Some((node, sender, tasks)),
        }
    }
}

pin_project! {
    /// A request on its way, until the head of its answer has come.
    struct Sending<F, B>
    where
        B: Body,
        B: 'static,
    {
        #[pin]
        sent: F,
        connection: Option<Box<HyperConnection<B>>>,
        over: Option<Parts<TokioIo<TcpStream>>>,
        rest: Option<(Arc<Node>, SendRequest<B>, Tasks)>,
    }
}

impl<F, B> Future for Sending<F, B>
where
    F: Future<Output = Result<Response<Incoming>, TrySendError<Request<B>>>>,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    type Output = Result<Reply<B>, SendError<B>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let take_apart = |connection: Box<HyperConnection<B>>| connection.into_parts();
        // What it fails of is told to `sent`, at the latest when it is taken apart.
        let poll = |open: &mut Box<HyperConnection<B>>| open.poll_without_shutdown(cx).is_ready();
        if let Some(connection) = this.connection.take_if(poll) {
            *this.over = Some(take_apart(connection));
        }
        let response = ready!(this.sent.poll(cx)).map_err(SendError::of)?;
        if response.status() == StatusCode::SWITCHING_PROTOCOLS
            && let Some(parts) = this.over.take().or_else(|| this.connection.take().map(take_apart))
        {
            return Poll::Ready(Ok(Reply::Switched(response.map(|_none| NodeSocket::of(parts)))));
        }
        let Some((node, sender, tasks)) = this.rest.take() else { return Poll::Pending };
        if let Some(connection) = this.connection.take() {
            tasks.spawn(run(connection, node.name().clone()));
        }
        let connection = Connection::new(node, sender, Weak::new());
        Poll::Ready(Ok(Reply::Declined(response.map(|body| Answer::new(body, connection)))))
    }
}

impl<B> Reply<B> {
    /// The status of the answer.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Switched(response) => response.status(),
            Self::Declined(response) => response.status(),
        }
    }
}

impl NodeSocket {
    fn of(parts: Parts<TokioIo<TcpStream>>) -> Self {
        // Even without bytes it keeps hyper's read buffer alive.
        let read_ahead = if parts.read_buf.is_empty() { Bytes::new() } else { parts.read_buf };
        Self { stream: parts.io.into_inner(), read_ahead }
    }
}

impl<B: Body> fmt::Debug for UpgradeConnection<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UpgradeConnection").field("node", self.node.name()).finish_non_exhaustive()
    }
}
