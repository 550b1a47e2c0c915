//! From a 101 to a tunnel, which takes over both connections.
//!
//! Runs for every request.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use http::header::{CONTENT_LENGTH, SEC_WEBSOCKET_EXTENSIONS, UPGRADE};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use hyper_util::server::conn::auto;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tracing::debug;

use super::access_log::LogEntry;
use super::body::ResponseBody;
use super::context::{Exchange, Request, Response};
use super::error::ExchangeError;
use super::extended_connect::{self, ExtendedConnect};
use super::headers;
use super::outcome::Switched;
use super::purpose::Purpose;
use super::tunnel_guards::TunnelGuards;
use super::tunnel_log::TunnelLogEntry;
use super::upgrade::put_upgrade;
use crate::Instant;
use crate::engineio::{OpenPacket, SessionBounds};
use crate::net::{
    ConnectionPermit, NetStream, RawSocket, RawStream, StreamHandoff, UpgradeHandoff,
};
use crate::route::UpstreamRoute;
use crate::tasks::Tasks;
use crate::tunnel::{
    self, IdleTimeout, Protocol, ReadOpen, Setup, Side, Stream, set_socket_options,
};
use crate::upstream::{Lease, Node};
use crate::websocket::Extensions;

/// The client's side of a handshake.
#[derive(Debug)]
pub(super) struct ClientSide {
    source: Source,
    /// Set if the handshake came over HTTP/2.
    extended: Option<ExtendedConnect>,
}

/// How the tunnel gets the client's socket.
#[derive(Debug)]
enum Source {
    /// Our own listener hands over the socket.
    Ours(UpgradeHandoff),
    /// Our own listener hands over the stream of an HTTP/2 connection.
    OurStream(StreamHandoff),
    /// Another server releases it when our response was written.
    Foreign(OnUpgrade),
}

impl ClientSide {
    /// Takes the connection's handle from `request`.
    pub(super) fn new(request: &mut Request) -> Self {
        let extensions = request.extensions_mut();
        let extended = extensions.remove();
        let source = if let Some(handoff) = extensions.remove() {
            Source::Ours(handoff)
        } else if let Some(handoff) = extensions.remove() {
            Source::OurStream(handoff)
        } else {
            Source::Foreign(hyper::upgrade::on(request))
        };
        Self { source, extended }
    }

    /// Checks that a response of `node` which is no 101 is none to the client either: any 2xx accepts an
    /// extended CONNECT, and the body would be read as frames (RFC 9110, section 9.3.6).
    ///
    /// # Errors
    ///
    /// [`ExchangeError::BadSwitch`].
    pub(super) fn check_refusal(
        &self,
        status: StatusCode,
        node: &Node,
    ) -> Result<(), ExchangeError> {
        if self.extended.is_none() || !status.is_success() {
            return Ok(());
        }
        let reason = "its status is 2xx, which over HTTP/2 would open a tunnel";
        Err(ExchangeError::BadSwitch { node: node.name().clone(), reason })
    }
}

/// A tunnel that waits for the client's socket.
#[derive(Debug)]
struct PendingTunnel {
    node: NetStream,
    setup: Setup,
    lease: Lease,
    entry: TunnelLogEntry,
    tasks: Tasks,
}

/// Starts the tunnel of a successful handshake, and returns the client's 101, or its 200 over HTTP/2.
pub(super) fn switch(
    exchange: &Exchange<'_>,
    client: ClientSide,
    switched: Switched,
    entry: &LogEntry,
) -> Response {
    let extensions = headers::list(switched.response.headers(), &SEC_WEBSOCKET_EXTENSIONS);
    let extensions = Extensions::agreed(extensions);
    let (mut head, node) = switched.response.into_parts();
    let (route, insight) = (&exchange.route, &exchange.route.insight);
    let upgrade = exchange.session().and_then(|sid| insight.upgrade_accepted(sid, Instant::now()));
    let identity = entry.identity(exchange, upgrade.clone());
    let setup = Setup {
        limits: route.tunnel,
        client_read_ahead: Bytes::new(),
        node_read_ahead: node.read_ahead,
        protocol: protocol(exchange),
        upgrade_progress: upgrade,
        expires_at: exchange.grant.expires_at,
        shutdown: exchange.shared.shutdown.clone(),
        roster_guard: switched.lease.node().roster().enter(identity.clone()),
        counts: route.counts.tunnels.clone(),
        extensions,
    };
    let lease = switched.lease.into_tunnel();
    let ended = exchange.shared.ended.clone();
    let (counts, trace) = (route.counts.clone(), entry.tunnel_trace());
    let entry = TunnelLogEntry { identity, counts, ended, trace };
    let tasks = exchange.shared.tasks.clone();
    let pending = PendingTunnel { node: node.stream, setup, lease, entry, tasks: tasks.clone() };
    match client.source {
        Source::Ours(handoff) => {
            handoff.hand_to(Box::new(|socket| pending.start(socket)));
        }
        Source::OurStream(handoff) => {
            handoff.hand_to(Box::new(|RawStream { stream, permit }| {
                pending.start_with(stream, permit);
            }));
        }
        // Boxed, because what is spawned is moved six times.
        Source::Foreign(on_upgrade) => tasks.spawn(Box::pin(pending.await_client(on_upgrade))),
    }

    match client.extended {
        Some(ExtendedConnect) => extended_connect::accept(&mut head),
        None => {
            let chosen = head.headers.remove(UPGRADE);
            headers::remove_hop_by_hop(&mut head.headers);
            put_upgrade(&mut head.headers);
            if let (Purpose::OtherUpgrade, Some(protocol)) = (exchange.purpose, chosen) {
                head.headers.insert(UPGRADE, protocol);
                // A 101 has none (RFC 9110, section 8.6).
                head.headers.remove(CONTENT_LENGTH);
            }
        }
    }
    Response::from_parts(head, ResponseBody::whole(Bytes::new()))
}

