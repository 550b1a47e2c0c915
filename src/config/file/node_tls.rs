//! The keys of `tls:` of an upstream.
//!
//! Pure. Runs at start, at reload, or on a timer.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::schema::whole;
use crate::form::patterns;
use crate::yaml::{List, TextOr};

/// TLS to the nodes.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct NodeTls {
    /// The file with the certificates of the authorities that sign the nodes' certificates, PEM. The
    /// authorities of the system are then not trusted.
    #[schemars(length(min = 1), extend("x-type" = "path", "x-default" = "those that the system trusts"))]
    pub(crate) ca: Option<String>,
    /// The name that the nodes are asked for (SNI), and that their certificates must have.
    #[schemars(extend(
        "pattern" = whole(&patterns::server_name()), "x-type" = "host name or IP address",
        "x-default" = "the host of each node's address, or the name of `discover.dns`"
    ))]
    pub(crate) server_name: Option<String>,
    /// The certificate that Sockeye shows to a node that asks for one.
    #[schemars(extend("x-default" = "none"))]
    pub(crate) client_certificate: Option<ClientCertificate>,
    /// Whether the certificates of the nodes are verified: `on`, `off`, or a map with the key below.
    ///
    /// `off` accepts every node: anyone on the network between can pose as a node, and read and change
    /// everything.
    pub(crate) verify: Option<TextOr<Pinned>>,
}

/// A certificate that Sockeye shows, with its key.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ClientCertificate {
    /// The file with the certificate and its intermediates, PEM.
    #[schemars(length(min = 1), extend("x-type" = "path", "x-needed" = true))]
    pub(crate) chain: Option<String>,
    /// The file with the private key, PEM without a passphrase.
    #[schemars(length(min = 1), extend("x-type" = "path", "x-default" = "the file of `chain`"))]
    pub(crate) key: Option<String>,
}

/// Certificates that are known one by one.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Pinned {
    /// The SHA-256 fingerprints of the certificates that nodes may have; their authorities, names and
    /// dates do not count.
    ///
    /// `openssl x509 -noout -fingerprint -sha256 -in FILE` prints it. Add the new one before a certificate is renewed.
    #[schemars(extend(
        "x-items" = { "pattern": whole(patterns::FINGERPRINT) }, "x-type" = "list of fingerprints", "x-needed" = true
    ))]
    pub(crate) fingerprints: List<String>,
}

impl NodeTls {
    /// What `on` says: all at its default.
    pub(crate) const ON: Self =
        Self { ca: None, server_name: None, client_certificate: None, verify: None };
}
