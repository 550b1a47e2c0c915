//! `upstreams:` as it is written.
//!
//! Pure. Runs at start, at reload, or on a timer.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::patterns;
use crate::config::schema::whole;
use crate::yaml::{Chosen, List, RawScalar, TextOr, chosen};

/// A named group of nodes.
#[derive(Debug, Default, Deserialize, JsonSchema, Serialize)]
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
pub(in crate::config) struct Upstream {
    /// The server processes: addresses, or maps with the keys below. Default: none; `discover` may
    /// find them.
    #[schemars(length(min = 1))]
    pub(in crate::config) nodes: List<TextOr<Node>>,
    /// Where Sockeye discovers the nodes, instead of `nodes`. Default: nowhere.
    pub(in crate::config) discover: Option<Discover>,
    /// How the requests of a session find their node: `sid`, `cookie`, `none`, or a map with one of
    /// the keys below. Default: `sid`.
    pub(in crate::config) affinity: Option<TextOr<Affinity>>,
    /// How long a TCP connect to a node may take, 100ms to 1m. Default: `3s`.
    pub(in crate::config) connect_timeout: Option<RawScalar>,
    /// The maximum size of a node's response head, 8KiB to 1MiB. Default: `64KiB`.
    pub(in crate::config) answer_head_max: Option<RawScalar>,
    /// The maximum number of header fields in a node's response, 10 to 256. Default: `200`.
    pub(in crate::config) answer_fields_max: Option<RawScalar>,
    /// Whether sessions share connections to a node: `shared`, `per_session` for several processes
    /// behind one address, or `auto` to share until a node turns out to be several processes.
    /// Default: `auto`.
    #[schemars(extend("x-form" = "shared|per_session"))]
    pub(in crate::config) connections: Option<RawScalar>,
    /// How long an idle connection to a node is kept for reuse, 100ms to 1h, or `off` to reuse
    /// none; a node's `Keep-Alive: timeout=` shortens it. Default: `4s`.
    pub(in crate::config) pool_idle_timeout: Option<RawScalar>,
    /// Which node gets a new session: `least-connections`, `round-robin`, `random-two`, or a map
    /// with the key below. Default: `least-connections`.
    pub(in crate::config) balance: Option<TextOr<Balance>>,
    /// How long a new or returning node takes to get its full share of new sessions, 1s to 1h, or
    /// `off`. Default: `10s`.
    pub(in crate::config) slow_start: Option<RawScalar>,
    /// How many WebSockets and pending requests a node may have and still get new sessions, 1 to
    /// 1000000, or `off`. Default: `off`.
    pub(in crate::config) max_connections: Option<RawScalar>,
    /// How the health of the nodes is checked: `tcp`, `off`, or a map with the keys below. Default:
    /// `tcp`.
    pub(in crate::config) health: Option<TextOr<Health>>,
    /// How new sessions are rate-limited and how long they wait. Default: the keys below at their
    /// defaults.
    pub(in crate::config) admission: Option<Admission>,
    /// How a node is drained. Default: the keys below at their defaults.
    pub(in crate::config) drain: Option<Drain>,
    /// Whether idle WebSockets are closed on nodes with more load than others, so that their
    /// clients reconnect to other nodes: `off`, or a map with the keys below. Default: `off`.
    pub(in crate::config) rebalance: Option<TextOr<Rebalance>>,
}

/// One server process.
#[derive(Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct Node {
    /// The host and port. Default: none; it is needed.
    #[schemars(extend("x-form" = patterns::node()))]
    pub(in crate::config) address: Option<RawScalar>,
    /// The name of the node in affinity, logs and metrics. Default: the address as written.
    #[schemars(extend("pattern" = whole(patterns::WORD)))]
    pub(in crate::config) name: Option<String>,
    /// Its share of new sessions relative to the weights of the other nodes, 1 to 1000. Default:
    /// `1`.
    pub(in crate::config) weight: Option<RawScalar>,
    /// Drain the node: it gets no new session, and its WebSockets are closed by the end of the
    /// drain timeout. Default: `false`.
    pub(in crate::config) drain: Option<bool>,
}

