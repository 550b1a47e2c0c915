//! What a client may not do to its node, to the proxy and to the other clients.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpSocket;
use tokio::time::{Instant, interval, sleep, timeout};

use crate::soak::figures::print_descriptor_limit;
use crate::support::http::request;
use crate::support::socketio::{NodeServer, StayingClients, held, run_client};
use crate::support::websocket::{UPGRADE, close, frame, open, text};
use crate::support::{Client, FakeNode, Proxy, ProxyProcess, config, get};
use crate::tunnel::HeldNode;

const PONG: [u8; 6] = [0x8a, 0x80, 1, 2, 3, 4];

/// Emits a megabyte a second until its connection fails.
async fn emit(node: &mut Client) {
    let chunk = frame(2, &vec![7; 100_000], None);
    let mut ticks = interval(Duration::from_millis(100));
    loop {
        ticks.tick().await;
        if node.stream.write_all(&chunk).await.is_err() {
            return;
        }
    }
}

/// How much memory the process has, in KiB.
fn resident(proxy: &ProxyProcess) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", proxy.pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[tokio::test]
async fn a_client_that_stops_reading_is_cut_off_and_nobody_else_suffers() {
    const STALLED: usize = 8;
    let (held, address) = HeldNode::start().await;
    let yaml = config(&[address], "", "tunnel: { stalled_client: 2s }");
    let mut proxy = ProxyProcess::start(&yaml).await;
    let (mut well, mut well_node) = held.tunnel(proxy.address).await;
    let before = resident(&proxy);

    let mut stalled = tokio::task::JoinSet::new();
    for _ in 0..STALLED {
        let (mut client, mut node) = held.tunnel(proxy.address).await;
        stalled.spawn(async move {
            let pongs = async {
                while client.stream.write_all(&PONG).await.is_ok() {
                    sleep(Duration::from_millis(200)).await;
                }
            };
            tokio::select! {
                () = emit(&mut node) => (),
                () = pongs => emit(&mut node).await,
            }
        });
    }
    let begun = Instant::now();
    let mut most = before;
    while !stalled.is_empty() {
        well.send(text("still well")).await;
        assert_eq!(well_node.frame().await.unwrap().1, b"still well");
        well_node.send(frame(1, b"you too", None)).await;
        assert_eq!(well.frame().await.unwrap().1, b"you too");
        most = most.max(resident(&proxy));
        while stalled.try_join_next().is_some() {}
        assert!(begun.elapsed() < Duration::from_secs(20), "{} nodes wait", stalled.len());
        sleep(Duration::from_millis(20)).await;
    }
    assert!(begun.elapsed() > Duration::from_secs(2), "{:?}", begun.elapsed());
    // A full buffer for each direction, and something for the process itself.
    let bound = (STALLED as u64 * 2 * 64) + 4096;
    assert!(most < before + bound, "{before} KiB became {most} KiB");
    let line = proxy.until_log("tunnel ended").await;
    assert!(line.contains("end=\"stalled_client\"") && line.contains("by=\"client\""), "{line}");
}

