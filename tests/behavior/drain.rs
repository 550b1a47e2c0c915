//! Nodes that drain: new sessions go elsewhere, those that they have go on, and in the end their
//! tunnels are closed one after the other.

use std::net::SocketAddr;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use crate::admin::ask_at;
use crate::support::http::read_head;
use crate::support::websocket::{accept, open, switching, text};
use crate::support::{Client, Exposition, FakeNode, ProxyProcess, Site, config, get, request};

const HANDSHAKE: &str = "/socket.io/?EIO=4&transport=polling";
const TUNNEL: &str = "/socket.io/?EIO=4&transport=websocket";

/// An upstream of `nodes`, which are written as in the file, with more keys, and an admin listener.
fn yaml(nodes: &[String], upstream: &str) -> String {
    let yaml =
        config(&[], upstream, "").replace("nodes: []", &format!("nodes: [{}]", nodes.join(", ")));
    yaml + "admin: { bind: '127.0.0.1:0' }\n"
}

fn plain(node: &FakeNode) -> String {
    format!("'{}'", node.address)
}

fn drained(node: &FakeNode) -> String {
    format!("{{ address: '{}', drain: true }}", node.address)
}

/// Gives an order concerning the node at `node`; the node's state.
async fn order(site: &Site, node: SocketAddr, what: &str) -> Value {
    let target = format!("/nodes/chat%2F{node}/{what}");
    let (status, answer) = ask_at(site.admin.unwrap(), "POST", &target, &[]).await;
    assert_eq!(status, 200, "{answer}");
    answer["node"].clone()
}

/// The sid of a new session on the node whose sids begin so.
async fn session_on(site: &Site, name: &str) -> String {
    loop {
        let sid = open_session(site).await;
        if sid.starts_with(name) {
            return sid;
        }
    }
}

async fn open_session(site: &Site) -> String {
    let opened = get(site.address(), HANDSHAKE).await.text();
    opened.split('"').nth(3).unwrap().to_owned()
}

/// So many tunnels, each of which has passed a message.
async fn tunnels(address: SocketAddr, count: usize) -> Vec<Client> {
    let mut clients = Vec::new();
    for _ in 0..count {
        let mut client = open(address, TUNNEL).await;
        talk(&mut client).await;
        clients.push(client);
    }
    clients
}

async fn talk(client: &mut Client) {
    client.send(text("hello")).await;
    assert_eq!(client.frame().await, Some((1, b"hello".to_vec())));
}

/// Waits for the Close frame of a tunnel whose node drains.
async fn until_closed(client: &mut Client, reason: &str) {
    let (opcode, payload) = client.frame().await.expect("a Close frame");
    assert_eq!((opcode, payload), (8, [&1012_u16.to_be_bytes(), reason.as_bytes()].concat()));
}

#[tokio::test]
async fn sessions_of_a_node_that_drains_go_on_until_its_time_is_over() {
    let (a, b) = (FakeNode::engineio("a").await, FakeNode::engineio("b").await);
    let site = Site::start(&yaml(&[plain(&a), plain(&b)], "drain: { timeout: 3s }"));
    let poll = format!("{HANDSHAKE}&sid={}", session_on(&site, "a").await);

    let begun = Instant::now();
    let state = order(&site, a.address, "drain").await;

    assert_eq!(state["draining"]["causes"], json!(["ordered"]), "{state}");
    for _ in 0..10 {
        assert!(open_session(&site).await.starts_with('b'), "new sessions go elsewhere");
    }
    assert_eq!(get(site.address(), &poll).await.text(), "4a");
    let refused = loop {
        let answer = get(site.address(), &poll).await;
        if answer.status() != 200 {
            break answer;
        }
    };
    // Its beginning is kept in whole milliseconds.
    assert!(begun.elapsed() > Duration::from_millis(2_998), "{:?}", begun.elapsed());
    assert_eq!(refused.status(), 503, "{}", refused.text());
    // The client's last word, without which no other node could recover the session.
    let mut client = Client::connect(site.address()).await;
    client.send(request("POST", &poll, &[], "1")).await;
    assert_eq!(client.response().await.text(), "ok");

    let state = order(&site, a.address, "undrain").await;
    assert_eq!(state["draining"], Value::Null);
    assert_eq!(get(site.address(), &poll).await.text(), "4a", "its node has not forgotten it");
}

