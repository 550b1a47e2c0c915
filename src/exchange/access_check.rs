//! Asks the route whether the client may use it.
//!
//! Runs for every request.

use super::access_log::LogEntry;
use super::context::Request;
use super::error::ExchangeError;
use super::forwarded;
use super::purpose::Purpose;
use crate::access::Visitor;
use crate::net::ClientInfo;
use crate::route::Route;

/// Checks that the client may use `route`, with a request for `host`.
///
/// # Errors
///
/// [`ExchangeError::Refused`].
pub(super) fn check(
    route: &Route,
    client: &ClientInfo,
    request: &Request,
    (host, purpose): (&str, Purpose),
    entry: &LogEntry,
) -> Result<(), ExchangeError> {
    let headers = request.headers();
    let host = || forwarded::original_host(headers, client).unwrap_or(host);
    if purpose.is_upgrade() {
        route.note_foreign_origin(headers, host);
    }
    match &route.access {
        Some(access) => {
            let visitor = Visitor { address: entry.client(), host: host(), headers };
            Ok(access.check(&visitor)?)
        }
        None => Ok(()),
    }
}
