//! TLS to nodes as the file that says all of it. The paths of keys are no secrets.
//!
//! Pure. Runs at start, at reload, or on a timer.

use rustls::pki_types::{IpAddr, ServerName};

use super::list;
use super::tls::path;
use crate::config::file::node_tls::{ClientCertificate, NodeTls, Pinned};
use crate::tls::{NodeTlsSettings, Verify, shown_fingerprint};
use crate::yaml::TextOr;

/// `tls:` of an upstream
pub(super) fn render(settings: &NodeTlsSettings) -> NodeTls {
    let client = settings.client_certificate.as_ref();
    NodeTls {
        ca: match &settings.verify {
            Verify::Authorities(ca) => ca.as_deref().map(path),
            Verify::Fingerprints(_) | Verify::Off => None,
        },
        server_name: settings.server_name.as_ref().map(server_name),
        client_certificate: client.map(|files| ClientCertificate {
            chain: Some(path(&files.chain)),
            key: Some(path(&files.key)),
        }),
        verify: Some(match &settings.verify {
            Verify::Authorities(_) => TextOr::Text("on".to_owned()),
            Verify::Off => TextOr::Text("off".to_owned()),
            Verify::Fingerprints(pinned) => {
                TextOr::Map(Pinned { fingerprints: list(pinned, shown_fingerprint) })
            }
        }),
    }
}

fn server_name(name: &ServerName<'_>) -> String {
    match name {
        ServerName::IpAddress(IpAddr::V6(_)) => format!("[{}]", name.to_str()),
        _ => name.to_str().into_owned(),
    }
}
