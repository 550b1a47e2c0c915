//! The responses of the admin listener, as JSON.
//!
//! The listener writes these structs and the commands read them. Fields that an older process does not
//! send have their defaults.
//!
//! Pure. Runs at start, at reload, or on a timer.

use serde::{Deserialize, Serialize};

/// `/live`: the process runs.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct Live {
    /// Always true.
    pub live: bool,
}

/// `/ready`: whether the process wants new clients.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct Ready {
    /// Whether it does.
    pub ready: bool,
    /// Why it does not.
    pub reasons: Vec<String>,
    /// What the operator should look at, although another proxy would serve no better.
    pub warnings: Vec<String>,
}

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

/// `/nodes`: all upstreams with their nodes.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct Nodes {
    /// By name. Last, those that left the configuration and still have sessions.
    pub upstreams: Vec<Upstream>,
}

/// An upstream.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct Upstream {
    /// Its name.
    pub name: String,
    /// `None` if its nodes are in the configuration.
    pub discovery: Option<Discovery>,
    /// Its nodes.
    pub nodes: Vec<Node>,
    /// Nodes that left the configuration and still have sessions.
    pub retired: Vec<Node>,
}

/// How the nodes of an upstream are found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct Discovery {
    /// The host name that is looked up.
    pub dns: Option<String>,
    /// The service name that is looked up.
    pub srv: Option<String>,
    /// The DNS server. `None` for that of the system.
    pub server: Option<String>,
    /// The last successful lookup, in seconds since 1970.
    pub answered_at: Option<u64>,
    /// Consecutive failures since then.
    pub consecutive_failures: u32,
    /// The same by its old name, until 1.0.
    pub failed_running: u32,
    /// The last failure.
    pub last_failure: Option<LookupFailure>,
}

/// A lookup that failed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct LookupFailure {
    /// Its end, in seconds since 1970.
    pub at: u64,
    /// Why it failed.
    pub reason: String,
}

/// A node.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct Node {
    /// Its name.
    pub name: String,
    /// Its host and port.
    pub address: String,
    /// Its weight in balancing.
    pub weight: u32,
    /// Whether it gets new sessions only while no other node can take one.
    pub backup: bool,
    /// Its state, one of those in the manual.
    pub state: String,
    /// Why it is in this state.
    pub reason: Option<String>,
    /// A remark for the operator.
    pub note: Option<String>,
    /// The last health check.
    pub last_check: Option<LastCheck>,
    /// Whether it is several processes.
    pub several_processes: bool,
    /// Whether the last connect to it succeeded.
    pub reachable: bool,
    /// The time since the last connect, if that failed.
    pub failed_seconds_ago: Option<f64>,
    /// `None` if it does not drain.
    pub draining: Option<Draining>,
    /// Its load, before the weight.
    pub load: f64,
    /// Open tunnels.
    pub tunnels: u32,
    /// Pending requests.
    pub exchanges: u32,
    /// Sessions that it opened.
    pub handshakes: u64,
    /// Connects that failed.
    pub connects_failed: u64,
    /// How often it was ejected.
    pub ejections: u64,
}

/// A health check.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct LastCheck {
    /// The request.
    pub asked: String,
    /// The time since its end.
    pub seconds_ago: f64,
    /// `passed`, `failed`, `drain` or `skipped`.
    pub result: String,
    /// Why it failed.
    pub reason: Option<String>,
}

/// How far a drain is.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct Draining {
    /// Why the node drains.
    pub causes: Vec<String>,
    /// The time since the drain began.
    pub since_seconds: f64,
    /// The time until its tunnels begin to be closed.
    pub closing_in_seconds: f64,
    /// The time until its sessions are given up.
    pub given_up_in_seconds: f64,
    /// Whether it has no sessions.
    pub empty: bool,
}

/// `/nodes/{name}/drain` and `/nodes/{name}/undrain`: the node after the command.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct NodeCommandResult {
    /// The name of its upstream.
    pub upstream: String,
    /// The node.
    pub node: Node,
    /// Whether the command changed anything.
    pub changed: bool,
}

/// `/reload`, if it succeeded.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct Reloaded {
    /// Always true.
    pub reloaded: bool,
    /// One sentence for each change.
    pub changes: Vec<String>,
}

/// `/reload`, if it failed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct ReloadFailed {
    /// Always false.
    pub reloaded: bool,
    /// The error as text, on several lines.
    pub error: String,
    /// The problems of the file.
    pub problems: Vec<Problem>,
}

/// A problem of the configuration file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct Problem {
    /// The name of its file.
    pub file: String,
    /// The path of the key. Empty if it concerns the whole file.
    pub path: String,
    /// The line, from 1.
    pub line: Option<usize>,
    /// The column, from 1.
    pub column: Option<usize>,
    /// The value as written.
    pub value: Option<String>,
    /// What is wrong.
    pub what: String,
    /// What to write instead.
    pub help: Option<String>,
}

/// The response to a request that was refused.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct Refusal {
    /// Why.
    pub error: String,
    /// The paths of all endpoints, if the request had none of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoints: Option<Vec<String>>,
    /// The nodes that the request may have meant, if it did not name one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nodes: Option<Vec<String>>,
}

impl Refusal {
    /// A refusal with this sentence.
    pub(crate) fn new(error: impl Into<String>) -> Self {
        Self { error: error.into(), ..Self::default() }
    }
}
