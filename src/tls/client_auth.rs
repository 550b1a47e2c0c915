//! Certificates that clients show: how they are verified, and what a node learns of them.
//!
//! Runs for every request.

use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use rustls::RootCertStore;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateDer;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;

use super::certificate::{Loaded, pem};
use super::facts::Facts;
use super::fault::{Fault, Part, shown};
use super::files::Files;
use super::settings::{ClientAuth, ClientCertificates};
use crate::net::ClientCertificate;

/// What verifies the certificates of clients.
pub(super) fn verifier(
    settings: &ClientCertificates,
    provider: &Arc<CryptoProvider>,
    files: &mut Files<'_>,
) -> Loaded<Arc<dyn ClientCertVerifier>> {
    let ca = (Part::ClientCa, &*settings.ca);
    let roots = authorities(ca, files).map_err(|fault| (Part::ClientCa, fault))?;
    let mut crls = Vec::new();
    for (index, path) in settings.crl.iter().enumerate() {
        let found = pem(Part::Crl(index), path, files)?.0.crls;
        if found.is_empty() {
            return Err((Part::Crl(index), Fault::NoCrl { path: shown(path) }));
        }
        crls.extend(found);
    }
    let has_crls = !crls.is_empty();
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone())
        .with_crls(crls);
    let builder = match settings.mode {
        ClientAuth::Optional => builder.allow_unauthenticated(),
        ClientAuth::Required => builder,
    };
    // Lists are published by one authority of several: what no list speaks of is not revoked.
    let builder = if has_crls { builder.allow_unknown_revocation_status() } else { builder };
    builder.build().map_err(|error| (Part::ClientCa, Fault::Verifier { error: error.to_string() }))
}

/// The authorities of a file.
pub(super) fn authorities(
    (part, path): (Part, &Path),
    files: &mut Files<'_>,
) -> Result<RootCertStore, Fault> {
    let (pem, _) = pem(part, path, files).map_err(|(_, fault)| fault)?;
    if pem.certificates.is_empty() {
        return Err(Fault::NoCertificate { path: shown(path) });
    }
    let mut roots = RootCertStore::empty();
    for certificate in pem.certificates {
        roots.add(certificate).map_err(|error| Fault::BrokenAuthority {
            path: shown(path),
            error: error.to_string(),
        })?;
    }
    Ok(roots)
}

/// What is known of the certificate that a client has shown, and that was verified. `None` if it cannot
/// be read, though it was verified.
pub(crate) fn client_certificate(der: &CertificateDer<'_>) -> Option<ClientCertificate> {
    let facts = Facts::parse(der).ok()?;
    let fingerprint: String =
        digest(&SHA256, der).as_ref().iter().fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        });
    let field = field(&facts, &fingerprint);
    Some(ClientCertificate {
        subject: facts.subject,
        fingerprint,
        not_before: facts.not_before,
        not_after: facts.not_after,
        field,
    })
}

/// The value of `X-Forwarded-Client-Cert`, with the keys that Envoy gave it.
fn field(facts: &Facts, fingerprint: &str) -> String {
    let mut field = format!("Hash={fingerprint};Subject={}", quoted(&facts.subject));
    for name in &facts.other_names {
        if name.contains("://") {
            let _ = write!(field, ";URI={}", quoted(name));
        }
    }
    for name in &facts.dns_names {
        let _ = write!(field, ";DNS={}", quoted(name));
    }
    field
}

/// In quotes, with the characters escaped that would end them; others than printable ASCII do not occur
/// in names that an authority has checked, and are replaced.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            ' '..='~' => quoted.push(character),
            _ => quoted.push('?'),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::super::tests::Pki;
    use super::*;

    #[test]
    fn a_node_learns_who_the_client_is() {
        let der = Pki::new().client("alice, \"the\" first", &["alice.example"]);
        let client = client_certificate(&der).unwrap();
        assert_eq!(client.subject, "CN=alice\\, \\\"the\\\" first");
        assert_eq!(client.fingerprint.len(), 64);
        assert!(client.not_before < client.not_after);
        let expected = format!(
            "Hash={};Subject=\"CN=alice\\\\, \\\\\\\"the\\\\\\\" first\";DNS=\"alice.example\"",
            client.fingerprint
        );
        assert_eq!(client.field, expected);
    }

    #[test]
    fn no_name_ends_its_quotes_or_its_line() {
        assert_eq!(quoted("a\";Hash=0"), "\"a\\\";Hash=0\"");
        assert_eq!(quoted("a\r\nX: y é"), "\"a??X: y ?\"");
    }
}
