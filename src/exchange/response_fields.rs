//! What a route sets in the response to a request, a node's or our own. The values are written when the
//! request has come: it may be gone when the response comes.
//!
//! Pure. Runs for every request.

use std::net::IpAddr;
use std::sync::Arc;

use http::header::CONNECTION;
use http::{HeaderMap, HeaderValue, StatusCode};
use http_body::Body as _;

use super::access_log::LogEntry;
use super::body::ResponseBody;
use super::client_paths::ClientPaths;
use super::context::{Request, Response};
use super::forwarded;
use super::headers::X_REQUEST_ID;
use crate::access::is_preflight;
use crate::net::ClientInfo;
use crate::route::{Changes, FieldRules, FieldValues, Route, Variables};

/// The rules of the route, and their values for one request.
#[derive(Debug)]
pub(super) struct ResponseFields {
    changes: Arc<Changes>,
    values: FieldValues,
    /// The page that may read the response.
    allowed_origin: Option<HeaderValue>,
}

impl ResponseFields {
    /// For the response to a request of `route`. `None` if the route changes no field.
    pub(super) fn new(route: &Route, variables: &Variables<'_>) -> Option<Box<Self>> {
        let changes = route.changes.as_ref()?;
        let values = changes.response.values(variables);
        let cors = changes.cors.as_ref();
        let allowed_origin =
            cors.and_then(|cors| cors.allowed_origin(variables.headers, variables.host));
        Some(Box::new(Self { changes: changes.clone(), values, allowed_origin }))
    }

    /// Changes the response of a node.
    pub(super) fn change(&self, response: &mut Response) {
        self.changes.response.change(response.headers_mut(), &self.values);
        self.put_cors(response);
    }

    /// Completes a response of our own.
    pub(super) fn complete(&self, response: &mut Response) {
        FieldRules::complete(response.headers_mut(), &self.values);
        self.put_cors(response);
    }

    /// The response to a preflight, if `request` is one and the route says which pages may read.
    pub(super) fn preflight(&self, request: &Request, entry: &LogEntry) -> Option<Response> {
        let cors = self.changes.cors.as_ref()?;
        if !is_preflight(request.method(), request.headers()) {
            return None;
        }
        let mut response = Response::new(ResponseBody::whole(""));
        *response.status_mut() = StatusCode::NO_CONTENT;
        let fields = response.headers_mut();
        fields.insert(X_REQUEST_ID, entry.request_id().clone());
        if !request.body().is_end_stream() {
            // Part of the body may still be in transit.
            fields.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        FieldRules::complete(fields, &self.values);
        cors.put_preflight(self.allowed_origin.as_ref(), request.headers(), fields);
        entry.answered("self", response.status());
        Some(response)
    }

    fn put_cors(&self, response: &mut Response) {
        if let Some(cors) = &self.changes.cors {
            cors.put(self.allowed_origin.as_ref(), response.headers_mut());
        }
    }
}

/// What is changed in the response to a request of `route`: the fields that it sets, and the paths of its
/// nodes. The request is described as for [`variables`].
pub(super) fn response_changes(
    route: &Route,
    headers: &HeaderMap,
    client: &ClientInfo,
    known: (IpAddr, &str, &HeaderValue),
) -> (Option<Box<ResponseFields>>, Option<Box<ClientPaths>>) {
    if route.changes.is_none() && route.rewrite.is_none() {
        return (None, None);
    }
    let variables = variables(route, headers, client, known);
    let paths = ClientPaths::new(route, known.1, &variables);
    (ResponseFields::new(route, &variables), paths.map(Box::new))
}

/// The variables of a request with these fields for `host`; `address` is the client's.
pub(super) fn variables<'a>(
    route: &'a Route,
    headers: &'a HeaderMap,
    client: &ClientInfo,
    (address, host, request_id): (IpAddr, &'a str, &'a HeaderValue),
) -> Variables<'a> {
    Variables {
        client_address: address,
        host: forwarded::original_host(headers, client).unwrap_or(host),
        scheme: forwarded::original_scheme(headers, client),
        request_id,
        headers,
        may_say: match client.is_trusted() {
            true => |_| true,
            false => |name| !forwarded::is_claim(name),
        },
        owned: route.access.as_ref().map(|access| access.owned_fields()),
    }
}
