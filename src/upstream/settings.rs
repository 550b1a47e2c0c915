//! The settings of an upstream and its nodes.
//!
//! Runs at start, at reload, or on a timer.

use std::fmt;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

pub use super::endpoint::Endpoint;
pub(crate) use super::health::settings::{Check, Health};
use super::path_key::PathKey;
use crate::http1::HeadLimits;
use crate::net::proxy_header::Version;
pub use crate::rate::Rate;
use crate::tls::NodeTls;

/// A named group of nodes, as configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The key under `upstreams:`.
    pub name: Arc<str>,
    /// Names are unique within the upstream. Empty only where the nodes are discovered.
    pub nodes: Vec<NodeSettings>,
    /// Where the nodes are looked up; `None` if they are in the configuration.
    pub discover: Option<Discover>,
    /// How long a TCP connection to a node may take.
    pub connect_timeout: Duration,
    /// The version of the PROXY header that each connection to a node begins with.
    pub proxy_protocol: Option<Version>,
    /// TLS to the nodes.
    pub tls: Option<Arc<NodeTls>>,
    /// How large the head of a node's answer may be.
    pub response_head: HeadLimits,
    /// Whether sessions share connections to a node.
    pub connections: Connections,
    /// How long a connection to a node may wait for its next request; a node's `Keep-Alive: timeout=`
    /// shortens it.
    pub pool_idle_timeout: Duration,
    /// Which node gets a new session.
    pub balance: Balance,
    /// How long a node that was added or came back takes to get its full share of new sessions.
    pub slow_start: Option<Duration>,
    /// How many tunnels and pending exchanges a node may have and still get a new session.
    pub max_connections: Option<NonZeroU32>,
    /// How it is found out whether a node is healthy.
    pub health: Health,
    /// How new sessions are paced, and how long they wait.
    pub admission: Admission,
    /// How a node is emptied.
    pub drain: Drain,
    /// Whether and how tunnels are moved when the load is uneven.
    pub rebalance: Option<Rebalance>,
}

impl Settings {
    /// The default of `connect_timeout`.
    pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

    /// The default of `pool_idle_timeout`: Node.js closes an idle connection after 5 to
    /// 6 s, and a request that is sent just then would be lost.
    pub const POOL_IDLE_TIMEOUT: Duration = Duration::from_secs(4);

    /// The default of `slow_start`: about as long as a Node.js process needs to
    /// compile what it runs often.
    pub const SLOW_START: Duration = Duration::from_secs(10);

    /// An upstream with these nodes, and defaults otherwise.
    pub fn new(name: &str, nodes: Vec<NodeSettings>) -> Self {
        Self {
            name: name.into(),
            nodes,
            discover: None,
            connect_timeout: Self::CONNECT_TIMEOUT,
            proxy_protocol: None,
            tls: None,
            response_head: HeadLimits::default(),
            connections: Connections::Auto,
            pool_idle_timeout: Self::POOL_IDLE_TIMEOUT,
            balance: Balance::LeastConnections,
            slow_start: Some(Self::SLOW_START),
            max_connections: None,
            health: Health::default(),
            admission: Admission::default(),
            drain: Drain::default(),
            rebalance: None,
        }
    }
}

/// Whether sessions share connections to a node.
///
/// Several processes behind one address (PM2, `node:cluster` with `@socket.io/sticky`) are selected by
/// the first request of each connection, so that only one session can use a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Connections {
    /// They share, until a node turns out to be several processes.
    Auto,
    /// They share.
    Shared,
    /// A connection is used again for its own session only.
    PerSession,
}

/// One node, as configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeSettings {
    /// What affinity, logs and metrics call it: `name`, else the address as written.
    pub name: Arc<str>,
    /// Where it listens.
    pub address: Endpoint,
    /// Its share of new sessions relative to the others' weights; 1 to 1000.
    pub weight: u32,
    /// Whether it gets no new session.
    pub drain: bool,
    /// Whether it gets new sessions only while no node can that is no backup.
    pub backup: bool,
}

