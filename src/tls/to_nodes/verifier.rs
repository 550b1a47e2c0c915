//! Accepts certificates of nodes by their fingerprint, or all.
//!
//! Runs for every request.

use std::fmt::{self, Write};
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, Error, OtherError, SignatureScheme};

use super::settings::Fingerprint;

/// Asks no authority. The node still has to prove that it has the certificate's key.
#[derive(Debug)]
pub(super) struct WithoutAuthority {
    /// `None` accepts all.
    pub(super) pinned: Option<Vec<Fingerprint>>,
    pub(super) provider: Arc<CryptoProvider>,
}

/// The certificate has another fingerprint.
#[derive(thiserror::Error)]
#[error("{}", shown(&self.0))]
pub(super) struct NotPinned(Fingerprint);

/// The library prints it so.
impl fmt::Debug for NotPinned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NotPinned({self})")
    }
}

/// A fingerprint as configurations write it.
pub(crate) fn shown(fingerprint: &Fingerprint) -> String {
    fingerprint.iter().fold("sha256:".to_owned(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

impl ServerCertVerifier for WithoutAuthority {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(pinned) = &self.pinned else { return Ok(ServerCertVerified::assertion()) };
        let mut fingerprint = [0; 32];
        fingerprint.copy_from_slice(digest(&SHA256, certificate).as_ref());
        if pinned.contains(&fingerprint) {
            return Ok(ServerCertVerified::assertion());
        }
        Err(CertificateError::Other(OtherError(Arc::new(NotPinned(fingerprint)))).into())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
