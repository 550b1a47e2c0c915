//! Which pages may use a route, by the `Origin` of their requests (RFC 6454, section 7).
//!
//! A browser lets a page of any site open a WebSocket to any host and sends the cookies of that host
//! along: CORS does not apply to WebSockets. `Origin` is the only field that says which page it is.
//! Programs that are no browsers send none, and could send any.
//!
//! Pure. Runs for every request.

use std::fmt;
use std::net::Ipv6Addr;

use http::Method;
use http::header::{ACCESS_CONTROL_REQUEST_METHOD, HeaderMap, ORIGIN};

/// The origins that may use a route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Origins(Vec<OriginRule>);

/// One rule of `origins:`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum OriginRule {
    /// `any`: all pages.
    Any,
    /// `same-host`: pages of the host and port that the request is for. The scheme is not compared:
    /// behind a load balancer that terminates TLS it is not ours.
    SameHost,
    /// `null`: pages without an origin of their own, such as sandboxed frames and local files.
    Null,
    /// Pages of this origin, or of the origins below its host.
    Pages(OriginPattern),
}

/// An origin, or with a wildcard all origins below a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OriginPattern {
    scheme: Box<str>,
    /// With a dot at its beginning if it is a wildcard.
    host: Box<str>,
    port: Option<u16>,
}

impl Origins {
    /// The origins that one of `rules` allows.
    pub(crate) fn new(rules: Vec<OriginRule>) -> Self {
        Self(rules)
    }

    /// The rules, in the order of the configuration.
    pub(crate) fn rules(&self) -> &[OriginRule] {
        &self.0
    }

    /// Whether a request for `host` with these fields may go on. One without `Origin` may: it is of
    /// no page, or of one of the same origin.
    pub(crate) fn allow(&self, headers: &HeaderMap, host: &str) -> bool {
        let mut fields = headers.get_all(ORIGIN).into_iter();
        let Some(field) = fields.next() else { return true };
        if self.0.contains(&OriginRule::Any) {
            return true;
        }
        // Two fields have two meanings.
        if fields.next().is_some() {
            return false;
        }
        let text = std::str::from_utf8(field.as_bytes()).unwrap_or_default();
        let origin = Origin::parse(text);
        self.0.iter().any(|rule| match (rule, &origin) {
            (OriginRule::Any, _) => true,
            (OriginRule::Null, _) => text == NULL,
            (OriginRule::SameHost, Some(origin)) => origin.is_of_host(host),
            (OriginRule::Pages(pattern), Some(origin)) => pattern.matches(origin),
            (OriginRule::SameHost | OriginRule::Pages(_), None) => false,
        })
    }
}

/// Whether a request for `host` comes from a page of another host.
pub(crate) fn is_foreign(headers: &HeaderMap, host: &str) -> bool {
    headers.contains_key(ORIGIN) && !Origins(vec![OriginRule::SameHost]).allow(headers, host)
}

/// Whether a request is a browser's question whether a page may send another one. It cannot carry
/// credentials (Fetch standard, section 3.3.6).
pub(crate) fn is_preflight(method: &Method, headers: &HeaderMap) -> bool {
    *method == Method::OPTIONS
        && headers.contains_key(ORIGIN)
        && headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD)
}

impl OriginRule {
    /// The rule that `text` writes. `None` if it is neither a word nor an origin.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        match text {
            ANY => Some(Self::Any),
            SAME_HOST => Some(Self::SameHost),
            NULL => Some(Self::Null),
            text => OriginPattern::parse(text).map(Self::Pages),
        }
    }
}

impl fmt::Display for OriginRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str(ANY),
            Self::SameHost => f.write_str(SAME_HOST),
            Self::Null => f.write_str(NULL),
            Self::Pages(OriginPattern { scheme, host, port }) => {
                let wildcard = if host.starts_with('.') { "*" } else { "" };
                write!(f, "{scheme}://{wildcard}{host}")?;
                port.map_or(Ok(()), |port| write!(f, ":{port}"))
            }
        }
    }
}

