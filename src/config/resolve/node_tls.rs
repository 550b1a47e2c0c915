//! `tls:` of an upstream, and of an authorization service
//!
//! Runs at start, at reload, or on a timer.

use std::sync::Arc;

use rustls::pki_types::ServerName;

use super::address;
use super::tls::{file_name, report_files};
use crate::config::file::node_tls::{self as keys, Pinned};
use crate::config::named_files::NamedFiles;
use crate::tls::settings::CertificateFiles;
use crate::tls::{self, Fingerprint, NodeTls, NodeTlsSettings, Part, Verify};
use crate::upstream::settings::{Discover, Source};
use crate::yaml::{Chosen, Diagnostic, KeyPath, Report, TextOr, units};

/// The TLS at `path`. What is wrong with its files is reported too.
pub(super) fn resolve(
    path: &KeyPath,
    written: Option<&Chosen<TextOr<keys::NodeTls>>>,
    discover: Option<&Discover>,
    files: &mut NamedFiles,
    report: &mut Report<'_>,
) -> Option<Arc<NodeTls>> {
    let written = match report.chosen(path, written, "tls: on")? {
        TextOr::Map(written) => written,
        TextOr::Text(word) => {
            let is_on = report.read(path, Some(word), false, |word| on_or_off(word, "a map"));
            is_on.then_some(&keys::NodeTls::ON)?
        }
    };
    // The nodes that were discovered have addresses of their own, for which no authority signs.
    let name = match discover.map(|discover| &discover.source) {
        Some(Source::Addresses(address)) => tls::server_name(&address.host),
        Some(Source::Services(_)) | None => None,
    };
    with_keys(path, written, name, files, report)
}

/// The TLS that the keys in `written` ask for, with servers of this name unless they have another one.
pub(super) fn with_keys(
    path: &KeyPath,
    written: &keys::NodeTls,
    default_name: Option<ServerName<'static>>,
    files: &mut NamedFiles,
    report: &mut Report<'_>,
) -> Option<Arc<NodeTls>> {
    let name =
        report.optional(&path.key("server_name"), written.server_name.as_deref(), server_name);
    let at_client = path.key("client_certificate");
    let client = written.client_certificate.as_ref();
    let client =
        client.map(|client| client_certificate(&at_client, client, files, report).ok_or(()));
    let settings = NodeTlsSettings {
        verify: verify(path, written, files, report)?,
        server_name: name.or(default_name),
        client_certificate: client.transpose().ok()?,
    };
    load(path, settings, files, report)
}

fn server_name(text: &str) -> Result<ServerName<'static>, Diagnostic> {
    let refused = || {
        Diagnostic::new("is neither a host name nor an IP address")
            .help("write server_name: chat.example.com, without a port")
    };
    address::node_host(text).ok().and_then(|host| tls::server_name(&host)).ok_or_else(refused)
}

fn client_certificate(
    path: &KeyPath,
    written: &keys::ClientCertificate,
    files: &mut NamedFiles,
    report: &mut Report<'_>,
) -> Option<CertificateFiles> {
    let chain = written.chain.as_deref();
    let chain = report.require(&path.key("chain"), chain, "chain: proxy.pem", file_name);
    let key = report.optional(&path.key("key"), written.key.as_deref(), file_name);
    let chain = files.locate(&chain?);
    let key = key.map_or_else(|| chain.clone(), |key| files.locate(&key));
    Some(CertificateFiles { chain, key, ocsp: None })
}

/// `None` if it is refused.
fn verify(
    path: &KeyPath,
    written: &keys::NodeTls,
    files: &mut NamedFiles,
    report: &mut Report<'_>,
) -> Option<Verify> {
    let at_verify = path.key("verify");
    let ca = report.optional(&path.key("ca"), written.ca.as_deref(), file_name);
    let verify = match &written.verify {
        None => Verify::Authorities(None),
        Some(TextOr::Text(word)) => {
            let read = |word: &str| on_or_off(word, "fingerprints: [...] below it");
            match report.read(&at_verify, Some(word), true, read) {
                true => Verify::Authorities(None),
                false => Verify::Off,
            }
        }
        Some(TextOr::Map(pinned)) => {
            Verify::Fingerprints(fingerprints(&at_verify, pinned, report)?)
        }
    };
    let warning = match &verify {
        Verify::Authorities(None) => {
            return Some(Verify::Authorities(ca.map(|ca| files.locate(&ca))));
        }
        Verify::Authorities(Some(_)) => return Some(verify),
        Verify::Off => OFF_MEANS,
        Verify::Fingerprints(_) => PINNED_MEANS,
    };
    if ca.is_some() {
        let diagnostic = Diagnostic::new("asks no authority, but `ca` names one");
        report.refuse(&at_verify, diagnostic.help("remove one of the two"));
    }
    report.warn(&at_verify, warning);
    Some(verify)
}