/// Where Sockeye discovers the nodes; `dns` or `srv`.
#[derive(Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("oneOf" = [{ "required": ["dns"] }, { "required": ["srv"] }]))]
pub(in crate::config) struct Discover {
    /// A host name and port: each address of the name is a node. Default: none.
    #[serde(deserialize_with = "chosen")]
    #[schemars(with = "String", extend("pattern" = whole(&patterns::named_node())))]
    pub(in crate::config) dns: Option<Chosen<String>>,
    /// The name of SRV records: each target and port is a node. Default: none.
    #[serde(deserialize_with = "chosen")]
    #[schemars(with = "String", extend("pattern" = whole(patterns::SRV)))]
    pub(in crate::config) srv: Option<Chosen<String>>,
    /// The maximum time between two lookups, 1s to 1h; a shorter TTL is respected. Default: `5s`.
    pub(in crate::config) every: Option<RawScalar>,
    /// The DNS server's IP address and port. Default: the system's.
    #[schemars(extend("x-form" = patterns::server()))]
    pub(in crate::config) server: Option<RawScalar>,
}

/// Which node gets a new session.
#[derive(Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["rendezvous"]))]
pub(in crate::config) struct Balance {
    /// Prefer the node that a property of the request selects, unless it has a quarter more load
    /// than the others. Default: not used.
    #[serde(deserialize_with = "chosen")]
    #[schemars(with = "Rendezvous")]
    pub(in crate::config) rendezvous: Option<Chosen<Rendezvous>>,
}

/// How the health of the nodes is checked.
#[derive(Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("not" = { "required": ["engineio", "http"] }))]
pub(in crate::config) struct Health {
    /// The path of an Engine.IO handshake, which the node must answer as Engine.IO does. Default:
    /// none.
    #[serde(deserialize_with = "chosen")]
    #[schemars(with = "String", extend("pattern" = whole(patterns::CHECK_PATH)))]
    pub(in crate::config) engineio: Option<Chosen<String>>,
    /// An HTTP request. Default: none.
    #[serde(deserialize_with = "chosen")]
    #[schemars(with = "HttpCheck")]
    pub(in crate::config) http: Option<Chosen<HttpCheck>>,
    /// How often a node is checked, 100ms to 1h. Default: `2s`.
    pub(in crate::config) every: Option<RawScalar>,
    /// How long a check may take, 10ms to 1m. Default: `2s`.
    pub(in crate::config) timeout: Option<RawScalar>,
    /// How many consecutive failed checks make a node unhealthy, 1 to 100. Default: `3`.
    pub(in crate::config) fail: Option<RawScalar>,
    /// How many consecutive passed checks make a node healthy again, 1 to 100. Default: `2`.
    pub(in crate::config) pass: Option<RawScalar>,
    /// How many consecutive failed client handshakes eject a node for a while, 1 to 1000, or `off`;
    /// they must come from at least three client addresses. Default: `5`.
    pub(in crate::config) eject_after: Option<RawScalar>,
}

/// An HTTP request and what its response must be.
#[derive(Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct HttpCheck {
    /// The path. Default: none; it is needed.
    #[schemars(extend("pattern" = whole(patterns::CHECK_PATH_AND_QUERY)))]
    pub(in crate::config) path: Option<String>,
    /// The `Host` of the request, a name or an address. Default: the node's address.
    #[schemars(extend("pattern" = whole(patterns::CHECK_HOST)))]
    pub(in crate::config) host: Option<String>,
    /// The status codes of a passed check: one, or the first and the last. Default: `200-299`.
    #[schemars(extend("x-form" = patterns::STATUSES, "x-number" = [100, 599]))]
    pub(in crate::config) status: Option<RawScalar>,
    /// What the body must contain. Default: none.
    #[schemars(length(min = 1))]
    pub(in crate::config) body: Option<String>,
    /// What the body contains if the node wants to be drained. Default: none.
    #[schemars(length(min = 1))]
    pub(in crate::config) drain: Option<String>,
}

/// How new sessions are rate-limited and how long they wait.
#[derive(Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct Admission {
    /// How many new sessions may start per second in total, 1 to 1000000, or `off`. Default: `off`.
    pub(in crate::config) handshakes_per_second: Option<RawScalar>,
    /// How many new sessions may start per second on each node, 1 to 1000000, or `off`. Default:
    /// `off`.
    pub(in crate::config) node_handshakes_per_second: Option<RawScalar>,
    /// How many new sessions may start at the same time after a pause, 1 to 1000000, or `auto`: as
    /// many as per second. Default: `auto`.
    pub(in crate::config) burst: Option<RawScalar>,
    /// How long a handshake waits for a node or for its turn, 100ms to 15s, or `off`. Default:
    /// `10s`.
    pub(in crate::config) hold: Option<RawScalar>,
    /// How many handshakes may wait, 1 to 1000000. Default: `10000`.
    pub(in crate::config) queue: Option<RawScalar>,
}

