//! What can be wrong with the files of TLS: what makes them useless, and what an operator should know.
//!
//! Each sentence continues one that begins with the key in the configuration. No key is ever shown.
//!
//! Pure. Runs at start, at reload, or on a timer.

use std::io;
use std::path::Path;

/// The file, or part of the settings, that a fault or warning concerns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// The chain of a certificate, counted from 0.
    Chain(usize),
    /// The private key of a certificate.
    Key(usize),
    /// The OCSP response of a certificate.
    Ocsp(usize),
    /// The authorities of clients' certificates.
    ClientCa,
    /// A list of revoked certificates, counted from 0.
    Crl(usize),
    /// The authorities of nodes' certificates.
    NodeCa,
    /// The file with secrets for tickets.
    TicketKeys,
}

/// Why TLS cannot begin with these files.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    #[error("cannot be read: {path}: {error}")]
    Unreadable { path: String, error: io::Error },
    #[error("is larger than {} KiB: {path}", FILE_BYTES_MAX / 1024)]
    TooLarge { path: String },
    #[error("is the key itself: what is written here is no file name")]
    KeyItself,
    #[error("{fault}: {path}")]
    NotPem { path: String, fault: String, help: &'static str },
    #[error("has no certificate: {path}")]
    NoCertificate { path: String },
    #[error("has no private key: {path}")]
    NoKey { path: String },
    #[error("has the private key, and `key` has the certificate: the two are exchanged")]
    Exchanged,
    #[error("has {count} private keys: {path}")]
    SeveralKeys { path: String, count: usize },
    #[error("has a certificate that cannot be read, number {number} in {path}: {error}")]
    BrokenCertificate { path: String, number: usize, error: String },
    #[error("has a private key that cannot be used: {path}: {error}")]
    UnusableKey { path: String, error: String },
    #[error("has an RSA key of {bits} bits, which is too weak: {path}")]
    WeakKey { path: String, bits: usize },
    #[error("does not fit the certificate of {subject} in {chain}")]
    KeyMismatch { subject: String, chain: String },
    #[error("has an OCSP response that cannot be read: {path}")]
    BrokenOcsp { path: String },
    #[error("has an authority that cannot be used: {path}: {error}")]
    BrokenAuthority { path: String, error: String },
    #[error("cannot verify nodes: {error}")]
    NoSystemAuthorities { error: io::Error },
    #[error("has no list of revoked certificates: {path}")]
    NoCrl { path: String },
    #[error("cannot be used to verify anyone: {error}")]
    Verifier { error: String },
    #[error("has a secret of less than 32 characters on line {line}: {path}")]
    ShortSecret { path: String, line: usize },
    #[error("has no secret: {path}")]
    NoSecret { path: String },
}

impl Fault {
    /// Whether the file does not exist.
    pub(super) fn is_absence(&self) -> bool {
        matches!(self, Self::Unreadable { error, .. } if error.kind() == io::ErrorKind::NotFound)
    }

