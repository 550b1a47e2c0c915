//! The declarations of all keys: the YAML's shape, what each key accepts, and its sentence.
//!
//! The resolver takes its ranges from here, and the JSON Schema, the key tables of the manual and
//! `configs/reference.yaml` are generated from here (`cargo xtask docs`). Defaults are not repeated:
//! they belong to the settings, and the generated texts ask `defaults` for them. The first paragraph
//! of a key's documentation is its sentence in all three, the paragraphs after it are for the manual
//! alone. Attributes for the schema:
//!
//! - `x-accepts`: what a single value may be ([`Accepts`]);
//! - `x-needed`: the key has no default;
//! - `x-default`: the default in words, or in backquotes, where a rendered file does not show it;
//! - `x-type`: the manual's name for the type, where it is not clear from the schema;
//! - `x-items`: more about the items of a list.
//!
//! All keys are optional for serde: `resolve` reports what is missing together with the rest.
//!
//! Pure. Runs at start, at reload, or on a timer.

pub(super) mod access;
pub(super) mod acme;
pub(super) mod affinity;
pub(super) mod health;
pub(super) mod listener;
pub(super) mod pacing;
pub(super) mod route;
pub(super) mod upstream;

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::accepts::Accepts;
use super::patterns;
use super::schema::whole;
use crate::yaml::{List, RawScalar};
use acme::Acme;
use listener::Listener;
use route::Route;
use upstream::Upstream;

/// The whole file.
#[derive(Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct File {
    /// The addresses that clients connect to.
    #[schemars(length(min = 1), extend("x-default" = "one, `0.0.0.0:8080`"))]
    pub(super) listeners: List<Listener>,
    /// The named groups of nodes.
    #[schemars(extend(
        "propertyNames" = { "pattern": whole(patterns::WORD) }, "x-needed" = true
    ))]
    pub(super) upstreams: Option<BTreeMap<String, Option<Upstream>>>,
    /// Which requests go to which upstream.
    #[schemars(extend("x-needed" = true))]
    pub(super) routes: List<Route>,
    /// The authority that issues the certificates of `listeners[].tls.acme`, by ACME (RFC 8555).
    pub(super) acme: Option<Acme>,
    /// How many clients may be connected at the same time, WebSockets included.
    ///
    /// At the limit, a new client waits in the accept queue of the system until another
    /// disconnects, `/ready` is 503, and a log line reports it once per minute. `auto`: as many as
    /// [the limits on open files and memory](operating.md#how-many-clients) allow.
    #[schemars(extend("x-accepts" = Accepts::number(&MAX_CONNECTIONS).or("auto")))]
    pub(super) max_connections: Option<RawScalar>,
    /// How the process shuts down.
    pub(super) shutdown: Option<Shutdown>,
    /// The listener for status, metrics and commands.
    pub(super) admin: Option<Admin>,
    /// What is logged.
    pub(super) log: Option<Log>,
}

/// How the process shuts down.
#[derive(Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Shutdown {
    /// How long new connections are still accepted after the shutdown has begun, so that load
    /// balancers can notice it.
    #[schemars(extend("x-accepts" = Accepts::duration(&SHUTDOWN_DELAY)))]
    pub(super) delay: Option<RawScalar>,
    /// How long WebSockets and pending responses may continue after the delay.
    ///
    /// Keep it longer than the `pingInterval` of your nodes (25s by default), because a poll may be
    /// pending that long. Keep the sum of both shorter than the time after which the service manager
    /// kills the process (30s in Kubernetes).
    #[schemars(extend("x-accepts" = Accepts::duration(&SHUTDOWN_TIMEOUT)))]
    pub(super) timeout: Option<RawScalar>,
}

/// The listener for status, metrics and commands; it has no authentication.
#[derive(Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Admin {
    /// The IP address and port.
    ///
    /// `sockeye status`, `nodes` and `reload` use `127.0.0.1:9090` unless told otherwise. It cannot
    /// overlap with the address of a listener. A change takes effect after a restart.
    #[schemars(extend("x-accepts" = Accepts::form("address", patterns::bind()).or("off")))]
    pub(super) bind: Option<RawScalar>,
}

/// What is logged.
#[derive(Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Log {
    /// The format of a line: text for people, or one JSON object per line.
    ///
    /// A change takes effect after a restart.
    #[schemars(extend("enum" = ["text", "json", null]))]
    pub(super) format: Option<String>,
    /// The lowest level that is logged.
    ///
    /// `info` has each start, handshake, refusal and end of a WebSocket; `debug` has each poll.
    #[schemars(extend("enum" = ["error", "warn", "info", "debug", "trace", null]))]
    pub(super) level: Option<String>,
}

pub(super) const MAX_CONNECTIONS: RangeInclusive<u32> = 1..=10_000_000;
pub(super) const SHUTDOWN_DELAY: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_mins(5);
pub(super) const SHUTDOWN_TIMEOUT: RangeInclusive<Duration> =
    Duration::from_secs(1)..=Duration::from_hours(1);
