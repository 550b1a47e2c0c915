//! Whether another client may be accepted.
//!
//! Runs for every request.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use tracing::{debug, error, warn};

use super::idle::{IdleConnections, OfListener};
use crate::Instant;
use crate::descriptors::Reserve;
use crate::metrics::Connections;
use crate::net::{ClientNetwork, ConnectionLimit, ConnectionPermit};

/// What bounds the clients of a process, besides the settings of each listener.
#[derive(Clone, Debug)]
pub(crate) struct AcceptBounds {
    /// The clients of all listeners.
    pub(crate) limit: ConnectionLimit,
    /// The descriptors that clients may not use.
    pub(crate) reserve: Reserve,
    /// Whose connections are closed for new clients at a limit.
    pub(crate) idle: IdleConnections,
    /// Where pauses are counted.
    pub(crate) counts: Arc<Connections>,
}

/// The gate of one listener.
#[derive(Debug)]
pub(super) struct AcceptGate {
    address: SocketAddr,
    bounds: AcceptBounds,
    own: ConnectionLimit,
    /// The socket of the last client has a reserved descriptor.
    is_in_reserve: bool,
    /// Why no client was accepted when it was last asked.
    closed: Option<Closed>,
    logs: [RepeatedLog; Closed::COUNT],
}

/// Why no client is accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Closed {
    MaxConnections,
    ListenerMaxConnections,
    Descriptors,
    Failure,
}

impl AcceptBounds {
    /// No bounds: for a listener whose clients are counted elsewhere.
    pub(crate) fn none() -> Self {
        let (limit, counts) = (ConnectionLimit::new(usize::MAX), Arc::default());
        Self { limit, reserve: Reserve::none(), idle: IdleConnections::default(), counts }
    }
}

impl AcceptGate {
    /// The gate of the listener at `address`, whose own limit is `own`.
    pub(super) fn new(address: SocketAddr, bounds: AcceptBounds, own: ConnectionLimit) -> Self {
        let (is_in_reserve, closed) = (false, None);
        let logs = Default::default();
        Self { address, bounds, own, is_in_reserve, closed, logs }
    }

    /// Waits until another client may be accepted on `socket`. Cancel safe.
    pub(super) async fn opened(&mut self, socket: &TcpListener) {
        loop {
            if self.bounds.limit.is_reached() {
                self.close(Closed::MaxConnections, self.bounds.limit.max());
                self.make_room(&self.bounds.limit, None, socket).await;
            } else if self.own.is_reached() {
                self.close(Closed::ListenerMaxConnections, self.own.max());
                self.make_room(&self.own, Some(self.address), socket).await;
            } else if self.is_in_reserve && self.bounds.reserve.is_needed_for_next(socket) {
                self.close(Closed::Descriptors, self.bounds.reserve.size());
                tokio::time::sleep(RETRY_AFTER).await;
            } else {
                self.is_in_reserve = false;
                self.closed = None;
                return;
            }
        }
    }

    /// Waits until `limit` is not reached. While a client waits on `socket`, connections that are idle
    /// are closed for it: of all listeners, or of the one at `only`.
    async fn make_room(
        &self,
        limit: &ConnectionLimit,
        only: Option<SocketAddr>,
        socket: &TcpListener,
    ) {
        loop {
            if is_client_waiting(socket) {
                let closed = self.bounds.idle.close_longest(only, Instant::now());
                if closed > 0 {
                    let address = self.address;
                    debug!(%address, closed, "closing the longest idle connections for new clients");
                }
            }
            tokio::select! {
                biased;
                () = limit.below_max() => return,
                () = tokio::time::sleep(RETRY_AFTER) => (),
            }
        }
    }

    /// Where connections are known while they are idle.
    pub(super) fn idle(&self) -> OfListener {
        self.bounds.idle.of_listener(self.address)
    }

    /// Whether a limit of connections is reached.
    pub(super) fn is_full(&self) -> bool {
        self.bounds.limit.is_reached() || self.own.is_reached()
    }

    /// Counts a client at `address`. The network of a proxy has the connections of many clients.
    ///
    /// # Errors
    ///
    /// The client's network, if it has as many connections as it may have.
    pub(super) fn admit(
        &mut self,
        stream: &TcpStream,
        address: IpAddr,
        is_proxy: bool,
    ) -> Result<ConnectionPermit, ClientNetwork> {
        self.is_in_reserve = self.bounds.reserve.contains(stream);
        let permit = match is_proxy {
            true => self.bounds.limit.issue(),
            false => self.bounds.limit.issue_for(address)?,
        };
        Ok(permit.of_listener(&self.own))
    }

    /// Waits after a failure that concerns all clients: no descriptors, no memory.
    pub(super) async fn failed(&mut self, error: &io::Error) {
        self.count(Closed::Failure);
        let address = self.address;
        self.logs[Closed::Failure as usize]
            .log(|| error!(%address, %error, "cannot accept connections, retrying"));
        tokio::time::sleep(RETRY_AFTER).await;
    }

    fn close(&mut self, closed: Closed, bound: usize) {
        self.count(closed);
        let address = self.address;
        self.logs[closed as usize].log(|| match closed {
            Closed::MaxConnections => warn!(
                %address, max_connections = bound,
                "connection limit reached, new clients replace idle connections or wait"
            ),
            Closed::ListenerMaxConnections => warn!(
                %address, max_connections = bound,
                "connection limit of the listener reached, new clients replace idle connections or wait"
            ),
            Closed::Descriptors => warn!(
                %address, reserved = bound,
                "only descriptors for connections to nodes are left, new clients wait"
            ),
            Closed::Failure => (),
        });
    }

    /// Counts the begin of a pause.
    fn count(&mut self, closed: Closed) {
        if self.closed.replace(closed) != Some(closed) {
            self.bounds.counts.accept_pauses.count([closed.label()]);
        }
    }
}

/// Whether a client waits in the system's queue. A failure is left to accept(2).
fn is_client_waiting(socket: &TcpListener) -> bool {
    super::has_client(socket).unwrap_or(true)
}

impl Closed {
    const COUNT: usize = 4;

    /// The name in metrics.
    fn label(self) -> &'static str {
        match self {
            Self::MaxConnections => "max_connections",
            Self::ListenerMaxConnections => "listener_max_connections",
            Self::Descriptors => "descriptors",
            Self::Failure => "failure",
        }
    }
}

/// Logs a condition that lasts or recurs once a minute, instead of thirteen times a second.
#[derive(Debug, Default)]
struct RepeatedLog {
    logged_at: Option<Instant>,
}

impl RepeatedLog {
    fn log(&mut self, log: impl FnOnce()) {
        if self.logged_at.is_none_or(|logged_at| logged_at.elapsed() >= LOG_EVERY) {
            self.logged_at = Some(Instant::now());
            log();
        }
    }
}

/// How often a lasting condition is logged.
const LOG_EVERY: Duration = Duration::from_mins(1);

/// The pause when there are no descriptors or no memory. These are free again when connections end, and
/// an immediate retry would use up the core that ends them.
const RETRY_AFTER: Duration = Duration::from_millis(75);
