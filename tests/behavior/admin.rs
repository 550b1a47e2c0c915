//! The admin listener: what it tells, what it takes, and from whom.

use std::net::SocketAddr;
use std::process::{Command, Output};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::timeout;

use crate::support::{
    Client, Exposition, FakeNode, Proxy, ProxyProcess, Reply, Site, config, get, ok, request,
    websocket,
};

fn start(nodes: &[&FakeNode], upstream: &str) -> Proxy {
    let addresses: Vec<_> = nodes.iter().map(|node| node.address).collect();
    Proxy::start(&(config(&addresses, upstream, "") + "admin: { bind: '127.0.0.1:0' }\n"))
}

/// Status and JSON of an answer of the admin listener.
async fn ask(proxy: &Proxy, method: &str, target: &str, fields: &[&str]) -> (u16, Value) {
    ask_at(proxy.admin.unwrap(), method, target, fields).await
}

pub async fn ask_at(
    address: SocketAddr,
    method: &str,
    target: &str,
    fields: &[&str],
) -> (u16, Value) {
    let mut client = Client::connect(address).await;
    let text = request(method, target, fields, "").replace("Host: test", "Host: localhost");
    client.send(text).await;
    let answer = client.response().await;
    (answer.status(), serde_json::from_slice(&answer.body).unwrap())
}

/// Waits until `/ready` of the admin listener at `address` answers 200, and gives its body.
pub async fn until_ready(address: SocketAddr) -> Value {
    let ready = async {
        loop {
            let (status, ready) = ask_at(address, "GET", "/ready", &[]).await;
            if status == 200 {
                return ready;
            }
            tokio::task::yield_now().await;
        }
    };
    timeout(Duration::from_secs(20), ready).await.expect("ready in time")
}

#[tokio::test]
async fn a_process_that_serves_is_live_and_ready() {
    let node = FakeNode::start(|_| ok("yes")).await;
    let proxy = start(&[&node], "");
    assert_eq!(ask(&proxy, "GET", "/live", &[]).await, (200, json!({ "live": true })));
    let ready = json!({ "ready": true, "reasons": [], "warnings": [] });
    assert_eq!(until_ready(proxy.admin.unwrap()).await, ready);
}

#[tokio::test]
async fn a_proxy_is_not_ready_before_a_node_of_each_upstream_has_answered() {
    let node = FakeNode::start(|_| ok("yes")).await;
    // Taken and not listened on: connects are refused until they are.
    let later = tokio::net::TcpSocket::new_v4().unwrap();
    later.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let proxy = Proxy::start(&two_upstreams(node.address, later.local_addr().unwrap()));
    let admin = proxy.admin.unwrap();
    assert_eq!(get(proxy.address, "/a").await.status(), 200);
    assert_eq!(get(proxy.address, "/b").await.status(), 502);
    let (status, ready) = ask_at(admin, "GET", "/ready", &[]).await;
    let reasons = json!(["no node of upstream b has answered yet"]);
    assert_eq!((status, &ready["reasons"]), (503, &reasons));
    let _listener = later.listen(16).unwrap();
    until_ready(admin).await;
}

#[tokio::test]
async fn a_node_that_takes_connections_and_says_nothing_has_not_answered() {
    let node = FakeNode::start(|_| Reply::Silence).await;
    let health = "health: { http: { path: / }, every: 100ms, timeout: 50ms, fail: 1 }";
    let proxy = start(&[&node], health);
    let admin = proxy.admin.unwrap();
    node.until_requests(3).await;
    let (status, ready) = ask_at(admin, "GET", "/ready", &[]).await;
    let reasons = json!(["no node of upstream chat has answered yet"]);
    assert_eq!((status, &ready["reasons"]), (503, &reasons));
}

#[tokio::test]
async fn nodes_that_fail_later_are_a_warning_and_ask_for_them_says_so() {
    let (a, b) = (FakeNode::start(|_| ok("a")).await, FakeNode::start(|_| ok("b")).await);
    let proxy = Proxy::start(&two_upstreams(a.address, b.address));
    let admin = proxy.admin.unwrap();
    until_ready(admin).await;
    let mut closed = Vec::new();
    for (node, path, status) in [(b, "/b", 200), (a, "/a", 503)] {
        drop(node);
        assert_eq!(get(proxy.address, path).await.status(), 502);
        let name = path.trim_start_matches('/');
        closed.insert(0, format!("no node of upstream {name} takes new sessions"));
        let (own, ready) = ask_at(admin, "GET", "/ready", &[]).await;
        assert_eq!((own, &ready["warnings"]), (200, &json!(closed)));
        let (of_nodes, ready) = ask_at(admin, "GET", "/ready?nodes", &[]).await;
        let key = if status == 200 { "warnings" } else { "reasons" };
        assert_eq!((of_nodes, &ready[key]), (status, &json!(closed)));
        let page = Exposition::scrape(admin).await;
        let open = format!("sockeye_upstream_nodes_open{{upstream=\"{name}\"}}");
        assert_eq!(page.value(&open), 0.0);
    }
}

