//! Where a server listens, and for which names.
//!
//! Pure. Runs at start, at reload, or on a timer.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::super::tree::{Directive, Position};
use super::regex::PathRegex;

/// One `listen`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listen {
    /// The address; `None` is a Unix socket.
    pub address: Option<IpAddr>,
    /// The port; 0 for a Unix socket.
    pub port: u16,
    /// Whether it speaks TLS.
    pub is_tls: bool,
    /// Whether it offers HTTP/2.
    pub is_http2: bool,
    /// Whether connections begin with a PROXY header.
    pub has_proxy_header: bool,
    /// Whether the server is the one for all names that no other server has.
    pub is_default: bool,
    /// Whether it is for HTTP/3.
    pub is_quic: bool,
    /// Where it is written.
    pub at: Position,
}

/// One of `server_name`.
#[derive(Clone, Debug)]
pub enum ServerName {
    /// `chat.example.com`, in lower case.
    Exact(String),
    /// `*.example.com`, holds `.example.com`.
    Below(String),
    /// `.example.com`, which is `example.com` and `*.example.com`; holds `.example.com`.
    WithBelow(String),
    /// `www.example.*`, holds `www.example.`.
    Ending(String),
    /// `~^www\d+\.example\.com$`.
    Regex(String, Option<PathRegex>),
    /// `_`, an empty name, or another one that no client asks for.
    Nobody,
}

impl Listen {
    /// What `directive` says; `None` if it says no address.
    pub(super) fn parse(directive: &Directive) -> Option<Self> {
        let (address, port) = address(directive.argument(0)?)?;
        let has = |word: &str| directive.texts().skip(1).any(|text| text == word);
        Some(Self {
            address,
            port,
            is_tls: has("ssl") || has("spdy") || has("quic"),
            is_http2: has("http2"),
            has_proxy_header: has("proxy_protocol"),
            is_default: has("default_server") || has("default"),
            is_quic: has("quic") || has("http3"),
            at: directive.at.clone(),
        })
    }

    /// Of a server without `listen`.
    pub(super) fn missing(at: &Position) -> Self {
        Self {
            address: Some(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
            port: 80,
            is_tls: false,
            is_http2: false,
            has_proxy_header: false,
            is_default: false,
            is_quic: false,
            at: at.clone(),
        }
    }
}

/// The address and the port that `text` writes. A name other than `localhost` counts as all addresses.
fn address(text: &str) -> Option<(Option<IpAddr>, u16)> {
    if text.starts_with("unix:") {
        return Some((None, 0));
    }
    if let Ok(port) = text.parse() {
        return Some((Some(Ipv4Addr::UNSPECIFIED.into()), port));
    }
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !text.ends_with(']') => (host, port.parse().ok()?),
        _ => (text, 80),
    };
    let address = match host.trim_matches(['[', ']']) {
        "*" | "" => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        "::" => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        "localhost" => IpAddr::V4(Ipv4Addr::LOCALHOST),
        host => match host.parse() {
            Ok(address) => address,
            Err(_)
                if host
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte)) =>
            {
                IpAddr::V4(Ipv4Addr::UNSPECIFIED)
            }
            Err(_) => return None,
        },
    };
    Some((Some(address), port))
}

impl ServerName {
    pub(super) fn parse(text: &str) -> Self {
        if let Some(expression) = text.strip_prefix('~') {
            return Self::Regex(expression.to_owned(), PathRegex::compile(expression, true));
        }
        let name = text.to_ascii_lowercase();
        let is_name = |name: &str| {
            !name.is_empty()
                && name
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte))
        };
        if let Some(below) = name.strip_prefix("*.").filter(|below| is_name(below)) {
            return Self::Below(format!(".{below}"));
        }
        if name.strip_prefix('.').is_some_and(is_name) {
            return Self::WithBelow(name);
        }
        if let Some(start) =
            name.strip_suffix('*').filter(|start| start.ends_with('.') && is_name(start))
        {
            return Self::Ending(start.to_owned());
        }
        if name == "_" || name.contains("$") || !is_name(&name) {
            Self::Nobody
        } else {
            Self::Exact(name)
        }
    }

    /// The name, if it is that of one host.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Exact(name) => Some(name),
            Self::Below(_)
            | Self::WithBelow(_)
            | Self::Ending(_)
            | Self::Regex(..)
            | Self::Nobody => None,
        }
    }

    /// How specific the match of `host` is; the greatest is chosen. `None`: it does not match.
    pub(super) fn rank(&self, host: &str) -> Option<(u8, usize)> {
        match self {
            Self::Exact(name) => (name == host).then_some((4, 0)),
            Self::WithBelow(suffix) if suffix.strip_prefix('.') == Some(host) => Some((4, 0)),
            Self::Below(suffix) | Self::WithBelow(suffix) => (host.len() > suffix.len()
                && host.ends_with(suffix.as_str()))
            .then_some((3, suffix.len())),
            Self::Ending(start) => (host.len() > start.len() && host.starts_with(start.as_str()))
                .then_some((2, start.len())),
            Self::Regex(_, regex) => regex.as_ref()?.is_match(host).then_some((1, 0)),
            Self::Nobody => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_in_all_its_forms() {
        let check = |text: &str, expected: Option<&str>| {
            let found = address(text).map(|(address, port)| match address {
                Some(address) => std::net::SocketAddr::new(address, port).to_string(),
                None => "unix".to_owned(),
            });
            assert_eq!(found.as_deref(), expected, "{text}");
        };
        check("80", Some("0.0.0.0:80"));
        check("*:8080", Some("0.0.0.0:8080"));
        check("127.0.0.1", Some("127.0.0.1:80"));
        check("10.0.0.1:81", Some("10.0.0.1:81"));
        check("localhost:81", Some("127.0.0.1:81"));
        check("[::]:443", Some("[::]:443"));
        check("[::1]", Some("[::1]:80"));
        check("unix:/run/a.sock", Some("unix"));
        check("example.com:80", Some("0.0.0.0:80"));
        check("a b", None);
        check("80:x", None);
    }

    #[test]
    fn the_most_specific_name_has_the_highest_rank() {
        let rank = |name: &str, host: &str| ServerName::parse(name).rank(host);
        assert!(rank("A.example.com", "a.example.com") > rank("*.example.com", "a.example.com"));
        assert!(
            rank("*.b.example.com", "a.b.example.com") > rank("*.example.com", "a.b.example.com")
        );
        assert!(rank("*.example.com", "a.example.com") > rank("a.example.*", "a.example.com"));
        assert!(rank("a.example.*", "a.example.com") > rank(r"~^a\.", "a.example.com"));
        assert!(rank(".example.com", "example.com").is_some());
        assert!(rank("*.example.com", "example.com").is_none());
        assert!(rank("_", "_").is_none());
        assert!(rank("", "").is_none());
    }
}
