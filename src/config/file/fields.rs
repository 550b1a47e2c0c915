//! The keys that change fields.
//!
//! Pure. Runs at start, at reload, or on a timer.

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::access::{ORIGINS_TYPE, origin};
use crate::config::schema::whole;
use crate::form::Form;
use crate::form::patterns;
use crate::yaml::{List, RawScalar};

/// What is done with header fields.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Headers {
    /// Fields that get one value, whatever they had: `Host: app.internal`.
    ///
    /// Variables are `${client_address}`, `${host}`, `${hostname}` (without port), `${scheme}`,
    /// `${request_id}`, `${path}`, `${query}`, `${target}` (path and query), `${header.NAME}` and
    /// `${cookie.NAME}`, of the request; `$${` is `${`. A field whose value is empty is removed.
    #[schemars(extend(
        "additionalProperties" = values(), "x-type" = "map of names to values",
        "propertyNames" = { "pattern": whole(patterns::TOKEN) }
    ))]
    pub(crate) set: Option<BTreeMap<String, Option<RawScalar>>>,
    /// Fields that get one more value, with the same variables.
    #[schemars(extend(
        "additionalProperties" = values(), "x-type" = "map of names to values",
        "propertyNames" = { "pattern": whole(patterns::TOKEN) }
    ))]
    pub(crate) add: Option<BTreeMap<String, Option<RawScalar>>>,
    /// The names of fields that are removed.
    #[schemars(extend("x-items" = { "pattern": whole(patterns::TOKEN) }))]
    pub(crate) remove: List<String>,
}

/// Which pages of other origins may read responses.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Cors {
    /// The pages, as in `origins` of the route.
    #[schemars(extend(
        "x-items" = { "pattern": whole(&origin()) }, "x-type" = ORIGINS_TYPE, "x-needed" = true
    ))]
    pub(crate) origins: List<String>,
    /// Whether their requests may have cookies and other credentials; not with `any`.
    pub(crate) credentials: Option<bool>,
    /// The methods that they may use.
    #[schemars(extend(
        "x-items" = { "pattern": "^[A-Z-]+$" }, "x-default" = "GET, HEAD, POST, PUT, PATCH, DELETE"
    ))]
    pub(crate) methods: List<String>,
    /// The header fields that they may send.
    #[schemars(extend("x-items" = { "pattern": whole(patterns::TOKEN) }, "x-default" = "all"))]
    pub(crate) headers: List<String>,
    /// The header fields that they may read, besides the few that all pages may.
    #[schemars(extend("x-items" = { "pattern": whole(patterns::TOKEN) }))]
    pub(crate) expose_headers: List<String>,
    /// How long browsers remember what a page may send.
    #[schemars(extend("x-accepts" = MAX_AGE.accepts()))]
    pub(crate) max_age: Option<RawScalar>,
}

pub(crate) const MAX_AGE: Form<Duration> =
    Form::duration(Duration::ZERO..=Duration::from_hours(24));

/// The value of a field.
fn values() -> serde_json::Value {
    serde_json::json!({ "anyOf": [
        { "type": "string", "pattern": whole(VALUE), "not": { "pattern": "^ *$" } },
        { "type": ["number", "boolean"] },
    ] })
}

/// Printable ASCII with known variables.
const VALUE: &str = r"([ -#%-~]|\$+[ -#%-z|}~]|\$\$+\{|\$\{(client_address|host|hostname|scheme|request_id|path|query|target|(header|cookie)\.[!#$%&'*+.^_`|~0-9A-Za-z-]+)\})*\$*";
