//! The keys that say who may use a route.
//!
//! Pure. Runs at start, at reload, or on a timer.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::access::SECRET_BYTES_MIN;
use crate::config::patterns;
use crate::config::schema::whole;
use crate::yaml::{Chosen, List, chosen};

/// What the manual calls the type of `origins`.
pub(crate) const ORIGINS_TYPE: &str = "list of origins";

/// One of `origins`.
pub(crate) fn origin() -> String {
    let name = r"(\*\.)?[A-Za-z0-9_-][A-Za-z0-9._-]*";
    let literal = r"\[[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*\]";
    format!("any|same-host|null|[A-Za-z][A-Za-z0-9+.-]*://({name}|{literal})(:[0-9]+)?")
}

/// How clients say who they are.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("minProperties" = 1, "maxProperties" = 1))]
pub(crate) struct Auth {
    /// By a JSON Web Token with `exp`: HS256, RS256, ES256 or EdDSA, as the key decides.
    ///
    /// The token is in `Authorization: Bearer`, or where `cookie` and `query` say. Clocks may differ by
    /// 30s.
    #[serde(deserialize_with = "chosen")]
    #[schemars(with = "Jwt")]
    pub(crate) jwt: Option<Chosen<Jwt>>,
}

/// Which tokens are accepted, and what of them goes to the nodes.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("anyOf" = [
    { "required": ["secrets"], "properties": { "secrets": { "type": "array", "minItems": 1 } } },
    {
        "required": ["pem_files"],
        "properties": { "pem_files": { "type": "array", "minItems": 1 } },
    },
    { "required": ["jwks_file"], "properties": { "jwks_file": { "type": "string" } } },
]))]
pub(crate) struct Jwt {
    /// Secrets of at least 32 characters, for HS256.
    #[schemars(extend(
        "x-items" = { "minLength": SECRET_BYTES_MIN }, "x-type" = "list of secrets"
    ))]
    pub(crate) secrets: List<String>,
    /// Files with a public key each, in PEM: RSA for RS256, P-256 for ES256, Ed25519 for EdDSA.
    ///
    /// This file and that of `jwks_file` are read again when they change; one that cannot be used leaves the
    /// keys as they are.
    #[schemars(extend("x-items" = { "minLength": 1 }, "x-type" = "list of paths"))]
    pub(crate) pem_files: List<String>,
    /// A file with a JWK set, up to 16 keys.
    ///
    /// Sockeye fetches no keys: let a timer write the file. `kid` selects the key, if the token has one.
    #[schemars(length(min = 1), extend("x-type" = "path"))]
    pub(crate) jwks_file: Option<String>,
    /// The accepted values of `iss`; with none, all are accepted.
    #[schemars(extend("x-items" = { "minLength": 1 }))]
    pub(crate) issuers: List<String>,
    /// The accepted values of `aud`; with none, a token that has an `aud` is refused.
    #[schemars(extend("x-items" = { "minLength": 1 }))]
    pub(crate) audiences: List<String>,
    /// The name of a cookie that may carry the token.
    #[schemars(extend("pattern" = whole(patterns::TOKEN), "x-default" = "none"))]
    pub(crate) cookie: Option<String>,
    /// The name of a query parameter that may carry the token.
    ///
    /// Sockeye logs no query, but others on the way may.
    #[schemars(extend("pattern" = whole(patterns::QUERY_NAME), "x-default" = "none"))]
    pub(crate) query: Option<String>,
    /// The claims that nodes get in header fields; what clients send in these fields is removed.
    ///
    /// Text is sent as it is, everything else as JSON. A claim that the token lacks has no field.
    pub(crate) claims: List<Claim>,
    /// Whether a WebSocket ends (1001) when its token expires.
    ///
    /// Polls are refused from that moment in any case.
    pub(crate) close_expired: Option<bool>,
}

/// A claim that nodes get.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Claim {
    /// The name of the claim.
    #[schemars(length(min = 1), extend("x-needed" = true))]
    pub(crate) claim: Option<String>,
    /// The name of the header field.
    #[schemars(extend("pattern" = whole(patterns::TOKEN), "x-needed" = true))]
    pub(crate) field: Option<String>,
}
