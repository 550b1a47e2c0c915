//! The keys that change fields.
//!
//! Pure. Runs at start, at reload, or on a timer.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::schema::whole;
use crate::form::patterns;
use crate::yaml::{List, RawScalar};

/// What is done with header fields.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Headers {
    /// Fields that get one value, whatever they had: `Host: app.internal`.
    ///
    /// Variables are `${client_address}`, `${host}`, `${scheme}`, `${request_id}`, `${header.NAME}` and
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

/// The value of a field.
fn values() -> serde_json::Value {
    serde_json::json!({ "anyOf": [
        { "type": "string", "pattern": whole(VALUE), "not": { "pattern": "^ *$" } },
        { "type": ["number", "boolean"] },
    ] })
}

/// Printable ASCII with known variables.
const VALUE: &str = r"([ -#%-~]|\$+[ -#%-z|}~]|\$\$+\{|\$\{(client_address|host|scheme|request_id|(header|cookie)\.[!#$%&'*+.^_`|~0-9A-Za-z-]+)\})*\$*";
