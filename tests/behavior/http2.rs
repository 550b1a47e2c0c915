//! HTTP/2 to clients: what nodes see of it, and a client that is not ours.

use std::net::SocketAddr;

use bytes::Bytes;
use h2::client::SendRequest;
use h2::{Reason, RecvStream, SendStream};
use http::{Request, Response};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::support::http2::{self, ask, soon, websocket_request};
use crate::support::node::{FakeNode, ok, response};
use crate::support::socketio::{NodeServer, held, run_client};
use crate::support::{Proxy, websocket};

/// A proxy with HTTP/2 before `node`; `route` holds more keys.
fn proxy(node: SocketAddr, route: &str) -> Proxy {
    Proxy::start(&format!(
        "listeners: [{{ bind: '127.0.0.1:0', http2: on }}]\n\
         upstreams: {{ chat: {{ nodes: ['{node}'] }} }}\n\
         routes: [{{ path: /, upstream: chat{route} }}]\n"
    ))
}

/// A client's connection.
async fn connect(proxy: &Proxy) -> SendRequest<Bytes> {
    http2::connect(proxy.address).await
}

/// An open WebSocket.
async fn open(
    requests: &mut SendRequest<Bytes>,
    target: &str,
) -> (Response<RecvStream>, SendStream<Bytes>) {
    let (answer, sent) = requests.send_request(websocket_request(target), false).unwrap();
    let answer = soon(answer).await.unwrap();
    assert_eq!(answer.status(), 200);
    (answer, sent)
}

async fn receive(received: &mut RecvStream, length: usize) -> Vec<u8> {
    let mut all = Vec::new();
    while all.len() < length {
        let data = soon(received.data()).await.unwrap().unwrap();
        received.flow_control().release_capacity(data.len()).unwrap();
        all.extend_from_slice(&data);
    }
    all
}

#[tokio::test]
async fn a_node_sees_an_ordinary_request_of_http_1() {
    let node = FakeNode::start(|_| ok("hello")).await;
    let proxy = proxy(node.address, "");
    let mut requests = connect(&proxy).await;
    let request = Request::get("http://a.test/path?x=1")
        .header("cookie", "a=1")
        .header("cookie", "b=2")
        .header("te", "trailers")
        .header("accept", "*/*");
    let answer = ask(&mut requests, request.body(()).unwrap()).await;
    assert_eq!(answer.status(), 200);
    assert!(answer.headers().get("connection").is_none());
    assert_eq!(receive(&mut answer.into_body(), 5).await, b"hello");

    let seen = node.requests().remove(0);
    assert_eq!((&*seen.head.method, &*seen.head.target), ("GET", "/path?x=1"));
    assert_eq!(seen.head.field("host"), Some("a.test"));
    assert_eq!(seen.head.field("cookie"), Some("a=1; b=2"));
    assert_eq!(seen.head.field("accept"), Some("*/*"));
    assert_eq!(seen.head.field("te"), None);
    assert_eq!(seen.head.field("x-forwarded-for"), Some("127.0.0.1"));
    assert_eq!(seen.head.field("x-forwarded-host"), Some("a.test"));
}

#[tokio::test]
async fn a_node_sees_an_ordinary_handshake_and_the_client_a_200() {
    let node = FakeNode::engineio("n").await;
    let proxy = proxy(node.address, "");
    let mut requests = connect(&proxy).await;
    let (answer, mut sent) = open(&mut requests, "/socket.io/?EIO=4&transport=websocket").await;
    for name in ["sec-websocket-accept", "upgrade", "connection"] {
        assert!(answer.headers().get(name).is_none(), "{name}");
    }
    let seen = node.requests().remove(0);
    assert_eq!(seen.head.method, "GET");
    assert!(seen.head.is_upgrade());
    assert_eq!(seen.head.field("sec-websocket-protocol"), Some("chat"));
    assert_eq!(seen.head.field("sec-websocket-version"), Some("13"));
    let key = seen.head.field("sec-websocket-key").unwrap();
    assert_eq!(key.len(), 24, "16 bytes in base64");

    let message = websocket::text("42");
    sent.send_data(message.into(), false).unwrap();
    let mut received = answer.into_body();
    assert_eq!(receive(&mut received, 4).await, websocket::frame(1, b"42", None));
    sent.send_reset(Reason::CANCEL);
    node.until_lost(1).await;
}

