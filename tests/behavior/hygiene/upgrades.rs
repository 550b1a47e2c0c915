//! Upgrades that are none, and bytes behind them.

use super::{Pair, statuses};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const KEY: &str = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
const UPGRADE: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n";
const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";

/// Sends a request and another one at once behind it. Returns the statuses of all answers, and what the
/// node got. The connection ends.
async fn ask(pair: &Pair, request: &str) -> (Vec<u16>, String) {
    let mut stream = TcpStream::connect(pair.proxy.address).await.unwrap();
    stream.write_all(format!("{request}{SMUGGLED}").as_bytes()).await.unwrap();
    let mut answers = Vec::new();
    let _ = tokio::time::timeout(super::ENOUGH, stream.read_to_end(&mut answers)).await.unwrap();
    (statuses(&answers), pair.node.take())
}

#[tokio::test]
async fn a_handshake_that_is_none_is_refused() {
    let pair = Pair::start().await;
    for request in [
        format!("GET / HTTP/1.0\r\nHost: a\r\n{UPGRADE}{KEY}\r\n"),
        format!("POST / HTTP/1.1\r\nHost: a\r\n{UPGRADE}{KEY}Content-Length: 1\r\n\r\nx"),
        format!("HEAD / HTTP/1.1\r\nHost: a\r\n{UPGRADE}{KEY}\r\n"),
        format!("GET / HTTP/1.1\r\nHost: a\r\n{UPGRADE}{KEY}Content-Length: 1\r\n\r\nx"),
        format!(
            "GET / HTTP/1.1\r\nHost: a\r\n{UPGRADE}{KEY}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
        ),
        format!("GET / HTTP/1.1\r\nHost: a\r\n{UPGRADE}\r\n"),
        format!("GET / HTTP/1.1\r\nHost: a\r\n{UPGRADE}{KEY}{KEY}\r\n"),
    ] {
        assert_eq!(ask(&pair, &request).await, (vec![400], String::new()), "{request:?}");
    }
}

#[tokio::test]
async fn what_follows_a_request_for_an_upgrade_never_becomes_a_request() {
    let pair = Pair::start().await;
    for fields in [
        format!("{UPGRADE}{KEY}"),
        "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n"
            .to_owned(),
        "Connection: Upgrade\r\nUpgrade: TLS/1.0\r\n".to_owned(),
        "Upgrade: websocket\r\n".to_owned(),
    ] {
        let request = format!("GET /first HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
        let (statuses, received) = ask(&pair, &request).await;
        assert_eq!(statuses, [200], "{request:?}");
        assert!(received.starts_with("GET /first HTTP/1.1\r\n"), "{request:?}");
        assert!(!received.contains("smuggled"), "{request:?}: {received:?}");
        assert!(!received.contains("HTTP2-Settings"), "{request:?}: {received:?}");
    }
}
