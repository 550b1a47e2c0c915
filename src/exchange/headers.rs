//! Which fields go on to a node or a client, and which we put in.
//!
//! Fields that belong to one connection stay with it (RFC 9110, section 7.6.1). Who the client is
//! goes to the node in `X-Forwarded-For`, `-Proto`, `-Host` and `Forwarded` (RFC 7239): what came
//! in these fields is believed only from a trusted proxy, else replaced.
//!
//! Pure. Runs for every request.

use std::net::{IpAddr, SocketAddr};

use http::header::{
    CONNECTION, FORWARDED, HOST, HeaderMap, HeaderName, HeaderValue, PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};

use crate::client::{ClientInfo, is_in};

/// The client's address as far as it is known, nearest proxy last (de facto standard).
pub(super) const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
/// Names one request in the logs of all who handle it.
pub(super) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Fields that belong to one connection. `Transfer-Encoding` is among them: hyper frames each
/// message anew.
static HOP_BY_HOP: [HeaderName; 9] = [
    CONNECTION,
    KEEP_ALIVE,
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    PROXY_CONNECTION,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// Takes out the fields that belong to one connection, and those that `Connection` names.
pub(super) fn remove_hop_by_hop(headers: &mut HeaderMap) {
    let mut gone: Vec<HeaderName> =
        headers.keys().filter(|name| HOP_BY_HOP.contains(name)).cloned().collect();
    if gone.contains(&CONNECTION) {
        gone.extend(named_by_connection(headers));
    }
    for name in gone {
        headers.remove(name);
    }
}

/// `Host` is never dropped, whatever `Connection` says: the node needs it (RFC 9110, 7.6.1 forbids
/// a client to name it).
fn named_by_connection(headers: &HeaderMap) -> impl Iterator<Item = HeaderName> {
    list(headers, &CONNECTION)
        .filter_map(|token| HeaderName::from_bytes(token.as_bytes()).ok())
        .filter(|name| *name != HOST)
}

/// The members of a comma-separated field, over all its lines.
pub(super) fn list<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
) -> impl Iterator<Item = &'a str> + use<'a> {
    let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(str::trim).filter(|member| !member.is_empty())
}

/// Whether a comma-separated field has `member`, in any case.
pub(super) fn lists(headers: &HeaderMap, name: &HeaderName, member: &str) -> bool {
    // Mostly it is the only one.
    headers.get(name).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(member.as_bytes()))
        || list(headers, name).any(|found| found.eq_ignore_ascii_case(member))
}

/// The address of the client itself: the connection's, or behind trusted proxies the nearest
/// address in `X-Forwarded-For` that is not one of theirs.
pub(super) fn client_address(headers: &HeaderMap, client: &ClientInfo) -> IpAddr {
    let nearest = client.address.ip().to_canonical();
    if !client.is_trusted() {
        return nearest;
    }
    let mut known = nearest;
    for value in headers.get_all(&X_FORWARDED_FOR).into_iter().rev() {
        for member in value.to_str().unwrap_or_default().rsplit(',') {
            let Some(address) = forwarded_address(member.trim()) else { return known };
            known = address;
            if !is_in(&client.trusted_proxies, address) {
                return known;
            }
        }
    }
    known
}

/// An address as `X-Forwarded-For` writes it; some proxies add the port.
fn forwarded_address(text: &str) -> Option<IpAddr> {
    let bare = text.trim_start_matches('[').trim_end_matches(']');
    let address = bare.parse().ok().or_else(|| Some(text.parse::<SocketAddr>().ok()?.ip()))?;
    Some(address.to_canonical())
}

/// Keeps `Host`, or makes it of an absolute target that had none.
pub(super) fn put_host(headers: &mut HeaderMap, host: &str) {
    if !headers.contains_key(HOST) {
        put(headers, HOST, host.to_owned());
    }
}

