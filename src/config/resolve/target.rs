//! What a route gives to its clients, and in which form.
//!
//! Runs at start, at reload, or on a timer.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use http::StatusCode;

use super::tunnel;
use crate::config::file::File;
use crate::config::file::route::Route;
use crate::config::named_files::NamedFiles;
use crate::form::section;
use crate::insight;
use crate::route::{Limits, PageRules, Redirect, TargetSettings, Template, UpstreamSettings};
use crate::site::{self, Compression, keys};
use crate::yaml::{Chosen, Diagnostic, KeyPath, Report, source};

/// The target of the route at `path`.
pub(super) fn resolve(
    path: &KeyPath,
    route: &Route,
    (file, files): (&File, &NamedFiles),
    report: &mut Report<'_>,
) -> Option<TargetSettings> {
    let limits = section::read(path, Some(route), Limits::default(), report);
    let tunnel = tunnel::resolve(&path.key("tunnel"), route.tunnel.as_ref(), report);
    let at_files = path.key("files");
    let written = report.chosen(&at_files, route.files.as_ref(), "files: { root: /srv/www }");
    let directory = written.and_then(|written| {
        let directory = site::files(&at_files, written, |text| files.absolute(text), report)?;
        if files.reader().is_some() && !is_directory(&directory.root) {
            report.warn(&at_files.key("root"), "is not a directory that can be read now");
        }
        Some(directory)
    });
    let at_redirect = path.key("redirect");
    let example = "redirect: { to: \"https://www.example.com${target}\" }";
    let redirect = report.chosen(&at_redirect, route.redirect.as_ref(), example);
    let redirect = redirect.and_then(|written| self::redirect(&at_redirect, written, report));
    let at_respond = path.key("respond");
    let respond = report.chosen(&at_respond, route.respond.as_ref(), "respond: { body: ok }");
    let respond = respond.map(|written| site::respond(&at_respond, written, report));

    let at_upstream = path.key("upstream");
    if !is_one_target(path, route, report) {
        return None;
    }
    let named = report.chosen(&at_upstream, route.upstream.as_ref(), "upstream: NAME");
    let name = report
        .optional(&at_upstream, named.map(String::as_str), |name| super::route::known(name, file));
    let insight = insight::Settings::default();
    let upstream = name.map(|name| UpstreamSettings { name, limits, tunnel, insight });
    let has_files = route.files.is_some();
    if has_files && upstream.is_some() && directory.as_ref().is_some_and(|it| it.fallback.is_some())
    {
        let diagnostic = Diagnostic::new("has no effect next to upstream, which is asked instead");
        report.refuse(&at_files.key("fallback"), diagnostic.help("remove one of the two"));
    }
    match (redirect, respond) {
        (Some(redirect), _) => Some(TargetSettings::Redirect(redirect)),
        (None, Some(respond)) => Some(TargetSettings::Respond(respond)),
        (None, None) if has_files => Some(TargetSettings::Files(directory?, upstream)),
        (None, None) => Some(TargetSettings::Upstream(upstream?)),
    }
}

