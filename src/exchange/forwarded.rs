//! Tells a node which client a request comes from.
//!
//! `X-Forwarded-For`, `-Proto`, `-Host`, `-Port`, `X-Real-IP` and `Forwarded` (RFC 7239) are ours.
//! What came in these fields, or in any other by which proxies speak of clients, is believed from a
//! trusted proxy only; of a stranger nothing of it reaches a node.
//!
//! Pure. Runs for every request.

use std::net::{IpAddr, SocketAddr};

use http::header::{FORWARDED, HOST, HeaderMap, HeaderName, HeaderValue};

use super::headers::{list, put};
use super::target::port_of;
use crate::client::{ClientInfo, is_in};

/// The client's address as far as it is known, nearest proxy last (de facto standard).
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
/// The client's address alone, as configurations of nginx set it.
const X_REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");

/// The address of the client itself: the connection's, or behind trusted proxies the nearest
/// address in `X-Forwarded-For` that is not one of theirs.
pub(super) fn client_address(headers: &HeaderMap, client: &ClientInfo) -> IpAddr {
    let nearest = client.address.ip().to_canonical();
    if !client.is_trusted() {
        return nearest;
    }
    let mut known = nearest;
    for value in headers.get_all(&X_FORWARDED_FOR).into_iter().rev() {
        // Only a member as such: the client's own, which comes first, may be anything.
        for member in value.as_bytes().rsplit(|byte| *byte == b',') {
            let text = std::str::from_utf8(member).ok();
            let Some(address) = text.and_then(|text| forwarded_address(text.trim())) else {
                return known;
            };
            known = address;
            if !is_in(&client.trusted_proxies, address) {
                return known;
            }
        }
    }
    known
}

/// Tells the node who the client is, and takes out what a stranger says of that.
pub(super) fn put_forwarded(headers: &mut HeaderMap, client: &ClientInfo, host: &str) {
    let real = client_address(headers, client);
    let trusted = client.is_trusted();
    remove_claims(headers, trusted);
    let address = client.address.ip().to_canonical();
    let address_text = text_of(address);
    let scheme = client.scheme.as_str();

    let addresses = append(joined(headers, &X_FORWARDED_FOR), &[&address_text]);
    put(headers, X_FORWARDED_FOR, addresses);

    let (before, behind) = match address {
        IpAddr::V4(_) => ("for=", ";host=\""),
        IpAddr::V6(_) => ("for=\"[", "]\";host=\""),
    };
    let element = [before, &address_text, behind, host, "\";proto=", scheme];
    let elements = append(joined(headers, &FORWARDED), &element);
    put(headers, FORWARDED, elements);
    put(headers, X_REAL_IP, if real == address { address_text } else { text_of(real) });

    if !headers.contains_key(X_FORWARDED_PROTO) {
        headers.insert(X_FORWARDED_PROTO, HeaderValue::from_static(scheme));
    }
    if !headers.contains_key(X_FORWARDED_HOST) {
        match headers.get(HOST).filter(|value| value.as_bytes() == host.as_bytes()).cloned() {
            Some(value) => _ = headers.insert(X_FORWARDED_HOST, value),
            None => put(headers, X_FORWARDED_HOST, host.to_owned()),
        }
    }
    if !headers.contains_key(X_FORWARDED_PORT) {
        put_port(headers);
    }
}

/// The port that the client wrote, or that of its scheme: behind a port that is mapped, ours would
/// not be the one that it connects to.
fn put_port(headers: &mut HeaderMap) {
    let said = headers.get(X_FORWARDED_HOST).and_then(|host| host.to_str().ok()).and_then(port_of);
    let scheme = headers.get(X_FORWARDED_PROTO).map(HeaderValue::as_bytes);
    match (said, scheme) {
        (Some(port), _) => put(headers, X_FORWARDED_PORT, port.to_string()),
        (None, Some(b"https" | b"wss")) => {
            headers.insert(X_FORWARDED_PORT, HeaderValue::from_static("443"));
        }
        (None, _) => _ = headers.insert(X_FORWARDED_PORT, HeaderValue::from_static("80")),
    }
}

/// Takes out what is said of the client. A trusted proxy is believed, but for names with `_`, which
/// no proxy writes: WSGI and CGI servers cannot tell them from those with `-`.
fn remove_claims(headers: &mut HeaderMap, trusted: bool) {
    let is_false = |name: &&HeaderName| is_claim(name) && (!trusted || name.as_str().contains('_'));
    // Allocates only if there is one.
    let gone: Vec<HeaderName> = headers.keys().filter(is_false).cloned().collect();
    for name in gone {
        headers.remove(name);
    }
}

/// Whether a field of this name tells who the client is or what it asked for, as proxies do, with
/// `_` for `-` or without.
pub(super) fn is_claim(name: &HeaderName) -> bool {
    let name = name.as_str().as_bytes();
    PREFIXES.iter().any(|prefix| name.get(..prefix.len()).is_some_and(|part| alike(part, prefix)))
        || SUFFIXES.iter().any(|suffix| {
            let begin = name.len().checked_sub(suffix.len());
            begin.and_then(|begin| name.get(begin..)).is_some_and(|part| alike(part, suffix))
        })
}

/// Whether two texts of the same length are the same but for `_` and `-`.
fn alike(name: &[u8], pattern: &str) -> bool {
    name.iter()
        .zip(pattern.bytes())
        .all(|(byte, expected)| *byte == expected || (*byte == b'_' && expected == b'-'))
}

/// How the names begin by which proxies speak of clients and of what they asked for.
const PREFIXES: [&str; 5] =
    ["x-forward", "x-original-", "x-real-", "x-envoy-original-", "x-envoy-external-"];

