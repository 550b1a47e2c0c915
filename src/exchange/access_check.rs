//! Asks the route whether the client may use it.
//!
//! Runs for every request.

use super::access_log::LogEntry;
use super::context::Request;
use super::error::ExchangeError;
use super::forwarded;
use super::purpose::Purpose;
use crate::access::{Grant, Visitor};
use crate::net::ClientInfo;
use crate::route::Route;
use crate::snapshot::Snapshot;

/// Checks that the client may use `route`, with a request for `host`, and says what it is granted.
///
/// # Errors
///
/// [`ExchangeError::Refused`].
pub(super) fn check(
    (snapshot, route): (&Snapshot, &Route),
    client: &ClientInfo,
    request: &Request,
    (host, purpose): (&str, Purpose),
    entry: &LogEntry,
) -> Result<Grant, ExchangeError> {
    if let Some(rates) = &snapshot.client_rates {
        rates.count(entry.client(), purpose.opens_session(), entry.began())?;
    }
    let headers = request.headers();
    let host = || forwarded::original_host(headers, client).unwrap_or(host);
    if purpose.is_upgrade() {
        route.note_foreign_origin(headers, host);
    }
    match &route.access {
        Some(access) => {
            let (method, query) = (request.method(), request.uri().query());
            let address = entry.client();
            Ok(access.check(&Visitor { address, host: host(), method, query, headers })?)
        }
        None => Ok(Grant::default()),
    }
}
