//! `tls.acme`: the names whose certificates an authority issues.
//!
//! Pure. Runs at start, at reload, or on a timer.

use std::net::IpAddr;

use super::address::is_host_name;
use crate::acme::{ChallengeKind, Settings};
use crate::config::named_files::NamedFiles;
use crate::listener;
use crate::tls::NAME_BYTES_MAX;
use crate::tls::settings::IssuedCertificate;
use crate::yaml::{Chosen, Diagnostic, KeyPath, Report};

/// The names at `path`, each with its file in the store of `acme`.
pub(super) fn resolve(
    path: &KeyPath,
    written: Option<&Chosen<Vec<Option<String>>>>,
    acme: Option<&Settings>,
    files: &mut NamedFiles,
    report: &mut Report<'_>,
) -> Vec<IssuedCertificate> {
    let Some(written) = report.chosen(path, written, "acme: [chat.example.com]") else {
        return Vec::new();
    };
    if written.is_empty() {
        let diagnostic = Diagnostic::new("has no name");
        report.refuse(path, diagnostic.help("write acme: [chat.example.com], or remove the key"));
    }
    let items = written.iter().enumerate().map(|(i, item)| (path.index(i), item.as_deref()));
    let mut issued = Vec::new();
    for (path, text) in report.filled(items) {
        let read = report.optional(&path, Some(text), name);
        if let (Some(name), Some(acme)) = (read, acme) {
            let file = acme.certificate_path(&name);
            files.name(&file);
            issued.push(IssuedCertificate { name, file });
        }
    }
    if acme.is_none() {
        let diagnostic = Diagnostic::new("needs an authority");
        report.refuse(path, diagnostic.help(SECTION));
    }
    issued
}

/// Warns of what keeps the authority at `path` from its work with these listeners.
pub(super) fn warn_about_listeners(
    path: &KeyPath,
    acme: &Settings,
    listeners: &[(KeyPath, listener::Settings)],
    report: &mut Report<'_>,
) {
    let mut listeners = listeners.iter().map(|(_, settings)| settings);
    let has_names = listeners.clone().filter_map(|listener| listener.tls.as_ref());
    if has_names.map(|tls| tls.settings().issued.len()).sum::<usize>() == 0 {
        return report.warn(path, "no listener has names for it: write them as tls.acme");
    }
    let is_proof_http = acme.challenge == ChallengeKind::Http01;
    let has_http = listeners.any(|listener| listener.tls.is_none() && listener.bind.port() == 80);
    if is_proof_http && !has_http {
        report.warn(
            path,
            "the authority connects to port 80, and no listener without tls has it: add one, or let \
             port 80 of the names lead to a listener without tls",
        );
    }
}

fn name(text: &str) -> Result<Box<str>, Diagnostic> {
    if text.starts_with("*.") {
        return Err(Diagnostic::new("is a wildcard, which needs dns-01").help(
            "list the names, or let another program write the files of a wildcard certificate",
        ));
    }
    if text.trim_matches(['[', ']']).parse::<IpAddr>().is_ok() {
        return Err(Diagnostic::new("is an IP address").help("write a name: chat.example.com"));
    }
    if !is_host_name(text) || text.len() > NAME_BYTES_MAX {
        return Err(Diagnostic::new("is not a name").help("write a name: chat.example.com"));
    }
    Ok(text.to_ascii_lowercase().into())
}

const SECTION: &str =
    "write acme: { store: /var/lib/sockeye/acme, agree_to_terms: true } at the top of the file";
