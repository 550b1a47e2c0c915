//! TLS to the nodes of an upstream, as configured.
//!
//! Pure. Runs at start, at reload, or on a timer.

use std::path::PathBuf;

use rustls::pki_types::ServerName;

use crate::tls::settings::CertificateFiles;

/// The TLS settings of an upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NodeTlsSettings {
    /// Which nodes are accepted.
    pub verify: Verify,
    /// The name that nodes are asked for, and that their certificates must have; `None` is the host of
    /// each node's address.
    pub server_name: Option<ServerName<'static>>,
    /// What a node is shown that asks for a certificate.
    pub client_certificate: Option<CertificateFiles>,
}

/// Which nodes are accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verify {
    /// Those with a certificate for their name that an authority of this file signed; without a file,
    /// an authority that the system trusts.
    Authorities(Option<PathBuf>),
    /// Those whose certificate has one of these fingerprints, whatever else is in it.
    Fingerprints(Vec<Fingerprint>),
    /// All: anyone on the way can read and change what is sent.
    Off,
}

/// The SHA-256 of a certificate in DER.
pub(crate) type Fingerprint = [u8; 32];

/// The fingerprint in `text`, as `openssl x509 -fingerprint` prints it, or `sha256sum`, or our own log.
pub(crate) fn parse_fingerprint(text: &str) -> Option<Fingerprint> {
    let prefixes = ["sha256 Fingerprint=", "SHA256 Fingerprint=", "sha256:"];
    let digits = prefixes.iter().find_map(|prefix| text.strip_prefix(prefix)).unwrap_or(text);
    let mut rest = digits.as_bytes();
    let mut fingerprint = [0; 32];
    for byte in &mut fingerprint {
        rest = rest.strip_prefix(b":").filter(|_| rest.len() < digits.len()).unwrap_or(rest);
        let (pair, behind) = rest.split_first_chunk::<2>()?;
        for digit in pair {
            let digit = char::from(*digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
            *byte = *byte << 4 | digit?;
        }
        rest = behind;
    }
    rest.is_empty().then_some(fingerprint)
}

impl NodeTlsSettings {
    /// All files.
    pub(crate) fn files(&self) -> impl Iterator<Item = &PathBuf> {
        let ca = match &self.verify {
            Verify::Authorities(ca) => ca.as_ref(),
            Verify::Fingerprints(_) | Verify::Off => None,
        };
        let client = self.client_certificate.iter();
        ca.into_iter().chain(client.flat_map(|files| [&files.chain, &files.key]))
    }
}

impl Default for NodeTlsSettings {
    fn default() -> Self {
        Self { verify: Verify::Authorities(None), server_name: None, client_certificate: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_is_read_as_tools_print_it() {
        let digits = "0a1b".repeat(16);
        let colons = digits.as_bytes().chunks(2).map(|pair| String::from_utf8_lossy(pair));
        let colons = colons.collect::<Vec<_>>().join(":").to_uppercase();
        let expected: Fingerprint = std::array::from_fn(|at| if at % 2 == 0 { 0x0a } else { 0x1b });
        let openssl = format!("sha256 Fingerprint={colons}");
        for text in [&digits, &colons, &openssl, &format!("sha256:{digits}")] {
            assert_eq!(parse_fingerprint(text), Some(expected), "{text}");
        }
        let short = &digits[..62];
        for text in [
            "",
            "sha256:",
            short,
            &format!("{short}zz"),
            &format!("{digits}00"),
            &format!(":{digits}"),
            &format!("{digits}:"),
            "ü",
        ] {
            assert_eq!(parse_fingerprint(text), None, "{text}");
        }
    }
}
