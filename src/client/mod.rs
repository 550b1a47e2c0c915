//! Who connected, and what the listener lends to those who speak to it.
//!
//! Runs for every request.

mod places;

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use hyper::upgrade::Upgraded;
use ipnet::IpNet;
use tokio::net::TcpStream;

pub use places::{Place, Places};

/// Who sent a request, as the listener saw it.
///
/// The listener puts it into each request's extensions; an embedder that serves the proxy from
/// another HTTP server does the same, see `examples/embed.rs`.
#[derive(Clone, Debug)]
pub struct ClientInfo {
    /// The other end of the connection.
    pub address: SocketAddr,
    /// Whether the connection is TLS: `X-Forwarded-Proto` is made of it.
    pub scheme: Scheme,
    /// Whose `X-Forwarded-*` and `Forwarded` fields are believed.
    pub trusted_proxies: Arc<[IpNet]>,
}

/// How a client speaks to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// Plain TCP.
    Http,
    /// TLS.
    Https,
}

impl Scheme {
    /// The scheme as `X-Forwarded-Proto` and `Forwarded` write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

impl ClientInfo {
    /// A client at `address` without TLS, before which no proxy is trusted.
    pub fn plain(address: SocketAddr) -> Self {
        Self { address, scheme: Scheme::Http, trusted_proxies: Arc::new([]) }
    }

    /// Whether the connection comes from a proxy that the operator trusts.
    pub fn is_trusted(&self) -> bool {
        is_in(&self.trusted_proxies, self.address.ip())
    }
}

/// How a tunnel gets the client's socket out of what hyper hands over.
///
/// The listener puts it into the extensions of each request that asks for an upgrade: it alone
/// knows what it has wrapped the socket in. Gives the [`Upgraded`] back if that came from elsewhere.
#[derive(Clone, Copy, Debug)]
pub struct Takeover(pub fn(Upgraded) -> Result<RawSocket, Upgraded>);

/// A client's socket without HTTP.
#[derive(Debug)]
pub struct RawSocket {
    /// The socket.
    pub stream: TcpStream,
    /// What was read from it already: it comes before what the socket will give.
    pub read_ahead: Bytes,
    /// To be kept for as long as the socket is.
    pub place: Place,
}

/// Whether `address` is in one of `networks`; IPv4-mapped IPv6 addresses count as IPv4.
pub fn is_in(networks: &[IpNet], address: std::net::IpAddr) -> bool {
    let address = address.to_canonical();
    networks.iter().any(|network| network.contains(&address))
}
