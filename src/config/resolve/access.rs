//! Who may use a route: `deny`, `allow` and `origins`.
//!
//! Pure. Runs at start, at reload, or on a timer.

use ipnet::IpNet;

use super::{address, auth};
use crate::access::{OriginRule, Origins, Settings};
use crate::config::file::route::Route;
use crate::config::named_files::NamedFiles;
use crate::yaml::{Diagnostic, KeyPath, List, Report};

/// The rules of the route at `path`.
pub(super) fn resolve(
    path: &KeyPath,
    route: &Route,
    files: &mut NamedFiles,
    report: &mut Report<'_>,
) -> Settings {
    let deny = networks(&path.key("deny"), &route.deny, report);
    let allow = networks(&path.key("allow"), &route.allow, report);
    if route.allow.as_ref().is_some_and(Vec::is_empty) {
        let diagnostic = Diagnostic::new("allows nobody");
        report.refuse(&path.key("allow"), diagnostic.help("name a network, or take the key out"));
    }
    let origins = origins(&path.key("origins"), &route.origins, report);
    let at_auth = path.key("auth");
    let auth = route.auth.as_ref().and_then(|auth| auth::resolve(&at_auth, auth, files, report));
    Settings { deny, allow, origins, auth }
}

/// The origins in the list at `path`.
pub(super) fn origins(
    path: &KeyPath,
    written: &List<String>,
    report: &mut Report<'_>,
) -> Option<Origins> {
    if written.as_ref()?.is_empty() {
        let diagnostic = Diagnostic::new("allows no page");
        report.refuse(path, diagnostic.help("write [same-host], or [any] to allow all pages"));
    }
    let rule = |text: &str| OriginRule::parse(text).ok_or_else(|| not_an_origin(text));
    Some(Origins::new(report.list(path, written, rule)))
}

fn not_an_origin(text: &str) -> Diagnostic {
    let diagnostic = Diagnostic::new("is not an origin");
    if text == "*" {
        return diagnostic.help("write any, or https://*.example.com");
    }
    if let Some((scheme, rest)) = text.split_once("://") {
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let origin = format!("{scheme}://{authority}");
        if authority.len() < rest.len() && OriginRule::parse(&origin).is_some() {
            return Diagnostic::new("has a path, and an origin has none")
                .help(format!("write {origin}"));
        }
    } else if OriginRule::parse(&format!("https://{text}")).is_some() {
        return Diagnostic::new("has no scheme").help(format!("write https://{text}"));
    }
    diagnostic.help("write https://app.example.com, https://*.example.com, same-host, null or any")
}

/// The networks in the list at `path`.
pub(super) fn networks(
    path: &KeyPath,
    written: &List<String>,
    report: &mut Report<'_>,
) -> Vec<IpNet> {
    report.list(path, written, address::network)
}
