//! What a request over HTTP/2 must be, beyond what h2 checks, and its form for the service.
//!
//! h2 resets a stream whose head is malformed by RFC 9113, sections 8.1.1 to 8.5: wrong, repeated or
//! late pseudo-header fields, fields of a connection, a body of another length than declared. What
//! HTTP/1.1 refuses is refused here with the same statuses.
//!
//! Pure. Runs for every request.

use http::header::{CONTENT_LENGTH, COOKIE, HOST, HeaderMap, HeaderValue};
use http::request::Parts;
use http::uri::{PathAndQuery, Scheme, Uri};
use http::{Method, StatusCode};

use crate::listener::head_guard::{HeadLimits, encode};

/// Why a request is refused. `Display` is the sentence in the response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Fault {
    /// Longer than it may be over HTTP/1.1.
    #[error("the head of the request is longer than {0} bytes")]
    HeadTooLarge(usize),
    /// More than over HTTP/1.1.
    #[error("the head of the request has more than {0} fields")]
    TooManyFields(usize),
    /// RFC 9113, section 8.3.1, requires an authority for these schemes, which are the only ones here.
    #[error("the :scheme of the request is neither http nor https")]
    Scheme,
    /// RFC 9113, section 8.3.1.
    #[error("the :path of the request does not begin with /")]
    Path,
    /// A byte that a path cannot contain (RFC 3986, section 3.3). Routes match the path as it is.
    #[error("there is a \", < or > in the path, which must be percent-encoded")]
    PathByte,
    /// RFC 9113, section 8.3.1.
    #[error("the request has neither :authority nor Host")]
    HostMissing,
    /// RFC 9112, section 3.2.
    #[error("there is more than one Host field")]
    HostRepeated,
    /// Two recipients could see different hosts (RFC 9113, section 8.3.1).
    #[error("the Host field differs from the :authority of the request")]
    HostDiffers,
    /// RFC 9113, section 8.2.1.
    #[error("the value of a field begins or ends with white space")]
    Padding,
    /// Several lengths, even if they are equal.
    #[error("there is more than one Content-Length field")]
    LengthRepeated,
    /// h2 takes an empty value for none.
    #[error("the Content-Length is not a number of bytes")]
    LengthMalformed,
    /// RFC 8441, section 5: the stream is the tunnel.
    #[error("a request for a tunnel has no length and does not end the stream")]
    TunnelBody,
}

impl Fault {
    /// The status of the response.
    pub(super) fn status(self) -> StatusCode {
        match self {
            Self::HeadTooLarge(_) | Self::TooManyFields(_) => {
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE
            }
            Self::Scheme
            | Self::Path
            | Self::PathByte
            | Self::HostMissing
            | Self::HostRepeated
            | Self::HostDiffers
            | Self::Padding
            | Self::LengthRepeated
            | Self::LengthMalformed
            | Self::TunnelBody => StatusCode::BAD_REQUEST,
        }
    }
}

/// Checks `head` and gives it the form that it would have over HTTP/1.1. `is_ended`: the client sends
/// nothing behind the head.
///
/// # Errors
///
/// The request is refused.
pub(super) fn prepare(head: &mut Parts, is_ended: bool, limits: HeadLimits) -> Result<(), Fault> {
    if head.headers.values().any(is_padded) {
        return Err(Fault::Padding);
    }
    join_cookies(&mut head.headers);
    check_size(head, limits)?;
    if head.headers.get_all(CONTENT_LENGTH).iter().count() > 1 {
        return Err(Fault::LengthRepeated);
    }
    if head.headers.get(CONTENT_LENGTH).is_some_and(|length| !is_number(length)) {
        return Err(Fault::LengthMalformed);
    }
    check_host(head)?;
    if head.method == Method::CONNECT {
        let is_tunnel = is_for_tunnel(head);
        if is_tunnel && (is_ended || head.headers.contains_key(CONTENT_LENGTH)) {
            return Err(Fault::TunnelBody);
        }
        if !is_tunnel {
            return Ok(());
        }
    }
    check_target(head)
}

/// Whether the request is an extended CONNECT (RFC 8441, section 4).
pub(super) fn is_for_tunnel(head: &Parts) -> bool {
    head.extensions.get::<h2::ext::Protocol>().is_some()
}

fn is_padded(value: &HeaderValue) -> bool {
    let is_white = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
    is_white(value.as_bytes().first()) || is_white(value.as_bytes().last())
}

fn is_number(value: &HeaderValue) -> bool {
    !value.is_empty() && value.as_bytes().iter().all(u8::is_ascii_digit)
}

