//! Tells a node which client a request comes from.
//!
//! `X-Forwarded-For`, `-Proto`, `-Host`, `-Port`, `-Client-Cert`, `X-Real-IP` and `Forwarded` (RFC 7239)
//! are ours.
//! The content of these fields, and of any other in which proxies describe clients, is accepted
//! from a trusted proxy only; nothing of it reaches a node from others.
//!
//! Pure. Runs for every request.

use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};

use http::header::{FORWARDED, HeaderMap, HeaderName, HeaderValue};

use super::headers::list;
use super::target::port_of;
use crate::net::{ClientInfo, is_in};

/// The client's address as far as it is known, nearest proxy last (de facto standard).
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
/// The certificate of the client, in the form that Envoy gave this field.
const X_FORWARDED_CLIENT_CERT: HeaderName = HeaderName::from_static("x-forwarded-client-cert");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");
/// The part of the client's path that was removed (de facto standard, from Traefik and Spring).
pub(super) const X_FORWARDED_PREFIX: HeaderName = HeaderName::from_static("x-forwarded-prefix");
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

/// The host that the client itself asked for, if a trusted proxy says it.
pub(super) fn original_host<'a>(headers: &'a HeaderMap, client: &ClientInfo) -> Option<&'a str> {
    let said = headers.get(&X_FORWARDED_HOST).filter(|_| client.is_trusted())?;
    // Each proxy may have added its own; the first is the one that the client wrote.
    said.to_str().ok()?.split(',').next().map(str::trim)
}

/// The scheme by which the client itself came, if a trusted proxy says it, else that of its connection.
pub(super) fn original_scheme(headers: &HeaderMap, client: &ClientInfo) -> &'static str {
    let said = headers.get(&X_FORWARDED_PROTO).filter(|_| client.is_trusted());
    match said.map(HeaderValue::as_bytes) {
        Some(b"https" | b"wss") => "https",
        Some(b"http" | b"ws") => "http",
        Some(_) | None => client.scheme.as_str(),
    }
}

/// The part of the path that a node does not see, because the route removes `stripped` and a trusted
/// proxy before us what it says.
pub(super) fn forwarded_prefix<'a>(
    headers: &HeaderMap,
    client: &ClientInfo,
    stripped: &'a str,
) -> Cow<'a, str> {
    let said = headers.get(&X_FORWARDED_PREFIX).filter(|_| client.is_trusted());
    match said.and_then(|said| said.to_str().ok()).map(|said| said.trim_end_matches('/')) {
        Some(outer) if outer.starts_with('/') => Cow::Owned(format!("{outer}{stripped}")),
        Some(_) | None => Cow::Borrowed(stripped),
    }
}

/// What a node is told about its client. A trusted proxy's `X-Forwarded-Proto`, `-Host` and `-Port`
/// stay, and ours are added only if they are missing.
#[derive(Debug)]
pub(super) struct Forwarded<'a> {
    /// `X-Forwarded-For`.
    addresses: String,
    /// `Forwarded`.
    elements: String,
    real_ip: String,
    proto: Option<&'static str>,
    host: Option<&'a str>,
    port: Option<Cow<'static, str>>,
    certificate: Option<&'a str>,
}

impl<'a> Forwarded<'a> {
    /// Of a request for `host`; `real` is the client's [address](client_address).
    pub(super) fn new(
        headers: &HeaderMap,
        client: &'a ClientInfo,
        real: IpAddr,
        host: &'a str,
    ) -> Self {
        // No field of an untrusted client is accepted.
        let trusted = client.is_trusted().then_some(headers);
        let list = |name| trusted.map_or_else(String::new, |headers| joined(headers, name));
        let is_missing = |name| trusted.is_none_or(|headers| !headers.contains_key(name));
        let address = client.address.ip().to_canonical();
        let address_text = text_of(address);
        let scheme = client.scheme.as_str();
        let (before, behind) = match address {
            IpAddr::V4(_) => ("for=", ";host=\""),
            IpAddr::V6(_) => ("for=\"[", "]\";host=\""),
        };
        let element = [before, &address_text, behind, host, "\";proto=", scheme];
        Self {
            addresses: append(list(&X_FORWARDED_FOR), &[&address_text]),
            elements: append(list(&FORWARDED), &element),
            real_ip: if real == address { address_text } else { text_of(real) },
            proto: is_missing(X_FORWARDED_PROTO).then_some(scheme),
            host: is_missing(X_FORWARDED_HOST).then_some(host),
            port: is_missing(X_FORWARDED_PORT).then(|| port(trusted, scheme, host)),
            certificate: client
                .certificate
                .as_ref()
                .filter(|_| is_missing(X_FORWARDED_CLIENT_CERT))
                .map(|certificate| &*certificate.field),
        }
    }

    /// The fields, each with its value.
    pub(super) fn fields(&self) -> impl Iterator<Item = (&HeaderName, &[u8])> {
        static NAMES: [HeaderName; 7] = [
            X_FORWARDED_FOR,
            FORWARDED,
            X_REAL_IP,
            X_FORWARDED_PROTO,
            X_FORWARDED_HOST,
            X_FORWARDED_PORT,
            X_FORWARDED_CLIENT_CERT,
        ];
        let values = [
            Some(&*self.addresses),
            Some(&*self.elements),
            Some(&*self.real_ip),
            self.proto,
            self.host,
            self.port.as_deref(),
            self.certificate,
        ];
        NAMES.iter().zip(values).filter_map(|(name, value)| Some((name, value?.as_bytes())))
    }
}

