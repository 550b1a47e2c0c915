//! New sessions wait for a node and for their turn, and their clients see no error.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket};
use tokio::time::Instant;

use crate::support::websocket::{UPGRADE, ask, open};
use crate::support::{
    Client, Exposition, FakeNode, Proxy, Reply, Site, config, get, ok, open_packet, request,
    response,
};

const OPEN: &str = "/socket.io/?EIO=4&transport=polling";
const OPEN_WEBSOCKET: &str = "/socket.io/?EIO=4&transport=websocket";
const ADMIN: &str = "admin: { bind: '127.0.0.1:0' }\n";
const HELD: &str = "sockeye_handshakes_held_open{route=\"*/\"}";

/// The address of a node that is not up: connects are refused until it listens.
fn down() -> (TcpSocket, SocketAddr) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = socket.local_addr().unwrap();
    (socket, address)
}

/// The node comes up and opens sessions.
fn up(socket: TcpSocket) -> FakeNode {
    up_at(socket.listen(64).unwrap())
}

fn up_at(listener: TcpListener) -> FakeNode {
    FakeNode::start_at(listener, |request| match request.head.is_upgrade() {
        true => Reply::Echo { behind: Vec::new() },
        false => ok(&open_packet("a")),
    })
}

fn start(nodes: &[SocketAddr], upstream: &str) -> Proxy {
    Proxy::start(&(config(nodes, upstream, "") + ADMIN))
}

async fn until_held(proxy: &Proxy, count: u32) {
    Exposition::until(proxy.admin.unwrap(), HELD, count.into()).await;
}

/// A handshake that was sent, and whose answer is awaited.
async fn begin(proxy: &Proxy) -> Client {
    let mut client = Client::connect(proxy.address).await;
    client.send(request("GET", OPEN, &[], "")).await;
    client
}

#[tokio::test]
async fn handshakes_wait_for_a_node_that_is_being_restarted() {
    let (socket, address) = down();
    let proxy = start(&[address], "");
    let mut polling = begin(&proxy).await;
    let websocket = tokio::spawn(async move { ask(proxy.address, OPEN_WEBSOCKET, &[]).await.1 });
    let mut other = Client::connect(proxy.address).await;
    other.send(request("GET", "/chat", &UPGRADE, "")).await;
    Exposition::until(proxy.admin.unwrap(), HELD, 3.0).await;

    let _node = up(socket);

    assert_eq!(polling.response().await.status(), 200);
    assert_eq!(websocket.await.unwrap().status(), 101);
    assert_eq!(other.response().await.status(), 101, "a WebSocket of another kind waits too");
    let page = Exposition::until(proxy.admin.unwrap(), HELD, 0.0).await;
    assert_eq!(page.sum("sockeye_exchange_errors_total"), 0.0);
    assert_eq!(page.value("sockeye_handshakes_held_total{route=\"*/\"}"), 3.0);
}

#[tokio::test]
async fn a_handshake_that_waited_long_enough_is_refused_and_so_are_too_many() {
    let (_socket, address) = down();
    let proxy = start(&[address], "admission: { hold: 500ms, queue: 1 }");
    let asked = Instant::now();
    let mut held = begin(&proxy).await;
    until_held(&proxy, 1).await;

    let refused = get(proxy.address, OPEN).await;
    assert_eq!(refused.status(), 503);
    assert!(refused.text().contains("too many handshakes wait"), "{}", refused.text());

    let late = held.response().await;
    assert_eq!(late.status(), 503);
    assert!(late.text().contains("within 500ms"), "{}", late.text());
    assert!(asked.elapsed() >= Duration::from_millis(500));
}

#[tokio::test]
async fn a_client_that_leaves_makes_room_for_the_next() {
    let (socket, address) = down();
    let proxy = start(&[address], "admission: { queue: 1 }");
    let held = begin(&proxy).await;
    until_held(&proxy, 1).await;
    drop(held);
    until_held(&proxy, 0).await;

    let mut next = begin(&proxy).await;
    until_held(&proxy, 1).await;
    let node = up(socket);
    assert_eq!(next.response().await.status(), 200);
    assert_eq!(node.requests().len(), 1, "nobody opens a session for who has left");
}

#[tokio::test]
async fn only_handshakes_wait() {
    let (_socket, address) = down();
    let proxy = start(&[address], "");
    for target in ["/", "/socket.io/socket.io.js"] {
        assert_eq!(get(proxy.address, target).await.status(), 502);
    }
    let mut client = Client::connect(proxy.address).await;
    client.send(request("POST", OPEN, &[], "40")).await;
    assert_eq!(client.response().await.status(), 502);
}

#[tokio::test]
async fn a_reload_that_brings_a_node_serves_those_who_wait() {
    let (_socket, address) = down();
    let site = Site::start(&(config(&[address], "", "") + ADMIN));
    let mut held = Client::connect(site.address()).await;
    held.send(request("GET", OPEN, &[], "")).await;
    Exposition::until(site.admin.unwrap(), HELD, 1.0).await;

    let node = FakeNode::engineio("new").await;
    site.reload(&(config(&[node.address], "", "") + ADMIN)).await.unwrap();

    let answer = held.response().await;
    assert_eq!(answer.status(), 200);
    let text = answer.text();
    let (_, sid) = text.split_once("\"sid\":\"").unwrap();
    let (sid, _) = sid.split_once('"').unwrap();
    let (bare, tag) = sid.split_once('.').expect("its sid has the tag of a node that is new");
    assert_eq!((bare, tag.len()), ("new0", 11));
    let poll = get(site.address(), &format!("{OPEN}&sid={sid}")).await;
    assert_eq!(poll.text(), "4new");
}

