//! Which pages of other origins may read the responses of a route: CORS, as the Fetch standard has it. A
//! node's own fields of this kind are replaced, so that no field is there twice.
//!
//! Pure. Runs for every request.

use std::time::Duration;

use http::Method;
use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_HEADERS, HeaderMap, HeaderName, HeaderValue, ORIGIN, VARY,
};

use crate::access::{OriginRule, Origins};
use crate::yaml::Diagnostic;

/// What a route allows to pages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cors {
    /// The pages.
    pub(crate) origins: Origins,
    /// Whether their requests may have cookies and other credentials.
    pub(crate) credentials: bool,
    /// The methods that they may use; none: the usual ones.
    pub(crate) methods: Vec<Method>,
    /// The fields that they may send; none: all.
    pub(crate) headers: Vec<HeaderName>,
    /// The fields that they may read, besides those that every page may.
    pub(crate) expose_headers: Vec<HeaderName>,
    /// How long browsers remember what is allowed.
    pub(crate) max_age: Duration,
}

impl Cors {
    /// Browsers bound it, Chromium by two hours.
    pub(crate) const MAX_AGE: Duration = Duration::from_hours(1);

    /// A method that pages may use.
    ///
    /// # Errors
    ///
    /// It is not one in capital letters: methods are compared with their case.
    pub(crate) fn method(text: &str) -> Result<Method, Diagnostic> {
        let is_capital = |byte: u8| byte.is_ascii_uppercase() || byte == b'-';
        let method = Method::from_bytes(text.as_bytes()).ok();
        method.filter(|_| text.bytes().all(is_capital)).ok_or_else(|| {
            Diagnostic::new("is not a method in capital letters").help("write a method such as GET")
        })
    }

    /// Whether every page may.
    pub(crate) fn is_for_all(&self) -> bool {
        self.origins.rules().contains(&OriginRule::Any)
    }

    /// What `Access-Control-Allow-Origin` says in the response to a request for `host` with these fields.
    /// `None`: it is of no page that may read it.
    pub(crate) fn allowed_origin(&self, headers: &HeaderMap, host: &str) -> Option<HeaderValue> {
        if self.is_for_all() {
            return Some(HeaderValue::from_static("*"));
        }
        let origin = headers.get(ORIGIN).filter(|_| self.origins.allow(headers, host))?;
        // In its own memory, as the response comes later.
        HeaderValue::from_bytes(origin.as_bytes()).ok()
    }

    /// Puts the fields for `origin`, the allowed one, into a response.
    pub(crate) fn put(&self, origin: Option<&HeaderValue>, headers: &mut HeaderMap) {
        let is_cors = |name: &&HeaderName| name.as_str().starts_with("access-control-");
        let of_node: Vec<HeaderName> = headers.keys().filter(is_cors).cloned().collect();
        for name in of_node {
            headers.remove(name);
        }
        if !self.is_for_all() {
            // Caches must not give it to other pages.
            put_vary(headers, &ORIGIN);
        }
        let Some(origin) = origin else { return };
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        if self.credentials {
            headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        }
        let exposed = joined(self.expose_headers.iter().map(HeaderName::as_str));
        headers.extend(exposed.map(|names| (ACCESS_CONTROL_EXPOSE_HEADERS, names)));
    }

    /// Puts the fields for `origin` into the response to the preflight with the fields `asked`.
    pub(crate) fn put_preflight(
        &self,
        origin: Option<&HeaderValue>,
        asked: &HeaderMap,
        headers: &mut HeaderMap,
    ) {
        self.put(origin, headers);
        headers.remove(ACCESS_CONTROL_EXPOSE_HEADERS);
        if self.headers.is_empty() {
            put_vary(headers, &ACCESS_CONTROL_REQUEST_HEADERS);
        }
        if origin.is_none() {
            return;
        }
        let methods = joined(self.methods.iter().map(Method::as_str));
        let methods = methods.unwrap_or(HeaderValue::from_static(METHODS));
        headers.insert(ACCESS_CONTROL_ALLOW_METHODS, methods);
        let names = joined(self.headers.iter().map(HeaderName::as_str));
        let names = names.or_else(|| asked.get(ACCESS_CONTROL_REQUEST_HEADERS).cloned());
        headers.extend(names.map(|names| (ACCESS_CONTROL_ALLOW_HEADERS, names)));
        headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from(self.max_age.as_secs()));
    }
}

/// What a page may use if no method is named.
const METHODS: &str = "GET, HEAD, POST, PUT, PATCH, DELETE";

fn put_vary(headers: &mut HeaderMap, name: &HeaderName) {
    let lines = headers.get_all(VARY).into_iter().map(HeaderValue::as_bytes);
    let mut members =
        lines.flat_map(|line| line.split(|byte| *byte == b',')).map(<[u8]>::trim_ascii);
    if members.all(|it| it != b"*" && !it.eq_ignore_ascii_case(name.as_str().as_bytes())) {
        headers.append(VARY, HeaderValue::from(name.clone()));
    }
}

/// `None` if there are none.
fn joined<'a>(names: impl Iterator<Item = &'a str>) -> Option<HeaderValue> {
    let text = names.collect::<Vec<_>>().join(", ");
    HeaderValue::try_from(text).ok().filter(|names| !names.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cors(origins: &[&str], credentials: bool) -> Cors {
        let rules = origins.iter().map(|rule| OriginRule::parse(rule).unwrap()).collect();
        Cors {
            origins: Origins::new(rules),
            credentials,
            methods: vec![Method::GET],
            headers: Vec::new(),
            expose_headers: vec![HeaderName::from_static("x-total")],
            max_age: Cors::MAX_AGE,
        }
    }

    fn fields(lines: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines.iter().filter_map(|line| line.split_once(": ")) {
            headers.append(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
        }
        headers
    }

    /// What becomes of a node's response to a page of `origin`.
    fn check(cors: &Cors, origin: &str, expected: &[&str]) {
        let request = fields(&[&format!("origin: {origin}")]);
        let allowed = cors.allowed_origin(&request, "chat.example");
        let mut headers = fields(&[
            "access-control-allow-origin: http://node",
            "access-control-allow-credentials: true",
            "vary: Accept, origin",
        ]);
        cors.put(allowed.as_ref(), &mut headers);
        assert_eq!(headers, fields(expected), "{origin}");
    }

    #[test]
    fn allowed_pages_may_read_the_response_and_the_fields_of_the_node_are_replaced() {
        let vary = "vary: Accept, origin";
        let exposed = "access-control-expose-headers: x-total";
        let some = cors(&["https://app.example", "null"], true);
        let credentials = "access-control-allow-credentials: true";
        for origin in ["https://app.example", "null"] {
            let allowed = format!("access-control-allow-origin: {origin}");
            check(&some, origin, &[vary, &allowed, credentials, exposed]);
        }
        check(&some, "https://evil.example", &[vary]);
        let all = "access-control-allow-origin: *";
        check(&cors(&["any"], false), "https://evil.example", &[vary, all, exposed]);
    }

    #[test]
    fn vary_says_once_that_the_response_depends_on_the_page() {
        let check = |lines: &[&str], expected: &[&str]| {
            let mut headers = fields(lines);
            put_vary(&mut headers, &ORIGIN);
            assert_eq!(headers, fields(expected));
        };
        check(&[], &["vary: origin"]);
        check(&["vary: Accept"], &["vary: Accept", "vary: origin"]);
        check(&["vary: Accept,Origin"], &["vary: Accept,Origin"]);
        check(&["vary: *"], &["vary: *"]);
    }
}