/// The key of the handshake that arrives on `stream`.
async fn key_of(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(soon(stream.read_u8()).await.unwrap());
    }
    let head = String::from_utf8(head).unwrap();
    let key = head.split("Sec-WebSocket-Key: ").nth(1).unwrap();
    key.lines().next().unwrap().to_owned()
}

/// RFC 8441, section 5: FIN is END_STREAM, RST is RST_STREAM with CANCEL.
#[tokio::test]
async fn a_node_that_resets_its_connection_resets_the_stream_and_one_that_leaves_ends_it() {
    let node = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy = proxy(node.local_addr().unwrap(), "");
    let mut requests = connect(&proxy).await;
    for is_reset in [true, false] {
        let (answer, mut sent) = requests.send_request(websocket_request("/raw"), false).unwrap();
        let (mut stream, _) = soon(node.accept()).await.unwrap();
        let switching = websocket::switching(&websocket::accept(&key_of(&mut stream).await));
        stream.write_all(switching.as_bytes()).await.unwrap();
        let answer = soon(answer).await.unwrap();
        assert_eq!(answer.status(), 200);
        // It is a reset, because the node has not read this.
        sent.send_data(websocket::text("unread").into(), false).unwrap();
        soon(stream.peek(&mut [0])).await.unwrap();
        let last = websocket::frame(1, b"last", None);
        stream.write_all(&last).await.unwrap();
        let mut received = answer.into_body();
        assert_eq!(receive(&mut received, last.len()).await, last);
        if !is_reset {
            let mut unread = [0; 64];
            let _ = soon(stream.read(&mut unread)).await.unwrap();
        }
        drop(stream);
        // END_STREAM may come with an empty frame.
        let end = match soon(received.data()).await {
            Some(Ok(data)) if data.is_empty() => soon(received.data()).await,
            end => end,
        };
        match end {
            Some(Err(error)) => {
                assert!(is_reset && error.is_remote(), "{error}");
                assert_eq!(error.reason(), Some(Reason::CANCEL), "{error}");
            }
            Some(Ok(data)) => panic!("{data:?}"),
            None => assert!(!is_reset, "END_STREAM"),
        }
    }
    // The connection goes on.
    let (_answer, _sent) = requests.send_request(websocket_request("/raw"), false).unwrap();
    soon(node.accept()).await.unwrap();
}

#[tokio::test]
async fn a_node_that_refuses_a_websocket_is_heard_and_the_connection_goes_on() {
    let node = FakeNode::start(|request| match request.head.is_upgrade() {
        true => crate::support::node::Reply::Last(response("403 Forbidden", "not you")),
        false => ok("hello"),
    })
    .await;
    let proxy = proxy(node.address, "");
    let mut requests = connect(&proxy).await;
    let (answer, _sent) = requests.send_request(websocket_request("/raw"), false).unwrap();
    let answer = soon(answer).await.unwrap();
    assert_eq!(answer.status(), 403);
    assert_eq!(receive(&mut answer.into_body(), 7).await, b"not you");
    let request = Request::get("http://a.test/").body(()).unwrap();
    assert_eq!(ask(&mut requests, request).await.status(), 200);
}

#[tokio::test]
async fn a_client_that_is_gone_ends_its_request_at_the_node() {
    let node = FakeNode::start(|_| crate::support::node::Reply::Silence).await;
    let proxy = proxy(node.address, "");
    let mut requests = connect(&proxy).await;
    let request = Request::get("http://a.test/").body(()).unwrap();
    let (answer, mut sent) = requests.send_request(request, true).unwrap();
    node.until_requests(1).await;
    sent.send_reset(Reason::CANCEL);
    node.until_lost(1).await;
    drop(answer);
}

#[tokio::test]
async fn node_js_speaks_http_2_to_socket_io() {
    let node = NodeServer::start(&[]).await;
    let proxy = proxy(node.address().parse().unwrap(), "");
    let url = format!("http://{}", proxy.address);
    held(run_client(&["--url", &url, "--scenario", "http2"]).await);
}
