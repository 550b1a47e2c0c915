//! The part of a path that `rendezvous` hashes: one of its segments.
//!
//! Pure. Runs for every request.

use std::fmt;
use std::sync::Arc;

use crate::yaml::Diagnostic;

/// Which segment of a path is the key, such as `/echo/*/:key`.
///
/// A path fits if it begins with the same segments, `*` is any one segment, and what follows does not
/// matter. Segments are compared byte for byte, as the client wrote them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathKey {
    /// The pattern as written.
    text: Arc<str>,
    /// The segments before the key; `None` is any one.
    before: Box<[Option<Box<str>>]>,
}

impl PathKey {
    /// Parses a pattern.
    ///
    /// # Errors
    ///
    /// What is wrong with it, and what to write instead.
    pub(crate) fn parse(text: &str) -> Result<Self, Diagnostic> {
        let refused = |what| Err(Diagnostic::new(what).help(HELP));
        let Some(segments) = text.strip_prefix('/') else {
            return refused("does not begin with /");
        };
        let mut segments: Vec<&str> = segments.split('/').collect();
        if segments.pop() != Some(KEY) {
            return refused("does not end with the segment :key");
        }
        let is_plain = |b: u8| b.is_ascii_graphic() && !b"*{}?#\\\"<>".contains(&b);
        let is_valid = |segment: &&str| {
            *segment == ANY
                || !matches!(*segment, "" | "." | "..")
                    && !segment.starts_with(':')
                    && segment.bytes().all(is_plain)
        };
        if !segments.iter().all(is_valid) {
            return refused("has a segment that no path has");
        }
        let before = segments.into_iter().map(|segment| (segment != ANY).then(|| segment.into()));
        Ok(Self { text: text.into(), before: before.collect() })
    }

    /// The key in `path`; `None` if the path does not fit, or if the segment is empty.
    pub(crate) fn find<'a>(&self, path: &'a str) -> Option<&'a str> {
        let mut segments = path.strip_prefix('/')?.split('/');
        for expected in &self.before {
            let segment = segments.next()?;
            if expected.as_deref().is_some_and(|expected| expected != segment) {
                return None;
            }
        }
        segments.next().filter(|key| !key.is_empty())
    }
}

impl fmt::Display for PathKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The segment that is the key.
const KEY: &str = ":key";

/// Any one segment.
const ANY: &str = "*";

const HELP: &str = "write the segments before the key, * for any one: path: /echo/*/:key";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_one_segment_of_the_paths_that_fit() {
        let check = |pattern: &str, path: &str, expected: Option<&str>| {
            assert_eq!(PathKey::parse(pattern).unwrap().find(path), expected, "{pattern} {path}");
        };
        const SOCKJS: &str = "/echo/*/:key";
        check(SOCKJS, "/echo/000/abcdef/xhr_streaming", Some("abcdef"));
        check(SOCKJS, "/echo/000/abcdef", Some("abcdef"));
        check(SOCKJS, "/echo/000/a%2Fb/websocket", Some("a%2Fb"));
        check(SOCKJS, "/echo/000//xhr", None);
        check(SOCKJS, "/echo/000", None);
        check(SOCKJS, "/echo/info", None);
        check(SOCKJS, "/echo", None);
        check(SOCKJS, "/other/000/abcdef/xhr", None);
        check(SOCKJS, "*", None);
        check("/:key", "/room-1/x", Some("room-1"));
        check("/*/*/:key", "/a/b/c", Some("c"));
    }

    #[test]
    fn a_wrong_pattern_is_refused_in_words() {
        let check = |pattern: &str, what: &str| {
            assert_eq!(PathKey::parse(pattern).unwrap_err().what(), what, "{pattern}");
        };
        check("echo/:key", "does not begin with /");
        check("/echo/*", "does not end with the segment :key");
        check("/echo/:key/xhr", "does not end with the segment :key");
        check("/:key/", "does not end with the segment :key");
        for pattern in ["/a*/:key", "//:key", "/../:key", "/:key/:key", "/:id/:key", "/a?b/:key"] {
            check(pattern, "has a segment that no path has");
        }
    }
}
