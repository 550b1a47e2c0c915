//! The configuration as it is written: the YAML's shape, and nothing of what it means.
//!
//! All keys are optional here, the items of lists and maps too: what is missing or wrong is told
//! by `resolve`, with all else that is. The sentence on each key is the one that `schema` tells to
//! editors and that the manual and `configs/reference.yaml` begin with, a test says so; `Default:`
//! ends it.
//!
//! Pure. Runs at start, at reload, or on a timer.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use schemars::JsonSchema;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

/// The whole file.
#[derive(Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct File {
    /// The addresses that clients connect to. Default: one, `0.0.0.0:8080`.
    pub(super) listeners: List<Listener>,
    /// The named groups of nodes. Default: none; at least one is needed.
    pub(super) upstreams: Option<BTreeMap<String, Option<Upstream>>>,
    /// Which requests go to which upstream. Default: none; at least one is needed.
    pub(super) routes: List<Route>,
    /// How many clients may be connected at once, WebSockets among them, 1 to 10000000; `auto`: as
    /// many as the bound on open files allows. Default: `auto`.
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
    pub(super) bind: Option<Written>,
    /// The networks whose `X-Forwarded-*` and `Forwarded` fields are believed. Default: `[]`.
    pub(super) trusted_proxies: List<String>,
    /// How long the head of a request may take from its first byte, 1s to 5m. Default: `10s`.
    pub(super) header_timeout: Option<Written>,
    /// How long a connection may wait for its next request, 1s to 1h. Default: `75s`.
    pub(super) keep_alive_timeout: Option<Written>,
}

/// A named group of nodes.
#[derive(Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Upstream {
    /// The server processes: addresses, or maps with the keys below. Default: none; at least one
    /// is needed.
    pub(super) nodes: List<TextOr<Node>>,
    /// How a session comes back to its node: `sid`, `cookie`, `none`, or a map with one of the
    /// keys below. Default: `sid`.
    pub(super) affinity: Option<TextOr<Affinity>>,
    /// How long a TCP connection to a node may take, 100ms to 1m. Default: `3s`.
    pub(super) connect_timeout: Option<Written>,
}

/// One server process.
#[derive(Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Node {
    /// The host and port. Default: none; it is needed.
    pub(super) address: Option<Written>,
    /// What affinity, logs and metrics call it. Default: the address as written.
    pub(super) name: Option<String>,
    /// Its share of new sessions beside the others' weights, 1 to 1000. Default: `1`.
    pub(super) weight: Option<u64>,
}

/// How a session comes back to its node; one of the keys.
#[derive(Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Affinity {
    /// By the session id. Default: the keys below at their defaults.
    pub(super) sid: Option<Sid>,
    /// By a cookie of the proxy's own. Default: not used.
    pub(super) cookie: Option<Cookie>,
    /// By a property of the request. Default: not used.
    pub(super) rendezvous: Option<Rendezvous>,
}

/// By the session id.
#[derive(Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Sid {
    /// Secrets of at least 16 characters: the first makes tags, all are known. None means a
    /// constant that is the same in every Sockeye. Default: `[]`.
    pub(super) keys: List<String>,
    /// Tag the sessions of EIO=3 clients too, though they see the tag. Default: `false`.
    pub(super) tag_eio3: Option<bool>,
}

/// By a cookie of the proxy's own.
#[derive(Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Cookie {
    /// The cookie's name. Default: `sockeye`.
    pub(super) name: Option<String>,
    /// Secrets of at least 16 characters, as for `sid`. Default: `[]`.
    pub(super) keys: List<String>,
}

/// By a property of the request.
#[derive(Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Rendezvous {
    /// Which property: `address`, or a map with one of the keys below. Default: none; it is
    /// needed.
    pub(super) by: Option<TextOr<RendezvousBy>>,
}

/// Which property of the request; one of the keys.
#[derive(Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RendezvousBy {
    /// A request header's name. Default: none.
    pub(super) header: Option<String>,
    /// The name of a parameter in the request's query. Default: none.
    pub(super) query: Option<String>,
}

