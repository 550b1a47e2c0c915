//! How a connection to a node is opened, and whom it belongs to.
//!
//! Runs for every request.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;

use crate::Instant;
use crate::net::NetStream;
use crate::net::proxy_header::Version;
use crate::tls::NodeTls;
use crate::upstream::settings::Settings;

/// How a connection to a node is opened.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ConnectOptions<'a> {
    /// The time for all of it.
    pub(super) timeout: Duration,
    /// The PROXY header that goes first, and whom it names.
    proxy_header: Option<(Version, Opener)>,
    /// TLS, behind the header.
    pub(super) tls: Option<&'a NodeTls>,
}

/// For whom a connection is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Opener {
    /// The client with this address.
    Client(SocketAddr),
    /// The proxy itself, for a health check.
    Proxy,
}

/// Whose requests a connection may carry: those of the client that its PROXY header names, with the TLS
/// that it was opened with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Owner {
    client: Option<SocketAddr>,
    tls: Option<u64>,
}

impl<'a> ConnectOptions<'a> {
    /// Within `timeout`, without a PROXY header or TLS.
    pub(crate) fn within(timeout: Duration) -> Self {
        Self { timeout, proxy_header: None, tls: None }
    }

    /// The same with TLS, if there is one.
    pub(crate) fn with_tls(self, tls: Option<&'a NodeTls>) -> Self {
        Self { tls, ..self }
    }

    /// For requests of the client at `address`.
    pub(crate) fn for_client(settings: &'a Settings, address: SocketAddr) -> Self {
        Self::new(settings, Opener::Client(address))
    }

    /// For a health check that ends at `deadline`.
    pub(crate) fn for_check(settings: &'a Settings, deadline: Instant) -> Self {
        let left = deadline.saturating_duration_since(Instant::now());
        let options = Self::new(settings, Opener::Proxy);
        Self { timeout: left.min(options.timeout), ..options }
    }

    fn new(settings: &'a Settings, opener: Opener) -> Self {
        let proxy_header = settings.proxy_protocol.map(|version| (version, opener));
        let tls = settings.tls.as_deref();
        Self { timeout: settings.connect_timeout, proxy_header, tls }
    }

    /// Whom the connection belongs to.
    pub(crate) fn owner(&self) -> Owner {
        let client = match self.proxy_header {
            Some((_, Opener::Client(address))) => Some(address),
            Some((_, Opener::Proxy)) | None => None,
        };
        Owner { client, tls: self.tls.map(NodeTls::id) }
    }

    /// Whether a header goes first.
    pub(super) fn has_header(&self) -> bool {
        self.proxy_header.is_some()
    }

    /// Writes the header on a socket that was just connected.
    pub(super) async fn write_header(&self, stream: &mut NetStream) -> io::Result<()> {
        let Some((version, opener)) = self.proxy_header else { return Ok(()) };
        // What the client would have connected to without a proxy. A Unix socket has no such address.
        let addresses = match stream.tcp() {
            Some(socket) => Some((socket.local_addr()?, socket.peer_addr()?)),
            None => None,
        };
        let header = match (opener, addresses) {
            (Opener::Client(client), Some((_, node))) => version.for_client(client, node),
            (Opener::Client(client), None) => version.for_client(client, unspecified(client)),
            (Opener::Proxy, Some((own, node))) => version.for_own(own, node),
            (Opener::Proxy, None) => version.for_nobody(),
        };
        // Shorter than any segment: an empty socket takes it at once.
        stream.write_all(&header).await
    }
}

/// No address of the family of `client`.
fn unspecified(client: SocketAddr) -> SocketAddr {
    let address: IpAddr = match client.ip().to_canonical() {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    SocketAddr::new(address, 0)
}
