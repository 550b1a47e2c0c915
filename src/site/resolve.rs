//! From the keys of what is answered without a node to its settings.
//!
//! Pure. Runs at start, at reload, or on a timer.

use std::path::PathBuf;
use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use http::{HeaderValue, StatusCode};
use regex::Regex;

use super::compression::{Coding, Compression, MediaType};
use super::error_pages::{ErrorPages, PAGE_BYTES_MAX, Page, Statuses};
use super::files::FilesSettings;
use super::keys;
use super::respond::Respond;
use crate::form::patterns::whole;
use crate::form::section;
use crate::yaml::{Diagnostic, KeyPath, Report, TextOr};

/// How a page is found and read: where it is, and what it holds. `None` if nothing is read.
pub(crate) type ReadPage<'r> =
    &'r mut dyn FnMut(&str) -> (PathBuf, Option<Result<Vec<u8>, String>>);

/// `files:`; `locate` says where a path of the file is.
pub(crate) fn files(
    path: &KeyPath,
    written: &keys::Files,
    locate: impl Fn(&str) -> PathBuf,
    report: &mut Report<'_>,
) -> Option<FilesSettings> {
    let root = |text: &str| match text.is_empty() {
        true => Err(Diagnostic::new("is empty").help("write root: /srv/www")),
        false => Ok(locate(text)),
    };
    let root = report.require(&path.key("root"), written.root.as_deref(), "root: /srv/www", root);
    let name = |text: &str| {
        let help = "write a file of the directory, such as index.html; hidden files are not served";
        fits(&FILE_NAME, text, "is not the name of a file", help)
    };
    let at_index = path.key("index");
    let index = report.read(&at_index, written.index.as_deref(), FilesSettings::INDEX.into(), name);
    let below = |text: &str| {
        let help = "write a file below root, such as index.html; hidden files are not served";
        fits(&FILE_PATH, text, "is not the path of a file below root", help)
    };
    let fallback = report.optional(&path.key("fallback"), written.fallback.as_deref(), below);
    let cache_control =
        report.optional(&path.key("cache_control"), written.cache_control.as_deref(), |text| {
            field_value(text, "public, max-age=3600")
        });
    Some(FilesSettings { root: root?, index, fallback, cache_control })
}

/// `respond:`
pub(crate) fn respond(path: &KeyPath, written: &keys::Respond, report: &mut Report<'_>) -> Respond {
    let status = section::read(path, Some(written), StatusCode::OK, report);
    let body = written.body.clone().unwrap_or_default();
    let at_body = path.key("body");
    if body.len() > Respond::BODY_BYTES_MAX {
        let diagnostic = Diagnostic::new("is longer than 64KiB");
        report.refuse(&at_body, diagnostic.help("write the text to a file, and use files"));
    }
    let bodiless = [StatusCode::NO_CONTENT, StatusCode::RESET_CONTENT, StatusCode::NOT_MODIFIED];
    if !body.is_empty() && bodiless.contains(&status) {
        let diagnostic = Diagnostic::new(format!("has no place in a response of status {status}"));
        report.refuse(&at_body, diagnostic.help("remove it, or write another status"));
    }
    let content_type = report.read(
        &path.key("content_type"),
        written.content_type.as_deref(),
        Respond::CONTENT_TYPE,
        |text| field_value(text, "text/html; charset=utf-8"),
    );
    Respond { status, body: Bytes::from(body), content_type }
}

/// `error_pages:`
pub(crate) fn error_pages(
    path: &KeyPath,
    written: Option<&keys::ErrorPages>,
    read: ReadPage<'_>,
    report: &mut Report<'_>,
) -> ErrorPages {
    let items = written.into_iter().flatten();
    let items = items.map(|(key, file)| (path.key(key), file.as_ref().map(|file| (key, file))));
    let items: Vec<_> = report.filled(items);
    let mut pages = Vec::new();
    for (path, (key, file)) in items {
        let Ok(statuses) = key.parse::<Statuses>() else {
            let diagnostic = Diagnostic::new("is not the status of an error");
            report.refuse_key(&path, None, diagnostic.help("write 400 to 599, 4xx or 5xx"));
            continue;
        };
        let page = report.optional(&path, Some(file), |file| page(file, read));
        pages.extend(page.map(|page| (statuses, Arc::new(page))));
    }
    ErrorPages::new(pages)
}