impl OriginPattern {
    /// `https://app.example.com`, `https://app.example.com:8443` or `https://*.example.com`.
    fn parse(text: &str) -> Option<Self> {
        let (scheme, rest) = text.split_once("://")?;
        let exact = format!("{scheme}://{}", rest.strip_prefix("*.").unwrap_or(rest));
        let Origin { scheme, host, port } = Origin::parse(&exact)?;
        let is_wildcard = rest.starts_with("*.");
        if is_wildcard && host.starts_with('[') {
            return None;
        }
        let dot = if is_wildcard { "." } else { "" };
        Some(Self { scheme: scheme.into(), host: format!("{dot}{host}").into(), port })
    }

    fn matches(&self, origin: &Origin) -> bool {
        let is_host = match self.host.strip_prefix('.') {
            Some(_) => origin.host.len() > self.host.len() && origin.host.ends_with(&*self.host),
            None => origin.host == *self.host,
        };
        is_host && *self.scheme == origin.scheme && self.port == origin.port
    }
}

/// An origin as a browser writes it. Names are lower case; the default port of a scheme is none.
#[derive(Debug, PartialEq, Eq)]
struct Origin {
    scheme: String,
    host: String,
    port: Option<u16>,
}

impl Origin {
    /// `None` if `text` is not `scheme "://" host [ ":" port ]`.
    fn parse(text: &str) -> Option<Self> {
        let (scheme, rest) = text.split_once("://")?;
        let is_scheme_byte = |b: u8| b.is_ascii_alphanumeric() || b"+-.".contains(&b);
        if !scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            || !scheme.bytes().all(is_scheme_byte)
        {
            return None;
        }
        let scheme = scheme.to_ascii_lowercase();
        let (host, port) = split_port(rest)?;
        let host = host.to_ascii_lowercase();
        let port = port.filter(|port| Some(*port) != default_port(&scheme));
        is_host(&host).then_some(Self { scheme, host, port })
    }

    /// Whether it is an origin of `host`, an authority as a request names it.
    fn is_of_host(&self, host: &str) -> bool {
        let Some(default_port) = default_port(&self.scheme) else { return false };
        let Some((name, port)) = split_port(host) else { return false };
        let port = port.filter(|port| *port != default_port);
        name.eq_ignore_ascii_case(&self.host) && port == self.port
    }
}

/// The host and the port of an authority without user.
fn split_port(authority: &str) -> Option<(&str, Option<u16>)> {
    let name_end = match authority.starts_with('[') {
        true => authority.find(']')? + 1,
        false => authority.find(':').unwrap_or(authority.len()),
    };
    let (name, port) = authority.split_at_checked(name_end)?;
    if port.is_empty() {
        return Some((name, None));
    }
    let digits = port.strip_prefix(':')?;
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    Some((name, Some(is_number.then(|| digits.parse().ok()).flatten()?)))
}

/// Whether `name` may be the host of an origin: a name, or an IPv6 address in brackets. A dot at the
/// end is part of the name: to a browser it is another origin.
fn is_host(name: &str) -> bool {
    if let Some(literal) = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return literal.parse::<Ipv6Addr>().is_ok();
    }
    let is_name_byte = |b: u8| b.is_ascii_alphanumeric() || b"-._".contains(&b);
    !name.is_empty() && !name.starts_with('.') && name.bytes().all(is_name_byte)
}

fn default_port(scheme: &str) -> Option<u16> {
    match scheme {
        "http" | "ws" => Some(80),
        "https" | "wss" => Some(443),
        _ => None,
    }
}

