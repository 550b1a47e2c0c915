//! The WebSocket handshake.

use crate::support::websocket::{KEY, UPGRADE, accept, ask, frame, open, switching, text};
use crate::support::{Client, FakeNode, Proxy, Reply, config, ok, request, response};
use crate::tunnel::HeldNode;

#[tokio::test]
async fn frames_go_both_ways() {
    let node = FakeNode::start(|_| Reply::Echo { behind: Vec::new() }).await;
    let proxy = Proxy::default_before(&[&node]);
    let mut client = open(proxy.address, "/ws").await;
    for size in [0, 1, 125, 126, 65_535, 65_536, 900_000] {
        let message = "x".repeat(size);
        client.send(text(&message)).await;
        let (opcode, echoed) = client.frame().await.unwrap();
        assert!(opcode == 1 && echoed == message.as_bytes(), "{size}");
    }
}

#[tokio::test]
async fn the_handshake_passes_with_all_its_fields() {
    let node = FakeNode::start(|request| {
        let accept = accept(request.head.field("sec-websocket-key").unwrap());
        let head = switching(&accept);
        let more = "Sec-WebSocket-Protocol: chat\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\
                    Set-Cookie: io=1\r\nX-Node: n1\r\n\r\n";
        Reply::Bytes((head.trim_end().to_owned() + "\r\n" + more).into_bytes())
    })
    .await;
    let proxy = Proxy::default_before(&[&node]);
    let fields = [
        "Sec-WebSocket-Protocol: chat, superchat",
        "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits",
        "Cookie: a=b",
        "Origin: https://app.example",
        "X-Custom: 1",
    ];
    let (_, answer) = ask(proxy.address, "/ws?x=1", &fields).await;
    assert_eq!(answer.status(), 101);
    assert_eq!(answer.head.field("connection"), Some("Upgrade"));
    assert_eq!(answer.head.field("upgrade"), Some("websocket"));
    assert_eq!(answer.head.field("sec-websocket-accept"), Some(&*accept(KEY)));
    assert_eq!(answer.head.field("sec-websocket-protocol"), Some("chat"));
    assert_eq!(answer.head.field("sec-websocket-extensions"), Some("permessage-deflate"));
    assert_eq!(answer.head.field("set-cookie"), Some("io=1"));
    assert_eq!(answer.head.field("x-node"), Some("n1"));

    let seen = node.requests().remove(0).head;
    assert_eq!(seen.target, "/ws?x=1");
    assert_eq!(seen.field("connection"), Some("Upgrade"));
    assert_eq!(seen.field("upgrade"), Some("websocket"));
    for field in fields {
        let (name, value) = field.split_once(": ").unwrap();
        assert_eq!(seen.field(&name.to_lowercase()), Some(value));
    }
}

#[tokio::test]
async fn frames_behind_a_query_that_is_encoded_are_carried_over() {
    let node = FakeNode::start(|_| Reply::Echo { behind: Vec::new() }).await;
    let proxy = Proxy::default_before(&[&node]);
    let mut client = Client::connect(proxy.address).await;
    // Nearly all that is read at once, so that there is no room for what the encoding adds.
    let query = "\"".repeat(1_000);
    let handshake = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                     Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let head = format!("GET /?{query} HTTP/1.1\r\nHost: a\r\n{handshake}\r\n");
    let message = "x".repeat(5_000);
    client.send([head.as_bytes(), &text(&message)].concat()).await;
    assert_eq!(client.response().await.status(), 101);
    assert_eq!(client.frame().await, Some((1, message.into_bytes())));
}

#[tokio::test]
async fn reserved_bits_of_an_agreed_extension_pass_and_those_of_none_do_not() {
    let (held, address) = HeldNode::start().await;
    let proxy = Proxy::start(&config(&[address], "", ""));
    for (agreed, first, passes) in [
        ("Sec-WebSocket-Extensions: x-webkit-deflate-frame\r\n", 0xc2, true),
        ("Sec-WebSocket-Extensions: x-checksum; bits=16\r\n", 0xa2, true),
        ("Sec-WebSocket-Extensions: permessage-deflate, x-own\r\n", 0xf2, true),
        ("Sec-WebSocket-Extensions: permessage-deflate\r\n", 0xc2, true),
        ("Sec-WebSocket-Extensions: permessage-deflate\r\n", 0xa2, false),
        ("", 0xc2, false),
    ] {
        let client = tokio::spawn(async move { open(proxy.address, "/ws").await });
        let mut node = held.accept_with(agreed).await;
        let mut client = client.await.unwrap();
        let mut sent = frame(2, b"client", Some([1, 2, 3, 4]));
        sent[0] = first;
        client.send(&sent).await;
        let (opcode, _) = node.frame().await.unwrap();
        assert_eq!(opcode, if passes { 2 } else { 8 }, "{agreed:?} {first:x}");
    }
}

