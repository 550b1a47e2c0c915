//! What the operator says of an upstream and its nodes.
//!
//! Runs at start, at reload, or on a timer.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// A named group of nodes, as configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The key under `upstreams:`.
    pub name: Arc<str>,
    /// At least one; names are unique within the upstream.
    pub nodes: Vec<NodeSettings>,
    /// How long a TCP connection to a node may take.
    pub connect_timeout: Duration,
}

impl Settings {
    /// `connect_timeout` where the operator says none.
    pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
}

/// One node, as configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeSettings {
    /// What affinity, logs and metrics call it: `name`, else the address as written.
    pub name: Arc<str>,
    /// Where it listens.
    pub address: NodeAddress,
    /// Its share of new sessions beside the others' weights; 1 to 1000.
    pub weight: u32,
}

/// Where a node listens: `host:port`, the host an IP address (IPv6 in brackets) or a name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct NodeAddress {
    /// An IP address without brackets, or a host name.
    pub host: Box<str>,
    /// The port; not 0.
    pub port: u16,
}

impl fmt::Display for NodeAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}
