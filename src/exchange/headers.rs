//! Which header fields are passed on to a node or a client, and which we add.
//!
//! Fields that belong to one connection stay with it (RFC 9110, section 7.6.1).
//!
//! Runs for every request.

use http::header::{CONNECTION, HOST, HeaderMap, HeaderName, HeaderValue};

use super::forwarded;
use crate::net::ClientInfo;

/// The id of a request in the logs of all servers that handle it.
pub(super) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Whether a field of this name belongs to one connection, or would be taken for a framing field by a
/// node that maps names to variables, where `_` and `-` are the same (RFC 3875, section 4.1.18).
/// `Transfer-Encoding` belongs to one connection, because each message gets new framing; `HTTP2-Settings`
/// goes with `Upgrade: h2c`, which is not passed on, and a server removes it (RFC 7540, section 3.2.1).
pub(super) fn is_hop_by_hop(name: &HeaderName) -> bool {
    // A comparison of texts looks at their lengths first, and is cheaper than one of `HeaderName`s.
    matches!(
        name.as_str(),
        "connection"
            | "http2-settings"
            | "keep-alive"
            | "proxy-authenticate"
            | "proxy-authorization"
            | "proxy-connection"
            | "te"
            | "trailer"
            | "transfer-encoding"
            | "upgrade"
            | "content_length"
            | "transfer_encoding"
    )
}

/// Removes the fields that belong to one connection, and those that `Connection` names.
pub(super) fn remove_hop_by_hop(headers: &mut HeaderMap) {
    let mut gone: Vec<HeaderName> =
        headers.keys().filter(|name| is_hop_by_hop(name)).cloned().collect();
    gone.extend(named_by_connection(headers));
    for name in gone {
        headers.remove(name);
    }
}

/// The fields that `Connection` names. What we set ourselves is never removed, whatever
/// `Connection` says, and neither is `Host`, which the node needs (RFC 9110, section 7.6.1 forbids
/// a client to name it).
pub(super) fn named_by_connection(headers: &HeaderMap) -> impl Iterator<Item = HeaderName> {
    list(headers, &CONNECTION)
        .filter_map(|token| HeaderName::from_bytes(token.as_bytes()).ok())
        .filter(|name| *name != HOST && *name != X_REQUEST_ID && !forwarded::is_claim(name))
}

/// The members of a comma-separated field, from all its lines. A member that is not visible ASCII
/// is left out and hides no other one.
pub(super) fn list<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
) -> impl Iterator<Item = &'a str> + use<'a> {
    let values = headers.get_all(name).into_iter().map(HeaderValue::as_bytes);
    let members = values.flat_map(|value| value.split(|byte| *byte == b','));
    let members = members.filter(|member| member.is_ascii());
    let texts = members.filter_map(|member| std::str::from_utf8(member).ok());
    texts.map(str::trim).filter(|member| !member.is_empty())
}

/// Whether a comma-separated field has `member`, in any letter case.
pub(super) fn lists(headers: &HeaderMap, name: &HeaderName, member: &str) -> bool {
    // Usually it is the only one.
    headers.get(name).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(member.as_bytes()))
        || list(headers, name).any(|found| found.eq_ignore_ascii_case(member))
}

/// The id of the request: from a trusted proxy, or else a new one.
pub(super) fn request_id(headers: &HeaderMap, client: &ClientInfo) -> HeaderValue {
    let given = if client.is_trusted() { headers.get(X_REQUEST_ID) } else { None };
    let given = given.filter(|id| is_id(id)).and_then(in_own_memory);
    given.unwrap_or_else(|| {
        HeaderValue::from_bytes(&hexadecimal(fastrand::u128(..)))
            .expect("hexadecimal digits are valid in a field")
    })
}

/// All hexadecimal digits of `number`.
fn hexadecimal(number: u128) -> [u8; 32] {
    let mut rest = number;
    std::array::from_fn(|_| {
        rest = rest.rotate_left(4);
        b"0123456789abcdef"[(rest & 15) as usize]
    })
}

/// A copy for use beyond the request: a clone is a slice of hyper's read buffer, which could not be
/// reused as long.
pub(super) fn in_own_memory(value: &HeaderValue) -> Option<HeaderValue> {
    HeaderValue::from_bytes(value.as_bytes()).ok()
}

fn is_id(value: &HeaderValue) -> bool {
    let bytes = value.as_bytes();
    let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    (1..=REQUEST_ID_BYTES_MAX).contains(&bytes.len()) && bytes.iter().all(allowed)
}

/// Longer ids are replaced: they would be in every log line.
const REQUEST_ID_BYTES_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::super::tests::{client, headers};
    use super::*;

    #[test]
    fn fields_of_one_connection_and_those_it_names_stay_behind() {
        let mut fields = headers(&[
            "Connection: close, X-Secret",
            "Connection: Keep-Alive, host, X-Request-Id, X-Forwarded-For, x-real-ip, Forwarded",
            "X-Request-Id: 1",
            "X-Forwarded-For: 1.1.1.1",
            "X-Real-IP: 1.1.1.1",
            "Forwarded: for=1.1.1.1",
            "X-Secret: 1",
            "Keep-Alive: timeout=5",
            "Upgrade: h2c",
            "HTTP2-Settings: AAMAAABkAAQAAP__",
            "TE: trailers",
            "Transfer-Encoding: chunked",
            "Proxy-Authorization: x",
            "Host: a.b",
            "Cookie: c",
        ]);
        fields.append(CONNECTION, HeaderValue::from_bytes(b"\xff, x-other, \xe9").unwrap());
        fields.append("x-other", HeaderValue::from_static("1"));
        remove_hop_by_hop(&mut fields);
        let mut left: Vec<_> = fields.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        let ours = ["forwarded", "host", "x-forwarded-for", "x-real-ip", "x-request-id"];
        assert_eq!(left, [&["cookie"], &ours[..]].concat());
    }

    #[test]
    fn a_new_request_id_has_thirty_two_hexadecimal_digits() {
        assert_eq!(hexadecimal(0), [b'0'; 32]);
        let number = 0x0123_4567_89ab_cdef_fedc_ba98_7654_3210;
        assert_eq!(&hexadecimal(number), b"0123456789abcdeffedcba9876543210");
    }

    #[test]
    fn a_request_id_is_kept_from_a_trusted_proxy_only() {
        let check = |trusted: &str, given: &str, kept: bool| {
            let fields = headers(&[&format!("X-Request-Id: {given}")]);
            let id = request_id(&fields, &client(trusted));
            assert_eq!(id == given, kept, "{given}");
        };
        check("10.0.0.0/8", "abc-1", true);
        check("", "abc-1", false);
        check("10.0.0.0/8", "a b", false);
        check("10.0.0.0/8", &"x".repeat(65), false);
    }
}
