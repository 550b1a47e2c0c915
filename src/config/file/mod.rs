//! The declarations of all keys: the YAML's shape, what each key accepts, and its sentence.
//!
//! A key with a single value is a field with its sentence, a [`Form`] with its words and range, and a
//! line in [`Section::keys`] with the setting that it fills: the resolver and `render` need no line of
//! their own. The JSON Schema, the key tables of the manual and `configs/reference.yaml` are generated
//! from here (`cargo xtask docs`). Defaults are not repeated:
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
pub(super) mod admin;
pub(super) mod affinity;
pub(super) mod client_limits;
pub(super) mod fields;
pub(super) mod health;
pub(super) mod listener;
pub(super) mod node_tls;
pub(super) mod pacing;
pub(super) mod route;
pub(super) mod tls;
pub(super) mod tracing;
pub(super) mod upstream;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::time::Duration;

use ::tracing::Level;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::tracing::Tracing;
use super::schema::whole;
use crate::form::Form;
use crate::form::patterns;
use crate::form::section::{Pass, Section, key};
use crate::logging::{self, Format};
use crate::shutdown;
use crate::site::keys as site;
use crate::yaml::{List, RawScalar, TextOrList};
use acme::Acme;
use admin::Admin;
use client_limits::ClientLimits;
use listener::Listener;
use route::Route;
use upstream::Upstream;

/// The whole file.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct File {
    /// Other files whose `upstreams` and `routes` are added to those of this file: a directory, a
    /// file, or a list of both.
    ///
    /// Of a directory, these are the files that end in `.yaml` or `.yml`, by name. See
    /// [several files](#several-files).
    #[schemars(extend("x-type" = "path or list of paths", "x-default" = "none"))]
    pub(super) include: Option<TextOrList>,
    /// The addresses that clients connect to.
    #[schemars(length(min = 1), extend("x-default" = "one, `0.0.0.0:8080`"))]
    pub(super) listeners: List<Listener>,
    /// The named groups of nodes. Not needed if every route has `files`, `redirect` or `respond` alone.
    #[schemars(extend(
        "propertyNames" = { "pattern": whole(patterns::WORD) }, "minProperties" = 1
    ))]
    pub(super) upstreams: Option<BTreeMap<String, Option<Upstream>>>,
    /// Which requests go to which upstream.
    #[schemars(extend("x-needed" = true))]
    pub(super) routes: List<Route>,
    /// The files that are sent instead of our plain error messages, by status: `404`, `4xx` or `5xx`.
    ///
    /// For routes without a page of their own, and for requests without a route. See
    /// [error pages](files.md#error-pages).
    #[schemars(extend(
        "propertyNames" = { "pattern": whole(site::STATUSES) }, "x-default" = "none",
        "additionalProperties" = site::page_schema(), "x-type" = "map of statuses to paths"
    ))]
    pub(super) error_pages: Option<site::ErrorPages>,
    /// The authority that issues the certificates of `listeners[].tls.acme`, by ACME (RFC 8555).
    pub(super) acme: Option<Acme>,
    /// How many clients may be connected at the same time, WebSockets included.
    ///
    /// At the limit, a new client takes the place of the connection that has been idle longest, or
    /// waits in the accept queue of the system until another disconnects; `/ready` is 503, and a log
    /// line reports it once per minute. `auto`: as many as
    /// [the limits on open files and memory](operating.md#how-many-clients) allow.
    #[schemars(extend("x-accepts" = MAX_CONNECTIONS.accepts()))]
    pub(super) max_connections: Option<RawScalar>,
    /// What each client may do: an IPv4 address, or the /64 of an IPv6 address.
    ///
    /// Behind a carrier's NAT many people have one address: allow for a thousand of them, or leave the
    /// limits off. Each process counts for itself.
    pub(super) client_limits: Option<ClientLimits>,
    /// How the process shuts down.
    pub(super) shutdown: Option<Shutdown>,
    /// The listener for status, metrics and commands.
    pub(super) admin: Option<Admin>,
    /// What is logged.
    pub(super) log: Option<Log>,
    /// Traces of requests, by `traceparent` (W3C Trace Context).
    pub(super) tracing: Option<Tracing>,
}

/// How the process shuts down.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Shutdown {
    /// How long new connections are still accepted after the shutdown has begun, so that load
    /// balancers can notice it.
    #[schemars(extend("x-accepts" = SHUTDOWN_DELAY.accepts()))]
    pub(super) delay: Option<RawScalar>,
    /// How long WebSockets and pending responses may continue after the delay.
    ///
    /// Keep it longer than the `pingInterval` of your nodes (25s by default), because a poll may be
    /// pending that long. Keep the sum of both shorter than the time after which the service manager
    /// kills the process (30s in Kubernetes).
    #[schemars(extend("x-accepts" = SHUTDOWN_TIMEOUT.accepts()))]
    pub(super) timeout: Option<RawScalar>,
}

/// What is logged.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Log {
    /// The format of a line: text for people, or one JSON object per line.
    ///
    /// A change takes effect after a restart.
    #[schemars(extend("x-accepts" = FORMAT.accepts()))]
    pub(super) format: Option<RawScalar>,
    /// The lowest level that is logged.
    ///
    /// `info` has each start, handshake, refusal and end of a WebSocket; `debug` has each poll.
    #[schemars(extend("x-accepts" = LEVEL.accepts()))]
    pub(super) level: Option<RawScalar>,
}

impl Section<Option<usize>> for File {
    fn keys(&mut self, max_connections: &mut Option<usize>, pass: &mut Pass<'_, '_>) {
        key!(pass, self.max_connections => *max_connections, MAX_CONNECTIONS);
    }
}

impl Section<shutdown::Settings> for Shutdown {
    fn keys(&mut self, settings: &mut shutdown::Settings, pass: &mut Pass<'_, '_>) {
        key!(pass, self.delay => settings.delay, SHUTDOWN_DELAY);
        key!(pass, self.timeout => settings.timeout, SHUTDOWN_TIMEOUT);
    }
}

impl Section<logging::Settings> for Log {
    fn keys(&mut self, settings: &mut logging::Settings, pass: &mut Pass<'_, '_>) {
        key!(pass, self.format => settings.format, FORMAT);
        key!(pass, self.level => settings.level, LEVEL);
    }
}

const MAX_CONNECTIONS: Form<Option<usize>, u32> = Form::number_or(
    &[("auto", None)],
    1..=10_000_000,
    |max| Some(max as usize),
    |max| u32::try_from((*max)?).ok(),
);
const SHUTDOWN_DELAY: Form<Duration> = Form::duration(Duration::ZERO..=Duration::from_mins(5));
const SHUTDOWN_TIMEOUT: Form<Duration> =
    Form::duration(Duration::from_secs(1)..=Duration::from_hours(1));
pub(super) const FORMAT: Form<Format, Infallible> =
    Form::word(&[("text", Format::Text), ("json", Format::Json)]);
const LEVEL: Form<Level, Infallible> = Form::word(&[
    ("error", Level::ERROR),
    ("warn", Level::WARN),
    ("info", Level::INFO),
    ("debug", Level::DEBUG),
    ("trace", Level::TRACE),
]);
