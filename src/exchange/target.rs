//! The host that a request is for, and the target that a node gets.
//!
//! Pure. Runs for every request.

use std::borrow::Cow;
use std::net::Ipv6Addr;
use std::sync::Arc;

use http::Method;
use http::header::{HOST, HeaderMap};
use http::uri::{Authority, PathAndQuery, Uri};
use memchr::{memchr2, memmem};
use percent_encoding::percent_decode;

use super::error::ExchangeError;
use crate::engineio::{Sid, put_with_sid};
use crate::route::{PathRewrite, Route, RouteTable};

/// The authority that a request names: that of an absolute target, which replaces `Host`, else that
/// of its one `Host` (RFC 9112, sections 3.2 and 3.2.2). An HTTP/1.0 request may have `None`: only
/// routes without a host match it.
///
/// # Errors
///
/// [`ExchangeError::BadTarget`] and [`ExchangeError::ForwardProxying`] if the target has a form
/// that its method does not allow; [`ExchangeError::BadHost`] if there are several `Host` lines, or
/// if `Host` or the target has no valid authority.
pub(super) fn host(
    method: &Method,
    uri: &Uri,
    headers: &HeaderMap,
) -> Result<Option<Authority>, ExchangeError> {
    check_form(method, uri)?;
    check_path(uri.path())?;
    let mut fields = headers.get_all(HOST).into_iter();
    let (field, second) = (fields.next(), fields.next());
    if second.is_some() {
        return Err(ExchangeError::BadHost);
    }
    let field = match field.map(|value| value.to_str()) {
        None | Some(Ok("")) => None,
        Some(Ok(text)) => Some(text.parse().map_err(|_| ExchangeError::BadHost)?),
        Some(Err(_)) => return Err(ExchangeError::BadHost),
    };
    for named in uri.authority().into_iter().chain(&field) {
        if split(named.as_str()).is_none() {
            return Err(ExchangeError::BadHost);
        }
    }
    Ok(uri.authority().cloned().or(field))
}

/// Whether a request is for the server and not for a resource (RFC 9110, section 9.3.7).
pub(super) fn is_server(uri: &Uri) -> bool {
    uri.path() == "*"
}

/// The host of an authority as routes know it: without port, and without the final dot of a name
/// that is written in full (RFC 1034, section 3.1).
pub(super) fn host_name(authority: &str) -> &str {
    let (name, _) = split(authority).unwrap_or((authority, None));
    name.strip_suffix('.').filter(|name| !name.is_empty()).unwrap_or(name)
}

/// The host of an authority, without port.
pub(super) fn without_port(authority: &str) -> &str {
    split(authority).map_or(authority, |(name, _)| name)
}

/// The port that an authority has.
pub(super) fn port_of(authority: &str) -> Option<u16> {
    split(authority)?.1
}

/// Checks that the method allows this form of target (RFC 9112, section 3.2).
fn check_form(method: &Method, uri: &Uri) -> Result<(), ExchangeError> {
    let is_authority = uri.scheme().is_none() && uri.authority().is_some();
    match (method, is_authority) {
        (&Method::CONNECT, true) => Err(ExchangeError::ForwardProxying),
        (&Method::CONNECT, false) => Err(ExchangeError::BadTarget("CONNECT needs host and port")),
        (_, true) => Err(ExchangeError::BadTarget("it has no path")),
        (&Method::OPTIONS, false) => Ok(()),
        (_, false) if is_server(uri) => Err(ExchangeError::BadTarget("only OPTIONS may have `*`")),
        (_, false) => Ok(()),
    }
}

/// Checks that routes and nodes read the same path. Nodes may resolve dot segments, decode `%2f` before
/// or after it, take a backslash for a slash, as browsers and the `URL` class of Node.js do, or end at
/// a NUL: with any of them a request could reach a path that its route does not serve. Clients remove
/// dot segments before they send a request (RFC 3986, section 5.2.4).
fn check_path(path: &str) -> Result<(), ExchangeError> {
    let bytes = path.as_bytes();
    if memchr2(b'%', b'\\', bytes).is_none() && memmem::find(bytes, b"/.").is_none() {
        return Ok(());
    }
    let decoded: Vec<u8> = percent_decode(bytes).collect();
    if decoded.contains(&0) {
        return Err(ExchangeError::BadTarget("there is a NUL in its path"));
    }
    if decoded.contains(&b'\\') {
        return Err(ExchangeError::BadTarget("there is a backslash in its path"));
    }
    let mut segments = decoded.split(|byte| *byte == b'/');
    if segments.any(|segment| matches!(segment, b"." | b"..")) {
        return Err(ExchangeError::BadTarget("its path has a segment `.` or `..`"));
    }
    Ok(())
}

