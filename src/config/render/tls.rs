//! TLS as the file that says all of it. No secret is shown; the paths of keys are none.
//!
//! Pure. Runs at start, at reload, or on a timer.

use std::path::Path;

use super::upstream::HIDDEN;
use super::{duration, list, word};
use crate::config::file::tls::{Certificate, ClientCertificates, Tickets, Tls};
use crate::config::resolve::{CLIENT_AUTH, MIN_VERSIONS, TICKETS};
use crate::tls::{ServerTls, settings};
use crate::yaml::{Chosen, RawScalar, TextOr};

/// `tls:`
pub(super) fn render(tls: &ServerTls) -> Tls {
    let settings = tls.settings();
    let issued = settings.issued.iter().map(|issued| Some(issued.name.to_string()));
    let issued = (!settings.issued.is_empty()).then(|| Chosen::Is(issued.collect()));
    let certificates = settings.certificates.iter().map(certificate);
    let shown = match &certificates.collect::<Vec<_>>()[..] {
        [Certificate { chain, key, ocsp }] => Tls {
            chain: chain.clone().map(Chosen::Is),
            key: key.clone(),
            ocsp: ocsp.clone(),
            ..Tls::default()
        },
        [] => Tls::default(),
        several => Tls {
            certificates: Some(Chosen::Is(several.iter().cloned().map(Some).collect())),
            ..Tls::default()
        },
    };
    Tls {
        acme: issued,
        min_version: word(&MIN_VERSIONS, settings.min_version).map(RawScalar::new),
        client_certificates: settings.client_certificates.as_ref().map(client_certificates),
        tickets: Some(tickets(&settings.tickets)),
        handshake_timeout: Some(duration(settings.handshake_timeout)),
        handshakes_max: Some(RawScalar::new(settings.handshakes_max)),
        ..shown
    }
}

fn certificate(files: &settings::CertificateFiles) -> Certificate {
    Certificate {
        chain: Some(path(&files.chain)),
        key: Some(path(&files.key)),
        ocsp: files.ocsp.as_deref().map(path),
    }
}

fn client_certificates(settings: &settings::ClientCertificates) -> ClientCertificates {
    ClientCertificates {
        mode: word(&CLIENT_AUTH, settings.mode),
        ca: Some(path(&settings.ca)),
        crl: list(&settings.crl, |file| path(file)),
    }
}

fn tickets(settings: &settings::Tickets) -> TextOr<Tickets> {
    match settings {
        settings::Tickets::Shared { keys, key_file } => TextOr::Map(Tickets {
            keys: list(keys, |_| HIDDEN.to_owned()),
            key_file: key_file.as_deref().map(path),
        }),
        settings::Tickets::Random | settings::Tickets::Off => {
            TextOr::Text(word(&TICKETS, settings.clone()).unwrap_or_default())
        }
    }
}

/// A path as text.
pub(super) fn path(path: &Path) -> String {
    path.display().to_string()
}
