//! All clients drop and return at once, as they do when a network comes back.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::net::TcpSocket;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::bystander::Prepared;
use super::figures::{
    descriptors, has_grown, print_descriptor_limit, settled_kib, until_descriptors,
};
use crate::support::websocket::{UPGRADE, text};
use crate::support::{Client, FakeNode, ProxyProcess, request};

const CLIENTS: usize = 4_000;

/// Four thousand WebSockets break off and return at once, ten times: nothing is left behind, and a
/// bystander is served all the while.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
#[ignore = "takes three minutes: cargo xtask soak storm"]
async fn storms_leave_nothing_behind() {
    let nodes = [FakeNode::engineio("a").await, FakeNode::engineio("b").await];
    let prepared = Prepared::new().await;
    let yaml = configuration(&[nodes[0].address, nodes[1].address], prepared.node);
    let mut proxy = ProxyProcess::start(&yaml).await;
    proxy.until_log(" ready").await;
    let log = proxy.pass_log();
    let (pid, address) = (proxy.pid(), proxy.address);
    let before = descriptors(pid);
    print_descriptor_limit(pid);
    let bystander = prepared.begin(address);

    let storms = storms();
    let (mut clients, _) = enter(address).await;
    let (mut returns, mut memory_kib, mut open) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..storms {
        break_off(clients);
        let came_back;
        (clients, came_back) = enter(address).await;
        returns.push(came_back);
        // A descriptor for each side of a tunnel; what is more is still about to close.
        open.push(until_descriptors(pid, before + 2 * CLIENTS + BYSTANDER).await - before);
        memory_kib.push(settled_kib(pid).await);
    }
    let waits = bystander.finish();
    break_off(clients);
    // Idle connections are the node's to close, which ours would never do.
    drop(nodes);
    let after = until_descriptors(pid, before).await;
    drop(proxy);
    let complaints = log.await.unwrap();

    println!("{storms} storms of {CLIENTS} clients; all were back after {returns:.1?}");
    println!("bystander: {} answers, the longest wait was {:?}", waits.answers, waits.longest);
    println!("resident memory some time after each storm, in KiB: {memory_kib:?}");
    println!("descriptors without clients: {before}, then {after}; more with them: {open:?}");
    println!("warnings: {complaints:#?}");
    assert!(open.iter().all(|open| *open <= 2 * CLIENTS + BYSTANDER), "{open:?}");
    assert!(after <= before, "{after} descriptors");
    assert!(!has_grown(&memory_kib), "{memory_kib:?}");
    assert!(waits.longest < Duration::from_secs(1), "{waits:?}");
    assert_eq!(complaints.len(), 0);
}

/// How often they return: ten times, or as the environment says.
fn storms() -> usize {
    let storms = std::env::var(STORMS).map_or(10, |storms| storms.parse().expect(STORMS));
    assert!(storms >= 2, "{STORMS} is 2 at least: memory is judged by halves");
    storms
}

/// All clients at once, each through its first echo, and how long that took.
async fn enter(proxy: SocketAddr) -> (Vec<Client>, Duration) {
    let began = Instant::now();
    let mut entering = JoinSet::new();
    for number in 0..CLIENTS {
        entering.spawn(enter_one(proxy, number));
    }
    let clients = entering.join_all().await;
    (clients, began.elapsed())
}

async fn enter_one(proxy: SocketAddr, number: usize) -> Client {
    let socket = TcpSocket::new_v4().unwrap();
    // One address would run out of ports: each connection holds one for a while after its end.
    let address = Ipv4Addr::new(127, 0, 1, (number % ADDRESSES) as u8 + 1);
    socket.bind(SocketAddr::from((address, 0))).unwrap();
    let stream = socket.connect(proxy).await.unwrap();
    let mut client = Client { stream, buffer: Vec::new() };
    client.send(request("GET", "/socket.io/?EIO=4&transport=websocket", &UPGRADE, "")).await;
    let answer = client.response().await;
    assert_eq!(answer.status(), 101, "client {number}: {answer:?}");
    let said = format!("4{number}");
    client.send(text(&said)).await;
    assert_eq!(client.frame().await, Some((1, said.into_bytes())));
    client
}

/// Half of the clients vanish, the others close their sockets; none says good-bye.
fn break_off(clients: Vec<Client>) {
    for client in clients.iter().step_by(2) {
        client.stream.set_zero_linger().unwrap();
    }
}

fn configuration(nodes: &[SocketAddr; 2], bystander: SocketAddr) -> String {
    format!(
        "listeners: [{{ bind: '127.0.0.1:0' }}]\n\
         upstreams:\n  chat: {{ nodes: ['{}', '{}'] }}\n  other: {{ nodes: ['{bystander}'] }}\n\
         routes:\n  - {{ path: /, upstream: chat }}\n  - {{ path: /bystander, upstream: other }}\n",
        nodes[0], nodes[1]
    )
}

/// How often the clients return, for who works on it.
const STORMS: &str = "SOAK_STORMS";

/// How many addresses the clients have together.
const ADDRESSES: usize = 16;

/// Descriptors for the bystander: one to each side, and one that is about to close.
const BYSTANDER: usize = 4;
