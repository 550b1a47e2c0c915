//! The event-loop lag of real nodes, seen from outside.

use std::collections::HashMap;
use std::iter;
use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;
use tokio::task::JoinSet;
use tokio::time::{Instant, interval, timeout};

use crate::admin::ask_at;
use crate::support::socketio::NodeServer;
use crate::support::{Client, Exposition, Proxy, request};

/// Clients begin sessions by polling, ten each second, and each posts twenty times in 2 s. One of three nodes blocks
/// its event loop for 2 s in every 5 s.
#[tokio::test]
async fn a_node_that_blocks_is_named_and_gets_fewer_new_sessions() {
    let blocking = NodeServer::start(&["--name", "n1", "--block", "2000", "--block-every", "5000"]);
    let (blocking, second, third) = tokio::join!(
        blocking,
        NodeServer::start(&["--name", "n2"]),
        NodeServer::start(&["--name", "n3"])
    );
    let nodes = [&blocking, &second, &third].map(NodeServer::address);
    let proxy = before(&nodes, "balance: least-lag");
    let admin = proxy.admin.unwrap();
    let began = Instant::now();
    let mut pace = interval(Duration::from_millis(100));
    let mut clients = JoinSet::new();
    let mut named_after = None;
    let mut before_it_was_named = HashMap::new();
    while named_after.is_none_or(|after| began.elapsed() < after + Duration::from_secs(10)) {
        pace.tick().await;
        clients.spawn(session(proxy.address));
        let shown = ask_at(admin, "GET", "/nodes", &[]).await.1;
        let [n1, n2, n3] = [0, 1, 2].map(|i| &shown["upstreams"][0]["nodes"][i]);
        for sound in [n2, n3] {
            assert_eq!(sound["note"], Value::Null, "a sound node is not named: {sound:#}");
        }
        let note = n1["note"].as_str().unwrap_or_default();
        if named_after.is_none() && note.starts_with("event loop blocked for up to ") {
            named_after = Some(began.elapsed());
            before_it_was_named = handshakes(&shown);
        }
        assert!(began.elapsed() < Duration::from_secs(60), "n1 is not named: {shown:#}");
    }
    let shown = ask_at(admin, "GET", "/nodes", &[]).await.1;
    let lag = &shown["upstreams"][0]["nodes"][0]["lag"];
    assert!((1_000.0..=2_500.0).contains(&lag["max_ms"].as_f64().unwrap()), "{lag:#}");
    assert!(named_after.is_some_and(|after| after < Duration::from_secs(10)), "{named_after:?}");
    let now = handshakes(&shown);
    let [n1, n2, n3] = ["n1", "n2", "n3"].map(|name| now[name] - before_it_was_named[name]);
    assert!(0 < n1 && 3 * n1 < 2 * n2.min(n3), "new sessions since it was named: {n1}, {n2}, {n3}");

    let series = r#"sockeye_node_lag_seconds{upstream="chat",node="n1",quantile="1"}"#;
    assert!(Exposition::scrape(admin).await.value(series) > 1.0);
    clients.abort_all();
}

/// A proxy before these nodes, which have their names, with an admin listener.
fn before(nodes: &[String], upstream: &str) -> Proxy {
    let names = nodes.iter().zip(1..);
    let nodes: Vec<String> =
        names.map(|(node, i)| format!("{{ address: '{node}', name: n{i} }}")).collect();
    Proxy::start(&format!(
        "listeners: [{{ bind: '127.0.0.1:0' }}]\n\
         admin: {{ bind: '127.0.0.1:0' }}\n\
         upstreams: {{ chat: {{ nodes: [{}], {upstream} }} }}\n\
         routes: [{{ path: /, upstream: chat }}]\n",
        nodes.join(", "),
    ))
}

/// How many sessions each node has opened.
fn handshakes(shown: &Value) -> HashMap<String, u64> {
    let nodes = shown["upstreams"][0]["nodes"].as_array().unwrap();
    let count = |node: &Value| {
        (node["name"].as_str().unwrap().to_owned(), node["handshakes"].as_u64().unwrap())
    };
    nodes.iter().map(count).collect()
}

/// Opens a session by polling, posts to it for a while, and closes it.
async fn session(proxy: SocketAddr) {
    let path = "/socket.io/?EIO=4&transport=polling";
    let mut client = Client::connect(proxy).await;
    let open = client.get(path).await.text();
    let sid = open.split("\"sid\":\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
    let target = format!("{path}&sid={sid}");
    let mut pace = interval(Duration::from_millis(100));
    let packets = iter::once("40").chain(iter::repeat_n("42[\"hello\"]", 18)).chain(["1"]);
    for packet in packets {
        pace.tick().await;
        let posted = async {
            client.send(request("POST", &target, &["Content-Type: text/plain"], packet)).await;
            client.response().await.status()
        };
        assert_eq!(timeout(Duration::from_secs(20), posted).await, Ok(200), "{packet}");
    }
}
