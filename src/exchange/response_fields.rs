//! What a route sets in the response to a request, a node's or our own. The values are written when the
//! request has come: it may be gone when the response comes.
//!
//! Pure. Runs for every request.

use std::net::IpAddr;
use std::sync::Arc;

use http::{HeaderMap, HeaderValue};

use super::context::Response;
use super::forwarded;
use crate::net::ClientInfo;
use crate::route::{Changes, FieldRules, FieldValues, Route, Variables};

/// The rules of the route, and their values for one request.
#[derive(Debug)]
pub(super) struct ResponseFields {
    changes: Arc<Changes>,
    values: FieldValues,
}

impl ResponseFields {
    /// For the response to a request of `route`. `None` if the route changes no field.
    pub(super) fn new(route: &Route, variables: &Variables<'_>) -> Option<Box<Self>> {
        let changes = route.changes.as_ref()?;
        let values = changes.response.values(variables);
        Some(Box::new(Self { changes: changes.clone(), values }))
    }

    /// Changes the response of a node.
    pub(super) fn change(&self, response: &mut Response) {
        self.changes.response.change(response.headers_mut(), &self.values);
    }

    /// Completes a response of our own.
    pub(super) fn complete(&self, response: &mut Response) {
        FieldRules::complete(response.headers_mut(), &self.values);
    }
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
