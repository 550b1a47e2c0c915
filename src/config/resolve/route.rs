//! `routes:`
//!
//! Pure. Runs at start, at reload, or on a timer.

use std::collections::HashMap;
use std::sync::Arc;

use super::{access, pattern, tunnel};
use crate::config::file::File;
use crate::config::file::route::{Route, RoutePath};
use crate::form::section;
use crate::insight;
use crate::route::{HostPattern, Limits, PathPattern, Settings};
use crate::yaml::{Chosen, Diagnostic, KeyPath, Report, TextOr};

/// The routes, in the order of the file.
pub(super) fn resolve(path: &KeyPath, file: &File, report: &mut Report<'_>) -> Vec<Settings> {
    let written = file.routes.as_deref().unwrap_or_default();
    if written.is_empty() {
        let diagnostic = Diagnostic::new("has no route, so nothing would be served");
        report
            .refuse(path, diagnostic.help("write routes: [{ path: /socket.io/, upstream: NAME }]"));
    }
    let items = written.iter().enumerate().map(|(i, item)| (path.index(i), item.as_ref()));
    let mut first_with = HashMap::new();
    let mut routes = Vec::new();
    for (path, route) in report.filled(items) {
        if report.is_full() {
            break;
        }
        let Some(settings) = one(&path, route, file, report) else { continue };
        let pattern = (settings.host.clone(), settings.path.clone());
        if let Some(first) = first_with.insert(pattern, path.clone()) {
            let first = report.locate(&first);
            let diagnostic = Diagnostic::new(format!("has the same host and path as {first}"));
            report.refuse(&path, diagnostic.help("change or remove one of the two"));
        }
        routes.push(settings);
    }
    routes
}

fn one(path: &KeyPath, route: &Route, file: &File, report: &mut Report<'_>) -> Option<Settings> {
    let host =
        report.read(&path.key("host"), route.host.as_deref(), Some(HostPattern::Any), |text| {
            pattern::host(text).map(Some)
        });
    let path_pattern = path_pattern(&path.key("path"), route.path.as_ref(), report);
    let limits = section::read(path, Some(route), Limits::default(), report);
    let access = access::resolve(path, route, report);
    let tunnel = tunnel::resolve(&path.key("tunnel"), route.tunnel.as_ref(), report);
    let (at, written) = (path.key("upstream"), route.upstream.as_deref());
    let upstream = report.require(&at, written, "upstream: NAME", |name| known(name, file))?;
    let insight = insight::Settings::default();
    Some(Settings { host: host?, path: path_pattern?, upstream, access, limits, tunnel, insight })
}

fn known(name: &str, file: &File) -> Result<Arc<str>, Diagnostic> {
    let what = "is not an upstream";
    match &file.upstreams {
        Some(known) if known.contains_key(name) => Ok(name.into()),
        Some(known) if !known.is_empty() => {
            Err(Diagnostic::none_of(what, name, known.keys().map(|name| name.as_str())))
        }
        Some(_) | None => {
            Err(Diagnostic::new(what).help("there is none: write it under upstreams"))
        }
    }
}

fn path_pattern(
    path: &KeyPath,
    written: Option<&TextOr<RoutePath>>,
    report: &mut Report<'_>,
) -> Option<PathPattern> {
    match written {
        None => Some(PathPattern::Prefix("/".into())),
        Some(TextOr::Text(text)) => {
            report.read(path, Some(text), None, |text| pattern::prefix(text).map(Some))
        }
        Some(TextOr::Map(RoutePath { exact })) => {
            let path = path.key("exact");
            let exact = match exact {
                Some(Chosen::Is(exact)) => Some(exact.as_str()),
                Some(Chosen::Empty) | None => None,
            };
            report.require(&path, exact, "{ exact: /health }", pattern::exact)
        }
    }
}
