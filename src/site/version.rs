//! Which version of a file there is, and whether a client has it already (RFC 9110, section 13).
//!
//! Pure. Runs for every request.

use std::time::{Duration, UNIX_EPOCH};

use http::header::{
    ETAG, HeaderName, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE,
    LAST_MODIFIED,
};
use http::{HeaderMap, HeaderValue};

use super::compression::Coding;

/// What tells one version of a file from another.
#[derive(Clone, Debug)]
pub(super) struct Version {
    tag: Option<HeaderValue>,
    /// In seconds since 1970; `None` if the file is older.
    modified: Option<u64>,
}

/// What the conditions of a request ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Condition {
    /// Nothing is against sending the file.
    Holds,
    /// The client has this version: 304.
    NotModified,
    /// The client expects another version: 412.
    Failed,
}

impl Version {
    /// Of a file of `length` bytes that was `modified` so long after the beginning of 1970, and that is one in
    /// `coding`.
    pub(super) fn new(length: u64, modified: Option<Duration>, coding: Option<Coding>) -> Self {
        let of = coding.map(|coding| format!("-{}", coding.name())).unwrap_or_default();
        let tag = modified.and_then(|modified| {
            let (seconds, nanos) = (modified.as_secs(), modified.subsec_nanos());
            HeaderValue::try_from(format!("\"{seconds:x}.{nanos:08x}-{length:x}{of}\"")).ok()
        });
        Self { tag, modified: modified.map(|modified| modified.as_secs()) }
    }

    /// Says in `headers` which version it is.
    pub(super) fn write(&self, headers: &mut HeaderMap) {
        if let Some(tag) = &self.tag {
            headers.insert(ETAG, tag.clone());
        }
        if let Some(date) = self.date() {
            headers.insert(LAST_MODIFIED, date);
        }
    }

    /// What the fields of a GET or HEAD ask for, in the order of RFC 9110, section 13.2.2.
    pub(super) fn check(&self, request: &HeaderMap) -> Condition {
        let is_expected = match request.contains_key(IF_MATCH) {
            true => self.is_among(request, &IF_MATCH, <[u8]>::eq),
            false => self.was_modified_by(request, &IF_UNMODIFIED_SINCE).unwrap_or(true),
        };
        if !is_expected {
            return Condition::Failed;
        }
        let is_known = match request.contains_key(IF_NONE_MATCH) {
            true => {
                self.is_among(request, &IF_NONE_MATCH, |one, other| strong(one) == strong(other))
            }
            false => self.was_modified_by(request, &IF_MODIFIED_SINCE).unwrap_or(false),
        };
        if is_known { Condition::NotModified } else { Condition::Holds }
    }

    /// Whether the client has a part of this version, or does not say of which one (RFC 9110, section 13.1.5).
    pub(super) fn is_continued(&self, request: &HeaderMap) -> bool {
        let Some(condition) = request.get(IF_RANGE) else { return true };
        self.tag.as_ref() == Some(condition) || self.date().as_ref() == Some(condition)
    }

    fn date(&self) -> Option<HeaderValue> {
        let time = UNIX_EPOCH.checked_add(Duration::from_secs(self.modified?))?;
        // The crate knows no year of five digits.
        (self.modified? < DATE_SECONDS_MAX)
            .then(|| HeaderValue::try_from(httpdate::fmt_http_date(time)).ok())?
    }

    /// Whether a line of `name` has `*`, or a tag that is `same` as ours.
    fn is_among(
        &self,
        request: &HeaderMap,
        name: &HeaderName,
        same: fn(&[u8], &[u8]) -> bool,
    ) -> bool {
        let Some(tag) = &self.tag else { return false };
        let lines = request.get_all(name).into_iter();
        let mut members = lines.flat_map(|line| members(line.as_bytes()));
        members.any(|member| member == b"*" || same(member, tag.as_bytes()))
    }

    /// Whether this version is not newer than the date in `name`. `None` without a date.
    fn was_modified_by(&self, request: &HeaderMap, name: &HeaderName) -> Option<bool> {
        let date = httpdate::parse_http_date(request.get(name)?.to_str().ok()?).ok()?;
        let date = date.duration_since(UNIX_EPOCH).ok()?.as_secs();
        Some(self.modified? <= date)
    }
}

/// A tag without the mark of a weak one.
fn strong(tag: &[u8]) -> &[u8] {
    tag.strip_prefix(b"W/").unwrap_or(tag)
}

