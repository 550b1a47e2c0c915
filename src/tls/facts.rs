//! What a certificate says of itself (RFC 5280).
//!
//! Pure. Runs at start, at reload, or on a timer.

use std::net::IpAddr;

use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::oid_registry::{
    OID_PKIX_ACCESS_DESCRIPTOR_CA_ISSUERS, OID_PKIX_AUTHORITY_INFO_ACCESS,
};
use x509_parser::prelude::FromDer;
use x509_parser::public_key::PublicKey;
use x509_parser::time::ASN1Time;

use super::distinguished_name::text_of;

/// The parts of a certificate that we look at.
#[derive(Clone, Debug)]
pub(super) struct Facts {
    /// As text (RFC 4514).
    pub(super) subject: String,
    pub(super) issuer: String,
    /// In DER, to be compared.
    pub(super) raw_subject: Vec<u8>,
    pub(super) raw_issuer: Vec<u8>,
    /// The SubjectPublicKeyInfo in DER.
    pub(super) public_key: Vec<u8>,
    /// The DNS names in subjectAltName, in lower case.
    pub(super) dns_names: Vec<Box<str>>,
    /// The addresses and URIs in subjectAltName.
    pub(super) other_names: Vec<Box<str>>,
    /// In seconds since 1970.
    pub(super) not_before: i64,
    /// The last second in which it is valid, since 1970.
    pub(super) not_after: i64,
    /// Whether it may sign others.
    pub(super) is_authority: bool,
    /// Whether it says where its issuer's certificate is, as those of public authorities do.
    pub(super) has_issuer_url: bool,
    /// The algorithm of its signature, if nobody accepts it any more.
    pub(super) weak_signature: Option<&'static str>,
    /// The size of its key, if that is RSA.
    pub(super) rsa_bits: Option<usize>,
}

impl Facts {
    /// Reads a certificate in DER.
    pub(super) fn parse(der: &[u8]) -> Result<Self, String> {
        let (rest, certificate) =
            X509Certificate::from_der(der).map_err(|error| error.to_string())?;
        if !rest.is_empty() {
            return Err("there are bytes behind the certificate".to_owned());
        }
        let (dns_names, other_names) = names(&certificate);
        Ok(Self {
            subject: text_of(certificate.subject()),
            issuer: text_of(certificate.issuer()),
            raw_subject: certificate.subject().as_raw().to_vec(),
            raw_issuer: certificate.issuer().as_raw().to_vec(),
            public_key: certificate.public_key().raw.to_vec(),
            dns_names,
            other_names,
            not_before: certificate.validity().not_before.timestamp(),
            not_after: certificate.validity().not_after.timestamp(),
            is_authority: certificate.is_ca(),
            has_issuer_url: has_issuer_url(&certificate),
            weak_signature: weak_signature(&certificate),
            rsa_bits: match certificate.public_key().parsed() {
                Ok(PublicKey::RSA(key)) => Some(key.key_size()),
                Ok(_) | Err(_) => None,
            },
        })
    }

    /// Whether it is signed by itself, as the certificates of roots are.
    pub(super) fn is_self_issued(&self) -> bool {
        self.raw_subject == self.raw_issuer
    }

    /// What messages call it.
    pub(super) fn name(&self) -> &str {
        self.dns_names.iter().chain(&self.other_names).next().map_or(&self.subject, |name| name)
    }
}

/// A moment in seconds since 1970, as `2026-12-01`.
pub(crate) fn date(seconds: i64) -> String {
    match ASN1Time::from_timestamp(seconds) {
        Ok(time) => time.to_datetime().date().to_string(),
        Err(_) => format!("second {seconds}"),
    }
}

fn names(certificate: &X509Certificate<'_>) -> (Vec<Box<str>>, Vec<Box<str>>) {
    let Ok(Some(extension)) = certificate.subject_alternative_name() else {
        return (Vec::new(), Vec::new());
    };
    let (mut dns_names, mut other_names) = (Vec::new(), Vec::new());
    for name in &extension.value.general_names {
        match name {
            GeneralName::DNSName(name) => dns_names.push(name.to_ascii_lowercase().into()),
            GeneralName::IPAddress(bytes) => {
                let address = <[u8; 4]>::try_from(*bytes).map(IpAddr::from);
                let address = address.or_else(|_| <[u8; 16]>::try_from(*bytes).map(IpAddr::from));
                other_names.extend(address.map(|address| address.to_string().into()));
            }
            GeneralName::URI(uri) => other_names.push((*uri).into()),
            GeneralName::OtherName(..)
            | GeneralName::RFC822Name(_)
            | GeneralName::X400Address(_)
            | GeneralName::DirectoryName(_)
            | GeneralName::EDIPartyName(_)
            | GeneralName::RegisteredID(_)
            | GeneralName::Invalid(..) => (),
        }
    }
    (dns_names, other_names)
}

fn has_issuer_url(certificate: &X509Certificate<'_>) -> bool {
    let Ok(Some(extension)) = certificate.get_extension_unique(&OID_PKIX_AUTHORITY_INFO_ACCESS)
    else {
        return false;
    };
    let ParsedExtension::AuthorityInfoAccess(access) = extension.parsed_extension() else {
        return false;
    };
    access.iter().any(|place| place.access_method == OID_PKIX_ACCESS_DESCRIPTOR_CA_ISSUERS)
}

fn weak_signature(certificate: &X509Certificate<'_>) -> Option<&'static str> {
    match certificate.signature_algorithm.oid().to_id_string().as_str() {
        "1.2.840.113549.1.1.5" | "1.2.840.10045.4.1" | "1.2.840.10040.4.3" => Some("SHA-1"),
        "1.2.840.113549.1.1.4" => Some("MD5"),
        _ => None,
    }
}