/// Whether the route has one target, or `files` and `upstream`; whatever has no effect is reported.
fn is_one_target(path: &KeyPath, route: &Route, report: &mut Report<'_>) -> bool {
    let has_upstream = route.upstream.is_some();
    let others = [
        ("files", route.files.is_some()),
        ("redirect", route.redirect.is_some()),
        ("respond", route.respond.is_some()),
    ];
    let written: Vec<&str> =
        others.into_iter().filter_map(|(name, is_written)| is_written.then_some(name)).collect();
    match (&written[..], has_upstream) {
        ([], false) => {
            let help = "write upstream: NAME, or one of: files, redirect, respond";
            report.refuse(&path.key("upstream"), Diagnostic::new("is missing").help(help));
            return false;
        }
        ([], true) | ([_], false) | (["files"], true) => (),
        (_, _) => {
            let other = if has_upstream { "upstream" } else { written.first().unwrap_or(&"files") };
            let last = written.last().unwrap_or(&"files");
            let diagnostic = Diagnostic::new(format!("has no place next to {other}"));
            report.refuse_key(&path.key(last), None, diagnostic.help("remove one of the two"));
            return false;
        }
    }
    let of_nodes = [
        ("request_headers", route.request_headers.is_some()),
        ("response_timeout", route.response_timeout.is_some()),
        ("request_body_timeout", route.request_body_timeout.is_some()),
        ("response_body_timeout", route.response_body_timeout.is_some()),
        ("body_max", route.body_max.is_some()),
        ("tunnel", route.tunnel.is_some()),
        ("intercept_errors", route.intercept_errors.is_some()),
    ];
    let of_paths = [
        ("strip_prefix", route.strip_prefix.is_some()),
        ("add_prefix", route.add_prefix.is_some()),
    ];
    let of_paths = of_paths.into_iter().filter(|_| !has_upstream && route.files.is_none());
    for (name, is_written) in of_nodes.into_iter().filter(|_| !has_upstream).chain(of_paths) {
        if is_written {
            let diagnostic = Diagnostic::new("has no effect without upstream");
            report.refuse_key(&path.key(name), None, diagnostic.help("remove it"));
        }
    }
    true
}

fn redirect(path: &KeyPath, written: &keys::Redirect, report: &mut Report<'_>) -> Option<Redirect> {
    let example = "to: \"https://www.example.com${target}\"";
    let to = report.require(&path.key("to"), written.to.as_deref(), example, |text| {
        site::location(text)?;
        Template::parse(text)
    });
    let status = written.status.as_ref().map(|status| status.as_str());
    let status = report.read(&path.key("status"), status, Redirect::STATUS, |text| {
        let status: Option<StatusCode> = text.parse().ok();
        let status = status.filter(|status| Redirect::STATUSES.contains(status));
        status.ok_or_else(|| {
            Diagnostic::new("is not a status that redirects")
                .help("write 301, 302, 303, 307 or 308")
        })
    });
    Some(Redirect { to: to?, status })
}

/// The pages for errors of the route at `path`.
pub(super) fn error_pages(
    path: &KeyPath,
    route: &Route,
    files: &mut NamedFiles,
    report: &mut Report<'_>,
) -> Option<Arc<PageRules>> {
    let (at, written) = (path.key("error_pages"), route.error_pages.as_ref());
    let pages = site::error_pages(&at, written, &mut page_reader(files), report);
    let replaces_nodes = route.intercept_errors.unwrap_or(false);
    let is_used = replaces_nodes || !pages.is_empty();
    is_used.then(|| Arc::new(PageRules { pages, replaces_nodes }))
}

/// Which responses of the route at `path` are compressed.
pub(super) fn compression(
    path: &KeyPath,
    route: &Route,
    report: &mut Report<'_>,
) -> Option<Arc<Compression>> {
    let at = path.key("compress");
    let written: Option<&Chosen<_>> = route.compress.as_ref();
    let written = report.chosen(&at, written, "compress: on")?;
    site::compression(&at, written, report).map(Arc::new)
}

/// Whether there is a directory at `path`: no, if its file system does not say so in time.
fn is_directory(path: &Path) -> bool {
    let path = path.to_owned();
    source::within_deadline(move |_| Ok(path.is_dir())).unwrap_or(false)
}

/// Finds and reads pages.
pub(super) fn page_reader(
    files: &mut NamedFiles,
) -> impl FnMut(&str) -> (PathBuf, Option<Result<Vec<u8>, String>>) {
    |text| {
        let path = files.locate(text);
        let read = files
            .reader()
            .map(|_| source::read_regular(&path, site::PAGE_BYTES_MAX))
            .map(|read| read.map_err(|error| error.to_string()));
        (path, read)
    }
}
