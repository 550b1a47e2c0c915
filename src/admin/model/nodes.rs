//! `/nodes`, and the commands for one node.
//!
//! Pure. Runs at start, at reload, or on a timer.

use serde::{Deserialize, Serialize};

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
    /// How late it answers. `None` without recent answers that show it.
    pub lag: Option<Lag>,
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

/// How late a node answered in the last 24 seconds what its event loop answers by itself. All times are
/// milliseconds, without those of the network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct Lag {
    /// Half of the answers were at most so late.
    pub p50_ms: f64,
    /// 99 of 100 answers were at most so late.
    pub p99_ms: f64,
    /// The latest answer was so late.
    pub max_ms: f64,
    /// The time of the fastest answer, which counts as the network's.
    pub base_ms: f64,
    /// How many answers there were.
    pub samples: u32,
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
