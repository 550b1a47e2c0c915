//! `upstreams:` as it is written.
//!
//! Pure. Runs at start, at reload, or on a timer.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Chosen, List, TextOr, Written, chosen};
use crate::config::patterns;
use crate::config::schema::whole;

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
    /// Where the server processes are asked for, instead of `nodes`. Default: nowhere.
    pub(in crate::config) discover: Option<Discover>,
    /// How a session comes back to its node: `sid`, `cookie`, `none`, or a map with one of the
    /// keys below. Default: `sid`.
    pub(in crate::config) affinity: Option<TextOr<Affinity>>,
    /// How long a TCP connection to a node may take, 100ms to 1m. Default: `3s`.
    pub(in crate::config) connect_timeout: Option<Written>,
    /// The longest head of a node's answer, 8KiB to 1MiB. Default: `64KiB`.
    pub(in crate::config) answer_head_max: Option<Written>,
    /// How many fields the head of a node's answer may have, 10 to 256. Default: `200`.
    pub(in crate::config) answer_fields_max: Option<Written>,
    /// Whether sessions share connections to a node: `shared`, `per_session` for several processes
    /// behind one address, or `auto` to share until a node shows that it is several. Default: `auto`.
    #[schemars(extend("x-form" = "shared|per_session"))]
    pub(in crate::config) connections: Option<Written>,
    /// How long a connection to a node may wait for its next request, 100ms to 1h, or `off` to use
    /// none again; a node's `Keep-Alive: timeout=` shortens it. Default: `4s`.
    pub(in crate::config) pool_idle_timeout: Option<Written>,
    /// Which node gets a new session: `least-connections`, `round-robin`, `random-two`, or a map
    /// with the key below. Default: `least-connections`.
    pub(in crate::config) balance: Option<TextOr<Balance>>,
    /// How long a node that comes or comes back takes to get its full share of new sessions, 1s to
    /// 1h, or `off`. Default: `10s`.
    pub(in crate::config) slow_start: Option<Written>,
    /// How many tunnels and pending exchanges each node may have and still get a new session, 1 to
    /// 1000000, or `off`. Default: `off`.
    pub(in crate::config) max_connections: Option<Written>,
    /// How it is found out that a node is well: `tcp`, `off`, or a map with the keys below.
    /// Default: `tcp`.
    pub(in crate::config) health: Option<TextOr<Health>>,
    /// How new sessions are paced and how long they wait. Default: the keys below at their
    /// defaults.
    pub(in crate::config) admission: Option<Admission>,
    /// How a node is emptied. Default: the keys below at their defaults.
    pub(in crate::config) drain: Option<Drain>,
    /// Whether idle tunnels of nodes with more load than others are closed, so that their clients
    /// go elsewhere: `off`, or a map with the keys below. Default: `off`.
    pub(in crate::config) rebalance: Option<TextOr<Rebalance>>,
}

/// One server process.
#[derive(Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct Node {
    /// The host and port. Default: none; it is needed.
    #[schemars(extend("x-form" = patterns::node()))]
    pub(in crate::config) address: Option<Written>,
    /// What affinity, logs and metrics call it. Default: the address as written.
    #[schemars(extend("pattern" = whole(patterns::WORD)))]
    pub(in crate::config) name: Option<String>,
    /// Its share of new sessions beside the others' weights, 1 to 1000. Default: `1`.
    pub(in crate::config) weight: Option<Written>,
    /// Drain it: no new session, and its tunnels are closed in time. Default: `false`.
    pub(in crate::config) drain: Option<bool>,
}

/// Where the server processes are asked for; `dns` or `srv`.
#[derive(Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("oneOf" = [{ "required": ["dns"] }, { "required": ["srv"] }]))]
pub(in crate::config) struct Discover {
    /// A host name and port: each of the name's addresses is a node. Default: none.
    #[serde(deserialize_with = "chosen")]
    #[schemars(with = "String", extend("pattern" = whole(&patterns::named_node())))]
    pub(in crate::config) dns: Option<Chosen<String>>,
    /// The name of SRV records: each target and port is a node. Default: none.
    #[serde(deserialize_with = "chosen")]
    #[schemars(with = "String", extend("pattern" = whole(patterns::SRV)))]
    pub(in crate::config) srv: Option<Chosen<String>>,
    /// The longest time between two look-ups, 1s to 1h; a shorter TTL is respected. Default: `5s`.
    pub(in crate::config) every: Option<Written>,
    /// The DNS server's IP address and port. Default: the system's.
    #[schemars(extend("x-form" = patterns::server()))]
    pub(in crate::config) server: Option<Written>,
}

/// Which node gets a new session.
#[derive(Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["rendezvous"]))]
pub(in crate::config) struct Balance {
    /// The node that a property of the request prefers, unless it has a quarter more load than the
    /// others. Default: not used.
    #[serde(deserialize_with = "chosen")]
    #[schemars(with = "Rendezvous")]
    pub(in crate::config) rendezvous: Option<Chosen<Rendezvous>>,
}