/// The port that the client wrote, or that of its scheme: behind a port that is mapped, ours would
/// not be the one that it connects to.
fn port(trusted: Option<&HeaderMap>, scheme: &str, host: &str) -> Cow<'static, str> {
    let said = |name| Some(trusted?.get(name)?.to_str().unwrap_or_default());
    if let Some(port) = port_of(said(X_FORWARDED_HOST).unwrap_or(host)) {
        return port.to_string().into();
    }
    match said(X_FORWARDED_PROTO).unwrap_or(scheme) {
        "https" | "wss" => "443".into(),
        _ => "80".into(),
    }
}

/// Whether a claim of a trusted proxy goes on as it is: neither a name with `_`, which no proxy
/// writes and which WSGI and CGI servers cannot tell from one with `-`, nor a field that we extend.
pub(super) fn may_pass(name: &HeaderName) -> bool {
    let is_extended = *name == X_FORWARDED_FOR || *name == FORWARDED || *name == X_REAL_IP;
    !is_extended && !name.as_str().contains('_')
}

/// Whether a field of this name tells who the client is or what it asked for, as proxies do, with
/// `_` for `-` or without.
pub(super) fn is_claim(name: &HeaderName) -> bool {
    let name = name.as_str().as_bytes();
    has_claim_prefix(name) || has_claim_suffix(name)
}

/// Whether `name` begins as the names do by which proxies speak of clients and of what they asked
/// for.
fn has_claim_prefix(name: &[u8]) -> bool {
    let [b'x', b'-' | b'_', rest @ ..] = name else { return has_certificate_prefix(name) };
    let prefixes: &[&str] = match rest.first() {
        Some(b'a') => &["amzn-mtls-", "arr-clientcert", "arr-ssl"],
        Some(b'c') => CERTIFICATE_PREFIXES,
        Some(b'e') => &["envoy-original-", "envoy-external-"],
        Some(b'f') => &["forward"],
        Some(b'o') => &["original-"],
        Some(b'r') => &["real-"],
        Some(b's') => &["ssl"],
        Some(b't') => &["tls-client-"],
        Some(_) | None => &[],
    };
    prefixes.iter().any(|prefix| rest.get(..prefix.len()).is_some_and(|part| alike(part, prefix)))
}

/// Whether `name` begins as those of fields about a client's certificate do that have no `x-`: RFC 9440,
/// section 2, and ingress-nginx.
fn has_certificate_prefix(name: &[u8]) -> bool {
    let prefixes: &[&str] = match name.first() {
        Some(b'c') => CERTIFICATE_PREFIXES,
        Some(b's') => &["ssl-client-"],
        Some(b't') => &["tls-client-"],
        Some(_) | None => return false,
    };
    prefixes.iter().any(|prefix| name.get(..prefix.len()).is_some_and(|part| alike(part, prefix)))
}

/// Of names about a client's certificate.
const CERTIFICATE_PREFIXES: &[&str] =
    &["client-cert", "clientcert", "client-verify", "client-dn", "client-subject", "client-ssl"];

/// Whether `name` ends as such names do: those of CDNs, clouds and servers differ in front. By the
/// last letter first, so that the usual fields are compared with two or three of them.
fn has_claim_suffix(name: &[u8]) -> bool {
    let suffixes: &[&str] = match name.last() {
        Some(b'4') => &["pseudo-ipv4"],
        Some(b'6') => &["connecting-ipv6"],
        Some(b'd') => &["forwarded"],
        Some(b'e') => &["x-scheme", "url-scheme"],
        Some(b'l') => &["rewrite-url"],
        Some(b'o') => &["forwarded-proto"],
        Some(b'p') => &[
            "client-ip",
            "clientip",
            "connecting-ip",
            "connection-ip",
            "real-ip",
            "remote-ip",
            "src-ip",
            "user-ip",
            "socketip",
            "originating-ip",
        ],
        Some(b'r') => &["forwarded-for", "proxied-for", "remote-addr", "cf-visitor"],
        Some(b's') => &["viewer-address", "front-end-https"],
        Some(b't') => &["forwarded-host", "client-port"],
        Some(_) | None => &[],
    };
    suffixes.iter().any(|suffix| {
        let begin = name.len().checked_sub(suffix.len());
        begin.and_then(|begin| name.get(begin..)).is_some_and(|part| alike(part, suffix))
    })
}

/// Whether two texts of the same length are the same except for `_` and `-`. From their ends, for that
/// is where names of fields differ most; and by hand, for an iterator over pairs took five times as
/// long.
fn alike(name: &[u8], pattern: &str) -> bool {
    let (mut name, mut pattern) = (name, pattern.as_bytes());
    while let (Some((byte, before)), Some((expected, rest))) =
        (name.split_last(), pattern.split_last())
    {
        if byte != expected && (*byte, *expected) != (b'_', b'-') {
            return false;
        }
        (name, pattern) = (before, rest);
    }
    true
}

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
    use http::HeaderValue;

    use super::super::tests::{client, headers};
    use super::*;

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
