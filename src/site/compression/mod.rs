//! Responses that are compressed on their way to the client.
//!
//! Which ones: those that the client can read so, whose type shrinks, and which nobody has compressed or
//! divided before.
//!
//! Pure. Runs for every request.

mod accepted;
mod body;
mod encoder;

use http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE,
    ETAG, HeaderName, HeaderValue, VARY,
};
use http::{HeaderMap, StatusCode};

pub(crate) use accepted::Coding;
pub(super) use accepted::{quality, ranked};
pub(crate) use body::CompressedBody;
pub(crate) use encoder::Permit;

/// Which responses of a route are compressed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Compression {
    /// The codings, the preferred one first.
    pub(crate) codings: Vec<Coding>,
    /// The least length of a response, in bytes, if it says how long it is.
    pub(crate) bytes_min: u64,
    /// The media types.
    pub(crate) types: Vec<MediaType>,
}

impl Default for Compression {
    fn default() -> Self {
        Self {
            codings: Coding::PREFERRED.to_vec(),
            bytes_min: 1024,
            types: TYPES.iter().filter_map(|text| MediaType::parse(text)).collect(),
        }
    }
}

/// A media type, or all below one, in lower case: `text/html`, `text/*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MediaType(Box<str>);

impl MediaType {
    /// Reads `text/html` or `text/*`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (kind, below) = text.split_once('/')?;
        let is_token = |text: &str| HeaderName::from_bytes(text.as_bytes()).is_ok();
        let is_valid = is_token(kind) && is_token(below) && kind != "*";
        (is_valid && (below == "*" || !below.contains('*')))
            .then(|| Self(text.to_lowercase().into()))
    }

    /// As it is written.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    fn contains(&self, media_type: &str) -> bool {
        match self.0.strip_suffix('*') {
            // Events are streamed: they are compressed only where that is wanted by name.
            Some(kind) => media_type.starts_with(kind) && media_type != EVENTS,
            None => *self.0 == *media_type,
        }
    }
}

const EVENTS: &str = "text/event-stream";

/// The types that shrink. Images, fonts and archives are compressed in themselves.
const TYPES: [&str; 10] = [
    "text/*",
    "application/javascript",
    "application/json",
    "application/ld+json",
    "application/manifest+json",
    "application/problem+json",
    "application/wasm",
    "application/xml",
    "application/xhtml+xml",
    "image/svg+xml",
];

impl Compression {
    /// The coding for a client that sent these fields.
    pub(crate) fn coding(&self, request: &HeaderMap) -> Option<Coding> {
        ranked(request, &self.codings).into_iter().next()
    }

    /// Whether a response may be compressed, whatever its client accepts.
    pub(crate) fn is_for(&self, status: StatusCode, headers: &HeaderMap) -> bool {
        let has_whole_body = !status.is_informational()
            && ![
                StatusCode::NO_CONTENT,
                StatusCode::RESET_CONTENT,
                StatusCode::PARTIAL_CONTENT,
                StatusCode::NOT_MODIFIED,
            ]
            .contains(&status);
        let length =
            headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
        has_whole_body
            && !headers.contains_key(CONTENT_ENCODING)
            && !headers.contains_key(CONTENT_RANGE)
            && length.is_none_or(|length: u64| length >= self.bytes_min)
            && self.has_type(headers)
            && !forbids_change(headers)
    }

    fn has_type(&self, headers: &HeaderMap) -> bool {
        let Some(Ok(value)) = headers.get(CONTENT_TYPE).map(HeaderValue::to_str) else {
            return false;
        };
        let media_type = value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        self.types.iter().any(|known| known.contains(&media_type))
    }
}

/// RFC 9110, section 7.7; RFC 9111, section 5.2.2.6.
fn forbids_change(headers: &HeaderMap) -> bool {
    let values = headers.get_all(CACHE_CONTROL).into_iter().filter_map(|value| value.to_str().ok());
    let mut members = values.flat_map(|value| value.split(','));
    members.any(|member| member.trim().eq_ignore_ascii_case("no-transform"))
}

