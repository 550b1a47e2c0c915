//! The keys of `tls:`.
//!
//! Pure. Runs at start, at reload, or on a timer.

use std::ops::RangeInclusive;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::config::schema::whole;
use crate::form::Accepts;
use crate::form::patterns;
use crate::yaml::{Chosen, List, RawScalar, TextOr, chosen};

/// TLS, which the listener then speaks with every client.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend(
    "anyOf" = [{ "required": ["certificates"] }, { "required": ["chain"] }, { "required": ["acme"] }],
    "not" = { "required": ["certificates", "chain"] },
    "dependentRequired" = { "key": ["chain"], "ocsp": ["chain"] }
))]
pub(crate) struct Tls {
    /// The certificates. A client gets the one for the name that it asks for (SNI): the exact name, or
    /// a wildcard for its first label, or the first certificate of the list.
    ///
    /// Several certificates may have the same name: a client that verifies ECDSA gets ECDSA, another
    /// one gets RSA.
    #[serde(deserialize_with = "chosen")]
    #[schemars(with = "Vec<Certificate>", length(min = 1))]
    pub(crate) certificates: Option<Chosen<Vec<Option<Certificate>>>>,
    /// The same as `certificates` for a listener that has one.
    #[serde(deserialize_with = "chosen")]
    #[schemars(with = "String", length(min = 1), extend("x-type" = "path"))]
    pub(crate) chain: Option<Chosen<String>>,
    /// The private key of `chain`.
    #[schemars(length(min = 1), extend("x-type" = "path", "x-default" = "the file of `chain`"))]
    pub(crate) key: Option<String>,
    /// The OCSP response for `chain`.
    #[schemars(length(min = 1), extend("x-type" = "path", "x-default" = "none"))]
    pub(crate) ocsp: Option<String>,
    /// Names for which the authority of the section `acme` issues certificates, each with one of its
    /// own. They come after the other certificates.
    ///
    /// Until a certificate was issued, handshakes for its name fail.
    #[serde(deserialize_with = "chosen")]
    #[schemars(with = "Vec<String>", length(min = 1), extend(
        "x-items" = { "pattern": whole(patterns::NAME) }
    ))]
    pub(crate) acme: Option<Chosen<Vec<Option<String>>>>,
    /// The lowest version of TLS that is accepted.
    #[schemars(with = "Value", extend("enum" = ["1.2", "1.3", 1.2, 1.3, null]))]
    pub(crate) min_version: Option<RawScalar>,
    /// Certificates that clients show (mutual TLS).
    ///
    /// Nodes get the subject, the SHA-256 fingerprint and the names of the certificate in
    /// `X-Forwarded-Client-Cert`. From other clients that field, and similar ones of other proxies, are
    /// removed.
    #[schemars(extend("x-default" = "none"))]
    pub(crate) client_certificates: Option<ClientCertificates>,
    /// How sessions are resumed: `auto` is by tickets with a random key of this process, which survives
    /// reloads; `off` is not at all.
    pub(crate) tickets: Option<TextOr<Tickets>>,
    /// How long a handshake may take.
    #[schemars(extend("x-accepts" = Accepts::duration(&HANDSHAKE_TIMEOUT)))]
    pub(crate) handshake_timeout: Option<RawScalar>,
    /// How many handshakes may be under way at the same time; further clients wait for their turn.
    ///
    /// At the limit, a handshake whose client has been silent for 1s is closed.
    #[schemars(extend("x-accepts" = Accepts::number(&HANDSHAKES_MAX)))]
    pub(crate) handshakes_max: Option<RawScalar>,
}

/// A certificate with its key.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Certificate {
    /// The file with the certificate and its intermediates, PEM. A relative path is relative to the
    /// configuration file.
    ///
    /// Certbot calls it `fullchain.pem`, Kubernetes `tls.crt`. The file may contain the key too.
    #[schemars(length(min = 1), extend("x-type" = "path", "x-needed" = true))]
    pub(crate) chain: Option<String>,
    /// The file with the private key, PEM without a passphrase.
    ///
    /// Only Sockeye's user should be able to read it.
    #[schemars(length(min = 1), extend("x-type" = "path", "x-default" = "the file of `chain`"))]
    pub(crate) key: Option<String>,
    /// A file with an OCSP response that is sent with the certificate, DER.
    #[schemars(length(min = 1), extend("x-type" = "path", "x-default" = "none"))]
    pub(crate) ocsp: Option<String>,
}

/// Certificates that clients show.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ClientCertificates {
    /// Whether a client without a certificate is refused. One that is shown must always be valid.
    #[schemars(extend("enum" = ["optional", "required", null]))]
    pub(crate) mode: Option<String>,
    /// The file with the certificates of the authorities that sign them, PEM.
    #[schemars(length(min = 1), extend("x-type" = "path", "x-needed" = true))]
    pub(crate) ca: Option<String>,
    /// Files with lists of revoked certificates, PEM.
    #[schemars(extend("x-items" = { "minLength": 1 }, "x-type" = "list of paths"))]
    pub(crate) crl: List<String>,
}

/// Tickets that several proxies share, and that survive a restart.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Tickets {
    /// Secrets of at least 32 characters: the first one makes tickets, all are accepted. The keys are
    /// derived from them and change every 12 hours.
    ///
    /// Write what `openssl rand -base64 48` prints. To change the secret, add the new one as the first.
    #[schemars(extend("x-items" = { "minLength": 32 }, "x-type" = "list of secrets"))]
    pub(crate) keys: List<String>,
    /// A file with such secrets, one on each line, behind those of `keys`.
    #[schemars(length(min = 1), extend("x-type" = "path", "x-default" = "none"))]
    pub(crate) key_file: Option<String>,
}

pub(crate) const HANDSHAKE_TIMEOUT: RangeInclusive<Duration> =
    Duration::from_secs(1)..=Duration::from_mins(1);
pub(crate) const HANDSHAKES_MAX: RangeInclusive<u32> = 10..=100_000;
