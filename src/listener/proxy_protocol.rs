//! The PROXY header that a balancer sends before the first byte of a client's connection.
//!
//! It is read from trusted proxies only: anyone who writes one can name any client. Exactly its own bytes
//! are taken; those of TLS or HTTP behind it stay in the socket.
//!
//! Runs for every request.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tracing::debug;

use super::deadlines::LAST_REQUEST_TIMEOUT;
use super::settings::ProxyProtocol;
use super::transport::socket_client;
use super::{ConnectionEnd, Settings};
use crate::net::proxy_header::{Details, Fault, LENGTH_MAX, Origin, Parsed, ProxyHeader, parse};
use crate::net::{ClientInfo, Scheme, is_in, peek_more};
use crate::shutdown::ShutdownWatch;

/// Why the client of a connection is not known, so that the connection is closed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProxyHeaderError {
    /// A header is required, and the other end may not send one.
    #[error("a PROXY header is required, and accepted from trusted_proxies only")]
    Untrusted,
    /// A header is required, and the connection begins with something else.
    #[error("a PROXY header is required, and the connection begins otherwise")]
    Missing,
    /// What begins as a header is none.
    #[error("the PROXY header is malformed: {0}")]
    Malformed(Fault),
    /// The connection ended within the header.
    #[error("the connection ended within the PROXY header")]
    Truncated,
    /// The socket failed within the header.
    #[error("the connection failed before the PROXY header was complete")]
    Failed(#[from] io::Error),
    /// The header did not come within `header_timeout`.
    #[error("the PROXY header was not complete in time")]
    TimedOut,
    /// The other end left without a byte, as health checks by TCP do.
    #[error("the connection ended without a byte")]
    Left,
}

impl ProxyHeaderError {
    /// The name in metrics.
    pub(crate) fn label(&self) -> &'static str {
        match self {
            Self::Untrusted => "proxy_header_untrusted",
            Self::Missing => "proxy_header_missing",
            Self::Malformed(_) | Self::Truncated => "proxy_header_invalid",
            Self::TimedOut => "slow_proxy_header",
            Self::Left | Self::Failed(_) => "closed",
        }
    }
}

impl From<ProxyHeaderError> for ConnectionEnd {
    fn from(error: ProxyHeaderError) -> Self {
        Self::Unidentified(error)
    }
}

/// Who is at the other end of `socket`, by the header that it begins with, if it has one. Ends within
/// `header_timeout`, and a second after the shutdown began.
///
/// # Errors
///
/// The client is not known.
pub(super) async fn identify(
    socket: &mut TcpStream,
    address: SocketAddr,
    settings: &Settings,
    shutdown: &ShutdownWatch,
) -> Result<ClientInfo, ConnectionEnd> {
    let socket_client = socket_client(address, settings);
    let is_required = match settings.proxy_protocol {
        ProxyProtocol::Off => return Ok(socket_client),
        ProxyProtocol::Optional => false,
        ProxyProtocol::Required => true,
    };
    match is_in(&settings.trusted_proxies, address.ip()) {
        true => (),
        false if is_required => return Err(ProxyHeaderError::Untrusted.into()),
        // The bytes of a header are a bad request to HTTP and TLS.
        false => return Ok(socket_client),
    }
    let taken = tokio::select! {
        taken = timeout(settings.header_timeout, take_header(socket)) => taken,
        () = last_request_over(shutdown) => return Err(ConnectionEnd::Idle),
    };
    let header = match taken {
        Ok(header) => header?,
        Err(_) if is_required => return Err(ProxyHeaderError::TimedOut.into()),
        // What has come is still in the socket, and is judged by what reads it next.
        Err(_) => None,
    };
    match header {
        Some(header) => {
            log(address, &header);
            Ok(client_of(&header, socket_client))
        }
        None if is_required => Err(ProxyHeaderError::Missing.into()),
        None => Ok(socket_client),
    }
}

/// Waits until the shutdown has left a balancer the time that an idle client has for a last request.
async fn last_request_over(shutdown: &ShutdownWatch) {
    shutdown.clone().begun().await;
    sleep(LAST_REQUEST_TIMEOUT).await;
}

/// Takes the header from the socket; `None` if the connection begins otherwise.
async fn take_header(socket: &mut TcpStream) -> Result<Option<Box<ProxyHeader>>, ProxyHeaderError> {
    let mut buffer = vec![0; LENGTH_MAX];
    let mut known = 0;
    loop {
        let length = peek_more(socket, known, &mut buffer).await?;
        match parse(&buffer[..length]).map_err(ProxyHeaderError::Malformed)? {
            Parsed::Header { header, length } => {
                socket.read_exact(&mut buffer[..length]).await?;
                return Ok(Some(header));
            }
            Parsed::Absent => return Ok(None),
            Parsed::NeedMore if length == 0 => return Err(ProxyHeaderError::Left),
            Parsed::NeedMore if length == known => return Err(ProxyHeaderError::Truncated),
            Parsed::NeedMore => known = length,
        }
    }
}

/// The client that a header names; the balancer at the other end of the socket is `balancer`.
fn client_of(header: &ProxyHeader, balancer: ClientInfo) -> ClientInfo {
    // A balancer that ends TLS and tells us speaks for a client with TLS.
    let client = match header.details.tls {
        Some(_) => ClientInfo { scheme: Scheme::Https, redirect_to: None, ..balancer },
        None => balancer,
    };
    match header.origin {
        Origin::Balancer => client,
        Origin::Client { source, .. } => ClientInfo { address: source, ..client },
        // A stranger behind a trusted address: what it claims of itself is not believed.
        Origin::Unknown => ClientInfo { trusted_proxies: Arc::new([]), ..client },
    }
}

fn log(balancer: SocketAddr, header: &ProxyHeader) {
    let Details { authority, unique_id, aws_vpc_endpoint, tls } = &header.details;
    let client = match header.origin {
        Origin::Client { source, .. } => Some(source),
        Origin::Balancer | Origin::Unknown => None,
    };
    let tls = tls.as_ref();
    debug!(
        %balancer,
        client = client.map(tracing::field::display),
        balancer_id = unique_id.as_ref().map(tracing::field::display),
        server_name = authority.as_ref().map(tracing::field::display),
        aws_vpc_endpoint = aws_vpc_endpoint.as_ref().map(tracing::field::display),
        tls_version = tls.and_then(|tls| tls.version.as_ref()).map(tracing::field::display),
        tls_cipher = tls.and_then(|tls| tls.cipher.as_ref()).map(tracing::field::display),
        client_certificate = tls.and_then(|tls| tls.common_name.as_ref()).map(tracing::field::display),
        client_verified = tls.map(|tls| tls.is_client_verified),
        "PROXY header read"
    );
}
