//! The keys of `upstreams:`, nodes and discovery.
//!
//! Pure. Runs at start, at reload, or on a timer.

use std::convert::Infallible;
use std::num::NonZeroU32;
use std::ops::RangeInclusive;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::affinity::{Affinity, Balance};
use super::health::Health;
use super::node_tls::NodeTls;
use super::pacing::{Admission, Drain, Rebalance};
use crate::config::schema::whole;
use crate::form::Accepts;
use crate::form::Form;
use crate::form::patterns;
use crate::form::section::{Pass, Section, key};
use crate::net::proxy_header::Version;
use crate::upstream::settings::{Connections, Settings};
use crate::yaml::{Chosen, List, RawScalar, TextOr, chosen};

/// A named group of nodes.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend(
    "anyOf" = [
        { "required": ["nodes"], "properties": { "nodes": { "type": "array" } } },
        { "required": ["discover"], "properties": { "discover": { "type": "object" } } },
    ],
    "not" = {
        "required": ["nodes", "discover"],
        "properties": { "nodes": { "type": "array" }, "discover": { "type": "object" } },
    }
))]
pub(crate) struct Upstream {
    /// The server processes: addresses, or maps with the keys below. Needed unless `discover` is
    /// used.
    #[schemars(length(min = 1))]
    pub(crate) nodes: List<TextOr<Node>>,
    /// Where Sockeye discovers the nodes, instead of `nodes`.
    pub(crate) discover: Option<Discover>,
    /// How the requests of a session find their node: `sid`, `cookie`, `none`, or a map with one of
    /// the keys below.
    ///
    /// `none` is for clients that use WebSocket only.
    #[schemars(extend("x-default" = "`sid`"))]
    pub(crate) affinity: Option<TextOr<Affinity>>,
    /// How long a connect to a node may take, with the TLS handshake.
    #[schemars(extend("x-accepts" = CONNECT_TIMEOUT.accepts()))]
    pub(crate) connect_timeout: Option<RawScalar>,
    /// Whether each connection to a node begins with a PROXY header of this version, which names the
    /// client.
    ///
    /// Only for nodes that require it. A connection is then used for one client only, so polls of
    /// different clients do not share connections. Health checks name no client.
    #[schemars(extend("x-accepts" = PROXY_PROTOCOL.accepts()))]
    pub(crate) proxy_protocol: Option<RawScalar>,
    /// TLS to the nodes: `off`, `on`, or a map with the keys below.
    ///
    /// It covers everything that is sent to them, health checks too. See [TLS](tls.md#tls-to-nodes).
    #[serde(deserialize_with = "chosen")]
    #[schemars(with = "TextOr<NodeTls>", extend(
        "x-type" = "`off`, `on` or map", "x-default" = "`off`"
    ))]
    pub(crate) tls: Option<Chosen<TextOr<NodeTls>>>,
    /// The maximum size of a node's response head.
    ///
    /// A longer one counts as an error of the node.
    #[schemars(extend("x-accepts" = RESPONSE_HEAD_MAX.accepts()))]
    pub(crate) response_head_max: Option<RawScalar>,
    /// The maximum number of header fields in a node's response.
    #[schemars(extend("x-accepts" = RESPONSE_FIELDS_MAX.accepts()))]
    pub(crate) response_fields_max: Option<RawScalar>,
    /// Whether sessions share connections to a node.
    ///
    /// `per_session` is for several processes behind one address (PM2, `node:cluster`,
    /// `@socket.io/sticky`): such a setup chooses the process by the first request of each
    /// connection. `auto` shares connections until a node turns out to be several processes; see
    /// [operating](operating.md#several-processes-behind-one-address).
    #[schemars(extend("x-accepts" = CONNECTIONS.accepts()))]
    pub(crate) connections: Option<RawScalar>,
    /// How long an idle connection to a node is kept for reuse. `off`: no connection is reused.
    ///
    /// Keep it below the node's own `keepAliveTimeout`; a `Keep-Alive: timeout=` field in a node's
    /// response shortens it.
    #[schemars(extend("x-accepts" = POOL_IDLE_TIMEOUT.accepts()))]
    pub(crate) pool_idle_timeout: Option<RawScalar>,
    /// Which node gets a new session: `least-connections`, `round-robin`, `random-two`, `least-lag`,
    /// or a map with the key below.
    ///
    /// See [operating](operating.md#nodes).
    pub(crate) balance: Option<TextOr<Balance>>,
    /// How long a new or returning node takes to get its full share of new sessions; it starts with
    /// a tenth, regardless of the load of the other nodes.
    #[schemars(extend("x-accepts" = SLOW_START.accepts()))]
    pub(crate) slow_start: Option<RawScalar>,
    /// How many WebSockets and pending requests a node may have and still get new sessions.
    ///
    /// Its existing sessions continue.
    #[schemars(extend("x-accepts" = MAX_CONNECTIONS.accepts()))]
    pub(crate) max_connections: Option<RawScalar>,
    /// How the health of the nodes is checked: `tcp`, `off`, or a map with the keys below.
    #[schemars(extend("x-default" = "`tcp`"))]
    pub(crate) health: Option<TextOr<Health>>,
    /// How new sessions are rate-limited and how long they wait.
    pub(crate) admission: Option<Admission>,
    /// How a node is drained.
    pub(crate) drain: Option<Drain>,
    /// Whether idle WebSockets are closed on nodes with more load than others, so that their
    /// clients reconnect to other nodes, for example after a node was added: `off`, or a map with
    /// the keys below.
    #[schemars(extend("x-type" = "`off` or map"))]
    pub(crate) rebalance: Option<TextOr<Rebalance>>,
}

