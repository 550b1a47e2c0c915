//! The cookie that names a node.
//!
//! Its value is the mark that the tag of a session with the cookie's name would have: opaque,
//! signed, and the same in every proxy with the same configuration.
//!
//! Pure. Runs for every request.

use http::{HeaderMap, HeaderValue};

use super::settings::CookieSettings;
use super::tag::{MarkContent, TagClash, Tags};
use crate::http1::cookie_values;
use crate::net::Scheme;

/// Reads and makes the cookies of one upstream's nodes, which it knows by their index.
#[derive(Debug)]
pub(super) struct Cookies {
    name: Box<str>,
    tags: Tags,
}

impl Cookies {
    /// The cookies of nodes with these names.
    ///
    /// # Errors
    /// [`TagClash`], as for [`Tags::new`].
    pub(super) fn new<'a>(
        settings: &CookieSettings,
        names: impl Iterator<Item = &'a str> + Clone,
    ) -> Result<Self, TagClash> {
        Ok(Self { name: (*settings.name).into(), tags: Tags::new(&settings.keys, names)? })
    }

    /// The node that the client's cookie names: of several cookies with our name, the first that
    /// names a known node.
    pub(super) fn node(&self, headers: &HeaderMap) -> Option<usize> {
        cookie_values(headers, &self.name).find_map(|mark| {
            match self.tags.read_mark(&self.name, mark) {
                MarkContent::Node(index) => Some(index),
                MarkContent::Foreign | MarkContent::Gone => None,
            }
        })
    }

    /// The value of a `Set-Cookie` field that names the node at `index`; it lives as long as the
    /// browser.
    ///
    /// Pages of other sites also use a Socket.IO server, and their requests carry a cookie only
    /// with `SameSite=None`, which browsers accept only with `Secure`. Over plain HTTP only `Lax`
    /// is left. `None` does not expose anything to cross-site requests: the cookie is not a
    /// credential.
    pub(super) fn set(&self, index: usize, scheme: Scheme) -> Option<HeaderValue> {
        let mark = self.tags.mark(&self.name, index)?;
        let attributes = match scheme {
            Scheme::Http => "SameSite=Lax",
            Scheme::Https => "SameSite=None; Secure",
        };
        let cookie = format!("{}={mark}; Path=/; HttpOnly; {attributes}", self.name);
        HeaderValue::try_from(cookie).ok()
    }
}

#[cfg(test)]
mod tests {
    use http::header::COOKIE;

    use super::*;

    fn cookies(names: &[&str]) -> Cookies {
        let settings = CookieSettings { name: "node".into(), keys: Vec::new() };
        Cookies::new(&settings, names.iter().copied()).expect("no clash")
    }

    /// The pair that a browser sends back.
    fn pair(cookies: &Cookies, index: usize) -> String {
        let cookie = cookies.set(index, Scheme::Http).expect("a cookie");
        cookie.to_str().expect("ASCII").split(';').next().expect("a pair").to_owned()
    }

    #[test]
    fn a_cookie_names_its_node_among_others() {
        let nodes = cookies(&["n1", "n2"]);
        let (n1, n2) = (pair(&nodes, 0), pair(&nodes, 1));
        let gone = pair(&cookies(&["n3"]), 0);
        let check = |fields: &[&str], expected: Option<usize>| {
            let mut headers = HeaderMap::new();
            for field in fields {
                headers.append(COOKIE, HeaderValue::from_bytes(field.as_bytes()).expect("valid"));
            }
            assert_eq!(nodes.node(&headers), expected, "{fields:?}");
        };
        check(&[], None);
        check(&[&n2], Some(1));
        check(&[&format!("a=b; {n2};c=\"ü\"")], Some(1));
        check(&["a=b", &format!("node=;{n1}")], Some(0));
        check(&[&format!("{n1}; {n2}")], Some(0));
        check(&[&format!("{gone}; {n2}")], Some(1));
        check(&[&gone], None);
        check(&[&n1.replace("node", "nodes")], None);
        check(&[&n1.to_lowercase().replace("node=", "node=x")], None);
        check(&["node", "node=abcdefgh", ";;", "="], None);
    }

    #[test]
    fn a_cookie_is_as_wide_as_the_scheme_allows() {
        let check = |scheme, expected: &str| {
            let cookie = cookies(&["n1"]).set(0, scheme).expect("a cookie");
            let cookie = cookie.to_str().expect("ASCII");
            assert_eq!(cookie.split_once("; ").map(|(_, attributes)| attributes), Some(expected));
            assert!(cookie.starts_with("node="));
        };
        check(Scheme::Http, "Path=/; HttpOnly; SameSite=Lax");
        check(Scheme::Https, "Path=/; HttpOnly; SameSite=None; Secure");
        assert_eq!(cookies(&["n1"]).set(1, Scheme::Http), None);
    }
}
