//! Our own responses.
//!
//! For Engine.IO requests, the body is Engine.IO's own JSON, and a browser client of another origin
//! may read it: otherwise it would see a CORS error instead of the cause.
//!
//! Pure. Runs for every request.

use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_ORIGIN, ALLOW, CACHE_CONTROL,
    CONNECTION, CONTENT_TYPE, HeaderValue, RETRY_AFTER, VARY, WWW_AUTHENTICATE,
};

use super::access_log::LogEntry;
use super::body::ResponseBody;
use super::context::{Request, Response};
use super::error::ExchangeError;
use super::headers::X_REQUEST_ID;
use super::target;

/// What the form of a refusal depends on.
#[derive(Debug)]
pub(super) struct RefusalFormat {
    /// Whether the request is Engine.IO's.
    pub(super) is_engineio: bool,
    /// Whether it had a body: part of it may still be in transit, so the connection ends with the
    /// refusal.
    pub(super) had_body: bool,
    /// Its `Origin`.
    pub(super) origin: Option<HeaderValue>,
}

/// Whether a query is Engine.IO's, even if its parameters contradict each other.
pub(super) fn is_engineio(query: Option<&str>) -> bool {
    let has = |name: &str| {
        let mut pairs = query.unwrap_or_default().split('&');
        pairs.any(|pair| pair.split('=').next() == Some(name))
    };
    has("EIO") && has("transport")
}

/// The response to `OPTIONS *`, which asks what the server supports (RFC 9110, section 9.3.7).
pub(super) fn about_server(request: &Request, entry: &LogEntry) -> Result<Response, ExchangeError> {
    target::host(request.method(), request.uri(), request.headers())?;
    let mut response = Response::new(ResponseBody::whole(""));
    let fields = response.headers_mut();
    fields.insert(ALLOW, HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"));
    fields.insert(X_REQUEST_ID, entry.request_id().clone());
    entry.answered("self", response.status());
    Ok(response)
}

impl RefusalFormat {
    /// The response to the client for `error`.
    pub(super) fn response(&self, error: &ExchangeError, request_id: &HeaderValue) -> Response {
        let facts = error.facts();
        let body = if self.is_engineio {
            let code = facts.engineio_code.unwrap_or_else(|| facts.status.as_u16());
            serde_json::json!({ "code": code, "message": error.to_string() }).to_string()
        } else {
            format!("{}: {error}\n", facts.status)
        };
        let mut response = Response::new(ResponseBody::whole(body));
        *response.status_mut() = facts.status;
        let fields = response.headers_mut();
        let content_type =
            if self.is_engineio { "application/json" } else { "text/plain; charset=utf-8" };
        fields.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        fields.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        fields.insert(X_REQUEST_ID, request_id.clone());
        fields.extend(error.retry_after().map(|seconds| (RETRY_AFTER, seconds)));
        fields.extend(error.challenge().map(|challenge| (WWW_AUTHENTICATE, challenge)));
        for (name, value) in error.fields() {
            fields.append(name, value.clone());
        }
        if error.ends_connection() || self.had_body {
            fields.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        let may_read = self.is_engineio && error.may_be_read_by_pages();
        if let Some(origin) = self.origin.as_ref().filter(|_| may_read) {
            fields.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
            let allowed = HeaderValue::from_static("true");
            fields.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, allowed);
            fields.insert(VARY, HeaderValue::from_static("Origin"));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refuse(query: &str, origin: Option<&'static str>, error: &ExchangeError) -> Response {
        let origin = origin.map(HeaderValue::from_static);
        let is_engineio = is_engineio(Some(query));
        RefusalFormat { is_engineio, had_body: false, origin }
            .response(error, &HeaderValue::from_static("id"))
    }

    fn body(response: Response) -> String {
        let collected = http_body_util::BodyExt::collect(response.into_body());
        let collected = futures_util::FutureExt::now_or_never(collected);
        String::from_utf8(collected.unwrap().unwrap().to_bytes().to_vec()).unwrap()
    }

    #[test]
    fn an_engineio_client_gets_engineios_json_and_may_read_it() {
        let gone = refuse(
            "EIO=4&transport=polling&sid=x",
            Some("https://a.b"),
            &ExchangeError::SessionGone,
        );
        assert_eq!(gone.status(), 400);
        assert_eq!(gone.headers()["content-type"], "application/json");
        assert_eq!(gone.headers()["access-control-allow-origin"], "https://a.b");
        assert_eq!(gone.headers()["access-control-allow-credentials"], "true");
        assert_eq!(body(gone), r#"{"code":1,"message":"Session ID unknown"}"#);

        let none = refuse("transport=polling&EIO=4", None, &ExchangeError::NoNode);
        assert_eq!(none.status(), 503);
        assert!(!none.headers().contains_key("access-control-allow-origin"));
        assert!(body(none).starts_with(r#"{"code":503,"#));
    }

    #[test]
    fn all_others_get_a_line_of_text() {
        let refused = refuse("", Some("https://a.b"), &ExchangeError::NoRoute);
        assert_eq!(refused.status(), 404);
        assert!(!refused.headers().contains_key("access-control-allow-origin"));
        assert_eq!(refused.headers()["x-request-id"], "id");
        assert_eq!(body(refused), "404 Not Found: no route serves this host and path\n");
    }
}
