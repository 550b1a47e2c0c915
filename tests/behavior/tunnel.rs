//! A WebSocket's life and its end.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::{Instant, timeout};

use crate::support::http::{Head, read_head, request};
use crate::support::websocket::{UPGRADE, accept, close, frame, open, switching, text};
use crate::support::{Client, FakeNode, Proxy, ProxyProcess, Reply, config, get};

/// A node whose upgraded connections the test holds itself.
pub(crate) struct HeldNode(TcpListener);

impl HeldNode {
    pub(crate) async fn start() -> (Self, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        (Self(listener), address)
    }

    pub(crate) fn over(listener: TcpListener) -> Self {
        Self(listener)
    }

    /// Opens a tunnel and gives both its ends.
    pub(crate) async fn tunnel(&self, proxy: SocketAddr) -> (Client, Client) {
        self.tunnel_to(proxy, "/ws").await
    }

    /// Opens a tunnel for this target.
    pub(crate) async fn tunnel_to(
        &self,
        proxy: SocketAddr,
        target: &'static str,
    ) -> (Client, Client) {
        let client = tokio::spawn(async move { open(proxy, target).await });
        let node = self.accept().await;
        (client.await.unwrap(), node)
    }

    /// Takes the next tunnel.
    pub(crate) async fn accept(&self) -> Client {
        self.accept_with("").await
    }

    /// Takes the next tunnel with these lines in the 101.
    pub(crate) async fn accept_with(&self, fields: &str) -> Client {
        let (mut node, head) = self.request().await;
        let accept = accept(head.field("sec-websocket-key").unwrap());
        let head = switching(&accept);
        node.send(format!("{}\r\n{fields}\r\n", head.trim_end())).await;
        node
    }

    /// The next connection on which there is a request: a health check connects and closes.
    async fn request(&self) -> (Client, Head) {
        loop {
            let (stream, _) = self.0.accept().await.unwrap();
            let mut node = Client { stream, buffer: Vec::new() };
            if let Some(head) = read_head(&mut node.stream, &mut node.buffer).await {
                return (node, head);
            }
        }
    }
}

async fn soon<T>(what: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(1), what).await.expect("within a second")
}

/// Closes with RST.
fn reset(stream: TcpStream) {
    socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
}

#[tokio::test]
async fn a_close_passes_both_ways_with_its_code_and_reason() {
    let (held, address) = HeldNode::start().await;
    let proxy = Proxy::start(&config(&[address], "", ""));
    let (mut client, mut node) = held.tunnel(proxy.address).await;
    client.send(frame(8, b"\x0f\xa1bye", Some([9, 9, 9, 9]))).await;
    assert_eq!(node.frame().await, Some((8, b"\x0f\xa1bye".to_vec())));
    node.send(frame(8, b"\x0f\xa1bye", None)).await;
    assert_eq!(client.frame().await, Some((8, b"\x0f\xa1bye".to_vec())));
    drop(node);
    soon(client.until_end()).await;
}

#[tokio::test]
async fn a_code_that_must_not_be_sent_is_refused_of_a_client_and_passes_of_a_node() {
    let (held, address) = HeldNode::start().await;
    let proxy = Proxy::start(&config(&[address], "", ""));
    for code in [0, 999, 1005, 1006, 1015, 5000] {
        let (mut client, mut node) = held.tunnel(proxy.address).await;
        client.send(close(code)).await;
        assert_eq!(node.frame().await.unwrap().1[..2], 1001_u16.to_be_bytes());
        node.send(frame(8, &1001_u16.to_be_bytes(), None)).await;
        assert_eq!(client.frame().await.unwrap().1[..2], 1002_u16.to_be_bytes());

        let (mut client, mut node) = held.tunnel(proxy.address).await;
        node.send(frame(8, &code.to_be_bytes(), None)).await;
        assert_eq!(client.frame().await, Some((8, code.to_be_bytes().to_vec())));
    }
}

#[tokio::test]
async fn a_reset_of_one_side_reaches_the_other_within_a_second() {
    let (held, address) = HeldNode::start().await;
    let proxy = Proxy::start(&config(&[address], "", ""));

    let (client, mut node) = held.tunnel(proxy.address).await;
    reset(client.stream);
    assert_eq!(soon(node.until_end()).await, b"");

    let (mut client, node) = held.tunnel(proxy.address).await;
    reset(node.stream);
    assert_eq!(soon(client.until_end()).await, b"");
}

