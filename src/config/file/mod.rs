//! The configuration as it is written: the YAML's shape, and nothing of what it means.
//!
//! All keys are optional here, the items of lists and maps too: what is missing or wrong is told
//! by `resolve`, with all else that is. The sentence on each key is the one that `schema` tells to
//! editors and that the manual and `configs/reference.yaml` begin with, a test says so; `Default:`
//! ends it.
//!
//! Pure. Runs at start, at reload, or on a timer.

mod forms;
mod upstream;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::patterns;
use super::schema::whole;

use forms::chosen;
pub(super) use forms::{Chosen, List, TextOr, Written};
pub(super) use upstream::{
    Admission, Affinity, Balance, Cookie, Discover, Drain, Health, HttpCheck, Node, Rebalance,
    Rendezvous, RendezvousBy, Sid, Upstream,
};

/// The whole file.
#[derive(Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct File {
    /// The addresses that clients connect to. Default: one, `0.0.0.0:8080`.
    #[schemars(length(min = 1))]
    pub(super) listeners: List<Listener>,
    /// The named groups of nodes. Default: none; at least one is needed.
    #[schemars(extend("propertyNames" = { "pattern": whole(patterns::WORD) }))]
    pub(super) upstreams: Option<BTreeMap<String, Option<Upstream>>>,
    /// Which requests go to which upstream. Default: none; at least one is needed.
    pub(super) routes: List<Route>,
    /// How many clients may be connected at once, WebSockets among them, 1 to 10000000; `auto`: as
    /// many as the bounds on open files and memory allow. Default: `auto`.
    pub(super) max_connections: Option<Written>,
    /// How the process stops. Default: the keys below at their defaults.
    pub(super) stop: Option<Stop>,
    /// Where the process tells of itself and takes orders. Default: nowhere.
    pub(super) admin: Option<Admin>,
    /// What is logged. Default: text at level `info`.
    pub(super) log: Option<Log>,
}

/// An address that clients connect to.
#[derive(Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Listener {
    /// The IP address and port; `:80` is short for `0.0.0.0:80`. Default: none; it is needed.
    #[schemars(extend("x-form" = patterns::bind()))]
    pub(super) bind: Option<Written>,
    /// The networks whose `X-Forwarded-*` and `Forwarded` fields are believed. Default: `[]`.
    #[schemars(extend("x-items" = { "pattern": whole(&patterns::network()) }))]
    pub(super) trusted_proxies: List<String>,
    /// The longest head of a request, 8KiB to 1MiB. Default: `64KiB`.
    pub(super) head_max: Option<Written>,
    /// How many fields the head of a request may have, 10 to 1000. Default: `200`.
    pub(super) head_fields_max: Option<Written>,
    /// How long the head of a request may take from its first byte, 1s to 5m. Default: `10s`.
    pub(super) header_timeout: Option<Written>,
    /// How long a connection may wait for its next request, 1s to 1h. Default: `75s`.
    pub(super) keep_alive_timeout: Option<Written>,
}

/// Which requests go to an upstream, and within what bounds.
#[derive(Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Route {
    /// The host: a name, an IP address, `*.example.com`, or `*` for all. Default: `*`.
    #[schemars(extend("pattern" = whole(&patterns::host())))]
    pub(super) host: Option<String>,
    /// The path: a prefix, or a map with the key below. Default: `/`.
    pub(super) path: Option<TextOr<RoutePath>>,
    /// The upstream's name. Default: none; it is needed.
    pub(super) upstream: Option<String>,
    /// How long a node may take to begin its answer, 1s to 1h, or `auto`: polls as long as the
    /// session's handshake allows, all else 2m. Default: `auto`.
    pub(super) response_timeout: Option<Written>,
    /// How long a request may make no progress, by its client or by the node, 1s to 1h. Default:
    /// `30s`.
    pub(super) request_body_timeout: Option<Written>,
    /// How long the body of an answer may be silent, 1s to 24h, `off`, or `auto`: 30s where the
    /// answer has a length, 10m where it has none, and no bound for `text/event-stream`. Default:
    /// `auto`.
    pub(super) response_body_timeout: Option<Written>,
    /// What `request_body_timeout` and `response_body_timeout` are where they are not written, 1s to
    /// 1h: their old name. Default: none.
    pub(super) body_timeout: Option<Written>,
    /// The longest request body, 1B to 1024GiB, or `auto`: what the session's handshake says, all else
    /// 64MiB. Default: `auto`.
    pub(super) body_max: Option<Written>,
    /// The bounds of its WebSockets. Default: the keys below at their defaults.
    pub(super) tunnel: Option<Tunnel>,
}

