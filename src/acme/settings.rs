//! The settings of ACME: the `acme:` section.
//!
//! Pure. Runs at start, at reload, or on a timer.

use std::path::PathBuf;

use super::store::certificate_path;
use crate::tls::Challenges;

/// Where certificates come from, and where they are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The URL of the authority's directory (RFC 8555, section 7.1.1).
    pub directory: Box<str>,
    /// Where the authority may write to: `mailto:` URLs.
    pub contact: Vec<String>,
    /// The directory of the account, the keys and the certificates.
    pub store: PathBuf,
    /// How the authority sees that a name is ours.
    pub challenge: ChallengeKind,
    /// The customer at the authority, if it asks for one (RFC 8555, section 7.3.4).
    pub eab: Option<ExternalAccount>,
    /// The roots that the authority itself is verified by; `None`: those of the platform.
    pub ca: Option<PathBuf>,
}

impl Settings {
    /// The directory if none is configured.
    pub const DIRECTORY: &str = "https://acme-v02.api.letsencrypt.org/directory";

    /// The file of a name's certificate and key, which exists once it was issued.
    pub(crate) fn certificate_path(&self, name: &str) -> PathBuf {
        certificate_path(&self.store, name)
    }

    /// The answers to challenges.
    pub(crate) fn challenges(&self) -> Challenges {
        Challenges::new(&self.store)
    }
}

/// How an authority sees that a name is ours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ChallengeKind {
    /// A request to port 80 (RFC 8555, section 8.3).
    #[default]
    Http01,
    /// A handshake on port 443 (RFC 8737).
    TlsAlpn01,
}

impl ChallengeKind {
    /// As the RFC and the configuration write it.
    pub fn label(self) -> &'static str {
        match self {
            Self::Http01 => "http-01",
            Self::TlsAlpn01 => "tls-alpn-01",
        }
    }

    /// The port that the authority connects to.
    pub(crate) fn port(self) -> u16 {
        match self {
            Self::Http01 => 80,
            Self::TlsAlpn01 => 443,
        }
    }
}

/// What an authority gave to a customer, for accounts to be bound to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExternalAccount {
    /// The key's name.
    pub kid: Box<str>,
    /// The file of the secret, in base64url.
    pub hmac_file: PathBuf,
}
