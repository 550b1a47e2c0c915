//! What is answered without a node, as the file that says all of it.
//!
//! Pure. Runs at start, at reload, or on a timer.

use super::compression::Compression;
use super::error_pages::{ErrorPages, Page, Statuses};
use super::files::FilesSettings;
use super::keys;
use super::respond::Respond;
use crate::form::section;

/// `files:`
pub(crate) fn render_files(settings: &FilesSettings) -> keys::Files {
    keys::Files {
        root: Some(settings.root.display().to_string()),
        index: Some(settings.index.to_string()),
        fallback: settings.fallback.as_ref().map(ToString::to_string),
        cache_control: settings.cache_control.as_ref().map(text),
    }
}

/// `respond:`
pub(crate) fn render_respond(respond: &Respond) -> keys::Respond {
    keys::Respond {
        body: Some(String::from_utf8_lossy(&respond.body).into_owned())
            .filter(|body| !body.is_empty()),
        content_type: Some(text(&respond.content_type)),
        ..section::write(&respond.status)
    }
}

/// `error_pages:`
pub(crate) fn render_pages(pages: &ErrorPages) -> Option<keys::ErrorPages> {
    let page = |(statuses, page): (Statuses, &Page)| {
        (statuses.to_string(), Some(page.path().display().to_string()))
    };
    (!pages.is_empty()).then(|| pages.iter().map(page).collect())
}

/// `compress:`
pub(crate) fn render_compression(compression: &Compression) -> keys::Compress {
    let names = compression.codings.iter().map(|coding| Some(coding.name().to_owned()));
    let types = compression.types.iter().map(|known| Some(known.as_str().to_owned()));
    keys::Compress {
        codings: Some(names.collect()),
        types: Some(types.collect()),
        ..section::write(&compression.bytes_min)
    }
}

fn text(value: &http::HeaderValue) -> String {
    String::from_utf8_lossy(value.as_bytes()).into_owned()
}