/// A path that is not a prefix.
#[derive(Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["exact"]))]
pub(super) struct RoutePath {
    /// One path and nothing below it. Default: none.
    #[serde(deserialize_with = "chosen")]
    #[schemars(with = "String", extend(
        "pattern" = whole(patterns::PATH), "not" = { "pattern": patterns::DOT_SEGMENTS }
    ))]
    pub(super) exact: Option<Chosen<String>>,
}

/// The bounds of a route's WebSockets.
#[derive(Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Tunnel {
    /// How long a WebSocket may be silent, 1s to 24h, or `off`, or `auto`: what the session's
    /// handshake says, 5m if it is not known or no Engine.IO session. Default: `auto`.
    pub(super) idle_timeout: Option<Written>,
    /// How long it may pass no message, 1s to 24h, or `off`; Pings, Pongs and the heartbeats of
    /// Engine.IO are no messages. Default: `off`.
    pub(super) idle_messages: Option<Written>,
    /// Whether quiet sides get Pings of the proxy's own: `auto`, which is `off` for Engine.IO, `off`,
    /// or a map with the keys below, for all. Default: `auto`.
    pub(super) keepalive: Option<TextOr<Keepalive>>,
    /// The longest message of a client, 1B to 1024GiB, or `off`, or `auto`: 100MiB. Default: `auto`.
    pub(super) message_max: Option<Written>,
    /// How many messages a client may send each second, 1 to 1000000, or `off`. Default: `off`.
    pub(super) messages_per_second: Option<Written>,
    /// How many control frames and empty fragments a client may send each second, 1 to 1000000, or
    /// `off`; Pongs that answer Pings do not count. Default: `200`.
    pub(super) control_frames_per_second: Option<Written>,
    /// How long a client may take next to nothing of what waits for it, 1s to 1h, or `auto`: 20s for
    /// Engine.IO sessions, 2m for other WebSockets. Default: `auto`.
    pub(super) stalled_client: Option<Written>,
    /// How old a WebSocket may get, 10s to 720h, or `off`. Default: `off`.
    pub(super) max_age: Option<Written>,
    /// How much is kept for a side that does not read, 4KiB to 16MiB. Default: `64KiB`.
    pub(super) buffer: Option<Written>,
}

/// How the process stops.
#[derive(Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Stop {
    /// How long new connections are still accepted when the stop has begun, 0s to 5m. Default:
    /// `0s`.
    pub(super) delay: Option<Written>,
    /// How long WebSockets and pending answers have behind the delay, 1s to 1h. Default: `28s`.
    pub(super) timeout: Option<Written>,
}

/// Where the process tells of itself and takes orders, without asking who it is.
#[derive(Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Admin {
    /// The IP address and port, or `off`. Default: `off`.
    #[schemars(extend("x-form" = patterns::bind()))]
    pub(super) bind: Option<Written>,
}

/// When quiet sides get Pings of the proxy's own.
#[derive(Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Keepalive {
    /// A side from which nothing came for this long gets a Ping, 1s to 1h. Default: `25s`.
    pub(super) every: Option<Written>,
    /// And is lost if nothing comes for this long then, 1s to 1h. Default: `20s`.
    pub(super) lost_after: Option<Written>,
}

/// What is logged.
#[derive(Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Log {
    /// How a line looks: `text` or `json`. Default: `text`.
    #[schemars(extend("enum" = ["text", "json", null]))]
    pub(super) format: Option<String>,
    /// The least level that is written: `error`, `warn`, `info`, `debug` or `trace`. Default:
    /// `info`.
    #[schemars(extend("enum" = ["error", "warn", "info", "debug", "trace", null]))]
    pub(super) level: Option<String>,
}
