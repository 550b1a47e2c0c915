//! A client's connection from its first byte until it closes or becomes a tunnel.
//!
//! Runs for every request.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;
use tokio::net::TcpStream;

use super::head_guard::Fault;
use super::http2::{Flood, StreamService};
use super::proxy_protocol::{ProxyHeaderError, identify};
use super::served::ClientService;
use super::transport::{HttpVersion, Transport};
use super::{Accepted, http1, http2};
use crate::metrics::Connections;
use crate::net::{ClientInfo, ClientNetwork, ConnectionPermit, is_in};
use crate::shutdown::ShutdownWatch;
use crate::tasks::Tasks;
use crate::tls::HandshakeFailure;

/// Why the listener no longer serves a connection.
#[derive(Debug)]
pub(crate) enum ConnectionEnd {
    /// It became a tunnel, which owns the socket now.
    Upgraded,
    /// Closed between requests: by the client, after an answer that announced it, or because the
    /// shutdown began.
    Closed,
    /// Closed after the answer to the last of `keep_alive_requests`.
    Spent,
    /// No request came within `keep_alive_timeout`, or in time after the shutdown began.
    Idle,
    /// It had been idle for long, and a new client needed its place: `max_connections` was reached.
    Replaced,
    /// A head was not complete within `header_timeout`; answered with 408.
    SlowHead,
    /// The client stopped sending a body or reading an answer.
    Stalled,
    /// The guard refused a request; answered with 400 or 431.
    Refused(Fault),
    /// The PROXY header, which names the client, is missing or wrong.
    Unidentified(ProxyHeaderError),
    /// The client that a PROXY header names is in a network with as many connections as it may have.
    Crowded(ClientNetwork),
    /// There is no TLS session, and why.
    Handshake(HandshakeFailure),
    /// The socket could not be registered with this worker's runtime.
    Lost(io::Error),
    /// The client sent too many frames that cost work.
    Flooded(Flood),
    /// The client broke a rule of HTTP/2 and got a GOAWAY, or the socket failed.
    Http2Failed(h2::Error),
    /// hyper refused a request (answered with 400, 414 or 431), the client left during a request, or the
    /// socket failed.
    Failed(hyper::Error),
}

impl ConnectionEnd {
    /// The name in metrics.
    pub(crate) fn label(&self) -> &'static str {
        match self {
            Self::Upgraded => "upgraded",
            Self::Closed => "closed",
            Self::Spent => "request_limit",
            Self::Idle => "idle",
            Self::Replaced => "replaced",
            Self::SlowHead => "slow_head",
            Self::Stalled => "stalled",
            Self::Refused(_) => "refused",
            Self::Unidentified(error) => error.label(),
            Self::Crowded(_) => "client_limit",
            Self::Handshake(_) => "tls_handshake",
            Self::Lost(_) => "lost",
            Self::Flooded(_) => "flooded",
            Self::Failed(_) | Self::Http2Failed(_) => "failed",
        }
    }

    /// What was wrong. `None` if nothing was.
    pub(crate) fn reason(&self) -> Option<String> {
        match self {
            Self::Refused(fault) => Some(fault.to_string()),
            Self::Unidentified(error) => Some(error.to_string()),
            Self::Crowded(network) => Some(format!("{network} has too many connections")),
            Self::Handshake(failure) => Some(failure.to_string()),
            Self::Lost(error) => Some(error.to_string()),
            Self::Flooded(flood) => Some(flood.to_string()),
            Self::Http2Failed(error) => Some(error.to_string()),
            Self::Failed(error) => Some(error.to_string()),
            Self::Upgraded
            | Self::Closed
            | Self::Spent
            | Self::Idle
            | Self::Replaced
            | Self::SlowHead
            | Self::Stalled => None,
        }
    }
}

/// Serves the requests of one connection until its end. The permit of `accepted` goes to the tunnel
/// if the connection becomes one. The streams of HTTP/2 run in `tasks`.
///
/// When the shutdown begins, a busy connection closes after its answer, which announces it, and an idle
/// one has a second for a last request. The owner of the task cuts it at the shutdown's deadline. If the
/// future is dropped, the connection closes and an answer under way is truncated.
///
/// # Panics
///
/// Outside of a tokio runtime with its timer enabled.
pub(crate) fn serve<S: ClientService>(
    accepted: Accepted,
    service: S,
    tasks: &Tasks,
    shutdown: &ShutdownWatch,
    counts: &Arc<Connections>,
) -> impl Future<Output = ConnectionEnd> + Send + use<S> {
    let Accepted { stream, address, settings, permit, idle } = accepted;
    let mut socket = match TcpStream::from_std(stream) {
        Ok(socket) => socket,
        Err(error) => {
            return Serving::Opened { future: Box::pin(async { ConnectionEnd::Lost(error) }) };
        }
    };
    if Transport::is_plain(&settings) {
        let transport = Transport::plain(socket, address, &settings);
        let serving = http1::serve(transport, &settings, permit, service, shutdown);
        idle.add(serving.as_idle());
        return Serving::Plain { serving };
    }
    let (tasks, shutdown, counts) = (tasks.clone(), shutdown.clone(), counts.clone());
    Serving::Opened {
        future: Box::pin(async move {
            let identified = identify(&mut socket, address, &settings, &shutdown).await;
            let counted = identified.and_then(|client| count_in_network(client, address, permit));
            let (client, permit) = match counted {
                Ok(counted) => counted,
                Err(end) => return end,
            };
            let known = (&shutdown, &counts.tls, &idle);
            let opened = Transport::open(socket, client, &settings, known);
            let transport = match opened.await {
                Ok(transport) => transport,
                Err(end) => return end,
            };
            match transport.http {
                HttpVersion::Http1 => {
                    let serving = http1::serve(transport, &settings, permit, service, &shutdown);
                    idle.add(serving.as_idle());
                    serving.await
                }
                HttpVersion::Http2 => {
                    let streams = StreamService { service, tasks };
                    let serving = http2::serve(transport, &settings, permit, streams, &shutdown);
                    idle.add(serving.as_idle());
                    serving.await
                }
            }
        }),
    }
}

/// Counts a client that a PROXY header has named against its network: the accept loop knew only the
/// address of the balancer, which was `address`. Another proxy has the connections of many clients.
fn count_in_network(
    client: ClientInfo,
    address: SocketAddr,
    permit: ConnectionPermit,
) -> Result<(ClientInfo, ConnectionPermit), ConnectionEnd> {
    let ip = client.address.ip();
    let is_counted = client.address == address || is_in(&client.trusted_proxies, ip);
    let permit = if is_counted { Ok(permit) } else { permit.of_network(ip) };
    Ok((client, permit.map_err(ConnectionEnd::Crowded)?))
}

pin_project! {
    /// The future of [`serve`].
    #[project = ServingProjection]
    enum Serving<S: ClientService> {
        /// HTTP/1 on a socket as it was accepted: no box, and no state of what comes before HTTP.
        Plain {
            #[pin]
            serving: http1::Serving<S>,
        },
        /// Something comes before HTTP.
        Opened { future: Pin<Box<dyn Future<Output = ConnectionEnd> + Send>> },
    }
}

impl<S: ClientService> Future for Serving<S> {
    type Output = ConnectionEnd;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<ConnectionEnd> {
        match self.project() {
            ServingProjection::Plain { serving } => serving.poll(cx),
            ServingProjection::Opened { future } => future.as_mut().poll(cx),
        }
    }
}
