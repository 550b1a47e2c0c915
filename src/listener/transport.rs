//! What is below HTTP on a client's connection: the TLS handshake, and which version of HTTP follows.
//!
//! Runs for every request.

use std::net::SocketAddr;

use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::{TlsAcceptor, TlsStream};

use super::settings::Http2;
use super::{ConnectionEnd, Settings, prior_knowledge};
use crate::net::{ClientInfo, NetStream, Scheme};
use crate::shutdown::ShutdownWatch;
use crate::tls::ServerTls;

/// A connection that is ready for HTTP.
#[derive(Debug)]
pub(super) struct Transport {
    pub(super) stream: NetStream,
    pub(super) client: ClientInfo,
    pub(super) http: HttpVersion,
}

/// The version of HTTP that follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HttpVersion {
    Http1,
    Http2,
}

impl Transport {
    /// HTTP/1 on the socket itself.
    pub(super) fn plain(socket: TcpStream, address: SocketAddr, settings: &Settings) -> Self {
        let client = client_info(address, Scheme::Http, settings);
        Self { stream: socket.into(), client, http: HttpVersion::Http1 }
    }

    /// Whether a connection with these settings is ready for HTTP/1 as it is accepted.
    pub(super) fn is_plain(settings: &Settings) -> bool {
        settings.tls.is_none() && settings.http2 == Http2::Off
    }

    /// Reads what comes before HTTP. Ends by a deadline. If the future is dropped, the socket is closed.
    ///
    /// # Errors
    ///
    /// The end of the connection, which is closed.
    pub(super) async fn open(
        socket: TcpStream,
        address: SocketAddr,
        settings: &Settings,
        shutdown: &ShutdownWatch,
    ) -> Result<Self, ConnectionEnd> {
        let Some(tls) = &settings.tls else {
            let http = prior_knowledge::detect(&socket, settings, shutdown).await?;
            return Ok(Self { http, ..Self::plain(socket, address, settings) });
        };
        let stream = accept_tls(socket, tls).await?;
        let http = match stream.get_ref().1.alpn_protocol() {
            Some(b"h2") => HttpVersion::Http2,
            // Clients without ALPN speak HTTP/1 (RFC 9113, section 3.2).
            Some(_) | None => HttpVersion::Http1,
        };
        let client = client_info(address, Scheme::Https, settings);
        Ok(Self { stream: NetStream::Tls(stream), client, http })
    }
}

/// Boxed: whatever holds the stream is moved several times, and the stream is ten times the size of a
/// socket.
async fn accept_tls(
    socket: TcpStream,
    tls: &ServerTls,
) -> Result<Box<TlsStream<TcpStream>>, ConnectionEnd> {
    let accepted = TlsAcceptor::from(tls.config().clone()).accept(socket);
    match timeout(tls.handshake_timeout, accepted).await {
        Ok(Ok(stream)) => Ok(Box::new(stream.into())),
        Ok(Err(error)) => Err(ConnectionEnd::HandshakeFailed(error)),
        Err(_) => Err(ConnectionEnd::SlowHandshake),
    }
}

fn client_info(address: SocketAddr, scheme: Scheme, settings: &Settings) -> ClientInfo {
    ClientInfo { address, scheme, trusted_proxies: settings.trusted_proxies.clone() }
}
