//! TLS to the nodes of an upstream, as configured.
//!
//! Pure. Runs at start, at reload, or on a timer.

use std::path::PathBuf;

use rustls::pki_types::ServerName;

use crate::tls::settings::CertificateFiles;

/// The TLS settings of an upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NodeTlsSettings {
    /// Which nodes are accepted.
    pub verify: Verify,
    /// The name that nodes are asked for, and that their certificates must have; `None` is the host of
    /// each node's address.
    pub server_name: Option<ServerName<'static>>,
    /// What a node is shown that asks for a certificate.
    pub client_certificate: Option<CertificateFiles>,
}

/// Which nodes are accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verify {
    /// Those with a certificate for their name that an authority of this file signed; without a file,
    /// an authority that the system trusts.
    Authorities(Option<PathBuf>),
    /// Those whose certificate has one of these fingerprints, whatever else is in it.
    Fingerprints(Vec<Fingerprint>),
    /// All: anyone on the way can read and change what is sent.
    Off,
}

/// The SHA-256 of a certificate in DER.
pub(crate) type Fingerprint = [u8; 32];

impl NodeTlsSettings {
    /// All files.
    pub(crate) fn files(&self) -> impl Iterator<Item = &PathBuf> {
        let ca = match &self.verify {
            Verify::Authorities(ca) => ca.as_ref(),
            Verify::Fingerprints(_) | Verify::Off => None,
        };
        let client = self.client_certificate.iter();
        ca.into_iter().chain(client.flat_map(|files| [&files.chain, &files.key]))
    }
}

impl Default for NodeTlsSettings {
    fn default() -> Self {
        Self { verify: Verify::Authorities(None), server_name: None, client_certificate: None }
    }
}
