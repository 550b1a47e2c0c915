//! HTTP/1.1 connections to nodes: new ones, and a pool of idle ones.
//!
//! Each worker has one pool. A connection is in it only while it is idle: it comes back by itself when
//! an [`AnswerBody`] was read to its end, and never otherwise.
//!
//! A node may be several processes behind one address that are told apart by the first request of
//! each connection (PM2, `node:cluster`, `@socket.io/sticky`). A connection to such a node is used
//! again for its own session only, see [`Sharing`]. One that began with a client's PROXY header is used
//! again for this client only, see [`Owner`].
//!
//! ```text
//! let connection = match pool.take(&node, sharing, options.owner()) {
//!     Some(connection) => connection,
//!     None => pool.open(&node, options).await?,
//! };
//! match connection.send(&head, body, limits).await {
//!     Ok(Reply::Answered(response)) => response,              // its body is an AnswerBody
//!     Ok(Reply::Switched(socket)) => a tunnel begins,
//!     Err(SendError { unsent: Some(body), .. }) => once more, // no byte has left
//!     Err(SendError { .. }) => the node may have got it,
//! }
//! ```
//!
//! Runs for every request.

mod answer;
mod connect;
mod connection;
mod options;
pub(crate) mod resolve;
mod sending;
#[cfg(test)]
mod tests;
mod unix;
mod upload;

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::time::sleep;

pub(crate) use answer::{AnswerBody, AnswerBodyError};
pub(crate) use connect::{ConnectError, connect};
pub(crate) use connection::{Connection, SessionKey};
pub(crate) use options::{ConnectOptions, Owner};
pub(crate) use sending::{NodeSocket, OutboundHead, Reply, SendError, SendFault, SendLimits};

use crate::Instant;
use crate::tasks::Tasks;
use crate::upstream::Node;

/// The idle connections of one worker.
pub(crate) struct Pool {
    /// The task that closes connections that were idle for too long. It ends by itself when the pool is
    /// dropped.
    sweeping: Tasks,
    /// Locked for one lookup, and rarely contended: only in an embedder's multi-threaded runtime do two
    /// threads share a pool.
    idle: Mutex<IdleConnections>,
}

/// Which idle connections a request may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sharing {
    /// Any.
    Any,
    /// One that carried this session's last request; without a session, none.
    Session(Option<SessionKey>),
}

/// The idle connections to each node, by [`Node::identity`].
struct IdleConnections {
    of_node: HashMap<usize, VecDeque<Idle>>,
}

/// A connection that waits for its next request. It keeps its node alive, so that no other node gets
/// the identity.
struct Idle {
    connection: Box<Connection>,
    until: Instant,
}

impl Pool {
    /// An empty pool.
    pub(crate) fn new() -> Arc<Self> {
        let idle = IdleConnections { of_node: HashMap::new() };
        Arc::new(Self { sweeping: Tasks::default(), idle: Mutex::new(idle) })
    }

    /// The connection to `node` that became idle last, if one is likely to be open still.
    pub(crate) fn take(
        &self,
        node: &Node,
        sharing: Sharing,
        owner: Owner,
    ) -> Option<Box<Connection>> {
        self.idle().take(node.identity(), (sharing, owner), Instant::now())
    }

    /// A new connection to `node`.
    ///
    /// # Errors
    ///
    /// See [`connect`](connect()).
    pub(crate) async fn open(
        self: &Arc<Self>,
        node: &Arc<Node>,
        options: ConnectOptions<'_>,
    ) -> Result<Box<Connection>, ConnectError> {
        if self.sweeping.is_empty() {
            self.sweeping.spawn(sweep(Arc::downgrade(self)));
        }
        Connection::open(node, options, Arc::downgrade(self)).await
    }

    /// Takes back a connection whose answer was read to its end.
    fn put(&self, connection: Box<Connection>) {
        self.idle().put(connection, Instant::now());
    }

    fn idle(&self) -> MutexGuard<'_, IdleConnections> {
        // A panic leaves the map in order: each step of its methods is whole.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl IdleConnections {
    fn take(
        &mut self,
        node: usize,
        (sharing, owner): (Sharing, Owner),
        now: Instant,
    ) -> Option<Box<Connection>> {
        let connections = self.of_node.get_mut(&node)?;
        let fits = |idle: &Idle| idle.connection.owner == owner && sharing.fits(&idle.connection);
        while let Some(at) = connections.iter().rposition(fits) {
            let mut idle = connections.remove(at)?;
            if now < idle.until && idle.connection.is_ready() {
                return Some(idle.connection);
            }
        }
        None
    }

    fn put(&mut self, connection: Box<Connection>, now: Instant) {
        let idle_max = connection.idle_max();
        if idle_max.is_zero() {
            return;
        }
        let connections = self.of_node.entry(connection.node().identity()).or_default();
        if connections.len() >= IDLE_PER_NODE_MAX {
            connections.pop_front();
        }
        connections.push_back(Idle { connection, until: now + idle_max });
    }

    /// Drops connections that expired or were closed by their node, also of nodes without requests.
    fn sweep(&mut self, now: Instant) {
        self.of_node.retain(|_, connections| {
            connections.retain_mut(|idle| now < idle.until && idle.connection.is_ready());
            !connections.is_empty()
        });
    }
}

impl Sharing {
    fn fits(self, connection: &Connection) -> bool {
        match self {
            Self::Any => true,
            Self::Session(None) => false,
            Self::Session(session) => connection.session() == session,
        }
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").finish_non_exhaustive()
    }
}

/// Drops expired connections as long as the pool exists.
async fn sweep(pool: Weak<Pool>) {
    loop {
        sleep(SWEEP_EVERY).await;
        let Some(pool) = pool.upgrade() else { return };
        pool.idle().sweep(Instant::now());
    }
}

/// Often enough that idle connections are closed by the proxy and not by their node, also when there
/// are no requests.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

/// As many as a busy worker may use again before they expire; more would only cost descriptors.
const IDLE_PER_NODE_MAX: usize = 256;
