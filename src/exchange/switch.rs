//! From a 101 to a tunnel: both connections are taken out of hyper.
//!
//! Runs for every request.

use std::time::Duration;

use bytes::Bytes;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use hyper_util::server::conn::auto;
use socket2::SockRef;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tracing::debug;

use super::access_log::Entry;
use super::upgrade::{Switched, put_upgrade};
use super::{Asking, Request, Response, ResponseBody, headers};
use crate::client::{Place, RawSocket, Takeover};
use crate::engineio::{OpenPacket, Timings};
use crate::tunnel::{self, Kind, ReadOpen, Setup};
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
    mut switched: Switched,
    entry: Entry,
) -> Response {
    let on_node = hyper::upgrade::on(&mut switched.response);
    let setup = Setup {
        limits: asking.route.tunnel,
        client_read_ahead: Bytes::new(),
        node_read_ahead: Bytes::new(),
        kind: kind(asking, &switched.lease),
        drain: asking.proxy.drain.clone(),
        counts: asking.route.counts.tunnels.clone(),
        compression: switched.compression(),
    };
    let lease = switched.lease.into_tunnel();
    asking.proxy.tasks.spawn(begin(client, on_node, setup, lease, entry));

    let (mut head, _) = switched.response.into_parts();
    headers::remove_hop_by_hop(&mut head.headers);
    put_upgrade(&mut head.headers);
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

fn read_open(packet: &[u8]) -> Option<Timings> {
    OpenPacket::of_packet(packet).map(|open| open.timings)
}

/// Waits until both connections are free of hyper, then runs the tunnel to its end.
async fn begin(
    client: ClientSide,
    on_node: OnUpgrade,
    mut setup: Setup,
    lease: Lease,
    entry: Entry,
) {
    let upgraded = async { tokio::try_join!(client.on_upgrade, on_node) };
    let (on_client, on_node) = match timeout(TAKEOVER_TIMEOUT, upgraded).await {
        Ok(Ok(both)) => both,
        Ok(Err(error)) => return debug!(%error, "the client left before its 101"),
        Err(_) => return debug!("the client did not take its 101"),
    };
    let Ok(node) = on_node.downcast::<TokioIo<TcpStream>>() else {
        unreachable!("the pool opens connections to nodes over TCP only")
    };
    let _open = setup.counts.open.begin();
    setup.node_read_ahead = node.read_buf;
    let node = node.io.into_inner();
    let report = match take_socket(on_client, client.takeover) {
        Ok(socket) => {
            setup.client_read_ahead = socket.read_ahead;
            keep_little_unsent(&socket.stream, setup.limits.buffer_bytes);
            keep_little_unsent(&node, setup.limits.buffer_bytes);
            let _place = socket.place;
            tunnel::run(socket.stream, node, setup).await
        }
        // Boxed, for it is large and rare, and every tunnel's task would be as large.
        Err(upgraded) => Box::pin(tunnel::run(TokioIo::new(upgraded), node, setup)).await,
    };
    entry.tunnel_ended(lease.node().name(), &report);
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

/// Lets the kernel take little more than what is on its way: else megabytes hide there for each
/// slow client, and a write tells of progress only in steps of half a minute.
fn keep_little_unsent(stream: &TcpStream, bytes: usize) {
    let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
    // A system without the option keeps what it likes.
    let _ = SockRef::from(stream).set_tcp_notsent_lowat(bytes);
}

/// How long a client may take to accept the 101 that it asked for.
const TAKEOVER_TIMEOUT: Duration = Duration::from_secs(10);
