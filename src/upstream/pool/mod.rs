//! Idle HTTP/1.1 connections to nodes, and new ones.
//!
//! Each worker has one pool. A connection is in it only while nothing is under way: it comes back
//! by itself when an [`Answer`] was read to its end, and never otherwise.
//!
//! ```text
//! let connection = match pool.take(&node) {
//!     Some(connection) => connection,
//!     None => pool.open(&node, timeout).await?,
//! };
//! match connection.send(request).await {
//!     Ok(response) => response,                               // its body is an Answer
//!     Err(SendError::Unsent { request, .. }) => once more,    // the connection had been closed
//!     Err(SendError::Lost { .. }) => the node may have got it,
//! }
//! ```
//!
//! Runs for every request.

mod connection;
pub(crate) mod http1;
#[cfg(test)]
mod tests;
mod upgrade;

use std::collections::{HashMap, VecDeque};
use std::error::Error;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use bytes::Bytes;
use http_body::Body;
use tokio::time::sleep;

pub use connection::{Answer, Connection, SendError};
pub use upgrade::{NodeSocket, Reply, UpgradeConnection};

use super::connect::ConnectError;
use super::node::Node;
use crate::Instant;
use crate::drain::Tasks;

/// The idle connections of one worker, whose requests have bodies of type `B`.
pub struct Pool<B> {
    tasks: Tasks,
    /// The task that closes what is idle for too long. Nobody waits for it: it ends by itself when
    /// the pool is gone.
    sweeping: Tasks,
    /// Held for one look-up, and rarely wanted by two: only in an embedder's multi-threaded
    /// runtime do two threads share a pool.
    shelves: Mutex<Shelves<B>>,
}

/// The idle connections to each node, by [`Node::identity`].
struct Shelves<B> {
    of_node: HashMap<usize, VecDeque<Idle<B>>>,
}

/// A connection that waits for its next request. It keeps its node alive, so that no other gets the
/// node's identity.
struct Idle<B> {
    connection: Connection<B>,
    since: Instant,
}

impl<B> Pool<B>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    /// An empty pool. `tasks` own the connections' tasks, one for each.
    pub fn new(tasks: Tasks) -> Arc<Self> {
        let shelves = Shelves { of_node: HashMap::new() };
        Arc::new(Self { tasks, sweeping: Tasks::default(), shelves: Mutex::new(shelves) })
    }

    /// The connection to `node` that became idle last, if one is likely to be open still.
    pub fn take(&self, node: &Node) -> Option<Connection<B>> {
        self.shelves().take(node.identity(), Instant::now())
    }

    /// A new connection to `node` for ordinary exchanges.
    ///
    /// # Errors
    ///
    /// See [`connect`](super::connect()).
    pub async fn open(
        self: &Arc<Self>,
        node: &Arc<Node>,
        timeout: Duration,
    ) -> Result<Connection<B>, ConnectError> {
        if self.sweeping.is_empty() {
            self.sweeping.spawn(sweep(Arc::downgrade(self)));
        }
        Connection::open(node, timeout, &self.tasks, Arc::downgrade(self)).await
    }

    /// A new connection to `node` for one request that asks for an upgrade.
    ///
    /// # Errors
    ///
    /// See [`connect`](super::connect()).
    pub async fn open_for_upgrade(
        &self,
        node: &Arc<Node>,
        timeout: Duration,
    ) -> Result<UpgradeConnection<B>, ConnectError> {
        UpgradeConnection::open(node, timeout, &self.tasks).await
    }
}

impl<B> Pool<B> {
    /// Takes back a connection whose answer was read to its end.
    fn put(&self, connection: Connection<B>) {
        self.shelves().put(connection, Instant::now());
    }

    fn shelves(&self) -> MutexGuard<'_, Shelves<B>> {
        // A panic would leave the shelves in order: each step of their methods is whole.
        self.shelves.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<B> Shelves<B> {
    fn take(&mut self, node: usize, now: Instant) -> Option<Connection<B>> {
        let shelf = self.of_node.get_mut(&node)?;
        while let Some(idle) = shelf.pop_back() {
            if idle.is_expired(now) {
                // All below it are older.
                shelf.clear();
            } else if idle.connection.is_ready() {
                return Some(idle.connection);
            }
        }
        None
    }

    fn put(&mut self, connection: Connection<B>, now: Instant) {
        let shelf = self.of_node.entry(connection.node().identity()).or_default();
        if shelf.len() >= IDLE_PER_NODE_MAX {
            shelf.pop_front();
        }
        shelf.push_back(Idle { connection, since: now });
    }

    /// Drops what expired, also of nodes that nobody asks for any more.
    fn sweep(&mut self, now: Instant) {
        self.of_node.retain(|_, shelf| {
            while shelf.pop_front_if(|idle| idle.is_expired(now)).is_some() {}
            !shelf.is_empty()
        });
    }
}

impl<B> Idle<B> {
    fn is_expired(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.since) >= IDLE_MAX
    }
}

impl<B> fmt::Debug for Pool<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").finish_non_exhaustive()
    }
}

/// Sweeps for as long as there is a pool.
async fn sweep<B>(pool: Weak<Pool<B>>) {
    loop {
        sleep(SWEEP_EVERY).await;
        let Some(pool) = pool.upgrade() else { return };
        pool.shelves().sweep(Instant::now());
    }
}

/// Node.js closes an idle connection after 5 to 6 s; a request sent just then would be lost.
const IDLE_MAX: Duration = Duration::from_secs(4);

/// So that what is idle is closed by us and not by its node, also when nothing goes on any more.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

/// As many as a busy worker may well use again within [`IDLE_MAX`]; the rest costs descriptors.
const IDLE_PER_NODE_MAX: usize = 256;
