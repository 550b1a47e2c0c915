//! `routes:`
//!
//! Pure. Runs at start, at reload, or on a timer.

use std::collections::HashMap;
use std::sync::Arc;

use super::{access, fields, pattern, target};
use crate::config::file::File;
use crate::config::file::route::{Route, RoutePath};
use crate::config::named_files::NamedFiles;
use crate::route::{HostPattern, PathPattern, PathRegex, PathRewrite, Settings};
use crate::yaml::{Diagnostic, KeyPath, Report, TextOr};

/// The routes, in the order of the file.
pub(super) fn resolve(
    path: &KeyPath,
    file: &File,
    files: &mut NamedFiles,
    report: &mut Report<'_>,
) -> Vec<Settings> {
    let written = file.routes.as_deref().unwrap_or_default();
    if written.is_empty() {
        let diagnostic = Diagnostic::new("has no route, so nothing would be served");
        let help = match file.include {
            None => "write routes: [{ path: /socket.io/, upstream: NAME }]",
            Some(_) => "write routes here, or in an included file: one that ends in .yaml or .yml",
        };
        report.refuse(path, diagnostic.help(help));
    }
    let items = written.iter().enumerate().map(|(i, item)| (path.index(i), item.as_ref()));
    let mut first_with = HashMap::new();
    let mut routes = Vec::new();
    for (path, route) in report.filled(items) {
        if report.is_full() {
            break;
        }
        files.enter_file_of(&path, report);
        let Some(settings) = one(&path, route, (file, files), report) else { continue };
        let pattern = (settings.host.clone(), settings.path.clone());
        if let Some(first) = first_with.insert(pattern, path.clone()) {
            let first = report.locate(&first);
            let diagnostic = Diagnostic::new(format!("has the same host and path as {first}"));
            report.refuse(&path, diagnostic.help("change or remove one of the two"));
        }
        routes.push(settings);
    }
    routes.shrink_to_fit();
    routes
}

fn one(
    path: &KeyPath,
    route: &Route,
    (file, files): (&File, &mut NamedFiles),
    report: &mut Report<'_>,
) -> Option<Settings> {
    let host =
        report.read(&path.key("host"), route.host.as_deref(), Some(HostPattern::Any), |text| {
            pattern::host(text).map(Some)
        });
    let path_pattern = path_pattern(&path.key("path"), route.path.as_ref(), report);
    let rewrite = rewrite(path, route, path_pattern.as_ref(), report);
    let changes = fields::resolve(path, route, report);
    let access = access::resolve(path, route, files, report);
    let error_pages = target::error_pages(path, route, files, report);
    let compression = target::compression(path, route, report);
    let target = target::resolve(path, route, (file, files), report);
    let (host, path, target) = (host?, path_pattern?, target?);
    Some(Settings { host, path, access, rewrite, changes, error_pages, compression, target })
}

fn rewrite(
    path: &KeyPath,
    route: &Route,
    pattern: Option<&PathPattern>,
    report: &mut Report<'_>,
) -> Option<Arc<PathRewrite>> {
    let (at_strip, at_add) = (path.key("strip_prefix"), path.key("add_prefix"));
    let strip = report.optional(&at_strip, route.strip_prefix.as_deref(), pattern::segments);
    let add = report.optional(&at_add, route.add_prefix.as_deref(), pattern::segments);
    if let (Some(strip), Some(pattern)) = (&strip, pattern)
        && pattern.prefix().is_none_or(|prefix| strip.rest(prefix).is_none())
    {
        let diagnostic = Diagnostic::new("is not the beginning of the route's path");
        report.refuse(&at_strip, diagnostic.help(format!("write path: {}/", strip.as_str())));
    }
    PathRewrite::new(strip, add).map(Arc::new)
}

pub(super) fn known(name: &str, file: &File) -> Result<Arc<str>, Diagnostic> {
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
        Some(TextOr::Text(text)) => report.optional(path, Some(text), pattern::prefix),
        Some(TextOr::Map(RoutePath { exact, regex })) => {
            if exact.is_some() == regex.is_some() {
                let diagnostic = Diagnostic::new("must be one kind");
                report.refuse(path, diagnostic.help("write a prefix, or one of: exact, regex"));
                return None;
            }
            let (at_exact, at_regex) = (path.key("exact"), path.key("regex"));
            if let Some(exact) = report.chosen(&at_exact, exact.as_ref(), "exact: /health") {
                return report.require(&at_exact, Some(exact.as_str()), "/health", pattern::exact);
            }
            let example = r"regex: ^/v[0-9]+/socket\.io/";
            let regex = report.chosen(&at_regex, regex.as_ref(), example)?;
            let parse = |text: &str| PathRegex::parse(text).map(PathPattern::Regex);
            report.require(&at_regex, Some(regex.as_str()), example, parse)
        }
    }
}
