//! Nodes that fall ill and recover: who finds out, what follows, and what does not.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use serde_json::Value;
use tokio::net::TcpSocket;
use tokio::time::{Instant, timeout};

use crate::support::http::read_head;
use crate::support::socketio::NodeServer;
use crate::support::websocket::{self, text};
use crate::support::{
    Client, Exposition, FakeNode, Proxy, Reply, Site, config, get, ok, open_packet, response,
};

const HANDSHAKE: &str = "/socket.io/?EIO=4&transport=polling";

/// Checks in quick succession; `more` begins with what is asked.
fn health(more: &str) -> String {
    format!("health: {{ {more}, every: 100ms, fail: 2, pass: 2 }}, slow_start: off")
}

fn yaml(nodes: &[SocketAddr], upstream: &str) -> String {
    config(nodes, upstream, "") + "admin: { bind: '127.0.0.1:0' }\n"
}

fn start(nodes: &[&FakeNode], upstream: &str) -> Proxy {
    let addresses: Vec<_> = nodes.iter().map(|node| node.address).collect();
    Proxy::start(&yaml(&addresses, upstream))
}

/// What the admin listener says of the upstream's node at this place.
async fn shown(admin: SocketAddr, index: usize) -> Value {
    let mut client = Client::connect(admin).await;
    client.send("GET /nodes HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    let shown: Value = serde_json::from_slice(&client.response().await.body).unwrap();
    shown["upstreams"][0]["nodes"][index].clone()
}

/// Waits until that node is in this state; then its reason.
async fn until_state(proxy: &Proxy, index: usize, state: &str) -> Value {
    until_state_at(proxy.admin.unwrap(), index, state).await
}

async fn until_state_at(admin: SocketAddr, index: usize, state: &str) -> Value {
    let mut last = Value::Null;
    let wait = async {
        loop {
            last = shown(admin, index).await;
            if last["state"] == state {
                return last["reason"].clone();
            }
        }
    };
    let waited = timeout(Duration::from_secs(20), wait).await;
    waited.unwrap_or_else(|_| panic!("it becomes {state}: {last:#}"))
}

/// Fails a test that would wait forever.
async fn soon(what: &str, wait: impl Future<Output = ()>) {
    timeout(Duration::from_secs(20), wait).await.unwrap_or_else(|_| panic!("no {what}"));
}

fn checks_series(node: &str, outcome: &str) -> String {
    let labels = format!("upstream=\"chat\",node=\"{node}\",outcome=\"{outcome}\"");
    format!("sockeye_node_checks_total{{{labels}}}")
}

/// Waits until that node was checked so often with this outcome.
async fn until_checks(proxy: &Proxy, node: &str, outcome: &str, count: f64) {
    let series = checks_series(node, outcome);
    let wait = async {
        loop {
            let page = Exposition::scrape(proxy.admin.unwrap()).await;
            if page.has(&series) && page.value(&series) >= count {
                return;
            }
        }
    };
    timeout(Duration::from_secs(20), wait).await.expect("the checks in time");
}

/// Opens a session by polling, and gives its node, by its name, and its sid.
async fn handshake(address: SocketAddr) -> (char, String) {
    let answer = get(address, HANDSHAKE).await;
    assert_eq!(answer.status(), 200, "{}", answer.text());
    let sid = sid_of(&answer.text());
    (sid.chars().next().unwrap(), sid)
}

fn sid_of(open: &str) -> String {
    let open: Value = serde_json::from_str(&open[1..]).unwrap();
    open["sid"].as_str().unwrap().to_owned()
}

/// A switch between some behaviours of a node.
#[derive(Clone, Default)]
struct Mood(Arc<AtomicU8>);

impl Mood {
    fn set(&self, mood: u8) {
        self.0.store(mood, Ordering::SeqCst);
    }

    fn get(&self) -> u8 {
        self.0.load(Ordering::SeqCst)
    }
}

/// A node of Engine.IO that tells its health at `/health`.
async fn with_health(name: &'static str, mood: &Mood) -> FakeNode {
    let mood = mood.clone();
    FakeNode::start(move |request| {
        if request.head.target == "/health" {
            return Reply::Bytes(match mood.get() {
                0 => response("200 OK", "all is fine"),
                1 => response("503 Service Unavailable", "all is fine"),
                2 => response("200 OK", "so so"),
                _ => response("503 Service Unavailable", "leaving"),
            });
        }
        match request.query("sid") {
            _ if request.head.is_upgrade() => Reply::Echo { behind: Vec::new() },
            None => ok(&open_packet(&format!("{name}0"))),
            Some(_) => ok(&format!("4{name}")),
        }
    })
    .await
}

const BY_HTTP: &str = "http: { path: /health, body: fine, drain: leaving }";

#[tokio::test]
async fn a_tcp_check_finds_out_that_a_node_goes_and_comes() {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_reuseaddr(true).unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let other = FakeNode::engineio("b").await;
    let nodes = [socket.local_addr().unwrap(), other.address];
    let proxy = Proxy::start(&yaml(&nodes, &health("eject_after: off")));
    assert_eq!(until_state(&proxy, 0, "dead").await, "its connects fail");
    for _ in 0..10 {
        assert_eq!(handshake(proxy.address).await.0, 'b');
    }

    let node = FakeNode::start_at(socket.listen(16).unwrap(), |_| ok(&open_packet("a0")));
    until_state(&proxy, 0, "up").await;
    soon("a session on a", async { while handshake(proxy.address).await.0 != 'a' {} }).await;

    drop(node);
    until_state(&proxy, 0, "dead").await;
}

#[tokio::test]
async fn the_last_check_tells_what_was_asked_and_why_it_failed() {
    let node = FakeNode::start(|request| match request.head.field("host") {
        Some("chat.example.com") => Reply::Bytes(response("503 Busy", "")),
        Some(_) | None => ok(""),
    })
    .await;
    let check = "http: { path: /health, host: chat.example.com }";
    let proxy = start(&[&node], &health(check));
    until_state(&proxy, 0, "unhealthy").await;
    let last = shown(proxy.admin.unwrap(), 0).await["last_check"].clone();
    assert_eq!(last["asked"], "GET /health with Host: chat.example.com");
    assert_eq!(last["result"], "failed");
    assert_eq!(last["reason"], "it answered 503");
    assert!(last["seconds_ago"].as_f64().is_some());
}

#[tokio::test]
async fn an_http_check_wants_its_status_and_its_word_and_can_drain() {
    let mood = Mood::default();
    let node = with_health("a", &mood).await;
    let proxy = start(&[&node], &health(BY_HTTP));
    until_checks(&proxy, &node.address.to_string(), "passed", 3.0).await;
    until_state(&proxy, 0, "up").await;
    for (state, number, reason) in [
        ("unhealthy", 1, "it answered 503"),
        ("unhealthy", 2, "`fine` is not in its answer"),
        ("draining", 3, "asked"),
    ] {
        mood.set(number);
        assert_eq!(until_state(&proxy, 0, state).await, reason);
        mood.set(0);
        assert_eq!(until_state(&proxy, 0, "up").await, Value::Null);
    }
    let checks = node.requests();
    assert!(checks.iter().all(|check| check.head.field("host").is_some()), "{checks:?}");
}

#[tokio::test]
async fn an_engineio_check_takes_any_answer_of_engine_io_and_closes_its_session() {
    let mood = Mood::default();
    let seen = mood.clone();
    let node = FakeNode::start(move |request| {
        let v4 = open_packet("abc");
        match (request.head.method.as_str(), seen.get()) {
            ("POST", _) => ok("ok"),
            (_, 0) => ok(&v4),
            (_, 1) => ok(&format!("{}:{v4}2:40", v4.len())),
            (_, 2) => {
                Reply::Bytes(response("403 Forbidden", r#"{"code":4,"message":"Forbidden"}"#))
            }
            (_, 3) => Reply::Bytes(response("404 Not Found", "Cannot GET /socket.io/")),
            (_, 4) => Reply::Hangup,
            _ => Reply::Silence,
        }
    })
    .await;
    let by_engineio = "engineio: /socket.io/, timeout: 300ms";
    let proxy = start(&[&node], &health(by_engineio));
    let name = node.address.to_string();
    until_checks(&proxy, &name, "passed", 3.0).await;
    for (number, reason) in [
        (3, "it answered 404, and not as Engine.IO does"),
        (
            4,
            "the connection failed: the connection ended before the response was complete: unexpected end of file",
        ),
        (5, "it did not respond within 300ms"),
    ] {
        mood.set(number);
        until_state(&proxy, 0, "unhealthy").await;
        soon(reason, async { while until_state(&proxy, 0, "unhealthy").await != reason {} }).await;
        mood.set(number - 3);
        until_state(&proxy, 0, "up").await;
    }

    mood.set(3);
    until_state(&proxy, 0, "unhealthy").await;
    let requests = node.requests();
    let of = |method: &str, body: &str| {
        let all = requests.iter().filter(|request| request.head.method == method);
        all.filter(|request| body.is_empty() || request.body == body.as_bytes()).count()
    };
    let (v4, v3) = (of("POST", "1"), of("POST", "1:1"));
    assert!(v4 >= 3 && v3 >= 2, "{v4} {v3}");
    assert_eq!(of("POST", ""), v4 + v3);
    let posts = requests.iter().filter(|request| request.head.method == "POST");
    let target = "/socket.io/?EIO=4&transport=polling&sid=abc";
    assert!(posts.map(|post| &post.head.target).all(|found| found == target));
}

#[tokio::test]
async fn an_unhealthy_node_keeps_its_sessions_and_gets_no_new_one() {
    let (mood, well) = (Mood::default(), Mood::default());
    let (a, b) = (with_health("a", &mood).await, with_health("b", &well).await);
    let proxy = start(&[&a, &b], &health(BY_HTTP));
    let sid = loop {
        let (node, sid) = handshake(proxy.address).await;
        if node == 'a' {
            break sid;
        }
    };
    let session = format!("{HANDSHAKE}&sid={sid}");
    let upgrade = session.replace("polling", "websocket");
    let mut tunnel = websocket::open(proxy.address, &upgrade).await;

    mood.set(1);
    until_state(&proxy, 0, "unhealthy").await;

    for _ in 0..20 {
        assert_eq!(handshake(proxy.address).await.0, 'b');
    }
    assert_eq!(get(proxy.address, &session).await.text(), "4a");
    tunnel.send(text("still here")).await;
    assert_eq!(tunnel.frame().await, Some((1, b"still here".to_vec())));
    websocket::open(proxy.address, &upgrade).await;

    mood.set(0);
    until_state(&proxy, 0, "up").await;
    soon("a session on a", async { while handshake(proxy.address).await.0 != 'a' {} }).await;
}

#[tokio::test]
async fn a_reload_keeps_what_checks_found_until_there_are_none() {
    let mood = Mood::default();
    mood.set(1);
    let node = with_health("a", &mood).await;
    let yaml = |health: &str| yaml(&[node.address], &format!("{health}, slow_start: off"));
    let never_again = format!("health: {{ {BY_HTTP}, every: 1h }}");
    let site = Site::start(&yaml(&format!("health: {{ {BY_HTTP}, every: 100ms, fail: 2 }}")));
    let admin = site.admin.unwrap();
    until_state_at(admin, 0, "unhealthy").await;

    site.reload(&yaml(&never_again)).await.unwrap();
    assert_eq!(shown(admin, 0).await["state"], "unhealthy");
    site.reload(&yaml("health: off")).await.unwrap();
    until_state_at(admin, 0, "up").await;
}

/// How long the answers of the proxy's own to 9 polls took, at the median.
async fn median_of_refusals(proxy: &Proxy, session: &str) -> Duration {
    let mut took = Vec::new();
    for _ in 0..9 {
        let begun = Instant::now();
        let answer = get(proxy.address, session).await;
        took.push(begun.elapsed());
        assert_eq!(answer.status(), 502, "{}", answer.text());
    }
    took.sort_unstable();
    took[4]
}

#[tokio::test]
async fn the_sessions_of_a_node_that_swallows_connects_are_answered_at_once() {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let checks = "health: { every: 100ms, timeout: 200ms, fail: 3 }";
    let proxy = Proxy::start(&yaml(&[address], checks));
    // Until it has answered one handshake it accepts, checks too; then what comes stays in its queue.
    let answered = async {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            if read_head(&mut stream, &mut Vec::new()).await.is_some() {
                let open = response("200 OK", &open_packet("abc"));
                tokio::io::AsyncWriteExt::write_all(&mut stream, &open).await.unwrap();
                return stream;
            }
        }
    };
    let (opened, _stream) = tokio::join!(get(proxy.address, HANDSHAKE), answered);
    let session = format!("{HANDSHAKE}&sid={}", sid_of(&opened.text()));

    until_state(&proxy, 0, "dead").await;
    let took = median_of_refusals(&proxy, &session).await;
    assert!(took < Duration::from_millis(50), "{took:?}");
    drop(listener);
}

/// What an Engine.IO check makes of real servers.
async fn checked(server: &NodeServer) -> Proxy {
    let address = server.address();
    let proxy = Proxy::start(&yaml(
        &[address.parse().unwrap()],
        "health: { engineio: /socket.io/, every: 100ms }",
    ));
    until_checks(&proxy, &address, "passed", 10.0).await;
    let page = Exposition::scrape(proxy.admin.unwrap()).await;
    let passed = page.value(&checks_series(&address, "passed"));
    assert_eq!(page.sum("sockeye_node_checks_total"), passed, "none failed");
    proxy
}

#[tokio::test]
async fn real_servers_pass_the_engineio_check_and_keep_no_session_of_it() {
    for arguments in [&["--line", "4"][..], &["--line", "2"], &["--line", "4", "--allow-eio3"]] {
        let server = NodeServer::start(arguments).await;
        let _proxy = checked(&server).await;
        let counts = get(server.address().parse().unwrap(), "/counts").await;
        let counts: Value = serde_json::from_slice(&counts.body).unwrap();
        let open = counts["open_sessions"].as_u64().unwrap();
        assert!(open <= 1, "at most that of a check under way: {counts} {arguments:?}");
    }
}

#[tokio::test]
async fn a_real_python_server_passes_the_engineio_check() {
    let server = NodeServer::start_python(&[]).await;
    checked(&server).await;
}
