//! Upgrades to other protocols than WebSocket, on routes that allow them.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::support::socketio::NodeServer;
use crate::support::websocket::open;
use crate::support::{Client, FakeNode, Proxy, ProxyProcess, Reply, config, ok, request};

const ANY: &str = "upgrade: any";
const TCP: [&str; 2] = ["Connection: Upgrade", "Upgrade: tcp"];

/// Sends a POST for `Upgrade: tcp` with `body`, and gives the connection after the 101.
async fn hijack(proxy: &ProxyProcess, body: &str) -> Client {
    let mut client = Client::connect(proxy.address).await;
    client.send(request("POST", "/v1.44/exec/1/start", &TCP, body)).await;
    let switched = client.response().await;
    assert_eq!(switched.status(), 101, "{}", switched.text());
    assert_eq!(switched.head.field("upgrade"), Some("tcp"));
    assert_eq!(switched.head.field("connection"), Some("Upgrade"));
    let raw_stream = Some("application/vnd.docker.raw-stream");
    assert_eq!(switched.head.field("content-type"), raw_stream);
    client
}

async fn line(client: &mut Client) -> String {
    while !client.buffer.contains(&b'\n') {
        assert_ne!(client.stream.read_buf(&mut client.buffer).await.unwrap(), 0);
    }
    let end = client.buffer.iter().position(|byte| *byte == b'\n').unwrap();
    let line = client.buffer.drain(..=end).collect();
    String::from_utf8(line).unwrap().trim_end().to_owned()
}

#[tokio::test]
async fn a_hijacked_stream_passes_both_ways_and_each_direction_ends_by_itself() {
    let node = NodeServer::start_hijack().await;
    let yaml = config(&[node.address().parse().unwrap()], "", ANY);
    let mut proxy = ProxyProcess::start(&yaml).await;
    let mut client = hijack(&proxy, r#"{"Detach":false,"Tty":true}"#).await;
    assert_eq!(line(&mut client).await, r#"{"Detach":false,"Tty":true}"#);
    client.send("ls -l\n").await;
    assert_eq!(line(&mut client).await, "ls -l");
    // What would break a rule of WebSocket, or be a request.
    client.send("\u{1}\u{2}GET / HTTP/1.1\r\n").await;
    assert_eq!(line(&mut client).await, "\u{1}\u{2}GET / HTTP/1.1");

    // More than all buffers hold, and nobody reads meanwhile.
    let (mut reader, mut writer) = client.stream.into_split();
    let sent = vec![b'x'; 8 << 20];
    let upload = tokio::spawn(async move {
        writer.write_all(&sent).await.unwrap();
        writer.shutdown().await.unwrap();
        writer
    });
    let mut rest = Vec::new();
    reader.read_to_end(&mut rest).await.unwrap();
    let _writer = upload.await.unwrap();
    assert!(rest.starts_with(b"xxxx"));
    let end = String::from_utf8_lossy(&rest[rest.len() - 20..]).into_owned();
    let all = (8 << 20) + "ls -l\n".len() + "\u{1}\u{2}GET / HTTP/1.1\r\n".len();
    assert!(end.ends_with(&format!("\n{all} bytes")), "{end}");
    let line = proxy.until_log("tunnel ended").await.replace('"', "");
    for part in ["transport=upgrade", "end=client_left", "by=client"] {
        assert!(line.contains(part), "{part}: {line}");
    }
    assert!(line.contains(&format!("bytes_from_client={all}")), "{line}");
}

#[tokio::test]
async fn what_asks_for_no_stream_and_websockets_are_served_as_always() {
    let node = NodeServer::start_hijack().await;
    let address = node.address().parse().unwrap();
    let proxy = Proxy::start(&config(&[address], "", ""));
    for (method, fields) in [("POST", &TCP[..]), ("GET", &TCP[..])] {
        let mut client = Client::connect(proxy.address).await;
        client.send(request(method, "/", fields, "")).await;
        let answer = client.response().await;
        assert_eq!(answer.text(), format!("plain {method}, upgrade none"));
        assert_eq!(answer.head.field("connection"), Some("close"));
    }

    let proxy = Proxy::start(&config(&[address], "", ANY));
    for (method, upgrade) in [("GET", "h2c"), ("POST", "HTTP/2.0"), ("PUT", "tcp")] {
        let mut client = Client::connect(proxy.address).await;
        let fields = ["Connection: Upgrade", &format!("Upgrade: {upgrade}")];
        client.send(request(method, "/", &fields, "")).await;
        assert_eq!(client.response().await.text(), format!("plain {method}, upgrade none"));
    }
    let node = FakeNode::start(|_| Reply::Echo { behind: Vec::new() }).await;
    let proxy = Proxy::before(&[&node], "", ANY);
    let mut client = open(proxy.address, "/ws").await;
    client.send(crate::support::websocket::text("hi")).await;
    assert_eq!(client.frame().await, Some((1, b"hi".to_vec())));
}

#[tokio::test]
async fn what_a_client_sends_ahead_is_no_request_when_the_node_declines() {
    let node = FakeNode::start(|_| ok("declined")).await;
    let proxy = Proxy::before(&[&node], "", ANY);
    for method in ["GET", "POST"] {
        let mut client = Client::connect(proxy.address).await;
        let ahead = "GET /ahead HTTP/1.1\r\nHost: a\r\n\r\n";
        client.send(request(method, "/stream", &TCP, "") + ahead).await;
        let answer = client.response().await;
        assert_eq!((answer.status(), &*answer.text()), (200, "declined"));
        assert_eq!(answer.head.field("connection"), Some("close"));
        client.until_end().await;
    }
    let seen = node.requests();
    assert!(seen.iter().all(|seen| seen.head.target == "/stream"), "{seen:?}");
    assert_eq!((seen.len(), node.connections()), (2, 2), "no connection is used twice");
    assert_eq!(seen[0].head.field("upgrade"), Some("tcp"));
}

#[tokio::test]
async fn a_request_is_whole_before_its_stream_begins() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy = Proxy::start(&config(&[listener.local_addr().unwrap()], "health: off", ANY));
    let early = tokio::spawn(async move {
        let (mut node, _) = listener.accept().await.unwrap();
        node.read_exact(&mut [0; 10]).await.unwrap();
        let head =
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n";
        node.write_all(head.as_bytes()).await.unwrap();
        // Until the proxy leaves.
        let _ = node.read_to_end(&mut Vec::new()).await;
    });
    let mut client = Client::connect(proxy.address).await;
    let fields = TCP.join("\r\n");
    let head = format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\nContent-Length: 100000\r\n\r\n");
    client.send(head + "the beginning").await;
    let answer = client.response().await;
    assert_eq!(answer.status(), 502, "{}", answer.text());
    early.await.unwrap();

    let mut client = Client::connect(proxy.address).await;
    let head =
        format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\nTransfer-Encoding: chunked\r\n\r\n");
    client.send(head + "0\r\n\r\n").await;
    let answer = client.response().await;
    assert_eq!(answer.status(), 400);
    assert!(answer.text().contains("its body has no Content-Length"), "{}", answer.text());
}

#[tokio::test]
async fn a_101_for_another_protocol_than_the_one_asked_for_is_refused() {
    let head = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n";
    let node = FakeNode::start(|_| Reply::Bytes(head.into())).await;
    let proxy = Proxy::before(&[&node], "", ANY);
    let mut client = Client::connect(proxy.address).await;
    client.send(request("GET", "/", &TCP, "")).await;
    assert_eq!(client.response().await.status(), 502);
}
