//! Which file the path of a request means.
//!
//! Every path has one spelling here: what a stranger may write differently, so that a rule for another
//! path does not hold, means no file.
//!
//! Pure. Runs for every request.

use std::borrow::Cow;
use std::fmt;

use http::HeaderValue;
use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};

/// The path of a file or directory below a root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FilePath(String);

/// `path` with its percent-encoded bytes decoded. `None` if it means no file.
pub(crate) fn decoded(path: &str) -> Option<Cow<'_, str>> {
    let decoded = percent_decode_str(path).decode_utf8().ok()?;
    // A slash that is encoded is not one between directories (RFC 3986, section 2.2).
    let slashes = |text: &str| text.bytes().filter(|byte| *byte == b'/').count();
    (slashes(&decoded) == slashes(path)).then_some(decoded)
}

impl FilePath {
    /// The file that `path` means; `index` is that of a directory. `None` if it means none: it has a segment
    /// that is empty or hidden, `.` or `..`, or a character that some systems take for a separator or an
    /// end.
    pub(super) fn parse(path: &str, index: &str) -> Option<Self> {
        let decoded = decoded(path)?;
        if decoded.chars().any(|c| c == '\\' || c.is_control()) {
            return None;
        }
        let below = decoded.strip_prefix('/')?;
        let mut segments = below.split('/').enumerate().peekable();
        while let Some((depth, segment)) = segments.next() {
            let is_last = segments.peek().is_none();
            let is_hidden = segment.starts_with('.') && (depth, segment) != (0, WELL_KNOWN);
            if is_hidden || (segment.is_empty() && !is_last) {
                return None;
            }
        }
        Some(match below.is_empty() || below.ends_with('/') {
            true => Self(format!("/{below}{index}")),
            false => Self(format!("/{below}")),
        })
    }

    /// From the root on, which is the slash at its beginning.
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// The type of its content, by its name.
    pub(super) fn content_type(&self) -> HeaderValue {
        let known = mime_guess::from_path(&self.0).first_raw();
        HeaderValue::from_static(known.unwrap_or("application/octet-stream"))
    }

    /// Whether it is a page, which names the other files.
    pub(super) fn is_page(&self) -> bool {
        let extension = self.0.rsplit_once('.').map(|(_, extension)| extension);
        extension
            .is_some_and(|it| it.eq_ignore_ascii_case("html") || it.eq_ignore_ascii_case("htm"))
    }
}

/// `name` as a segment of the path of a request.
pub(super) fn encoded(name: &str) -> impl fmt::Display + '_ {
    utf8_percent_encode(name, ENCODED)
}

/// Where a host publishes facts about itself (RFC 8615).
const WELL_KNOWN: &str = ".well-known";

/// What is not valid in the path of a URI, or ends it.
const ENCODED: &AsciiSet =
    &CONTROLS.add(b' ').add(b'"').add(b'#').add(b'%').add(b'<').add(b'>').add(b'?').add(b'`');

#[cfg(test)]
mod tests {
    use super::*;

    fn check(path: &str, expected: Option<&str>) {
        let found = FilePath::parse(path, "index.html").map(|found| found.0);
        assert_eq!(found.as_deref(), expected, "{path}");
    }

    #[test]
    fn a_path_means_the_file_of_its_name_and_a_directory_its_index() {
        check("/", Some("/index.html"));
        check("/a/b.js", Some("/a/b.js"));
        check("/a/", Some("/a/index.html"));
        check("/caf%C3%A9%20%25.txt", Some("/café %.txt"));
        check("/.well-known/security.txt", Some("/.well-known/security.txt"));
        check("/a..b/c.", Some("/a..b/c."));
    }

    #[test]
    fn nothing_outside_and_nothing_hidden_has_a_path() {
        for path in [
            "",
            "a",
            "*",
            "/..",
            "/../etc/passwd",
            "/a/../b",
            "/a/..",
            "/./a",
            "/%2e%2e/etc/passwd",
            "/a/%2e%2E/b",
            "/..%2fetc",
            "/a%2fb",
            "/a%2F..%2F..%2Fetc",
            "/a\\b",
            "/a%5c..%5cb",
            "/a%00.html",
            "/a%0a",
            "/a%7f",
            "//etc/passwd",
            "/a//b",
            "/.env",
            "/.git/config",
            "/a/.htpasswd",
            "/%2egit/config",
            "/a/.well-known/x",
            "/.well-known/.x",
            "/%ff%fe",
            "/%c0%ae%c0%ae/etc",
        ] {
            check(path, None);
        }
        // What is decoded once is not decoded again.
        check("/%252e%252e/a", Some("/%2e%2e/a"));
    }

    #[test]
    fn a_name_is_written_as_a_part_of_a_target() {
        for name in ["a b%?#<>\"`.html", "ü", "a+b&c=d;e@f:g", "100%"] {
            let uri: http::Uri = format!("/{}", encoded(name)).parse().unwrap();
            assert_eq!(decoded(uri.path()).unwrap().strip_prefix('/'), Some(name));
            assert_eq!(uri.query(), None);
        }
    }

    #[test]
    fn a_name_says_what_a_file_is() {
        let check = |path: &str, expected: &str| {
            let path = FilePath::parse(path, "index.html").unwrap();
            assert_eq!(path.content_type(), expected);
        };
        check("/", "text/html");
        check("/app.js", "text/javascript");
        check("/a.wasm", "application/wasm");
        check("/a.unknown", "application/octet-stream");
        check("/a", "application/octet-stream");
    }
}
