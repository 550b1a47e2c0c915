//! The keys of `routes:`.
//!
//! Pure. Runs at start, at reload, or on a timer.

use std::convert::Infallible;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::access::{Auth, ORIGINS_TYPE, origin};
use super::fields::{Cors, Headers};
use crate::config::schema::whole;
use crate::form::Form;
use crate::form::patterns;
use crate::form::section::{Pass, Section, key};
use crate::route::{AllowedUpgrades, Limits, Silence};
use crate::site::keys::{self as site, Compress, Files, Redirect, Respond};
use crate::tunnel::{self, IdleTimeout, KeepaliveTimes, MessageMax, StalledClient};
use crate::yaml::{Chosen, List, RawScalar, TextOr, chosen};

/// What requests get, and within what limits.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("anyOf" = [
    { "required": ["upstream"] }, { "required": ["files"] },
    { "required": ["redirect"] }, { "required": ["respond"] },
]))]
pub(crate) struct Route {
    /// The host: a name, an IP address, `"*.example.com"`, or `"*"` for all.
    #[schemars(extend("pattern" = whole(&patterns::host())))]
    pub(crate) host: Option<String>,
    /// The path: a prefix, or a map with one of the keys below.
    #[schemars(extend("x-type" = "text or map"))]
    pub(crate) path: Option<TextOr<RoutePath>>,
    /// The name of the upstream whose nodes answer. A route has this key or one of the next three; with
    /// `files`, nodes get what is no file.
    #[serde(deserialize_with = "chosen")]
    #[schemars(with = "String", extend("x-default" = "none"))]
    pub(crate) upstream: Option<Chosen<String>>,
    /// The files of a directory, for GET and HEAD: a map with the keys below.
    ///
    /// See [files](files.md). Other methods, WebSockets and Engine.IO requests go to the upstream, or are
    /// refused if there is none.
    #[serde(deserialize_with = "chosen")]
    #[schemars(with = "Files")]
    pub(crate) files: Option<Chosen<Files>>,
    /// A redirect: a map with the keys below.
    #[serde(deserialize_with = "chosen")]
    #[schemars(with = "Redirect")]
    pub(crate) redirect: Option<Chosen<Redirect>>,
    /// A response of Sockeye itself: a map with the keys below.
    #[serde(deserialize_with = "chosen")]
    #[schemars(with = "Respond")]
    pub(crate) respond: Option<Chosen<Respond>>,
    /// The beginning of `path` that nodes do not see: `/app` makes `/app/socket.io/` to `/socket.io/`.
    ///
    /// Whole segments; nodes get them as `X-Forwarded-Prefix`. `Location` (of the same host) and the
    /// `Path` of cookies in responses get the prefix back, unless they have it already. See
    /// [Paths](rewriting.md#paths).
    #[schemars(extend("x-default" = "none", "pattern" = whole(patterns::PATH_PREFIX), "not" = {
        "type": "string", "pattern": patterns::DOT_SEGMENTS
    }))]
    pub(crate) strip_prefix: Option<String>,
    /// What nodes get before the path, after `strip_prefix` is removed.
    ///
    /// It is removed from `Location` (of the same host) and from the `Path` of cookies in responses.
    #[schemars(extend("x-default" = "none", "pattern" = whole(patterns::PATH_PREFIX), "not" = {
        "type": "string", "pattern": patterns::DOT_SEGMENTS
    }))]
    pub(crate) add_prefix: Option<String>,
    /// The header fields that are changed in requests to nodes, also in those for WebSockets.
    ///
    /// See [fields](rewriting.md#fields).
    pub(crate) request_headers: Option<Headers>,
    /// The header fields that are changed in responses to clients.
    ///
    /// Sockeye's own responses, errors for example, get what is set and added, unless they have such a
    /// field.
    pub(crate) response_headers: Option<Headers>,
    /// Which pages of other origins may read the responses (CORS): a map with the keys below.
    ///
    /// Sockeye answers preflights, and replaces the fields that nodes send for this. See
    /// [CORS](rewriting.md#cors).
    pub(crate) cors: Option<Cors>,
    /// The files that are sent instead of our plain error messages, by status: `404`, `4xx` or `5xx`.
    ///
    /// Never to Engine.IO clients and for WebSockets. See [error pages](files.md#error-pages).
    #[schemars(extend(
        "propertyNames" = { "pattern": whole(site::STATUSES) }, "x-default" = "none",
        "additionalProperties" = site::page_schema(), "x-type" = "map of statuses to paths"
    ))]
    pub(crate) error_pages: Option<site::ErrorPages>,
    /// Whether errors of nodes get these pages too.
    pub(crate) intercept_errors: Option<bool>,
    /// Whether responses are compressed: `on`, `off`, or a map with the keys below.
    ///
    /// Never those to Engine.IO, nor what is compressed already. See [compression](files.md#compression).
    #[serde(deserialize_with = "chosen")]
    #[schemars(with = "TextOr<Compress>", extend("x-type" = "`on`, `off` or map", "x-default" = "`off`"))]
    pub(crate) compress: Option<Chosen<TextOr<Compress>>>,
    /// The networks whose clients are refused with 403; single addresses work too.
    ///
    /// The address of a client is that of its connection, or behind `trusted_proxies` the one that
    /// they state. `deny` counts before `allow`.
    #[schemars(extend(
        "x-items" = { "pattern": whole(&patterns::network()) }, "x-type" = "list of networks"
    ))]
    pub(crate) deny: List<String>,
    /// The networks whose clients may use the route; all others get 403. Without this key, all may.
    #[schemars(length(min = 1), extend(
        "x-items" = { "pattern": whole(&patterns::network()) }, "x-type" = "list of networks"
    ))]
    pub(crate) allow: List<String>,
    /// The pages that may use the route, by the `Origin` of their requests; others get 403:
    /// `https://app.example.com`, `https://*.example.com`, `same-host`, `"null"`, or `any`.
    ///
    /// A browser lets a page of any site open a WebSocket to your host and sends your cookies along
    /// (cross-site WebSocket hijacking). Without this key, all pages may, and the first handshake with
    /// cookies from a page of another host is reported in the log. Requests without `Origin` come from
    /// programs or from pages of the same origin, and may pass. `same-host` compares host and port with
    /// those of the request; a wildcard covers all names below, but not the name itself; `"null"` is
    /// what sandboxed frames and local files send.
    #[schemars(length(min = 1), extend(
        "x-items" = { "pattern": whole(&origin()) }, "x-type" = ORIGINS_TYPE
    ))]
    pub(crate) origins: List<String>,
    /// How clients say who they are: a map with one of the keys below. Without it, they need not.
    ///
    /// It is checked at each handshake, upgrade, poll and post, and at all other requests of the
    /// route; without valid credentials a client gets 401. Only preflights of browsers pass without,
    /// as they cannot carry any. See [who may use a route](access.md).
    pub(crate) auth: Option<Auth>,
    /// How long a node may take to start its response. `auto`: for polls as long as the session's
    /// handshake allows, for other requests 2m.
    #[schemars(extend("x-accepts" = RESPONSE_TIMEOUT.accepts()))]
    pub(crate) response_timeout: Option<RawScalar>,
    /// How long the transfer of a request may make no progress, from the client or to the node.
    #[schemars(extend("x-accepts" = REQUEST_BODY_TIMEOUT.accepts()))]
    pub(crate) request_body_timeout: Option<RawScalar>,
    /// How long a node may pause within a response body. `auto`: 30s if the response has a length,
    /// 10m if it has none, and no limit for `text/event-stream`.
    #[schemars(extend(
        "x-accepts" = RESPONSE_BODY_TIMEOUT.accepts()
    ))]
    pub(crate) response_body_timeout: Option<RawScalar>,
    /// The maximum size of a request body. `auto`: the `maxPayload` of the session's handshake, for
    /// other requests 64MiB.
    #[schemars(extend("x-accepts" = BODY_MAX.accepts()))]
    pub(crate) body_max: Option<RawScalar>,
    /// Which protocols clients may ask for by `Upgrade`.
    ///
    /// `any`: also others than WebSocket, by GET and POST over HTTP/1.1, as `docker attach`, `kubectl exec`
    /// and Tailscale do; never `h2c` and other forms of HTTP, whose requests would pass all rules by. See
    /// [other protocols](operating.md#other-protocols).
    #[schemars(extend("x-accepts" = UPGRADE.accepts()))]
    pub(crate) upgrade: Option<RawScalar>,
    /// The limits of its WebSockets.
    pub(crate) tunnel: Option<Tunnel>,
}

