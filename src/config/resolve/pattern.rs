//! Host and path patterns as the operator writes them.
//!
//! Pure. Runs at start, at reload, or on a timer.

use std::net::Ipv6Addr;

use super::address::is_host_name;
use crate::route::{HostPattern, PathPattern, PathPrefix};
use crate::yaml::Diagnostic;

/// `*`, `*.example.com`, a name or an IP address; an IPv6 address in brackets, as in a URL.
pub(super) fn host(text: &str) -> Result<HostPattern, Diagnostic> {
    if text == "*" {
        return Ok(HostPattern::Any);
    }
    let lower = text.to_ascii_lowercase();
    if let Some(name) = lower.strip_prefix("*.").filter(|name| is_host_name(name)) {
        return Ok(HostPattern::Below(format!(".{name}").into()));
    }
    let is_bracketed_ip = lower
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .is_some_and(|inside| inside.parse::<Ipv6Addr>().is_ok());
    if is_bracketed_ip || is_host_name(&lower) {
        return Ok(HostPattern::Exact(lower.into()));
    }
    Err(not_a_host(&lower))
}

/// All paths that begin with `text`.
pub(super) fn prefix(text: &str) -> Result<PathPattern, Diagnostic> {
    if let Some(before) = text.strip_suffix('*') {
        let diagnostic = Diagnostic::new("ends with `*`, but a path is a prefix without it");
        return Err(diagnostic.help(format!("write {before}")));
    }
    path_of_route(text).map(|path| PathPattern::Prefix(path.into()))
}

/// Exactly the path `text`.
pub(super) fn exact(text: &str) -> Result<PathPattern, Diagnostic> {
    path_of_route(text).map(|path| PathPattern::Exact(path.into()))
}

/// The segments of `text`, which are removed from paths or added to them.
pub(super) fn segments(text: &str) -> Result<PathPrefix, Diagnostic> {
    path(text).and_then(PathPrefix::parse)
}

fn not_a_host(text: &str) -> Diagnostic {
    if let Some((_, rest)) = text.split_once("://") {
        let name = rest.split(['/', ':', '?']).next().unwrap_or_default();
        return Diagnostic::new("is a URL, not a host name").help(format!("write {name}"));
    }
    if let Some((name, path)) = text.split_once('/') {
        return Diagnostic::new("has a path").help(format!("write host: {name} and path: /{path}"));
    }
    if !text.is_ascii() {
        return Diagnostic::new("is not ASCII").help("write it as browsers send it: xn--...");
    }
    if text.parse::<Ipv6Addr>().is_ok() {
        return Diagnostic::new("needs brackets").help(format!("write \"[{text}]\""));
    }
    if let Some((name, _)) = text.rsplit_once(':') {
        return Diagnostic::new("has a port")
            .help(format!("write {name}; the port is the listener's"));
    }
    if text.contains('*') {
        let diagnostic = Diagnostic::new("has a `*` that is not the whole first label");
        return diagnostic.help("write \"*.example.com\", or \"*\" for all hosts");
    }
    Diagnostic::new("is not a host name").help("write a name such as chat.example.com")
}

/// A path by which a route is found: a request has the route of its path with single slashes.
fn path_of_route(text: &str) -> Result<&str, Diagnostic> {
    if text.contains("//") {
        let diagnostic = Diagnostic::new("has two slashes in a row, which no path of a route has");
        return Err(diagnostic.help("write one: `//a` is refused if `/a` has another route"));
    }
    path(text)
}

fn path(text: &str) -> Result<&str, Diagnostic> {
    if !text.starts_with('/') {
        let diagnostic = Diagnostic::new("does not begin with a slash");
        return Err(match text.split_once("://").and_then(|(_, rest)| rest.split_once('/')) {
            Some((_, path)) => diagnostic.help(format!("write /{path}")),
            None => diagnostic.help(format!("write /{text}")),
        });
    }
    let is_plain = |c: char| c.is_ascii_graphic() && !PATH_REFUSED.contains(&c);
    if let Some(stray) = text.chars().find(|c| !is_plain(*c)) {
        let diagnostic = Diagnostic::new(format!("has a {stray:?}, which is not valid in a path"));
        return Err(
            diagnostic.help("write the path as clients send it, percent-encoded, without query")
        );
    }
    // Clients remove such segments before they send a request.
    if text.split('/').any(|segment| matches!(segment, "." | "..")) {
        return Err(Diagnostic::new("has a `.` or `..` segment").help("write the path without it"));
    }
    Ok(text)
}

/// Printable ASCII characters that RFC 3986, section 3.3 does not allow in a path.
const PATH_REFUSED: [char; 12] = ['?', '#', '"', '<', '>', '[', ']', '\\', '^', '`', '{', '}'];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_a_name_a_wildcard_or_an_address() {
        let check = |text: &str, expected: HostPattern| assert_eq!(host(text), Ok(expected));
        let exact = |name: &str| HostPattern::Exact(name.into());
        check("*", HostPattern::Any);
        check("*.Example.com", HostPattern::Below(".example.com".into()));
        check("Chat.example.com", exact("chat.example.com"));
        check("localhost", exact("localhost"));
        check("10.0.0.1", exact("10.0.0.1"));
        check("[::1]", exact("[::1]"));
    }

    #[test]
    fn an_invalid_host_is_refused_with_a_hint() {
        let check = |text: &str, what: &str, help: &str| {
            let diagnostic = host(text).unwrap_err();
            assert_eq!((diagnostic.what(), diagnostic.help_text()), (what, Some(help)), "{text}");
        };
        let name = "write chat.example.com";
        check("https://chat.example.com", "is a URL, not a host name", name);
        check("wss://chat.example.com:8/a", "is a URL, not a host name", name);
        check("a.com/chat", "has a path", "write host: a.com and path: /chat");
        check("a.com:443", "has a port", "write a.com; the port is the listener's");
        check("[::1]:443", "has a port", "write [::1]; the port is the listener's");
        check("::1", "needs brackets", "write \"[::1]\"");
        check("bücher.de", "is not ASCII", "write it as browsers send it: xn--...");
        for text in ["a.*.com", "*a.com", "**", "*.", "*.*.com"] {
            let help = "write \"*.example.com\", or \"*\" for all hosts";
            check(text, "has a `*` that is not the whole first label", help);
        }
        for text in ["", "a b", "a.com.", "a..b", "10.0.0.256"] {
            check(text, "is not a host name", "write a name such as chat.example.com");
        }
    }

    #[test]
    fn a_path_begins_with_a_slash_and_is_as_clients_send_it() {
        let check = |text: &str| assert_eq!(path(text), Ok(text));
        check("/");
        check("/socket.io/");
        check("/a%20b;v=1/~x,y@z:!$&'()*+=|");

        let refuse = |text: &str, what: &str| assert_eq!(path(text).unwrap_err().what(), what);
        refuse("", "does not begin with a slash");
        refuse("socket.io/", "does not begin with a slash");
        refuse("https://a.com/chat", "does not begin with a slash");
        refuse("/a?b", "has a '?', which is not valid in a path");
        refuse("/a#b", "has a '#', which is not valid in a path");
        refuse("/a b", "has a ' ', which is not valid in a path");
        refuse("/ü", "has a 'ü', which is not valid in a path");
        refuse("/a/../b", "has a `.` or `..` segment");
        assert_eq!(prefix("/chat/*").unwrap_err().help_text(), Some("write /chat/"));
        assert_eq!(exact("/chat/*"), Ok(PathPattern::Exact("/chat/*".into())));
    }
}
