//! Reload after reload under load.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, interval};

use super::figures::{
    descriptors, has_grown, print_descriptor_limit, resident_kib, until_descriptors,
};
use crate::support::websocket::{close, open, text};
use crate::support::{Client, FakeNode, ProxyProcess, Reply, ok, open_packet, request};

const RELOADS: usize = 100;
const TUNNELS: usize = 500;
const POLLERS: usize = 100;
/// After how many reloads memory is looked at: the first time when the tables are full.
const MEMORY_EVERY: usize = 10;
const PACE: Duration = Duration::from_millis(300);

/// A hundred reloads under load: routes, nodes and listeners come and go, and nobody notices.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
#[ignore = "takes half a minute: cargo xtask soak reload"]
async fn nobody_notices_a_hundred_reloads() {
    let faults = Arc::new(AtomicUsize::new(0));
    let mut nodes = Vec::new();
    for name in ["a", "b", "c", "d"] {
        nodes.push(counting_node(name, faults.clone()).await);
    }
    let addresses: Vec<SocketAddr> = nodes.iter().map(|node| node.address).collect();
    let extra: Vec<SocketAddr> = (0..2).map(|_| free_address()).collect();
    let mut proxy = ProxyProcess::start(&variant(0, &addresses, &extra)).await;
    proxy.until_log(" ready").await;
    print_descriptor_limit(proxy.pid());
    let descriptors_before = descriptors(proxy.pid());

    let (over, told) = (Arc::new(AtomicBool::new(false)), Arc::new(Told::default()));
    let mut clients = JoinSet::new();
    for _ in 0..TUNNELS {
        let client = open(proxy.address, "/socket.io/?EIO=4&transport=websocket").await;
        clients.spawn(talk(client, over.clone(), told.clone()));
        // Read, or the log's pipe would be full and the proxy wait.
        proxy.until_log("answered").await;
    }
    for _ in 0..POLLERS {
        clients.spawn(poll(proxy.address, over.clone(), told.clone()));
        proxy.until_log("answered").await;
    }
    let (begun, mut memory) = (Instant::now(), Vec::new());
    let mut pace = interval(PACE);
    for number in 1..=RELOADS {
        pace.tick().await;
        let new = proxy.file.with_extension("new");
        std::fs::write(&new, variant(number, &addresses, &extra)).unwrap();
        std::fs::rename(new, &proxy.file).unwrap();
        // Added things are told first.
        proxy.until_log(&format!("+route /extra{number}")).await;
        if number % MEMORY_EVERY == 0 {
            memory.push(resident_kib(proxy.pid()));
        }
    }
    let seconds = begun.elapsed().as_secs_f64();
    over.store(true, Relaxed);
    let read_log = async {
        for _ in 0..TUNNELS {
            proxy.until_log("tunnel ended").await;
        }
    };
    let (went_on, ()) = tokio::join!(clients.join_all(), read_log);
    let ended = went_on.into_iter().filter(|went_on| !went_on).count();
    // Idle connections are the node's to close, which ours would never do.
    drop(nodes);
    let descriptors_after = until_descriptors(proxy.pid(), descriptors_before).await;

    let messages = told.messages.load(Relaxed);
    let polls = told.polls.load(Relaxed);
    let doubled = faults.load(Relaxed);
    println!("{RELOADS} reloads in {seconds:.1} s, {TUNNELS} tunnels, {POLLERS} polling sessions");
    println!("{messages} messages through tunnels, {polls} messages by polling");
    println!("{ended} tunnels or sessions ended, {doubled} messages lost or double at the nodes");
    println!("resident memory after each {MEMORY_EVERY} reloads, in KiB: {memory:?}");
    println!("descriptors without clients: {descriptors_before}, then {descriptors_after}");
    assert_eq!((ended, doubled), (0, 0));
    assert!(messages > TUNNELS && polls > POLLERS, "the clients were busy");
    assert!(descriptors_after <= descriptors_before);
    assert!(!has_grown(&memory), "{memory:?}");
}