/// Two upstreams with one node each, behind `/a` and `/b`.
fn two_upstreams(a: SocketAddr, b: SocketAddr) -> String {
    format!(
        "listeners: [{{ bind: '127.0.0.1:0' }}]\nadmin: {{ bind: '127.0.0.1:0' }}\n\
         upstreams: {{ a: {{ nodes: ['{a}'] }}, b: {{ nodes: ['{b}'] }} }}\n\
         routes: [{{ path: /a, upstream: a }}, {{ path: /b, upstream: b }}]\n"
    )
}

#[tokio::test]
async fn a_node_without_room_is_full() {
    let node = FakeNode::engineio("a").await;
    let proxy = start(&[&node], "max_connections: 1");
    let mut tunnel = websocket::open(proxy.address, "/socket.io/?EIO=4&transport=websocket").await;
    tunnel.send(websocket::text("x")).await;
    tunnel.frame().await;
    let (_, shown) = ask(&proxy, "GET", "/nodes", &[]).await;
    let shown = &shown["upstreams"][0]["nodes"][0];
    assert_eq!(
        (&shown["state"], &shown["reason"]),
        (&json!("full"), &json!("it has 1 connections of 1"))
    );
    let page = Exposition::scrape(proxy.admin.unwrap()).await;
    let of_node = format!("upstream=\"chat\",node=\"{}\"", node.address);
    assert_eq!(page.value(&format!("sockeye_node_state{{{of_node},state=\"full\"}}")), 1.0);
    assert_eq!(page.value("sockeye_upstream_nodes_open{upstream=\"chat\"}"), 0.0);
    let (_, status) = ask(&proxy, "GET", "/status", &[]).await;
    assert_eq!(status["nodes"], json!({ "all": 1, "open": 0 }));
}

#[tokio::test]
async fn keys_that_need_a_restart_are_shown_separately() {
    let node = FakeNode::start(|_| ok("yes")).await;
    let yaml = config(&[node.address], "", "");
    let site = Site::start(&format!("{yaml}admin: {{ bind: '127.0.0.1:0' }}\n"));
    let admin = site.admin.unwrap();
    let (_, shown) = ask_at(admin, "GET", "/config", &[]).await;
    assert_eq!(shown["after_restart"], Value::Null);
    site.reload(&format!("{yaml}log: {{ format: json, level: warn }}\n")).await.unwrap();
    let (_, shown) = ask_at(admin, "GET", "/config", &[]).await;
    assert_eq!(shown["admin"]["bind"], "127.0.0.1:0");
    assert_eq!(shown["log"], json!({ "format": "text", "level": "warn" }));
    let waits = json!({ "admin": { "bind": "off" }, "log": { "format": "json" } });
    assert_eq!(shown["after_restart"], waits);
}

#[tokio::test]
async fn the_configuration_is_shown_with_defaults_and_without_secrets() {
    let node = FakeNode::start(|_| ok("yes")).await;
    let proxy = start(&[&node], "affinity: { sid: { keys: [0123456789abcdef] } }");
    let (status, shown) = ask(&proxy, "GET", "/config", &[]).await;
    assert_eq!(status, 200);
    assert_eq!(shown["routes"][0]["tunnel"]["idle_timeout"], "auto");
    assert_eq!(shown["upstreams"]["chat"]["nodes"][0]["address"], node.address.to_string());
    assert!(!shown.to_string().contains("0123456789abcdef"), "{shown}");
    assert_eq!(ask(&proxy, "GET", "/config?format=toml", &[]).await.0, 400);
}

#[tokio::test]
async fn the_shown_configuration_can_be_used_again() {
    let node = FakeNode::start(|_| ok("yes")).await;
    let yaml = config(&[node.address], "", "") + "admin: { bind: '127.0.0.1:0' }\n";
    let proxy = Proxy::start(&yaml);
    let shown = get(proxy.admin.unwrap(), "/config?format=yaml");
    let shown = {
        // A stranger's name is refused, so this one is asked for by its address.
        let refused = shown.await;
        assert_eq!(refused.status(), 403, "{}", refused.text());
        let mut client = Client::connect(proxy.admin.unwrap()).await;
        client.send("GET /config?format=yaml HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n").await;
        client.response().await.text()
    };
    let parse = |name, text: &str| sockeye::parse(name, text).unwrap();
    assert_eq!(parse("shown.yaml", &shown), parse("a.yaml", &yaml), "{shown}");
}

