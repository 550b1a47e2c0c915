//! The keys of `acme:`.
//!
//! Pure. Runs at start, at reload, or on a timer.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::schema::whole;
use crate::form::patterns;
use crate::yaml::List;

/// The authority that issues the certificates of `listeners[].tls.acme`, by ACME (RFC 8555).
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Acme {
    /// The URL of the authority's directory.
    ///
    /// Try with a staging authority first: production has tight limits. That of Let's Encrypt is
    /// `https://acme-staging-v02.api.letsencrypt.org/directory`.
    #[schemars(extend("pattern" = whole(patterns::HTTPS_URL), "x-type" = "URL"))]
    pub(crate) directory: Option<String>,
    /// E-mail addresses at which the authority may reach you.
    #[schemars(extend("x-items" = { "pattern": whole(patterns::EMAIL) }))]
    pub(crate) contact: List<String>,
    /// The directory for the account, the keys and the certificates.
    ///
    /// Several proxies with the same names share one directory: one of them orders, all answer
    /// challenges and use the certificates. Only the user of the process can read the files.
    #[schemars(length(min = 1), extend("x-needed" = true))]
    pub(crate) store: Option<String>,
    /// How the authority sees that a name is yours: `http-01`, a request to port 80, or
    /// `tls-alpn-01`, a handshake on port 443.
    #[schemars(extend("enum" = ["http-01", "tls-alpn-01", null]))]
    pub(crate) challenge: Option<String>,
    /// The key that the authority gave you as its customer, if it asks for one.
    pub(crate) eab: Option<Eab>,
    /// A PEM file with the roots that the authority's own server is verified by.
    #[schemars(length(min = 1), extend("x-default" = "the roots of the system"))]
    pub(crate) ca: Option<String>,
    /// That you agree to the authority's terms of service; it must be `true`.
    #[schemars(extend("const" = true, "x-needed" = true, "x-type" = "`true`"))]
    pub(crate) agree_to_terms: Option<bool>,
}

/// The key that the authority gave you as its customer (external account binding).
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Eab {
    /// The name of the key.
    #[schemars(length(min = 1), extend("x-needed" = true))]
    pub(crate) kid: Option<String>,
    /// A file with the secret (the HMAC key), in base64url as the authority shows it.
    #[schemars(length(min = 1), extend("x-needed" = true))]
    pub(crate) hmac_file: Option<String>,
}