/// What clients did.
#[derive(Default)]
struct Told {
    messages: AtomicUsize,
    polls: AtomicUsize,
}

/// Says numbers through a tunnel and hears each once, in order. Says whether it went on to the end.
async fn talk(mut client: Client, over: Arc<AtomicBool>, told: Arc<Told>) -> bool {
    let mut pace = interval(Duration::from_millis(500));
    for number in 0_u32.. {
        if over.load(Relaxed) {
            break;
        }
        pace.tick().await;
        let said = format!("4{number}");
        client.send(text(&said)).await;
        let heard = client.frame().await;
        if heard != Some((1, said.into_bytes())) {
            eprintln!("a tunnel heard {heard:?} behind {number}");
            return false;
        }
        told.messages.fetch_add(1, Relaxed);
    }
    client.send(close(1000)).await;
    client.until_end().await;
    true
}

/// Posts numbers and polls for the last one that the node has. Says whether it went on to the end.
async fn poll(proxy: SocketAddr, over: Arc<AtomicBool>, told: Arc<Told>) -> bool {
    let mut client = Client::connect(proxy).await;
    let opened = client.get("/socket.io/?EIO=4&transport=polling").await.text();
    let target = format!(
        "/socket.io/?EIO=4&transport=polling&sid={}",
        opened.split('"').nth(3).expect("an open packet")
    );
    let mut pace = interval(Duration::from_millis(100));
    for number in 1_u32.. {
        if over.load(Relaxed) {
            break;
        }
        pace.tick().await;
        client.send(request("POST", &target, &[], &format!("4{number}"))).await;
        let posted = client.response().await;
        let polled = client.get(&target).await;
        if posted.text() != "ok" || polled.text() != format!("4{number}") {
            eprintln!("behind {number} a session got {posted:?} and {polled:?}");
            return false;
        }
        told.polls.fetch_add(1, Relaxed);
    }
    true
}

/// A node that opens sessions, takes their numbers, and tells the last one; a number that is not the
/// next one is a fault.
async fn counting_node(name: &'static str, faults: Arc<AtomicUsize>) -> FakeNode {
    let sessions: Mutex<HashMap<String, u32>> = Mutex::default();
    FakeNode::start(move |request| {
        if request.head.is_upgrade() {
            return Reply::Echo { behind: Vec::new() };
        }
        let mut sessions = sessions.lock().unwrap();
        let Some(sid) = request.query("sid") else {
            let sid = format!("{name}{}", sessions.len());
            sessions.insert(sid.clone(), 0);
            return ok(&open_packet(&sid));
        };
        let Some(last) = sessions.get_mut(sid) else { return Reply::Hangup };
        if request.head.method == "POST" {
            let number = String::from_utf8_lossy(&request.body)[1..].parse().unwrap_or(0);
            if number != *last + 1 {
                faults.fetch_add(1, Relaxed);
            }
            *last = number;
            return ok("ok");
        }
        ok(&format!("4{last}"))
    })
    .await
}

/// The configuration of the reload of that number: two nodes stay, of the two others one; the second
/// listener moves; routes and their limits change.
fn variant(number: usize, nodes: &[SocketAddr], extra: &[SocketAddr]) -> String {
    format!(
        "listeners: [{{ bind: '127.0.0.1:0', header_timeout: {}s }}, {{ bind: '{}' }}]\n\
         upstreams: {{ chat: {{ nodes: ['{}', '{}', '{}'] }} }}\n\
         routes:\n  - {{ path: /, upstream: chat, request_body_timeout: {}s }}\n  \
         - {{ path: /extra{number}, upstream: chat }}\n",
        5 + number % 3,
        extra[number % 2],
        nodes[0],
        nodes[1],
        nodes[2 + number % 2],
        20 + number,
    )
}

fn free_address() -> SocketAddr {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}