#[tokio::test]
async fn a_socketio_client_that_stops_reading_is_cut_off_and_its_node_freed() {
    let node = NodeServer::start(&[]).await;
    let address = node.address().parse().unwrap();
    // In this time the kernels take four megabytes, and the node has to keep the next ones.
    let mut proxy =
        ProxyProcess::start(&config(&[address], "", "tunnel: { stalled_client: 8s }")).await;
    let url = format!("http://{}", proxy.address);
    let arguments = ["--url", &url, "--clients", "4", "--transports", "websocket"];
    let staying = StayingClients::start(&arguments).await;
    let before = resident(&proxy);

    let mut stalled = session(proxy.address).await;
    stalled.send(text("42[\"flood\"]")).await;
    let begun = Instant::now();
    let deaf = tokio::spawn(async move {
        let answers = [&PONG[..], &text("3")].concat();
        while stalled.stream.write_all(&answers).await.is_ok() {
            sleep(Duration::from_millis(200)).await;
        }
    });
    let (mut most, mut most_buffered) = (0, 0);
    while !deaf.is_finished() {
        assert!(begun.elapsed() < Duration::from_secs(20), "{most_buffered} bytes wait");
        held(run_client(&["--url", &url, "--scenario", "basics"]).await);
        most = most.max(resident(&proxy));
        most_buffered = most_buffered.max(buffered(address).await);
    }

    let line = proxy.until_log("stalled_client").await;
    assert!(line.contains("tunnel ended") && line.contains("by=\"client\""), "{line}");
    assert!(most_buffered > 1_000_000, "the node waited for its client: {most_buffered} bytes");
    assert!(most < before + 4096, "{before} KiB became {most} KiB");
    let mut look = interval(Duration::from_millis(50));
    while buffered(address).await > 0 {
        look.tick().await;
        assert!(begun.elapsed() < Duration::from_secs(25), "the node keeps what nobody will take");
    }
    assert_eq!(held(staying.finish().await)["disconnects"], 0);
}

/// A session by WebSocket of a client that reads no more than it must: its kernel keeps little.
async fn session(proxy: SocketAddr) -> Client {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(32 << 10).unwrap();
    let stream = socket.connect(proxy).await.unwrap();
    let mut client = Client { stream, buffer: Vec::new() };
    let target = "/socket.io/?EIO=4&transport=websocket";
    client.send(request("GET", target, &UPGRADE, "")).await;
    assert_eq!(client.response().await.status(), 101);
    assert_eq!(client.frame().await.unwrap().1[0], b'0');
    client.send(text("40")).await;
    assert_eq!(client.frame().await.unwrap().1[..2], *b"40");
    client
}

/// What waits in a node for its clients to take it, in bytes.
async fn buffered(node: SocketAddr) -> u64 {
    let counts: serde_json::Value =
        serde_json::from_str(&get(node, "/counts").await.text()).unwrap();
    counts["buffered_bytes"].as_u64().unwrap()
}

/// Is a client that reads 20 kB a second well after so many? A kernel tells the sender of progress
/// when half of the reader's buffer is free, so that a large buffer means long silences.
async fn check_slow(route: &str, seconds: u64, buffer_bytes: u32) {
    let (held, address) = HeldNode::start().await;
    let proxy = Proxy::start(&config(&[address], "", route));
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(buffer_bytes).unwrap();
    let stream = socket.connect(proxy.address).await.unwrap();
    let mut client = Client { stream, buffer: Vec::new() };
    client.send(request("GET", "/ws", &UPGRADE, "")).await;
    let mut node = held.accept().await;
    assert_eq!(client.response().await.status(), 101);
    let emitting = tokio::spawn(async move { emit(&mut node).await });
    let mut ticks = interval(Duration::from_millis(100));
    let mut received = vec![0; 2000];
    for _ in 0..seconds * 10 {
        ticks.tick().await;
        client.stream.read_exact(&mut received).await.unwrap();
    }
    assert!(!emitting.is_finished(), "the node was cut off");
}

#[tokio::test]
async fn a_client_that_reads_slowly_is_not_cut_off() {
    check_slow("tunnel: { stalled_client: 6s }", 12, 32 << 10).await;
}

#[tokio::test]
#[ignore = "takes two minutes: cargo xtask soak slow-reader"]
async fn a_client_that_reads_slowly_for_two_minutes_is_not_cut_off() {
    print_descriptor_limit(std::process::id());
    check_slow("", 120, 128 << 10).await;
}