/// A client may split its cookies into many fields, because they compress better so. Over HTTP/1.1
/// they are one (RFC 9113, section 8.2.3). An empty one would leave white space at an end of it.
fn join_cookies(fields: &mut HeaderMap) {
    let cookies = fields.get_all(COOKIE);
    if cookies.iter().nth(1).is_none() {
        return;
    }
    let mut joined = Vec::new();
    for cookie in cookies.iter().filter(|cookie| !cookie.is_empty()) {
        if !joined.is_empty() {
            joined.extend_from_slice(b"; ");
        }
        joined.extend_from_slice(cookie.as_bytes());
    }
    if let Ok(joined) = HeaderValue::from_maybe_shared(bytes::Bytes::from(joined)) {
        fields.insert(COOKIE, joined);
    }
}

/// The limits count the bytes that the head would have over HTTP/1.1.
fn check_size(head: &Parts, limits: HeadLimits) -> Result<(), Fault> {
    if head.headers.len() > limits.fields_max {
        return Err(Fault::TooManyFields(limits.fields_max));
    }
    let fields = head.headers.iter();
    let fields = fields.map(|(name, value)| name.as_str().len() + value.len() + FIELD_EXTRA_BYTES);
    let target = head.uri.path_and_query().map_or(0, |target| target.as_str().len());
    let authority = head.uri.authority().map_or(0, |authority| authority.as_str().len());
    let line = head.method.as_str().len() + target + authority + LINE_EXTRA_BYTES;
    if line + fields.sum::<usize>() > limits.bytes_max {
        return Err(Fault::HeadTooLarge(limits.bytes_max));
    }
    Ok(())
}

fn check_host(head: &Parts) -> Result<(), Fault> {
    let mut hosts = head.headers.get_all(HOST).into_iter();
    let (host, second) = (hosts.next(), hosts.next());
    let authority = head.uri.authority().map(|authority| authority.as_str().as_bytes());
    match (authority, host.map(HeaderValue::as_bytes)) {
        _ if second.is_some() => Err(Fault::HostRepeated),
        (None, None | Some([])) => Err(Fault::HostMissing),
        (Some(authority), Some(host)) if !authority.eq_ignore_ascii_case(host) => {
            Err(Fault::HostDiffers)
        }
        _ => Ok(()),
    }
}

fn check_target(head: &mut Parts) -> Result<(), Fault> {
    // Without an authority h2 has checked the scheme and forgotten it.
    let scheme = head.uri.scheme();
    if scheme.is_some_and(|scheme| *scheme != Scheme::HTTP && *scheme != Scheme::HTTPS) {
        return Err(Fault::Scheme);
    }
    let target = head.uri.path_and_query().map_or("", PathAndQuery::as_str);
    let is_server = target == "*" && head.method == Method::OPTIONS;
    if !target.starts_with('/') && !is_server {
        return Err(Fault::Path);
    }
    if head.uri.path().bytes().any(|byte| UNSAFE_BYTES.contains(&byte)) {
        return Err(Fault::PathByte);
    }
    encode_query(&mut head.uri);
    Ok(())
}

/// Percent-encodes what a query may not contain and some clients write, as over HTTP/1.1.
fn encode_query(uri: &mut Uri) {
    let Some(target) = uri.path_and_query().map(PathAndQuery::as_str) else { return };
    let bytes = target.bytes().enumerate();
    let offsets: Vec<_> =
        bytes.filter(|(_, byte)| UNSAFE_BYTES.contains(byte)).map(|(at, _)| at).collect();
    if offsets.is_empty() {
        return;
    }
    let encoded = PathAndQuery::try_from(encode(target.as_bytes(), &offsets));
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = encoded.ok();
    if let Ok(encoded) = Uri::from_parts(parts) {
        *uri = encoded;
    }
}

const UNSAFE_BYTES: [u8; 3] = *b"\"<>";

/// `: ` and the line end.
const FIELD_EXTRA_BYTES: usize = 4;