/// Which requests go to an upstream, and within what bounds.
#[derive(Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Route {
    /// The host: a name, an IP address, `*.example.com`, or `*` for all. Default: `*`.
    pub(super) host: Option<String>,
    /// The path: a prefix, or a map with the key below. Default: `/`.
    pub(super) path: Option<TextOr<RoutePath>>,
    /// The upstream's name. Default: none; it is needed.
    pub(super) upstream: Option<String>,
    /// How long a node may take to begin its answer, 1s to 1h, or `auto`: polls as long as the
    /// session's handshake allows, all else 60s. Default: `auto`.
    pub(super) response_timeout: Option<Written>,
    /// How long a body, of a request or an answer, may make no progress, 1s to 1h. Default: `30s`.
    pub(super) body_timeout: Option<Written>,
    /// The longest request body, 1B to 1024GiB, or `auto`: on Engine.IO requests what the node's
    /// handshake says, all else 64MiB. Default: `auto`.
    pub(super) body_max: Option<Written>,
    /// The bounds of its WebSockets. Default: the keys below at their defaults.
    pub(super) tunnel: Option<Tunnel>,
}

/// A path that is not a prefix.
#[derive(Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RoutePath {
    /// One path and nothing below it. Default: none.
    pub(super) exact: Option<String>,
}

/// The bounds of a route's WebSockets.
#[derive(Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Tunnel {
    /// How long a WebSocket may be silent, 1s to 24h, or `off`, or `auto`: what the session's
    /// handshake says, 5m if it is no Engine.IO session. Default: `auto`.
    pub(super) idle_timeout: Option<Written>,
    /// How long it may pass no message, 1s to 24h, or `off`; Pings, Pongs and the heartbeats of
    /// Engine.IO are no messages. Default: `off`.
    pub(super) idle_messages: Option<Written>,
    /// Whether quiet sides get Pings of the proxy's own: `auto`, which is `off` for Engine.IO, `off`,
    /// or a map with the keys below, for all. Default: `auto`.
    pub(super) keepalive: Option<TextOr<Keepalive>>,
    /// The longest message of a client, 1B to 1024GiB, or `off`, or `auto`: what the session's
    /// handshake says, `off` if it is no Engine.IO session. Default: `auto`.
    pub(super) message_max: Option<Written>,
    /// How many messages a client may send each second, 1 to 1000000, or `off`. Default: `off`.
    pub(super) messages_per_second: Option<Written>,
    /// How long a client may take nothing of what waits for it, 1s to 1h. Default: `20s`.
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

/// A list whose items may be empty, as `- ` writes one.
pub(super) type List<T> = Option<Vec<Option<T>>>;

/// Text or a number as it was written: which it is, is no matter of YAML.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Written(String);

/// A value that has a short form.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub(super) enum TextOr<M> {
    /// The short form.
    Text(String),
    /// The long one.
    Map(M),
}

impl Written {
    /// As it is to be written.
    pub(super) fn new(text: impl ToString) -> Self {
        Self(text.to_string())
    }

    /// As written; numbers as YAML shows them.
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl<'de> Deserialize<'de> for Written {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(WrittenVisitor)
    }
}

struct WrittenVisitor;

impl Visitor<'_> for WrittenVisitor {
    type Value = Written;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a single value")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Written, E> {
        Ok(Written(text.to_owned()))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Written, E> {
        Ok(Written(number.to_string()))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Written, E> {
        Ok(Written(number.to_string()))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Written, E> {
        Ok(Written(number.to_string()))
    }
}

impl<'de, M: Deserialize<'de>> Deserialize<'de> for TextOr<M> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TextOrVisitor(PhantomData))
    }
}

struct TextOrVisitor<M>(PhantomData<M>);

impl<'de, M: Deserialize<'de>> Visitor<'de> for TextOrVisitor<M> {
    type Value = TextOr<M>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text or a map")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<TextOr<M>, E> {
        Ok(TextOr::Text(text.to_owned()))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<TextOr<M>, E> {
        Ok(TextOr::Text(number.to_string()))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<TextOr<M>, A::Error> {
        M::deserialize(MapAccessDeserializer::new(map)).map(TextOr::Map)
    }
}