/// Tells the node who the client is.
pub(super) fn put_forwarded(headers: &mut HeaderMap, client: &ClientInfo, host: &str) {
    let address = client.address.ip().to_canonical();
    let address_text = text_of(address);
    let trusted = client.is_trusted();
    let scheme = client.scheme.as_str();
    let so_far = |headers: &HeaderMap, name: &HeaderName| match trusted {
        true => joined(headers, name),
        false => String::new(),
    };

    let addresses = append(so_far(headers, &X_FORWARDED_FOR), &[&address_text]);
    put(headers, X_FORWARDED_FOR, addresses);

    let (before, behind) = match address {
        IpAddr::V4(_) => ("for=", ";host=\""),
        IpAddr::V6(_) => ("for=\"[", "]\";host=\""),
    };
    let element = [before, &address_text, behind, host, "\";proto=", scheme];
    let elements = append(so_far(headers, &FORWARDED), &element);
    put(headers, FORWARDED, elements);

    if !trusted || !headers.contains_key(X_FORWARDED_PROTO) {
        headers.insert(X_FORWARDED_PROTO, HeaderValue::from_static(scheme));
    }
    if !trusted || !headers.contains_key(X_FORWARDED_HOST) {
        match headers.get(HOST).filter(|value| value.as_bytes() == host.as_bytes()).cloned() {
            Some(value) => _ = headers.insert(X_FORWARDED_HOST, value),
            None => put(headers, X_FORWARDED_HOST, host.to_owned()),
        }
    }
}

/// `address` as text. Each request needs it, and the formatter of the standard library takes ten
/// times as long for the usual ones.
fn text_of(address: IpAddr) -> String {
    let IpAddr::V4(address) = address else { return address.to_string() };
    let mut text = String::with_capacity("255.255.255.255".len());
    for (place, octet) in address.octets().into_iter().enumerate() {
        if place > 0 {
            text.push('.');
        }
        for (least, unit) in [(100, 100), (10, 10), (0, 1)] {
            if octet >= least {
                text.push(char::from(b'0' + octet / unit % 10));
            }
        }
    }
    text
}

fn joined(headers: &HeaderMap, name: &HeaderName) -> String {
    list(headers, name).fold(String::new(), |text, member| append(text, &[member]))
}

/// `list` with one more member, which is made of `parts`.
fn append(mut list: String, parts: &[&str]) -> String {
    let separator = if list.is_empty() { "" } else { ", " };
    let added: usize = parts.iter().map(|part| part.len()).sum();
    // Exactly: a field takes the memory over only if there is none to spare.
    list.reserve_exact(separator.len() + added);
    list.push_str(separator);
    for part in parts {
        list.push_str(part);
    }
    list
}

/// A value that cannot stand in a field is left out: the field then is missing, which nobody
/// takes for a lie.
fn put(headers: &mut HeaderMap, name: HeaderName, value: String) {
    match HeaderValue::try_from(value) {
        Ok(value) => headers.insert(name, value),
        Err(_) => headers.remove(name),
    };
}

/// The id of the request: what a trusted proxy gave it, else a new one. It is put into the
/// headers and given back.
pub(super) fn put_request_id(headers: &mut HeaderMap, client: &ClientInfo) -> HeaderValue {
    let given = headers.get(X_REQUEST_ID).filter(|id| client.is_trusted() && is_id(id));
    let given = given.and_then(in_own_memory);
    let id = given.unwrap_or_else(|| {
        HeaderValue::from_bytes(&hexadecimal(fastrand::u128(..)))
            .expect("hexadecimal digits can stand in a field")
    });
    headers.insert(X_REQUEST_ID, id.clone());
    id
}

/// All digits of `number`.
fn hexadecimal(number: u128) -> [u8; 32] {
    let mut rest = number;
    std::array::from_fn(|_| {
        rest = rest.rotate_left(4);
        b"0123456789abcdef"[(rest & 15) as usize]
    })
}

/// A copy for who keeps it longer than the request: a clone is a slice of hyper's read buffer, which
/// could not be used again meanwhile.
pub(super) fn in_own_memory(value: &HeaderValue) -> Option<HeaderValue> {
    HeaderValue::from_bytes(value.as_bytes()).ok()
}

fn is_id(value: &HeaderValue) -> bool {
    let bytes = value.as_bytes();
    let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    (1..=REQUEST_ID_BYTES_MAX).contains(&bytes.len()) && bytes.iter().all(allowed)
}

