//! `Expect: 100-continue`: the node decides whether a client sends its body (RFC 9110, section 10.1.1).

use std::time::Duration;

use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;
use tokio::time::{Instant, timeout};

use crate::support::http::read_head;
use crate::support::{Client, Proxy, config};

const FIELDS: &str = "Host: test\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n";
const CONTINUE: &str = "HTTP/1.1 100 Continue\r\n\r\n";

/// A client that has sent `request`, and the node's connection, on which its head was read. The head
/// has an `Expect` if `expects` says so.
async fn asked(request: &str, expects: bool) -> (Client, Client, Proxy) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let proxy = Proxy::start(&config(&[address], "health: off", ""));
    let mut client = Client::connect(proxy.address).await;
    client.send(request).await;
    let mut node = Client { stream: listener.accept().await.unwrap().0, buffer: Vec::new() };
    let head = read_head(&mut node.stream, &mut node.buffer).await.unwrap();
    assert_eq!(head.field("expect").is_some(), expects);
    (client, node, proxy)
}

async fn read(from: &mut Client, bytes: usize) -> String {
    while from.buffer.len() < bytes {
        let read = timeout(Duration::from_secs(20), from.stream.read_buf(&mut from.buffer)).await;
        assert_ne!(read.expect("in time").unwrap(), 0, "{:?}", from.buffer);
    }
    String::from_utf8(from.buffer.drain(..bytes).collect()).unwrap()
}

/// The client sends its body, and the node answers it.
async fn finish(client: &mut Client, node: &mut Client) {
    client.send("hi").await;
    assert_eq!(read(node, 2).await, "hi");
    node.send("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nyes").await;
    assert_eq!(client.response().await.text(), "yes");
}

#[tokio::test]
async fn a_client_goes_on_when_the_node_says_so() {
    let (mut client, mut node, _proxy) = asked(&format!("POST / HTTP/1.1\r\n{FIELDS}"), true).await;
    let early = timeout(Duration::from_millis(100), client.stream.read_buf(&mut client.buffer));
    assert!(early.await.is_err(), "the node has said nothing");
    let begun = Instant::now();
    node.send(CONTINUE).await;
    assert_eq!(read(&mut client, CONTINUE.len()).await, CONTINUE);
    assert!(begun.elapsed() < Duration::from_millis(500));
    finish(&mut client, &mut node).await;
}

#[tokio::test]
async fn a_client_goes_on_after_a_second_if_the_node_says_nothing() {
    let begun = Instant::now();
    let (mut client, mut node, _proxy) = asked(&format!("POST / HTTP/1.1\r\n{FIELDS}"), true).await;
    assert_eq!(read(&mut client, CONTINUE.len()).await, CONTINUE);
    assert!(begun.elapsed() >= Duration::from_secs(1));
    finish(&mut client, &mut node).await;
}

#[tokio::test]
async fn a_node_refuses_a_body_that_was_not_sent() {
    let (mut client, mut node, _proxy) = asked(&format!("POST / HTTP/1.1\r\n{FIELDS}"), true).await;
    node.send("HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\nno").await;
    let answer = client.response().await;
    assert_eq!((answer.status(), answer.text().as_str()), (401, "no"));
    assert_eq!(answer.head.field("connection"), Some("close"));
    client.until_end().await;
}

#[tokio::test]
async fn an_http_1_0_client_waits_for_nothing() {
    let begun = Instant::now();
    let (mut client, mut node, _proxy) =
        asked(&format!("POST / HTTP/1.0\r\n{FIELDS}hi"), false).await;
    assert_eq!(read(&mut node, 2).await, "hi");
    assert!(begun.elapsed() < Duration::from_millis(500));
    node.send("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nyes").await;
    assert_eq!(client.response().await.text(), "yes");
}
