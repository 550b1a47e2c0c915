//! What a node is told about a client as our own fuzz targets see it, through `crate::internal`. Not a
//! public interface.
//!
//! Pure. Runs for every request.

use std::net::IpAddr;

use http::HeaderMap;
use http::header::HeaderName;

use super::forwarded::{Forwarded, client_address};
use crate::net::ClientInfo;

/// The address of the client itself, and the fields that a node gets with its request for `host`.
pub fn forwarded_fields(
    headers: &HeaderMap,
    client: &ClientInfo,
    host: &str,
) -> (IpAddr, Vec<(HeaderName, Vec<u8>)>) {
    let address = client_address(headers, client);
    let forwarded = Forwarded::new(headers, client, address, host);
    let fields = forwarded.fields().map(|(name, value)| (name.clone(), value.to_vec()));
    (address, fields.collect())
}
