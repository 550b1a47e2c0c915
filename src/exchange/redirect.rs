//! The redirect of plain HTTP to https.
//!
//! Pure. Runs for every request.

use http::header::{CONNECTION, HeaderName, HeaderValue, LOCATION};
use http::uri::PathAndQuery;
use http::{Method, StatusCode};
use http_body::Body;

use super::access_log::LogEntry;
use super::body::ResponseBody;
use super::context::{Request, Response};
use super::error::ExchangeError;
use super::headers::X_REQUEST_ID;
use super::target;
use crate::net::ClientInfo;

/// The redirect, if the listener demands https and the client does not use it already. `None`: the
/// request is to be served.
pub(super) fn to_https(
    request: &Request,
    client: &ClientInfo,
    entry: &LogEntry,
) -> Option<Result<Response, ExchangeError>> {
    port(request, client).map(|port| redirect(request, port, entry))
}

/// The port of https to which a request is redirected.
pub(super) fn port(request: &Request, client: &ClientInfo) -> Option<u16> {
    let port = client.redirect_to?;
    let is_challenge = request.uri().path().starts_with(ACME_CHALLENGES);
    // Else a load balancer that ends TLS and connects to this listener would redirect forever.
    let is_secure_before = client.is_trusted()
        && request.headers().get(X_FORWARDED_PROTO).is_some_and(|proto| proto == "https");
    (!is_challenge && !is_secure_before).then_some(port)
}

fn redirect(request: &Request, port: u16, entry: &LogEntry) -> Result<Response, ExchangeError> {
    let host = target::host(request.method(), request.uri(), request.headers())?;
    let host = host.ok_or(ExchangeError::BadHost)?;
    let location = location(host.as_str(), port, request.uri().path_and_query());
    let location =
        HeaderValue::from_bytes(location.as_bytes()).map_err(|_| ExchangeError::BadHost)?;
    let mut response = Response::new(ResponseBody::whole(""));
    *response.status_mut() = status(request.method());
    let fields = response.headers_mut();
    fields.insert(LOCATION, location);
    fields.insert(X_REQUEST_ID, entry.request_id().clone());
    if !request.body().is_end_stream() {
        // Part of the body may still be in transit.
        fields.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    entry.answered("self", response.status());
    Ok(response)
}

/// The status of a redirect to https.
pub(super) fn status(method: &Method) -> StatusCode {
    match *method {
        Method::GET | Method::HEAD => StatusCode::MOVED_PERMANENTLY,
        // A client may repeat a POST as a GET after 301 (RFC 9110, section 15.4.2).
        _ => StatusCode::PERMANENT_REDIRECT,
    }
}

fn location(host: &str, port: u16, target: Option<&PathAndQuery>) -> String {
    let name = target::without_port(host);
    let target = target.map_or("/", PathAndQuery::as_str);
    match port {
        443 => format!("https://{name}{target}"),
        port => format!("https://{name}:{port}{target}"),
    }
}

/// Where an ACME server looks for the proof that a name belongs to us (RFC 8555, section 8.3). It may
/// not be able to use https yet.
const ACME_CHALLENGES: &str = "/.well-known/acme-challenge/";

const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_location_keeps_name_path_and_query() {
        let check = |host: &str, port: u16, target: &str, expected: &str| {
            let target = target.parse().unwrap();
            assert_eq!(location(host, port, Some(&target)), expected);
        };
        check("a.example", 443, "/", "https://a.example/");
        check("a.example:80", 443, "/x?y=1&z", "https://a.example/x?y=1&z");
        check("a.example:8080", 8443, "/x", "https://a.example:8443/x");
        check("[::1]:80", 443, "//evil.example", "https://[::1]//evil.example");
        check("[::1]", 8443, "/%0d%0a", "https://[::1]:8443/%0d%0a");
    }
}
