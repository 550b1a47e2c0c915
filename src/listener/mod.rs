//! Connections of clients.
//!
//! [`Listener`] accepts them. [`serve`] speaks HTTP with one client until the connection closes or
//! becomes a tunnel. The meaning of a request is the service's business.
//!
//! Runs for every request.

mod accept_gate;
mod close;
mod connection;
mod deadlines;
mod guarded;
pub(crate) mod head_guard;
mod http1;
pub(crate) mod http2;
mod idle;
mod phase_timer;
mod presence;
mod prior_knowledge;
mod progress;
mod proxy_protocol;
mod selection;
mod served;
pub(crate) mod settings;
mod spelling;
#[cfg(test)]
mod tests;
mod transport;

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::net::SocketFlags;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info};

pub(crate) use accept_gate::AcceptBounds;
use accept_gate::AcceptGate;
pub(crate) use connection::{ConnectionEnd, serve};
pub(crate) use idle::IdleConnections;
use idle::OfListener;
pub(crate) use selection::{Selection, by_url};
pub(crate) use served::ClientService;
pub(crate) use settings::{Http2, Settings};

use crate::net::socket::{listen, prepare_listener};
use crate::net::{ConnectionLimit, ConnectionPermit, is_in};

/// An address that accepts clients.
#[derive(Debug)]
pub(crate) struct Listener {
    socket: TcpListener,
    address: SocketAddr,
    settings: LiveSettings,
}

/// The settings of a listener. They can change while it accepts. Clones share them.
#[derive(Clone, Debug)]
pub(crate) struct LiveSettings {
    settings: Arc<ArcSwap<Settings>>,
    limit: ConnectionLimit,
}

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
    /// Where the connection is known while it is idle.
    pub idle: OfListener,
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

    /// The same address and settings, for the case that this one is lost in a panic.
    ///
    /// # Errors
    ///
    /// The system has no descriptors left.
    pub(crate) fn try_clone(&self) -> io::Result<Self> {
        let Self { socket, address, settings } = self;
        let (socket, settings) = (socket.try_clone()?, settings.clone());
        Ok(Self { socket, address: *address, settings })
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
    /// address. While a limit is reached, clients wait in the system's queue; each further listener
    /// with the same `bounds` may exceed them by one. Clients that had connected before `stop` are still
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
        bounds: AcceptBounds,
        stop: CancellationToken,
    ) -> io::Result<()> {
        let Self { socket, address, settings } = self;
        let socket = watch(socket)?;
        debug!(%address, "listening");
        let mut gate = AcceptGate::new(address, bounds, settings.limit.clone());
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                () = gate.opened(socket.get_ref()) => (),
            }
            let next = tokio::select! {
                biased;
                () = stop.cancelled() => break,
                next = socket.async_io(Interest::READABLE, accept_waiting) => next,
            };
            let next =
                next.and_then(|(stream, client)| prepare(stream, client, &settings, &mut gate));
            match next {
                Ok(next) => {
                    if accepted.send(next).await.is_err() {
                        return Ok(());
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::QuotaExceeded => (),
                Err(error) if concerns_one_connection(&error) => {
                    debug!(%address, %error, "client disconnected before accept");
                }
                Err(error) if concerns_the_socket(&error) => return Err(error),
                Err(error) => {
                    tokio::select! {
                        () = stop.cancelled() => break,
                        () = gate.failed(&error) => (),
                    }
                }
            }
        }
        // Closing the address would reset the clients that have connected already.
        accept_rest(&socket.into_inner(), &accepted, &settings, gate).await;
        info!(%address, "no longer listening");
        Ok(())
    }
}

impl LiveSettings {
    fn new(settings: Settings) -> Self {
        let limit = ConnectionLimit::new(settings.clients_max());
        Self { settings: Arc::new(ArcSwap::from_pointee(settings)), limit }
    }

    /// Replaces the settings for new connections, and the limit at once. `bind` is ignored.
    pub(crate) fn change(&self, mut settings: Settings) {
        let former = self.settings.load();
        if settings.tls == former.tls {
            // It counts the handshakes that are under way.
            settings.tls.clone_from(&former.tls);
        }
        self.limit.set_max(settings.clients_max());
        self.settings.store(Arc::new(settings));
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
    mut gate: AcceptGate,
) {
    for _ in 0..BACKLOG {
        if gate.is_full() {
            return;
        }
        let Ok((stream, client)) = accept_waiting(socket) else { return };
        // Returning here would lose all clients behind one that fails.
        let Ok(next) = prepare(stream, client, settings, &mut gate) else { continue };
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
    if !has_client(socket)? {
        return Err(io::ErrorKind::WouldBlock.into());
    }
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let (stream, client) = rustix::net::acceptfrom_with(socket, flags)?;
    let client = client.ok_or(io::ErrorKind::InvalidData)?;
    Ok((stream.into(), SocketAddr::try_from(client)?))
}

/// Whether a client has connected and waits.
fn has_client(socket: &TcpListener) -> io::Result<bool> {
    let mut polled = [PollFd::new(socket, PollFlags::IN)];
    Ok(rustix::event::poll(&mut polled, Some(&Timespec::default()))? > 0)
}

fn prepare(
    stream: TcpStream,
    client: SocketAddr,
    settings: &LiveSettings,
    gate: &mut AcceptGate,
) -> io::Result<Accepted> {
    let address = SocketAddr::new(client.ip().to_canonical(), client.port());
    let settings = settings.settings.load_full();
    let is_proxy = is_in(&settings.trusted_proxies, address.ip());
    let permit = gate.admit(&stream, address.ip(), is_proxy);
    // It was counted and logged.
    let permit = permit.map_err(|_network| io::ErrorKind::QuotaExceeded)?;
    let idle = gate.idle();
    Ok(Accepted { stream, address, settings, permit, idle })
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
