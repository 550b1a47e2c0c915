//! A connection's life.
//!
//! [`Listener`] accepts; [`serve`] speaks HTTP with one client until the connection is closed or
//! becomes a tunnel. What a request means is not known here: that is the service's business.
//!
//! Runs for every request.

pub mod settings;
mod connection;
mod deadlines;
mod farewell;
mod guarded;
pub mod head_guard;
mod presence;
mod progress;
mod served;
mod spelling;
#[cfg(test)]
mod tests;

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use rustix::event::{PollFd, PollFlags, Timespec};
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

pub use connection::{ConnectionEnd, serve};
pub use served::ClientService;
pub use settings::Settings;

use crate::Instant;
use crate::client::{Place, Places, SocketOptions};

/// An address that we accept on.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    address: SocketAddr,
    settings: LiveSettings,
}

/// The settings of a listener, which may change while it accepts. Clones share them.
#[derive(Clone, Debug)]
pub struct LiveSettings(Arc<ArcSwap<Settings>>);

/// A connection that was accepted and has not been read from. It is tied to no runtime.
#[derive(Debug)]
pub struct Accepted {
    /// The socket, non-blocking.
    pub stream: TcpStream,
    /// The client; an IPv4 client of an IPv6 socket has its IPv4 address.
    pub address: SocketAddr,
    /// Those of its listener.
    pub settings: Arc<Settings>,
    /// Among all clients.
    pub place: Place,
}

/// An address that we cannot accept on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}")]
pub struct BindError {
    /// The address as configured.
    pub address: SocketAddr,
    /// What the system says.
    pub source: io::Error,
}

impl Listener {
    /// Takes the address. From now on the system completes connections, up to [`BACKLOG`] of
    /// them, which wait for [`Listener::accept`].
    ///
    /// `[::]` takes IPv4 clients too, whatever the system's default is, as Node.js does: with
    /// `0.0.0.0` beside it on the same port the second fails here, loudly, where an IPv6-only
    /// socket would leave IPv4 clients without a server in silence.
    ///
    /// # Errors
    ///
    /// [`BindError`] if the address is not ours or is taken.
    pub fn bind(settings: &Settings) -> Result<Self, BindError> {
        let address = settings.bind;
        let socket = open(address).map_err(|source| BindError { address, source })?;
        Self::adopt(socket, settings)
    }

    /// Takes a socket that listens already, on the address of `settings`: a service manager opened
    /// it, so that nobody is refused while we start.
    ///
    /// # Errors
    ///
    /// [`BindError`] if it is no socket that can be accepted on.
    pub fn adopt(socket: TcpListener, settings: &Settings) -> Result<Self, BindError> {
        let failed = |source| BindError { address: settings.bind, source };
        socket.set_nonblocking(true).map_err(failed)?;
        // Connections have these from the socket that accepts them. Messages of a chat are small,
        // and each is written as a whole.
        SockRef::from(&socket).set_tcp_nodelay(true).map_err(failed)?;
        SocketOptions::default().set_on(&SockRef::from(&socket));
        let address = socket.local_addr().map_err(failed)?;
        Ok(Self { socket, address, settings: LiveSettings::new(settings.clone()) })
    }

    /// Its settings, which can be changed at any time; connections take those that they find when
    /// they are accepted.
    pub fn settings(&self) -> &LiveSettings {
        &self.settings
    }

    /// The address with the port that the system chose, if it was to choose.
    pub fn local_address(&self) -> SocketAddr {
        self.address
    }

    /// Accepts until `stop` is cancelled, or until nobody takes what is `accepted`, and closes the
    /// address. While no place is free nobody is accepted, and those who connect wait in the
    /// system's queue; each further listener with the same `places` may take one too many. Those
    /// who connected before that are still accepted if there are places. No failure to accept
    /// ends it while the socket listens. If the future is dropped, the address is closed and those who wait for it
    /// are reset.
    ///
    /// # Errors
    ///
    /// What the runtime says when it cannot watch the socket: then nothing was accepted. What the system
    /// says when the socket no longer listens.
    pub async fn accept(
        self,
        accepted: mpsc::Sender<Accepted>,
        places: Places,
        stop: CancellationToken,
    ) -> io::Result<()> {
        let Self { socket, address, settings } = self;
        let socket = watch(socket)?;
        debug!(%address, "listening");
        let (mut failing, mut full) = (Trouble::default(), Trouble::default());
        loop {
            if !places.are_free() {
                full.tell(|| {
                    let max_connections = places.max();
                    warn!(%address, max_connections, "all places are taken, new clients wait");
                });
                tokio::select! {
                    biased;
                    () = stop.cancelled() => break,
                    () = places.freed() => (),
                }
            }
            let next = tokio::select! {
                biased;
                () = stop.cancelled() => break,
                next = socket.async_io(Interest::READABLE, accept_waiting) => next,
            };
            let next = next
                .and_then(|(stream, client)| make_ready(stream, client, &settings, places.take()));
            match next {
                Ok(next) => {
                    if accepted.send(next).await.is_err() {
                        return Ok(());
                    }
                }
                Err(error) if is_of_one_connection(&error) => {
                    debug!(%address, %error, "a client was gone before it was accepted");
                }
                Err(error) if is_of_the_socket(&error) => return Err(error),
                Err(error) => {
                    failing.tell(|| error!(%address, %error, "cannot accept clients, trying on"));
                    tokio::select! {
                        () = stop.cancelled() => break,
                        () = tokio::time::sleep(BACK_OFF) => (),
                    }
                }
            }
        }
        // To close the address would reset those who have connected already.
        take_waiting(&socket.into_inner(), &accepted, &settings, &places).await;
        info!(%address, "no longer listening");
        Ok(())
    }
}

