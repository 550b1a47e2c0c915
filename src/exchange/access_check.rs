//! Asks the route whether the client may use it.
//!
//! Runs for every request.

use std::net::IpAddr;
use std::sync::Arc;

use http::uri::PathAndQuery;
use http::{HeaderMap, Method, Uri};

use super::access_log::LogEntry;
use super::error::ExchangeError;
use super::forwarded;
use super::headers::named_by_connection;
use super::purpose::Purpose;
use crate::access::{Grant, Visitor};
use crate::net::ClientInfo;
use crate::pool::Pool;
use crate::route::Policy;
use crate::snapshot::Snapshot;

/// Checks that the client may use `route`, with a request for `host`, and says what it is granted.
///
/// # Errors
///
/// [`ExchangeError::Refused`].
pub(super) async fn check(
    (snapshot, route, pool): (&Snapshot, &Policy, &Arc<Pool>),
    client: &ClientInfo,
    (method, uri, headers): (&Method, &Uri, &HeaderMap),
    (host, purpose): (&str, Purpose),
    entry: &LogEntry,
) -> Result<Grant, ExchangeError> {
    if let Some(rates) = &snapshot.client_rates {
        rates.count(entry.client(), purpose.opens_session(), entry.began())?;
    }
    let host = || forwarded::original_host(headers, client).unwrap_or(host);
    if purpose.is_websocket() {
        route.note_foreign_origin(headers, host);
    }
    let Some(access) = &route.access else { return Ok(Grant::default()) };
    let asked = (method, uri, headers);
    let of_connection: Vec<_> = match access.asks_a_service() {
        true => named_by_connection(headers).collect(),
        false => Vec::new(),
    };
    let mut visitor = visitor(client, asked, (entry.client(), host()), purpose);
    visitor.of_connection = &of_connection;
    Ok(access.check(&visitor, pool, &route.counts.auth).await?)
}

/// What the rules of a route look at, without the names in `Connection`.
pub(super) fn visitor<'a>(
    client: &ClientInfo,
    (method, uri, headers): (&'a Method, &'a Uri, &'a HeaderMap),
    (address, host): (IpAddr, &'a str),
    purpose: Purpose,
) -> Visitor<'a> {
    Visitor {
        address,
        host,
        scheme: forwarded::original_scheme(headers, client),
        method,
        target: uri.path_and_query().map_or("/", PathAndQuery::as_str),
        query: uri.query(),
        headers,
        of_connection: &[],
        is_page: purpose == Purpose::Plain && [Method::GET, Method::HEAD].contains(method),
    }
}