/// One server process.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Node {
    /// The host and port: an IP address (IPv6 in brackets) or a host name; or `unix:` and the path of a
    /// Unix socket: `unix:/run/app/1.sock`.
    #[schemars(extend(
        "x-accepts" = Accepts::form("address", patterns::node()), "x-needed" = true
    ))]
    pub(crate) address: Option<RawScalar>,
    /// The name of the node in affinity, logs and metrics.
    ///
    /// Keep the name when the address changes, and the node keeps its sessions.
    #[schemars(extend(
        "pattern" = whole(patterns::WORD), "x-default" = "the address as written"
    ))]
    pub(crate) name: Option<String>,
    /// Its share of new sessions relative to the weights of the other nodes.
    #[schemars(extend("x-accepts" = Accepts::number(&WEIGHT)))]
    pub(crate) weight: Option<RawScalar>,
    /// Drain the node: it gets no new session, and its WebSockets are closed by the end of the
    /// drain timeout.
    ///
    /// `sockeye drain` does the same until the process ends.
    pub(crate) drain: Option<bool>,
    /// Use the node for new sessions only while no other node of the upstream can take one: all of
    /// them drain, are unhealthy, ejected, unreachable or full.
    ///
    /// Its sessions stay there when another node is back. See [operating](operating.md#backups).
    pub(crate) backup: Option<bool>,
}

/// Where Sockeye discovers the nodes; `dns` or `srv`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("oneOf" = [{ "required": ["dns"] }, { "required": ["srv"] }]))]
pub(crate) struct Discover {
    /// A host name and port: each address of the name is a node (A and AAAA records).
    #[serde(deserialize_with = "chosen")]
    #[schemars(with = "String", extend(
        "pattern" = whole(&patterns::named_node()), "x-type" = "address"
    ))]
    pub(crate) dns: Option<Chosen<String>>,
    /// The name of SRV records: each target and port is a node, with the weight of its record.
    ///
    /// Only the records with the best priority are used.
    #[serde(deserialize_with = "chosen")]
    #[schemars(with = "String", extend("pattern" = whole(patterns::SRV)))]
    pub(crate) srv: Option<Chosen<String>>,
    /// The maximum time between two lookups; a shorter TTL is respected, down to 1s.
    ///
    /// If a lookup fails or finds nothing, the nodes do not change.
    #[schemars(extend("x-accepts" = Accepts::duration(&EVERY)))]
    pub(crate) every: Option<RawScalar>,
    /// The DNS server's IP address and port; the port cannot be 0.
    #[schemars(extend(
        "x-accepts" = Accepts::form("address", patterns::server()), "x-default" = "the system's"
    ))]
    pub(crate) server: Option<RawScalar>,
}

/// The keys that hold a single value.
impl Section<Settings> for Upstream {
    fn keys(&mut self, settings: &mut Settings, pass: &mut Pass<'_, '_>) {
        let head = &mut settings.response_head;
        key!(pass, self.connect_timeout => settings.connect_timeout, CONNECT_TIMEOUT);
        key!(pass, self.proxy_protocol => settings.proxy_protocol, PROXY_PROTOCOL);
        key!(pass, self.response_head_max => head.bytes_max, RESPONSE_HEAD_MAX);
        key!(pass, self.response_fields_max => head.fields_max, RESPONSE_FIELDS_MAX);
        key!(pass, self.connections => settings.connections, CONNECTIONS);
        key!(pass, self.pool_idle_timeout => settings.pool_idle_timeout, POOL_IDLE_TIMEOUT);
        key!(pass, self.slow_start => settings.slow_start, SLOW_START);
        key!(pass, self.max_connections => settings.max_connections, MAX_CONNECTIONS);
    }
}

const CONNECT_TIMEOUT: Form<Duration> =
    Form::duration(Duration::from_millis(100)..=Duration::from_mins(1));
const PROXY_PROTOCOL: Form<Option<Version>, Infallible> =
    Form::word(&[("off", None), ("v1", Some(Version::V1)), ("v2", Some(Version::V2))]);
const RESPONSE_HEAD_MAX: Form<usize, u64> = Form::size_in_memory(super::listener::HEAD_MAX);
const RESPONSE_FIELDS_MAX: Form<usize, u32> = Form::count(10..=256);
const CONNECTIONS: Form<Connections, Infallible> = Form::word(&[
    ("auto", Connections::Auto),
    ("shared", Connections::Shared),
    ("per_session", Connections::PerSession),
]);
const POOL_IDLE_TIMEOUT: Form<Duration> =
    Form::duration_or_off(Duration::from_millis(100)..=Duration::from_hours(1));
const SLOW_START: Form<Option<Duration>, Duration> =
    Form::optional_duration(&[("off", None)], Duration::from_secs(1)..=Duration::from_hours(1));
const MAX_CONNECTIONS: Form<Option<NonZeroU32>, u32> =
    Form::optional_positive(&[("off", None)], 1..=1_000_000);
pub(crate) const WEIGHT: RangeInclusive<u32> = 1..=1000;
pub(crate) const EVERY: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_hours(1);