#[tokio::test]
async fn a_message_that_is_too_long_does_not_reach_the_node() {
    let (held, address) = HeldNode::start().await;
    let proxy = Proxy::start(&config(&[address], "", "tunnel: { message_max: 150B }"));
    let target = "/socket.io/?EIO=4&transport=websocket";
    let (mut client, mut node) = held.tunnel_to(proxy.address, target).await;
    let packet =
        br#"0{"sid":"a","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":99}"#;
    node.send(frame(1, packet, None)).await;
    assert_eq!(client.frame().await.unwrap().1, packet);
    // `maxPayload` bounds the payloads of polling, and messages on some servers only.
    client.send(text(&"4".repeat(150))).await;
    assert_eq!(node.frame().await.unwrap().1.len(), 150);

    client.send(text(&"4".repeat(151))).await;
    let (opcode, payload) = client.frame().await.unwrap();
    assert_eq!((opcode, &payload[..2]), (8, &1009_u16.to_be_bytes()[..]));
    let (opcode, payload) = node.frame().await.unwrap();
    assert_eq!((opcode, &payload[..2]), (8, &1001_u16.to_be_bytes()[..]));
    client.send(close(1009)).await;
    node.send(frame(8, &1001_u16.to_be_bytes(), None)).await;
    assert_eq!(client.frame().await, None, "FIN, and no reset");
    assert_eq!(node.frame().await, None, "FIN, and no reset");
}

#[tokio::test]
async fn a_client_that_breaks_the_protocol_is_told_so_before_its_connection_ends() {
    let (held, address) = HeldNode::start().await;
    let mut proxy = ProxyProcess::start(&config(&[address], "", "")).await;
    let (mut client, mut node) = held.tunnel(proxy.address).await;
    client.send(frame(1, b"unmasked", None)).await;
    // Much that nobody reads: a reset would take the Close frame away.
    client.send(vec![0; 300_000]).await;
    let (opcode, payload) = client.frame().await.unwrap();
    assert_eq!((opcode, &payload[..2]), (8, &1002_u16.to_be_bytes()[..]));
    assert_eq!(client.frame().await, None);
    assert_eq!(node.frame().await.unwrap().0, 8);
    drop((client, node));
    let line = proxy.until_log("tunnel ended").await;
    for part in ["end=\"bad_frame\"", "fault=unmasked frame from the client", "code=1002"] {
        assert!(line.contains(part), "{part} is not in {line}");
    }
}

#[tokio::test]
async fn a_side_that_does_not_answer_a_ping_is_lost() {
    let (held, address) = HeldNode::start().await;
    let route = "tunnel: { keepalive: { every: 1s, lost_after: 1s } }";
    let proxy = Proxy::start(&config(&[address], "", route));
    let (mut client, mut node) = held.tunnel(proxy.address).await;
    let answering = tokio::spawn(async move {
        let mut payloads = Vec::new();
        while let Some((opcode, payload)) = node.frame().await {
            if opcode == 9 {
                node.send(frame(10, &payload, None)).await;
            }
            payloads.push((opcode, payload));
        }
        payloads
    });
    assert_eq!(client.frame().await.unwrap().0, 9);
    let (opcode, payload) = client.frame().await.unwrap();
    assert_eq!((opcode, &payload[2..]), (8, &b"keepalive lost"[..]));
    let seen = answering.await.unwrap();
    let (opcode, payload) = seen.last().unwrap();
    assert_eq!((*opcode, &payload[2..]), (8, &b"client lost"[..]));
}

#[tokio::test]
async fn an_idle_timeout_that_contradicts_the_handshake_is_logged_once() {
    let node = FakeNode::engineio("node").await;
    let yaml = config(&[node.address], "", "tunnel: { idle_timeout: 10s }");
    let mut proxy = ProxyProcess::start(&yaml).await;
    get(proxy.address, "/socket.io/?EIO=4&transport=polling").await;
    for _ in 0..2 {
        let mut client = open(proxy.address, "/socket.io/?EIO=4&transport=websocket").await;
        client.send(close(1000)).await;
        client.until_end().await;
    }
    let (mut ends, mut told) = (0, 0);
    while ends < 2 {
        let line = timeout(Duration::from_secs(10), proxy.until_log("")).await.unwrap();
        ends += usize::from(line.contains("tunnel ended"));
        told += usize::from(line.contains("idle_timeout is shorter"));
    }
    assert_eq!(told, 1);
}
