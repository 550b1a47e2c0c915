//! Header fields and clients for the tests of this room.

use std::sync::Arc;

use http::header::{HeaderMap, HeaderName, HeaderValue};

use crate::net::ClientInfo;

/// Header fields from lines such as `Host: a.b`.
pub(super) fn headers(lines: &[&str]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for line in lines {
        let (name, value) = line.split_once(": ").unwrap();
        let name = HeaderName::from_bytes(name.to_lowercase().as_bytes()).unwrap();
        headers.append(name, HeaderValue::from_str(value).unwrap());
    }
    headers
}

/// A client at 10.0.0.9 with these trusted networks, separated by spaces.
pub(super) fn client(trusted: &str) -> ClientInfo {
    let mut client = ClientInfo::plain("10.0.0.9:5000".parse().unwrap());
    client.trusted_proxies =
        trusted.split_whitespace().map(|network| network.parse().unwrap()).collect::<Arc<_>>();
    client
}
