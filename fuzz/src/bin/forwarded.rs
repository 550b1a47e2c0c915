//! The fields in which proxies describe a client: nothing of a stranger's reaches a node, and what a trusted
//! proxy says goes on as fields that are valid, each of them once.

#![no_main]

use std::net::{IpAddr, SocketAddr};

use http::header::{HeaderMap, HeaderName, HeaderValue};
use libfuzzer_sys::fuzz_target;
use sockeye::internal::exchange::forwarded_fields;
use sockeye::{ClientInfo, Scheme};

fuzz_target!(|bytes: &[u8]| {
    let headers = headers(bytes);
    for stranger in [[192, 0, 2, 1], [10, 1, 2, 3]].map(|address| client(address, &["127.0.0.0/8"]))
    {
        let (address, fields) = forwarded_fields(&headers, &stranger, HOST);
        assert_eq!(address, stranger.address.ip());
        let without = forwarded_fields(&HeaderMap::new(), &stranger, HOST);
        assert_eq!((address, fields), without, "something of a stranger's was believed");
    }
    let proxy = client([10, 1, 2, 3], &["10.0.0.0/8"]);
    let (_, fields) = forwarded_fields(&headers, &proxy, HOST);
    for (index, (name, value)) in fields.iter().enumerate() {
        assert!(HeaderValue::from_bytes(value).is_ok(), "{name}: {value:?}");
        assert!(fields.iter().skip(index + 1).all(|(other, _)| other != name), "{name} twice");
    }
    let ends = |name: &str, end: &str| {
        let field = fields.iter().find(|(field, _)| field == name);
        assert!(field.is_some_and(|(_, value)| value.ends_with(end.as_bytes())), "{name}");
    };
    ends("x-forwarded-for", "10.1.2.3");
    ends("forwarded", "for=10.1.2.3;host=\"a.b:80\";proto=http");
});

/// Each line is a field: its first byte selects the name.
fn headers(bytes: &[u8]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for line in bytes.split(|byte| *byte == b'\n').take(50) {
        let [name, value @ ..] = line else { continue };
        let name = NAMES[usize::from(*name) % NAMES.len()];
        if let Ok(value) = HeaderValue::from_bytes(value) {
            headers.append(HeaderName::from_static(name), value);
        }
    }
    headers
}

fn client(address: [u8; 4], trusted: &[&str]) -> ClientInfo {
    let trusted = trusted.iter().map(|network| network.parse().expect("a network"));
    ClientInfo {
        address: SocketAddr::new(IpAddr::from(address), 1000),
        scheme: Scheme::Http,
        trusted_proxies: trusted.collect(),
        certificate: None,
        redirect_to: None,
    }
}

const HOST: &str = "a.b:80";
const NAMES: [&str; 7] = [
    "x-forwarded-for",
    "forwarded",
    "x-forwarded-proto",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-real-ip",
    "host",
];
