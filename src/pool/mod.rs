//! Idle HTTP/1.1 connections to nodes, and new ones.
//!
//! Each worker has one pool. A connection is in it only while nothing is under way: it comes back
//! by itself when an [`Answer`] was read to its end, and never otherwise.
//!
//! A node may be several processes behind one address that are told apart by the first request of
//! each connection (PM2, `node:cluster`, `@socket.io/sticky`). A connection to such a node is used
//! again for its own session only, see [`Sharing`].
//!
//! ```text
//! let connection = match pool.take(&node, sharing) {
//!     Some(connection) => connection,
//!     None => pool.open(&node, timeout).await?,
//! };
//! match connection.send(&head, body, patience).await {
//!     Ok(Reply::Answered(response)) => response,              // its body is an Answer
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
pub(crate) mod resolve;
mod sending;
#[cfg(test)]
mod tests;
mod upload;

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::time::sleep;

pub use answer::{Answer, AnswerError};
pub use connect::{ConnectError, connect};
pub use connection::{Connection, SessionKey};
pub use sending::{NodeSocket, OutboundHead, Patience, Reply, SendError, SendFault, Sending};


use crate::Instant;
use crate::tasks::Tasks;
use crate::upstream::Node;

/// The idle connections of one worker.
pub struct Pool {
    /// The task that closes what is idle for too long. Nobody waits for it: it ends by itself when
    /// the pool is gone.
    sweeping: Tasks,
    /// Held for one look-up, and rarely wanted by two: only in an embedder's multi-threaded
    /// runtime do two threads share a pool.
    shelves: Mutex<Shelves>,
}

/// Which idle connections a request may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sharing {
    /// Any.
    Any,
    /// One that carried this session's last request; without a session, none.
    Session(Option<SessionKey>),
}

/// The idle connections to each node, by [`Node::identity`].
struct Shelves {
    of_node: HashMap<usize, VecDeque<Idle>>,
}

/// A connection that waits for its next request. It keeps its node alive, so that no other gets the
/// node's identity.
struct Idle {
    connection: Box<Connection>,
    until: Instant,
}

impl Pool {
    /// An empty pool.
    pub fn new() -> Arc<Self> {
        let shelves = Shelves { of_node: HashMap::new() };
        Arc::new(Self { sweeping: Tasks::default(), shelves: Mutex::new(shelves) })
    }

    /// The connection to `node` that became idle last, if one is likely to be open still.
    pub fn take(&self, node: &Node, sharing: Sharing) -> Option<Box<Connection>> {
        self.shelves().take(node.identity(), sharing, Instant::now())
    }

    /// A new connection to `node`.
    ///
    /// # Errors
    ///
    /// See [`connect`](connect()).
    pub async fn open(
        self: &Arc<Self>,
        node: &Arc<Node>,
        timeout: Duration,
    ) -> Result<Box<Connection>, ConnectError> {
        if self.sweeping.is_empty() {
            self.sweeping.spawn(sweep(Arc::downgrade(self)));
        }
        Connection::open(node, timeout, Arc::downgrade(self)).await
    }

    /// Takes back a connection whose answer was read to its end.
    fn put(&self, connection: Box<Connection>) {
        self.shelves().put(connection, Instant::now());
    }

    fn shelves(&self) -> MutexGuard<'_, Shelves> {
        // A panic would leave the shelves in order: each step of their methods is whole.
        self.shelves.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shelves {
    fn take(&mut self, node: usize, sharing: Sharing, now: Instant) -> Option<Box<Connection>> {
        let shelf = self.of_node.get_mut(&node)?;
        while let Some(at) = shelf.iter().rposition(|idle| sharing.fits(&idle.connection)) {
            let idle = shelf.remove(at)?;
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
        let shelf = self.of_node.entry(connection.node().identity()).or_default();
        if shelf.len() >= IDLE_PER_NODE_MAX {
            shelf.pop_front();
        }
        shelf.push_back(Idle { connection, until: now + idle_max });
    }

    /// Drops what expired or was closed by its node, also of nodes that nobody asks for any more.
    fn sweep(&mut self, now: Instant) {
        self.of_node.retain(|_, shelf| {
            shelf.retain(|idle| now < idle.until && idle.connection.is_ready());
            !shelf.is_empty()
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

/// Sweeps for as long as there is a pool.
async fn sweep(pool: Weak<Pool>) {
    loop {
        sleep(SWEEP_EVERY).await;
        let Some(pool) = pool.upgrade() else { return };
        pool.shelves().sweep(Instant::now());
    }
}

/// So that what is idle is closed by us and not by its node, also when nothing goes on any more.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

/// As many as a busy worker may well use again before they expire; the rest costs descriptors.
const IDLE_PER_NODE_MAX: usize = 256;