impl NodeSettings {
    /// A node with this name and address, and defaults otherwise.
    pub fn new(name: &str, address: impl Into<Endpoint>) -> Self {
        Self { name: name.into(), address: address.into(), weight: 1, drain: false, backup: false }
    }
}

/// Where a node listens on TCP: `host:port`, the host an IP address (IPv6 in brackets) or a name.
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

/// Where the nodes are looked up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Discover {
    /// What is looked up.
    pub source: Source,
    /// The longest time between two lookups.
    pub every: Duration,
    /// The DNS server; the system's if `None`.
    pub server: Option<SocketAddr>,
}

impl Discover {
    /// The default of `every`.
    pub const EVERY: Duration = Duration::from_secs(5);
}

/// What is looked up in DNS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A and AAAA records: each address is a node, at this port.
    Addresses(NodeAddress),
    /// SRV records of this name: each target and port is a node.
    Services(Box<str>),
}

impl Source {
    /// The name that is looked up.
    pub fn name(&self) -> &str {
        match self {
            Self::Addresses(address) => &address.host,
            Self::Services(name) => name,
        }
    }
}

/// Which node gets a new session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Balance {
    /// The one with the least load for its weight.
    LeastConnections,
    /// One after the other, as often as the weights say.
    RoundRobin,
    /// The less loaded of two that are chosen at random by their weights.
    RandomTwo,
    /// The one with the least load for its weight; one that answers late gets fewer.
    LeastLag,
    /// The one that a property of the request prefers, unless it has far more load than the others.
    Rendezvous(RendezvousKey),
}

impl Balance {
    /// The property of the request that it hashes, if it does.
    pub fn key(&self) -> Option<&RendezvousKey> {
        match self {
            Self::Rendezvous(key) => Some(key),
            Self::LeastConnections | Self::RoundRobin | Self::RandomTwo | Self::LeastLag => None,
        }
    }
}

/// What is hashed to prefer a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RendezvousKey {
    /// The client's address.
    Address,
    /// A request header, by its lower-case name.
    Header(http::HeaderName),
    /// A parameter of the query.
    Query(Arc<str>),
    /// A cookie of the application's own.
    Cookie(Arc<str>),
    /// A segment of the path, as the client sent it.
    Path(PathKey),
}

/// How new sessions are paced, and how long they wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Admission {
    /// How many new sessions each second, in all.
    pub rate: Option<Rate>,
    /// How many new sessions each second on each node.
    pub node_rate: Option<Rate>,
    /// How long a handshake waits for a node or its turn; zero means not at all.
    pub hold: Duration,
    /// How many handshakes may wait.
    pub queue_max: usize,
}

impl Default for Admission {
    /// Clients give up a handshake after 20 s, so that 10 s leave time for the node itself.
    fn default() -> Self {
        Self { rate: None, node_rate: None, hold: Duration::from_secs(10), queue_max: 10_000 }
    }
}

/// How a node is emptied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drain {
    /// How long its sessions may go on.
    pub timeout: Duration,
    /// How fast its tunnels are closed towards the end.
    pub closes_per_second: NonZeroU32,
}

impl Default for Drain {
    fn default() -> Self {
        let closes_per_second = const { NonZeroU32::new(100).expect("it is not zero") };
        Self { timeout: Duration::from_mins(10), closes_per_second }
    }
}

/// How tunnels are moved to nodes with less load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rebalance {
    /// How far above the lowest load for its weight another node's may be, in percent.
    pub within_percent: u32,
    /// How fast tunnels are closed.
    pub closes_per_second: NonZeroU32,
}

impl Rebalance {
    /// The default of `within`.
    pub const WITHIN_PERCENT: u32 = 10;

    /// The default of `closes_per_second`.
    pub const CLOSES_PER_SECOND: NonZeroU32 = NonZeroU32::new(5).expect("it is not zero");
}
