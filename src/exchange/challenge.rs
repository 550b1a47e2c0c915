//! The proof for the authority that issues our certificates, which asks for it on each of the names and
//! knows no routes.
//!
//! Runs for every request.

use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use http::{Method, StatusCode};

use super::access_log::LogEntry;
use super::body::ResponseBody;
use super::context::{Request, Response};
use super::headers::X_REQUEST_ID;
use crate::tls::Challenges;

/// The path of a request that may be the authority's.
pub(super) fn path(request: &Request) -> Option<String> {
    let path = request.uri().path();
    let may_be = path.starts_with(Challenges::PATH) && request.method() == Method::GET;
    may_be.then(|| path.to_owned())
}

/// The proof at `path`. `None`: there is none, and the request is one like any other.
pub(super) async fn answer(
    challenges: &Challenges,
    path: &str,
    entry: &LogEntry,
) -> Option<Response> {
    let mut response =
        Response::new(ResponseBody::whole(challenges.key_authorization(path).await?));
    let fields = response.headers_mut();
    // RFC 8555, section 8.3.
    fields.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    fields.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    fields.insert(X_REQUEST_ID, entry.request_id().clone());
    entry.answered("self", StatusCode::OK);
    Some(response)
}
