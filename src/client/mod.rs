//! Who connected, and what the listener lends to those who speak to it.
//!
//! Runs for every request.

mod places;
mod socket_options;

use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use ipnet::IpNet;
use tokio::net::TcpStream;

pub use places::{Place, Places};
pub use socket_options::{PROBES, SocketOptions};

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

/// Where a request that asks for an upgrade leaves its connection to an heir. Clones share it.
///
/// The listener puts it into the extensions of each such request, and hands the socket over when
/// the 101 is written. Other servers do not; with them the socket comes by hyper's
/// [`OnUpgrade`](hyper::upgrade::OnUpgrade).
#[derive(Clone, Default)]
pub struct Takeover(Arc<Mutex<Option<Heir>>>);

/// Gets a socket. Dropped instead if the client leaves before the 101 is written.
pub type Heir = Box<dyn FnOnce(RawSocket) + Send>;

impl Takeover {
    /// `heir` gets the socket.
    pub fn leave_to(&self, heir: Heir) {
        *self.place() = Some(heir);
    }

    /// Who gets the socket, if somebody does; only once.
    pub fn heir(&self) -> Option<Heir> {
        self.place().take()
    }

    fn place(&self) -> MutexGuard<'_, Option<Heir>> {
        // Nothing that is done under the lock panics.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Takeover {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Takeover").field(&self.place().is_some()).finish()
    }
}

/// A client's socket without HTTP.
#[derive(Debug)]
pub struct RawSocket {
    /// The socket.
    pub stream: TcpStream,
    /// What was read from it already: it comes before what the socket will give.
    pub read_ahead: Bytes,
    /// To be kept for as long as the socket is.
    pub place: Place,
    /// What is set on it, as far as that is known.
    pub options: Option<SocketOptions>,
}

/// Whether `address` is in one of `networks`; IPv4-mapped IPv6 addresses count as IPv4.
pub fn is_in(networks: &[IpNet], address: std::net::IpAddr) -> bool {
    let address = address.to_canonical();
    networks.iter().any(|network| network.contains(&address))
}