impl LiveSettings {
    fn new(settings: Settings) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(settings)))
    }

    /// New connections get these from now on; `bind` means nothing here.
    pub fn change(&self, settings: Settings) {
        self.0.store(Arc::new(settings));
    }
}

/// Something that keeps clients waiting: one line a minute tells it, not thirteen a second.
#[derive(Default)]
struct Trouble {
    told_at: Option<Instant>,
}

impl Trouble {
    fn tell(&mut self, log: impl FnOnce()) {
        if self.told_at.is_none_or(|told_at| told_at.elapsed() >= TELL_EVERY) {
            self.told_at = Some(Instant::now());
            log();
        }
    }
}

/// Watches `socket` for those who connect. Not as tokio's listener: that registers what it accepts
/// with its own runtime, and another may have to serve it.
#[expect(
    deprecated,
    reason = "its successor is unsafe and asks that a descriptor stays what it is; a TcpListener's does"
)]
fn watch(socket: TcpListener) -> io::Result<AsyncFd<TcpListener>> {
    AsyncFd::with_interest(socket, Interest::READABLE)
}

/// Accepts those who have connected already, without a runtime: one that has other things to do
/// would say that nobody waits.
async fn take_waiting(
    socket: &TcpListener,
    accepted: &mpsc::Sender<Accepted>,
    settings: &LiveSettings,
    places: &Places,
) {
    for _ in 0..BACKLOG {
        if !places.are_free() {
            return;
        }
        let Ok((stream, client)) = accept_waiting(socket) else { return };
        // One that cannot be taken along is lost, as all behind it would be by a return.
        let Ok(next) = make_ready(stream, client, settings, places.take()) else { continue };
        if accepted.send(next).await.is_err() {
            return;
        }
    }
}

/// Accepts one who has connected already.
///
/// It asks first whether anybody has: accept(2) makes a socket and a file before it looks, and to
/// hear from it that nobody waits costs ten times as much, behind each client who comes alone.
fn accept_waiting(socket: &TcpListener) -> io::Result<(TcpStream, SocketAddr)> {
    let mut asked = [PollFd::new(socket, PollFlags::IN)];
    if rustix::event::poll(&mut asked, Some(&Timespec::default()))? == 0 {
        return Err(io::ErrorKind::WouldBlock.into());
    }
    socket.accept()
}

fn make_ready(
    stream: TcpStream,
    client: SocketAddr,
    settings: &LiveSettings,
    place: Place,
) -> io::Result<Accepted> {
    stream.set_nonblocking(true)?;
    Ok(Accepted {
        stream,
        address: SocketAddr::new(client.ip().to_canonical(), client.port()),
        settings: settings.0.load_full(),
        place,
    })
}

fn open(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    // Else a restart would wait a minute for the old process's closed connections.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Whether a failure to accept says something of one client only: it reset its connection while
/// that waited, or its network is in trouble (accept(2) hands such errors over).
fn is_of_one_connection(error: &io::Error) -> bool {
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

/// Whether the socket no longer listens, which trying again cannot change: another process that has it has
/// shut it down (accept(2): `EINVAL`).
fn is_of_the_socket(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::InvalidInput
}

/// How many clients may wait to be accepted; the system's `somaxconn` may bound it lower. Enough
/// for the reconnect storm behind a node's end until the next round of the loop.
pub const BACKLOG: i32 = 4096;

/// How often trouble that goes on, or comes and goes, is told.
const TELL_EVERY: Duration = Duration::from_mins(1);

/// How long we wait after a failure that concerns all clients: no descriptors, no memory. Those
/// come back when connections end, and to retry at once would burn the core that ends them.
const BACK_OFF: Duration = Duration::from_millis(75);
