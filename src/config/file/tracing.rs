//! The keys of traces.
//!
//! Pure. Runs at start, at reload, or on a timer.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::access::SERVICE_URL;
use crate::config::schema::whole;
use crate::yaml::{Chosen, RawScalar, TextOr, chosen};

/// Traces of requests, by `traceparent` (W3C Trace Context).
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Tracing {
    /// Whether a request without a valid `traceparent` gets one, and which share of them is marked as sampled:
    /// a number from 0 to 1, such as `0.01`.
    ///
    /// A valid `traceparent` is passed on in any case, and the log lines of its request have its id as
    /// `trace`. With `off`, one that is not valid is passed on too. See [operating](operating.md#traces).
    #[schemars(with = "Value", extend(
        "anyOf" = [
            { "type": "number", "minimum": 0, "maximum": 1 },
            { "type": "string", "pattern": whole(SHARE) },
            { "enum": ["off", null] },
        ],
        "x-type" = "`off` or number from 0 to 1"
    ))]
    pub(crate) sample: Option<RawScalar>,
    /// Where spans of sampled traces are sent: the URL of a collector of OpenTelemetry, or a map with the keys
    /// below.
    ///
    /// By OTLP/HTTP in JSON; a URL without a path gets `/v1/traces`. This needs a build with the feature
    /// `otlp`.
    #[serde(deserialize_with = "chosen")]
    #[schemars(with = "TextOr<Otlp>", extend("x-type" = "URL or map", "x-default" = "none"))]
    pub(crate) otlp: Option<Chosen<TextOr<Otlp>>>,
}

/// A collector.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Otlp {
    /// Where the collector listens, such as `http://127.0.0.1:4318`.
    #[schemars(extend("pattern" = whole(SERVICE_URL), "x-type" = "URL", "x-needed" = true))]
    pub(crate) url: Option<String>,
    /// The file with the certificates of the authorities that sign the collector's, PEM, if `url` begins with
    /// `https`.
    #[schemars(length(min = 1), extend("x-type" = "path", "x-default" = "those of the system"))]
    pub(crate) ca: Option<String>,
}

/// Up to a millionth.
const SHARE: &str = r"0(\.[0-9]{1,6})?|1(\.0{1,6})?";
