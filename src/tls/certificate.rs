//! A certificate with its key, as a listener shows it to clients.
//!
//! Pure. Runs at start, at reload, or on a timer.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use rustls::SignatureAlgorithm;
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::{CertifiedKey, SigningKey};

use super::chain::order;
use super::facts::{Facts, date};
use super::fault::{Fault, Part, Warning, shown};
use super::files::{Contents, Files};
use super::pem::{Pem, PemFault};
use super::settings::CertificateFiles;

/// A certificate, its chain and its key.
#[derive(Debug)]
pub(crate) struct Certificate {
    pub(super) certified: Arc<CertifiedKey>,
    pub(super) facts: Facts,
    /// The earliest end of a certificate of the chain, in seconds since 1970.
    expires_at: i64,
    fingerprint: [u8; 32],
}

/// What is wrong with it.
pub(super) type Loaded<T> = Result<T, (Part, Fault)>;

impl Certificate {
    /// Reads the certificate number `index` and its key. What works and should be known goes to
    /// `warnings`.
    pub(super) fn load(
        index: usize,
        paths: &CertificateFiles,
        files: &mut Files<'_>,
        warnings: &mut Vec<(Part, Warning)>,
    ) -> Loaded<Self> {
        let (chain_part, key_part) = (Part::Chain(index), Part::Key(index));
        if shown(&paths.key).contains("-----BEGIN") {
            return Err((key_part, Fault::KeyItself));
        }
        let chain = pem(chain_part, &paths.chain, files)?.0;
        let (key, contents) = pem(key_part, &paths.key, files)?;
        if contents.is_readable_by_all {
            let path = shown(&paths.key);
            warnings.push((key_part, Warning::KeyReadableByAll { path }));
        }
        if chain.certificates.is_empty() {
            let path = shown(&paths.chain);
            let are_exchanged = !chain.keys.is_empty() && !key.certificates.is_empty();
            let fault =
                if are_exchanged { Fault::Exchanged } else { Fault::NoCertificate { path } };
            return Err((chain_part, fault));
        }
        let facts = read_chain(&paths.chain, &chain).map_err(|fault| (chain_part, fault))?;
        let key = signing_key(paths, key, &facts).map_err(|fault| (key_part, fault))?;
        let (chain, facts) = in_order(index, paths, (chain.certificates, facts, &key), warnings)?;
        let ocsp = match &paths.ocsp {
            Some(path) => Some(ocsp_response(Part::Ocsp(index), path, files)?),
            None => None,
        };
        Ok(Self::new(CertifiedKey { cert: chain, key, ocsp }, facts))
    }

    fn new(certified: CertifiedKey, mut chain: Vec<Facts>) -> Self {
        let expires_at = chain.iter().map(|facts| facts.not_after).min().unwrap_or_default();
        let mut fingerprint = [0; 32];
        if let Some(leaf) = certified.cert.first() {
            fingerprint.copy_from_slice(digest(&SHA256, leaf).as_ref());
        }
        let facts = chain.swap_remove(0);
        Self { certified: Arc::new(certified), facts, expires_at, fingerprint }
    }

    /// What messages call it: its first name.
    pub(crate) fn name(&self) -> &str {
        self.facts.name()
    }

    /// When it or one of its chain ends to be valid, in seconds since 1970.
    pub(crate) fn expires_at(&self) -> i64 {
        self.expires_at
    }

    /// The SHA-256 of the certificate.
    pub(crate) fn fingerprint(&self) -> [u8; 32] {
        self.fingerprint
    }

    /// For how long it is valid in all, in seconds.
    pub(super) fn lifetime(&self) -> i64 {
        self.expires_at.saturating_sub(self.facts.not_before)
    }

    /// Whether its key is cheaper to sign with than RSA, so that it is preferred.
    pub(super) fn is_elliptic(&self) -> bool {
        self.certified.key.algorithm() != SignatureAlgorithm::RSA
    }

    /// What should be known of its dates at `now`, in seconds since 1970.
    pub(crate) fn date_warning(&self, now: i64) -> Option<Warning> {
        let name = self.name().to_owned();
        if self.expires_at < now {
            Some(Warning::Expired { name, date: date(self.expires_at) })
        } else if self.facts.not_before > now {
            Some(Warning::NotYetValid { name, date: date(self.facts.not_before) })
        } else {
            None
        }
    }
}

/// What a log says of it: `chat.example.com until 2027-03-01 (ab12cd34)`.
impl fmt::Display for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} until {} (", self.name(), date(self.expires_at))?;
        for byte in self.fingerprint.iter().take(4) {
            write!(f, "{byte:02x}")?;
        }
        f.write_str(")")
    }
}