#[tokio::test]
async fn nodes_are_listed_with_their_load() {
    let nodes = [FakeNode::engineio("a").await, FakeNode::engineio("b").await];
    let proxy = start(&nodes.each_ref(), "");
    let target = "/socket.io/?EIO=4&transport=websocket";
    let mut tunnels = Vec::new();
    for _ in 0..4 {
        let mut client = websocket::open(proxy.address, target).await;
        client.send(websocket::text("x")).await;
        client.frame().await;
        tunnels.push(client);
    }
    let (_, shown) = ask(&proxy, "GET", "/nodes", &[]).await;
    assert_eq!(shown["upstreams"][0]["name"], "chat");
    for (index, node) in nodes.iter().enumerate() {
        let shown = &shown["upstreams"][0]["nodes"][index];
        assert_eq!(shown["address"], node.address.to_string());
        for (key, expected) in [("tunnels", json!(2)), ("handshakes", json!(2))] {
            assert_eq!(shown[key], expected, "{key} of {shown:#}");
        }
        assert_eq!(shown["reachable"], true);
    }
    let (_, status) = ask(&proxy, "GET", "/status", &[]).await;
    assert_eq!(status["tunnels"], 4);
    assert_eq!(status["nodes"], json!({ "all": 2, "open": 2 }));
    assert_eq!(status["pid"], std::process::id());
}

#[tokio::test]
async fn unknown_paths_and_wrong_requests_get_an_explanation() {
    let node = FakeNode::start(|_| ok("yes")).await;
    let proxy = start(&[&node], "");
    let (status, answer) = ask(&proxy, "GET", "/metric", &[]).await;
    assert_eq!(status, 404);
    assert!(answer["endpoints"].as_array().unwrap().contains(&json!("/metrics")), "{answer}");
    let (status, answer) = ask(&proxy, "GET", "/reload", &[]).await;
    assert_eq!((status, &answer["error"]), (405, &json!("/reload takes POST")));
    assert_eq!(ask(&proxy, "POST", "/config", &[]).await.0, 405);
}

#[tokio::test]
async fn a_web_page_gets_nothing() {
    let node = FakeNode::start(|_| ok("yes")).await;
    let proxy = start(&[&node], "");
    let origin = ["Origin: http://localhost"];
    assert_eq!(ask(&proxy, "POST", "/reload", &origin).await.0, 403);
    let mut rebound = Client::connect(proxy.admin.unwrap()).await;
    rebound.send("GET /config HTTP/1.1\r\nHost: evil.example:9090\r\n\r\n").await;
    let answer = rebound.response().await;
    assert_eq!(answer.status(), 403);
    assert!(!answer.text().contains("upstreams"), "{}", answer.text());
}

#[tokio::test]
async fn an_idle_connection_gives_way_to_a_new_one() {
    let node = FakeNode::start(|_| ok("yes")).await;
    let proxy = start(&[&node], "");
    let admin = proxy.admin.unwrap();
    let mut kept = Client::connect(admin).await;
    let live = "GET /live HTTP/1.1\r\nHost: [::1]\r\n\r\n";
    let mut silent = Vec::new();
    for index in 0..64 {
        if index == 8 {
            kept.send(live).await;
            assert_eq!(kept.response().await.status(), 200);
        }
        let mut client = Client::connect(admin).await;
        if index % 2 == 1 {
            client.send("GET /li").await;
        }
        silent.push(client);
    }
    let mut one_more = Client::connect(admin).await;
    one_more.send(live).await;
    let answered = timeout(Duration::from_secs(5), one_more.response()).await;
    assert_eq!(answered.expect("at once").status(), 200);
    assert!(silent[0].until_end().await.is_empty(), "the first one is closed");
    kept.send(live).await;
    assert_eq!(kept.response().await.status(), 200, "who asked before stays longest");
}

fn sockeye(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_sockeye")).args(arguments).output().unwrap()
}