fn page(file: &str, read: ReadPage<'_>) -> Result<Page, Diagnostic> {
    let help = "write a file that ends with .html, .json or .txt";
    fits(&PAGE, file, "is not the name of a page", help)?;
    let (path, read) = read(file);
    let bytes = match read {
        None => Vec::new(),
        Some(Ok(bytes)) if bytes.len() > PAGE_BYTES_MAX => {
            let diagnostic = Diagnostic::new("is a file of more than 256KiB");
            return Err(diagnostic.help("write a shorter page, which refers to the rest"));
        }
        Some(Ok(bytes)) => bytes,
        Some(Err(error)) => {
            let diagnostic = Diagnostic::new(format!("cannot be read: {error}"));
            return Err(diagnostic.help("write a file that exists and that this user may read"));
        }
    };
    Page::new(path, bytes.into())
        .ok_or_else(|| Diagnostic::new("is not the name of a page").help(help))
}

/// `compress:`, if it is on.
pub(crate) fn compression(
    path: &KeyPath,
    written: &TextOr<keys::Compress>,
    report: &mut Report<'_>,
) -> Option<Compression> {
    let default = Compression::default();
    let written = match written {
        TextOr::Text(word) => {
            let is_on = report.read(path, Some(word), false, on_or_off);
            return is_on.then_some(default);
        }
        TextOr::Map(written) => written,
    };
    let codings = report.list(&path.key("codings"), &written.codings, coding);
    let types = report.list(&path.key("types"), &written.types, media_type);
    for (key, is_empty) in [
        ("codings", written.codings.as_ref().is_some_and(Vec::is_empty)),
        ("types", written.types.as_ref().is_some_and(Vec::is_empty)),
    ] {
        if is_empty {
            let diagnostic = Diagnostic::new("is empty, so nothing would be compressed");
            report.refuse(&path.key(key), diagnostic.help("remove it, or write compress: off"));
        }
    }
    Some(Compression {
        codings: if codings.is_empty() { default.codings } else { codings },
        types: if types.is_empty() { default.types } else { types },
        bytes_min: section::read(path, Some(written), default.bytes_min, report),
    })
}

fn on_or_off(word: &str) -> Result<bool, Diagnostic> {
    match word {
        "on" => Ok(true),
        "off" => Ok(false),
        other => {
            crate::yaml::units::refuse_other_off(other)?;
            Err(Diagnostic::new("says not whether to compress")
                .help("write on, off, or a map: { codings: [br, gzip] }"))
        }
    }
}

fn coding(text: &str) -> Result<Coding, Diagnostic> {
    let known = Coding::NAMED.iter().find(|(name, _)| *name == text).map(|(_, coding)| *coding);
    let names = Coding::NAMED.iter().map(|(name, _)| *name);
    known.ok_or_else(|| Diagnostic::none_of("is not a known coding", text, names))
}

fn media_type(text: &str) -> Result<MediaType, Diagnostic> {
    MediaType::parse(text).ok_or_else(|| {
        Diagnostic::new("is not a media type").help("write text/html, or text/* for all of a kind")
    })
}

/// Checks that a redirect to `text` goes where its author says, and not where a client says.
pub(crate) fn location(text: &str) -> Result<(), Diagnostic> {
    let help = "write https://www.example.com${target}, or a path such as /new${path}";
    fits(&LOCATION, text, "is not a place to go", help).map(drop)
}

fn field_value(text: &str, example: &str) -> Result<HeaderValue, Diagnostic> {
    let what = "is not a value of a header field";
    let text = fits(&FIELD_VALUE, text, what, &format!("write {example}"))?;
    HeaderValue::from_str(&text).map_err(|_| Diagnostic::new(what))
}

fn fits(pattern: &Regex, text: &str, what: &str, help: &str) -> Result<Box<str>, Diagnostic> {
    match pattern.is_match(text) {
        true => Ok(text.into()),
        false => Err(Diagnostic::new(what).help(help)),
    }
}

static FILE_NAME: LazyLock<Regex> = LazyLock::new(|| compiled(keys::FILE_NAME));
static FILE_PATH: LazyLock<Regex> = LazyLock::new(|| compiled(keys::FILE_PATH));
static FIELD_VALUE: LazyLock<Regex> = LazyLock::new(|| compiled(keys::FIELD_VALUE));
static LOCATION: LazyLock<Regex> = LazyLock::new(|| compiled(&keys::location()));
static PAGE: LazyLock<Regex> = LazyLock::new(|| compiled(keys::PAGE));

fn compiled(pattern: &str) -> Regex {
    Regex::new(&whole(pattern)).expect("it is written above, and a test compiles it")
}
