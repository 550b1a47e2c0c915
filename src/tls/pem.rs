//! What a PEM file holds (RFC 7468).
//!
//! Pure. Runs at start, at reload, or on a timer.

use rustls::pki_types::pem::{SectionKind, SliceIter};
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};

/// The sections of a PEM file that concern us.
#[derive(Debug, Default)]
pub(super) struct Pem {
    pub(super) certificates: Vec<CertificateDer<'static>>,
    pub(super) keys: Vec<PrivateKeyDer<'static>>,
    pub(super) crls: Vec<CertificateRevocationListDer<'static>>,
}

/// Why a file is no PEM file that can be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum PemFault {
    /// It is binary: DER or PKCS #12.
    #[error("is binary and not PEM text")]
    Binary,
    /// A section is cut off or garbled.
    #[error("is broken PEM text: {0}")]
    Broken(String),
    /// A private key that needs a passphrase.
    #[error("has a private key that is encrypted with a passphrase")]
    EncryptedKey,
}

impl Pem {
    /// Reads all sections of `bytes`. Text between sections is ignored (RFC 7468, section 2).
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, PemFault> {
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        // DER and PKCS #12 begin with a SEQUENCE.
        if bytes.first() == Some(&0x30) || bytes.contains(&0) {
            return Err(PemFault::Binary);
        }
        // Before the sections are read: the old form puts header lines into the base64.
        if has(bytes, b"BEGIN ENCRYPTED PRIVATE KEY") || has(bytes, b"Proc-Type: 4,ENCRYPTED") {
            return Err(PemFault::EncryptedKey);
        }
        let mut pem = Self::default();
        for section in SliceIter::<(SectionKind, Vec<u8>)>::new(bytes) {
            let (kind, der) = section.map_err(|error| PemFault::Broken(shown(&error)))?;
            match kind {
                SectionKind::Certificate => pem.certificates.push(der.into()),
                SectionKind::PrivateKey => pem.keys.push(PrivateKeyDer::Pkcs8(der.into())),
                SectionKind::RsaPrivateKey => pem.keys.push(PrivateKeyDer::Pkcs1(der.into())),
                SectionKind::EcPrivateKey => pem.keys.push(PrivateKeyDer::Sec1(der.into())),
                SectionKind::Crl => pem.crls.push(der.into()),
                // Public keys, parameters and requests.
                _ => (),
            }
        }
        Ok(pem)
    }
}

/// The error without the text of the file, which may be a key.
fn shown(error: &rustls::pki_types::pem::Error) -> String {
    use rustls::pki_types::pem::Error;
    match error {
        Error::MissingSectionEnd { .. } => "a section has no END line",
        Error::IllegalSectionStart { .. } => "a BEGIN line is not complete",
        Error::Base64Decode(_) => "a section is not base64",
        _ => "a section cannot be read",
    }
    .to_owned()
}

fn has(bytes: &[u8], part: &[u8]) -> bool {
    memchr::memmem::find(bytes, part).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(text: &[u8]) -> PemFault {
        Pem::parse(text).unwrap_err()
    }

    #[test]
    fn what_is_no_pem_text_is_told_apart() {
        assert_eq!(fault(b"\x30\x82\x01\x00"), PemFault::Binary);
        let encrypted = b"-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIIF\n";
        assert_eq!(fault(encrypted), PemFault::EncryptedKey);
        let old =
            b"-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES\n\nAAAA\n";
        assert_eq!(fault(old), PemFault::EncryptedKey);
        let cut = b"-----BEGIN CERTIFICATE-----\nMIIF\n";
        assert_eq!(fault(cut), PemFault::Broken("a section has no END line".to_owned()));
    }

    #[test]
    fn a_broken_key_is_not_shown() {
        let broken = fault(b"-----BEGIN PRIVATE KEY-----\nhush!\n-----END PRIVATE KEY-----\n");
        assert!(!broken.to_string().contains("hush"), "{broken}");
    }

    #[test]
    fn text_around_the_sections_is_ignored() {
        let text = "\u{feff}-----BEGIN X509 CRL-----\nMAA=\n-----END X509 CRL-----\nsubject=CN = a\n\
            -----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n";
        let pem = Pem::parse(text.as_bytes()).unwrap();
        assert_eq!((pem.certificates.len(), pem.crls.len(), pem.keys.len()), (1, 1, 0));
    }
}