#[tokio::test]
async fn a_handshake_goes_to_another_node_when_one_breaks_off() {
    let broken = FakeNode::start(|_| Reply::Hangup).await;
    let proxy = start(&[broken.address], "");
    let began = Instant::now();
    assert_eq!(get(proxy.address, OPEN).await.status(), 502);
    assert!(began.elapsed() < Duration::from_secs(5), "it does not wait for `hold`");
    assert_eq!(broken.requests().len(), 2, "the only node is asked once more");

    let good = FakeNode::engineio("good").await;
    let proxy = start(&[broken.address, good.address], "");
    for _ in 0..6 {
        assert_eq!(get(proxy.address, OPEN).await.status(), 200);
    }
    assert!(broken.requests().len() <= 2 + 6, "one request reaches it once");
}

#[tokio::test]
async fn a_handshake_that_every_node_breaks_off_is_sent_twice_and_holds_nobody_up() {
    let refuse =
        || {
            FakeNode::start(|request| {
                if request.head.target.contains("poison") { Reply::Hangup } else { ok("") }
            })
        };
    let nodes = [refuse().await, refuse().await, refuse().await];
    let proxy = start(&[nodes[0].address, nodes[1].address, nodes[2].address], "");
    let mut poisoned = Vec::new();
    for _ in 0..20 {
        let mut client = Client::connect(proxy.address).await;
        client.send(request("GET", &format!("{OPEN}&poison=1"), &[], "")).await;
        poisoned.push(client);
    }
    let began = Instant::now();
    assert_eq!(get(proxy.address, OPEN).await.status(), 200);
    assert!(began.elapsed() < Duration::from_secs(2));
    for mut client in poisoned {
        assert_eq!(client.response().await.status(), 502);
    }
    let seen: usize = nodes.iter().map(|node| node.requests().len()).sum();
    // One more for a connection that a node has closed at the same moment.
    assert!((20 * 2..=20 * 3).contains(&(seen - 1)), "{seen}");
    assert_eq!(get(proxy.address, OPEN).await.status(), 200, "and none is ejected");
}

#[tokio::test]
async fn a_stop_refuses_those_who_wait() {
    let (_socket, address) = down();
    let mut site = Site::start(&(config(&[address], "", "") + ADMIN));
    let mut held = Client::connect(site.address()).await;
    held.send(request("GET", OPEN, &[], "")).await;
    Exposition::until(site.admin.unwrap(), HELD, 1.0).await;

    site.begin_stop();

    let answer = held.response().await;
    assert_eq!(answer.status(), 503);
    assert!(answer.text().contains("the proxy is stopping"), "{}", answer.text());
    assert_eq!(answer.head.field("connection"), Some("close"));
    site.ended().await;
}

#[tokio::test]
async fn a_storm_is_paced_and_nobody_is_refused() {
    let nodes = [FakeNode::engineio("a").await, FakeNode::engineio("b").await];
    let addresses = [nodes[0].address, nodes[1].address];
    let proxy = start(&addresses, "admission: { handshakes_per_second: 40, burst: 10 }");
    let began = Instant::now();
    let storm: Vec<_> = (0..50)
        .map(|number| {
            let address = proxy.address;
            tokio::spawn(async move {
                match number % 2 {
                    0 => get(address, OPEN).await.status(),
                    _ => open(address, OPEN_WEBSOCKET).await.buffer.len() as u16 + 200,
                }
            })
        })
        .collect();
    for client in storm {
        assert_eq!(client.await.unwrap(), 200);
    }
    // Ten at once, and forty at forty a second.
    let took = began.elapsed();
    assert!(took >= Duration::from_millis(1000), "{took:?}");
    assert_eq!(nodes[0].requests().len() + nodes[1].requests().len(), 50);
}

#[tokio::test]
async fn each_node_has_its_own_pace() {
    let slow = FakeNode::start(|_| Reply::Bytes(response("200 OK", "0{}"))).await;
    let proxy = start(&[slow.address], "admission: { node_handshakes_per_second: 20, burst: 1 }");
    let began = Instant::now();
    let clients: Vec<_> =
        (0..11).map(|_| tokio::spawn(async move { get(proxy.address, OPEN).await })).collect();
    for client in clients {
        assert_eq!(client.await.unwrap().status(), 200);
    }
    assert!(began.elapsed() >= Duration::from_millis(500));
}

#[tokio::test]
async fn a_raised_rate_counts_at_once() {
    let node = FakeNode::engineio("a").await;
    let paced = |rate| config(&[node.address], &format!("admission: {{ {rate}, hold: 3s }}"), "");
    let site = Site::start(&paced("handshakes_per_second: 1, burst: 30"));
    for _ in 0..30 {
        assert_eq!(get(site.address(), OPEN).await.status(), 200);
    }
    // Thirty seconds of debt at the old rate.
    site.reload(&paced("handshakes_per_second: 1000")).await.unwrap();
    for _ in 0..5 {
        assert_eq!(get(site.address(), OPEN).await.status(), 200);
    }
}
