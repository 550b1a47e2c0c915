//! One connection to a node: its socket, what was read from it, and when it may be used again.
//!
//! There is no task behind a connection: the future that waits for an answer moves the bytes. So there
//! is no extra wake-up, an answer is not read ahead of the client, and a client that disconnects ends
//! its request at the node by dropping the future.
//!
//! Runs for every byte.

use std::fmt;
use std::io;
use std::pin::{Pin, pin};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use bytes::BytesMut;
use http_body::Body;
use tokio::io::{AsyncRead as _, AsyncReadExt as _, ReadBuf};

use super::Pool;
use super::connect::{ConnectError, connect};
use super::options::{ConnectOptions, Owner};
use super::sending::{OutboundHead, SendLimits, Sending};
use crate::net::NetStream;
use crate::upstream::Node;

/// A connection that is ready for a request. Dropped, it is closed.
///
/// Always boxed: between its pool and an answer it is moved a dozen times for each request.
pub(crate) struct Connection {
    pub(super) node: Arc<Node>,
    pub(super) stream: NetStream,
    pub(super) owner: Owner,
    /// What was read and not yet parsed. It owns no memory while the connection is idle.
    pub(super) received: BytesMut,
    /// The pool to which the connection goes after its answer.
    pub(super) pool: Weak<Pool>,
    /// The session whose request it carried last.
    pub(super) session: Option<SessionKey>,
    /// Whether it carried a request before: the node may have closed it at the same moment.
    pub(super) is_reused: bool,
    /// Whether its first request had a body. A dispatcher before several processes may go on reading
    /// such a connection as well as the process that it gave it to (`@socket.io/sticky` 1.x).
    pub(super) began_with_body: bool,
    /// How long it may be idle, unless the node says less.
    pub(super) idle_timeout: Duration,
    /// How long the node keeps it while it is idle, if the node said so (`Keep-Alive: timeout=`).
    pub(super) keep_alive: Option<Duration>,
}

/// Tells the sessions of one node apart: a digest of the session's id as the node knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SessionKey(u64);

impl SessionKey {
    /// The key of the session that the node calls `sid`.
    pub(crate) fn new(sid: &str) -> Self {
        Self(xxhash_rust::xxh3::xxh3_64(sid.as_bytes()))
    }
}

impl Connection {
    /// Connects; afterwards the connection goes to `pool`.
    pub(super) async fn open(
        node: &Arc<Node>,
        options: ConnectOptions<'_>,
        pool: Weak<Pool>,
    ) -> Result<Box<Self>, ConnectError> {
        Ok(Box::new(Self {
            stream: connect(node, options).await?,
            owner: options.owner(),
            node: node.clone(),
            received: BytesMut::new(),
            pool,
            session: None,
            is_reused: false,
            began_with_body: false,
            idle_timeout: Duration::ZERO,
            keep_alive: None,
        }))
    }

    /// Sends a request and waits for the head of its answer, within the times of `limits`. If the
    /// future is dropped, the connection closes.
    ///
    /// # Errors
    ///
    /// See [`SendError`](super::SendError), which gives the body back if no byte of the request
    /// has left.
    pub(crate) fn send<B: Body>(
        self: Box<Self>,
        head: &OutboundHead,
        body: B,
        limits: SendLimits,
    ) -> Sending<B> {
        Sending::new(self, head, body, limits)
    }

    /// The node at its other end.
    pub(crate) fn node(&self) -> &Arc<Node> {
        &self.node
    }

    /// Whether `session` sent its last request.
    pub(crate) fn is_of(&self, session: Option<SessionKey>) -> bool {
        session.is_some() && self.session == session
    }

    /// The session whose request it carried last.
    pub(super) fn session(&self) -> Option<SessionKey> {
        self.session
    }

    /// Sets the session that its next answer belongs to.
    pub(crate) fn set_session(&mut self, session: Option<SessionKey>) {
        self.session = session;
    }

    /// How long it may wait for its next request. A node that says how long it keeps idle connections
    /// closes them then, and a request that crosses the close on the wire is lost.
    pub(super) fn idle_max(&self) -> Duration {
        let kept = self.keep_alive.map(|kept| kept.saturating_sub(CLOSE_MARGIN.min(kept / 2)));
        kept.map_or(self.idle_timeout, |kept| kept.min(self.idle_timeout))
    }

    /// Whether a request may be sent: the node neither closed it nor sent anything unasked.
    pub(super) fn is_ready(&mut self) -> bool {
        let mut byte = [0];
        let mut buffer = ReadBuf::new(&mut byte);
        let mut cx = Context::from_waker(Waker::noop());
        // With TLS this reads what is no byte of an answer, such as session tickets.
        let read = Pin::new(&mut self.stream).poll_read(&mut cx, &mut buffer);
        self.received.is_empty() && read.is_pending()
    }

    /// Reads once; 0 is the end of the stream. A buffer is taken only when there is something to
    /// read: a poll that is held for 25 s owns none.
    pub(super) fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        ready!(self.stream.poll_readable(cx))?;
        self.received.reserve(READ_BYTES_MIN);
        // Not `try_read_buf`: a read that does not fill the buffer shows tokio that nothing is left, and
        // saves the call that would say so.
        pin!(self.stream.read_buf(&mut self.received)).poll(cx)
    }

    /// Goes back to its pool. The buffer is given up: thousands of connections may be idle.
    pub(super) fn put_back(mut self: Box<Self>) {
        debug_assert!(self.received.is_empty(), "an answer that was read to its end");
        if let Some(pool) = self.pool.upgrade() {
            self.received = BytesMut::new();
            self.is_reused = true;
            pool.put(self);
        }
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("node", self.node.name()).finish_non_exhaustive()
    }
}

/// No request is sent on an idle connection so long before its node closes it.
const CLOSE_MARGIN: Duration = Duration::from_secs(1);

/// The least room for a read. Most answers of Engine.IO, head and body, fit; a larger one is read in
/// several pieces.
const READ_BYTES_MIN: usize = 4 * 1024;
