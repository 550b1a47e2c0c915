//! What an operator sees at a glance: the overview, its stream, the history, and the page that shows them.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::timeout;

use crate::admin::ask_at;
use crate::support::{Client, Exposition, FakeNode, Proxy, Site, config, request, websocket};

fn start(nodes: &[&FakeNode]) -> Proxy {
    let addresses: Vec<_> = nodes.iter().map(|node| node.address).collect();
    Proxy::start(&(config(&addresses, "", "") + "admin: { bind: '127.0.0.1:0' }\n"))
}

/// Reads a stream of events as it comes.
struct Events {
    client: Client,
    text: String,
}

impl Events {
    async fn open(address: SocketAddr, target: &str) -> Self {
        let mut client = Client::connect(address).await;
        let text = request("GET", target, &[], "").replace("Host: test", "Host: localhost");
        client.send(text).await;
        let head = crate::support::http::read_head(&mut client.stream, &mut client.buffer).await;
        let head = head.expect("a head");
        assert_eq!(head.target, "200", "{head:?}");
        assert_eq!(head.field("content-type"), Some("text/event-stream"));
        Self { client, text: String::new() }
    }

    /// The name and the data of the next event.
    async fn next(&mut self) -> (String, Value) {
        timeout(Duration::from_secs(20), self.read()).await.expect("an event in time")
    }

    async fn read(&mut self) -> (String, Value) {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let (event, rest) = (event.to_owned(), rest.to_owned());
                self.text = rest;
                let Some(name) = event.lines().find_map(|line| line.strip_prefix("event: ")) else {
                    continue;
                };
                let data = event.lines().find_map(|line| line.strip_prefix("data: ")).unwrap();
                return (name.to_owned(), serde_json::from_str(data).unwrap());
            }
            let chunk = self.chunk().await.expect("the stream goes on");
            self.text.push_str(&chunk);
        }
    }

    async fn chunk(&mut self) -> Option<String> {
        use tokio::io::AsyncReadExt as _;
        let Client { stream, buffer } = &mut self.client;
        loop {
            if let Some(at) = buffer.windows(2).position(|window| window == b"\r\n") {
                let size =
                    usize::from_str_radix(std::str::from_utf8(&buffer[..at]).ok()?, 16).ok()?;
                if buffer.len() >= at + 2 + size + 2 {
                    let chunk = String::from_utf8(buffer[at + 2..at + 2 + size].to_vec()).ok()?;
                    buffer.drain(..at + 2 + size + 2);
                    return (size > 0).then_some(chunk);
                }
            }
            if stream.read_buf(buffer).await.ok()? == 0 {
                return None;
            }
        }
    }
}

/// Waits until the overview of the stream is as `holds` says, and gives it.
async fn until(events: &mut Events, holds: impl Fn(&Value) -> bool) -> Value {
    let seen = async {
        loop {
            let (name, overview) = events.next().await;
            assert_eq!(name, "overview");
            if holds(&overview) {
                return overview;
            }
        }
    };
    timeout(Duration::from_secs(20), seen).await.expect("such an overview")
}

#[tokio::test]
async fn the_overview_says_how_it_is_and_its_numbers_are_those_of_the_metrics() {
    let (a, b) = (FakeNode::engineio("a").await, FakeNode::engineio("b").await);
    let proxy = start(&[&a, &b]);
    let admin = proxy.admin.unwrap();
    let mut events = Events::open(admin, "/overview/stream").await;
    let (_, first) = events.next().await;
    assert_eq!(first["sessions"]["websocket"], 0);
    let mut tunnels = Vec::new();
    for _ in 0..3 {
        let target = "/socket.io/?EIO=4&transport=websocket";
        let mut tunnel = websocket::open(proxy.address, target).await;
        tunnel.send(websocket::text("x")).await;
        tunnel.frame().await;
        tunnels.push(tunnel);
    }
    let overview = until(&mut events, |shown| shown["sessions"]["websocket"] == 3).await;
    assert_eq!(overview["level"], "ok", "{overview:#}");
    assert_eq!(overview["sentence"], "All 2 nodes are fine; 3 sessions are open.");
    let page = Exposition::scrape(admin).await;
    for node in overview["nodes"].as_array().unwrap() {
        let labels = format!("upstream=\"chat\",node={}", node["name"]);
        let open = page.value(&format!("sockeye_node_tunnels_open{{{labels}}}"));
        assert_eq!(node["sessions"].as_f64(), Some(open), "{node}");
    }
    drop(tunnels.pop());
    let overview = until(&mut events, |shown| !shown["ends"].as_array().unwrap().is_empty()).await;
    let end = json!({
        "end": "client_left", "by": "client", "cause": null, "last_minute": 1, "last_15_minutes": 1,
    });
    assert_eq!(overview["ends"], json!([end]));
    assert_eq!(overview["rates"]["ends_per_minute"], 1);
    // Checks of the nodes' health open sessions too.
    assert!(overview["rates"]["new_sessions_per_minute"].as_u64() >= Some(3), "{overview:#}");
    let (_, whole) = ask_at(admin, "GET", "/overview", &[]).await;
    assert_eq!(whole["ends"], overview["ends"]);
}

#[tokio::test]
async fn a_node_that_is_gone_is_a_warning_with_what_to_do() {
    let (a, b) = (FakeNode::engineio("a").await, FakeNode::engineio("b").await);
    let proxy = start(&[&a, &b]);
    let mut events = Events::open(proxy.admin.unwrap(), "/overview/stream").await;
    drop(b);
    let shown = until(&mut events, |shown| shown["level"] == "warn").await;
    let sentence = shown["sentence"].as_str().unwrap();
    assert!(sentence.starts_with("1 of 2 nodes takes no new sessions: "), "{sentence}");
    let advice = &shown["warnings"][0];
    assert!(advice["what_to_do"].as_str().is_some_and(|text| text.len() > 20), "{advice}");
    drop(a);
    let shown = until(&mut events, |shown| shown["level"] == "bad").await;
    assert_eq!(shown["sentence"], "No node of chat takes new sessions.");
}