const ANY: &str = "any";
const SAME_HOST: &str = "same-host";
const NULL: &str = "null";

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn origins(rules: &[&str]) -> Origins {
        Origins::new(rules.iter().map(|rule| OriginRule::parse(rule).unwrap()).collect())
    }

    fn from(origins: &[&[u8]]) -> HeaderMap {
        let value = |origin: &&[u8]| (ORIGIN, HeaderValue::from_bytes(origin).unwrap());
        origins.iter().map(value).collect()
    }

    /// Whether a page of `origin` may use `chat.example.com` under `rules`.
    fn check(rules: &[&str], origin: &str, expected: bool) {
        let allowed = origins(rules).allow(&from(&[origin.as_bytes()]), "chat.example.com");
        assert_eq!(allowed, expected, "{rules:?} {origin}");
    }

    #[test]
    fn an_exact_origin_is_that_origin_and_no_other() {
        let rules = ["https://example.com"];
        check(&rules, "https://example.com", true);
        check(&rules, "https://example.com:443", true);
        check(&rules, "HTTPS://EXAMPLE.com", true);
        for foreign in [
            "http://example.com",
            "https://example.com:444",
            "https://example.com.",
            "https://example.com.evil.com",
            "https://evil.com/https://example.com",
            "https://user@example.com",
            "https://example.com@evil.com",
            "https://example.com/",
            "https://example.com\\.evil.com",
            "https://example.com%2eevil.com",
            "https://a.example.com",
            "https://notexample.com",
            "https://example.com:",
            "https://example.com:+443",
            "https://example.com:443x",
            "https://example.com:99999",
            "https:example.com",
            "https://",
            "example.com",
            "null",
            "",
        ] {
            check(&rules, foreign, false);
        }
        check(&["https://example.com:8443"], "https://example.com:8443", true);
        check(&["https://example.com:8443"], "https://example.com", false);
        check(&["http://[::1]:8080"], "http://[::1]:8080", true);
        check(&["capacitor://localhost"], "capacitor://localhost", true);
    }

    #[test]
    fn a_wildcard_is_what_is_below_the_host_with_its_scheme_and_port() {
        let rules = ["https://*.example.com"];
        check(&rules, "https://a.example.com", true);
        check(&rules, "https://a.b.example.com:443", true);
        for foreign in [
            "https://example.com",
            "https://.example.com",
            "https://badexample.com",
            "https://a.example.com.",
            "https://a.example.com.evil.com",
            "https://evil.com#.example.com",
            "https://evil.com?.example.com",
            "https://evil.com/.example.com",
            "https://u:p@a.example.com",
            "http://a.example.com",
            "https://a.example.com:8443",
        ] {
            check(&rules, foreign, false);
        }
    }

    #[test]
    fn the_same_host_has_the_same_name_and_port() {
        let check = |origin: &str, host: &str, expected: bool| {
            let allowed = origins(&["same-host"]).allow(&from(&[origin.as_bytes()]), host);
            assert_eq!(allowed, expected, "{origin} at {host}");
        };
        check("https://a.b", "a.b", true);
        check("https://A.b", "a.B:443", true);
        check("http://a.b", "a.b:80", true);
        check("http://a.b:8080", "a.b:8080", true);
        check("http://[::1]:8080", "[::1]:8080", true);
        check("http://a.b:8080", "a.b", false);
        check("https://a.b", "a.b:8443", false);
        check("https://a.b", "a.b:80", false);
        check("https://a.b.", "a.b", false);
        check("https://x.a.b", "a.b", false);
        check("app://a.b", "a.b", false);
        check("null", "null", false);
        check("https://a.b", "", false);
    }

    #[test]
    fn a_request_without_an_origin_is_of_no_page_and_null_must_be_allowed_by_name() {
        assert!(origins(&["same-host"]).allow(&HeaderMap::new(), "a.b"));
        assert!(!is_foreign(&HeaderMap::new(), "a.b"));
        check(&["null"], "null", true);
        check(&["null"], "NULL", false);
        check(&["any"], "null", true);
        check(&["same-host", "https://a.b"], "null", false);
    }

    #[test]
    fn two_origins_and_what_is_no_text_are_refused() {
        let rules = origins(&["https://a.b", "null"]);
        assert!(!rules.allow(&from(&[b"https://a.b", b"https://a.b"]), "a.b"));
        assert!(!rules.allow(&from(&[b"https://a.b\xff"]), "a.b"));
        assert!(!rules.allow(&from(&[b"https://a.b https://c.d"]), "a.b"));
        assert!(origins(&["any"]).allow(&from(&[b"a", b"b"]), "a.b"));
    }

    #[test]
    fn a_rule_is_shown_as_it_is_written() {
        for text in ["any", "same-host", "null", "https://a.b", "https://*.a.b:8443", "app://x"] {
            assert_eq!(OriginRule::parse(text).unwrap().to_string(), text);
        }
        for text in ["a.b", "https://a.b/", "https://*", "https://*a.b", "https://*.[::1]", "*", ""]
        {
            assert_eq!(OriginRule::parse(text), None, "{text}");
        }
    }
}
