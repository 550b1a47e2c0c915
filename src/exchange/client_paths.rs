//! The paths in a node's response as its client finds them, where a route changes the path or the host:
//! those of `Location` and of cookies. Bodies are not changed.
//!
//! Pure. Runs for every request.

use std::sync::Arc;

use http::header::{HeaderMap, HeaderValue, LOCATION, SET_COOKIE};

use super::target;
use crate::route::{PathRewrite, Policy, Variables};

/// How the paths of a node become those of the client.
#[derive(Debug)]
pub(super) struct ClientPaths {
    rewrite: Option<Arc<PathRewrite>>,
    /// The hosts that the client asked for, as the node knows them; the second is the client's own.
    hosts: [Box<str>; 2],
    scheme: &'static str,
    /// The `Host` that the node got instead.
    node_host: Option<HeaderValue>,
}

impl ClientPaths {
    /// For the response to a request of `route` for `host`. `None` if nodes get the path and the host
    /// of the client.
    pub(super) fn new(route: &Policy, host: &str, variables: &Variables<'_>) -> Option<Self> {
        let changes = route.changes.as_ref();
        let node_host = changes.and_then(|changes| changes.request.host(variables));
        if route.rewrite.is_none() && node_host.is_none() {
            return None;
        }
        let hosts = [host, variables.host].map(Box::from);
        Some(Self { rewrite: route.rewrite.clone(), hosts, scheme: variables.scheme, node_host })
    }

    /// Changes the fields of a node's response.
    pub(super) fn restore(&self, headers: &mut HeaderMap) {
        let location = headers.get(LOCATION).and_then(|value| self.location(value.as_bytes()));
        if let Some(location) = location {
            headers.insert(LOCATION, location);
        }
        if let http::header::Entry::Occupied(mut cookies) = headers.entry(SET_COOKIE) {
            for cookie in cookies.iter_mut() {
                if let Some(restored) = self.cookie(cookie.as_bytes()) {
                    *cookie = restored;
                }
            }
        }
    }

    /// Another location for the same resource. `None`: the location is right, as it is of another
    /// host, or relative to the path that the client asked for.
    fn location(&self, location: &[u8]) -> Option<HeaderValue> {
        let location = std::str::from_utf8(location).ok()?;
        let (origin, target) = split_origin(location);
        let authority = origin.split_once("//").map(|(_, authority)| authority);
        let is_clients = |authority| self.hosts.iter().any(|host| is_same_host(authority, host));
        let is_nodes = |authority| {
            let host = self.node_host.as_ref().and_then(|host| host.to_str().ok());
            host.is_some_and(|host| is_same_host(authority, host))
        };
        let client_origin = match authority {
            Some(authority) if is_clients(authority) => None,
            Some(authority) if is_nodes(authority) => {
                Some(format!("{}://{}", self.scheme, self.hosts[1]))
            }
            Some(_) => return None,
            None => None,
        };
        let path_end = target.find(['?', '#']).unwrap_or(target.len());
        let (path, rest) = target.split_at_checked(path_end)?;
        let path = match path {
            // `https://a.example` and `https://a.example/` are the same.
            "" if !origin.is_empty() => "/",
            path => path,
        };
        let is_from_root = path.starts_with('/');
        let rewrite = self.rewrite.as_ref().filter(|_| is_from_root);
        let client_path = rewrite.and_then(|rewrite| rewrite.for_client(path));
        if client_origin.is_none() && client_path.is_none() {
            return None;
        }
        let origin = client_origin.as_deref().unwrap_or(origin);
        let path = client_path.as_deref().unwrap_or(path);
        HeaderValue::try_from([origin, path, rest].concat()).ok()
    }

    /// The cookie with another `Path`. `None`: the cookie is right.
    pub(super) fn cookie(&self, cookie: &[u8]) -> Option<HeaderValue> {
        // Browsers accept such a cookie only with `Path=/` (RFC 6265bis, section 4.1.3.2).
        if cookie
            .get(..HOST_PREFIX.len())
            .is_some_and(|name| name.eq_ignore_ascii_case(HOST_PREFIX))
        {
            return None;
        }
        let mut is_changed = false;
        let mut written = Vec::with_capacity(cookie.len());
        for (index, part) in cookie.split(|byte| *byte == b';').enumerate() {
            if index > 0 {
                written.push(b';');
            }
            match (index > 0).then(|| self.attribute(part)).flatten() {
                Some(path) => {
                    is_changed = true;
                    written.extend_from_slice(b" Path=");
                    written.extend_from_slice(path.as_bytes());
                }
                None => written.extend_from_slice(part),
            }
        }
        is_changed.then(|| HeaderValue::try_from(written).ok()).flatten()
    }