/// How it is found out that a node is well.
#[derive(Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("not" = { "required": ["engineio", "http"] }))]
pub(in crate::config) struct Health {
    /// The path of an Engine.IO handshake, which must be answered as Engine.IO answers. Default:
    /// none.
    #[serde(deserialize_with = "chosen")]
    #[schemars(with = "String", extend("pattern" = whole(patterns::CHECK_PATH)))]
    pub(in crate::config) engineio: Option<Chosen<String>>,
    /// An HTTP request. Default: none.
    #[serde(deserialize_with = "chosen")]
    #[schemars(with = "HttpCheck")]
    pub(in crate::config) http: Option<Chosen<HttpCheck>>,
    /// How often a node is asked, 100ms to 1h. Default: `2s`.
    pub(in crate::config) every: Option<Written>,
    /// How long it may take to answer, 10ms to 1m. Default: `2s`.
    pub(in crate::config) timeout: Option<Written>,
    /// After so many failures running it gets no new session, 1 to 100. Default: `3`.
    pub(in crate::config) fail: Option<Written>,
    /// After so many good answers running it gets new sessions again, 1 to 100. Default: `2`.
    pub(in crate::config) pass: Option<Written>,
    /// After so many failures running of clients' requests, of three client addresses at least, it
    /// is ejected for a while, 1 to 1000, or `off`. Default: `5`.
    pub(in crate::config) eject_after: Option<Written>,
}

/// An HTTP request and what its answer must be.
#[derive(Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct HttpCheck {
    /// The path. Default: none; it is needed.
    #[schemars(extend("pattern" = whole(patterns::CHECK_PATH_AND_QUERY)))]
    pub(in crate::config) path: Option<String>,
    /// The `Host` of the request, a name or an address. Default: the node's address.
    #[schemars(extend("pattern" = whole(patterns::CHECK_HOST)))]
    pub(in crate::config) host: Option<String>,
    /// The statuses that are good: one, or the first and the last. Default: `200-299`.
    #[schemars(extend("x-form" = patterns::STATUSES, "x-number" = [100, 599]))]
    pub(in crate::config) status: Option<Written>,
    /// What the body must hold. Default: none.
    #[schemars(length(min = 1))]
    pub(in crate::config) body: Option<String>,
    /// What the body holds if the node wants to be drained. Default: none.
    #[schemars(length(min = 1))]
    pub(in crate::config) drain: Option<String>,
}

/// How new sessions are paced and how long they wait.
#[derive(Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct Admission {
    /// How many new sessions begin each second in all, 1 to 1000000, or `off`. Default: `off`.
    pub(in crate::config) handshakes_per_second: Option<Written>,
    /// How many new sessions begin each second on each node, 1 to 1000000, or `off`. Default:
    /// `off`.
    pub(in crate::config) node_handshakes_per_second: Option<Written>,
    /// How many may begin at once after a pause, 1 to 1000000, or `auto`: as many as each second.
    /// Default: `auto`.
    pub(in crate::config) burst: Option<Written>,
    /// How long a handshake waits for a node or for its turn, 100ms to 15s, or `off`. Default:
    /// `10s`.
    pub(in crate::config) hold: Option<Written>,
    /// How many handshakes may wait, 1 to 1000000. Default: `10000`.
    pub(in crate::config) queue: Option<Written>,
}

/// How a node is emptied.
#[derive(Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct Drain {
    /// How long the sessions of a node that drains go on, 1s to 24h. Default: `10m`.
    pub(in crate::config) timeout: Option<Written>,
    /// How many of its tunnels are closed each second towards the end, 1 to 100000. Default: `100`.
    pub(in crate::config) closes_per_second: Option<Written>,
}

/// How idle tunnels are moved to nodes that have less load.
#[derive(Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct Rebalance {
    /// How far a node's load, for its weight, may be above that of another, 1% to 100%. Default: `10%`.
    pub(in crate::config) within: Option<Written>,
    /// How many tunnels are closed each second, 1 to 100000. Default: `5`.
    pub(in crate::config) closes_per_second: Option<Written>,
}

/// How a session comes back to its node; one of the keys.
#[derive(Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("minProperties" = 1, "maxProperties" = 1))]
pub(in crate::config) struct Affinity {
    /// By the session id. Default: the keys below at their defaults.
    #[serde(deserialize_with = "chosen")]
    #[schemars(with = "Sid")]
    pub(in crate::config) sid: Option<Chosen<Sid>>,
    /// By a cookie of the proxy's own. Default: not used.
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
    /// Secrets of at least 16 characters: the first makes tags, all are known. None means a
    /// constant that is the same in every Sockeye. Default: `[]`.
    #[schemars(extend("x-items" = { "minLength": 16 }))]
    pub(in crate::config) keys: List<String>,
    /// Tag the sessions of EIO=3 clients too, though they see the tag. Default: `false`.
    pub(in crate::config) tag_eio3: Option<bool>,
    /// What a tag says: `long`, the session's node and bounds, or `short`, the node alone, as proxies
    /// before the long form know it. Default: `long`.
    #[schemars(extend("enum" = ["long", "short", null]))]
    pub(in crate::config) tag: Option<String>,
}

/// By a cookie of the proxy's own.
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
    /// A request header's name. Default: none.
    #[serde(deserialize_with = "chosen")]
    #[schemars(with = "String", extend("pattern" = whole(patterns::TOKEN)))]
    pub(in crate::config) header: Option<Chosen<String>>,
    /// The name of a parameter in the request's query. Default: none.
    #[serde(deserialize_with = "chosen")]
    #[schemars(with = "String", extend("pattern" = whole(patterns::QUERY_NAME)))]
    pub(in crate::config) query: Option<Chosen<String>>,
    /// The name of a cookie of the application's own. Default: none.
    #[serde(deserialize_with = "chosen")]
    #[schemars(with = "String", extend("pattern" = whole(patterns::TOKEN)))]
    pub(in crate::config) cookie: Option<Chosen<String>>,
}