/// A path that is not a prefix.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("minProperties" = 1, "maxProperties" = 1))]
pub(crate) struct RoutePath {
    /// One path and nothing below it.
    #[serde(deserialize_with = "chosen")]
    #[schemars(with = "String", extend(
        "pattern" = whole(patterns::PATH), "not" = { "pattern": patterns::DOT_SEGMENTS }
    ))]
    pub(crate) exact: Option<Chosen<String>>,
    /// All paths that a regular expression finds, which begins with `^/`: `^/v[0-9]+/socket\.io/`.
    ///
    /// Before it, exact paths and prefixes other than `/` are tried; of two expressions the first in the
    /// file wins. The syntax is that of the crate `regex`, for bytes, without look-around and references,
    /// and each match takes linear time. `(?i)^/` ignores the letter case; `$` is the end of the path.
    #[serde(deserialize_with = "chosen")]
    #[schemars(with = "String", extend("pattern" = patterns::PATH_REGEX))]
    pub(crate) regex: Option<Chosen<String>>,
}

/// The limits of a route's WebSockets.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Tunnel {
    /// How long a WebSocket may be idle. `auto`: taken from the session's handshake
    /// (`pingInterval` + `pingTimeout` and a margin), 5m if that is not known or there is no
    /// Engine.IO session.
    ///
    /// Any byte counts as activity, also a Pong.
    #[schemars(extend("x-accepts" = IDLE_TIMEOUT.accepts()))]
    pub(crate) idle_timeout: Option<RawScalar>,
    /// How long a WebSocket may carry no message, in either direction. Pings, Pongs and the
    /// heartbeats of Engine.IO (`2`, `3`) are not messages.
    ///
    /// A compressed heartbeat cannot be told from a message and counts as one.
    #[schemars(extend("x-accepts" = IDLE_MESSAGES.accepts()))]
    pub(crate) idle_messages: Option<RawScalar>,
    /// Whether Sockeye sends Pings on quiet connections: `auto`, `off`, or a map with the keys below.
    ///
    /// `auto`: the map below with its defaults, and `off` for Engine.IO sessions, which have Pings
    /// of their own. With `auto`, a side that does not answer Pings is not lost, because some
    /// programs only write; it is lost when its host does not acknowledge a Ping within 20s. A map
    /// applies to all WebSockets of the route and requires answers.
    #[schemars(extend("x-type" = "`auto`, `off` or map"))]
    pub(crate) keepalive: Option<TextOr<Keepalive>>,
    /// The maximum size of a client's message: the sum of all fragments, as sent on the wire.
    /// `auto`: 100MiB.
    ///
    /// 100MiB is the default of Node's `ws`; the `maxPayload` of a handshake applies to polling.
    /// Messages from nodes have no limit.
    #[schemars(extend("x-accepts" = MESSAGE_MAX.accepts()))]
    pub(crate) message_max: Option<RawScalar>,
    /// How many messages a client may send per second on average.
    ///
    /// The same number may arrive together, and twice that after a pause.
    #[schemars(extend("x-accepts" = RATE.accepts()))]
    pub(crate) messages_per_second: Option<RawScalar>,
    /// How many control frames and empty fragments a client may send per second; Pongs that answer
    /// Pings do not count.
    ///
    /// The same number may arrive together, and twice that after a pause.
    #[schemars(extend("x-accepts" = RATE.accepts()))]
    pub(crate) control_frames_per_second: Option<RawScalar>,
    /// How long a client may read almost nothing of the data that waits for it: less than 1 KiB.
    /// `auto`: 20s for Engine.IO sessions, 2m for other WebSockets.
    ///
    /// A client that reads slowly is not disconnected. But its kernel may report progress only when
    /// half of its receive buffer is free: at 20 kB per second with a buffer of 300 kB, that is
    /// every 7s.
    #[schemars(extend("x-accepts" = STALLED_CLIENT.accepts()))]
    pub(crate) stalled_client: Option<RawScalar>,
    /// The maximum age of a WebSocket; each one ends at a random moment in the last tenth of that
    /// time.
    #[schemars(extend("x-accepts" = MAX_AGE.accepts()))]
    pub(crate) max_age: Option<RawScalar>,
    /// How much data is buffered for a side that does not read, in each direction.
    ///
    /// When the buffer is full, Sockeye stops reading from the other side.
    #[schemars(extend("x-accepts" = BUFFER.accepts()))]
    pub(crate) buffer: Option<RawScalar>,
}