/// Says to caches that the response depends on what the client accepts (RFC 9110, section 12.5.5).
pub(crate) fn put_vary(headers: &mut HeaderMap) {
    let values = headers.get_all(VARY).into_iter().filter_map(|value| value.to_str().ok());
    let mut members = values.flat_map(|value| value.split(',')).map(str::trim);
    if !members.any(|member| member == "*" || member.eq_ignore_ascii_case("accept-encoding")) {
        headers.append(VARY, HeaderValue::from_static("Accept-Encoding"));
    }
}

/// Changes the fields of a response that is sent in `coding`.
pub(crate) fn put_coding(headers: &mut HeaderMap, coding: Coding) {
    headers.insert(CONTENT_ENCODING, HeaderValue::from_static(coding.name()));
    for gone in [CONTENT_LENGTH, ACCEPT_RANGES].iter().chain(&DIGESTS) {
        headers.remove(gone);
    }
    // The bytes are not those of the tag (RFC 9110, section 8.8.1).
    if let Some(tag) = headers.get(ETAG)
        && !tag.as_bytes().starts_with(b"W/")
    {
        let weak = HeaderValue::from_bytes(&[b"W/", tag.as_bytes()].concat());
        match weak {
            Ok(weak) => headers.insert(ETAG, weak),
            Err(_) => headers.remove(ETAG),
        };
    }
}

/// What identifies the bytes of a body, which are others when it was compressed or replaced.
pub(crate) static DIGESTS: [HeaderName; 4] = [
    HeaderName::from_static("content-digest"),
    HeaderName::from_static("content-md5"),
    HeaderName::from_static("digest"),
    HeaderName::from_static("repr-digest"),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        let field = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        fields.iter().map(field).collect()
    }

    #[test]
    fn what_shrinks_is_compressed_and_nothing_else() {
        let check = |status: u16, fields: &[(&'static str, &'static str)], expected: bool| {
            let status = StatusCode::from_u16(status).unwrap();
            let is_for = Compression::default().is_for(status, &headers(fields));
            assert_eq!(is_for, expected, "{status} {fields:?}");
        };
        let html = ("content-type", "Text/HTML; charset=utf-8");
        check(200, &[html], true);
        check(404, &[html, ("content-length", "1024")], true);
        check(200, &[html, ("content-length", "1023")], false);
        check(200, &[html, ("content-encoding", "br")], false);
        check(200, &[html, ("content-encoding", "identity")], false);
        check(206, &[html, ("content-range", "bytes 0-1/2")], false);
        check(200, &[html, ("cache-control", "public, No-Transform")], false);
        check(204, &[html], false);
        check(304, &[html], false);
        check(200, &[], false);
        check(200, &[("content-type", "image/png")], false);
        check(200, &[("content-type", "application/json")], true);
        check(200, &[("content-type", "text/event-stream")], false);
    }

    #[test]
    fn events_are_compressed_where_that_is_written() {
        let types = vec![MediaType::parse("text/event-stream").unwrap()];
        let compression = Compression { types, ..Compression::default() };
        let events = headers(&[("content-type", "text/event-stream; charset=utf-8")]);
        assert!(compression.is_for(StatusCode::OK, &events));
    }

    #[test]
    fn the_fields_say_what_became_of_the_response() {
        let mut fields = headers(&[
            ("etag", "\"a\""),
            ("content-length", "5"),
            ("accept-ranges", "bytes"),
            ("vary", "Origin"),
            ("repr-digest", "sha-256=:x:"),
        ]);
        put_vary(&mut fields);
        put_vary(&mut fields);
        put_coding(&mut fields, Coding::Br);
        let expected = headers(&[
            ("etag", "W/\"a\""),
            ("vary", "Origin"),
            ("vary", "Accept-Encoding"),
            ("content-encoding", "br"),
        ]);
        assert_eq!(fields, expected);
    }

    #[test]
    fn a_media_type_is_one_or_all_of_a_kind() {
        for text in ["text", "*/*", "text/", "/a", "a/b/c", "text/ht*", "text/html; q=1"] {
            assert_eq!(MediaType::parse(text), None, "{text}");
        }
        assert_eq!(MediaType::parse("Text/*").unwrap().as_str(), "text/*");
    }
}
