//! The keys of `listeners:`.
//!
//! Pure. Runs at start, at reload, or on a timer.

use std::convert::Infallible;
use std::num::NonZeroU32;
use std::ops::RangeInclusive;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::tls::Tls;
use crate::config::schema::whole;
use crate::form::Accepts;
use crate::form::Form;
use crate::form::patterns;
use crate::listener::Http2;
use crate::listener::settings::ProxyProtocol;
use crate::yaml::{List, RawScalar};

/// An address that clients connect to.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend(
    "anyOf" = [
        { "properties": { "proxy_protocol": { "enum": ["off", null] } } },
        {
            "required": ["trusted_proxies"],
            "properties": { "trusted_proxies": { "type": "array", "minItems": 1 } },
        },
    ]
))]
pub(crate) struct Listener {
    /// The IP address and port; `":80"` is short for `0.0.0.0:80`.
    ///
    /// `"[::]:80"` accepts IPv6 and IPv4. With port 0 the system chooses a free port. Overlapping
    /// addresses are refused: `0.0.0.0:80` includes `127.0.0.1:80`.
    #[schemars(extend(
        "x-accepts" = Accepts::form("address", patterns::bind()), "x-needed" = true
    ))]
    pub(crate) bind: Option<RawScalar>,
    /// TLS, which the listener then speaks with every client.
    #[schemars(extend("x-default" = "none"))]
    pub(crate) tls: Option<Tls>,
    /// Redirect all requests to https: `on` to port 443, or to another port. ACME challenges are not
    /// redirected.
    ///
    /// GET and HEAD get 301, other methods 308; path and query stay.
    #[schemars(extend("x-accepts" = Accepts::number(&PORT).or("off").or("on")))]
    pub(crate) redirect_http: Option<RawScalar>,
    /// The networks whose `X-Forwarded-*` and `Forwarded` fields are trusted; single addresses work
    /// too.
    ///
    /// From all other addresses, Sockeye removes every field in which proxies describe the client
    /// (also `X-Real-IP`, `CF-Connecting-IP` and similar ones).
    #[schemars(extend(
        "x-items" = { "pattern": whole(&patterns::network()) }, "x-type" = "list of networks"
    ))]
    pub(crate) trusted_proxies: List<String>,
    /// Whether clients may speak HTTP/2: with TLS by ALPN, without TLS by prior knowledge.
    ///
    /// WebSockets are then streams too (RFC 8441). HTTP/1.1 is always served. See
    /// [operating](operating.md#http2).
    #[schemars(extend("x-accepts" = HTTP2.accepts()))]
    pub(crate) http2: Option<RawScalar>,
    /// The maximum number of requests and WebSockets that are open on one HTTP/2 connection.
    #[schemars(extend("x-accepts" = HTTP2_STREAMS_MAX.accepts()))]
    pub(crate) http2_streams_max: Option<RawScalar>,
    /// Whether connections begin with a PROXY header (version 1 or 2), which names the client: for
    /// balancers that relay TCP without reading HTTP.
    ///
    /// It is accepted from `trusted_proxies` only. With `required`, a connection without one is
    /// closed. `optional` is for the time of a change: a balancer that sends no header itself lets its
    /// clients send one.
    #[schemars(extend("x-accepts" = PROXY_PROTOCOL.accepts()))]
    pub(crate) proxy_protocol: Option<RawScalar>,
    /// How many clients may be connected to this listener at the same time, WebSockets included.
    ///
    /// At the limit, new clients of the listener take the place of idle connections or wait, as at the
    /// limit of all, [`max_connections`](#connections), which counts them too.
    #[schemars(extend("x-accepts" = MAX_CONNECTIONS.accepts()))]
    pub(crate) max_connections: Option<RawScalar>,
    /// The maximum size of a request head, including the request line and line ends; a longer one
    /// gets 431.
    ///
    /// Nodes have limits of their own: Node.js accepts 16 KiB unless it is started with
    /// `--max-http-header-size`.
    #[schemars(extend("x-accepts" = Accepts::size(&HEAD_MAX)))]
    pub(crate) head_max: Option<RawScalar>,
    /// The maximum number of header fields in a request.
    #[schemars(extend("x-accepts" = Accepts::number(&HEAD_FIELDS_MAX)))]
    pub(crate) head_fields_max: Option<RawScalar>,
    /// How long a client may take to send a request head, counted from its first byte.
    #[schemars(extend("x-accepts" = Accepts::duration(&HEADER_TIMEOUT)))]
    pub(crate) header_timeout: Option<RawScalar>,
    /// How long a connection may be idle between two requests.
    ///
    /// Keep it longer than the idle timeout of the load balancer in front, so that the balancer
    /// closes first.
    #[schemars(extend("x-accepts" = Accepts::duration(&KEEP_ALIVE_TIMEOUT)))]
    pub(crate) keep_alive_timeout: Option<RawScalar>,
    /// How many requests a client may send on one connection of HTTP/1, which then closes.
    ///
    /// The last response says `Connection: close`; a WebSocket may still be the last request. It frees
    /// what long connections hold, and spreads clients over proxies behind a balancer of TCP.
    #[schemars(extend("x-accepts" = KEEP_ALIVE_REQUESTS.accepts()))]
    pub(crate) keep_alive_requests: Option<RawScalar>,
}

/// Each stream may make us hold its window, 64 KiB.
pub(crate) const HTTP2_STREAMS_MAX: Form<NonZeroU32, u32> = Form::positive(1..=1000);
pub(crate) const HTTP2: Form<Http2, Infallible> =
    Form::word(&[("off", Http2::Off), ("on", Http2::On)]);
pub(crate) const KEEP_ALIVE_REQUESTS: Form<NonZeroU32, u32> = Form::positive(1..=u32::MAX);
pub(crate) const MAX_CONNECTIONS: Form<Option<NonZeroU32>, u32> =
    Form::optional_positive(&[("off", None)], 1..=10_000_000);
pub(crate) const PORT: RangeInclusive<u32> = 1..=65535;
pub(crate) const PROXY_PROTOCOL: Form<ProxyProtocol, Infallible> = Form::word(&[
    ("off", ProxyProtocol::Off),
    ("optional", ProxyProtocol::Optional),
    ("required", ProxyProtocol::Required),
]);
/// Less would refuse what single sign-on sends, and each client may make us hold so much.
pub(crate) const HEAD_MAX: RangeInclusive<u64> = 8 * 1024..=1024 * 1024;
pub(crate) const HEAD_FIELDS_MAX: RangeInclusive<u32> = 10..=1000;
pub(crate) const HEADER_TIMEOUT: RangeInclusive<Duration> =
    Duration::from_secs(1)..=Duration::from_mins(5);
pub(crate) const KEEP_ALIVE_TIMEOUT: RangeInclusive<Duration> =
    Duration::from_secs(1)..=Duration::from_hours(1);