#[tokio::test]
async fn an_end_without_a_close_is_passed_on_within_a_second_and_nothing_is_made_up() {
    let (held, address) = HeldNode::start().await;
    let proxy = Proxy::start(&config(&[address], "", ""));

    let (client, mut node) = held.tunnel(proxy.address).await;
    drop(client);
    assert_eq!(soon(node.until_end()).await, b"");

    let (mut client, node) = held.tunnel(proxy.address).await;
    drop(node);
    assert_eq!(soon(client.until_end()).await, b"");

    let (mut client, mut node) = held.tunnel(proxy.address).await;
    client.send(close(4001)).await;
    assert_eq!(node.frame().await.unwrap().0, 8);
    drop(node);
    assert_eq!(soon(client.until_end()).await, b"", "the node did not answer");

    let (mut client, mut node) = held.tunnel(proxy.address).await;
    let half = &frame(2, &[7; 100], None)[..50];
    node.send(half).await;
    drop(node);
    assert_eq!(soon(client.until_end()).await, half);
}

#[tokio::test]
async fn what_a_node_says_before_it_leaves_arrives() {
    let (held, address) = HeldNode::start().await;
    let proxy = Proxy::start(&config(&[address], "", ""));
    let (mut client, mut node) = held.tunnel(proxy.address).await;
    let last = frame(2, &vec![7; 300_000], None);
    node.send(&last).await;
    drop(node);
    let (opcode, payload) = client.frame().await.unwrap();
    assert!(opcode == 2 && payload.len() == 300_000);
}

/// A client that takes so many bytes each 100 ms, and has to take `said` and then the connection's
/// end; `meanwhile` it sends this as often.
async fn check_slow_end(said: &[u8], bytes: usize, meanwhile: &[u8]) {
    let (held, address) = HeldNode::start().await;
    let proxy = Proxy::start(&config(&[address], "", ""));
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let stream = socket.connect(proxy.address).await.unwrap();
    let mut client = Client { stream, buffer: Vec::new() };
    client.send(request("GET", "/ws", &UPGRADE, "")).await;
    let mut node = held.accept().await;
    assert_eq!(client.response().await.status(), 101);
    node.send(said).await;
    let mut ticks = tokio::time::interval(Duration::from_millis(100));
    let mut part = vec![0; bytes];
    let mut received = Vec::new();
    while received.len() < said.len() {
        ticks.tick().await;
        client.stream.write_all(meanwhile).await.unwrap();
        match client.stream.read(&mut part).await.unwrap() {
            0 => break,
            length => received.extend_from_slice(&part[..length]),
        }
    }
    assert!(received == said, "{} of {} bytes", received.len(), said.len());
}

#[tokio::test]
async fn a_client_that_reads_slowly_gets_all_that_its_node_said_before_it_closed() {
    // What is kept takes longer than a side has for its answer to a Close frame.
    let said = [frame(2, &vec![7; 150_000], None), frame(8, b"\x0f\xa0bye", None)].concat();
    check_slow_end(&said, 1_100, b"").await;
}

#[tokio::test]
async fn a_client_that_reads_slowly_and_still_sends_gets_all_that_its_node_said() {
    // Less than the kernel takes at once, so that nothing of it is kept.
    let said = [frame(2, &vec![7; 50_000], None), frame(8, b"\x0f\xa0bye", None)].concat();
    check_slow_end(&said, 600, &text("still here")).await;
}

#[tokio::test]
async fn a_client_that_does_not_read_holds_its_node_back() {
    let (held, address) = HeldNode::start().await;
    let proxy = Proxy::start(&config(&[address], "", "tunnel: { buffer: 16KiB }"));
    let (mut client, mut node) = held.tunnel(proxy.address).await;
    let chunk = frame(2, &[0; 65_000], None);
    let mut sent = 0;
    // A write that does not finish in time is one that is held back; the kernel's own buffers
    // take some megabytes before.
    while timeout(Duration::from_millis(500), node.stream.write_all(&chunk)).await.is_ok() {
        sent += chunk.len();
        assert!(sent < 64 << 20, "the node was never held back");
    }
    let mut received = 0;
    while received < sent {
        let (_, payload) = client.frame().await.unwrap();
        received += payload.len() + 4;
    }
}