/// The members of a list of tags, which may have commas within their quotes.
pub(crate) fn members(list: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut is_quoted = false;
    let parts = list.split(move |byte| {
        is_quoted ^= *byte == b'"';
        *byte == b',' && !is_quoted
    });
    parts.map(<[u8]>::trim_ascii).filter(|member| !member.is_empty())
}

/// The beginning of the year 10000.
const DATE_SECONDS_MAX: u64 = 253_402_300_800;

#[cfg(test)]
mod tests {
    use super::*;

    const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const EARLIER: &str = "Sun, 06 Nov 1994 08:49:36 GMT";

    fn version() -> (Version, String) {
        let modified = Duration::new(784_111_777, 5);
        let version = Version::new(10, Some(modified), None);
        let tag = version.tag.clone().unwrap().to_str().unwrap().to_owned();
        (version, tag)
    }

    fn headers(fields: &[(HeaderName, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(name, HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    #[test]
    fn conditions_are_checked_in_their_order() {
        let (version, tag) = version();
        let check = |fields: &[(HeaderName, &str)], expected: Condition| {
            assert_eq!(version.check(&headers(fields)), expected, "{fields:?}");
        };
        let (weak, many) = (format!("W/{tag}"), format!("\"a,{tag}\", \"b\" ,, {tag}"));
        check(&[], Condition::Holds);
        check(&[(IF_NONE_MATCH, &tag)], Condition::NotModified);
        check(&[(IF_NONE_MATCH, &weak)], Condition::NotModified);
        check(&[(IF_NONE_MATCH, &many)], Condition::NotModified);
        check(&[(IF_NONE_MATCH, "*")], Condition::NotModified);
        check(&[(IF_NONE_MATCH, "\"other\"")], Condition::Holds);
        check(&[(IF_NONE_MATCH, "\"other\""), (IF_NONE_MATCH, &tag)], Condition::NotModified);
        check(&[(IF_NONE_MATCH, "\"other\""), (IF_MODIFIED_SINCE, DATE)], Condition::Holds);
        check(&[(IF_MODIFIED_SINCE, DATE)], Condition::NotModified);
        check(&[(IF_MODIFIED_SINCE, EARLIER)], Condition::Holds);
        check(&[(IF_MODIFIED_SINCE, "yesterday")], Condition::Holds);
        check(&[(IF_MATCH, &tag)], Condition::Holds);
        check(&[(IF_MATCH, "*")], Condition::Holds);
        check(&[(IF_MATCH, &weak)], Condition::Failed);
        check(&[(IF_MATCH, "\"other\""), (IF_MATCH, &tag)], Condition::Holds);
        check(&[(IF_MATCH, "\"other\""), (IF_NONE_MATCH, &tag)], Condition::Failed);
        check(&[(IF_MATCH, &tag), (IF_UNMODIFIED_SINCE, EARLIER)], Condition::Holds);
        check(&[(IF_UNMODIFIED_SINCE, EARLIER)], Condition::Failed);
        check(&[(IF_UNMODIFIED_SINCE, DATE)], Condition::Holds);
    }

    #[test]
    fn a_part_continues_the_version_that_is_named() {
        let (version, tag) = version();
        let check = |value: &str, expected: bool| {
            assert_eq!(version.is_continued(&headers(&[(IF_RANGE, value)])), expected, "{value}");
        };
        check(&tag, true);
        check(DATE, true);
        check(EARLIER, false);
        check(&format!("W/{tag}"), false);
        assert!(version.is_continued(&HeaderMap::new()));
    }

    #[test]
    fn versions_in_two_codings_have_two_tags_and_a_time_that_no_date_has_is_left_out() {
        let now = Some(Duration::from_secs(1));
        let tag = |coding| Version::new(1, now, coding).tag;
        assert_ne!(tag(None), tag(Some(Coding::Gzip)));
        assert_ne!(tag(Some(Coding::Br)), tag(Some(Coding::Gzip)));
        let far = Duration::from_secs(DATE_SECONDS_MAX);
        for time in [None, Some(far), Some(Duration::MAX)] {
            let mut headers = HeaderMap::new();
            Version::new(1, time, None).write(&mut headers);
            assert!(!headers.contains_key(LAST_MODIFIED), "{time:?}");
        }
    }
}
