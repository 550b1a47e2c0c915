//! The configuration as it is written: the YAML's shape, and nothing of what it means.
//!
//! All keys are optional here, the items of lists and maps too: what is missing or wrong is told
//! by `resolve`, with all else that is. The sentence on each key is the one that `schema` tells to
//! editors and that the manual and `configs/reference.yaml` begin with, a test says so; `Default:`
//! ends it.
//!
//! Pure. Runs at start, at reload, or on a timer.

mod upstream;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::patterns;
use super::schema::whole;
use crate::yaml::{Chosen, List, RawScalar, TextOr, chosen};
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
    /// How many clients may be connected at the same time, WebSockets included, 1 to 10000000;
    /// `auto`: as many as the limits on open files and memory allow. Default: `auto`.
    pub(super) max_connections: Option<RawScalar>,
    /// How the process shuts down. Default: the keys below at their defaults.
    pub(super) shutdown: Option<Shutdown>,
    /// The listener for status, metrics and commands. Default: none.
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
    pub(super) bind: Option<RawScalar>,
    /// The networks whose `X-Forwarded-*` and `Forwarded` fields are trusted. Default: `[]`.
    #[schemars(extend("x-items" = { "pattern": whole(&patterns::network()) }))]
    pub(super) trusted_proxies: List<String>,
    /// The maximum size of a request head, 8KiB to 1MiB. Default: `64KiB`.
    pub(super) head_max: Option<RawScalar>,
    /// The maximum number of header fields in a request, 10 to 1000. Default: `200`.
    pub(super) head_fields_max: Option<RawScalar>,
    /// How long a client may take to send a request head, 1s to 5m. Default: `10s`.
    pub(super) header_timeout: Option<RawScalar>,
    /// How long a connection may be idle between two requests, 1s to 1h. Default: `75s`.
    pub(super) keep_alive_timeout: Option<RawScalar>,
}

/// Which requests go to an upstream, and within what limits.
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
    /// How long a node may take to start its response, 1s to 1h, or `auto`: for polls as long as
    /// the session's handshake allows, for other requests 2m. Default: `auto`.
    pub(super) response_timeout: Option<RawScalar>,
    /// How long the transfer of a request may make no progress, from the client or to the node, 1s
    /// to 1h. Default: `30s`.
    pub(super) request_body_timeout: Option<RawScalar>,
    /// How long a node may pause within a response body, 1s to 24h, `off`, or `auto`: 30s if the
    /// response has a length, 10m if it has none, and no limit for `text/event-stream`. Default:
    /// `auto`.
    pub(super) response_body_timeout: Option<RawScalar>,
    /// The maximum size of a request body, 1B to 1024GiB, or `auto`: the `maxPayload` of the
    /// session's handshake, for other requests 64MiB. Default: `auto`.
    pub(super) body_max: Option<RawScalar>,
    /// The limits of its WebSockets. Default: the keys below at their defaults.
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

/// The limits of a route's WebSockets.
#[derive(Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Tunnel {
    /// How long a WebSocket may be idle, 1s to 24h, or `off`, or `auto`: taken from the session's
    /// handshake, 5m if that is not known or there is no Engine.IO session. Default: `auto`.
    pub(super) idle_timeout: Option<RawScalar>,
    /// How long a WebSocket may carry no message, 1s to 24h, or `off`; Pings, Pongs and the
    /// heartbeats of Engine.IO are not messages. Default: `off`.
    pub(super) idle_messages: Option<RawScalar>,
    /// Whether Sockeye sends Pings on quiet connections: `auto`, which is `off` for Engine.IO,
    /// `off`, or a map with the keys below, which is for all WebSockets. Default: `auto`.
    pub(super) keepalive: Option<TextOr<Keepalive>>,
    /// The maximum size of a client's message, 1B to 1024GiB, or `off`, or `auto`: 100MiB. Default:
    /// `auto`.
    pub(super) message_max: Option<RawScalar>,
    /// How many messages a client may send per second, 1 to 1000000, or `off`. Default: `off`.
    pub(super) messages_per_second: Option<RawScalar>,
    /// How many control frames and empty fragments a client may send per second, 1 to 1000000, or
    /// `off`; Pongs that answer Pings do not count. Default: `200`.
    pub(super) control_frames_per_second: Option<RawScalar>,
    /// How long a client may read almost nothing of the data that waits for it, 1s to 1h, or
    /// `auto`: 20s for Engine.IO sessions, 2m for other WebSockets. Default: `auto`.
    pub(super) stalled_client: Option<RawScalar>,
    /// The maximum age of a WebSocket, 10s to 720h, or `off`. Default: `off`.
    pub(super) max_age: Option<RawScalar>,
    /// How much data is buffered for a side that does not read, 4KiB to 16MiB. Default: `64KiB`.
    pub(super) buffer: Option<RawScalar>,
}

/// How the process shuts down.
#[derive(Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Shutdown {
    /// How long new connections are still accepted after the shutdown has begun, 0s to 5m. Default:
    /// `0s`.
    pub(super) delay: Option<RawScalar>,
    /// How long WebSockets and pending responses may continue after the delay, 1s to 1h. Default:
    /// `28s`.
    pub(super) timeout: Option<RawScalar>,
}

/// The listener for status, metrics and commands; it has no authentication.
#[derive(Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Admin {
    /// The IP address and port, or `off`. Default: `off`.
    #[schemars(extend("x-form" = patterns::bind()))]
    pub(super) bind: Option<RawScalar>,
}

/// When Sockeye sends Pings on quiet connections.
#[derive(Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Keepalive {
    /// How long a side may send nothing before it gets a Ping, 1s to 1h. Default: `25s`.
    pub(super) every: Option<RawScalar>,
    /// How long it may then still send nothing before it counts as lost, 1s to 1h. Default: `20s`.
    pub(super) lost_after: Option<RawScalar>,
}

/// What is logged.
#[derive(Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Log {
    /// The format of a line: `text` or `json`. Default: `text`.
    #[schemars(extend("enum" = ["text", "json", null]))]
    pub(super) format: Option<String>,
    /// The lowest level that is logged: `error`, `warn`, `info`, `debug` or `trace`. Default:
    /// `info`.
    #[schemars(extend("enum" = ["error", "warn", "info", "debug", "trace", null]))]
    pub(super) level: Option<String>,
}