    /// What to do instead.
    pub(crate) fn help(&self) -> String {
        match self {
            Self::Unreadable { error, .. } => match error.kind() {
                io::ErrorKind::NotFound => {
                    "write the path of the file; a relative one is relative to this configuration"
                }
                io::ErrorKind::PermissionDenied => {
                    "let the user that Sockeye runs as read the file and its directories"
                }
                io::ErrorKind::IsADirectory => "write the path of the PEM file in it",
                _ => "look for a mount that is gone, or a pipe that nobody writes to",
            },
            Self::TooLarge { .. } => "write the path of a PEM file",
            Self::KeyItself => "save the key in a file that only Sockeye can read, and write its path",
            Self::NotPem { help, .. } => help,
            Self::NoCertificate { .. } => {
                "write the file whose sections begin with BEGIN CERTIFICATE: certbot calls it fullchain.pem"
            }
            Self::NoKey { .. } => {
                "write the file with a BEGIN PRIVATE KEY section: certbot calls it privkey.pem"
            }
            Self::Exchanged => "exchange the two paths",
            Self::SeveralKeys { .. } => "leave the one that belongs to the certificate",
            Self::BrokenCertificate { .. } => {
                "get the file again from its issuer; see it with: openssl x509 -noout -text -in FILE"
            }
            Self::UnusableKey { .. } => {
                "make an RSA key of 2048 to 8192 bits, or an ECDSA key with P-256, P-384 or P-521, \
                 or an Ed25519 key"
            }
            Self::WeakKey { .. } => {
                "make a new key and certificate: RSA with 2048 bits or more, or ECDSA with P-256"
            }
            Self::KeyMismatch { .. } => {
                "write the key that the certificate was requested with; if the files are being \
                 replaced, both are read again when the second one is there"
            }
            Self::BrokenOcsp { .. } => "write a file in DER, as `openssl ocsp -respout` makes it",
            Self::BrokenAuthority { .. } => "write the certificates of the authorities, in PEM",
            Self::NoCrl { .. } => {
                "write PEM with BEGIN X509 CRL; from DER: openssl crl -inform der -in FILE"
            }
            Self::NoSystemAuthorities { .. } => {
                "install the package ca-certificates, or write the file of the authority that signs \
                 the nodes' certificates as ca: authority.pem"
            }
            Self::Verifier { .. } => "write the authorities that sign the certificates",
            Self::ShortSecret { .. } | Self::NoSecret { .. } => {
                "write what `openssl rand -base64 48` prints"
            }
        }
        .to_owned()
    }
}

/// What works and should be known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Warning {
    #[error("the certificate of {name} expired on {date}: it is refused, renew it")]
    Expired { name: String, date: String },
    #[error("the certificate of {name} is valid from {date} only: it is refused until then")]
    NotYetValid { name: String, date: String },
    #[error(
        "the certificates are in the wrong order and were sorted: write that of {name} first, then \
         its issuer, then the issuer of that one"
    )]
    Reordered { name: String },
    #[error(
        "{extra} certificates do not belong to the chain of {name} and are not sent: take them out"
    )]
    Unrelated { name: String, extra: usize },
    #[error(
        "the certificate of {name} comes without that of its issuer {issuer}: many clients refuse \
         it, append the intermediate certificate (certbot: fullchain.pem instead of cert.pem)"
    )]
    NoIntermediate { name: String, issuer: String },
    #[error(
        "the certificate of {name} has no subjectAltName: clients do not accept it for any name, \
         issue one with DNS names"
    )]
    NoNames { name: String },
    #[error("the certificate of {name} is signed with {algorithm}: clients refuse it, renew it")]
    WeakSignature { name: String, algorithm: &'static str },
    #[error("everybody on this machine can read the private key: chmod o-r {path}")]
    KeyReadableByAll { path: String },
    #[error("is not used, and a new one is ordered: it {what}")]
    NotUsed { what: String },
    #[error("the certificate of {name} is that of an authority and not of a server")]
    Authority { name: String },
}

impl Warning {
    /// Whether it is worth to be known of a certificate that we show as a client.
    pub(super) fn concerns_clients(&self) -> bool {
        match self {
            Self::Expired { .. }
            | Self::NotYetValid { .. }
            | Self::Reordered { .. }
            | Self::Unrelated { .. }
            | Self::KeyReadableByAll { .. } => true,
            Self::NoIntermediate { .. }
            | Self::NoNames { .. }
            | Self::WeakSignature { .. }
            | Self::NotUsed { .. }
            | Self::Authority { .. } => false,
        }
    }
}

/// A path for a sentence.
pub(super) fn shown(path: &Path) -> String {
    path.display().to_string()
}

/// No file of certificates is larger; a bundle of all public authorities takes 250 KiB.
pub(super) const FILE_BYTES_MAX: usize = 1 << 20;