/// When Sockeye sends Pings on quiet connections.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Keepalive {
    /// How long a side may send nothing before it gets a Ping.
    ///
    /// While a Ping from the other side is unanswered, Sockeye waits with its own for `lost_after`.
    #[schemars(extend("x-accepts" = KEEPALIVE.accepts()))]
    pub(crate) every: Option<RawScalar>,
    /// How long it may then still send nothing before it counts as lost.
    ///
    /// Keep it longer than a slow client needs to receive what is already on the network.
    #[schemars(extend("x-accepts" = KEEPALIVE.accepts()))]
    pub(crate) lost_after: Option<RawScalar>,
}

impl Section<Limits> for Route {
    fn keys(&mut self, limits: &mut Limits, pass: &mut Pass<'_, '_>) {
        key!(pass, self.response_timeout => limits.response_timeout, RESPONSE_TIMEOUT);
        key!(pass, self.request_body_timeout => limits.request_body_timeout, REQUEST_BODY_TIMEOUT);
        key!(pass, self.response_body_timeout => limits.response_body_timeout, RESPONSE_BODY_TIMEOUT);
        key!(pass, self.body_max => limits.body_bytes_max, BODY_MAX);
        key!(pass, self.upgrade => limits.upgrade, UPGRADE);
    }
}