fn protocol(exchange: &Exchange<'_>) -> Protocol {
    match &exchange.call {
        None if exchange.purpose == Purpose::OtherUpgrade => Protocol::Unknown,
        None => Protocol::Plain,
        Some(call) => Protocol::EngineIo {
            silence_max: exchange.bounds.map(SessionBounds::silence_max),
            // A session that began by polling got its open packet there.
            open: call.sid.is_none().then(|| read_open(&exchange.route)),
        },
    }
}

/// Reads the open packet of a session that begins with a WebSocket. If the route's idle timeout is
/// the session's own, the closure captures nothing and needs no memory.
fn read_open(route: &Arc<UpstreamRoute>) -> ReadOpen {
    let timings = |packet: &[u8]| OpenPacket::parse(packet)?.timings;
    ReadOpen(match route.tunnel.idle_timeout {
        IdleTimeout::Auto | IdleTimeout::Off => {
            Box::new(move |packet| Some(timings(packet)?.silence_max()))
        }
        IdleTimeout::After(_) => {
            let route = route.clone();
            Box::new(move |packet| {
                let timings = timings(packet)?;
                route.note_heartbeat(&timings);
                Some(timings.silence_max())
            })
        }
    })
}

impl PendingTunnel {
    /// Waits until the server releases the client's connection, then starts.
    async fn await_client(self, on_upgrade: OnUpgrade) {
        match timeout(UPGRADE_TIMEOUT, on_upgrade).await {
            Ok(Ok(upgraded)) => match raw_socket(upgraded) {
                Ok(socket) => self.start(socket),
                Err(upgraded) => {
                    self.start_with(TokioIo::new(upgraded), ConnectionPermit::default())
                }
            },
            Ok(Err(error)) => debug!(%error, "client disconnected before the 101 response"),
            Err(_) => debug!("client did not read the 101 response in time"),
        }
    }

    fn start(mut self, socket: RawSocket) {
        let RawSocket { stream, read_ahead, permit, options } = socket;
        self.setup.client_read_ahead = read_ahead;
        set_socket_options(&stream, Side::Client, &self.setup.limits, options);
        // Without TLS the sockets themselves, so that no byte pays for the choice.
        match stream {
            NetStream::Plain(stream) => self.start_with(stream, permit),
            stream @ (NetStream::Tls(_) | NetStream::Unix(_)) => self.start_with(stream, permit),
        }
    }

    /// Starts the tunnel as its own task.
    fn start_with<C>(self, client: C, permit: ConnectionPermit)
    where
        C: Stream + Send + 'static,
    {
        let Self { node, setup, lease, entry, tasks } = self;
        set_socket_options(&node, Side::Node, &setup.limits, None);
        let open = setup.counts.open.of(entry.protocol()).begin();
        let guards = TunnelGuards { entry, lease, permit, open };
        match node {
            NetStream::Plain(node) => tasks.spawn(guards.guard(tunnel::run(client, node, setup))),
            node @ (NetStream::Tls(_) | NetStream::Unix(_)) => {
                tasks.spawn(guards.guard(tunnel::run(client, node, setup)));
            }
        }
    }
}

/// A socket that another server does not hand over, for example with TLS.
impl Stream for TokioIo<Upgraded> {}

/// The client's raw socket, if its server is of a known kind.
fn raw_socket(upgraded: Upgraded) -> Result<RawSocket, Upgraded> {
    let upgraded = match upgraded.downcast::<TokioIo<TcpStream>>() {
        Ok(parts) => return Ok(uncounted(parts.io, parts.read_buf)),
        Err(upgraded) => upgraded,
    };
    let parts = auto::upgrade::downcast::<TokioIo<TcpStream>>(upgraded)?;
    Ok(uncounted(parts.io, parts.read_buf))
}

fn uncounted(io: TokioIo<TcpStream>, read_ahead: Bytes) -> RawSocket {
    RawSocket {
        stream: io.into_inner().into(),
        read_ahead,
        permit: ConnectionPermit::default(),
        options: None,
    }
}

/// How long a client may take to accept the 101 that it asked for.
const UPGRADE_TIMEOUT: Duration = Duration::from_secs(10);
