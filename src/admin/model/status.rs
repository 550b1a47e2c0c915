//! `/status`: the process at a glance.
//!
//! Pure. Runs at start, at reload, or on a timer.

use serde::{Deserialize, Serialize};

use super::Ready;

/// `/status`: the process at a glance.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct Status {
    /// The version of Sockeye.
    pub version: String,
    /// The id of the process.
    pub pid: u32,
    /// The start, in seconds since 1970.
    pub since: u64,
    /// The time since the start.
    pub uptime_seconds: u64,
    /// The same as `/ready`.
    pub readiness: Ready,
    /// Whether the process is ready, or only lacks capacity for more clients.
    pub healthy: bool,
    /// The clients' connections.
    pub connections: Connections,
    /// Open tunnels.
    pub tunnels: u64,
    /// Pending requests.
    pub exchanges: u64,
    /// Sessions that upgraded to WebSocket, and those that did not.
    pub upgrades: Upgrades,
    /// The number of nodes.
    pub nodes: NodeTotals,
    /// Remarks on single nodes, and on certificates that expire or are not valid.
    pub notes: Vec<String>,
    /// The certificates of the listeners, in the order of the configuration.
    pub listener_certificates: Vec<ListenerCertificate>,
    /// The names whose certificates an authority issues.
    pub certificate_orders: Vec<CertificateOrder>,
    /// Memory in use. `None` if the system does not report it.
    pub memory_bytes: Option<u64>,
    /// Open files and sockets.
    pub descriptors: Descriptors,
    /// `None` if there was no reload.
    pub last_reload: Option<LastReload>,
}

/// A certificate of a listener.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct ListenerCertificate {
    /// The address of the listener.
    pub listener: String,
    /// The first name of the certificate.
    pub name: String,
    /// When it or its intermediate expires, in seconds since 1970.
    pub expires_at: i64,
    /// Name, date and fingerprint in short.
    pub summary: String,
}

/// The clients' connections.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct Connections {
    /// Connections on which clients speak HTTP.
    pub open: i64,
    /// The limit for connections and tunnels.
    pub max: usize,
    /// Connections and tunnels of each worker.
    pub by_worker: Vec<usize>,
}

/// Sessions that began in polling.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct Upgrades {
    /// How many upgraded to WebSocket.
    pub upgraded: u64,
    /// How many stayed in polling although they could have upgraded.
    pub stuck: u64,
    /// Why most of these did not upgrade.
    pub leading: Option<StuckCause>,
}

/// Why sessions did not upgrade.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct StuckCause {
    /// The outcome of the upgrade.
    pub outcome: String,
    /// Its cause, or `none`.
    pub cause: String,
    /// How many sessions have this outcome and cause.
    pub sessions: u64,
    /// What to do about it.
    pub hint: String,
}

/// The number of nodes in the configuration in force.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct NodeTotals {
    /// All nodes.
    pub all: usize,
    /// Nodes that take new sessions.
    pub open: usize,
}

/// A name whose certificate an authority issues.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct CertificateOrder {
    /// The name.
    pub name: String,
    /// The end of its certificate, in seconds since 1970. `None`: there is none.
    pub expires_at: Option<u64>,
    /// The next order, in seconds since 1970. `None`: the store cannot be read.
    pub next_order_at: Option<u64>,
    /// Whether another process with the same store orders now.
    pub ordered_by_other: bool,
    /// Consecutive orders that failed.
    pub failures: u32,
    /// Why the last one failed, and what to do about it.
    pub failure: Option<String>,
}

/// Open files and sockets. `None` if the system does not report them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct Descriptors {
    /// How many are open.
    pub open: Option<u64>,
    /// How many may be open.
    pub max: Option<u64>,
}

/// The last reload.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct LastReload {
    /// Its end, in seconds since 1970.
    pub at: u64,
    /// Why it failed. `None` if it succeeded.
    pub failure: Option<String>,
}
