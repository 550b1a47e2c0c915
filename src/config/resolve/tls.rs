//! `tls:`
//!
//! Runs at start, at reload, or on a timer.

use std::sync::Arc;

use super::issued;
use crate::acme;
use crate::config::file::tls::{self as keys, Certificate, Tls};
use crate::config::named_files::NamedFiles;
use crate::tls::settings::{
    CertificateFiles, ClientAuth, ClientCertificates, MinVersion, Settings, TicketSecret, Tickets,
};
use crate::tls::{Fault, LoadedTls, Part, ServerTls};
use crate::yaml::{Chosen, Diagnostic, KeyPath, RawScalar, Report, TextOr, units};

/// The TLS at `path`. What is wrong with its files is reported too.
pub(super) fn resolve(
    path: &KeyPath,
    (written, acme, alpn): (&Tls, Option<&acme::Settings>, Vec<Vec<u8>>),
    files: &mut NamedFiles,
    report: &mut Report<'_>,
) -> Option<Arc<ServerTls>> {
    let default = Settings::default();
    let names = written.acme.as_ref();
    let issued = issued::resolve(&path.key("acme"), names, acme, files, report);
    let certificates = certificates(path, written, files, report);
    let clients = written.client_certificates.as_ref();
    let at_clients = path.key("client_certificates");
    let clients = clients.map(|clients| {
        // What is refused is not `None`, which would be a listener that asks nobody.
        client_certificates(&at_clients, clients, files, report).ok_or(())
    });
    let tickets = tickets(&path.key("tickets"), written.tickets.as_ref(), files, report);
    let text = |written: &'_ Option<RawScalar>| written.as_ref().map(|it| it.as_str().to_owned());
    let settings = Settings {
        min_version: report.read(
            &path.key("min_version"),
            text(&written.min_version).as_deref(),
            default.min_version,
            |word| super::choose(word, "is not a version of TLS that is offered", &MIN_VERSIONS),
        ),
        handshake_timeout: report.read(
            &path.key("handshake_timeout"),
            text(&written.handshake_timeout).as_deref(),
            default.handshake_timeout,
            |text| units::duration(text, &keys::HANDSHAKE_TIMEOUT),
        ),
        handshakes_max: report.read(
            &path.key("handshakes_max"),
            text(&written.handshakes_max).as_deref(),
            default.handshakes_max,
            |text| units::number(text, &keys::HANDSHAKES_MAX),
        ),
        certificates: certificates?,
        issued,
        challenges: acme.map(acme::Settings::challenges),
        client_certificates: clients.transpose().ok()?,
        tickets: tickets?,
        alpn,
    };
    load(path, written, settings, files, report)
}

/// `None` if they are refused.
fn certificates(
    path: &KeyPath,
    written: &Tls,
    files: &mut NamedFiles,
    report: &mut Report<'_>,
) -> Option<Vec<CertificateFiles>> {
    let example = "certificates: [{ chain: fullchain.pem, key: privkey.pem }]";
    let several = report.chosen(&path.key("certificates"), written.certificates.as_ref(), example);
    let one = report.chosen(&path.key("chain"), written.chain.as_ref(), "chain: fullchain.pem");
    if written.certificates.is_some() && (written.chain.is_some() || written.key.is_some()) {
        let diagnostic = Diagnostic::new("has `certificates`, and also `chain` or `key`");
        report.refuse(path, diagnostic.help("write all certificates into the list"));
        return None;
    }
    if written.certificates.is_some() && written.ocsp.is_some() {
        let diagnostic = Diagnostic::new("belongs to no certificate");
        report.refuse(&path.key("ocsp"), diagnostic.help("write it into `certificates`"));
        return None;
    }
    match (several, one) {
        (Some(list), _) if list.is_empty() => {
            let diagnostic = Diagnostic::new("has no certificate");
            report.refuse(&path.key("certificates"), diagnostic.help(format!("write {example}")));
            None
        }
        (Some(list), _) => {
            let items = list.iter().enumerate();
            let at = path.key("certificates");
            let items = report.filled(items.map(|(i, item)| (at.index(i), item.as_ref())));
            items.into_iter().map(|(path, it)| certificate(&path, it, files, report)).collect()
        }
        (None, Some(chain)) => {
            let (key, ocsp) = (written.key.clone(), written.ocsp.clone());
            let written = Certificate { chain: Some(chain.clone()), key, ocsp };
            certificate(path, &written, files, report).map(|it| vec![it])
        }
        // What is empty was refused.
        (None, None) if written.certificates.is_some() || written.chain.is_some() => None,
        (None, None) if written.acme.is_some() => Some(Vec::new()),
        (None, None) => {
            let diagnostic = Diagnostic::new("has no certificate");
            let help = "write chain: fullchain.pem, key: privkey.pem, or acme: [chat.example.com]";
            report.refuse(path, diagnostic.help(help));
            None
        }
    }
}

fn certificate(
    path: &KeyPath,
    written: &Certificate,
    files: &mut NamedFiles,
    report: &mut Report<'_>,
) -> Option<CertificateFiles> {
    let chain = written.chain.as_deref();
    let chain = report.require(&path.key("chain"), chain, "chain: fullchain.pem", file_name);
    let key = report.optional(&path.key("key"), written.key.as_deref(), file_name);
    let ocsp = report.optional(&path.key("ocsp"), written.ocsp.as_deref(), file_name);
    let chain = files.locate(&chain?);
    Some(CertificateFiles {
        key: key.map_or_else(|| chain.clone(), |key| files.locate(&key)),
        chain,
        ocsp: ocsp.map(|ocsp| files.locate(&ocsp)),
    })
}

