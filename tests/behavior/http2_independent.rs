//! HTTP/2 with a client whose HTTP/2 is not that of the proxy: the library `h2` for Python, by TLS.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpSocket;
use tokio::time::{interval, timeout};

use crate::soak::figures::resident_kib;
use crate::support::socketio::{Http2Client, NodeServer};
use crate::support::tls::Authority;
use crate::support::websocket::frame;
use crate::support::{FakeNode, ProxyProcess, ok};
use crate::tunnel::HeldNode;

/// A proxy before a real node and, at `/held`, one that does what the test wants.
struct Site {
    proxy: ProxyProcess,
    authority: Authority,
    node: NodeServer,
}

impl Site {
    async fn start(held: SocketAddr) -> Self {
        let authority = Authority::new();
        authority.issue("one", "one", &["localhost"]);
        let node = NodeServer::start(&[]).await;
        let yaml = format!(
            "listeners: [{{ bind: '127.0.0.1:0', http2: on, tls: {{ {} }} }}]\n\
             upstreams: {{ chat: {{ nodes: ['{}'] }}, held: {{ nodes: ['{held}'], health: off }} }}\n\
             routes: [{{ path: /, upstream: chat }}, {{ path: /held, upstream: held }}]\n",
            authority.pair("one"),
            node.address()
        );
        let mut proxy = ProxyProcess::start(&yaml).await;
        proxy.pass_log();
        Self { proxy, authority, node }
    }

    fn client(&self, scenario: &str, arguments: &[&str]) -> Http2Client {
        let ca = self.authority.path("ca.pem");
        Http2Client::start(self.proxy.address.port(), &ca, scenario, arguments)
    }
}

/// Until all of a scenario is done; each step has a shorter deadline.
const DONE_WITHIN: Duration = Duration::from_secs(60);

async fn soon<T>(future: impl Future<Output = T>) -> T {
    timeout(DONE_WITHIN, future).await.expect("it takes too long")
}

#[tokio::test]
async fn socketio_and_ws_talk_in_streams_that_end_in_each_way() {
    let (_held, address) = HeldNode::start().await;
    let mut site = Site::start(address).await;
    site.client("conversations", &[]).held().await;
    let mut codes = Vec::new();
    for _ in 0..4 {
        codes.push(site.node.event("raw_closed").await["code"].as_u64().unwrap());
    }
    codes.sort_unstable();
    assert_eq!(codes, [1006, 1006, 1006, 4002], "half-closed, reset, left, closed");
}

#[tokio::test]
async fn cookies_in_several_fields_reach_a_node_in_one() {
    let node = FakeNode::start(|_| ok("")).await;
    let site = Site::start(node.address).await;
    site.client("cookies", &[]).held().await;
    let seen = node.requests().remove(0);
    assert_eq!(seen.head.field("cookie"), Some("a=1; b=2; c=3; d=4"));
}

#[tokio::test]
async fn an_end_of_one_side_is_that_of_the_other_and_no_other_stream_notices() {
    let (held, address) = HeldNode::start().await;
    let site = Site::start(address).await;
    let mut client = site.client("ends", &[]);
    let mut node = soon(held.accept()).await;
    assert_eq!(node.frame().await.unwrap().1, b"before the end");
    assert_eq!(soon(node.until_end()).await, b"");
    node.send(frame(1, b"after the end", None)).await;
    drop(node);
    let mut node = soon(held.accept()).await;
    client.event("opened").await;
    // The node resets its connection, which is RST_STREAM (RFC 8441, section 5).
    node.send(frame(1, b"before the reset", None)).await;
    client.event("heard").await;
    node.stream.set_zero_linger().unwrap();
    drop(node);

    let mut node = soon(held.accept()).await;
    assert_eq!(soon(node.until_end()).await, b"", "the client has reset the stream");
    client.held().await;
}

const FLOOD_MESSAGES: u64 = 512;
const FLOOD_BYTES: usize = 64_000;

#[tokio::test]
async fn a_closed_window_stops_its_node_and_nothing_else() {
    let (held, address) = HeldNode::start().await;
    let site = Site::start(address).await;
    let (messages, length) = (FLOOD_MESSAGES.to_string(), FLOOD_BYTES.to_string());
    let arguments = ["--messages", &messages, "--length", &length];
    let mut client = site.client("closed_window", &arguments);
    let mut node = soon(held.accept()).await;
    client.event("opened").await;
    let before = resident_kib(site.proxy.pid());
    let written = Arc::new(AtomicU64::new(0));
    let counted = written.clone();
    let flood = tokio::spawn(async move {
        for number in 0..FLOOD_MESSAGES {
            let message = frame(2, &vec![(number % 251) as u8; FLOOD_BYTES], None);
            node.stream.write_all(&message).await.unwrap();
            counted.fetch_add(1, Relaxed);
        }
        // Until the client has it all.
        node
    });
    let stopped_at = until_unchanged(&written).await;
    assert!(stopped_at < FLOOD_MESSAGES, "the node was never stopped");
    let grown = resident_kib(site.proxy.pid()).saturating_sub(before);
    assert!(grown < 4096, "{grown} KiB more for a client that reads nothing");
    client.go_on();
    client.held().await;
    flood.await.unwrap();
}

/// The count when it has not changed for a second.
async fn until_unchanged(count: &AtomicU64) -> u64 {
    let mut look = interval(Duration::from_millis(100));
    let (mut last, mut looks) = (0, 0);
    while looks < 10 {
        look.tick().await;
        let now = count.load(Relaxed);
        looks = if now == last && now > 0 { looks + 1 } else { 0 };
        last = now;
    }
    last
}

const SMALL_MESSAGES: usize = 5_000;

#[tokio::test]
async fn thousands_of_small_unread_messages_cost_no_other_stream() {
    let socket = TcpSocket::new_v4().unwrap();
    // What the kernels keep comes before what is unread in the proxy.
    socket.set_recv_buffer_size(4096).unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(16).unwrap();
    let address = listener.local_addr().unwrap();
    let held = HeldNode::over(listener);
    let site = Site::start(address).await;
    let count = SMALL_MESSAGES.to_string();
    let mut client = site.client("small_messages", &["--messages", &count]);
    let mut unread = soon(held.accept()).await;
    let sent = client.event("unread").await["messages"].as_u64().unwrap();
    assert!(sent > SMALL_MESSAGES as u64, "{sent} messages");

    let mut silent = soon(held.accept()).await;
    for number in 0..SMALL_MESSAGES {
        silent.send(frame(2, format!("{number:06}").as_bytes(), None)).await;
    }
    client.held().await;
    for number in 0..sent {
        let payload = unread.frame().await.unwrap().1;
        assert_eq!(payload, (number as u16).to_be_bytes(), "message {number}");
    }
}
