//! The keys that say who may use a route.
//!
//! Pure. Runs at start, at reload, or on a timer.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::node_tls::NodeTls;
use crate::access::{ForwardSettings, SECRET_BYTES_MIN};
use crate::config::schema::whole;
use crate::form::Form;
use crate::form::patterns;
use crate::form::section::{Pass, Section, key};
use crate::yaml::{Chosen, List, RawScalar, TextOr, chosen};

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
    /// By an authorization service that is asked about each request: its URL, or a map with the keys
    /// below.
    ///
    /// It gets a GET with the fields `Authorization` and `Cookie` of the client, and `X-Forwarded-Method`,
    /// `-Proto`, `-Host`, `-Uri` and `-For`. 2xx lets the request in; 401, 403 and a redirect are passed
    /// back, a redirect to clients of Socket.IO as 401; anything else, and no response, is an error of the
    /// service: 502 or 503. WebSockets that are open stay open.
    #[serde(deserialize_with = "chosen")]
    #[schemars(with = "TextOr<Forward>", extend("x-type" = "URL or map"))]
    pub(crate) forward: Option<Chosen<TextOr<Forward>>>,
    /// By a name and a password (RFC 7617), which are only as safe as the connection: use TLS.
    ///
    /// Browsers ask their user for them when a page is opened, and send them with its polls and WebSockets.
    #[serde(deserialize_with = "chosen")]
    #[schemars(with = "Basic")]
    pub(crate) basic: Option<Chosen<Basic>>,
}

/// Names and passwords.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("anyOf" = [
    {
        "required": ["passwords"],
        "properties": { "passwords": { "type": "array", "minItems": 1 } },
    },
    { "required": ["htpasswd_file"], "properties": { "htpasswd_file": { "type": "string" } } },
]))]
pub(crate) struct Basic {
    /// Users, each as `htpasswd -nB NAME` prints them: `name:hash`, by bcrypt or Argon2id.
    ///
    /// A hash must not cost more than about a second: bcrypt up to 14, Argon2id up to 128MiB. Two
    /// passwords of a route are checked at the same time; one that was right is remembered for a minute.
    #[schemars(extend(
        "x-items" = { "pattern": whole(&password_line()) }, "x-type" = "list of `name:hash`"
    ))]
    pub(crate) passwords: List<String>,
    /// A file with such lines, behind those of `passwords`.
    ///
    /// It is read again when it changes; one that cannot be used leaves the users as they are. MD5 (apr1),
    /// SHA and crypt, which nginx accepts too, are refused: they can be guessed too fast.
    #[schemars(length(min = 1), extend("x-type" = "path"))]
    pub(crate) htpasswd_file: Option<String>,
    /// What browsers show when they ask for the password.
    #[schemars(extend("pattern" = whole(REALM)))]
    pub(crate) realm: Option<String>,
    /// The header field in which nodes get the name; what clients send in it is removed.
    #[schemars(extend("pattern" = whole(patterns::TOKEN), "x-default" = "none"))]
    pub(crate) user_field: Option<String>,
}

/// A line of `htpasswd`.
fn password_line() -> String {
    format!(r"[^:\x00-\x1f\x7f]+:{PASSWORD_HASH}")
}

/// The hash of a password.
pub(super) const PASSWORD_HASH: &str =
    r"\$(2[aby]\$(0[4-9]|1[0-4])\$[./A-Za-z0-9]{53}|argon2id\$.+)";

/// Text of a quoted string in which nothing has to be escaped.
pub(crate) const REALM: &str = r#"[ !#-\[\]-~]+"#;

/// An authorization service.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Forward {
    /// Where the service is asked, such as `http://127.0.0.1:9000/check`.
    ///
    /// With `https`, it is asked over TLS, and has to prove who it is.
    #[schemars(extend("pattern" = whole(SERVICE_URL), "x-type" = "URL", "x-needed" = true))]
    pub(crate) url: Option<String>,
    /// TLS to a service whose `url` begins with `https`. The keys are those of `upstreams.*.tls`, and the
    /// service is the node.
    #[schemars(extend("x-default" = "the service needs a certificate for its host that the system trusts"))]
    pub(crate) tls: Option<NodeTls>,
    /// How long the service may take.
    #[schemars(extend("x-accepts" = SERVICE_TIMEOUT.accepts()))]
    pub(crate) timeout: Option<RawScalar>,
    /// How long what the service allows is remembered, for requests with the same credentials, client
    /// address, method, host and path.
    ///
    /// Credentials are the fields that the service gets, and the query without the parameters of Engine.IO.
    /// Requests without any are not remembered, and neither is a refusal.
    #[schemars(extend("x-accepts" = GRANT_CACHE.accepts()))]
    pub(crate) cache: Option<RawScalar>,
    /// More header fields of the client that the service gets.
    #[schemars(extend("x-items" = { "pattern": whole(patterns::TOKEN) }))]
    pub(crate) request_fields: List<String>,
    /// Header fields of a 2xx that nodes get; what clients send in these fields is removed.
    #[schemars(extend("x-items" = { "pattern": whole(patterns::TOKEN) }))]
    pub(crate) response_fields: List<String>,
    /// Header fields that a client gets with a refusal, besides `WWW-Authenticate` and `Location`.
    #[schemars(extend("x-items" = { "pattern": whole(patterns::TOKEN) }))]
    pub(crate) refusal_fields: List<String>,
}

impl Section<ForwardSettings> for Forward {
    fn keys(&mut self, settings: &mut ForwardSettings, pass: &mut Pass<'_, '_>) {
        key!(pass, self.timeout => settings.timeout, SERVICE_TIMEOUT);
        key!(pass, self.cache => settings.cache, GRANT_CACHE);
    }
}

/// The URL of an authorization service.
pub(crate) const SERVICE_URL: &str = "https?://[^/?#@ ]+(/[^# ]*)?";

const SERVICE_TIMEOUT: Form<Duration> =
    Form::duration(Duration::from_millis(100)..=Duration::from_secs(30));
const GRANT_CACHE: Form<Duration> =
    Form::duration_or_off(Duration::from_secs(1)..=Duration::from_mins(5));

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