#[tokio::test]
async fn tunnels_of_a_node_that_left_the_file_are_closed_at_a_pace() {
    const TUNNELS: usize = 25;
    let (a, b) = (FakeNode::engineio("a").await, FakeNode::engineio("b").await);
    let upstream = "drain: { timeout: 1s, closes_per_second: 10 }";
    let site = Site::start(&yaml(&[plain(&a)], upstream));
    let clients = tunnels(site.address(), TUNNELS).await;

    let begun = Instant::now();
    site.reload(&yaml(&[plain(&b)], upstream)).await.unwrap();
    let (_, nodes) = ask_at(site.admin.unwrap(), "GET", "/nodes", &[]).await;
    let retired = &nodes["upstreams"][0]["retired"][0];
    assert_eq!(retired["draining"]["causes"], json!(["left"]), "{nodes}");
    let mut closings = JoinSet::new();
    for mut client in clients {
        closings.spawn(async move {
            until_closed(&mut client, "node drained").await;
            begun.elapsed()
        });
    }
    let mut times = closings.join_all().await;
    times.sort();
    for (closed, time) in (1..).zip(&times) {
        // Ten a second, of which two may come at once.
        assert!(f64::from(closed) <= 10.0 * time.as_secs_f64() + 2.0, "{closed}: {times:?}");
    }
}

#[tokio::test]
async fn tunnels_that_are_idle_longest_go_first_and_undrain_stops_it() {
    let a = FakeNode::engineio("a").await;
    let upstream = "drain: { timeout: 1s, closes_per_second: 10 }";
    let site = Site::start(&yaml(&[plain(&a)], upstream));
    let mut busy = tunnels(site.address(), 15).await;
    let idle = tunnels(site.address(), 15).await;
    // Those that came first were heard of last.
    for client in &mut busy {
        talk(client).await;
    }

    order(&site, a.address, "drain").await;
    let closed = Arc::new(AtomicUsize::new(0));
    let mut closings = JoinSet::new();
    for mut client in idle {
        let closed = closed.clone();
        closings.spawn(async move {
            until_closed(&mut client, "node drained").await;
            closed.fetch_add(1, Ordering::SeqCst);
        });
    }
    for _ in 0..4 {
        closings.join_next().await.unwrap().unwrap();
    }
    order(&site, a.address, "undrain").await;

    for client in &mut busy {
        talk(client).await;
    }
    let (_, nodes) = ask_at(site.admin.unwrap(), "GET", "/nodes", &[]).await;
    assert!(nodes["upstreams"][0]["nodes"][0]["tunnels"].as_u64().unwrap() > 15, "{nodes}");
    let session = open_session(&site).await;
    assert!(session.starts_with('a'), "{session}");
}

#[tokio::test]
async fn a_node_hears_of_its_own_drain_by_a_masked_going_away() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let upstream = "drain: { timeout: 1s }";
    let nodes = |drain: bool| [format!("{{ address: '{address}', drain: {drain} }}")];
    let site = Site::start(&yaml(&nodes(false), upstream));
    let node = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut buffer = Vec::new();
        let head = read_head(&mut stream, &mut buffer).await.unwrap();
        let mut node = Client { stream, buffer };
        node.send(switching(&accept(head.field("sec-websocket-key").unwrap()))).await;
        node
    };
    let (mut client, mut node) = tokio::join!(open(site.address(), TUNNEL), node);

    site.reload(&yaml(&nodes(true), upstream)).await.unwrap();

    until_closed(&mut client, "node drained").await;
    let mut frame = [0; 20];
    timeout(Duration::from_secs(10), node.stream.read_exact(&mut frame)).await.unwrap().unwrap();
    let payload: Vec<u8> =
        frame[6..].iter().zip(frame[2..6].iter().cycle()).map(|(byte, key)| byte ^ key).collect();
    assert_eq!((frame[0], frame[1]), (0x88, 0x80 | 14));
    assert_eq!(payload, [&1001_u16.to_be_bytes()[..], b"node drained"].concat());
}

