//! `/overview` and `/history`: what the page and `sockeye top` show.
//!
//! Pure. Runs at start, at reload, or on a timer.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Draining, Lag, StuckCause};

/// `/overview`: how it is, at a glance.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct Overview {
    /// How it is, in one sentence.
    pub sentence: String,
    /// `ok`, `warn` or `bad`.
    pub level: String,
    /// When this was so, in seconds since 1970.
    pub at: f64,
    /// The process.
    pub process: ProcessGlance,
    /// Open sessions.
    pub sessions: OpenSessions,
    /// What happens, by its speed.
    pub rates: Rates,
    /// Ends of WebSockets in the last 15 minutes, the most frequent first.
    pub ends: Vec<EndCount>,
    /// All nodes, by upstream.
    pub nodes: Vec<NodeGlance>,
    /// The last reloads, the latest first.
    pub reloads: Vec<PastReload>,
    /// What the operator should look at.
    pub warnings: Vec<Advice>,
}

/// The process.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct ProcessGlance {
    /// The version of Sockeye.
    pub version: String,
    /// The time since the start.
    pub uptime_seconds: u64,
    /// Memory in use. `None` if the system does not report it.
    pub memory_bytes: Option<u64>,
    /// The share of one core that it used in the last seconds. `None` if the system does not report it.
    pub cpu: Option<f64>,
    /// Connections on which clients speak HTTP, without WebSockets.
    pub connections: i64,
    /// The limit for connections and WebSockets.
    pub connections_max: usize,
}

/// Open sessions by transport.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct OpenSessions {
    /// WebSockets.
    pub websocket: u64,
    /// Sessions that began by polling and are not upgraded, the stuck ones too.
    pub polling: u64,
    /// Those of them that should have upgraded.
    pub stuck: u64,
    /// Why most of these did not upgrade.
    pub stuck_cause: Option<StuckCause>,
}

/// What happens, by its speed.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct Rates {
    /// Engine.IO sessions that nodes opened in the last minute.
    pub new_sessions_per_minute: u64,
    /// WebSockets that ended in the last minute.
    pub ends_per_minute: u64,
    /// WebSocket messages, the mean of the last seconds.
    pub messages_from_client_per_second: f64,
    /// The same from nodes.
    pub messages_from_nodes_per_second: f64,
    /// Bytes of WebSocket frames, the mean of the last seconds.
    pub bytes_from_clients_per_second: f64,
    /// The same from nodes.
    pub bytes_from_nodes_per_second: f64,
}

/// WebSockets that ended in the same way.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct EndCount {
    /// The end, as in metrics and logs.
    pub end: String,
    /// The side that ended them: `client`, `node`, `proxy` or `operator`.
    pub by: String,
    /// The cause, if it is known.
    pub cause: Option<String>,
    /// How many in the last minute.
    pub last_minute: u64,
    /// How many in the last 15 minutes.
    pub last_15_minutes: u64,
}

/// A node at a glance.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct NodeGlance {
    /// The name of its upstream.
    pub upstream: String,
    /// Its name.
    pub name: String,
    /// Its host and port.
    pub address: String,
    /// Its state, one of those in the manual.
    pub state: String,
    /// Why it is in this state.
    pub reason: Option<String>,
    /// Whether it left the configuration.
    pub retired: bool,
    /// Open WebSockets.
    pub sessions: u64,
    /// How late it answers, measured from outside.
    pub lag: Option<Lag>,
    /// `None` if it does not drain.
    pub draining: Option<Draining>,
    /// Sessions that it opened in the last minute.
    pub new_sessions_per_minute: u64,
}

/// A reload that is over.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct PastReload {
    /// Its end, in seconds since 1970.
    pub at: f64,
    /// Whether it succeeded.
    pub ok: bool,
    /// One sentence for each change.
    pub changes: Vec<String>,
    /// Why it failed.
    pub failure: Option<String>,
}

/// What is wrong, and what to do about it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct Advice {
    /// What is wrong.
    pub text: String,
    /// What to do about it.
    pub what_to_do: String,
}

/// `/history`: some series over some time.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct HistoryExcerpt {
    /// The time between two values.
    pub step_seconds: u64,
    /// When the first step began, in seconds since 1970.
    pub begins_at: f64,
    /// The values of each series, `null` where nothing was recorded.
    pub series: BTreeMap<String, Vec<Option<f32>>>,
}