/// How a node is drained.
#[derive(Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct Drain {
    /// How long the sessions of a draining node may continue, 1s to 24h. Default: `10m`.
    pub(in crate::config) timeout: Option<RawScalar>,
    /// How many of its WebSockets are closed per second towards the end, 1 to 100000. Default:
    /// `100`.
    pub(in crate::config) closes_per_second: Option<RawScalar>,
}

/// How idle WebSockets are moved to nodes with less load.
#[derive(Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct Rebalance {
    /// How far the load of a node relative to its weight may exceed that of another node, 1% to
    /// 100%. Default: `10%`.
    pub(in crate::config) within: Option<RawScalar>,
    /// How many WebSockets are closed per second, 1 to 100000. Default: `5`.
    pub(in crate::config) closes_per_second: Option<RawScalar>,
}

/// How the requests of a session find their node; one of the keys.
#[derive(Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("minProperties" = 1, "maxProperties" = 1))]
pub(in crate::config) struct Affinity {
    /// By the session id. Default: the keys below at their defaults.
    #[serde(deserialize_with = "chosen")]
    #[schemars(with = "Sid")]
    pub(in crate::config) sid: Option<Chosen<Sid>>,
    /// By a cookie that Sockeye sets. Default: not used.
    #[serde(deserialize_with = "chosen")]
    #[schemars(with = "Cookie")]
    pub(in crate::config) cookie: Option<Chosen<Cookie>>,
    /// By a property of the request. Default: not used.
    #[serde(deserialize_with = "chosen")]
    #[schemars(with = "Rendezvous")]
    pub(in crate::config) rendezvous: Option<Chosen<Rendezvous>>,
}

/// By the session id.
#[derive(Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct Sid {
    /// Secrets of at least 16 characters: the first one makes tags, all are accepted. Without any,
    /// tags use a constant that is the same in every Sockeye. Default: `[]`.
    #[schemars(extend("x-items" = { "minLength": 16 }))]
    pub(in crate::config) keys: List<String>,
    /// Tag the sessions of EIO=3 clients too, although these clients see the tag. Default: `false`.
    pub(in crate::config) tag_eio3: Option<bool>,
    /// What a tag contains: `long`, the node and limits of the session, or `short`, only the node,
    /// which older proxies understand. Default: `long`.
    #[schemars(extend("enum" = ["long", "short", null]))]
    pub(in crate::config) tag: Option<String>,
}

/// By a cookie that Sockeye sets.
#[derive(Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct Cookie {
    /// The cookie's name. Default: `sockeye`.
    #[schemars(extend("pattern" = whole(patterns::TOKEN)))]
    pub(in crate::config) name: Option<String>,
    /// Secrets of at least 16 characters, as for `sid`. Default: `[]`.
    #[schemars(extend("x-items" = { "minLength": 16 }))]
    pub(in crate::config) keys: List<String>,
}

/// By a property of the request.
#[derive(Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct Rendezvous {
    /// Which property: `address`, or a map with one of the keys below. Default: none; it is
    /// needed.
    pub(in crate::config) by: Option<TextOr<RendezvousBy>>,
}

/// Which property of the request; one of the keys.
#[derive(Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("minProperties" = 1, "maxProperties" = 1))]
pub(in crate::config) struct RendezvousBy {
    /// The name of a request header. Default: none.
    #[serde(deserialize_with = "chosen")]
    #[schemars(with = "String", extend("pattern" = whole(patterns::TOKEN)))]
    pub(in crate::config) header: Option<Chosen<String>>,
    /// The name of a query parameter. Default: none.
    #[serde(deserialize_with = "chosen")]
    #[schemars(with = "String", extend("pattern" = whole(patterns::QUERY_NAME)))]
    pub(in crate::config) query: Option<Chosen<String>>,
    /// The name of a cookie of the application. Default: none.
    #[serde(deserialize_with = "chosen")]
    #[schemars(with = "String", extend("pattern" = whole(patterns::TOKEN)))]
    pub(in crate::config) cookie: Option<Chosen<String>>,
}
