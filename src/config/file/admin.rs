//! The keys of the admin listener.
//!
//! Pure. Runs at start, at reload, or on a timer.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::access::PASSWORD_HASH;
use super::tls::ClientCertificates;
use crate::config::schema::whole;
use crate::form::{Accepts, patterns};
use crate::yaml::{List, RawScalar};

/// The listener for status, metrics and commands.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Admin {
    /// The IP address and port.
    ///
    /// `sockeye status`, `nodes` and `reload` use `127.0.0.1:9090` unless told otherwise. It cannot
    /// overlap with the address of a listener. A change takes effect after a restart.
    #[schemars(extend(
        "x-accepts" = Accepts::form("address", patterns::bind()).or("off"), "x-default" = "`off`"
    ))]
    pub(crate) bind: Option<RawScalar>,
    /// TLS on this listener.
    #[schemars(extend("x-default" = "none"))]
    pub(crate) tls: Option<AdminTls>,
    /// Who may use the listener; without it, everyone who reaches it.
    ///
    /// `/live` and `/ready` never need a key. See [operating](operating.md#who-may-use-it).
    pub(crate) auth: Option<AdminAuth>,
}

/// TLS on the admin listener.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct AdminTls {
    /// The file with the certificate and its intermediates, PEM. A relative path is relative to the
    /// configuration file.
    #[schemars(length(min = 1), extend("x-type" = "path", "x-needed" = true))]
    pub(crate) chain: Option<String>,
    /// The file with the private key, PEM without a passphrase.
    #[schemars(length(min = 1), extend("x-type" = "path", "x-default" = "the file of `chain`"))]
    pub(crate) key: Option<String>,
    /// Certificates that operators show (mutual TLS). The keys are those of
    /// `listeners[].tls.client_certificates`.
    #[schemars(extend("x-default" = "none"))]
    pub(crate) client_certificates: Option<ClientCertificates>,
}

/// Who may use the listener; without keys, nobody.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct AdminAuth {
    /// Who may read everything but payloads, and send no command: `name:hash`.
    ///
    /// The hash is `sha256$` and the SHA-256 of a key, which is sent as `Authorization: Bearer KEY`; or
    /// that of a password, as `htpasswd -nB NAME` prints it, which a browser asks for. Each name occurs
    /// once. An address with 10 wrong keys within a minute gets 429 for the rest of it.
    #[schemars(extend("x-items" = { "pattern": whole(&key_line()) }, "x-type" = "list of `name:hash`"))]
    pub(crate) read_keys: List<String>,
    /// Who may do everything: also reload, drain nodes, end sessions and see payloads.
    #[schemars(extend("x-items" = { "pattern": whole(&key_line()) }, "x-type" = "list of `name:hash`"))]
    pub(crate) operate_keys: List<String>,
    /// Who may get `/metrics` alone.
    #[schemars(extend("x-items" = { "pattern": whole(&key_line()) }, "x-type" = "list of `name:hash`"))]
    pub(crate) metrics_keys: List<String>,
    /// Whether `/metrics` needs no key.
    #[schemars(extend("x-default" = false))]
    pub(crate) open_metrics: Option<bool>,
}

fn key_line() -> String {
    format!(r"[^:\x00-\x1f\x7f]+:(sha256\$[0-9A-Fa-f]{{64}}|{PASSWORD_HASH})")
}
