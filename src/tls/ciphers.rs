//! Which cipher a connection uses.
//!
//! AES-128-GCM before AES-256-GCM: both are safe, and AES-128-GCM has fewer rounds for each byte and derives the
//! keys of a handshake by SHA-256 instead of SHA-384. ChaCha20-Poly1305 if the client lists it first, as
//! devices without instructions for AES do.
//!
//! Pure. Runs for every request.

use std::sync::Arc;

use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::server::ClientHello;
use rustls::{CipherSuite, ServerConfig};

/// One configuration for each order of ciphers. They share all that they hold.
pub(super) struct Configs {
    ours: Arc<ServerConfig>,
    of_client: Arc<ServerConfig>,
}

impl Configs {
    /// From a configuration with the [`provider`].
    pub(super) fn new(config: ServerConfig) -> Self {
        let (mut ours, mut of_client) = (config.clone(), config);
        ours.ignore_client_order = true;
        of_client.ignore_client_order = false;
        Self { ours: Arc::new(ours), of_client: Arc::new(of_client) }
    }

    /// The configuration for the client that says `hello`.
    pub(super) fn for_client(&self, hello: &ClientHello<'_>) -> &Arc<ServerConfig> {
        if lists_chacha_first(hello.cipher_suites()) { &self.of_client } else { &self.ours }
    }
}

/// The algorithms of aws-lc, those of ciphers in our order.
pub(super) fn provider() -> CryptoProvider {
    let mut provider = aws_lc_rs::default_provider();
    // Stable: TLS 1.3 stays before TLS 1.2, and ECDSA before RSA.
    provider.cipher_suites.sort_by_key(|suite| rank(suite.suite()));
    provider
}

fn rank(suite: CipherSuite) -> u8 {
    match suite {
        suite if is_chacha(suite) => 2,
        suite if is_aes_256(suite) => 1,
        _ => 0,
    }
}

/// Whether ChaCha20-Poly1305 is the first cipher that is not one of the random values of RFC 8701.
fn lists_chacha_first(suites: &[CipherSuite]) -> bool {
    let known = suites.iter().find(|suite| is_chacha(**suite) || is_aes(**suite));
    known.is_some_and(|suite| is_chacha(*suite))
}

fn is_chacha(suite: CipherSuite) -> bool {
    matches!(
        suite,
        CipherSuite::TLS13_CHACHA20_POLY1305_SHA256
            | CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256
            | CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256
    )
}

fn is_aes(suite: CipherSuite) -> bool {
    is_aes_256(suite)
        || matches!(
            suite,
            CipherSuite::TLS13_AES_128_GCM_SHA256
                | CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
                | CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256
        )
}

fn is_aes_256(suite: CipherSuite) -> bool {
    matches!(
        suite,
        CipherSuite::TLS13_AES_256_GCM_SHA384
            | CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384
            | CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_that_lists_chacha_first_wants_it() {
        let grease = CipherSuite::Unknown(0x3a3a);
        let (aes_128, aes_256, chacha) = (
            CipherSuite::TLS13_AES_128_GCM_SHA256,
            CipherSuite::TLS13_AES_256_GCM_SHA384,
            CipherSuite::TLS13_CHACHA20_POLY1305_SHA256,
        );
        assert!(lists_chacha_first(&[grease, chacha, aes_128]));
        assert!(!lists_chacha_first(&[grease, aes_256, chacha, aes_128]));
        assert!(!lists_chacha_first(&[aes_128, chacha]));
        assert!(!lists_chacha_first(&[grease]));
    }

    #[test]
    fn our_order_has_aes_128_first_and_loses_no_cipher() {
        let provider = provider();
        let suites: Vec<_> = provider.cipher_suites.iter().map(|suite| suite.suite()).collect();
        assert_eq!(suites[0], CipherSuite::TLS13_AES_128_GCM_SHA256);
        assert_eq!(suites.len(), aws_lc_rs::default_provider().cipher_suites.len());
        assert!(suites.iter().all(|suite| is_aes(*suite) || is_chacha(*suite)), "{suites:?}");
    }
}