/// Longer ids are replaced: they would stand in every log line.
const REQUEST_ID_BYTES_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn headers(lines: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for line in lines {
            let (name, value) = line.split_once(": ").unwrap();
            let name = HeaderName::from_bytes(name.to_lowercase().as_bytes()).unwrap();
            headers.append(name, HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    fn client(trusted: &str) -> ClientInfo {
        let mut client = ClientInfo::plain("10.0.0.9:5000".parse().unwrap());
        client.trusted_proxies =
            trusted.split_whitespace().map(|network| network.parse().unwrap()).collect::<Arc<_>>();
        client
    }

    #[test]
    fn fields_of_one_connection_and_those_it_names_stay_behind() {
        let mut fields = headers(&[
            "Connection: close, X-Secret",
            "Connection: Keep-Alive, host",
            "X-Secret: 1",
            "Keep-Alive: timeout=5",
            "Upgrade: h2c",
            "TE: trailers",
            "Transfer-Encoding: chunked",
            "Proxy-Authorization: x",
            "Host: a.b",
            "Cookie: c",
        ]);
        remove_hop_by_hop(&mut fields);
        let mut left: Vec<_> = fields.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["cookie", "host"]);
    }

    #[test]
    fn strangers_are_not_believed() {
        let mut fields = headers(&[
            "X-Forwarded-For: 1.1.1.1",
            "X-Forwarded-Proto: https",
            "X-Forwarded-Host: evil",
            "Forwarded: for=1.1.1.1",
        ]);
        put_forwarded(&mut fields, &client(""), "chat.example.com");
        assert_eq!(fields["x-forwarded-for"], "10.0.0.9");
        assert_eq!(fields["x-forwarded-proto"], "http");
        assert_eq!(fields["x-forwarded-host"], "chat.example.com");
        assert_eq!(fields["forwarded"], "for=10.0.0.9;host=\"chat.example.com\";proto=http");
    }

    #[test]
    fn a_trusted_proxy_is_believed_and_added() {
        let mut fields = headers(&[
            "X-Forwarded-For: 1.1.1.1",
            "X-Forwarded-For: 2.2.2.2",
            "X-Forwarded-Proto: https",
            "X-Forwarded-Host: outer",
            "Forwarded: for=1.1.1.1",
        ]);
        put_forwarded(&mut fields, &client("10.0.0.0/8"), "inner");
        assert_eq!(fields["x-forwarded-for"], "1.1.1.1, 2.2.2.2, 10.0.0.9");
        assert_eq!(fields["x-forwarded-proto"], "https");
        assert_eq!(fields["x-forwarded-host"], "outer");
        assert_eq!(fields["forwarded"], "for=1.1.1.1, for=10.0.0.9;host=\"inner\";proto=http");
    }

    #[test]
    fn the_client_is_the_nearest_address_that_is_not_a_trusted_proxys() {
        let check = |trusted: &str, lines: &[&str], expected: &str| {
            let found = client_address(&headers(lines), &client(trusted));
            assert_eq!(found, expected.parse::<IpAddr>().unwrap(), "{trusted} {lines:?}");
        };
        check("", &["X-Forwarded-For: 1.1.1.1"], "10.0.0.9");
        check("10.0.0.0/8", &[], "10.0.0.9");
        check("10.0.0.0/8", &["X-Forwarded-For: 6.6.6.6, 1.1.1.1, 10.0.0.2"], "1.1.1.1");
        check("10.0.0.0/8", &["X-Forwarded-For: 6.6.6.6", "X-Forwarded-For: 2.2.2.2"], "2.2.2.2");
        check("10.0.0.0/8", &["X-Forwarded-For: 6.6.6.6, garbage, 10.0.0.2"], "10.0.0.2");
        check("10.0.0.0/8", &["X-Forwarded-For: 1.1.1.1:4711"], "1.1.1.1");
        check("10.0.0.0/8", &["X-Forwarded-For: [2001:db8::1]:4711"], "2001:db8::1");
        check("10.0.0.0/8", &["X-Forwarded-For: 2001:db8::1"], "2001:db8::1");
        check("10.0.0.0/8", &["X-Forwarded-For: 10.0.0.3, 10.0.0.2"], "10.0.0.3");
    }

    #[test]
    fn an_address_is_written_as_the_standard_library_does() {
        for address in
            ["0.0.0.0", "1.2.3.4", "9.10.99.100", "199.200.201.255", "::1", "2001:db8::9"]
        {
            assert_eq!(text_of(address.parse().unwrap()), address);
        }
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
            let mut fields = headers(&[&format!("X-Request-Id: {given}")]);
            let id = put_request_id(&mut fields, &client(trusted));
            assert_eq!(id == given, kept, "{given}");
            assert_eq!(fields[X_REQUEST_ID], id);
        };
        check("10.0.0.0/8", "abc-1", true);
        check("", "abc-1", false);
        check("10.0.0.0/8", "a b", false);
        check("10.0.0.0/8", &"x".repeat(65), false);
    }
}