#[tokio::test]
async fn an_order_names_a_node_that_there_is_and_comes_from_no_web_page() {
    let (a, b) = (FakeNode::engineio("a").await, FakeNode::engineio("b").await);
    let named = |node: &FakeNode, name| format!("{{ address: '{}', name: {name} }}", node.address);
    let site = Site::start(&format!(
        "listeners: [{{ bind: '127.0.0.1:0' }}]\nadmin: {{ bind: '127.0.0.1:0' }}\n\
         upstreams: {{ chat: {{ nodes: [{}, {}] }}, game: {{ nodes: [{}] }} }}\n\
         routes: [{{ path: /chat, upstream: chat }}, {{ path: /game, upstream: game }}]\n",
        named(&a, "n1"),
        named(&b, "n2"),
        named(&a, "n1"),
    ));
    let admin = site.admin.unwrap();
    let order = async |target: &str, fields: &[&str]| ask_at(admin, "POST", target, fields).await;

    let (status, answer) = order("/nodes/n3/drain", &[]).await;
    assert_eq!((status, &answer["error"]), (404, &json!("there is no node `n3`")));
    assert_eq!(answer["nodes"], json!(["chat/n1", "chat/n2", "game/n1"]));
    let (status, answer) = order("/nodes/n1/drain", &[]).await;
    assert_eq!(status, 409, "{answer}");
    assert_eq!(answer["nodes"], json!(["chat/n1", "game/n1"]));
    assert_eq!(order("/nodes/n2/drain", &["Origin: http://localhost"]).await.0, 403);
    assert_eq!(ask_at(admin, "GET", "/nodes/n2/drain", &[]).await.0, 405);
    assert_eq!(order("/nodes/%ff/drain", &[]).await.0, 400);
    for target in ["/nodes/n2/drain", "/nodes/chat/n1/drain", "/nodes/game%2Fn1/drain"] {
        let (status, answer) = order(target, &[]).await;
        assert_eq!((status, &answer["changed"]), (200, &json!(true)), "{target}");
        assert_eq!(answer["node"]["draining"]["causes"], json!(["ordered"]), "{target}");
        assert_eq!(order(target, &[]).await.1["changed"], json!(false), "{target}");
    }
}

