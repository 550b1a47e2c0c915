//! A certificate with its chain and key, as one text: that of the store, and one that was just issued.
//!
//! Pure. Runs at start, at reload, or on a timer.

use instant_acme::CertificateIdentifier;
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, Der, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::parse_x509_certificate;
use x509_parser::prelude::X509Certificate;
use xxhash_rust::xxh3::xxh3_64;

use super::schedule::Validity;
use super::unix_time::UnixTime;

/// A certificate that a listener can use for a name.
#[derive(Clone, Debug)]
pub(super) struct Certificate {
    validity: Validity,
    digest: u64,
    identifier: Option<CertificateIdentifier<'static>>,
}

impl Certificate {
    /// Reads `pem`, which has the key and the chain, and is to be good for `name`. It may be expired.
    ///
    /// # Errors
    ///
    /// What is wrong, as the end of a sentence.
    pub(super) fn parse(pem: &[u8], name: &str) -> Result<Self, String> {
        let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(pem)
            .collect::<Result<_, _>>()
            .map_err(|error| format!("it is not PEM: {error}"))?;
        let key = PrivateKeyDer::from_pem_slice(pem)
            .map_err(|error| format!("it has no private key: {error}"))?;
        let leaf = chain.first().ok_or("it has no certificate")?.clone();
        check_order(&chain)?;
        let parsed = parse(&leaf)?;
        let key = any_supported_type(&key).map_err(|error| format!("its key: {error}"))?;
        CertifiedKey::new(chain, key)
            .keys_match()
            .map_err(|_| "its key does not fit its certificate".to_owned())?;
        if !names(&parsed).any(|found| found.eq_ignore_ascii_case(name)) {
            return Err(format!("it is not for {name}"));
        }
        let digest = xxh3_64(&leaf);
        Ok(Self {
            validity: Validity {
                from: UnixTime::from_signed(parsed.validity.not_before.timestamp()),
                until: UnixTime::from_signed(parsed.validity.not_after.timestamp()),
                lot: digest as f64 / u64::MAX as f64,
            },
            digest,
            identifier: identifier(&parsed),
        })
    }

    /// When it is valid.
    pub(super) fn validity(&self) -> Validity {
        self.validity
    }

    /// Tells it from others of the same name.
    pub(super) fn digest(&self) -> u64 {
        self.digest
    }

    /// Its name for the authority. `None` if it lacks what that is made of.
    pub(super) fn identifier(&self) -> Option<&CertificateIdentifier<'static>> {
        self.identifier.as_ref()
    }
}

/// Whether each certificate is issued by the next one.
fn check_order(chain: &[CertificateDer<'static>]) -> Result<(), String> {
    for pair in chain.windows(2) {
        let [child, parent] = pair else { continue };
        if parse(child)?.issuer().as_raw() != parse(parent)?.subject().as_raw() {
            return Err("its chain is not in order".to_owned());
        }
    }
    Ok(())
}

fn parse<'c>(certificate: &'c CertificateDer<'_>) -> Result<X509Certificate<'c>, String> {
    let parsed = parse_x509_certificate(certificate);
    parsed.map(|(_, parsed)| parsed).map_err(|error| format!("it cannot be read: {error}"))
}

fn names<'c>(certificate: &'c X509Certificate<'_>) -> impl Iterator<Item = &'c str> {
    let extension = certificate.subject_alternative_name().ok().flatten();
    let names = extension.into_iter().flat_map(|extension| &extension.value.general_names);
    names.filter_map(|name| match name {
        GeneralName::DNSName(name) => Some(*name),
        _ => None,
    })
}

/// As RFC 9773, section 4.1, makes it.
fn identifier(certificate: &X509Certificate<'_>) -> Option<CertificateIdentifier<'static>> {
    let authority =
        certificate.iter_extensions().find_map(|extension| match extension.parsed_extension() {
            ParsedExtension::AuthorityKeyIdentifier(authority) => authority.key_identifier.as_ref(),
            _ => None,
        })?;
    let serial = Der::from_slice(certificate.tbs_certificate.raw_serial());
    Some(CertificateIdentifier::new(Der::from_slice(authority.0), serial).into_owned())
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, CertifiedIssuer, KeyPair};

    use super::*;

    /// The key and the chain of `name`, the leaf first.
    fn issued(name: &str) -> [String; 3] {
        let mut root = CertificateParams::new(Vec::new()).unwrap();
        root.distinguished_name.push(rcgen::DnType::CommonName, "authority");
        root.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let root = CertifiedIssuer::self_signed(root, KeyPair::generate().unwrap()).unwrap();
        let mut leaf = CertificateParams::new(vec![name.to_owned()]).unwrap();
        leaf.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate().unwrap();
        let leaf = leaf.signed_by(&key, &root).unwrap();
        [key.serialize_pem(), leaf.pem(), root.pem()]
    }

    #[test]
    fn a_certificate_that_works_for_its_name_is_read() {
        let pem = issued("chat.example.com").concat();
        let read = Certificate::parse(pem.as_bytes(), "Chat.example.com").unwrap();
        let validity = read.validity();
        assert!(validity.from < validity.until);
        assert!((0.0..=1.0).contains(&validity.lot));
        let again = Certificate::parse(pem.as_bytes(), "chat.example.com").unwrap();
        assert_eq!(read.digest(), again.digest());
        let identifier = read.identifier().unwrap().to_string();
        assert_eq!(identifier.split('.').count(), 2, "{identifier}");
    }

    #[test]
    fn one_that_would_not_work_is_refused() {
        let check = |parts: &[&str], what: &str| {
            let refused = Certificate::parse(parts.concat().as_bytes(), "a.example.com");
            let said = refused.unwrap_err();
            assert!(said.starts_with(what), "{said}");
        };
        let [key, leaf, root] = &issued("a.example.com");
        let [other_key, other_leaf, _] = &issued("b.example.com");
        check(&[], "it has no private key");
        check(&[key], "it has no certificate");
        check(&[leaf, root], "it has no private key");
        check(&[other_key, leaf, root], "its key does not fit its certificate");
        check(&[key, root, leaf], "its chain is not in order");
        check(&[other_key, other_leaf], "it is not for a.example.com");
        let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        check(&[key, broken], "it cannot be read");
        let half = "-----BEGIN CERTIFICATE-----\nAAA";
        check(&[key, half], "it is not PEM");
    }
}
