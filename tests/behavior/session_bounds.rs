//! What a handshake says bounds its own session, and no other.

use std::time::Duration;

use socketioxide::SocketIo;
use socketioxide::extract::{AckSender, Data, SocketRef};
use tokio::net::TcpListener;
use tokio::time::{Instant, timeout};

use crate::support::{
    Client, FakeNode, Proxy, Reply, config, get, ok, request, response, websocket,
};

/// The sid in an open packet of any form.
fn sid(body: &str) -> String {
    let (_, rest) = body.split_once("\"sid\":\"").expect(body);
    rest.split('"').next().unwrap().to_owned()
}

const POLLING: &str = "/socket.io/?EIO=4&transport=polling";

/// An open packet of a session with these numbers.
fn open_with(sid: &str, interval: u64, timeout: u64, payload: u64) -> String {
    format!(
        r#"0{{"sid":"{sid}","upgrades":["websocket"],"pingInterval":{interval},"pingTimeout":{timeout},"maxPayload":{payload}}}"#
    )
}

/// A node with two Socket.IO servers, at `/small/` and `/large/`, and a file at `/file`.
async fn two_servers() -> FakeNode {
    FakeNode::start(|request| match (request.query("sid"), &*request.head.target) {
        (Some(_), _) if request.head.is_upgrade() => Reply::Echo { behind: Vec::new() },
        (Some(_), _) => ok("ok"),
        (None, target) if target.starts_with("/large/") => {
            ok(&open_with("large", 27_000, 0, 5_000_000))
        }
        (None, _) => ok(&open_with("small", 300, 300, 5_000)),
    })
    .await
}

async fn post(proxy: &Proxy, target: &str, bytes: usize) -> u16 {
    let mut client = Client::connect(proxy.address).await;
    client.send(request("POST", target, &[], &"4".repeat(bytes))).await;
    client.response().await.status()
}

/// Whether a post of so many bytes, of which only the head is sent, is too large.
async fn is_too_large(proxy: &Proxy, target: &str, bytes: usize) -> bool {
    let head = format!("POST {target} HTTP/1.1\r\nHost: a\r\nContent-Length: {bytes}\r\n\r\n");
    let mut client = Client::connect(proxy.address).await;
    client.send(head).await;
    client.response().await.status() == 413
}

#[tokio::test]
async fn what_one_server_of_a_node_says_does_not_bound_the_sessions_of_another() {
    let node = two_servers().await;
    let (proxy, other) = (Proxy::default_before(&[&node]), Proxy::default_before(&[&node]));
    let polling = "EIO=4&transport=polling";
    let large = sid(&get(proxy.address, &format!("/large/?{polling}")).await.text());
    let small = sid(&get(proxy.address, &format!("/small/?{polling}")).await.text());
    // What a stranger uploaded looks like an open packet.
    get(proxy.address, &format!("/file?{polling}")).await;
    for proxy in [&proxy, &other] {
        let large = format!("/large/?{polling}&sid={large}");
        assert_eq!(post(proxy, &large, 200_000).await, 200);
        assert!(is_too_large(proxy, &large, 6_000_000).await);
        let small = format!("/small/?{polling}&sid={small}");
        assert_eq!(post(proxy, &small, 5_000).await, 200);
        assert!(is_too_large(proxy, &small, 200_000).await);
    }
}