#[tokio::test]
async fn the_commands_drain_a_node_and_show_how_far_it_is() {
    let (a, b) = (FakeNode::engineio("a").await, FakeNode::engineio("b").await);
    let file = |nodes: &[String]| yaml(nodes, "drain: { timeout: 2s }");
    let mut proxy = ProxyProcess::start(&file(&[plain(&a), plain(&b)])).await;
    let line = proxy.until_log("admin listener").await;
    let admin = line.split("address=").nth(1).unwrap().trim().to_owned();
    proxy.until_log(" ready").await;
    let (a_name, admin) = (a.address.to_string(), admin.as_str());
    let command = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sockeye"));
        command.args(arguments).args(["--admin", admin]).stdin(Stdio::null());
        command
    };
    let mut clients = tunnels(proxy.address, 2).await;

    let mut drain = command(&["drain", &a_name]).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(drain.stdout.take().unwrap()).lines();
    let first = lines.next_line().await.unwrap().unwrap();
    assert!(first.starts_with(&format!("chat/{a_name} drains (ordered): tunnels 1, ")), "{first}");
    proxy.until_log("node drains").await;
    // One of them is on the other node, and stays.
    let (one, other) = clients.split_at_mut(1);
    tokio::select! {
        () = until_closed(&mut one[0], "node drained") => drop(clients.remove(0)),
        () = until_closed(&mut other[0], "node drained") => drop(clients.remove(1)),
    }
    let mut last = String::new();
    while let Some(line) = lines.next_line().await.unwrap() {
        last = line;
    }
    assert_eq!(last, format!("chat/{a_name} is empty"));
    assert!(drain.wait().await.unwrap().success());
    let line = proxy.until_log(" node drained").await;
    assert!(line.contains("tunnels_closed=1"), "{line}");
    talk(&mut clients[0]).await;

    let said = async |arguments: &[&str]| {
        let output = command(arguments).output().await.unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };
    let (code, table, _) = said(&["nodes"]).await;
    assert!(
        code == Some(0) && table.contains(" drained ") && table.contains(" ordered"),
        "{table}"
    );
    let (code, sentence, _) = said(&["undrain", &a_name]).await;
    assert_eq!((code, sentence), (Some(0), format!("chat/{a_name} takes new sessions\n")));

    std::fs::write(&proxy.file, file(&[drained(&a), plain(&b)])).unwrap();
    proxy.until_log("reloaded").await;
    let (code, sentence, _) = said(&["drain", &a_name, "--no-wait"]).await;
    assert_eq!(code, Some(0));
    assert!(sentence.contains("drains (configured, ordered)"), "{sentence}");
    let (code, _, error) = said(&["undrain", &a_name]).await;
    assert_eq!(code, Some(1));
    assert!(error.contains("for another reason too") && error.contains("(configured)"), "{error}");
    let (code, _, error) = said(&["drain", "n9"]).await;
    assert_eq!((code, error.as_str()), (Some(1), "sockeye: there is no node `n9`\n"));
}

#[tokio::test]
async fn waiting_for_a_drain_follows_the_process_even_if_its_name_left_or_moved() {
    let (a, b) = (FakeNode::engineio("a").await, FakeNode::engineio("b").await);
    let named =
        |name: &str, node: &FakeNode| format!("{{ name: {name}, address: '{}' }}", node.address);
    let file = |node: String| yaml(&[node], "drain: { timeout: 2s }");
    // check(the only node of the file while the command waits, the command's last line)
    let check = async |next: String, last: &str| {
        let mut proxy = ProxyProcess::start(&file(named("n1", &a))).await;
        let line = proxy.until_log("admin listener").await;
        let admin = line.split("address=").nth(1).unwrap().trim().to_owned();
        proxy.until_log(" ready").await;
        let mut client = tunnels(proxy.address, 1).await.remove(0);
        let mut drain = Command::new(env!("CARGO_BIN_EXE_sockeye"))
            .args(["drain", "n1", "--admin", &admin])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(drain.stdout.take().unwrap()).lines();
        let first = lines.next_line().await.unwrap().unwrap();
        assert!(first.starts_with("chat/n1 drains (ordered): tunnels "), "{first}");
        std::fs::write(&proxy.file, file(next)).unwrap();
        until_closed(&mut client, "node drained").await;
        drop(client);
        let mut said = first;
        while let Some(line) = lines.next_line().await.unwrap() {
            said = line;
        }
        assert_eq!(said, last);
        assert!(drain.wait().await.unwrap().success());
    };
    check(named("n1", &b), "chat/n1 is empty").await;
    check(named("n2", &b), "the node was removed and has no sessions").await;
}