#[tokio::test]
async fn reloads_are_remembered_with_what_they_changed() {
    let node = FakeNode::engineio("a").await;
    let yaml = config(&[node.address], "", "") + "admin: { bind: '127.0.0.1:0' }\n";
    let site = Site::start(&yaml);
    let admin = site.admin.unwrap();
    site.write(&yaml.replace("path: /,", "path: /chat/,"));
    assert_eq!(ask_at(admin, "POST", "/reload", &[]).await.0, 200);
    site.write("nonsense: true\n");
    assert_eq!(ask_at(admin, "POST", "/reload", &[]).await.0, 422);
    let (_, shown) = ask_at(admin, "GET", "/overview", &[]).await;
    let reloads = shown["reloads"].as_array().unwrap();
    // The change of the file may have been noticed before the order.
    let failed = reloads.first().unwrap();
    assert!(!failed["ok"].as_bool().unwrap() && failed["failure"].is_string(), "{failed}");
    let changed = |reload: &&Value| !reload["changes"].as_array().unwrap().is_empty();
    let succeeded = reloads.iter().find(changed).unwrap();
    assert!(succeeded["changes"].to_string().contains("/chat/"), "{succeeded}");
    assert!(shown["warnings"][0]["text"].as_str().unwrap().starts_with("the last reload failed"));
}

#[tokio::test]
async fn the_history_has_a_value_for_each_second() {
    let node = FakeNode::engineio("a").await;
    let proxy = start(&[&node]);
    let admin = proxy.admin.unwrap();
    let mut events = Events::open(admin, "/overview/stream").await;
    let mut tunnel = websocket::open(proxy.address, "/socket.io/?EIO=4&transport=websocket").await;
    tunnel.send(websocket::text("x")).await;
    tunnel.frame().await;
    until(&mut events, |shown| shown["sessions"]["websocket"] == 1).await;
    let target = "/history?series=websockets,memory_bytes&seconds=60";
    let shown = loop {
        events.next().await;
        let (_, shown) = ask_at(admin, "GET", target, &[]).await;
        if shown["series"]["websockets"].as_array().unwrap().last() == Some(&json!(1.0)) {
            break shown;
        }
    };
    assert_eq!(shown["step_seconds"], 1);
    assert!(shown["series"]["memory_bytes"][0].as_f64().is_none_or(|bytes| bytes > 1e6), "{shown}");
    let (status, refused) = ask_at(admin, "GET", "/history?series=nothing", &[]).await;
    assert_eq!(status, 400);
    assert!(refused["error"].as_str().unwrap().contains("websockets"), "{refused}");
}

#[tokio::test]
async fn streams_are_limited_and_leave_room_for_probes() {
    let node = FakeNode::engineio("a").await;
    let proxy = start(&[&node]);
    let admin = proxy.admin.unwrap();
    let mut open = Vec::new();
    for _ in 0..16 {
        let mut events = Events::open(admin, "/overview/stream").await;
        events.next().await;
        open.push(events);
    }
    let (status, refused) = ask_at(admin, "GET", "/overview/stream", &[]).await;
    assert_eq!(status, 503, "{refused}");
    for _ in 0..40 {
        assert_eq!(ask_at(admin, "GET", "/live", &[]).await.0, 200);
    }
    let mut idle = Vec::new();
    for _ in 0..40 {
        let mut client = Client::connect(admin).await;
        client.send(request("GET", "/live", &[], "").replace("Host: test", "Host: [::1]")).await;
        assert_eq!(client.response().await.status(), 200);
        idle.push(client);
    }
    for events in &mut open {
        events.next().await;
    }
}

#[tokio::test]
async fn the_page_is_small_strict_and_its_commands_are_taken() {
    let node = FakeNode::engineio("a").await;
    let proxy = start(&[&node]);
    let admin = proxy.admin.unwrap();
    let page = page_get(admin, "/").await;
    let policy = page.head.field("content-security-policy").unwrap();
    assert!(policy.starts_with("default-src 'none'; script-src 'self'"), "{policy}");
    let tag = page.head.field("etag").unwrap();
    let mut client = Client::connect(admin).await;
    let known = request("GET", "/", &[&format!("If-None-Match: {tag}")], "");
    client.send(known.replace("Host: test", "Host: localhost")).await;
    assert_eq!(client.response().await.status(), 304);

    let own = format!("Origin: http://{admin}");
    let host = format!("Host: {admin}");
    let order = |fields: &[&str]| {
        request("POST", "/nodes/a/drain", fields, "").replace("Host: test", &host)
    };
    for (fields, status) in [
        (vec![&*own, "X-Sockeye: 1"], 404),
        (vec![&*own], 403),
        (vec!["Origin: http://elsewhere.example", "X-Sockeye: 1"], 403),
    ] {
        let mut client = Client::connect(admin).await;
        client.send(order(&fields)).await;
        assert_eq!(client.response().await.status(), status, "{fields:?}");
    }
}

async fn page_get(admin: SocketAddr, target: &str) -> crate::support::http::Response {
    let mut client = Client::connect(admin).await;
    let text = request("GET", target, &[], "").replace("Host: test", "Host: localhost");
    client.send(text).await;
    client.response().await
}
