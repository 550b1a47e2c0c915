//! The answers that Sockeye gives itself: what failed, in a form that the client understands.

use std::time::Duration;

use tokio::net::TcpListener;
use tokio::time::Instant;

use crate::support::{Client, FakeNode, Proxy, Reply, config, get, ok, request};

const POLL: &str = "/socket.io/?EIO=4&transport=polling";

#[tokio::test]
async fn a_node_that_is_down_is_answered_for_within_50_ms() {
    let address = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let proxy = Proxy::start(&config(&[address], "admission: { hold: off }", ""));
    let mut client = Client::connect(proxy.address).await;
    // The median of five: on a busy machine one may have waited for its turn.
    let mut waits = Vec::new();
    for _ in 0..5 {
        let asked = Instant::now();
        assert_eq!(client.get(POLL).await.status(), 502);
        waits.push(asked.elapsed());
    }
    waits.sort();
    assert!(waits[2] < Duration::from_millis(50), "{waits:?}");

    client.send(request("GET", POLL, &["Origin: https://app.example"], "")).await;
    let answer = client.response().await;
    assert_eq!(answer.status(), 502);
    assert_eq!(answer.text(), r#"{"code":502,"message":"cannot connect to the node"}"#);
    assert_eq!(answer.head.field("access-control-allow-origin"), Some("https://app.example"));
    assert_eq!(answer.head.field("access-control-allow-credentials"), Some("true"));
    assert!(answer.head.field("x-request-id").is_some());

    let plain = get(proxy.address, "/").await;
    assert_eq!(plain.text(), "502 Bad Gateway: cannot connect to the node\n");
}

#[tokio::test]
async fn a_node_that_does_not_answer_is_not_waited_for_without_end() {
    let node = FakeNode::start(|_| Reply::Silence).await;
    let proxy = Proxy::before(&[&node], "", "response_timeout: 1s");
    let answer = get(proxy.address, POLL).await;
    assert_eq!(answer.status(), 504);
    node.until_lost(1).await;
}

#[tokio::test]
async fn a_node_that_hangs_up_is_blamed() {
    let node = FakeNode::start(|_| Reply::Hangup).await;
    let proxy = Proxy::default_before(&[&node]);
    let answer = get(proxy.address, "/").await;
    assert_eq!(answer.status(), 502);
    let expected = "502 Bad Gateway: the node closed the connection before it responded\n";
    assert_eq!(answer.text(), expected);
}

#[tokio::test]
async fn a_body_that_is_too_long_is_refused() {
    let node = FakeNode::start(|_| ok("")).await;
    let proxy = Proxy::before(&[&node], "", "body_max: 1KiB");
    let mut client = Client::connect(proxy.address).await;
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1025\r\n\r\n").await;
    assert_eq!(client.response().await.status(), 413);
    assert!(node.requests().is_empty(), "the node is spared");

    let mut client = Client::connect(proxy.address).await;
    let chunk = format!("401\r\n{}\r\n0\r\n\r\n", "x".repeat(1025));
    client
        .send(format!("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{chunk}"))
        .await;
    assert_eq!(client.response().await.status(), 413);

    let mut client = Client::connect(proxy.address).await;
    client.send(request("POST", "/", &[], &"x".repeat(1024))).await;
    assert_eq!(client.response().await.status(), 200);
}

#[tokio::test]
async fn an_engineio_message_longer_than_its_node_takes_is_refused() {
    let node = FakeNode::engineio("a").await;
    let proxy = Proxy::default_before(&[&node]);
    let open = get(proxy.address, POLL).await.text();
    let sid = open.split('"').nth(3).unwrap();
    let mut client = Client::connect(proxy.address).await;
    let target = format!("{POLL}&sid={sid}");
    // `maxPayload` is rounded up, so that the node itself refuses what is a little too long.
    client.send(request("POST", &target, &[], &"4".repeat(1_020_000))).await;
    assert_eq!(client.response().await.status(), 413);
}

#[tokio::test]
async fn a_body_that_makes_no_progress_is_given_up() {
    let node = FakeNode::start(|_| ok("")).await;
    let proxy = Proxy::before(&[&node], "", "request_body_timeout: 1s");
    let mut client = Client::connect(proxy.address).await;
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf").await;
    let answer = client.response().await;
    assert_eq!(answer.status(), 408, "{}", answer.text());
    client.until_end().await;
}

#[tokio::test]
async fn the_nodes_silence_has_an_end_whatever_body_the_request_had() {
    let node = FakeNode::start(|_| Reply::Silence).await;
    let proxy = Proxy::before(&[&node], "", "response_timeout: 1s");
    let chunked = "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
    let whole = "Content-Length: 5\r\n\r\nhello";
    for (method, body) in [("GET", chunked), ("POST", chunked), ("POST", whole), ("GET", whole)] {
        let mut client = Client::connect(proxy.address).await;
        client.send(format!("{method} / HTTP/1.1\r\nHost: a\r\n{body}")).await;
        assert_eq!(client.response().await.status(), 504, "{method} {body}");
        client.until_end().await;
    }
    assert!(node.requests().iter().all(|request| request.body == b"hello"));
}

#[tokio::test]
async fn a_node_that_does_not_read_a_request_has_a_deadline() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let yaml = config(&[listener.local_addr().unwrap()], "health: off", "request_body_timeout: 1s");
    let proxy = Proxy::start(&yaml);
    let mut client = Client::connect(proxy.address).await;
    // More than the buffers of both kernels hold, so that the node's window closes.
    let size = 32 << 20;
    client.send(format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {size}\r\n\r\n")).await;
    let (_node, _) = listener.accept().await.unwrap();
    let (mut reader, mut writer) = client.stream.split();
    let upload = async {
        let piece = vec![0; 64 * 1024];
        while tokio::io::AsyncWriteExt::write_all(&mut writer, &piece).await.is_ok() {}
    };
    let mut answer = [0; 12];
    let read = tokio::io::AsyncReadExt::read_exact(&mut reader, &mut answer);
    tokio::select! {
        read = read => { read.unwrap(); }
        () = async { upload.await; std::future::pending().await } => (),
    }
    assert_eq!(&answer, b"HTTP/1.1 504");
}

#[tokio::test]
async fn an_answer_that_makes_no_progress_is_cut() {
    let half = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf";
    let node = FakeNode::start(|_| Reply::Bytes(half.into())).await;
    let proxy = Proxy::before(&[&node], "", "response_body_timeout: 1s");
    let mut client = Client::connect(proxy.address).await;
    client.send(request("GET", "/", &[], "")).await;
    let read = String::from_utf8(client.until_end().await).unwrap();
    assert!(read.ends_with("half"), "{read}");
    node.until_lost(1).await;
}

#[tokio::test]
async fn a_request_that_two_servers_might_read_differently_is_refused() {
    let node = FakeNode::start(|_| ok("")).await;
    let proxy = Proxy::default_before(&[&node]);
    let heads = [
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
        "GET http://user:password@a/ HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: user@a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a:99999\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a:port\r\n\r\n",
        "GET http://a:99999/ HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET a:80 HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET * HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /?a#b HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /\"a\" HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /<a> HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX@: y\r\n\r\n",
        "CONNECT /path HTTP/1.1\r\nHost: a\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        "GET / HTTP/1.1\nHost: a\n\n",
        "GET / HTTP/1.1\r\nHost : a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n",
    ];
    for head in heads {
        let mut client = Client::connect(proxy.address).await;
        client.send(head).await;
        client.send("GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n").await;
        let answer = client.response().await;
        assert_eq!(answer.status(), 400, "{head:?}");
        assert!(answer.head.field("x-request-id").is_some(), "{head:?}");
        assert!(!answer.text().is_empty(), "{head:?}");
        client.until_end().await;
    }
    assert!(node.requests().is_empty(), "{:?}", node.requests());
}

#[tokio::test]
async fn a_head_may_be_as_large_and_have_as_many_fields_as_the_listener_says() {
    let node = FakeNode::start(|_| ok("")).await;
    let yaml = |keys: &str| {
        config(&[node.address], "", "").replace("'127.0.0.1:0'", &format!("'127.0.0.1:0'{keys}"))
    };
    let default = Proxy::start(&yaml(""));
    let strict = Proxy::start(&yaml(", head_max: 8KiB, head_fields_max: 20"));
    let large = Proxy::start(&yaml(", head_max: 1MiB, head_fields_max: 1000"));
    let cookie = |bytes: usize| format!("Cookie: {}\r\n", "x".repeat(bytes));
    let fields = |count: usize| "X: y\r\n".repeat(count);
    for (proxy, head, status) in [
        (&default, cookie(63_000), 200),
        (&default, cookie(66_000), 431),
        (&default, fields(199), 200),
        (&default, fields(200), 431),
        (&strict, cookie(8_000), 200),
        (&strict, cookie(8_200), 431),
        (&strict, fields(20), 431),
        (&large, cookie(1_000_000), 200),
        (&large, fields(999), 200),
    ] {
        let mut client = Client::connect(proxy.address).await;
        client.send(format!("GET / HTTP/1.1\r\nHost: a\r\n{head}\r\n")).await;
        assert_eq!(client.response().await.status(), status, "{} bytes", head.len());
    }
}

#[tokio::test]
async fn engineio_parameters_that_contradict_themselves_are_refused() {
    let node = FakeNode::engineio("a").await;
    let proxy = Proxy::default_before(&[&node]);
    let answer = get(proxy.address, &format!("{POLL}&sid=a1&sid=b1")).await;
    assert_eq!(answer.status(), 400);
    assert!(answer.text().starts_with(r#"{"code":3,"#), "{}", answer.text());
    assert!(node.requests().is_empty());
}