/// The route for a request, which has the same route in another spelling: nodes may decode `%61` to `a` (RFC
/// 3986, section 6.2.2.2) and read `//` as `/`, as this proxy does when it removes a prefix. Otherwise a
/// client could choose the spelling that avoids the rules of a route.
///
/// # Errors
///
/// [`ExchangeError::NoRoute`]; [`ExchangeError::BadTarget`] if the plain spelling has another route.
pub(super) fn route<'r>(
    routes: &'r RouteTable,
    host: &str,
    path: &str,
) -> Result<&'r Arc<Route>, ExchangeError> {
    let route = routes.find(host, path).ok_or(ExchangeError::NoRoute)?;
    let Some(plain) = plain_spelling(path) else { return Ok(route) };
    match routes.find(host, &plain) {
        Some(other) if Arc::ptr_eq(other, route) => Ok(route),
        _ => Err(ExchangeError::BadTarget("its path has another route if it is written plainly")),
    }
}

/// `path` with single slashes, and without percent-encoded letters, digits and `-._~`. `None` if that is
/// what it is.
fn plain_spelling(path: &str) -> Option<String> {
    let bytes = path.as_bytes();
    if memchr::memchr(b'%', bytes).is_none() && memmem::find(bytes, b"//").is_none() {
        return None;
    }
    let mut plain = String::with_capacity(path.len());
    let mut rest = path;
    while let Some(next) = rest.chars().next() {
        let encoded = rest.strip_prefix('%').and_then(|hex| hex.get(..2));
        let unreserved = encoded.and_then(|hex| u8::from_str_radix(hex, 16).ok()).map(char::from);
        let unreserved =
            unreserved.filter(|byte| byte.is_ascii_alphanumeric() || "-._~".contains(*byte));
        let (read, length) = unreserved.map_or_else(|| (next, next.len_utf8()), |byte| (byte, 3));
        if read != '/' || !plain.ends_with('/') {
            plain.push(read);
        }
        rest = &rest[length..];
    }
    Some(plain)
}

/// The host and the port of an authority. `None` if it is not `uri-host [ ":" port ]`: there is a
/// user, which is an error by RFC 9110, section 4.2.4, no host, or no valid port.
fn split(authority: &str) -> Option<(&str, Option<u16>)> {
    let name_end = match authority.strip_prefix('[') {
        Some(literal) => literal.find(']')? + "[]".len(),
        None => memchr::memchr(b':', authority.as_bytes()).unwrap_or(authority.len()),
    };
    let (name, port) = authority.split_at_checked(name_end)?;
    if name.is_empty() || name.contains('@') {
        return None;
    }
    if let Some(literal) = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        literal.parse::<Ipv6Addr>().ok()?;
    }
    match port {
        "" | ":" => Some((name, None)),
        port => {
            let digits = port.strip_prefix(':')?;
            let port = digits.bytes().all(|byte| byte.is_ascii_digit()).then_some(digits)?;
            Some((name, Some(port.parse().ok().filter(|port| *port != 0)?)))
        }
    }
}

