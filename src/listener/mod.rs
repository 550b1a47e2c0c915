//! Connections of clients.
//!
//! [`Listener`] accepts them. [`serve`] speaks HTTP with one client until the connection closes or
//! becomes a tunnel. The meaning of a request is the service's business.
//!
//! Runs for every request.

mod close;
mod connection;
mod deadlines;
mod guarded;
pub(crate) mod head_guard;
mod http1;
pub(crate) mod http2;
mod phase_timer;
mod presence;
mod prior_knowledge;
mod progress;
mod proxy_protocol;
mod served;
pub(crate) mod settings;
mod spelling;
#[cfg(test)]
mod tests;
mod transport;

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use rustix::event::{PollFd, PollFlags, Timespec};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

pub(crate) use connection::{ConnectionEnd, serve};
pub(crate) use served::ClientService;
pub(crate) use settings::{Http2, Settings};

use crate::Instant;
use crate::net::socket::{listen, prepare_listener};
use crate::net::{ClientNetwork, ConnectionLimit, ConnectionPermit, is_in};

/// An address that accepts clients.
#[derive(Debug)]
pub(crate) struct Listener {
    socket: TcpListener,
    address: SocketAddr,
    settings: LiveSettings,
}

/// The settings of a listener. They can change while it accepts. Clones share them.
#[derive(Clone, Debug)]
pub(crate) struct LiveSettings(Arc<ArcSwap<Settings>>);

/// A connection that was accepted and not read from. It belongs to no runtime yet.
#[derive(Debug)]
pub(crate) struct Accepted {
    /// The socket, non-blocking.
    pub stream: TcpStream,
    /// The client's address. An IPv4 client of an IPv6 socket has its IPv4 address.
    pub address: SocketAddr,
    /// The settings of the listener at the time.
    pub settings: Arc<Settings>,
    /// Counts the client.
    pub permit: ConnectionPermit,
}

/// An address that cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}")]
pub struct BindError {
    /// The address as configured.
    pub address: SocketAddr,
    /// The error of the system.
    pub source: io::Error,
}

impl Listener {
    /// Binds the address. From now on the system completes connections, up to [`BACKLOG`], which wait
    /// for [`Listener::accept`].
    ///
    /// # Errors
    ///
    /// [`BindError`] if the address is taken or does not belong to this machine.
    pub(crate) fn bind(settings: &Settings) -> Result<Self, BindError> {
        let address = settings.bind;
        let socket = listen(address, BACKLOG).map_err(|source| BindError { address, source })?;
        Self::adopt(socket, settings)
    }

    /// Takes a socket that listens already on the address of `settings`: a service manager opened it, so
    /// that clients can connect while this process starts.
    ///
    /// # Errors
    ///
    /// [`BindError`] if the socket cannot accept TCP connections.
    pub(crate) fn adopt(socket: TcpListener, settings: &Settings) -> Result<Self, BindError> {
        let prepared = prepare_listener(&socket).and_then(|()| socket.local_addr());
        let address = prepared.map_err(|source| BindError { address: settings.bind, source })?;
        Ok(Self { socket, address, settings: LiveSettings::new(settings.clone()) })
    }

    /// The settings. A change applies to the connections that are accepted afterwards.
    pub(crate) fn settings(&self) -> &LiveSettings {
        &self.settings
    }

    /// The address. If the configured port is 0, it has the port that the system chose.
    pub(crate) fn local_address(&self) -> SocketAddr {
        self.address
    }

    /// Accepts until `stop` is cancelled or the receiver of `accepted` is dropped, then closes the
    /// address. While the limit is reached, clients wait in the system's queue; each further listener
    /// with the same `limit` may exceed it by one. Clients that had connected before `stop` are still
    /// accepted up to the limit. No failure to accept returns while the socket listens. If the future
    /// is dropped, the address is closed and waiting clients are reset.
    ///
    /// # Errors
    ///
    /// The error of the runtime if it cannot watch the socket; then no client was accepted. The error
    /// of the system if the socket no longer listens.
    pub(crate) async fn accept(
        self,
        accepted: mpsc::Sender<Accepted>,
        limit: ConnectionLimit,
        stop: CancellationToken,
    ) -> io::Result<()> {
        let Self { socket, address, settings } = self;
        let socket = watch(socket)?;
        debug!(%address, "listening");
        let [mut failures, mut full, mut crowded] = [const { RepeatedLog { logged_at: None } }; 3];
        loop {
            if limit.is_reached() {
                full.log(|| {
                    let max_connections = limit.max();
                    warn!(%address, max_connections, "connection limit reached, new clients wait");
                });
                tokio::select! {
                    biased;
                    () = stop.cancelled() => break,
                    () = limit.below_max() => (),
                }
            }
            let next = tokio::select! {
                biased;
                () = stop.cancelled() => break,
                next = socket.async_io(Interest::READABLE, accept_waiting) => next,
            };
            let next = next.and_then(|(stream, client)| prepare(stream, client, &settings, &limit));
            match next {
                Ok(next) => {
                    if accepted.send(next).await.is_err() {
                        return Ok(());
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::QuotaExceeded => {
                    crowded.log(|| warn!(%address, %error, "connection closed"));
                }
                Err(error) if concerns_one_connection(&error) => {
                    debug!(%address, %error, "client disconnected before accept");
                }
                Err(error) if concerns_the_socket(&error) => return Err(error),
                Err(error) => {
                    failures
                        .log(|| error!(%address, %error, "cannot accept connections, retrying"));
                    tokio::select! {
                        () = stop.cancelled() => break,
                        () = tokio::time::sleep(RETRY_AFTER) => (),
                    }
                }
            }
        }
        // Closing the address would reset the clients that have connected already.
        accept_rest(&socket.into_inner(), &accepted, &settings, &limit).await;
        info!(%address, "no longer listening");
        Ok(())
    }
}

impl LiveSettings {
    fn new(settings: Settings) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(settings)))
    }

    /// Replaces the settings for new connections. `bind` is ignored.
    pub(crate) fn change(&self, mut settings: Settings) {
        let former = self.0.load();
        if settings.tls == former.tls {
            // It counts the handshakes that are under way.
            settings.tls.clone_from(&former.tls);
        }
        self.0.store(Arc::new(settings));
    }
}

