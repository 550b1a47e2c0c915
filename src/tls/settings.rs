//! TLS of a listener as configured: which files, versions and limits.
//!
//! Pure. Runs at start, at reload, or on a timer.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::challenges::Challenges;

/// The TLS settings of a listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Settings {
    /// The first one is for clients that ask for an unknown name, or for none.
    pub certificates: Vec<CertificateFiles>,
    /// Those that an authority issues.
    pub issued: Vec<IssuedCertificate>,
    /// The proofs for that authority.
    pub challenges: Option<Challenges>,
    /// The lowest version that is accepted.
    pub min_version: MinVersion,
    /// Whether clients show certificates; `None`: they are not asked.
    pub client_certificates: Option<ClientCertificates>,
    /// How sessions are resumed.
    pub tickets: Tickets,
    /// The protocols that are offered by ALPN (RFC 7301), best first.
    pub alpn: Vec<Vec<u8>>,
    /// How long a handshake may take.
    pub handshake_timeout: Duration,
    /// How many handshakes may be under way at the same time.
    pub handshakes_max: u32,
}

impl Settings {
    /// The default of `handshake_timeout`.
    pub(crate) const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
    /// The default of `handshakes_max`: the cores work off so many within a fraction of a second.
    pub(crate) const HANDSHAKES_MAX: u32 = 1000;
}

impl Settings {
    /// Whether the file at `path` is one of a certificate or its key.
    pub(super) fn is_of_certificate(&self, path: &Path) -> bool {
        self.certificates.iter().any(|files| files.chain == path || files.key == path)
            || self.issued.iter().any(|issued| issued.file == path)
    }

    /// All files.
    pub(crate) fn files(&self) -> impl Iterator<Item = &PathBuf> {
        let certificates = self.certificates.iter();
        let certificates = certificates
            .flat_map(|files| [&files.chain, &files.key].into_iter().chain(&files.ocsp));
        let clients = self.client_certificates.iter();
        let clients = clients.flat_map(|clients| [&clients.ca].into_iter().chain(&clients.crl));
        let tickets = match &self.tickets {
            Tickets::Shared { key_file, .. } => key_file.as_ref(),
            Tickets::Random | Tickets::Off => None,
        };
        let issued = self.issued.iter().map(|issued| &issued.file);
        certificates.chain(issued).chain(clients).chain(tickets)
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            certificates: Vec::new(),
            issued: Vec::new(),
            challenges: None,
            min_version: MinVersion::default(),
            client_certificates: None,
            tickets: Tickets::default(),
            alpn: vec![b"http/1.1".to_vec()],
            handshake_timeout: Self::HANDSHAKE_TIMEOUT,
            handshakes_max: Self::HANDSHAKES_MAX,
        }
    }
}

/// The files of one certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CertificateFiles {
    /// The certificate and its intermediates, PEM.
    pub chain: PathBuf,
    /// The private key, PEM; may be the same file.
    pub key: PathBuf,
    /// A stapled OCSP response, DER (RFC 6960).
    pub ocsp: Option<PathBuf>,
}

/// A certificate that an authority issues.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct IssuedCertificate {
    /// Its name, in lower case.
    pub name: Box<str>,
    /// The file of its key and its chain, PEM. It may not exist yet.
    pub file: PathBuf,
}

impl IssuedCertificate {
    pub(super) fn files(&self) -> CertificateFiles {
        CertificateFiles { chain: self.file.clone(), key: self.file.clone(), ocsp: None }
    }
}

/// The lowest version of TLS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum MinVersion {
    /// RFC 5246.
    #[default]
    Tls12,
    /// RFC 8446.
    Tls13,
}

/// Clients show certificates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ClientCertificates {
    /// Whether they must.
    pub mode: ClientAuth,
    /// The certificates of the authorities that sign them, PEM.
    pub ca: PathBuf,
    /// Lists of revoked certificates, PEM.
    pub crl: Vec<PathBuf>,
}

/// Whether a client must show a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ClientAuth {
    /// It may; one that is shown must be valid.
    Optional,
    /// A client without a certificate is refused.
    Required,
}

/// How sessions are resumed (RFC 5077; RFC 8446, section 4.6.1).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Tickets {
    /// With keys from a random secret of this process.
    #[default]
    Random,
    /// With keys from secrets that several processes can share.
    Shared {
        /// The first one encrypts, all decrypt.
        keys: Vec<TicketSecret>,
        /// A file with one more secret on each line, behind those of `keys`.
        key_file: Option<PathBuf>,
    },
    /// Never: each connection makes a full handshake.
    Off,
}

/// A secret from which the keys of tickets are derived.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct TicketSecret(Box<[u8]>);

impl TicketSecret {
    /// At least 32 characters.
    pub(crate) const CHARACTERS_MIN: usize = 32;

    /// A secret of these bytes.
    pub(crate) fn new(bytes: impl Into<Box<[u8]>>) -> Self {
        Self(bytes.into())
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// The secrets of a file, one on each line; empty lines and those that begin with `#` are none.
///
/// # Errors
///
/// The line whose secret is too short, counted from 1; `None` if there is no secret.
pub(super) fn secrets_of_lines(bytes: &[u8]) -> Result<Vec<TicketSecret>, Option<usize>> {
    let mut secrets = Vec::new();
    for (index, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
        let line = line.trim_ascii();
        if line.is_empty() || line.starts_with(b"#") {
            continue;
        }
        if line.len() < TicketSecret::CHARACTERS_MIN {
            return Err(Some(index + 1));
        }
        secrets.push(TicketSecret::new(line));
    }
    if secrets.is_empty() { Err(None) } else { Ok(secrets) }
}

impl fmt::Debug for TicketSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TicketSecret(hidden)")
    }
}
