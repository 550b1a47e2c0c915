//! What is said of a request that is not sent.
//!
//! Pure. Runs at start, at reload, or on a timer.

use serde::{Deserialize, Serialize};

/// Where a request would go, and why not elsewhere.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct Preview {
    /// The request as it is understood.
    pub request: RequestSummary,
    /// What would become of it: `node`, `answered` by the proxy itself, or `refused`.
    pub outcome: String,
    /// What the client would get instead of a node's response.
    pub answer: Option<OwnAnswer>,
    /// The address of the listener, if it can be said.
    pub listener: Option<String>,
    /// The route.
    pub route: Option<RouteName>,
    /// The rules for the clients of the route, and what they say about this one.
    pub access: Vec<Rule>,
    /// What is changed on the way to the node.
    pub changes: Changes,
    /// How its session is found, and where it is.
    pub affinity: Option<Session>,
    /// The nodes that may get it, the most likely first.
    pub nodes: Vec<LikelyNode>,
    /// Whether the states of the nodes are those of a running process.
    pub live: bool,
    /// Other routes, those first that match too.
    pub others: Vec<OtherRoute>,
    /// How many more there are.
    pub others_left_out: usize,
    /// What else there is to say.
    pub notes: Vec<String>,
}

/// The request as it is understood.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct RequestSummary {
    /// Its method.
    pub method: String,
    /// Its host, without port.
    pub host: String,
    /// Its path.
    pub path: String,
    /// The address of the client.
    pub client: String,
    /// What it asks for.
    pub purpose: Option<String>,
}

/// A response of the proxy's own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct OwnAnswer {
    /// Its status.
    pub status: u16,
    /// The label in logs and metrics.
    pub label: String,
    /// Why.
    pub reason: String,
}

/// A route.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct RouteName {
    /// Its hosts.
    pub host: String,
    /// Its paths, as logs write them.
    pub path: String,
    /// The upstream that its requests may go to.
    pub upstream: Option<String>,
    /// What answers its requests: `upstream`, `files`, `redirect` or `respond`.
    pub target: String,
}

/// What a rule says of the client.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct Rule {
    /// The rule.
    pub rule: String,
    /// `passes`, `refuses`, or `not checked`.
    pub verdict: String,
}

/// What is changed on the way to the node and back.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct Changes {
    /// Path and query for the node, if they are others than the client's.
    pub target: Option<String>,
    /// Fields of the client that the node gets with another value, or gets besides.
    pub set: Vec<[String; 2]>,
    /// Fields of the client that the node does not get.
    pub removed: Vec<String>,
    /// Fields of the response that are set or added.
    pub response_set: Vec<[String; 2]>,
    /// Fields of the response that are removed.
    pub response_removed: Vec<String>,
    /// Which pages may read the response.
    pub cors: Option<String>,
}

/// How a session is found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct Session {
    /// The rule of the upstream.
    pub rule: String,
    /// Where the request belongs: `anywhere`, `preferred`, `bound`, `gone` or `unknown`.
    pub placement: String,
    /// The same as a sentence.
    pub sentence: String,
}

/// A node that may get a request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct LikelyNode {
    /// Its name.
    pub name: String,
    /// Its state; `up` unless a process runs.
    pub state: String,
    /// Its open WebSockets.
    pub tunnels: u32,
    /// Its pending requests.
    pub exchanges: u32,
    /// Whether it is as likely as the first one.
    pub is_likely: bool,
}

/// A route that the request does not take.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct OtherRoute {
    /// Its hosts.
    pub host: String,
    /// Its paths.
    pub path: String,
    /// Why not.
    pub reason: String,
}
