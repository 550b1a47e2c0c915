//! PROXY headers before HTTP and TLS.

use super::*;
use crate::listener::settings::ProxyProtocol;
use crate::net::proxy_header::Version;

/// A listener that trusts the test, or trusts another network.
async fn start(proxy_protocol: ProxyProtocol, trusted: &str) -> Server {
    let minute = Duration::from_secs(60);
    start_with(proxy_protocol, trusted, minute).await
}

async fn start_with(proxy_protocol: ProxyProtocol, trusted: &str, header: Duration) -> Server {
    let trusted_proxies = Arc::new([trusted.parse().unwrap()]);
    let settings = settings(header, Duration::from_secs(60));
    Server::start_on(&Settings { proxy_protocol, trusted_proxies, ..settings }).await
}

const US: &str = "127.0.0.0/8";
const OTHERS: &str = "10.0.0.0/8";
const CLIENT: &str = "203.0.113.9:4711";
const REQUEST: &str = "GET /a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

fn header(version: Version) -> Vec<u8> {
    version.for_client(CLIENT.parse().unwrap(), "192.0.2.1:443".parse().unwrap())
}

/// What comes until the server closes or resets the connection.
async fn exchange(server: &Server, bytes: &[u8]) -> String {
    let mut stream = server.connect().await;
    stream.write_all(bytes).await.unwrap();
    let mut all = Vec::new();
    // A connection that is closed with unread bytes is reset.
    let _ = soon(stream.read_to_end(&mut all)).await;
    String::from_utf8(all).unwrap()
}

#[tokio::test]
async fn a_trusted_proxys_header_names_the_client_and_the_bytes_behind_it_are_http() {
    for proxy_protocol in [ProxyProtocol::Optional, ProxyProtocol::Required] {
        let server = start(proxy_protocol, US).await;
        for version in [Version::V1, Version::V2] {
            let bytes = [header(version), REQUEST.into()].concat();
            let answer = exchange(&server, &bytes).await;
            assert!(answer.ends_with(&format!("/a  {CLIENT}")), "{answer}");
        }
    }
}

#[tokio::test]
async fn a_header_may_come_byte_by_byte() {
    let server = start(ProxyProtocol::Required, US).await;
    for version in [Version::V1, Version::V2] {
        let mut stream = server.connect().await;
        for byte in header(version) {
            stream.write_u8(byte).await.unwrap();
            tokio::task::yield_now().await;
        }
        stream.write_all(REQUEST.as_bytes()).await.unwrap();
        let answer = rest(&mut stream).await;
        assert!(answer.ends_with(&format!("/a  {CLIENT}")), "{answer}");
    }
}

#[tokio::test]
async fn a_balancers_own_connection_has_its_own_address() {
    let server = start(ProxyProtocol::Required, US).await;
    let address = "127.0.0.1:1".parse().unwrap();
    let bytes = [Version::V2.for_own(address, address), REQUEST.into()].concat();
    let answer = exchange(&server, &bytes).await;
    assert!(answer.contains("/a  127.0.0.1:"), "{answer}");
}

#[tokio::test]
async fn a_client_without_an_address_is_trusted_nothing() {
    let server = start(ProxyProtocol::Required, US).await;
    let bytes = ["PROXY UNKNOWN\r\n", &REQUEST.replace("/a", "/trust")].concat();
    assert!(exchange(&server, bytes.as_bytes()).await.ends_with("/trust  false"));
    let own = Version::V2.for_own(CLIENT.parse().unwrap(), CLIENT.parse().unwrap());
    let bytes = [own, REQUEST.replace("/a", "/trust").into()].concat();
    assert!(exchange(&server, &bytes).await.ends_with("/trust  true"));
}

#[tokio::test]
async fn a_connection_without_a_required_header_is_closed_unanswered() {
    let mut server = start(ProxyProtocol::Required, US).await;
    assert_eq!(exchange(&server, REQUEST.as_bytes()).await, "");
    assert_eq!(server.end().await.label(), "proxy_header_missing");
    assert_eq!(server.requests(), 0);
}

#[tokio::test]
async fn a_malformed_header_is_closed_unanswered_and_named() {
    let mut server = start(ProxyProtocol::Optional, US).await;
    let bytes = ["PROXY TCP4 203.0.113.900 192.0.2.1 4711 443\r\n", REQUEST].concat();
    assert_eq!(exchange(&server, bytes.as_bytes()).await, "");
    let end = server.end().await;
    assert_eq!(end.label(), "proxy_header_invalid");
    let reason = "the PROXY header is malformed: the source address is not an IPv4 address";
    assert_eq!(end.reason().as_deref(), Some(reason));
    assert_eq!(server.requests(), 0);
}

#[tokio::test]
async fn an_end_within_the_header_is_named_and_one_before_it_is_nothing() {
    let mut server = start(ProxyProtocol::Required, US).await;
    let mut stream = server.connect().await;
    stream.write_all(b"PROXY TCP4 203").await.unwrap();
    stream.shutdown().await.unwrap();
    assert_eq!(server.end().await.label(), "proxy_header_invalid");
    drop(server.connect().await);
    assert_eq!(server.end().await.label(), "closed");
}

#[tokio::test]
async fn a_strangers_header_is_a_bad_request_and_none_is_accepted_where_one_is_required() {
    for version in [Version::V1, Version::V2] {
        let bytes = [header(version), REQUEST.into()].concat();
        let server = start(ProxyProtocol::Optional, OTHERS).await;
        assert!(exchange(&server, &bytes).await.starts_with("HTTP/1.1 400 "));
        assert!(exchange(&server, REQUEST.as_bytes()).await.contains("/a  127.0.0.1:"));
        assert_eq!(server.requests(), 1);

        let mut server = start(ProxyProtocol::Required, OTHERS).await;
        assert_eq!(exchange(&server, &bytes).await, "");
        assert_eq!(server.end().await.label(), "proxy_header_untrusted");
        let server = start(ProxyProtocol::Off, US).await;
        assert!(exchange(&server, &bytes).await.starts_with("HTTP/1.1 400 "));
    }
}

#[tokio::test]
async fn a_trusted_proxy_may_send_none_where_it_is_optional() {
    let server = start(ProxyProtocol::Optional, US).await;
    assert!(exchange(&server, REQUEST.as_bytes()).await.contains("/a  127.0.0.1:"));
    let mut stream = server.connect().await;
    // The first letter of a header and of a request.
    stream.write_all(b"P").await.unwrap();
    tokio::task::yield_now().await;
    stream.write_all(REQUEST.replace("GET", "OST").as_bytes()).await.unwrap();
    assert!(rest(&mut stream).await.contains("/a  127.0.0.1:"));
}

#[tokio::test]
async fn a_header_has_the_time_of_a_head() {
    let short = Duration::from_millis(50);
    let mut server = start_with(ProxyProtocol::Required, US, short).await;
    let mut stream = server.connect().await;
    stream.write_all(b"PROXY TCP4 203").await.unwrap();
    let _ = soon(stream.read(&mut [0])).await;
    assert_eq!(server.end().await.label(), "slow_proxy_header");
    assert_eq!(server.permits.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn a_connection_that_waits_for_its_header_has_a_second_when_the_shutdown_begins() {
    let mut server = start(ProxyProtocol::Required, US).await;
    let _stream = server.connect().await;
    while server.permits.load(Ordering::Relaxed) == 0 {
        tokio::task::yield_now().await;
    }
    server.shutdown.begin(Duration::from_secs(60));
    assert!(matches!(server.end().await, ConnectionEnd::Idle));
}