/// How such names end: those of CDNs, clouds and servers differ in front.
const SUFFIXES: [&str; 25] = [
    "forwarded",
    "forwarded-for",
    "forwarded-proto",
    "forwarded-host",
    "proxied-for",
    "client-ip",
    "clientip",
    "client-port",
    "connecting-ip",
    "connecting-ipv6",
    "connection-ip",
    "pseudo-ipv4",
    "real-ip",
    "remote-ip",
    "remote-addr",
    "src-ip",
    "user-ip",
    "socketip",
    "originating-ip",
    "viewer-address",
    "cf-visitor",
    "front-end-https",
    "x-scheme",
    "url-scheme",
    "rewrite-url",
];

/// An address as `X-Forwarded-For` writes it; some proxies add the port.
fn forwarded_address(text: &str) -> Option<IpAddr> {
    let bare = text.trim_start_matches('[').trim_end_matches(']');
    let address = bare.parse().ok().or_else(|| Some(text.parse::<SocketAddr>().ok()?.ip()))?;
    Some(address.to_canonical())
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

    /// What strangers have been seen to send, or what some proxy or CDN sets.
    const CLAIMS: [&str; 30] = [
        "Forwarded",
        "X-Forwarded",
        "X-Forwarded-For",
        "X-Forwarded-Port",
        "X-Forwarded-Prefix",
        "X-Forwarded-Ssl",
        "X-Forwarded-Server",
        "X_Forwarded_For",
        "X-Forwarded_For",
        "X-Real-IP",
        "X_Real_IP",
        "X-Client-IP",
        "Client-IP",
        "True-Client-IP",
        "CF-Connecting-IP",
        "CF_Connecting_IP",
        "Fastly-Client-IP",
        "X-Cluster-Client-IP",
        "X-Original-Forwarded-For",
        "X-Original-URL",
        "X-Rewrite-URL",
        "X-ProxyUser-Ip",
        "WL-Proxy-Client-IP",
        "X-Remote-Addr",
        "X-Azure-ClientIP",
        "Fly-Client-IP",
        "X-Originating-IP",
        "CloudFront-Viewer-Address",
        "X-Envoy-External-Address",
        "Front-End-Https",
    ];

    #[test]
    fn nothing_that_a_stranger_says_of_itself_reaches_a_node() {
        let lines: Vec<_> = CLAIMS.iter().map(|name| format!("{name}: forged")).collect();
        let lines: Vec<_> = lines.iter().map(String::as_str).collect();
        let mut fields = headers(&lines);
        put_forwarded(&mut fields, &client(""), "a.b");
        for (name, value) in &fields {
            assert_ne!(value, "forged", "{name}");
        }
        assert_eq!(fields.len(), 6, "{fields:?}");
    }

    #[test]
    fn other_fields_are_no_claims() {
        for name in [
            "x-request-id",
            "user-agent",
            "cookie",
            "x-client",
            "x-original",
            "origin",
            "via",
            "x-client-version",
            "sec-websocket-key",
            "authorization",
            "x-user",
            "x-tip",
        ] {
            assert!(!is_claim(&HeaderName::from_static(name)), "{name}");
        }
    }

    #[test]
    fn the_port_is_the_one_that_the_client_wrote() {
        let check = |trusted: &str, lines: &[&str], host: &str, expected: &str| {
            let mut fields = headers(lines);
            put_forwarded(&mut fields, &client(trusted), host);
            assert_eq!(fields["x-forwarded-port"], expected, "{host} {lines:?}");
        };
        check("", &[], "a.b", "80");
        check("", &["X-Forwarded-Port: 1"], "a.b:8080", "8080");
        check("", &[], "[::1]:81", "81");
        check("", &[], "[::1]", "80");
        check("10.0.0.0/8", &["X-Forwarded-Proto: https"], "a.b", "443");
        check("10.0.0.0/8", &["X-Forwarded-Host: c.d:444"], "a.b:80", "444");
        check("10.0.0.0/8", &["X-Forwarded-Port: 8443"], "a.b:80", "8443");
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
        assert_eq!(fields["x-real-ip"], "10.0.0.9");
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
            "X-Forwarded-Prefix: /app",
            "X_Forwarded_For: 6.6.6.6",
            "X-Real-IP: 6.6.6.6",
            "Forwarded: for=1.1.1.1",
        ]);
        put_forwarded(&mut fields, &client("10.0.0.0/8"), "inner");
        assert_eq!(fields["x-forwarded-for"], "1.1.1.1, 2.2.2.2, 10.0.0.9");
        assert_eq!(fields["x-real-ip"], "2.2.2.2");
        assert_eq!(fields["x-forwarded-prefix"], "/app");
        assert!(!fields.contains_key("x_forwarded_for"));
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
    fn a_client_cannot_hide_behind_bytes_that_are_no_text() {
        let mut fields = HeaderMap::new();
        let value = HeaderValue::from_bytes(b"\xff, 1.1.1.1, 10.0.0.2").unwrap();
        fields.append(X_FORWARDED_FOR, value);
        let found = client_address(&fields, &client("10.0.0.0/8"));
        assert_eq!(found, "1.1.1.1".parse::<IpAddr>().unwrap());
    }

    #[test]
    fn an_address_is_written_as_the_standard_library_does() {
        for address in
            ["0.0.0.0", "1.2.3.4", "9.10.99.100", "199.200.201.255", "::1", "2001:db8::9"]
        {
            assert_eq!(text_of(address.parse().unwrap()), address);
        }
    }
}
