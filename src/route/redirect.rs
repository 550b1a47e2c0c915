//! Where a redirect leads.
//!
//! Pure. Runs for every request.

use http::{HeaderValue, StatusCode};

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
    /// The `Location` for a request.
    pub(crate) fn location(&self, variables: &Variables<'_>) -> Option<HeaderValue> {
        let location = self.to.value(variables)?;
        let slashes = |byte: &&u8| matches!(byte, b'/' | b'\\');
        match location.as_bytes().iter().take_while(slashes).count() {
            0 | 1 => Some(location),
            // Two of them begin the name of a host, for browsers also the other way round.
            many => {
                let rest = location.as_bytes().get(many - 1..).unwrap_or_default();
                HeaderValue::from_bytes(&[b"/", rest.get(1..).unwrap_or_default()].concat()).ok()
            }
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

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::*;

    #[test]
    fn it_leads_where_its_author_says_with_parts_of_the_request() {
        let check = |to: &str, target: &str, expected: &str| {
            let redirect = Redirect { to: Template::parse(to).unwrap(), status: Redirect::STATUS };
            let variables = Variables {
                client_address: [10, 0, 0, 9].into(),
                host: "a.b:8080",
                scheme: "https",
                request_id: &HeaderValue::from_static("id-1"),
                uri: &target.parse().unwrap(),
                headers: &HeaderMap::new(),
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
    }
}