    /// The value of an attribute of a cookie, if it is a `Path` that has to be changed.
    fn attribute(&self, attribute: &[u8]) -> Option<String> {
        let (name, value) = std::str::from_utf8(attribute).ok()?.split_once('=')?;
        let path = name.trim().eq_ignore_ascii_case("path").then_some(value.trim())?;
        self.rewrite.as_ref()?.cookie_path(path.starts_with('/').then_some(path)?)
    }
}

const HOST_PREFIX: &[u8] = b"__host-";

/// Scheme and authority of a reference, and what follows them (RFC 3986, section 4.2). The first is
/// empty if the reference has no authority.
fn split_origin(reference: &str) -> (&str, &str) {
    let scheme_end = match reference {
        text if text.starts_with("//") => 0,
        text => match text.split_once("://") {
            Some((scheme, _)) if is_http(scheme) => scheme.len() + 1,
            Some(_) | None => return ("", reference),
        },
    };
    let authority = scheme_end + "//".len();
    let rest = reference.get(authority..).unwrap_or_default();
    let end = rest.find(['/', '?', '#', '\\']).map_or(reference.len(), |end| authority + end);
    reference.split_at_checked(end).unwrap_or(("", reference))
}

fn is_http(scheme: &str) -> bool {
    ["http", "https"].iter().any(|known| known.eq_ignore_ascii_case(scheme))
}

/// Whether two authorities are the same host and port. The ports of http and https are the same: a
/// node may not know that its client uses TLS.
fn is_same_host(one: &str, other: &str) -> bool {
    let port = |authority| target::port_of(authority).filter(|port| ![80, 443].contains(port));
    target::without_port(one).eq_ignore_ascii_case(target::without_port(other))
        && port(one) == port(other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::route::PathPrefix;

    /// The fields of a response for a client of `chat.example`, whose path has `/app` in front.
    fn restored(fields: &[(&'static str, &str)]) -> HeaderMap {
        let prefix = PathPrefix::parse("/app").unwrap();
        let paths = ClientPaths {
            rewrite: PathRewrite::new(Some(prefix), None).map(Arc::new),
            hosts: ["inner.example", "chat.example:8080"].map(Box::from),
            scheme: "https",
            node_host: Some(HeaderValue::from_static("app.internal:3000")),
        };
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, value.parse().unwrap());
        }
        paths.restore(&mut headers);
        headers
    }

    #[test]
    fn a_redirect_to_the_same_host_stays_below_the_prefix() {
        let check = |location: &str, expected: &str| {
            let headers = restored(&[("location", location)]);
            assert_eq!(headers["location"], expected);
        };
        check("/login?next=/a#b", "/app/login?next=/a#b");
        check("/", "/app/");
        check("http://chat.example:8080/x", "http://chat.example:8080/app/x");
        check("HTTPS://CHAT.example:8080/x", "HTTPS://CHAT.example:8080/app/x");
        check("//chat.example:8080/x", "//chat.example:8080/app/x");
        check("http://inner.example/x", "http://inner.example/app/x");
        check("http://app.internal:3000/x?y", "https://chat.example:8080/app/x?y");
        check("//app.internal:3000/app/", "https://chat.example:8080/app/");
        check("http://chat.example:8080", "http://chat.example:8080/app/");
        check("http://chat.example:8080?x", "http://chat.example:8080/app/?x");
        for unchanged in [
            "/app/login",
            "login",
            "../login",
            "?a=/b",
            "#a",
            "",
            "http://other.example/x",
            "http://chat.example/x",
            "http://chat.example:8080.evil.example/x",
            "http://chat.example:8080@evil.example/x",
            "http://evil.example\\@chat.example:8080/x",
            "//evil.example/x",
            "mailto:a@b.c",
            "app://chat.example:8080/x",
        ] {
            check(unchanged, unchanged);
        }
    }

    #[test]
    fn a_cookie_stays_below_the_prefix_and_keeps_everything_else() {
        let check = |cookie: &str, expected: &str| {
            let headers = restored(&[("set-cookie", "a=b; path=/x"), ("set-cookie", cookie)]);
            let cookies: Vec<_> = headers.get_all("set-cookie").iter().collect();
            assert_eq!(cookies, ["a=b; Path=/app/x", expected]);
        };
        check("s=1; Path=/; HttpOnly", "s=1; Path=/app; HttpOnly");
        check("s=1;PATH=/a/;Secure", "s=1; Path=/app/a/;Secure");
        check("s=1; Path=/; path=/b", "s=1; Path=/app; Path=/app/b");
        for unchanged in [
            "s=1",
            "s=Path=/",
            "path=/; HttpOnly",
            "s=1; Path=/app/x",
            "s=1; Path=x",
            "s=1; Path=\"/\"",
            "s=1; Path",
            "__Host-s=1; Path=/; Secure",
            "__host-s=1; Path=/; Secure",
        ] {
            check(unchanged, unchanged);
        }
        assert_eq!(restored(&[("x", "/y")])["x"], "/y");
    }
}