fn said(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[tokio::test]
async fn the_commands_ask_a_running_process() {
    let node = FakeNode::engineio("a").await;
    let yaml = config(&[node.address], "", "") + "admin: { bind: '127.0.0.1:0' }\n";
    let mut proxy = ProxyProcess::start(&yaml).await;
    let line = proxy.until_log("admin listener").await;
    let admin = line.split("address=").nth(1).unwrap().trim().to_owned();

    until_ready(admin.parse().unwrap()).await;
    let (code, table, _) = said(&sockeye(&["status", "--admin", &admin]));
    assert_eq!(code, Some(0));
    assert!(table.contains("ready        yes\n"), "{table}");
    assert!(table.contains("nodes        1 of 1 take new sessions\n"), "{table}");

    let (code, table, _) = said(&sockeye(&["nodes", "--admin", &admin]));
    assert_eq!(code, Some(0));
    assert!(table.starts_with("UPSTREAM  NODE "), "{table}");
    assert!(table.contains(&node.address.to_string()), "{table}");

    let (code, answer, _) = said(&sockeye(&["nodes", "--json", "--admin", &admin]));
    assert_eq!(code, Some(0));
    let answer: Value = serde_json::from_str(&answer).unwrap();
    assert_eq!(answer["upstreams"][0]["name"], "chat");

    drop(node);
    assert_eq!(get(proxy.address, "/").await.status(), 502);
    let (code, table, _) = said(&sockeye(&["status", "--admin", &admin]));
    assert_eq!(code, Some(0), "the proxy itself is well");
    let warning = "!            no node of upstream chat takes new sessions\n";
    assert!(table.contains("ready        yes\n") && table.contains(warning), "{table}");
}

#[test]
fn a_command_that_finds_nobody_says_where_it_looked_and_what_to_do() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for command in ["status", "nodes", "reload"] {
        let (code, _, error) = said(&sockeye(&[command, "--admin", &free.to_string()]));
        assert_eq!(code, Some(1), "{command}");
        for part in [free.to_string(), "admin: { bind:".to_owned(), "refused".to_owned()] {
            assert!(error.contains(&part), "{part} is not in {error}");
        }
        let (code, ..) = said(&sockeye(&[command, "--admin", "nowhere"]));
        assert_eq!(code, Some(2), "{command}");
    }
    let (code, _, error) = said(&sockeye(&["status", "--config", "configs/minimal.yaml"]));
    assert_eq!(code, Some(1));
    assert!(error.contains("write admin: { bind: 127.0.0.1:9090 }"), "{error}");
}

#[tokio::test]
async fn an_order_to_reload_says_what_changed_or_why_not() {
    let node = FakeNode::start(|_| ok("yes")).await;
    let yaml = config(&[node.address], "", "") + "admin: { bind: '127.0.0.1:0' }\n";
    let site = Site::start(&yaml);
    let admin = site.admin.unwrap();
    let order = async || ask_at(admin, "POST", "/reload", &[]).await;

    assert_eq!(order().await, (200, json!({ "reloaded": true, "changes": [] })));
    site.write("routes: [{ upstream: chat }]");
    let (status, answer) = order().await;
    assert_eq!(status, 422, "{answer}");
    assert_eq!(answer["problems"][0]["path"], "upstreams");
    let ready = until_ready(admin).await;
    let warning = ready["warnings"][0].as_str().unwrap();
    assert!(warning.starts_with("the last reload failed: "), "{warning}");

    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let holder = std::net::TcpListener::bind(taken).unwrap();
    site.write(&yaml.replacen("127.0.0.1:0", &taken.to_string(), 1));
    let (status, answer) = order().await;
    assert_eq!(status, 409, "{answer}");
    drop(holder);
    // A process that another test starts just now holds a copy of the socket until its program runs.
    let served = async {
        loop {
            let (status, answer) = order().await;
            if status != 409 {
                return (status, answer);
            }
        }
    };
    let (status, answer) = timeout(Duration::from_secs(20), served).await.unwrap();
    assert_eq!((status, &answer["reloaded"]), (200, &json!(true)), "{answer}");
    assert_eq!(get(taken, "/").await.text(), "yes");
    let (_, ready) = ask_at(admin, "GET", "/ready", &[]).await;
    assert_eq!(ready["warnings"], json!([]));
    let (_, shown) = ask_at(admin, "GET", "/config", &[]).await;
    assert_eq!(shown["listeners"][0]["bind"], json!(taken.to_string()), "what is in force");
}

#[tokio::test]
async fn a_process_that_shuts_down_is_not_ready_and_still_responds() {
    let node = FakeNode::start(|_| ok("yes")).await;
    let yaml = config(&[node.address], "", "");
    let mut site = Site::start(&(yaml + "admin: { bind: '127.0.0.1:0' }\nstop: { delay: 1m }\n"));
    let admin = site.admin.unwrap();
    until_ready(admin).await;
    site.begin_stop();
    while site.readiness.is_ready() {
        tokio::task::yield_now().await;
    }
    let (status, ready) = ask_at(admin, "GET", "/ready", &[]).await;
    assert_eq!((status, &ready["reasons"]), (503, &json!(["the process is stopping"])));
    assert_eq!(get(site.address(), "/").await.text(), "yes", "during the delay it serves on");
    assert_eq!(ask_at(admin, "POST", "/reload", &[]).await.0, 503);
}