/// Two spaces, `HTTP/1.1`, the line ends of the request line and of the head, and `Host: `.
const LINE_EXTRA_BYTES: usize = 22;

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    /// The head of a GET with these fields, and `:authority` and `:path` from `uri`.
    fn head(method: &str, uri: &str, fields: &[(&str, &str)]) -> Parts {
        let mut request = Request::builder().method(method).uri(uri);
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    fn refused(method: &str, uri: &str, fields: &[(&str, &str)]) -> Option<Fault> {
        prepare(&mut head(method, uri, fields), true, HeadLimits::default()).err()
    }

    #[test]
    fn split_cookies_are_one_field_for_a_node() {
        let cookies = [("cookie", "a=1"), ("cookie", "b=2"), ("x", "y"), ("cookie", "c=3; d=4")];
        let mut head = head("GET", "https://a/", &cookies);
        prepare(&mut head, true, HeadLimits { fields_max: 2, ..HeadLimits::default() }).unwrap();
        let cookies: Vec<_> = head.headers.get_all(COOKIE).iter().collect();
        assert_eq!(cookies, ["a=1; b=2; c=3; d=4"]);
        for (cookies, expected) in
            [(["a=1", "", ""], "a=1"), (["", "", "a=1"], "a=1"), ([""; 3], "")]
        {
            let mut head = self::head("GET", "https://a/", &cookies.map(|value| ("cookie", value)));
            prepare(&mut head, true, HeadLimits::default()).unwrap();
            let joined: Vec<_> = head.headers.get_all(COOKIE).iter().collect();
            assert_eq!(joined, [expected], "no white space at an end");
        }
    }

    #[test]
    fn the_host_is_named_once_or_twice_the_same() {
        assert_eq!(refused("GET", "https://a.b/", &[]), None);
        assert_eq!(refused("GET", "https://a.b/", &[("host", "A.b")]), None);
        assert_eq!(refused("GET", "/", &[("host", "a.b")]), None);
        assert_eq!(refused("GET", "/", &[]), Some(Fault::HostMissing));
        assert_eq!(refused("GET", "/", &[("host", "")]), Some(Fault::HostMissing));
        for other in ["c.d", "a.b:443", "", "a.b."] {
            let found = refused("GET", "https://a.b/", &[("host", other)]);
            assert_eq!(found, Some(Fault::HostDiffers), "{other}");
        }
        let twice = [("host", "a.b"), ("host", "a.b")];
        assert_eq!(refused("GET", "https://a.b/", &twice), Some(Fault::HostRepeated));
    }

    #[test]
    fn a_head_is_as_large_as_it_would_be_over_http_1() {
        let lines = "GET /path HTTP/1.1\r\nHost: a.b\r\nx: yz\r\n\r\n";
        for (bytes_max, fault) in
            [(lines.len(), None), (lines.len() - 1, Some(Fault::HeadTooLarge(lines.len() - 1)))]
        {
            let mut head = head("GET", "https://a.b/path", &[("x", "yz")]);
            let limits = HeadLimits { bytes_max, fields_max: 1 };
            assert_eq!(prepare(&mut head, true, limits).err(), fault);
        }
        let mut head = head("GET", "https://a.b/", &[("x", "1"), ("x", "2")]);
        let limits = HeadLimits { fields_max: 1, ..HeadLimits::default() };
        assert_eq!(prepare(&mut head, true, limits), Err(Fault::TooManyFields(1)));
    }

    #[test]
    fn scheme_path_and_values_are_checked() {
        assert_eq!(refused("GET", "ftp://a/", &[]), Some(Fault::Scheme));
        assert_eq!(refused("GET", "http://a/", &[]), None);
        assert_eq!(refused("GET", "*", &[("host", "a")]), Some(Fault::Path));
        assert_eq!(refused("OPTIONS", "*", &[("host", "a")]), None);
        assert_eq!(refused("GET", "https://a/\"", &[]), Some(Fault::PathByte));
        assert_eq!(refused("GET", "https://a/", &[("x", "y z")]), None);
        assert_eq!(refused("GET", "https://a/", &[("x", "")]), None);
        for padded in [" y", "y ", "\ty", "y\t", " "] {
            assert_eq!(refused("GET", "https://a/", &[("x", padded)]), Some(Fault::Padding));
        }
        let lengths = [("content-length", "1"), ("content-length", "1")];
        assert_eq!(refused("POST", "https://a/", &lengths), Some(Fault::LengthRepeated));
        for length in ["", "+1", "1x"] {
            let found = refused("POST", "https://a/", &[("content-length", length)]);
            assert_eq!(found, Some(Fault::LengthMalformed), "{length}");
        }
    }

    #[test]
    fn a_tunnel_has_no_body_of_its_own() {
        let check = |is_ended, fields: &[(&str, &str)], expected| {
            let mut head = head("CONNECT", "https://a/", fields);
            head.extensions.insert(h2::ext::Protocol::from_static("websocket"));
            assert_eq!(prepare(&mut head, is_ended, HeadLimits::default()).err(), expected);
        };
        check(false, &[], None);
        check(true, &[], Some(Fault::TunnelBody));
        check(false, &[("content-length", "0")], Some(Fault::TunnelBody));
    }

    #[test]
    fn a_query_is_encoded_as_over_http_1() {
        let mut head = head("GET", "https://a/?x=%22", &[]);
        let raw = Uri::builder().scheme("https").authority("a");
        let Ok(uri) = raw.path_and_query("/?x=\"<>&y").build() else { return };
        head.uri = uri;
        prepare(&mut head, true, HeadLimits::default()).unwrap();
        assert_eq!(head.uri, "https://a/?x=%22%3C%3E&y");
    }
}