#[tokio::test]
async fn an_idle_tunnel_is_closed_and_a_busy_one_is_not() {
    let node = FakeNode::start(|_| Reply::Echo { behind: Vec::new() }).await;
    let proxy = Proxy::before(&[&node], "", "tunnel: { idle_timeout: 1s }");
    let begun = Instant::now();
    let mut idle = open(proxy.address, "/ws").await;
    let mut busy = open(proxy.address, "/ws").await;
    let idle = async {
        let (opcode, payload) = idle.frame().await.expect("a Close frame");
        assert_eq!((opcode, &payload[..2]), (8, &1001u16.to_be_bytes()[..]));
        assert!(begun.elapsed() >= Duration::from_secs(1));
    };
    let busy = async {
        let mut turns = tokio::time::interval(Duration::from_millis(100));
        while begun.elapsed() < Duration::from_millis(2500) {
            turns.tick().await;
            busy.send(text("still here")).await;
            assert_eq!(busy.frame().await.unwrap().0, 1);
        }
    };
    tokio::join!(idle, busy);
}

#[tokio::test]
async fn the_idle_timeout_is_learned_from_the_sessions_own_handshake() {
    let packet = br#"0{"sid":"abc","upgrades":[],"pingInterval":300,"pingTimeout":200}"#;
    let first = frame(1, packet, None);
    let node = FakeNode::start(move |_| Reply::Echo { behind: first.clone() }).await;
    let proxy = Proxy::default_before(&[&node]);
    let mut client = open(proxy.address, "/socket.io/?EIO=4&transport=websocket").await;
    let begun = Instant::now();
    assert_eq!(client.frame().await.unwrap().1, packet);
    assert_eq!(client.frame().await.expect("a Close frame").0, 8);
    let waited = begun.elapsed();
    // pingInterval + pingTimeout and a margin of 5 s, far from the 50 s of the defaults.
    assert!(waited >= Duration::from_millis(5400), "{waited:?}");
    assert!(waited < Duration::from_secs(9), "{waited:?}");
}

#[tokio::test]
async fn raw_http_text_in_an_upgraded_stream_passes() {
    // engine.io 6 does so to EIO=3 clients that it does not allow.
    let raw = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\nUnsupported protocol version";
    let node = FakeNode::start(|_| Reply::Echo { behind: raw.to_vec() }).await;
    let proxy = Proxy::default_before(&[&node]);
    let mut client = open(proxy.address, "/socket.io/?EIO=3&transport=websocket").await;
    let mut read = std::mem::take(&mut client.buffer);
    while read.len() < raw.len() {
        assert_ne!(client.stream.read_buf(&mut read).await.unwrap(), 0);
    }
    assert_eq!(read, raw);
}

#[tokio::test]
async fn one_line_tells_who_ended_a_tunnel_and_why_and_never_the_whole_sid() {
    let node = FakeNode::engineio("node").await;
    let mut proxy = ProxyProcess::start(&config(&[node.address], "", "")).await;
    let open_packet = get(proxy.address, "/socket.io/?EIO=4&transport=polling").await.text();
    let sid = open_packet.split('"').nth(3).unwrap().to_owned();
    let target = format!("/socket.io/?EIO=4&transport=websocket&sid={sid}");
    let mut client = open(proxy.address, &target).await;
    client.send(text("hello")).await;
    client.frame().await.unwrap();
    client.send(close(4001)).await;
    client.until_end().await;
    let line = proxy.until_log("tunnel ended").await;
    for part in [
        "end=\"client_closed\"",
        "by=\"client\"",
        "code=4001",
        "session=",
        "messages_from_client=1",
        "messages_from_node=1",
        "bytes_from_client=19",
        "transport=\"websocket\"",
        &format!("node=\"{}\"", node.address),
    ] {
        assert!(line.contains(part), "{part} is not in {line}");
    }
    assert!(!line.contains(&sid) && !line.contains("node0"), "{line}");
}
