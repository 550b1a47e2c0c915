//! Files of a directory as responses.
//!
//! Runs for every request.

use std::path::PathBuf;
use std::time::UNIX_EPOCH;

use http::header::{
    ACCEPT, ACCEPT_RANGES, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE,
    CONTENT_TYPE,
};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};

use super::compression::{Coding, put_vary, quality, ranked};
use super::disk::{Disk, Entry, FileError};
use super::file_body::FileBody;
use super::file_path::{self, FilePath};
use super::range::{self, Part};
use super::version::{Condition, Version};

/// The settings of a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FilesSettings {
    /// The directory.
    pub(crate) root: PathBuf,
    /// The file of a directory.
    pub(crate) index: Box<str>,
    /// The page for paths without a file.
    pub(crate) fallback: Option<Box<str>>,
    /// What is said to caches of files that are no pages.
    pub(crate) cache_control: Option<HeaderValue>,
}

impl FilesSettings {
    /// The default of `index`.
    pub(crate) const INDEX: &str = "index.html";
}

/// The files of a directory.
#[derive(Debug)]
pub(crate) struct Files {
    settings: FilesSettings,
    disk: Disk,
}

/// What is at a path.
#[derive(Debug)]
pub(crate) enum Found {
    /// A file, or that the client has it already.
    File(Box<Response<FileBody>>),
    /// A directory, whose path ends with `/`.
    Directory,
    /// Nothing that is served.
    Nothing,
}

impl Files {
    /// The files of a directory, which need not exist yet.
    pub(crate) fn new(settings: &FilesSettings) -> Self {
        Self { settings: settings.clone(), disk: Disk::new(&settings.root) }
    }

    /// What is at `path`, for a GET or HEAD with these fields.
    ///
    /// # Errors
    ///
    /// There is something, and it cannot be read.
    pub(crate) async fn find(
        &self,
        path: &str,
        request: (&Method, &HeaderMap),
    ) -> Result<Found, FileError> {
        match FilePath::parse(path, &self.settings.index) {
            Some(path) => self.open(&path, request).await,
            None => Ok(Found::Nothing),
        }
    }

    /// The page for a `path` at which nothing is: that of an application that has paths of its own. A file that
    /// is missing gets none, for a script or an image is no use as a page.
    ///
    /// # Errors
    ///
    /// As [`Files::find`].
    pub(crate) async fn fallback(
        &self,
        path: &str,
        (method, headers): (&Method, &HeaderMap),
    ) -> Result<Found, FileError> {
        let Some(fallback) = &self.settings.fallback else { return Ok(Found::Nothing) };
        let names_a_file = path.rsplit('/').next().is_some_and(|last| last.contains('.'));
        if !accepts_pages(headers).unwrap_or(!names_a_file) {
            return Ok(Found::Nothing);
        }
        match FilePath::parse(&format!("/{fallback}"), &self.settings.index) {
            Some(path) => self.open(&path, (method, headers)).await,
            None => Ok(Found::Nothing),
        }
    }

    /// The path at which the index of the directory at `path` has a name of its own, percent-encoded.
    pub(crate) fn index_of(&self, path: &str) -> String {
        format!("{path}{}", file_path::encoded(&self.settings.index))
    }

    async fn open(
        &self,
        path: &FilePath,
        (method, headers): (&Method, &HeaderMap),
    ) -> Result<Found, FileError> {
        let codings = ranked(headers, &Coding::PREFERRED);
        let (file, metadata, coding) = match self.disk.open(path.as_str(), codings).await? {
            Entry::File(file, metadata, coding) => (file, metadata, coding),
            Entry::Directory => return Ok(Found::Directory),
            Entry::Nothing => return Ok(Found::Nothing),
        };
        let modified = metadata.modified().ok();
        let modified = modified.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        let version = Version::new(metadata.len(), modified, coding);
        let mut response = Response::new(FileBody::none());
        version.write(response.headers_mut());
        put_vary(response.headers_mut());
        match version.check(headers) {
            Condition::Holds => {
                // Ranges are for GET alone (RFC 9110, section 14.2).
                let part = match *method == Method::GET && version.is_continued(headers) {
                    true => range::part(headers, metadata.len()),
                    false => Part::Whole,
                };
                let content = put_part(&mut response, part, metadata.len());
                if let Some((first, length)) = content {
                    self.put_content(path, coding, response.headers_mut());
                    if *method != Method::HEAD {
                        *response.body_mut() = FileBody::new(file, first, length);
                    }
                }
            }
            Condition::NotModified => {
                *response.status_mut() = StatusCode::NOT_MODIFIED;
                self.put_cache_control(path, response.headers_mut());
            }
            Condition::Failed => *response.status_mut() = StatusCode::PRECONDITION_FAILED,
        }
        Ok(Found::File(Box::new(response)))
    }

    /// What the content is.
    fn put_content(&self, path: &FilePath, coding: Option<Coding>, fields: &mut HeaderMap) {
        fields.insert(CONTENT_TYPE, path.content_type());
        fields.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        if let Some(coding) = coding {
            fields.insert(CONTENT_ENCODING, HeaderValue::from_static(coding.name()));
        }
        self.put_cache_control(path, fields);
    }

    fn put_cache_control(&self, path: &FilePath, fields: &mut HeaderMap) {
        let Some(value) = &self.settings.cache_control else { return };
        // A new release has new names for all but its pages.
        let value = match path.is_page() {
            true => HeaderValue::from_static("no-cache"),
            false => value.clone(),
        };
        fields.insert(CACHE_CONTROL, value);
    }
}

/// Whether a browser wants to show what it gets. `None` if it does not say.
fn accepts_pages(headers: &HeaderMap) -> Option<bool> {
    let values = headers.get_all(ACCEPT).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).find_map(|member| {
        let (media_type, parameters) = member.split_once(';').unwrap_or((member, ""));
        let is_page = media_type.trim().eq_ignore_ascii_case("text/html");
        is_page.then(|| quality(parameters) > 0)
    })
}

/// Makes `response` one with `part` of a file of `length` bytes. Returns the first byte of the content, and its
/// length; `None` if there is none.
fn put_part(response: &mut Response<FileBody>, part: Part, length: u64) -> Option<(u64, u64)> {
    let (status, range, content) = match part {
        Part::Whole => (StatusCode::OK, None, Some((0, length))),
        Part::Bytes(first, last) => {
            let range = format!("bytes {first}-{last}/{length}");
            let content = (first, last.saturating_sub(first).saturating_add(1));
            (StatusCode::PARTIAL_CONTENT, Some(range), Some(content))
        }
        Part::Nothing => {
            (StatusCode::RANGE_NOT_SATISFIABLE, Some(format!("bytes */{length}")), None)
        }
    };
    *response.status_mut() = status;
    let length = HeaderValue::from(content.map_or(0, |(_, length)| length));
    let fields = response.headers_mut();
    fields.insert(CONTENT_LENGTH, length);
    if let Some(range) = range.and_then(|range| HeaderValue::try_from(range).ok()) {
        fields.insert(CONTENT_RANGE, range);
    }
    content
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_may_say_whether_it_wants_pages() {
        let check = |accept: &'static str, expected: Option<bool>| {
            let headers = HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static(accept))]);
            assert_eq!(accepts_pages(&headers), expected, "{accept}");
        };
        check("text/html,application/xhtml+xml,*/*;q=0.8", Some(true));
        check("*/*, Text/HTML ; q=0.1", Some(true));
        check("text/html;level=1;q=0.5", Some(true));
        check("text/html;q=0, */*", Some(false));
        check("text/html-x, */*", None);
        check("", None);
    }
}
