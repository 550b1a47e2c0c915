//! From a 101 to a tunnel, which takes both connections over.
//!
//! Runs for every request.

use std::time::Duration;

use bytes::Bytes;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tracing::{debug, warn};

use super::access_log::TunnelEntry;
use super::asking::Asking;
use super::sockets;
use super::tenure::Tenure;
use super::upgrade::{Switched, put_upgrade};
use super::{Request, Response, ResponseBody, headers};
use crate::Instant;
use crate::client::{Place, RawSocket, Takeover};
use crate::drain::Tasks;
use crate::engineio::{OpenPacket, Timings};
use crate::route::Route;
use crate::tunnel::{self, IdleTimeout, Kind, ReadOpen, Setup, Side};
use crate::upstream::Lease;

/// How the client's socket comes to the tunnel.
#[derive(Debug)]
pub(super) enum ClientSide {
    /// Our own listener hands it over.
    Ours(Takeover),
    /// Another server's comes when our 101 was written.
    Foreign(OnUpgrade),
}

impl ClientSide {
    /// Takes from `request` what its server knows of the connection.
    pub(super) fn of(request: &mut Request) -> Self {
        match request.extensions_mut().remove() {
            Some(takeover) => Self::Ours(takeover),
            None => Self::Foreign(hyper::upgrade::on(request)),
        }
    }
}

/// A tunnel that waits for the client's socket.
#[derive(Debug)]
struct Beginning {
    node: TcpStream,
    setup: Setup,
    lease: Lease,
    entry: TunnelEntry,
    tasks: Tasks,
}

/// Starts the tunnel of a handshake that succeeded, and makes the client's 101.
pub(super) fn switch(
    asking: &Asking<'_>,
    client: ClientSide,
    switched: Switched,
    entry: TunnelEntry,
) -> Response {
    let compression = switched.compression();
    let (mut head, node) = switched.response.into_parts();
    if asking.call.is_some() {
        tell_contradiction(&asking.route, &switched.lease);
    }
    let insight = &asking.route.insight;
    let setup = Setup {
        limits: asking.route.tunnel,
        client_read_ahead: Bytes::new(),
        node_read_ahead: node.read_ahead,
        kind: kind(asking, &switched.lease),
        upgrading: asking.session().and_then(|sid| insight.switched(sid, Instant::now())),
        drain: asking.proxy.0.drain.clone(),
        occupant: switched.lease.node().roster().enter(Instant::now()),
        counts: asking.route.counts.tunnels.clone(),
        compression,
    };
    let lease = switched.lease.into_tunnel();
    let tasks = asking.proxy.0.tasks.clone();
    let beginning = Beginning { node: node.stream, setup, lease, entry, tasks: tasks.clone() };
    match client {
        ClientSide::Ours(takeover) => {
            takeover.leave_to(Box::new(|socket| beginning.begin(socket)));
        }
        // In a box, for what is spawned is moved six times.
        ClientSide::Foreign(on_upgrade) => {
            tasks.spawn(Box::pin(beginning.await_client(on_upgrade)))
        }
    }

    headers::remove_hop_by_hop(&mut head.headers);
    put_upgrade(&mut head.headers);
    // The handle of the node's connection, which is of no use to the client's.
    head.extensions.remove::<OnUpgrade>();
    Response::from_parts(head, ResponseBody::whole(Bytes::new()))
}

fn kind(asking: &Asking<'_>, lease: &Lease) -> Kind {
    match &asking.call {
        None => Kind::Plain,
        Some(call) => Kind::EngineIo {
            learned: lease.node().learned().clone(),
            // A session that began by polling had its open packet there.
            open: call.sid.is_none().then_some(read_open as ReadOpen),
        },
    }
}

/// Says, once for each route, that its idle timeout cuts sessions that are well: both ends may be
/// silent for longer. Of clients that begin with a WebSocket, the second one tells, for the first
/// one's handshake has yet to come.
fn tell_contradiction(route: &Route, lease: &Lease) {
    let (IdleTimeout::After(idle_timeout), Some(timings)) =
        (route.tunnel.idle_timeout, lease.node().learned().told())
    else {
        return;
    };
    let heartbeat = timings.ping_interval.saturating_add(timings.ping_timeout);
    if idle_timeout < heartbeat && route.counts.tunnels.idle_contradictions.inc() == 0 {
        warn!(
            host = %route.host, path = %route.path,
            idle_timeout_seconds = idle_timeout.as_secs_f64(),
            ping_interval_seconds = timings.ping_interval.as_secs_f64(),
            ping_timeout_seconds = timings.ping_timeout.as_secs_f64(),
            "idle_timeout is shorter than the heartbeat of its sessions: write auto"
        );
    }
}

fn read_open(packet: &[u8]) -> Option<Timings> {
    OpenPacket::of_packet(packet).map(|open| open.timings)
}

impl Beginning {
    /// Waits until the client's connection is free of its server, then begins.
    async fn await_client(self, on_upgrade: OnUpgrade) {
        match timeout(TAKEOVER_TIMEOUT, on_upgrade).await {
            Ok(Ok(upgraded)) => match raw_socket(upgraded) {
                Ok(socket) => self.begin(socket),
                Err(upgraded) => self.begin_over(TokioIo::new(upgraded), Place::default()),
            },
            Ok(Err(error)) => debug!(%error, "the client left before its 101"),
            Err(_) => debug!("the client did not take its 101"),
        }
    }

    fn begin(mut self, socket: RawSocket) {
        let RawSocket { stream, read_ahead, place, options } = socket;
        self.setup.client_read_ahead = read_ahead;
        sockets::tune(&stream, Side::Client, &self.setup.limits, options);
        self.begin_over(stream, place);
    }

    /// Starts the tunnel as a task of its own, which holds nothing that it does not need.
    fn begin_over<C>(self, client: C, place: Place)
    where
        C: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let Self { node, setup, lease, entry, tasks } = self;
        sockets::tune(&node, Side::Node, &setup.limits, None);
        let open = setup.counts.open.begin();
        let tenure = Tenure { entry, lease, place, open };
        tasks.spawn(tenure.of(tunnel::run(client, node, setup)));
    }
}

/// The client's raw socket, if it came from a server that we know.
fn raw_socket(upgraded: Upgraded) -> Result<RawSocket, Upgraded> {
    let upgraded = match upgraded.downcast::<TokioIo<TcpStream>>() {
        Ok(parts) => return Ok(uncounted(parts.io, parts.read_buf)),
        Err(upgraded) => upgraded,
    };
    let parts = auto::upgrade::downcast::<TokioIo<TcpStream>>(upgraded)?;
    Ok(uncounted(parts.io, parts.read_buf))
}

fn uncounted(io: TokioIo<TcpStream>, read_ahead: Bytes) -> RawSocket {
    RawSocket { stream: io.into_inner(), read_ahead, place: Place::default(), options: None }
}

/// How long a client may take to accept the 101 that it asked for.
const TAKEOVER_TIMEOUT: Duration = Duration::from_secs(10);
