//! The settings of a listener.
//!
//! Runs at start, at reload, or on a timer.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;

use super::head_guard::HeadLimits;
use crate::tls::ServerTls;

/// A listener as configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The address. With port 0 the system chooses the port.
    pub bind: SocketAddr,
    /// The networks whose `X-Forwarded-*` and `Forwarded` fields are trusted.
    pub trusted_proxies: Arc<[IpNet]>,
    /// Whether a connection from a trusted proxy begins with a PROXY header, which names its client.
    pub proxy_protocol: ProxyProtocol,
    /// TLS, if the listener speaks it.
    pub tls: Option<Arc<ServerTls>>,
    /// Whether clients may speak HTTP/2.
    pub http2: Http2,
    /// How many requests and WebSockets a client may have open on one connection of HTTP/2.
    pub http2_streams_max: NonZeroU32,
    /// The port of https to which all requests are redirected. `None` without redirect.
    pub redirect_http: Option<u16>,
    /// How many clients may be connected; `None` if only the limit of the process counts.
    pub max_connections: Option<NonZeroU32>,
    /// How large the head of a request may be.
    pub head: HeadLimits,
    /// How long the head of a request may take from its first byte.
    pub header_timeout: Duration,
    /// How long a connection may wait for its next request.
    pub keep_alive_timeout: Duration,
    /// How many requests a connection of HTTP/1 may have. The last one of them may become a tunnel.
    pub keep_alive_requests: NonZeroU32,
}

/// Whether clients may speak HTTP/2.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Http2 {
    /// Only HTTP/1.
    #[default]
    Off,
    /// As the client wants: with TLS by ALPN, without it by prior knowledge (RFC 9113, section 3).
    On,
}

/// Whether connections begin with a PROXY header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ProxyProtocol {
    /// None does.
    #[default]
    Off,
    /// Those from trusted proxies may.
    Optional,
    /// All do; others are closed.
    Required,
}

impl Settings {
    /// The default listener: port 8080 on all addresses.
    pub const BIND: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 8080));
    /// The default of `http2_streams_max`, which no server should lower (RFC 9113, section 6.5.2).
    pub const HTTP2_STREAMS_MAX: NonZeroU32 = NonZeroU32::new(100).expect("it is not 0");
    /// The default of `header_timeout`.
    pub const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
    /// The default of `keep_alive_timeout`: longer than the 60 s of cloud load balancers, so that they
    /// close first.
    pub const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(75);
    /// The default of `keep_alive_requests`. A client that only polls, each 25 s, has so many in three
    /// days; one that posts ten messages each second, in a quarter of an hour.
    pub const KEEP_ALIVE_REQUESTS: NonZeroU32 = NonZeroU32::new(10_000).expect("it is not 0");
}

impl Settings {
    /// The limit of clients.
    pub(super) fn clients_max(&self) -> usize {
        self.max_connections.map_or(usize::MAX, |max| max.get() as usize)
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            bind: Self::BIND,
            trusted_proxies: Arc::new([]),
            proxy_protocol: ProxyProtocol::Off,
            tls: None,
            http2: Http2::default(),
            http2_streams_max: Self::HTTP2_STREAMS_MAX,
            redirect_http: None,
            max_connections: None,
            head: HeadLimits::default(),
            header_timeout: Self::HEADER_TIMEOUT,
            keep_alive_timeout: Self::KEEP_ALIVE_TIMEOUT,
            keep_alive_requests: Self::KEEP_ALIVE_REQUESTS,
        }
    }
}
