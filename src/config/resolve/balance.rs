//! `balance:`, and the property of a request that rendezvous hashes.
//!
//! Pure. Runs at start, at reload, or on a timer.

use super::affinity::token;
use super::choose;
use crate::config::file::affinity::{self as keys, Rendezvous, RendezvousBy};
use crate::upstream::settings::Balance;
use crate::upstream::{PathKey, RendezvousKey};
use crate::yaml::{Diagnostic, KeyPath, Report, TextOr};

/// The algorithm at `path`; by default `least-connections`.
pub(super) fn resolve(
    path: &KeyPath,
    written: Option<&TextOr<keys::Balance>>,
    report: &mut Report<'_>,
) -> Balance {
    let default = Balance::LeastConnections;
    match written {
        None => default,
        Some(TextOr::Text(word)) => report.read(path, Some(word), default, |word| match word {
            "rendezvous" => Err(Diagnostic::new("needs the key `by`").help(WHOLE_HELP)),
            word => choose(word, "is not a balance", &RULES),
        }),
        Some(TextOr::Map(keys::Balance { rendezvous })) => {
            let at = path.key("rendezvous");
            match report.chosen(&at, rendezvous.as_ref(), "rendezvous: { by: address }") {
                Some(by) => Balance::Rendezvous(key(&at, by, report)),
                None => {
                    report.refuse(path, Diagnostic::new("must be a rule").help(WHOLE_HELP));
                    default
                }
            }
        }
    }
}

/// The property of a request at `path`.
pub(super) fn key(path: &KeyPath, written: &Rendezvous, report: &mut Report<'_>) -> RendezvousKey {
    let path = path.key("by");
    let default = RendezvousKey::Address;
    match &written.by {
        Some(TextOr::Text(word)) => report.read(&path, Some(word), default, |word| match word {
            "address" => Ok(RendezvousKey::Address),
            _ => Err(Diagnostic::new("is not a property of the request").help(BY_HELP)),
        }),
        Some(TextOr::Map(written)) => property(&path, written, report),
        None => {
            report.refuse(
                &path,
                Diagnostic::new("must be one property of the request").help(BY_HELP),
            );
            default
        }
    }
}

fn property(path: &KeyPath, written: &RendezvousBy, report: &mut Report<'_>) -> RendezvousKey {
    let default = RendezvousKey::Address;
    let [at_header, at_query, at_cookie, at_path] =
        ["header", "query", "cookie", "path"].map(|key| path.key(key));
    let by_header = report.chosen(&at_header, written.header.as_ref(), "header: X-User-Id");
    let by_query = report.chosen(&at_query, written.query.as_ref(), "query: room");
    let by_cookie = report.chosen(&at_cookie, written.cookie.as_ref(), "cookie: user");
    let by_path = report.chosen(&at_path, written.path.as_ref(), "path: /echo/*/:key");
    match [by_header, by_query, by_cookie, by_path] {
        [Some(name), None, None, None] => report.read(&at_header, Some(name), default, header),
        [None, Some(name), None, None] => report.read(&at_query, Some(name), default, query),
        [None, None, Some(name), None] => report.read(&at_cookie, Some(name), default, |name| {
            token(name).map(|()| RendezvousKey::Cookie(name.into()))
        }),
        [None, None, None, Some(text)] => report.read(&at_path, Some(text), default, |text| {
            PathKey::parse(text).map(RendezvousKey::Path)
        }),
        [..] => {
            report
                .refuse(path, Diagnostic::new("must be one property of the request").help(BY_HELP));
            default
        }
    }
}

fn header(name: &str) -> Result<RendezvousKey, Diagnostic> {
    let parsed = name.parse().map(RendezvousKey::Header);
    parsed.map_err(|_| {
        Diagnostic::new("is not a valid header name").help("write a name such as X-User-Id")
    })
}

fn query(name: &str) -> Result<RendezvousKey, Diagnostic> {
    query_name(name).map(|()| RendezvousKey::Query(name.into()))
}

/// The name of a query parameter.
pub(super) fn query_name(name: &str) -> Result<(), Diagnostic> {
    let is_plain = |b: u8| b.is_ascii_graphic() && !matches!(b, b'&' | b'=' | b'#' | b'?');
    if !name.is_empty() && name.bytes().all(is_plain) {
        return Ok(());
    }
    Err(Diagnostic::new("is not a valid query parameter name").help("write a name such as room"))
}

/// The algorithms that are words.
pub(in crate::config) const RULES: [(&str, Balance); 4] = [
    ("least-connections", Balance::LeastConnections),
    ("round-robin", Balance::RoundRobin),
    ("random-two", Balance::RandomTwo),
    ("least-lag", Balance::LeastLag),
];

const WHOLE_HELP: &str =
    "write { rendezvous: { by: address } }, or by a header, a query parameter or a cookie";
const BY_HELP: &str = "write by: address, or by: { header: X-User-Id }, { query: room }, { cookie: user } or { path: /echo/*/:key }";