fn client_certificates(
    path: &KeyPath,
    written: &keys::ClientCertificates,
    files: &mut NamedFiles,
    report: &mut Report<'_>,
) -> Option<ClientCertificates> {
    let mode =
        report.read(&path.key("mode"), written.mode.as_deref(), ClientAuth::Required, |word| {
            super::choose(word, "is not a mode", &CLIENT_AUTH)
        });
    let ca = report.require(&path.key("ca"), written.ca.as_deref(), "ca: clients.pem", file_name);
    let crl = report.list(&path.key("crl"), &written.crl, file_name);
    let crl = crl.iter().map(|name| files.locate(name)).collect();
    Some(ClientCertificates { mode, ca: files.locate(&ca?), crl })
}

fn tickets(
    path: &KeyPath,
    written: Option<&TextOr<keys::Tickets>>,
    files: &mut NamedFiles,
    report: &mut Report<'_>,
) -> Option<Tickets> {
    let written = match written {
        None => return Some(Tickets::default()),
        Some(TextOr::Text(word)) => {
            return report.optional(path, Some(word), |word| {
                units::refuse_other_off(word)?;
                super::choose(word, "is not a way to resume sessions", &TICKETS)
            });
        }
        Some(TextOr::Map(written)) => written,
    };
    let at = path.key("keys");
    let items = written.keys.iter().flatten().enumerate();
    let items = report.filled(items.map(|(i, item)| (at.index(i), item.as_ref())));
    let mut keys = Vec::new();
    for (path, text) in items {
        if text.chars().count() < TicketSecret::CHARACTERS_MIN {
            let least = TicketSecret::CHARACTERS_MIN;
            let what = format!("is too short for a secret: at least {least} characters");
            let help = "write what `openssl rand -base64 48` prints";
            report.refuse(&path, Diagnostic::new(what).help(help));
        }
        keys.push(TicketSecret::new(text.as_bytes()));
    }
    let key_file = report.optional(&path.key("key_file"), written.key_file.as_deref(), file_name);
    let key_file = key_file.map(|name| files.locate(&name));
    let is_empty = keys.is_empty() && key_file.is_none();
    Some(if is_empty { Tickets::Random } else { Tickets::Shared { keys, key_file } })
}

/// The name of a file.
pub(super) fn file_name(text: &str) -> Result<String, Diagnostic> {
    match text {
        "" => Err(Diagnostic::new("is not a file name").help("write the path of a file")),
        text => Ok(text.to_owned()),
    }
}

/// Reads the files, and reports what is wrong with them or should be known.
fn load(
    path: &KeyPath,
    written: &Tls,
    settings: Settings,
    files: &NamedFiles,
    report: &mut Report<'_>,
) -> Option<Arc<ServerTls>> {
    let Some((read, now)) = files.reader() else {
        return ServerTls::unread(settings).map(Arc::new);
    };
    let key_of = |part| key_of(path, written, part);
    report_files(ServerTls::load(&settings, read, now), key_of, report)
}

/// What was made of files, or `None`. What is wrong with them or should be known is reported.
pub(super) fn report_files<T>(
    loaded: Result<LoadedTls<T>, Vec<(Part, Fault)>>,
    key_of: impl Fn(Part) -> KeyPath,
    report: &mut Report<'_>,
) -> Option<Arc<T>> {
    match loaded {
        Ok(LoadedTls { tls, warnings }) => {
            for (part, warning) in warnings {
                report.warn(&key_of(part), &warning.to_string());
            }
            Some(Arc::new(tls))
        }
        Err(faults) => {
            for (part, fault) in faults {
                let diagnostic = Diagnostic::new(fault.to_string()).help(fault.help());
                report.refuse(&key_of(part), diagnostic);
            }
            None
        }
    }
}

/// The key that names the file of `part`.
fn key_of(path: &KeyPath, written: &Tls, part: Part) -> KeyPath {
    let is_list = written.certificates.is_some();
    let given = match &written.certificates {
        Some(Chosen::Is(list)) => list.len(),
        Some(Chosen::Empty) => 0,
        None => usize::from(written.chain.is_some()),
    };
    let certificate = |index: usize| match (is_list, index.checked_sub(given)) {
        (true, None) => path.key("certificates").index(index),
        (false, None) => path.clone(),
        (_, Some(issued)) => path.key("acme").index(issued),
    };
    match part {
        Part::Chain(index) => certificate(index).key("chain"),
        Part::Key(index) => {
            let has_key = match &written.certificates {
                Some(Chosen::Is(list)) => {
                    list.get(index).is_some_and(|it| it.as_ref().is_some_and(|it| it.key.is_some()))
                }
                Some(Chosen::Empty) => false,
                None => written.key.is_some(),
            };
            certificate(index).key(if has_key { "key" } else { "chain" })
        }
        Part::Ocsp(index) => certificate(index).key("ocsp"),
        Part::ClientCa => path.key("client_certificates").key("ca"),
        Part::Crl(index) => path.key("client_certificates").key("crl").index(index),
        // Of nodes, which no listener has.
        Part::NodeCa => path.clone(),
        Part::TicketKeys => path.key("tickets").key("key_file"),
    }
}

pub(crate) const MIN_VERSIONS: [(&str, MinVersion); 2] =
    [("1.2", MinVersion::Tls12), ("1.3", MinVersion::Tls13)];

pub(crate) const CLIENT_AUTH: [(&str, ClientAuth); 2] =
    [("optional", ClientAuth::Optional), ("required", ClientAuth::Required)];

pub(crate) const TICKETS: [(&str, Tickets); 2] = [("auto", Tickets::Random), ("off", Tickets::Off)];
