//! Clients that leave, and answers that end before their requests do: both sides know at once, and
//! no descriptor remains.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, interval, timeout};

use crate::support::{Client, FakeNode, Proxy, ProxyProcess, Reply, config, request, response};

/// How a client leaves.
#[derive(Clone, Copy, Debug)]
enum Leave {
    Close,
    Reset,
    /// Its side only, as `nc -N` does: it has given up.
    Half,
}

impl Leave {
    /// The client's side, which must be kept to be half-closed.
    async fn from(self, mut stream: TcpStream) -> Option<TcpStream> {
        match self {
            Self::Close => None,
            Self::Reset => {
                stream.set_zero_linger().unwrap();
                None
            }
            Self::Half => {
                stream.shutdown().await.unwrap();
                Some(stream)
            }
        }
    }
}

/// A node that takes connections and reads only heads; what it answers is written at once.
struct SilentNode {
    listener: TcpListener,
    answer: Vec<u8>,
}

impl SilentNode {
    async fn start(answer: impl Into<Vec<u8>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self { listener, answer: answer.into() }
    }

    fn config(&self) -> String {
        config(&[self.listener.local_addr().unwrap()], "health: off", "")
    }

    /// The next connection with a request on it, whose head and answer are there.
    async fn next(&self) -> TcpStream {
        let (mut stream, _) = self.listener.accept().await.unwrap();
        let mut head = Vec::new();
        while !head.windows(4).any(|end| end == b"\r\n\r\n") {
            assert_ne!(stream.read_buf(&mut head).await.unwrap(), 0);
        }
        // Not all may be taken: it need not be waited for.
        let _ = timeout(Duration::from_millis(200), stream.write_all(&self.answer)).await;
        stream
    }
}

/// Sends until nothing is taken any more.
async fn fill(client: &mut TcpStream) {
    let chunk = vec![b'x'; 64 * 1024];
    while timeout(Duration::from_millis(200), client.write_all(&chunk)).await.is_ok() {}
}

/// Until the node's connection is ended from the other side; gives how long that took.
async fn lost(mut node: TcpStream) -> Duration {
    let begun = Instant::now();
    let mut sink = vec![0; 64 * 1024];
    let read = async { while matches!(node.read(&mut sink).await, Ok(1..)) {} };
    timeout(Duration::from_secs(10), read).await.expect("the node's connection ends");
    begun.elapsed()
}

/// Until the process has no connection any more.
async fn until_no_connection(proxy: &ProxyProcess) {
    let mut look = interval(Duration::from_millis(50));
    let begun = Instant::now();
    while proxy.tcp_connections() > 0 {
        assert!(begun.elapsed() < Duration::from_secs(5), "a connection remains");
        look.tick().await;
    }
}

/// A client that leaves when `send` is done; a second later nobody may hold anything for it.
async fn check(answer: &str, first: &str, then_fill: bool) {
    for leave in [Leave::Close, Leave::Reset, Leave::Half] {
        let node = SilentNode::start(answer).await;
        let proxy = ProxyProcess::start(&node.config()).await;
        let mut client = TcpStream::connect(proxy.address).await.unwrap();
        client.write_all(first.as_bytes()).await.unwrap();
        let at_node = node.next().await;
        if then_fill {
            fill(&mut client).await;
        }
        let kept = leave.from(client).await;
        let took = lost(at_node).await;
        assert!(took < Duration::from_secs(1), "{leave:?} behind {first:?}: {took:?}");
        drop(kept);
        until_no_connection(&proxy).await;
    }
}

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

#[tokio::test]
async fn a_client_that_leaves_while_it_waits_is_seen() {
    check("", GET, false).await;
}

#[tokio::test]
async fn a_client_that_leaves_behind_a_next_request_is_seen() {
    check("", &GET.repeat(3), false).await;
}

#[tokio::test]
async fn a_client_that_leaves_behind_many_next_requests_is_seen() {
    // More than hyper reads at once, and less than the socket holds: the end of a client's stream
    // reaches us only behind all bytes before it.
    check("", &GET.repeat(1_000), false).await;
}

#[tokio::test]
async fn a_client_that_leaves_behind_a_request_that_is_refused_is_seen() {
    check("", &format!("{GET}GET / HTTP/1.1\nHost: a\r\n\r\n"), false).await;
}

#[tokio::test]
async fn a_client_that_leaves_behind_frames_of_a_handshake_is_seen() {
    let handshake = "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                     Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    check("", &format!("{handshake}frames"), false).await;
}

