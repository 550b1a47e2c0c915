//! Which certificate a client gets: by the name that it asks for (RFC 6066, section 3), and by the
//! signatures that it verifies.
//!
//! Pure. Runs for every request.

use std::collections::HashMap;
use std::sync::Arc;

use rustls::SignatureScheme;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::certificate::Certificate;

/// The certificates of a listener.
#[derive(Debug, Default)]
pub(super) struct Resolver {
    exact: HashMap<Box<str>, Candidates>,
    /// By what follows `*`: `.example.com`.
    wildcards: HashMap<Box<str>, Candidates>,
    default: Candidates,
}

/// Certificates for the same name, best first.
type Candidates = Vec<Arc<CertifiedKey>>;

impl Resolver {
    /// Chooses among `certificates`, whose first is the default.
    pub(super) fn new(certificates: &[Arc<Certificate>]) -> Self {
        let mut sorted: Vec<&Arc<Certificate>> = certificates.iter().collect();
        // RSA costs four times as much to sign with. The sort is stable: else the file's order counts.
        sorted.sort_by_key(|certificate| !certificate.is_elliptic());
        let mut resolver = Self::default();
        for certificate in &sorted {
            for name in &certificate.facts.dns_names {
                let (names, key) = match name.strip_prefix('*') {
                    Some(suffix) => (&mut resolver.wildcards, suffix),
                    None => (&mut resolver.exact, &**name),
                };
                names.entry(key.into()).or_default().push(certificate.certified.clone());
            }
        }
        if let Some(default) = certificates.first() {
            let is_alike = |other: &&&Arc<Certificate>| {
                Arc::ptr_eq(other, default) || shares_name(other, default)
            };
            let alike = sorted.iter().filter(is_alike);
            resolver.default = alike.map(|certificate| certificate.certified.clone()).collect();
        }
        resolver
    }

    /// The certificates for `name`, in lower case or not.
    fn candidates(&self, name: Option<&str>) -> &[Arc<CertifiedKey>] {
        let Some(name) = name else { return &self.default };
        let lower;
        let name = if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
            lower = name.to_ascii_lowercase();
            &lower
        } else {
            name
        };
        if let Some(exact) = self.exact.get(name) {
            return exact;
        }
        // A wildcard stands for one label (RFC 9525, section 6.3).
        let suffix = name.find('.').and_then(|dot| name.get(dot..));
        suffix.and_then(|suffix| self.wildcards.get(suffix)).unwrap_or(&self.default)
    }
}

/// Whether both have a name in common, so that one can stand in for the other.
fn shares_name(one: &Certificate, other: &Certificate) -> bool {
    one.facts.dns_names.iter().any(|name| other.facts.dns_names.contains(name))
}

/// The first of `candidates` whose signature the client verifies.
fn choose(
    candidates: &[Arc<CertifiedKey>],
    schemes: &[SignatureScheme],
) -> Option<Arc<CertifiedKey>> {
    candidates.iter().find(|candidate| candidate.key.choose_scheme(schemes).is_some()).cloned()
}

impl ResolvesServerCert for Resolver {
    fn resolve(&self, client: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        choose(self.candidates(client.server_name()), client.signature_schemes())
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Pki, certificate};
    use super::*;

    fn chosen(resolver: &Resolver, name: Option<&str>, schemes: &[SignatureScheme]) -> String {
        let Some(found) = choose(resolver.candidates(name), schemes) else {
            return "none".to_owned();
        };
        let facts = super::super::facts::Facts::parse(&found.cert[0]).unwrap();
        format!("{} {:?}", facts.name(), found.key.algorithm())
    }

    const ECDSA: &[SignatureScheme] = &[SignatureScheme::ECDSA_NISTP256_SHA256];
    const RSA: &[SignatureScheme] = &[SignatureScheme::RSA_PSS_SHA256];
    const BOTH: &[SignatureScheme] =
        &[SignatureScheme::RSA_PSS_SHA256, SignatureScheme::ECDSA_NISTP256_SHA256];

    #[test]
    fn the_name_decides_exact_before_wildcard_before_default() {
        let pki = Pki::new();
        let certificates = [
            certificate(&pki.server(&["first.example"])),
            certificate(&pki.server(&["*.Chat.example", "chat.example"])),
            certificate(&pki.server(&["a.chat.example"])),
        ];
        let resolver = Resolver::new(&certificates);
        let check = |name: Option<&str>, expected: &str| {
            assert_eq!(chosen(&resolver, name, ECDSA), format!("{expected} ECDSA"), "{name:?}");
        };
        check(None, "first.example");
        check(Some("unknown.example"), "first.example");
        check(Some("a.chat.example"), "a.chat.example");
        check(Some("A.CHAT.example"), "a.chat.example");
        check(Some("b.chat.example"), "*.chat.example");
        check(Some("chat.example"), "*.chat.example");
        check(Some("c.b.chat.example"), "first.example");
        check(Some("localhost"), "first.example");
    }

    #[test]
    fn the_signatures_of_the_client_decide_between_two_certificates_of_a_name() {
        let pki = Pki::new();
        let certificates = [
            certificate(&pki.rsa_server(&["chat.example"])),
            certificate(&pki.server(&["chat.example"])),
            certificate(&pki.server(&["other.example"])),
        ];
        let resolver = Resolver::new(&certificates);
        for name in [Some("chat.example"), Some("unknown.example"), None] {
            assert_eq!(chosen(&resolver, name, ECDSA), "chat.example ECDSA");
            assert_eq!(chosen(&resolver, name, RSA), "chat.example RSA");
            assert_eq!(chosen(&resolver, name, BOTH), "chat.example ECDSA", "it is cheaper");
        }
        assert_eq!(chosen(&resolver, Some("other.example"), RSA), "none");
    }
}
