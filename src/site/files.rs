//! Files of a directory as responses.
//!
//! Ranges, conditions and files that are compressed in advance are the business of tower-http; which file
//! a path means, and what is no file, is ours.
//!
//! Runs for every request.

use std::io;
use std::path::PathBuf;

use http::header::{
    ACCEPT, ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_LENGTH, ETAG, HeaderName, IF_MATCH,
    IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, LAST_MODIFIED, RANGE,
};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use tower_http::services::ServeDir;
use tower_http::services::fs::{DefaultServeDirFallback, ServeFileSystemResponseBody};

use super::disk::Disk;
use super::file_body::FileBody;
use super::file_path::FilePath;

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
    directory: ServeDir<DefaultServeDirFallback, Disk>,
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
        let directory = ServeDir::with_backend(&settings.root, Disk::new(&settings.root))
            .precompressed_br()
            .precompressed_gzip()
            .precompressed_zstd()
            .ignore_multi_range_requests(true)
            .with_buf_chunk_size(CHUNK_BYTES);
        Self { settings: settings.clone(), directory }
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
    ) -> io::Result<Found> {
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
    ) -> io::Result<Found> {
        let Some(fallback) = &self.settings.fallback else { return Ok(Found::Nothing) };
        let names_a_file = path.rsplit('/').next().is_some_and(|last| last.contains('.'));
        if names_a_file && !accepts_pages(headers) {
            return Ok(Found::Nothing);
        }
        match FilePath::parse(&format!("/{fallback}"), &self.settings.index) {
            Some(path) => self.open(&path, (method, headers)).await,
            None => Ok(Found::Nothing),
        }
    }

    async fn open(
        &self,
        path: &FilePath,
        (method, headers): (&Method, &HeaderMap),
    ) -> io::Result<Found> {
        let Some(uri) = path.to_uri() else { return Ok(Found::Nothing) };
        let mut request = Request::new(());
        *request.method_mut() = method.clone();
        *request.uri_mut() = uri;
        for name in PASSED {
            for value in headers.get_all(&name) {
                request.headers_mut().append(&name, value.clone());
            }
        }
        if let Some(range) = request.headers_mut().remove(RANGE)
            && let Some(range) = one_range(&range)
        {
            request.headers_mut().insert(RANGE, range);
        }
        let mut answer = self.ask(request.clone()).await?;
        if let Some(response) = &answer
            && [StatusCode::PARTIAL_CONTENT, StatusCode::RANGE_NOT_SATISFIABLE]
                .contains(&response.status())
            && !is_same(headers, response.headers())
        {
            // The client has a part of another version (RFC 9110, section 13.1.5).
            request.headers_mut().remove(RANGE);
            answer = self.ask(request).await?;
        }
        let Some(mut response) = answer else { return Ok(Found::Nothing) };
        if response.status() == StatusCode::TEMPORARY_REDIRECT {
            return Ok(Found::Directory);
        }
        if let Some(value) = &self.settings.cache_control {
            // A new release has new names for all but its pages.
            let value =
                if path.is_page() { HeaderValue::from_static("no-cache") } else { value.clone() };
            response.headers_mut().insert(CACHE_CONTROL, value);
        }
        let length = length_of(&response).filter(|_| method != Method::HEAD).unwrap_or(0);
        Ok(Found::File(Box::new(response.map(|body| FileBody::new(body, length)))))
    }

    /// `None` if there is no such file.
    async fn ask(
        &self,
        request: Request<()>,
    ) -> io::Result<Option<Response<ServeFileSystemResponseBody>>> {
        match self.directory.clone().try_call(request).await {
            Ok(response) => Ok(Some(response).filter(|it| it.status() != StatusCode::NOT_FOUND)),
            Err(error) if is_absence(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// The one range of bytes that a field names. All others are ignored, with the whole file for an answer
/// (RFC 9110, section 14.2).
fn one_range(field: &HeaderValue) -> Option<HeaderValue> {
    let (unit, range) = field.to_str().ok()?.split_once('=')?;
    let (first, last) = range.trim().split_once('-')?;
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()) && text.len() < 19;
    let is_range = is_number(first) && is_number(last) && !(first.is_empty() && last.is_empty());
    let is_bytes = unit.eq_ignore_ascii_case("bytes");
    HeaderValue::try_from(format!("bytes={first}-{last}")).ok().filter(|_| is_range && is_bytes)
}

/// Whether a browser wants to show what it gets.
fn accepts_pages(headers: &HeaderMap) -> bool {
    let values = headers.get_all(ACCEPT).into_iter().filter_map(|value| value.to_str().ok());
    let mut members = values.flat_map(|value| value.split(','));
    members.any(|member| member.trim_start().starts_with("text/html"))
}

/// Whether the file is the one that `If-Range` names, or it names none.
fn is_same(request: &HeaderMap, response: &HeaderMap) -> bool {
    let Some(condition) = request.get(IF_RANGE) else { return true };
    [ETAG, LAST_MODIFIED].iter().any(|name| response.get(name) == Some(condition))
}

fn length_of<B>(response: &Response<B>) -> Option<u64> {
    response.headers().get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Whether there is no such file, or there can be none.
fn is_absence(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound
            | io::ErrorKind::NotADirectory
            | io::ErrorKind::IsADirectory
            | io::ErrorKind::InvalidFilename
            | io::ErrorKind::InvalidInput
    )
}

/// The fields of a request that decide what of a file is sent.
const PASSED: [HeaderName; 6] =
    [ACCEPT_ENCODING, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_UNMODIFIED_SINCE, RANGE];

/// How much of a file is read at a time: twice as much is in memory for each file that is sent.
const CHUNK_BYTES: usize = 32 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_that_names_not_one_range_of_bytes_is_ignored() {
        for (field, expected) in [
            ("bytes=0-4", Some("bytes=0-4")),
            ("Bytes= 5- ", Some("bytes=5-")),
            ("bytes=-7", Some("bytes=-7")),
            ("bytes=-", None),
            ("bytes=a-b", None),
            ("bytes=0-1,3-4", None),
            ("bytes=0-99999999999999999999", None),
            ("items=0-4", None),
            ("bytes", None),
        ] {
            let found = one_range(&HeaderValue::from_static(field));
            assert_eq!(found.as_ref().map(|it| it.to_str().unwrap()), expected, "{field}");
        }
    }
}
