//! What is below HTTP on a client's connection: the TLS handshake, and which version of HTTP follows.
//!
//! Runs for every request.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpStream;

use super::idle::OfListener;
use super::settings::{Http2, ProxyProtocol};
use super::{ConnectionEnd, Settings, prior_knowledge};
use crate::metrics::TlsHandshakes;
use crate::net::{ClientInfo, NetStream, Scheme};
use crate::shutdown::ShutdownWatch;
use crate::tls::{accept, client_certificate};

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
        let client = socket_client(address, settings);
        Self { stream: socket.into(), client, http: HttpVersion::Http1 }
    }

    /// Whether a connection with these settings is ready for HTTP/1 as it is accepted.
    pub(super) fn is_plain(settings: &Settings) -> bool {
        settings.tls.is_none()
            && settings.http2 == Http2::Off
            && settings.proxy_protocol == ProxyProtocol::Off
    }

    /// Reads what comes before HTTP and behind a PROXY header, for a client as [`identify`] says. Ends by a
    /// deadline. If the future is dropped, the socket is closed.
    ///
    /// [`identify`]: super::proxy_protocol::identify
    ///
    /// # Errors
    ///
    /// The end of the connection, which is closed.
    pub(super) async fn open(
        socket: TcpStream,
        client: ClientInfo,
        settings: &Settings,
        (shutdown, counts, idle): (&ShutdownWatch, &TlsHandshakes, &OfListener),
    ) -> Result<Self, ConnectionEnd> {
        let Some(tls) = &settings.tls else {
            let http = prior_knowledge::detect(&socket, settings, shutdown, idle).await?;
            return Ok(Self { stream: socket.into(), client, http });
        };
        let stream = accept(socket, tls, counts).await.map_err(ConnectionEnd::Handshake)?;
        let session = stream.get_ref().1;
        let http = match session.alpn_protocol() {
            Some(b"h2") => HttpVersion::Http2,
            // Clients without ALPN speak HTTP/1 (RFC 9113, section 3.2).
            Some(_) | None => HttpVersion::Http1,
        };
        let shown =
            session.peer_certificates().and_then(|chain| client_certificate(chain.first()?));
        let certificate = shown.map(Arc::new);
        let client = ClientInfo { scheme: Scheme::Https, certificate, ..client };
        Ok(Self { stream: NetStream::Tls(stream), client, http })
    }
}

/// The other end of a socket, without TLS.
pub(super) fn socket_client(address: SocketAddr, settings: &Settings) -> ClientInfo {
    ClientInfo {
        address,
        scheme: Scheme::Http,
        trusted_proxies: settings.trusted_proxies.clone(),
        certificate: None,
        redirect_to: settings.redirect_http,
    }
}