/// Logs a condition that lasts or recurs once a minute, instead of thirteen times a second.
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

/// Watches `socket` for new clients. tokio's listener would register the sockets that it accepts with
/// its own runtime, but they may be served by another.
#[expect(
    deprecated,
    reason = "its successor is unsafe and asks that a descriptor stays what it is; a TcpListener's does"
)]
fn watch(socket: TcpListener) -> io::Result<AsyncFd<TcpListener>> {
    AsyncFd::with_interest(socket, Interest::READABLE)
}

/// Accepts the clients that have connected already. It does not use the runtime, which reports no
/// waiting client when it is busy.
async fn accept_rest(
    socket: &TcpListener,
    accepted: &mpsc::Sender<Accepted>,
    settings: &LiveSettings,
    limit: &ConnectionLimit,
) {
    for _ in 0..BACKLOG {
        if limit.is_reached() {
            return;
        }
        let Ok((stream, client)) = accept_waiting(socket) else { return };
        // Returning here would lose all clients behind one that fails.
        let Ok(next) = prepare(stream, client, settings, limit) else { continue };
        if accepted.send(next).await.is_err() {
            return;
        }
    }
}

/// Accepts one client that has connected already.
///
/// It first asks whether a client waits: accept(2) creates a socket and a file before it looks, and
/// this costs ten times as much, after each client that comes alone.
fn accept_waiting(socket: &TcpListener) -> io::Result<(TcpStream, SocketAddr)> {
    let mut polled = [PollFd::new(socket, PollFlags::IN)];
    if rustix::event::poll(&mut polled, Some(&Timespec::default()))? == 0 {
        return Err(io::ErrorKind::WouldBlock.into());
    }
    socket.accept()
}

fn prepare(
    stream: TcpStream,
    client: SocketAddr,
    settings: &LiveSettings,
    limit: &ConnectionLimit,
) -> io::Result<Accepted> {
    let address = SocketAddr::new(client.ip().to_canonical(), client.port());
    let settings = settings.0.load_full();
    // A proxy has the connections of many clients.
    let permit = match is_in(&settings.trusted_proxies, address.ip()) {
        true => limit.issue(),
        false => limit.issue_for(address.ip()).map_err(too_many)?,
    };
    stream.set_nonblocking(true)?;
    Ok(Accepted { stream, address, settings, permit })
}

fn too_many(network: ClientNetwork) -> io::Error {
    let text = format!("{network} has as many connections as client_limits.connections allows");
    io::Error::new(io::ErrorKind::QuotaExceeded, text)
}

/// Whether a failure to accept concerns one client: it reset its waiting connection, or its network
/// failed (accept(2) reports such errors).
fn concerns_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::Interrupted
            | io::ErrorKind::HostUnreachable
            | io::ErrorKind::NetworkUnreachable
            | io::ErrorKind::NetworkDown
    )
}

/// Whether the socket no longer listens, so that a retry is useless: another process that shares the
/// socket has shut it down (accept(2): `EINVAL`).
fn concerns_the_socket(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::InvalidInput
}

/// How many clients may wait to be accepted; the system's `somaxconn` may limit it further. It is
/// enough for the reconnect storm after the end of a node until the next turn of the loop.
pub(crate) const BACKLOG: i32 = 4096;

/// How often a lasting condition is logged.
const LOG_EVERY: Duration = Duration::from_mins(1);

/// The pause after a failure that concerns all clients: no descriptors, no memory. These are free
/// again when connections end, and an immediate retry would use up the core that ends them.
const RETRY_AFTER: Duration = Duration::from_millis(75);
