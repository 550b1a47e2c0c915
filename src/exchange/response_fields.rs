//! What a route sets in the response to a request, a node's or our own. The values are written when the
//! request has come: it may be gone when the response comes.
//!
//! Pure. Runs for every request.

use std::net::IpAddr;
use std::sync::Arc;

use http::header::{CONNECTION, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};

use super::access_log::LogEntry;
use super::body::ResponseBody;
use super::client_paths::ClientPaths;
use super::compressed::Compressible;
use super::context::Response;
use super::forwarded;
use super::headers::X_REQUEST_ID;
use crate::access::is_preflight;
use crate::net::ClientInfo;
use crate::route::{Changes, FieldRules, FieldValues, PageRules, Policy, Variables};
use crate::site::{DIGESTS, ErrorPages, Page};

/// The rules of the route, and their values for one request.
#[derive(Debug)]
pub(super) struct ResponseFields {
    changes: Option<Arc<Changes>>,
    values: FieldValues,
    /// The page that may read the response.
    allowed_origin: Option<HeaderValue>,
    pages: Option<Arc<PageRules>>,
    compression: Option<Compressible>,
}

impl ResponseFields {
    /// For the response to a request of `route`. `None` if the route changes nothing.
    pub(super) fn new(
        route: &Policy,
        method: &Method,
        variables: &Variables<'_>,
    ) -> Option<Box<Self>> {
        if !is_changed(route) {
            return None;
        }
        let changes = route.changes.clone();
        let values = changes.as_ref().map(|changes| changes.response.values(variables));
        let cors = changes.as_ref().and_then(|changes| changes.cors.as_ref());
        let allowed_origin =
            cors.and_then(|cors| cors.allowed_origin(variables.headers, variables.host));
        let compression = route.compression.as_ref();
        let compression =
            compression.map(|rules| Compressible::new(rules, method, variables.headers));
        let pages = route.error_pages.clone();
        let values = values.unwrap_or_default();
        Some(Box::new(Self { changes, values, allowed_origin, pages, compression }))
    }

    /// The response is Engine.IO's or a WebSocket's, whose clients read no pages and want no other form.
    pub(super) fn keep_form(&mut self) {
        (self.pages, self.compression) = (None, None);
    }

    /// Changes the response of a node or of a target that needs none.
    pub(super) fn change(&self, response: &mut Response) {
        let rules = self.pages.as_ref().filter(|rules| rules.replaces_nodes);
        if let Some(page) = rules.and_then(|rules| rules.pages.page(response.status())) {
            put_page(page, response);
        }
        if let Some(changes) = &self.changes {
            changes.response.change(response.headers_mut(), &self.values);
        }
        self.put_cors(response);
        if let Some(compression) = &self.compression {
            compression.compress(response);
        }
    }

    /// Completes a response of our own.
    pub(super) fn complete(&self, response: &mut Response) {
        FieldRules::complete(response.headers_mut(), &self.values);
        self.put_cors(response);
    }

    /// The pages for errors of ours.
    pub(super) fn pages(&self) -> Option<&ErrorPages> {
        self.pages.as_ref().map(|rules| &rules.pages)
    }

    /// The response to a preflight, if a request is one and the route says which pages may read.
    pub(super) fn preflight(
        &self,
        (method, headers): (&Method, &HeaderMap),
        has_body: bool,
        entry: &LogEntry,
    ) -> Option<Response> {
        let cors = self.changes.as_ref()?.cors.as_ref()?;
        if !is_preflight(method, headers) {
            return None;
        }
        let mut response = Response::new(ResponseBody::whole(""));
        *response.status_mut() = StatusCode::NO_CONTENT;
        let fields = response.headers_mut();
        fields.insert(X_REQUEST_ID, entry.request_id().clone());
        if has_body {
            // Part of the body may still be in transit.
            fields.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        FieldRules::complete(fields, &self.values);
        cors.put_preflight(self.allowed_origin.as_ref(), headers, fields);
        entry.answered("self", response.status());
        Some(response)
    }

    fn put_cors(&self, response: &mut Response) {
        if let Some(cors) = self.changes.as_ref().and_then(|changes| changes.cors.as_ref()) {
            cors.put(self.allowed_origin.as_ref(), response.headers_mut());
        }
    }
}

/// Sends `page` instead of the body of `response`.
pub(super) fn put_page(page: &Page, response: &mut Response) {
    *response.body_mut() = ResponseBody::whole(page.body());
    let fields = response.headers_mut();
    for gone in OF_BODY {
        fields.remove(gone);
    }
    for gone in &DIGESTS {
        fields.remove(gone);
    }
    fields.insert(CONTENT_TYPE, page.content_type());
}

/// What is said of the body that is replaced.
static OF_BODY: [&str; 10] = [
    "accept-ranges",
    "content-disposition",
    "content-encoding",
    "content-language",
    "content-length",
    "content-location",
    "content-range",
    "etag",
    "last-modified",
    "trailer",
];

fn is_changed(route: &Policy) -> bool {
    route.changes.is_some() || route.error_pages.is_some() || route.compression.is_some()
}

/// What is changed in the response to a request of `route`: the fields that it sets, and the paths of its
/// nodes. The request is described as for [`variables`].
pub(super) fn response_changes(
    route: &Policy,
    (method, uri, headers): (&Method, &Uri, &HeaderMap),
    client: &ClientInfo,
    known: (IpAddr, &str, &HeaderValue),
) -> (Option<Box<ResponseFields>>, Option<Box<ClientPaths>>) {
    if route.rewrite.is_none() && !is_changed(route) {
        return (None, None);
    }
    let variables = variables(route, (uri, headers), client, known);
    let paths = ClientPaths::new(route, known.1, &variables);
    (ResponseFields::new(route, method, &variables), paths.map(Box::new))
}

/// The variables of a request with these fields for `host`; `address` is the client's.
pub(super) fn variables<'a>(
    route: &'a Policy,
    (uri, headers): (&'a Uri, &'a HeaderMap),
    client: &ClientInfo,
    (address, host, request_id): (IpAddr, &'a str, &'a HeaderValue),
) -> Variables<'a> {
    Variables {
        client_address: address,
        host: forwarded::original_host(headers, client).unwrap_or(host),
        scheme: forwarded::original_scheme(headers, client),
        request_id,
        uri,
        headers,
        may_say: match client.is_trusted() {
            true => |_| true,
            false => |name| !forwarded::is_claim(name),
        },
        owned: route.access.as_ref().map(|access| access.owned_fields()),
    }
}