#[tokio::test]
async fn bytes_behind_the_request_and_behind_the_101_are_carried_over() {
    let first = frame(1, b"first from the node", None);
    let node = FakeNode::start(move |_| Reply::Echo { behind: first.clone() }).await;
    let proxy = Proxy::default_before(&[&node]);
    let mut client = Client::connect(proxy.address).await;
    let ahead = [request("GET", "/ws", &UPGRADE, "").into_bytes(), text("ahead")].concat();
    client.send(ahead).await;
    assert_eq!(client.response().await.status(), 101);
    assert_eq!(client.frame().await, Some((1, b"first from the node".to_vec())));
    assert_eq!(client.frame().await, Some((1, b"ahead".to_vec())));
}

#[tokio::test]
async fn a_refusal_passes_with_its_body_and_then_the_connection_is_closed() {
    for status in ["200 OK", "302 Found", "400 Bad Request", "403 Forbidden", "503 Unavailable"] {
        let node = FakeNode::start(move |_| Reply::Bytes(response(status, "because"))).await;
        let proxy = Proxy::default_before(&[&node]);
        let mut client = Client::connect(proxy.address).await;
        let ahead = request("GET", "/smuggled", &[], "");
        client.send(request("GET", "/ws", &UPGRADE, "") + &ahead).await;
        let answer = client.response().await;
        assert_eq!(answer.status().to_string(), status[..3]);
        assert_eq!(answer.text(), "because");
        assert_eq!(answer.head.field("connection"), Some("close"));
        client.until_end().await;
        assert_eq!(node.requests().len(), 1, "bytes behind the handshake are no request");
    }
}

#[tokio::test]
async fn a_101_that_does_not_answer_the_handshake_is_no_tunnel() {
    let good = switching(&accept(KEY));
    let wrong = [
        good.replace(&accept(KEY), "wrong"),
        good.replace("Upgrade: websocket\r\n", "Upgrade: h2c\r\n"),
        good.replace("Connection: Upgrade\r\n", ""),
    ];
    for answer in wrong {
        let node = FakeNode::start(move |_| Reply::Bytes(answer.clone().into_bytes())).await;
        let proxy = Proxy::default_before(&[&node]);
        let (mut client, answer) = ask(proxy.address, "/ws", &[]).await;
        assert_eq!(answer.status(), 502, "{}", answer.text());
        client.until_end().await;
        node.until_lost(1).await;
    }
}

#[tokio::test]
async fn other_protocols_never_make_a_tunnel() {
    let node = FakeNode::start(|_| ok("plain")).await;
    let proxy = Proxy::default_before(&[&node]);
    for protocol in ["h2c", "TLS/1.0", "websocketx"] {
        let mut client = Client::connect(proxy.address).await;
        let upgrade = format!("Upgrade: {protocol}");
        client.send(request("GET", "/", &["Connection: Upgrade", &upgrade], "")).await;
        assert_eq!(client.response().await.text(), "plain");
    }
    for request in node.requests() {
        assert_eq!(request.head.field("upgrade"), None);
        assert_eq!(request.head.field("connection"), None);
    }
}

#[tokio::test]
async fn an_unasked_101_is_the_nodes_fault() {
    let node = FakeNode::start(|_| Reply::Bytes(switching(&accept(KEY)).into_bytes())).await;
    let proxy = Proxy::default_before(&[&node]);
    let answer = crate::support::get(proxy.address, "/").await;
    assert_eq!(answer.status(), 502, "{answer:?}");
}

#[tokio::test]
async fn a_handshake_that_breaks_the_rfc_is_refused() {
    let node = FakeNode::start(|_| ok("")).await;
    let proxy = Proxy::default_before(&[&node]);
    let post = request("POST", "/ws", &UPGRADE, "");
    let keyless = request("GET", "/ws", &UPGRADE[..3], "");
    let old = request("GET", "/ws", &UPGRADE, "").replace("HTTP/1.1", "HTTP/1.0");
    for wrong in [post, keyless, old] {
        let mut client = Client::connect(proxy.address).await;
        client.send(&wrong).await;
        let answer = client.response().await;
        assert_eq!(answer.status(), 400, "{wrong}");
        assert!(answer.text().contains("not a valid handshake"), "{}", answer.text());
    }
    assert!(node.requests().is_empty());
}
