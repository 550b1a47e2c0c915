//! Header fields and clients for the tests of this room, and the size of its futures.

use std::sync::Arc;

use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::{Method, Uri, Version};

use super::access_log::LogEntry;
use super::{Proxy, RequestBody};
use crate::Instant;
use crate::net::ClientInfo;
use crate::shutdown::ShutdownWatch;
use crate::snapshot::{Current, Snapshot};

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

/// A poll is pending for long: what few requests need is boxed.
#[test]
fn the_future_of_an_exchange_has_no_room_for_what_few_need() {
    let snapshot = Snapshot::build(&[], &[], None).unwrap();
    let proxy = Proxy::new(Current::new(snapshot).into(), ShutdownWatch::never());
    let (snapshot, client) = (proxy.0.current.load(), client(""));
    let mut request = http::Request::new(RequestBody::EMPTY);
    let (head, address) =
        ((&Method::GET, &Uri::from_static("/"), Version::HTTP_11), [127, 0, 0, 1]);
    let (id, counts) = (HeaderValue::from_static("1"), snapshot.unrouted.clone());
    let mut entry = LogEntry::begin(head, address.into(), id, counts, Instant::now());
    let mut fields = None;
    let future = proxy.exchange(&snapshot, &client, &mut request, (&mut entry, &mut fields));
    let bytes = size_of_val(&future);
    assert!(bytes <= FUTURE_BYTES_MAX, "{bytes}");
}

const FUTURE_BYTES_MAX: usize = 2_200;
