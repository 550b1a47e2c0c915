//! Who is upgraded, who is stuck in polling, and why, as metrics, status and log tell it.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::interval;

use crate::support::socketio::{NodeServer, held, run_client};
use crate::support::websocket::{self, UPGRADE, text};
use crate::support::{
    Client, Exposition, FakeNode, Proxy, Reply, config, get, ok, request, response,
};

const POLL: &str = "/socket.io/?EIO=4&transport=polling";
const WEBSOCKET: &str = "/socket.io/?EIO=4&transport=websocket";

/// A session is over for us after these and 5 s more.
const HEARTBEAT: &str = r#""pingInterval":10,"pingTimeout":10"#;

/// When a session that polls on is stuck: longer than one that is well takes to upgrade, and shorter
/// than 15 s, for a test.
const UPGRADE_MAX: Duration = Duration::from_secs(1);

fn start(node: SocketAddr) -> Proxy {
    let yaml = config(&[node], "", "") + "admin: { bind: '127.0.0.1:0' }\n";
    Proxy::start_with(&yaml, |config| {
        for route in &mut config.routes {
            route.insight_mut().unwrap().upgrade_max = UPGRADE_MAX;
        }
    })
}

/// A node that opens sessions of a short heartbeat and answers upgrades by `upgrade`.
async fn node(upgrade: impl Fn() -> Reply + Send + Sync + 'static) -> FakeNode {
    FakeNode::start(move |request| match request.query("sid") {
        Some(_) if request.head.is_upgrade() => upgrade(),
        Some(_) => ok("2"),
        None => ok(&format!(r#"0{{"sid":"ABCDEFGH","upgrades":["websocket"],{HEARTBEAT}}}"#)),
    })
    .await
}

fn echo() -> Reply {
    Reply::Echo { behind: Vec::new() }
}

/// Opens a session by polling, and says by which sid its client knows it.
async fn open(proxy: &Proxy) -> String {
    let open = get(proxy.address, POLL).await.text();
    open.split('"').nth(3).unwrap().to_owned()
}

/// Polls on for longer than an upgrade may take.
async fn poll_on(proxy: &Proxy, sid: &str) {
    let target = format!("{POLL}&sid={sid}");
    let mut pace = interval(UPGRADE_MAX / 5);
    for _ in 0..8 {
        pace.tick().await;
        assert_eq!(get(proxy.address, &target).await.status(), 200);
    }
}

/// Waits until one session is judged, and checks how.
async fn judged(proxy: &Proxy, outcome: &str, cause: &str) -> Exposition {
    let labels = format!("{{route=\"*/\",outcome=\"{outcome}\",cause=\"{cause}\"}}");
    let series = format!("sockeye_polling_sessions_total{labels}");
    for _ in 0..200 {
        let page = Exposition::scrape(proxy.admin.unwrap()).await;
        if page.sum("sockeye_polling_sessions_total") > 0.0 {
            assert_eq!(page.value(&series), 1.0);
            assert_eq!(page.value("sockeye_polling_sessions_open{route=\"*/\"}"), 0.0);
            return page;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("no session was judged: {series}");
}

async fn status(proxy: &Proxy) -> Value {
    let mut client = Client::connect(proxy.admin.unwrap()).await;
    client.send("GET /status HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    serde_json::from_slice(&client.response().await.body).unwrap()
}

/// All at once, for each of them waits until an upgrade would have been given up.
#[tokio::test]
async fn each_cause_of_staying_on_polling_is_told() {
    tokio::join!(
        a_client_that_never_tries_to_upgrade_is_stuck_and_counted_afterwards(),
        a_websocket_request_without_the_upgrade_field_has_its_own_outcome(),
        a_refused_upgrade_is_counted_with_the_status(),
        an_upgrade_that_the_proxy_refuses_is_counted_with_the_error(),
        a_101_behind_which_nothing_comes_is_no_upgrade(),
        a_probe_that_the_node_does_not_answer_is_no_upgrade(),
        an_answered_probe_without_the_last_word_is_no_upgrade(),
    );
}

async fn a_client_that_never_tries_to_upgrade_is_stuck_and_counted_afterwards() {
    let node = node(echo).await;
    let proxy = start(node.address);
    let sid = open(&proxy).await;
    poll_on(&proxy, &sid).await;
    let page = Exposition::scrape(proxy.admin.unwrap()).await;
    assert_eq!(page.value("sockeye_polling_sessions_stuck{route=\"*/\"}"), 1.0);
    let shown = status(&proxy).await["upgrades"].clone();
    assert_eq!((&shown["upgraded"], &shown["stuck"]), (&json!(0), &json!(1)), "{shown}");
    assert_eq!(shown["leading"]["outcome"], "never_tried", "{shown}");
    judged(&proxy, "never_tried", "none").await;
}

async fn a_websocket_request_without_the_upgrade_field_has_its_own_outcome() {
    let node = node(echo).await;
    let proxy = start(node.address);
    let sid = open(&proxy).await;
    get(proxy.address, &format!("{WEBSOCKET}&sid={sid}")).await;
    poll_on(&proxy, &sid).await;
    judged(&proxy, "stripped", "none").await;
}

async fn a_refused_upgrade_is_counted_with_the_status() {
    let node = node(|| Reply::Last(response("400 Bad Request", "Session ID unknown"))).await;
    let proxy = start(node.address);
    let sid = open(&proxy).await;
    websocket::ask(proxy.address, &format!("{WEBSOCKET}&sid={sid}"), &[]).await;
    poll_on(&proxy, &sid).await;
    judged(&proxy, "refused", "400").await;
}

async fn an_upgrade_that_the_proxy_refuses_is_counted_with_the_error() {
    let node = node(|| Reply::Hangup).await;
    let proxy = start(node.address);
    let sid = open(&proxy).await;
    websocket::ask(proxy.address, &format!("{WEBSOCKET}&sid={sid}"), &[]).await;
    poll_on(&proxy, &sid).await;
    judged(&proxy, "failed", "node_broke_off").await;
}

/// Upgrades, sends `said` and polls on: what is said of it?
async fn check_probe(upgrade: impl Fn() -> Reply + Send + Sync + 'static, said: &[&str]) -> Proxy {
    let node = node(upgrade).await;
    let proxy = start(node.address);
    let sid = open(&proxy).await;
    let mut client = websocket::open(proxy.address, &format!("{WEBSOCKET}&sid={sid}")).await;
    for message in said {
        client.send(text(message)).await;
        client.frame().await;
    }
    poll_on(&proxy, &sid).await;
    proxy
}

async fn a_101_behind_which_nothing_comes_is_no_upgrade() {
    judged(&check_probe(echo, &[]).await, "no_probe", "none").await;
}

async fn a_probe_that_the_node_does_not_answer_is_no_upgrade() {
    // The node's echo is not the answer.
    judged(&check_probe(echo, &["2probe"]).await, "probe_unanswered", "none").await;
}

async fn an_answered_probe_without_the_last_word_is_no_upgrade() {
    let answer = || Reply::Echo { behind: websocket::frame(1, b"3probe", None) };
    judged(&check_probe(answer, &["2probe"]).await, "unfinished", "none").await;
}

#[tokio::test]
async fn an_upgrade_is_counted_with_its_duration() {
    let node = node(echo).await;
    let proxy = start(node.address);
    let sid = open(&proxy).await;
    let mut client = websocket::open(proxy.address, &format!("{WEBSOCKET}&sid={sid}")).await;
    for message in ["2probe", "5"] {
        client.send(text(message)).await;
        client.frame().await;
    }
    let page = judged(&proxy, "upgraded", "none").await;
    assert_eq!(page.value("sockeye_upgrade_duration_seconds_count{route=\"*/\"}"), 1.0);
    assert!(page.value("sockeye_upgrade_duration_seconds_sum{route=\"*/\"}") < 10.0);
    assert_eq!(status(&proxy).await["upgrades"]["upgraded"], 1);
}

#[tokio::test]
async fn a_session_that_no_upgrade_was_offered_to_is_not_judged() {
    let node = FakeNode::start(|_| ok(r#"0{"sid":"ABCDEFGH","upgrades":[]}"#)).await;
    let proxy = start(node.address);
    open(&proxy).await;
    let mut client = Client::connect(proxy.address).await;
    client.send(request("GET", &format!("{WEBSOCKET}&sid=unknown"), &UPGRADE, "")).await;
    client.response().await;
    let page = Exposition::scrape(proxy.admin.unwrap()).await;
    assert_eq!(page.value("sockeye_polling_sessions_open{route=\"*/\"}"), 0.0);
    assert_eq!(page.sum("sockeye_polling_sessions_total"), 0.0);
}

#[tokio::test]
async fn a_real_client_is_seen_upgrading() {
    let server = NodeServer::start(&[]).await;
    let proxy = start(server.address().parse().unwrap());
    let url = format!("http://{}", proxy.address);
    let arguments = ["--url", &url, "--scenario", "basics", "--transports", "polling,websocket"];
    held(run_client(&arguments).await);
    let page = judged(&proxy, "upgraded", "none").await;
    assert!(page.value("sockeye_upgrade_duration_seconds_sum{route=\"*/\"}") > 0.0);
}