/// The target for a node: path and query, with the node's own `sid` where the client's was tagged, and
/// the path that `rewrite` makes.
pub(super) fn for_node<'a>(
    uri: &'a Uri,
    sid: Option<&Sid>,
    rewrite: Option<&PathRewrite>,
) -> Cow<'a, str> {
    let (path, query) = (uri.path(), uri.query());
    let sid = sid.filter(|_| query.is_some());
    if sid.is_none() && rewrite.is_none() {
        return uri.path_and_query().map_or("/", PathAndQuery::as_str).into();
    }
    let added = rewrite.and_then(PathRewrite::added).map_or(0, str::len);
    let bytes = added + path.len() + 1 + query.map_or(0, str::len);
    let mut written = String::with_capacity(bytes);
    match rewrite {
        Some(rewrite) => rewrite.write_for_node(path, &mut written),
        None => written.push_str(path),
    }
    if let Some(query) = query {
        written.push('?');
        match sid {
            Some(sid) => put_with_sid(&mut written, query, sid),
            None => written.push_str(query),
        }
    }
    Cow::Owned(written)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_has_one_plain_spelling() {
        let check = |path: &str, expected: &str| {
            assert_eq!(plain_spelling(path).as_deref().unwrap_or(path), expected, "{path}");
        };
        check("/a/b", "/a/b");
        check("/%61dmin/%7Ea%2D", "/admin/~a-");
        check("/a%2Fb%20c%25", "/a%2Fb%20c%25");
        check("/%zz%+1%4", "/%zz%+1%4");
        check("//a///b//", "/a/b/");
        check("/\u{e4}%C3%A4", "/\u{e4}%C3%A4");
    }

    /// `Err` is written as `None`.
    fn check(target: &str, hosts: &[&str], expected: Option<&str>) {
        let mut headers = HeaderMap::new();
        for host in hosts {
            headers.append(HOST, host.parse().unwrap());
        }
        let found = host(&Method::GET, &target.parse().unwrap(), &headers).ok();
        let found = found.as_ref().map(|host| host.as_ref().map_or("", Authority::as_str));
        assert_eq!(found, expected, "{target} {hosts:?}");
    }

    #[test]
    fn a_request_names_one_host_and_an_absolute_target_replaces_it() {
        check("/", &["a.b"], Some("a.b"));
        check("/", &["a.b:80"], Some("a.b:80"));
        check("/", &["[::1]:80"], Some("[::1]:80"));
        check("/", &[], Some(""));
        check("/", &["a.b", "a.b"], None);
        check("/", &["a b"], None);
        check("/", &["me@a.b"], None);
        check("http://a.b/", &["a.b"], Some("a.b"));
        check("http://a.b/", &["A.B"], Some("a.b"));
        check("http://a.b/", &["c.d"], Some("a.b"));
        check("http://a.b/", &["c.d:81"], Some("a.b"));
        check("http://a.b/", &["c.d", "a.b"], None);
        check("http://a.b/", &["a.b", "a.b"], None);
        check("http://a.b/", &["c d"], None);
        check("http://a.b/", &["me@a.b"], None);
        check("http://a.b/", &["a.b:0"], None);
        check("http://a.b/", &[], Some("a.b"));
        check("http://a.b/", &[""], Some("a.b"));
        check("http://a.b:80/", &["a.b"], Some("a.b:80"));
        check("http://a.b/", &["a.b.:80"], Some("a.b"));
        check("https://a.b:443/", &["a.b"], Some("a.b:443"));
        check("https://a.b/", &["a.b:80"], Some("a.b"));
        check("http://a.b:81/", &["a.b"], Some("a.b:81"));
    }

    #[test]
    fn an_authority_has_no_user_and_a_port_that_there_is() {
        for good in ["a", "a.", "a:1", "a:65535", "a:", "[::1]", "[::1]:80", "1.2.3.4:80", "a_b"] {
            check("/", &[good], Some(good));
        }
        for bad in [
            "a:0",
            "a:65536",
            "a:99999",
            "a:-1",
            "a:+1",
            "a:http",
            "a:1:2",
            ":80",
            "::1",
            "[::1",
            "[::1]a",
            "[a]",
            "[::1]:x",
            "me@a",
            "me:secret@a",
            "me:1@a:2",
            "a b",
            "a/b",
            "a?b",
        ] {
            check("/", &[bad], None);
        }
        for bad in ["http://me@a/", "http://me:secret@a/", "http://a:99999/", "http://a:x/"] {
            let Ok(uri) = bad.parse::<Uri>() else { continue };
            assert!(host(&Method::GET, &uri, &HeaderMap::new()).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_method_has_its_forms_of_targets() {
        let check = |method: Method, target: &str, expected: &str| {
            let uri: Uri = target.parse().unwrap();
            let error = host(&method, &uri, &HeaderMap::new()).err();
            let label = error.map_or("", |error| error.facts().label);
            assert_eq!(label, expected, "{method} {target}");
        };
        check(Method::CONNECT, "/path", "bad_target");
        check(Method::CONNECT, "http://a/", "bad_target");
        check(Method::CONNECT, "a:443", "forward_proxying");
        check(Method::GET, "a:443", "bad_target");
        check(Method::GET, "*", "bad_target");
        check(Method::OPTIONS, "*", "");
        check(Method::GET, "http://a/", "");
    }

    #[test]
    fn a_path_means_the_same_to_a_route_and_to_a_node() {
        let is_good = |path: &str| {
            let uri: Uri = path.parse().unwrap();
            host(&Method::GET, &uri, &HeaderMap::new()).is_ok()
        };
        let good = "/ /socket.io/ /a.b/..c/.d/...?x=/../ /%C3%A4 /a%20b /%2e%2e%2e/ /% /%zz /a//b";
        for path in good.split(' ') {
            assert!(is_good(path), "{path}");
        }
        let bad = "/.. /. /a/../b /a/./b /a/.. /%2e%2e/b /%2E. /a/.%2e/b /a/%2e /a%2f..%2fb /a%2F../b \
                   /a%5c..%5cb /a\\b /a%5Cb /%00 /a%00b http://a/../b";
        for path in bad.split_whitespace() {
            assert!(!is_good(path), "{path}");
        }
    }

    #[test]
    fn neither_port_nor_final_dot_is_a_part_of_the_host() {
        for (authority, expected) in [
            ("a.b:80", "a.b"),
            ("a.b", "a.b"),
            ("a.b.", "a.b"),
            ("a.b.:80", "a.b"),
            ("[::1]:80", "[::1]"),
            ("[::1]", "[::1]"),
            ("", ""),
            (".", "."),
        ] {
            assert_eq!(host_name(authority), expected);
        }
    }

    #[test]
    fn a_node_gets_path_and_query_and_its_own_sid() {
        let check = |target: &str, sid: Option<&str>, expected: &str| {
            let sid = sid.and_then(Sid::new);
            let uri = target.parse().unwrap();
            let found = for_node(&uri, sid.as_ref(), None);
            assert_eq!(found, expected);
        };
        check("http://a.b/x?y=1", None, "/x?y=1");
        check("/x?EIO=4&sid=abc.tag&t=1", Some("abc"), "/x?EIO=4&sid=abc&t=1");
        check("/x", Some("abc"), "/x");
    }
}
