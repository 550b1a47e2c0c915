//! The settings of a listener.
//!
//! Runs at start, at reload, or on a timer.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
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
    /// TLS, if the listener speaks it.
    pub tls: Option<Arc<ServerTls>>,
    /// How large the head of a request may be.
    pub head: HeadLimits,
    /// How long the head of a request may take from its first byte.
    pub header_timeout: Duration,
    /// How long a connection may wait for its next request.
    pub keep_alive_timeout: Duration,
}

impl Settings {
    /// The default listener: port 8080 on all addresses.
    pub const BIND: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 8080));
    /// The default of `header_timeout`.
    pub const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
    /// The default of `keep_alive_timeout`: longer than the 60 s of cloud load balancers, so that they
    /// close first.
    pub const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(75);
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            bind: Self::BIND,
            trusted_proxies: Arc::new([]),
            tls: None,
            head: HeadLimits::default(),
            header_timeout: Self::HEADER_TIMEOUT,
            keep_alive_timeout: Self::KEEP_ALIVE_TIMEOUT,
        }
    }
}
