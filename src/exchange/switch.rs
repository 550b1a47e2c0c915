//! From a 101 to a tunnel: both connections are taken out of hyper.
//!
//! Runs for every request.

use std::time::Duration;

use bytes::Bytes;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use hyper_util::server::conn::auto;
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

/// The client's side of a connection that is about to be upgraded.
#[derive(Debug)]
pub(super) struct ClientSide {
    /// Resolves once our 101 was written.
    on_upgrade: OnUpgrade,
    /// How our own listener gives back its socket; other servers have none.
    takeover: Option<Takeover>,
}

impl ClientSide {
    /// Takes from `request` what its server knows of the connection.
    pub(super) fn of(request: &mut Request) -> Self {
        Self {
            on_upgrade: hyper::upgrade::on(&mut *request),
            takeover: request.extensions_mut().remove(),
        }
    }
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
    // In a box, for what is spawned is moved six times.
    let begin = Box::pin(begin(client, node.stream, setup, (lease, entry), tasks));
    asking.proxy.0.tasks.spawn(begin);

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
            host = %route.host, path = %route.path, ?idle_timeout,
            ping_interval = ?timings.ping_interval, ping_timeout = ?timings.ping_timeout,
            "idle_timeout is shorter than the heartbeat of its sessions: write auto"
        );
    }
}

fn read_open(packet: &[u8]) -> Option<Timings> {
    OpenPacket::of_packet(packet).map(|open| open.timings)
}

/// Waits until the client's connection is free of hyper, then starts the tunnel as a task of its
/// own: this one is larger, and soon over.
async fn begin(
    client: ClientSide,
    node: TcpStream,
    mut setup: Setup,
    (lease, entry): (Lease, TunnelEntry),
    tasks: Tasks,
) {
    let on_client = match timeout(TAKEOVER_TIMEOUT, client.on_upgrade).await {
        Ok(Ok(upgraded)) => upgraded,
        Ok(Err(error)) => return debug!(%error, "the client left before its 101"),
        Err(_) => return debug!("the client did not take its 101"),
    };
    let open = setup.counts.open.begin();
    sockets::tune(&node, Side::Node, &setup.limits);
    match take_socket(on_client, client.takeover) {
        Ok(RawSocket { stream, read_ahead, place }) => {
            setup.client_read_ahead = read_ahead;
            sockets::tune(&stream, Side::Client, &setup.limits);
            let tenure = Tenure { entry, lease, place, open };
            tasks.spawn(tenure.of(tunnel::run(stream, node, setup)));
        }
        Err(upgraded) => {
            let tenure = Tenure { entry, lease, place: Place::default(), open };
            tasks.spawn(tenure.of(tunnel::run(TokioIo::new(upgraded), node, setup)));
        }
    }
}

/// The client's raw socket, if its server is one that we know.
fn take_socket(upgraded: Upgraded, takeover: Option<Takeover>) -> Result<RawSocket, Upgraded> {
    let upgraded = match takeover {
        Some(Takeover(take)) => match take(upgraded) {
            Ok(socket) => return Ok(socket),
            Err(upgraded) => upgraded,
        },
        None => upgraded,
    };
    let upgraded = match upgraded.downcast::<TokioIo<TcpStream>>() {
        Ok(parts) => {
            return Ok(RawSocket {
                stream: parts.io.into_inner(),
                read_ahead: parts.read_buf,
                place: Place::default(),
            });
        }
        Err(upgraded) => upgraded,
    };
    let parts = auto::upgrade::downcast::<TokioIo<TcpStream>>(upgraded)?;
    Ok(RawSocket {
        stream: parts.io.into_inner(),
        read_ahead: parts.read_buf,
        place: Place::default(),
    })
}

/// How long a client may take to accept the 101 that it asked for.
const TAKEOVER_TIMEOUT: Duration = Duration::from_secs(10);
