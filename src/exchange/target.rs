//! Which host a request is for, and what its target is for a node.
//!
//! Pure. Runs for every request.

use http::header::{HOST, HeaderMap};
use http::uri::{Authority, PathAndQuery, Uri};

use super::ExchangeError;
use crate::engineio::{Sid, put_with_sid};

/// The authority that a request names: one `Host`, and no other in an absolute target (RFC 9112,
/// section 3.2). An HTTP/1.0 request may have `None`; it then is for the routes of every host.
pub(super) fn host(uri: &Uri, headers: &HeaderMap) -> Result<Option<Authority>, ExchangeError> {
    let mut fields = headers.get_all(HOST).into_iter();
    let (field, second) = (fields.next(), fields.next());
    if second.is_some() {
        return Err(ExchangeError::BadHost);
    }
    let field = match field.map(|value| value.to_str()) {
        None => None,
        Some(Ok("")) => None,
        Some(Ok(text)) => match text.parse::<Authority>() {
            Ok(authority) if !text.contains('@') => Some(authority),
            Ok(_) | Err(_) => return Err(ExchangeError::BadHost),
        },
        Some(Err(_)) => return Err(ExchangeError::BadHost),
    };
    match (uri.authority(), field) {
        (Some(target), Some(field)) if *target != field => Err(ExchangeError::BadHost),
        (Some(target), _) => Ok(Some(target.clone())),
        (None, field) => Ok(field),
    }
}

/// `authority` without its port.
pub(super) fn without_port(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        Some(_) | None => authority,
    }
}

/// The target for a node: path and query, with the node's own `sid` where the client's was tagged.
pub(super) fn for_node(uri: &Uri, sid: Option<&Sid>) -> Uri {
    let untagged = sid.and_then(|sid| {
        let query = uri.query()?;
        let mut written = String::with_capacity(uri.path().len() + 1 + query.len());
        written.push_str(uri.path());
        written.push('?');
        put_with_sid(&mut written, query, sid);
        PathAndQuery::try_from(written).ok()
    });
    let target = untagged.or_else(|| uri.path_and_query().cloned());
    target.map(Uri::from).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `Err` is written as `None`.
    fn check(target: &str, hosts: &[&str], expected: Option<&str>) {
        let mut headers = HeaderMap::new();
        for host in hosts {
            headers.append(HOST, host.parse().unwrap());
        }
        let found = host(&target.parse().unwrap(), &headers).ok();
        let found = found.as_ref().map(|host| host.as_ref().map_or("", Authority::as_str));
        assert_eq!(found, expected, "{target} {hosts:?}");
    }

    #[test]
    fn a_request_names_one_host() {
        check("/", &["a.b"], Some("a.b"));
        check("/", &["a.b:80"], Some("a.b:80"));
        check("/", &["[::1]:80"], Some("[::1]:80"));
        check("/", &[], Some(""));
        check("/", &["a.b", "a.b"], None);
        check("/", &["a b"], None);
        check("/", &["me@a.b"], None);
        check("http://a.b/", &["a.b"], Some("a.b"));
        check("http://a.b/", &["A.B"], Some("a.b"));
        check("http://a.b/", &["c.d"], None);
        check("http://a.b/", &[], Some("a.b"));
    }

    #[test]
    fn the_port_is_no_part_of_the_host() {
        assert_eq!(without_port("a.b:80"), "a.b");
        assert_eq!(without_port("a.b"), "a.b");
        assert_eq!(without_port("[::1]:80"), "[::1]");
        assert_eq!(without_port("[::1]"), "[::1]");
    }

    #[test]
    fn a_node_gets_path_and_query_and_its_own_sid() {
        let check = |target: &str, sid: Option<&str>, expected: &str| {
            let sid = sid.and_then(Sid::new);
            let found = for_node(&target.parse().unwrap(), sid.as_ref());
            assert_eq!(found.to_string(), expected);
        };
        check("http://a.b/x?y=1", None, "/x?y=1");
        check("/x?EIO=4&sid=abc.tag&t=1", Some("abc"), "/x?EIO=4&sid=abc&t=1");
        check("/x", Some("abc"), "/x");
    }
}
