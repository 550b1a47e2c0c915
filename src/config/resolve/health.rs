//! `health:`
//!
//! Pure. Runs at start, at reload, or on a timer.

use std::ops::RangeInclusive;

use crate::config::file::health as keys;
use crate::form::section;
use crate::upstream::health::settings::{Check, Health, HttpCheck};
use crate::yaml::{Diagnostic, KeyPath, RawScalar, Report, TextOr, units};

/// The checks at `path`; by default `tcp`.
pub(super) fn resolve(
    path: &KeyPath,
    written: Option<&TextOr<keys::Health>>,
    report: &mut Report<'_>,
) -> Health {
    let default = Health::default();
    let written = match written {
        None => return default,
        Some(TextOr::Text(word)) => {
            let check = report.read(path, Some(word), Check::Tcp, |word| match word {
                "tcp" => Ok(Check::Tcp),
                "off" => Ok(Check::Off),
                other => units::refuse_other_off(other)
                    .and_then(|()| Err(Diagnostic::new("is not a health check").help(HELP))),
            });
            return Health { check, ..default };
        }
        Some(TextOr::Map(written)) => written,
    };
    let check = check(path, written, report);
    Health { check, ..section::read(path, Some(written), default, report) }
}

fn check(path: &KeyPath, written: &keys::Health, report: &mut Report<'_>) -> Check {
    let at_engineio = path.key("engineio");
    let engineio = report.chosen(&at_engineio, written.engineio.as_ref(), "engineio: /socket.io/");
    let http_help = "http: { path: /health }";
    match (engineio, report.chosen(&path.key("http"), written.http.as_ref(), http_help)) {
        (None, None) => Check::Tcp,
        (Some(at), None) => {
            let read =
                report.read(&at_engineio, Some(at), "/".into(), |at| {
                    request_path(at, "/socket.io/").and_then(|at| match at.contains('?') {
                        true => Err(Diagnostic::new("has a query")
                            .help("write the path alone: /socket.io/")),
                        false => Ok(at),
                    })
                });
            Check::EngineIo(read)
        }
        (None, Some(check)) => Check::Http(http(&path.key("http"), check, report)),
        (Some(_), Some(_)) => {
            report.refuse(path, Diagnostic::new("must be one check").help(HELP));
            Check::Tcp
        }
    }
}

fn http(path: &KeyPath, written: &keys::HttpCheck, report: &mut Report<'_>) -> HttpCheck {
    let at = written.path.as_deref();
    HttpCheck {
        path: report
            .require(&path.key("path"), at, "path: /health", |at| request_path(at, "/health"))
            .unwrap_or_default(),
        host: report.read(&path.key("host"), written.host.as_deref(), None, |host| {
            let is_host = |byte: u8| byte.is_ascii_alphanumeric() || b"._:-[]".contains(&byte);
            match host.bytes().all(is_host) && (1..=255).contains(&host.len()) {
                true => Ok(Some(host.into())),
                false => {
                    Err(Diagnostic::new("is not a host").help("write a name: chat.example.com"))
                }
            }
        }),
        status: report.read(
            &path.key("status"),
            text(&written.status),
            HttpCheck::STATUS,
            statuses,
        ),
        body: words(&path.key("body"), written.body.as_deref(), report),
        drain: words(&path.key("drain"), written.drain.as_deref(), report),
    }
}

fn request_path(at: &str, example: &str) -> Result<Box<str>, Diagnostic> {
    if at.starts_with('/') && at.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#') {
        return Ok(at.into());
    }
    Err(Diagnostic::new("is not a path").help(format!("write a path such as {example}")))
}

/// `200`, or `200-299`.
fn statuses(text: &str) -> Result<RangeInclusive<u16>, Diagnostic> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let status = |text: &str| units::whole(text).filter(|status| (100..=599).contains(status));
    match (status(first), status(last)) {
        (Some(first), Some(last)) if first <= last => Ok(first..=last),
        _ => Err(Diagnostic::new("is not a status").help("write 200, or 200-299")),
    }
}

fn words(path: &KeyPath, written: Option<&str>, report: &mut Report<'_>) -> Option<Box<str>> {
    report.read(path, written, None, |words| match words {
        "" => Err(Diagnostic::new("is empty").help("write a word of the response body")),
        words => Ok(Some(words.into())),
    })
}

fn text(written: &Option<RawScalar>) -> Option<&str> {
    written.as_ref().map(RawScalar::as_str)
}

const HELP: &str = "write tcp, off, { engineio: /socket.io/ } or { http: { path: /health } }";
