//! The client of a request.
//!
//! Runs for every request.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use ipnet::IpNet;

/// The client of a request, as the listener saw it.
///
/// The listener puts it into each request's extensions; an embedder that serves the proxy from
/// another HTTP server does the same, see `examples/embed.rs`.
#[derive(Clone, Debug)]
pub struct ClientInfo {
    /// The other end of the connection, or the client that a PROXY header of a trusted proxy names.
    pub address: SocketAddr,
    /// Whether the client's connection is TLS. `X-Forwarded-Proto` has this value.
    pub scheme: Scheme,
    /// The networks whose `X-Forwarded-*` and `Forwarded` fields are trusted.
    pub trusted_proxies: Arc<[IpNet]>,
    /// The certificate that the client has shown, verified.
    pub certificate: Option<Arc<ClientCertificate>>,
    /// The port of https to which requests are redirected instead of being served.
    pub redirect_to: Option<u16>,
}

/// The certificate of a client, which an authority of the configuration has signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCertificate {
    /// The name of its subject (RFC 4514): `CN=alice,O=Example`.
    pub subject: String,
    /// The SHA-256 of the certificate, in lower-case hexadecimal.
    pub fingerprint: String,
    /// When it begins to be valid, in seconds since 1970.
    pub not_before: i64,
    /// The last second in which it is valid, since 1970.
    pub not_after: i64,
    /// The value of `X-Forwarded-Client-Cert` for nodes; visible ASCII and spaces.
    pub field: String,
}

/// The scheme of a client's connection.
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
    /// A client at `address` without TLS and without trusted proxies.
    pub fn plain(address: SocketAddr) -> Self {
        Self {
            address,
            scheme: Scheme::Http,
            trusted_proxies: Arc::new([]),
            certificate: None,
            redirect_to: None,
        }
    }

    /// Whether the connection comes from a proxy that the operator trusts.
    pub fn is_trusted(&self) -> bool {
        is_in(&self.trusted_proxies, self.address.ip())
    }
}

/// Whether `address` is in one of `networks`. IPv4-mapped IPv6 addresses count as IPv4.
pub(crate) fn is_in(networks: &[IpNet], address: IpAddr) -> bool {
    let address = address.to_canonical();
    networks.iter().any(|network| network.contains(&address))
}