#[tokio::test]
async fn rebalancing_moves_tunnels_to_a_new_node_until_it_is_within() {
    const TUNNELS: usize = 20;
    let (a, b) = (FakeNode::engineio("a").await, FakeNode::engineio("b").await);
    let upstream = "slow_start: off, rebalance: { within: 10%, closes_per_second: 10 }, balance: least-connections";
    let site = Site::start(&yaml(&[plain(&a)], upstream));
    let (address, moved) = (site.address(), Arc::new(AtomicUsize::new(0)));
    let mut clients = JoinSet::new();
    for mut client in tunnels(address, TUNNELS).await {
        let moved = moved.clone();
        clients.spawn(async move {
            loop {
                until_closed(&mut client, "rebalanced").await;
                moved.fetch_add(1, Ordering::SeqCst);
                client = open(address, TUNNEL).await;
            }
        });
    }

    site.reload(&yaml(&[plain(&a), plain(&b)], upstream)).await.unwrap();

    let spread = async {
        loop {
            let (_, nodes) = ask_at(site.admin.unwrap(), "GET", "/nodes", &[]).await;
            let tunnels = |index: usize| nodes["upstreams"][0]["nodes"][index]["tunnels"].as_u64();
            if (tunnels(0), tunnels(1)) == (Some(10), Some(10)) {
                return;
            }
        }
    };
    timeout(Duration::from_secs(15), spread).await.expect("the nodes have their shares in time");
    assert_eq!(moved.load(Ordering::SeqCst), 10, "and nobody was moved twice");
}

#[tokio::test]
async fn nothing_is_moved_to_a_node_before_a_connect_to_it_has_succeeded() {
    const TUNNELS: usize = 20;
    let (a, b) = (FakeNode::engineio("a").await, FakeNode::engineio("b").await);
    // Nobody connects to a new node but clients.
    let upstream = "slow_start: off, health: off, rebalance: { within: 10%, closes_per_second: 10 }, \
                    balance: least-connections";
    let site = Site::start(&yaml(&[plain(&a)], upstream));
    let admin = site.admin.unwrap();
    let mut clients = tunnels(site.address(), TUNNELS).await;
    site.reload(&yaml(&[plain(&a), plain(&b)], upstream)).await.unwrap();

    // It looks once a second.
    assert!(timeout(Duration::from_secs(4), clients[0].frame()).await.is_err());
    let page = Exposition::scrape(admin).await;
    assert_eq!((page.sum("sockeye_tunnel_ends_total"), b.connections()), (0.0, 0));

    assert!(open_session(&site).await.starts_with('b'), "it has least to do");
    for client in &mut clients[..5] {
        until_closed(client, "rebalanced").await;
    }
}

#[tokio::test]
async fn tunnels_of_a_process_whose_name_or_upstream_is_gone_are_counted_and_closed() {
    let (a, b) = (FakeNode::engineio("a").await, FakeNode::engineio("b").await);
    let upstream = "drain: { timeout: 2s }";
    let named = |node: &FakeNode| format!("{{ name: n1, address: '{}' }}", node.address);
    let moved = yaml(&[named(&b)], upstream);
    for next in [moved.clone(), moved.replace("chat", "talk")] {
        let site = Site::start(&yaml(&[named(&a)], upstream));
        let clients = tunnels(site.address(), 3).await;
        site.reload(&next).await.unwrap();
        let (_, status) = ask_at(site.admin.unwrap(), "GET", "/status", &[]).await;
        assert_eq!(status["tunnels"], 3, "{status}");
        let (_, nodes) = ask_at(site.admin.unwrap(), "GET", "/nodes", &[]).await;
        let upstreams = nodes["upstreams"].as_array().unwrap();
        let chat = upstreams.iter().find(|upstream| upstream["name"] == "chat").unwrap();
        let retired = &chat["retired"][0];
        assert_eq!((&retired["name"], &retired["tunnels"]), (&json!("n1"), &json!(3)), "{nodes}");
        let metrics = Exposition::scrape(site.admin.unwrap()).await;
        let series = "sockeye_node_tunnels_open{upstream=\"chat\",node=\"n1\"}";
        assert_eq!(metrics.value(series), 3.0);
        for mut client in clients {
            until_closed(&mut client, "node drained").await;
        }
    }
}