/// Reads a PEM file.
pub(super) fn pem<'f>(
    part: Part,
    path: &Path,
    files: &'f mut Files<'_>,
) -> Loaded<(Pem, &'f Contents)> {
    let contents = files.read(path).map_err(|fault| (part, fault))?;
    let pem = Pem::parse(&contents.bytes).map_err(|fault| {
        let help = match &fault {
            PemFault::Binary => {
                "convert it: `openssl x509 -inform der -in FILE` for a certificate, `openssl pkcs12 \
                 -nodes -in FILE` for a .p12 or .pfx file"
            }
            PemFault::Broken(_) => "copy the file again, from its first BEGIN to its last END line",
            PemFault::EncryptedKey => {
                "decrypt it, Sockeye starts without asking anyone: `openssl pkey -in FILE -out NEW`, \
                 then chmod 600 NEW"
            }
        };
        (part, Fault::NotPem { path: shown(path), fault: fault.to_string(), help })
    })?;
    Ok((pem, contents))
}

fn read_chain(path: &Path, chain: &Pem) -> Result<Vec<Facts>, Fault> {
    let read = |(index, der): (usize, &CertificateDer<'_>)| {
        Facts::parse(der).map_err(|error| Fault::BrokenCertificate {
            path: shown(path),
            number: index + 1,
            error,
        })
    };
    chain.certificates.iter().enumerate().map(read).collect()
}

fn signing_key(
    paths: &CertificateFiles,
    mut pem: Pem,
    chain: &[Facts],
) -> Result<Arc<dyn SigningKey>, Fault> {
    let path = shown(&paths.key);
    match pem.keys.len() {
        0 => return Err(Fault::NoKey { path }),
        1 => (),
        count => return Err(Fault::SeveralKeys { path, count }),
    }
    let key: PrivateKeyDer<'_> = pem.keys.swap_remove(0);
    any_supported_type(&key).map_err(|error| {
        // The size is known of the certificate alone: the library refuses the key and says no more.
        match chain.first().and_then(|leaf| leaf.rsa_bits).filter(|bits| *bits < RSA_BITS_MIN) {
            Some(bits) => Fault::WeakKey { path, bits },
            None => Fault::UnusableKey { path, error: error.to_string() },
        }
    })
}

/// The chain as it is sent, and what it says of itself.
fn in_order(
    index: usize,
    paths: &CertificateFiles,
    (chain, facts, key): (Vec<CertificateDer<'static>>, Vec<Facts>, &Arc<dyn SigningKey>),
    warnings: &mut Vec<(Part, Warning)>,
) -> Loaded<(Vec<CertificateDer<'static>>, Vec<Facts>)> {
    let public_key = key.public_key();
    let order = public_key.as_ref().and_then(|public_key| order(&facts, public_key));
    let Some(order) = order else {
        let subject = facts.first().map_or("", Facts::name).to_owned();
        let chain = shown(&paths.chain);
        return Err((Part::Key(index), Fault::KeyMismatch { subject, chain }));
    };
    let pick = |index: &usize| Some((chain.get(*index)?.clone(), facts.get(*index)?.clone()));
    let (chain, facts): (Vec<_>, Vec<_>) = order.sent.iter().filter_map(pick).unzip();
    let found = chain_warnings(&facts, order.is_sorted, order.extra);
    warnings.extend(found.into_iter().map(|warning| (Part::Chain(index), warning)));
    Ok((chain, facts))
}

fn chain_warnings(chain: &[Facts], is_sorted: bool, extra: usize) -> Vec<Warning> {
    let Some(leaf) = chain.first() else { return Vec::new() };
    let name = || leaf.name().to_owned();
    let mut warnings = Vec::new();
    if is_sorted {
        warnings.push(Warning::Reordered { name: name() });
    }
    if extra > 0 {
        warnings.push(Warning::Unrelated { name: name(), extra });
    }
    // A private authority may sign servers itself; a public one says where its certificate is.
    if chain.len() == 1 && leaf.has_issuer_url && !leaf.is_self_issued() {
        warnings.push(Warning::NoIntermediate { name: name(), issuer: leaf.issuer.clone() });
    }
    if leaf.dns_names.is_empty() && leaf.other_names.is_empty() {
        warnings.push(Warning::NoNames { name: name() });
    }
    if leaf.is_authority && !leaf.is_self_issued() {
        warnings.push(Warning::Authority { name: name() });
    }
    // The signature of a root is not verified by anyone.
    let signed = chain.iter().filter(|facts| !facts.is_self_issued());
    let weak = signed.filter_map(|facts| Some((facts.name().to_owned(), facts.weak_signature?)));
    warnings.extend(weak.map(|(name, algorithm)| Warning::WeakSignature { name, algorithm }));
    warnings
}

/// A response is a SEQUENCE (RFC 6960, section 4.2.1).
fn ocsp_response(part: Part, path: &Path, files: &mut Files<'_>) -> Loaded<Vec<u8>> {
    let contents = files.read(path).map_err(|fault| (part, fault))?;
    match contents.bytes.as_slice() {
        [0x30, _, ..] => Ok(contents.bytes.clone()),
        _ => Err((part, Fault::BrokenOcsp { path: shown(path) })),
    }
}

/// What the library signs with, and clients accept (CA/Browser Forum, Baseline Requirements 6.1.5).
const RSA_BITS_MIN: usize = 2048;
