//! How a connection to a node is opened, and whom it belongs to.
//!
//! Runs for every request.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::Instant;
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
    pub(super) async fn write_header(&self, socket: &mut TcpStream) -> io::Result<()> {
        let Some((version, opener)) = self.proxy_header else { return Ok(()) };
        // What the client would have connected to without a proxy.
        let destination = socket.peer_addr()?;
        let header = match opener {
            Opener::Client(address) => version.for_client(address, destination),
            Opener::Proxy => version.for_own(socket.local_addr()?, destination),
        };
        // Shorter than any segment: an empty socket takes it at once.
        socket.write_all(&header).await
    }
}