fn fingerprints(
    path: &KeyPath,
    written: &Pinned,
    report: &mut Report<'_>,
) -> Option<Vec<Fingerprint>> {
    let at = path.key("fingerprints");
    let read = report.list(&at, &written.fingerprints, fingerprint);
    if written.fingerprints.iter().flatten().next().is_none() {
        let diagnostic = Diagnostic::new("has no fingerprint");
        report.refuse(&at, diagnostic.help(FINGERPRINT_HELP));
        return None;
    }
    Some(read)
}

fn fingerprint(text: &str) -> Result<Fingerprint, Diagnostic> {
    let refused = || Diagnostic::new("is not a SHA-256 fingerprint").help(FINGERPRINT_HELP);
    tls::parse_fingerprint(text).ok_or_else(refused)
}

fn on_or_off(word: &str, other: &str) -> Result<bool, Diagnostic> {
    match word {
        "on" => Ok(true),
        "off" => Ok(false),
        // YAML 1.1 reads `on` so.
        "true" | "yes" => Err(Diagnostic::new("does not turn this on").help("write on")),
        word => {
            units::refuse_other_off(word)?;
            let diagnostic = Diagnostic::new("is neither on nor off");
            Err(diagnostic.help(format!("write on, off, or {other}")))
        }
    }
}

/// Reads the files, and reports what is wrong with them or should be known.
fn load(
    path: &KeyPath,
    settings: NodeTlsSettings,
    files: &NamedFiles,
    report: &mut Report<'_>,
) -> Option<Arc<NodeTls>> {
    let Some((read, now)) = files.reader() else {
        return NodeTls::unread(settings).map(Arc::new);
    };
    let is_one_file = settings.client_certificate.as_ref().is_some_and(|it| it.chain == it.key);
    let has_ca = matches!(settings.verify, Verify::Authorities(Some(_)));
    let key_of = |part: Part| match part {
        Part::Key(_) if !is_one_file => path.key("client_certificate").key("key"),
        Part::Key(_) | Part::Chain(_) => path.key("client_certificate").key("chain"),
        Part::NodeCa if has_ca => path.key("ca"),
        Part::NodeCa | Part::ClientCa | Part::Crl(_) | Part::Ocsp(_) | Part::TicketKeys => {
            path.clone()
        }
    };
    let loaded = NodeTls::load(settings, read, || files.system_roots(), now);
    report_files(loaded, key_of, report)
}

const FINGERPRINT_HELP: &str =
    "write the 64 digits that `openssl x509 -noout -fingerprint -sha256 -in FILE` prints";

const OFF_MEANS: &str = "the certificates of the nodes are not verified: anyone on the network between \
    can pose as a node, and read and change everything; write ca, or verify: { fingerprints: [...] }";

const PINNED_MEANS: &str = "nodes are accepted by the fingerprints of their certificates alone: names, \
    dates and revocations do not count, and a node whose certificate is renewed is refused until its \
    new fingerprint is written here";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn on_and_off_are_the_only_words() {
        assert_eq!(on_or_off("on", "x").ok(), Some(true));
        assert_eq!(on_or_off("off", "x").ok(), Some(false));
        let help = |word| on_or_off(word, "a map").unwrap_err().help_text().map(str::to_owned);
        assert_eq!(help("true").as_deref(), Some("write on"));
        assert!(help("false").is_some_and(|help| help.contains("off")));
        assert_eq!(help("auto").as_deref(), Some("write on, off, or a map"));
    }
}