#[tokio::test]
async fn a_client_that_leaves_within_a_body_that_the_node_does_not_read_is_seen() {
    check("", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 60000000\r\n\r\n", true).await;
}

#[tokio::test]
async fn a_client_that_leaves_within_an_answer_that_it_does_not_read_is_seen() {
    let large =
        format!("HTTP/1.1 200 OK\r\nContent-Length: 30000000\r\n\r\n{}", "x".repeat(20_000_000));
    check(&large, GET, false).await;
    check(&large, &GET.repeat(2), false).await;
}

#[tokio::test]
async fn a_client_that_leaves_within_a_body_while_it_does_not_read_the_answer_is_seen() {
    let large =
        format!("HTTP/1.1 200 OK\r\nContent-Length: 30000000\r\n\r\n{}", "x".repeat(20_000_000));
    check(&large, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 60000000\r\n\r\nbegun", false)
        .await;
}

#[tokio::test]
async fn a_client_that_leaves_within_an_answer_that_goes_on_is_seen() {
    let begun = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nbegun";
    check(begun, GET, false).await;
    check(begun, &GET.repeat(2), false).await;
}

#[tokio::test]
async fn a_client_that_leaves_within_a_head_is_forgotten() {
    let node = SilentNode::start("").await;
    let proxy = ProxyProcess::start(&node.config()).await;
    for leave in [Leave::Close, Leave::Reset, Leave::Half] {
        let mut client = TcpStream::connect(proxy.address).await.unwrap();
        client.write_all(b"GET / HTTP/1.1\r\nHo").await.unwrap();
        drop(leave.from(client).await);
    }
    until_no_connection(&proxy).await;
}

#[tokio::test]
async fn a_response_that_ends_early_is_logged_immediately() {
    for framing in
        ["Content-Length: 50\r\n\r\nhello", "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"]
    {
        for version in ["1.0", "1.1"] {
            let answer = format!("HTTP/1.1 200 OK\r\n{framing}");
            let node = FakeNode::start(move |_| Reply::Last(answer.clone().into())).await;
            let proxy = Proxy::default_before(&[&node]);
            let mut client = Client::connect(proxy.address).await;
            let begun = Instant::now();
            client.send(format!("GET / HTTP/{version}\r\nHost: a\r\n\r\n")).await;
            let mut read = Vec::new();
            let end = client.stream.read_to_end(&mut read).await;
            let read = String::from_utf8_lossy(&read);
            assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
            assert!(read.starts_with("HTTP/1.") && read.contains("hello"), "{read}");
            // Only a reset tells a body that ends with the connection from one that broke off.
            let is_delimited_by_end = version == "1.0" && framing.starts_with("Transfer");
            assert_eq!(end.is_err(), is_delimited_by_end, "{version} {framing:?}: {end:?}");
        }
    }
}

#[tokio::test]
async fn an_answer_ends_when_its_request_turns_out_to_be_too_long() {
    let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n";
    let node = SilentNode::start(head).await;
    let address = node.listener.local_addr().unwrap();
    let proxy = ProxyProcess::start(&config(&[address], "health: off", "body_max: 1KiB")).await;
    let mut client = Client::connect(proxy.address).await;
    client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n").await;
    let at_node = node.next().await;
    client.stream.readable().await.unwrap();
    client.send(format!("400\r\n{}\r\n", "x".repeat(1024))).await;
    let begun = Instant::now();
    let read = client.until_end().await;
    assert!(read.ends_with(b"2\r\nok\r\n"), "{}", String::from_utf8_lossy(&read));
    lost(at_node).await;
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    until_no_connection(&proxy).await;
}

#[tokio::test]
async fn a_refusal_reaches_a_client_that_reads_nothing_before_it_has_sent_all() {
    let node = FakeNode::start(|_| Reply::Bytes(response("200 OK", ""))).await;
    let proxy = Proxy::before(&[&node], "", "body_max: 1KiB");
    let size = 20_000_000;
    let mut client = Client::connect(proxy.address).await;
    let sent = request("POST", "/", &[], &"x".repeat(size));
    client.send(sent).await;
    let answer = client.response().await;
    assert_eq!(answer.status(), 413);
    assert_eq!(answer.head.field("connection"), Some("close"));
    client.until_end().await;
}

#[tokio::test]
async fn a_client_that_stalls_behind_an_early_response_is_blamed_for_its_end() {
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nbegun";
    let node = SilentNode::start(head).await;
    let address = node.listener.local_addr().unwrap();
    let limits = "request_body_timeout: 1s, response_body_timeout: 10m";
    let mut proxy = ProxyProcess::start(&config(&[address], "health: off", limits)).await;
    let mut client = Client::connect(proxy.address).await;
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\nbegun").await;
    let _at_node = node.next().await;
    let mut read = Vec::new();
    let end = timeout(Duration::from_secs(20), client.stream.read_to_end(&mut read)).await;
    assert!(end.is_ok(), "the response has an end");
    assert!(String::from_utf8_lossy(&read).ends_with("begun"));
    let line = proxy.until_log("response truncated").await;
    assert!(line.contains("error=\"body_stalled\" blame=\"client\""), "{line}");
}