/// All keys but `keepalive`, which may be a map.
impl Section<tunnel::Limits> for Tunnel {
    fn keys(&mut self, limits: &mut tunnel::Limits, pass: &mut Pass<'_, '_>) {
        key!(pass, self.idle_timeout => limits.idle_timeout, IDLE_TIMEOUT);
        key!(pass, self.idle_messages => limits.idle_messages, IDLE_MESSAGES);
        key!(pass, self.message_max => limits.message_max, MESSAGE_MAX);
        key!(pass, self.messages_per_second => limits.messages_per_second, RATE);
        key!(pass, self.control_frames_per_second => limits.control_frames_per_second, RATE);
        key!(pass, self.stalled_client => limits.stalled_client, STALLED_CLIENT);
        key!(pass, self.max_age => limits.max_age, MAX_AGE);
        key!(pass, self.buffer => limits.buffer_bytes, BUFFER);
    }
}

impl Section<KeepaliveTimes> for Keepalive {
    fn keys(&mut self, times: &mut KeepaliveTimes, pass: &mut Pass<'_, '_>) {
        key!(pass, self.every => times.every, KEEPALIVE);
        key!(pass, self.lost_after => times.lost_after, KEEPALIVE);
    }
}

const RESPONSE_TIMEOUT: Form<Option<Duration>, Duration> =
    Form::optional_duration(&[("auto", None)], Duration::from_secs(1)..=Duration::from_hours(1));
const REQUEST_BODY_TIMEOUT: Form<Duration> =
    Form::duration(Duration::from_secs(1)..=Duration::from_hours(1));
const RESPONSE_BODY_TIMEOUT: Form<Silence, Duration> = Form::duration_or(
    &[("auto", Silence::Auto), ("off", Silence::Off)],
    Duration::from_secs(1)..=Duration::from_hours(24),
    Silence::After,
    |silence| match silence {
        Silence::After(after) => Some(*after),
        Silence::Auto | Silence::Off => None,
    },
);
const BODY_MAX: Form<Option<u64>, u64> =
    Form::size_or(&[("auto", None)], 1..=1 << 40, Some, |max| *max);
const UPGRADE: Form<AllowedUpgrades, Infallible> =
    Form::word(&[("websocket", AllowedUpgrades::WebSocket), ("any", AllowedUpgrades::Any)]);
const IDLE_TIMEOUT: Form<IdleTimeout, Duration> = Form::duration_or(
    &[("auto", IdleTimeout::Auto), ("off", IdleTimeout::Off)],
    Duration::from_secs(1)..=Duration::from_hours(24),
    IdleTimeout::After,
    |timeout| match timeout {
        IdleTimeout::After(after) => Some(*after),
        IdleTimeout::Auto | IdleTimeout::Off => None,
    },
);
const IDLE_MESSAGES: Form<Option<Duration>, Duration> =
    Form::optional_duration(&[("off", None)], Duration::from_secs(1)..=Duration::from_hours(24));
const KEEPALIVE: Form<Duration> = Form::duration(Duration::from_secs(1)..=Duration::from_hours(1));
const MESSAGE_MAX: Form<MessageMax, u64> = Form::size_or(
    &[("auto", MessageMax::Auto), ("off", MessageMax::Off)],
    1..=1 << 40,
    MessageMax::Bytes,
    |max| match max {
        MessageMax::Bytes(bytes) => Some(*bytes),
        MessageMax::Auto | MessageMax::Off => None,
    },
);
const RATE: Form<Option<u32>, u32> =
    Form::number_or(&[("off", None)], 1..=1_000_000, Some, |rate| *rate);
const STALLED_CLIENT: Form<StalledClient, Duration> = Form::duration_or(
    &[("auto", StalledClient::Auto)],
    Duration::from_secs(1)..=Duration::from_hours(1),
    StalledClient::After,
    |stalled| match stalled {
        StalledClient::After(after) => Some(*after),
        StalledClient::Auto => None,
    },
);
const MAX_AGE: Form<Option<Duration>, Duration> =
    Form::optional_duration(&[("off", None)], Duration::from_secs(10)..=Duration::from_hours(720));
const BUFFER: Form<usize, u64> = Form::size_in_memory(4 << 10..=16 << 20);