#[tokio::test]
async fn a_session_takes_its_idle_timeout_along_to_its_websocket() {
    let node = two_servers().await;
    let (proxy, other) = (Proxy::default_before(&[&node]), Proxy::default_before(&[&node]));
    let large = sid(&get(proxy.address, "/large/?EIO=4&transport=polling").await.text());
    get(other.address, "/small/?EIO=4&transport=polling").await;
    let begun = Instant::now();
    let target = format!("/large/?EIO=4&transport=websocket&sid={large}");
    let mut client = websocket::open(other.address, &target).await;
    // pingInterval + pingTimeout and a margin of 5 s.
    let closed = timeout(Duration::from_secs(45), client.stream.readable()).await;
    closed.expect("within the session's time").unwrap();
    assert_eq!(client.frame().await.expect("a Close frame").0, 8);
    assert!(begun.elapsed() >= Duration::from_secs(32), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_short_tag_is_read_and_says_nothing_about_bounds() {
    let node = two_servers().await;
    let short = Proxy::before(&[&node], "affinity: { sid: { tag: short } }", "");
    let long = Proxy::default_before(&[&node]);
    let small = sid(&get(short.address, "/small/?EIO=4&transport=polling").await.text());
    assert_eq!(small.len(), "small".len() + 9);
    let target = format!("/small/?EIO=4&transport=polling&sid={small}");
    for proxy in [&short, &long] {
        assert_eq!(post(proxy, &target, 200_000).await, 200, "the general bound holds");
    }
    let small = sid(&get(long.address, "/small/?EIO=4&transport=polling").await.text());
    let target = format!("/small/?EIO=4&transport=polling&sid={small}");
    assert!(is_too_large(&short, &target, 200_000).await, "both read both");
}

#[tokio::test]
async fn a_session_of_engineio_3_has_its_bounds_in_the_table() {
    let packet = open_with("small", 300, 300, 5_000);
    let body = format!("{}:{packet}2:40", packet.len());
    let node = FakeNode::start(move |request| match request.query("sid") {
        Some(_) => ok("ok"),
        None => ok(&body),
    })
    .await;
    let proxy = Proxy::default_before(&[&node]);
    let target = "/socket.io/?EIO=3&transport=polling";
    assert_eq!(sid(&get(proxy.address, target).await.text()), "small");
    let target = format!("{target}&sid=small");
    assert_eq!(post(&proxy, &target, 5_000).await, 200);
    assert!(is_too_large(&proxy, &target, 200_000).await);
    // Another proxy does not know it.
    let other = Proxy::default_before(&[&node]);
    assert_eq!(get(other.address, &target).await.text(), "ok");
    assert_eq!(post(&other, &target, 200_000).await, 200);
}

#[tokio::test]
async fn a_sid_may_have_a_kibibyte() {
    for bytes in [257, 1024 - 12, 1024 - 11, 1024] {
        let own = "s".repeat(bytes);
        let packet = open_with(&own, 25_000, 20_000, 5_000);
        let expected = own.clone();
        let node = FakeNode::start(move |request| match request.query("sid") {
            Some(sid) if sid == expected => ok("ok"),
            Some(_) => Reply::Bytes(response("400 Bad Request", "")),
            None => ok(&packet),
        })
        .await;
        let proxy = Proxy::default_before(&[&node]);
        let seen = sid(&get(proxy.address, POLLING).await.text());
        let is_tagged = bytes + 12 <= 1024;
        assert_eq!(seen.len(), if is_tagged { bytes + 12 } else { bytes });
        assert_eq!(post(&proxy, &format!("{POLLING}&sid={seen}"), 100).await, 200, "{bytes}");
        assert!(is_too_large(&proxy, &format!("{POLLING}&sid={seen}"), 200_000).await, "{bytes}");
    }
}

#[tokio::test]
async fn a_message_to_socketioxide_may_be_longer_than_the_max_payload_that_it_announces() {
    let (layer, socket_io) = SocketIo::new_layer();
    socket_io.ns("/", async |socket: SocketRef| {
        socket.on("size", async |Data(text): Data<String>, ack: AckSender| {
            ack.send(&text.len()).unwrap();
        });
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let node =
        tokio::spawn(async { axum::serve(listener, axum::Router::new().layer(layer)).await });
    let proxy = Proxy::start(&config(&[address], "", ""));
    let target = "/socket.io/?EIO=4&transport=websocket";
    let mut client = websocket::open(proxy.address, target).await;
    let (_, open) = client.frame().await.unwrap();
    assert!(String::from_utf8_lossy(&open).contains("\"maxPayload\":100000"), "{open:?}");
    client.send(websocket::text("40")).await;
    assert!(next_message(&mut client).await.starts_with("40"));
    let message = format!(r#"420["size","{}"]"#, "x".repeat(100_001));
    client.send(websocket::text(&message)).await;
    assert_eq!(next_message(&mut client).await, "430[100001]");
    node.abort();
}

/// What the node says next, its pings answered.
async fn next_message(client: &mut Client) -> String {
    loop {
        let (opcode, payload) = client.frame().await.expect("a message");
        match (opcode, &*payload) {
            (1, b"2") => client.send(websocket::text("3")).await,
            (1, _) => return String::from_utf8(payload).unwrap(),
            (opcode, _) => panic!("a frame of kind {opcode}: {payload:?}"),
        }
    }
}
