//! `acme:`
//!
//! Pure. Runs at start, at reload, or on a timer.

use std::path::PathBuf;

use crate::acme::{ChallengeKind, ExternalAccount, Settings};
use crate::config::file::acme::{Acme, Eab};
use crate::config::named_files::NamedFiles;
use crate::yaml::{Diagnostic, KeyPath, Report};

/// The authority at `path`.
pub(super) fn resolve(
    path: &KeyPath,
    written: &Acme,
    files: &NamedFiles,
    report: &mut Report<'_>,
) -> Settings {
    terms(path, written, report);
    let directory = written.directory.as_deref();
    let default = Settings::DIRECTORY.into();
    let store = written.store.as_deref();
    let example = "store: /var/lib/sockeye/acme";
    let ca = written.ca.as_deref();
    let challenge = written.challenge.as_deref();
    Settings {
        directory: report.read(&path.key("directory"), directory, default, url),
        contact: contact(&path.key("contact"), written, report),
        store: report
            .require(&path.key("store"), store, example, |text| file(text, example, files))
            .unwrap_or_default(),
        challenge: report.read(
            &path.key("challenge"),
            challenge,
            ChallengeKind::default(),
            challenge_kind,
        ),
        eab: written.eab.as_ref().and_then(|eab| customer(&path.key("eab"), eab, files, report)),
        ca: report
            .optional(&path.key("ca"), ca, |text| file(text, "ca: /etc/sockeye/roots.pem", files)),
    }
}

fn terms(path: &KeyPath, written: &Acme, report: &mut Report<'_>) {
    let diagnostic = match written.agree_to_terms {
        Some(true) => return,
        Some(false) => Diagnostic::new("must be true"),
        None => Diagnostic::new("is missing"),
    };
    let help = "read the terms of service of the authority, then write agree_to_terms: true";
    report.refuse(&path.key("agree_to_terms"), diagnostic.help(help));
}

fn contact(path: &KeyPath, written: &Acme, report: &mut Report<'_>) -> Vec<String> {
    report.list(path, &written.contact, email)
}

/// The URL of a mailbox (RFC 6068), from its address.
fn email(text: &str) -> Result<String, Diagnostic> {
    let address = text.strip_prefix("mailto:").unwrap_or(text);
    let is_plain = address.bytes().all(|byte| byte.is_ascii_graphic() && byte != b',');
    match address.split_once('@') {
        Some((mailbox, host))
            if is_plain && !mailbox.is_empty() && !host.is_empty() && !host.contains('@') =>
        {
            Ok(format!("mailto:{address}"))
        }
        _ => Err(Diagnostic::new("is not an e-mail address").help("write ops@example.com")),
    }
}

fn challenge_kind(word: &str) -> Result<ChallengeKind, Diagnostic> {
    let kinds = [ChallengeKind::Http01, ChallengeKind::TlsAlpn01];
    kinds.into_iter().find(|kind| kind.label() == word).ok_or_else(|| match word {
        "dns-01" => Diagnostic::new("is not supported")
            .help("write http-01 or tls-alpn-01, or let another program write certificate files"),
        _ => {
            let known = kinds.map(ChallengeKind::label).into_iter();
            Diagnostic::none_of("is not a challenge", word, known)
        }
    })
}

fn customer(
    path: &KeyPath,
    eab: &Eab,
    files: &NamedFiles,
    report: &mut Report<'_>,
) -> Option<ExternalAccount> {
    let (kid, hmac_file) = (eab.kid.as_deref(), eab.hmac_file.as_deref());
    let kid = report.require(&path.key("kid"), kid, "kid: kid-1", |text| match text {
        "" => Err(Diagnostic::new("is empty").help("write the name that the authority shows")),
        kid => Ok(kid.into()),
    });
    let example = "hmac_file: /etc/sockeye/eab.hmac";
    let hmac_file = report
        .require(&path.key("hmac_file"), hmac_file, example, |text| file(text, example, files));
    Some(ExternalAccount { kid: kid?, hmac_file: hmac_file? })
}

fn url(text: &str) -> Result<Box<str>, Diagnostic> {
    let rest = text.strip_prefix("https://").unwrap_or_default();
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let is_host = |byte: u8| byte.is_ascii_alphanumeric() || b"._:[]-".contains(&byte);
    let is_path = |byte: u8| byte.is_ascii_graphic() && !b"\"#<>\\^`{|}".contains(&byte);
    if !authority.is_empty() && authority.bytes().all(is_host) && path.bytes().all(is_path) {
        return Ok(text.into());
    }
    Err(Diagnostic::new("is not the URL of a directory")
        .help(format!("write an https URL, such as {}", Settings::DIRECTORY)))
}

fn file(text: &str, example: &str, files: &NamedFiles) -> Result<PathBuf, Diagnostic> {
    match text {
        "" => Err(Diagnostic::new("is empty").help(format!("write {example}"))),
        path => Ok(files.absolute(path)),
    }
}
