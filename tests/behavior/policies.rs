//! What a client may not do to its node, to the proxy and to the other clients.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpSocket;
use tokio::time::{Instant, interval, sleep, timeout};

use crate::support::http::request;
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
#[ignore = "takes two minutes: cargo test --test behavior slowly -- --ignored"]
async fn a_client_that_reads_slowly_for_two_minutes_is_not_cut_off() {
    check_slow("", 120, 128 << 10).await;
}

#[tokio::test]
async fn a_message_longer_than_the_sessions_max_payload_does_not_reach_the_node() {
    let (held, address) = HeldNode::start().await;
    let proxy = Proxy::start(&config(&[address], "", ""));
    let target = "/socket.io/?EIO=4&transport=websocket";
    let (mut client, mut node) = held.tunnel_to(proxy.address, target).await;
    let packet =
        br#"0{"sid":"a","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":99}"#;
    node.send(frame(1, packet, None)).await;
    assert_eq!(client.frame().await.unwrap().1, packet);
    client.send(text(&"4".repeat(99))).await;
    assert_eq!(node.frame().await.unwrap().1.len(), 99);

    client.send(text(&"4".repeat(100))).await;
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
async fn an_idle_timeout_that_contradicts_the_handshake_is_told_once() {
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
