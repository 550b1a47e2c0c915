//! What the operator says of a listener.
//!
//! Runs at start, at reload, or on a timer.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;

use super::head_guard::HeadLimits;

/// An address that we accept on, as configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The address; port 0 lets the system choose.
    pub bind: SocketAddr,
    /// Whose `X-Forwarded-*` and `Forwarded` fields are believed.
    pub trusted_proxies: Arc<[IpNet]>,
    /// How large the head of a request may be.
    pub head: HeadLimits,
    /// How long the head of a request may take from its first byte.
    pub header_timeout: Duration,
    /// How long a connection may wait for its next request.
    pub keep_alive_timeout: Duration,
}

impl Settings {
    /// Where we listen if the operator names no listener: port 8080 on all addresses.
    pub const BIND: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 8080));
    /// `header_timeout` where the operator says none.
    pub const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
    /// `keep_alive_timeout` where the operator says none: longer than the 60 s for which cloud
    /// balancers keep their own side, so that they close first.
    pub const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(75);
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            bind: Self::BIND,
            trusted_proxies: Arc::new([]),
            head: HeadLimits::default(),
            header_timeout: Self::HEADER_TIMEOUT,
            keep_alive_timeout: Self::KEEP_ALIVE_TIMEOUT,
        }
    }
}
