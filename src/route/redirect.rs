//! Where a redirect leads.
//!
//! Pure. Runs for every request.

use http::{HeaderValue, StatusCode};
use percent_encoding::{AsciiSet, CONTROLS, percent_encode};

use super::template::{Template, Variables};

/// A redirect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Redirect {
    /// Where to: a URL whose host no client decides but by its own `Host`, or a path.
    pub(crate) to: Template,
    /// Its status.
    pub(crate) status: StatusCode,
}

impl Redirect {
    /// The `Location` for a request. What no URL has is percent-encoded: browsers leave out tabs, and take a
    /// backslash for a slash, so that a field of a client could name a host by them.
    pub(crate) fn location(&self, variables: &Variables<'_>) -> Option<HeaderValue> {
        let location = self.to.value(variables)?;
        let location = percent_encode(location.as_bytes(), NOT_OF_URLS).to_string();
        // Two slashes begin the name of a host.
        match location.trim_start_matches('/') {
            rest if rest.len() == location.len() => HeaderValue::try_from(location).ok(),
            rest => HeaderValue::try_from(format!("/{rest}")).ok(),
        }
    }

    /// The default of `status`: nobody remembers it, and the method stays.
    pub(crate) const STATUS: StatusCode = StatusCode::TEMPORARY_REDIRECT;

    /// The statuses that send a client elsewhere.
    pub(crate) const STATUSES: [StatusCode; 5] = [
        StatusCode::MOVED_PERMANENTLY,
        StatusCode::FOUND,
        StatusCode::SEE_OTHER,
        StatusCode::TEMPORARY_REDIRECT,
        StatusCode::PERMANENT_REDIRECT,
    ];
}

/// What is not valid in a URL, apart from bytes that are not ASCII.
const NOT_OF_URLS: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'<')
    .add(b'>')
    .add(b'\\')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'}');

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderName};
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn it_leads_where_its_author_says_with_parts_of_the_request() {
        let mut headers = HeaderMap::new();
        for (name, value) in
            [("x-tab", "\t/evil.example"), ("x-back", "\\/evil\\"), ("x-text", "a b")]
        {
            headers.insert(name, HeaderValue::from_static(value));
        }
        headers.insert("cookie", HeaderValue::from_static("a=\t/evil.example"));
        let check = |to: &str, target: &str, expected: &str| {
            let redirect = Redirect { to: Template::parse(to).unwrap(), status: Redirect::STATUS };
            let variables = Variables {
                client_address: [10, 0, 0, 9].into(),
                host: "a.b:8080",
                scheme: "https",
                request_id: &HeaderValue::from_static("id-1"),
                uri: &target.parse().unwrap(),
                headers: &headers,
                may_say: |_| true,
                owned: None,
            };
            assert_eq!(redirect.location(&variables).unwrap(), expected, "{to} {target}");
        };
        check("https://c.d${target}", "/x?y=1&z", "https://c.d/x?y=1&z");
        check("https://c.d${path}?from=old&${query}", "/x?y", "https://c.d/x?from=old&y");
        check("https://${hostname}${target}", "/", "https://a.b/");
        check("${scheme}://www.${host}${path}", "/x?y", "https://www.a.b:8080/x");
        check("/new${path}", "/x", "/new/x");
        check("https://c.d${path}", "//e.f/", "https://c.d//e.f/");
        // Not to another host.
        check("${path}", "//evil.example/x", "/evil.example/x");
        check("${target}", "//evil.example//x?//y", "/evil.example//x?//y");
        check("/${query}", "/x?/evil.example", "/evil.example");
        check("/${query}", "/x?//evil.example", "/evil.example");
        check("/${header.x-tab}", "/", "/%09/evil.example");
        check("/${header.x-back}", "/", "/%5C/evil%5C");
        check("/${cookie.a}", "/", "/%09/evil.example");
        check("/q?${header.x-text}", "/", "/q?a%20b");
    }

    proptest! {
        #[test]
        fn no_client_chooses_the_host(
            template in prop::sample::select(vec!["${header.x}", "/${header.x}${query}", "/a/../${cookie.c}", "${target}"]),
            said in prop::collection::vec(prop::sample::select(b"/\\\t :@?#.a\x80\xff".to_vec()), 0..12),
            query in "[/:@.a?]{0,8}",
        ) {
            let value = HeaderValue::from_bytes(&said).unwrap();
            let cookie = HeaderValue::from_bytes(&[b"c=", &said[..]].concat()).unwrap();
            let headers = [("x", value), ("cookie", cookie)];
            let headers = headers.map(|(name, value)| (HeaderName::from_static(name), value));
            let headers = HeaderMap::from_iter(headers);
            let redirect = Redirect { to: Template::parse(template).unwrap(), status: Redirect::STATUS };
            let variables = Variables {
                client_address: [10, 0, 0, 9].into(),
                host: "a.b",
                scheme: "https",
                request_id: &HeaderValue::from_static("id-1"),
                uri: &format!("//x?{query}").parse().unwrap(),
                headers: &headers,
                may_say: |_| true,
                owned: None,
            };
            if let Some(location) = redirect.location(&variables) {
                let location = location.to_str().unwrap();
                prop_assert!(location.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\'));
                prop_assert!(!location.starts_with("//"), "{location}");
            }
        }
    }
}
