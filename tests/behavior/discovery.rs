//! Nodes come and go by DNS, and no session is lost by it.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use hickory_resolver::proto::op::ResponseCode;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::time::{Instant, timeout};

use crate::support::dns::{FakeDns, Says, addresses, alias, services};
use crate::support::websocket::{open, text};
use crate::support::{Client, Exposition, FakeNode, Proxy, ProxyProcess, Site, get, request};

const OPEN: &str = "/socket.io/?EIO=4&transport=polling";
const NAME: &str = "chat.test.";

/// Nodes of these names on addresses of their own and on one port, as the pods of a service are.
async fn on_one_port<const N: usize>(names: [&'static str; N]) -> [FakeNode; N] {
    loop {
        let mut port = 0;
        let mut listeners = Vec::new();
        for last in 2..names.len() + 2 {
            // Another test may have the port at another address.
            let Ok(listener) = TcpListener::bind(format!("127.0.0.{last}:{port}")).await else {
                break;
            };
            port = listener.local_addr().unwrap().port();
            listeners.push(listener);
        }
        if let Ok(listeners) = <[TcpListener; N]>::try_from(listeners) {
            let mut names = names.into_iter();
            return listeners.map(|listener| {
                FakeNode::engineio_at(listener, names.next().expect("as many names"))
            });
        }
    }
}

/// What DNS says while these are up.
fn says(nodes: &[&FakeNode], ttl: u32) -> Says {
    let ips: Vec<IpAddr> = nodes.iter().map(|node| node.address.ip()).collect();
    addresses(NAME, &ips, ttl)
}

/// A configuration whose upstream is discovered by `discover`, at `dns`; `upstream` has more keys.
fn yaml(dns: &FakeDns, discover: &str, upstream: &str) -> String {
    format!(
        "listeners: [{{ bind: '127.0.0.1:0' }}]\n\
         admin: {{ bind: '127.0.0.1:0' }}\n\
         upstreams: {{ chat: {{ discover: {{ {discover}, server: '{}' }}{upstream} }} }}\n\
         routes: [{{ path: /, upstream: chat }}]\n",
        dns.address
    )
}

/// As [`yaml`], by the addresses of `chat.test` and the port of `node`.
fn by_address(dns: &FakeDns, node: &FakeNode, every: &str) -> String {
    let discover = format!("dns: 'chat.test:{}', every: {every}", node.address.port());
    yaml(dns, &discover, "")
}

async fn ask(admin: SocketAddr, target: &str) -> Value {
    let mut client = Client::connect(admin).await;
    client.send(request("GET", target, &[], "").replace("Host: test", "Host: localhost")).await;
    serde_json::from_slice(&client.response().await.body).unwrap()
}

/// Waits until the upstream has these nodes and no others.
async fn until_nodes(admin: Option<SocketAddr>, nodes: &[&FakeNode]) {
    let expected: Vec<String> = nodes.iter().map(|node| node.address.to_string()).collect();
    let found = async {
        loop {
            let upstream = ask(admin.unwrap(), "/nodes").await["upstreams"][0].take();
            let nodes = upstream["nodes"].as_array().unwrap().iter();
            if nodes.map(|node| node["name"].as_str().unwrap()).eq(&expected) {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    timeout(Duration::from_secs(20), found).await.expect("the nodes in time");
}

/// Opens a session by polling: the sid as the client sees it.
async fn handshake(proxy: SocketAddr) -> String {
    let answer = get(proxy, OPEN).await;
    assert_eq!(answer.status(), 200, "{}", answer.text());
    answer.text().split('"').nth(3).unwrap().to_owned()
}

async fn poll(proxy: SocketAddr, sid: &str) -> (u16, String) {
    let answer = get(proxy, &format!("{OPEN}&sid={sid}")).await;
    (answer.status(), answer.text())
}

#[tokio::test]
async fn sessions_of_a_node_that_left_go_on_and_new_ones_begin_elsewhere() {
    let [a, b] = on_one_port(["a", "b"]).await;
    let dns = FakeDns::start(says(&[&a], 1)).await;
    let proxy = Proxy::start(&by_address(&dns, &a, "1s"));
    until_nodes(proxy.admin, &[&a]).await;
    let sid = handshake(proxy.address).await;
    let mut tunnel = open(proxy.address, "/ws").await;

    dns.say(says(&[&b], 1));
    until_nodes(proxy.admin, &[&b]).await;

    for _ in 0..5 {
        assert!(handshake(proxy.address).await.starts_with('b'));
        assert_eq!(poll(proxy.address, &sid).await, (200, "4a".to_owned()));
    }
    tunnel.send(text("still here")).await;
    assert_eq!(tunnel.frame().await, Some((1, b"still here".to_vec())));

    dns.say(says(&[&b, &a], 1));
    until_nodes(proxy.admin, &[&a, &b]).await;
    assert_eq!(poll(proxy.address, &sid).await, (200, "4a".to_owned()));
    let page = Exposition::scrape(proxy.admin.unwrap()).await;
    let changed = "sockeye_discovery_total{upstream=\"chat\",outcome=\"changed\"}";
    assert_eq!(page.value(changed), 3.0);
}

#[tokio::test]
async fn what_dns_fails_to_say_changes_nothing() {
    let [a] = on_one_port(["a"]).await;
    let dns = FakeDns::start(says(&[&a], 1)).await;
    let proxy = Proxy::start(&by_address(&dns, &a, "1s"));
    let admin = proxy.admin.unwrap();
    until_nodes(proxy.admin, &[&a]).await;
    let empty = Says::Records { answers: Vec::new(), additionals: Vec::new() };
    for (times, says) in
        [Says::Code(ResponseCode::NXDomain), Says::Code(ResponseCode::ServFail), empty]
            .into_iter()
            .enumerate()
    {
        dns.say(says);
        let failed = "sockeye_discovery_total{upstream=\"chat\",outcome=\"failed\"}";
        let failures = Exposition::scrape(admin).await.value(failed);
        Exposition::until(admin, failed, failures + 1.0).await;
        assert!(handshake(proxy.address).await.starts_with('a'));
        let nodes = ask(admin, "/nodes").await;
        let upstream = &nodes["upstreams"][0];
        assert_eq!(upstream["nodes"].as_array().unwrap().len(), 1, "{times}");
        let discovery = &upstream["discovery"];
        assert!(discovery["answered_at"].is_u64() && discovery["last_failure"]["at"].is_u64());
        assert_ne!(discovery["consecutive_failures"], 0, "{discovery}");
        assert_eq!(discovery["failed_running"], discovery["consecutive_failures"]);
        let ready = ask(admin, "/ready").await;
        assert_eq!(ready["reasons"], json!([]));
        let warning = ready["warnings"][0].as_str().unwrap();
        assert!(warning.starts_with("the nodes of upstream chat are not found: "), "{warning}");
    }
}

#[tokio::test]
async fn what_dns_says_is_followed_while_a_stop_waits_for_its_delay() {
    let [a, b] = on_one_port(["a", "b"]).await;
    let dns = FakeDns::start(says(&[&a], 1)).await;
    let yaml = by_address(&dns, &a, "1s") + "shutdown: { delay: 1m }\n";
    let mut site = Site::start(&yaml);
    until_nodes(site.admin, &[&a]).await;
    site.begin_stop();
    while site.readiness.is_ready() {
        tokio::task::yield_now().await;
    }
    dns.say(says(&[&b], 1));
    until_nodes(site.admin, &[&b]).await;
    assert!(handshake(site.address()).await.starts_with('b'));
}

#[tokio::test]
async fn one_log_line_lists_the_changes_and_one_a_dns_failure() {
    let [a, b] = on_one_port(["a", "b"]).await;
    let dns = FakeDns::start(says(&[&a], 1)).await;
    let mut proxy = ProxyProcess::start(&by_address(&dns, &a, "1s")).await;
    proxy.until_log(&format!("discovered: chat +{}", a.address)).await;
    dns.say(says(&[&b], 1));
    proxy.until_log(&format!("discovered: chat +{} -{}", b.address, a.address)).await;
    dns.say(Says::Code(ResponseCode::Refused));
    proxy.until_log("DNS lookup failed").await;
    dns.until_asked(2).await;
    dns.say(says(&[&b], 1));
    let next = proxy.until_log("DNS").await;
    assert!(next.contains("succeeds again"), "the second failure is logged: {next}");
}

#[tokio::test]
async fn a_short_ttl_is_respected_but_not_below_a_second() {
    let [a, b] = on_one_port(["a", "b"]).await;
    let dns = FakeDns::start(says(&[&a], 0)).await;
    let proxy = Proxy::start(&by_address(&dns, &a, "1h"));
    until_nodes(proxy.admin, &[&a]).await;
    dns.until_asked(1).await;
    let asked = Instant::now();
    dns.say(says(&[&a, &b], 3600));
    dns.until_asked(1).await;
    let passed = asked.elapsed();
    assert!((800..5000).contains(&passed.as_millis()), "{passed:?}");
    until_nodes(proxy.admin, &[&a, &b]).await;
}

#[tokio::test]
async fn services_have_ports_and_weights_and_the_best_priority_is_used() {
    let (a, b) = (FakeNode::engineio("a").await, FakeNode::engineio("b").await);
    let (port_a, port_b) = (a.address.port(), b.address.port());
    let all =
        [(10, 0, "N1.test.", port_a), (10, 7, "n2.test.", port_b), (20, 1, "n3.test.", port_a)];
    let told = [("n1.test.", a.address.ip()), ("n2.test.", b.address.ip())];
    let dns = FakeDns::start(services("_chat._tcp.test.", &all, &told, 60)).await;
    let proxy = Proxy::start(&yaml(&dns, "srv: _chat._tcp.test", ", slow_start: off"));

    let first = handshake(proxy.address).await;

    let nodes = ask(proxy.admin.unwrap(), "/nodes").await;
    let nodes = nodes["upstreams"][0]["nodes"].as_array().unwrap();
    let shown: Vec<_> = nodes.iter().map(|node| (&node["name"], &node["weight"])).collect();
    let names = [json!(format!("n1.test:{port_a}")), json!(format!("n2.test:{port_b}"))];
    assert_eq!(shown, [(&names[0], &json!(1)), (&names[1], &json!(7))]);
    let mut begun = vec![first];
    for _ in 0..15 {
        begun.push(handshake(proxy.address).await);
    }
    let on_a = begun.iter().filter(|sid| sid.starts_with('a')).count();
    assert!((1..=4).contains(&on_a), "one of eight: {begun:?}");
}

#[tokio::test]
async fn services_are_found_behind_an_alias() {
    let a = FakeNode::engineio("a").await;
    let target = (0, 1, "localhost.", a.address.port());
    let at_end = services("_all._tcp.test.", &[target], &[], 60);
    let dns = FakeDns::start(alias("_chat._tcp.test.", "_all._tcp.test.", at_end, 60)).await;
    let proxy = Proxy::start(&yaml(&dns, "srv: _chat._tcp.test", ""));
    assert!(handshake(proxy.address).await.starts_with('a'));
}

#[tokio::test]
async fn a_service_whose_address_comes_and_goes_in_the_answer_is_one_process() {
    let a = FakeNode::engineio("a").await;
    let target = [(0, 1, "n1.test.", a.address.port())];
    let told = [("n1.test.", a.address.ip())];
    let with_address = services("_chat._tcp.test.", &target, &told, 1);
    let without = services("_chat._tcp.test.", &target, &[], 1);
    let dns = FakeDns::start(with_address.clone()).await;
    // Each request connects, and so needs the address.
    let upstream = ", pool_idle_timeout: off, drain: { timeout: 1s }";
    let proxy = Proxy::start(&yaml(&dns, "srv: _chat._tcp.test, every: 1s", upstream));
    let admin = proxy.admin.unwrap();
    let sid = handshake(proxy.address).await;
    let mut tunnel = open(proxy.address, "/ws").await;
    let by_name = format!("n1.test:{}", a.address.port());

    for (says, address) in [
        (without.clone(), by_name.clone()),
        (with_address, a.address.to_string()),
        (without, by_name),
    ] {
        dns.say(says);
        until_address(admin, &address).await;
        assert_eq!(poll(proxy.address, &sid).await, (200, "4a".to_owned()), "{address}");
        assert!(handshake(proxy.address).await.starts_with('a'), "{address}");
        tunnel.send(text("still here")).await;
        assert_eq!(tunnel.frame().await, Some((1, b"still here".to_vec())), "{address}");
    }
    let nodes = ask(admin, "/nodes").await;
    let upstream = &nodes["upstreams"][0];
    assert_eq!(upstream["retired"].as_array().map(Vec::len), Some(0), "{upstream}");
    assert_eq!(upstream["nodes"][0]["tunnels"], 1, "{upstream}");
    let page = Exposition::scrape(admin).await;
    assert_eq!(page.sum("sockeye_node_handshakes_total"), 4.0, "all are counted for one node");
}

/// Waits until the upstream's only node has this address.
async fn until_address(admin: SocketAddr, address: &str) {
    let found = async {
        loop {
            let nodes = ask(admin, "/nodes").await;
            if nodes["upstreams"][0]["nodes"][0]["address"] == address {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    timeout(Duration::from_secs(20), found).await.expect("the address in time");
}

#[tokio::test]
async fn handshakes_wait_for_the_first_answer_and_nobody_is_thrown_out_before() {
    let [a] = on_one_port(["a"]).await;
    let earlier = Proxy::default_before(&[&a]);
    let sid = handshake(earlier.address).await;
    let dns = FakeDns::start(Says::Code(ResponseCode::ServFail)).await;
    let proxy = Proxy::start(&by_address(&dns, &a, "1s"));
    let mut held = Client::connect(proxy.address).await;
    held.send(request("GET", OPEN, &[], "")).await;

    assert_eq!(poll(proxy.address, &sid).await.0, 503, "his session may well be alive");
    assert_eq!(get(proxy.address, "/").await.status(), 503);
    let ready = ask(proxy.admin.unwrap(), "/ready").await;
    assert_eq!(ready["reasons"], json!(["no node of upstream chat has answered yet"]));
    assert_eq!(ready["warnings"][0], "no node of upstream chat was found yet");

    dns.say(says(&[&a], 60));
    assert_eq!(held.response().await.status(), 200);
    assert_eq!(poll(proxy.address, &sid).await, (200, "4a".to_owned()));
}

#[tokio::test]
async fn a_session_on_a_node_that_is_new_to_this_proxy_is_found() {
    let [a, b] = on_one_port(["a", "b"]).await;
    let other = Proxy::default_before(&[&b]);
    let sid = handshake(other.address).await;
    let dns = FakeDns::start(says(&[&a], 3600)).await;
    let proxy = Proxy::start(&by_address(&dns, &a, "1h"));
    until_nodes(proxy.admin, &[&a]).await;
    assert_eq!(dns.lookups(), 1);

    dns.say(says(&[&a, &b], 3600));
    assert_eq!(poll(proxy.address, &sid).await, (200, "4b".to_owned()));
    assert_eq!(dns.lookups(), 2);
    let mut tunnel =
        open(proxy.address, &format!("/socket.io/?EIO=4&transport=websocket&sid={sid}")).await;
    tunnel.send(text("2probe")).await;
    assert_eq!(tunnel.frame().await, Some((1, b"2probe".to_vec())));
}

#[tokio::test]
async fn a_session_on_no_node_is_answered_after_one_look_up_for_all() {
    let [a, b] = on_one_port(["a", "b"]).await;
    let other = Proxy::default_before(&[&b]);
    let sid = handshake(other.address).await;
    let dns = FakeDns::start(says(&[&a], 3600)).await;
    let proxy = Proxy::start(&by_address(&dns, &a, "1h"));
    until_nodes(proxy.admin, &[&a]).await;

    let polls = (0..30).map(|_| poll(proxy.address, &sid));
    let answers = futures_util::future::join_all(polls).await;

    for (status, body) in answers {
        assert_eq!(status, 400);
        assert!(body.contains(r#""code":1"#), "{body}");
    }
    assert_eq!(dns.lookups(), 2, "one at the start, and one for all of them");
}

#[tokio::test]
async fn a_reload_keeps_what_was_found_until_there_is_another_answer() {
    let [a, b] = on_one_port(["a", "b"]).await;
    let dns = FakeDns::start(says(&[&a], 3600)).await;
    let site = Site::start(&by_address(&dns, &a, "1h"));
    until_nodes(site.admin, &[&a]).await;
    let sid = handshake(site.address()).await;

    let same = by_address(&dns, &a, "1h").replace("path: /,", "path: /, request_body_timeout: 9s,");
    site.reload(&same).await.unwrap();
    until_nodes(site.admin, &[&a]).await;
    assert_eq!(dns.lookups(), 1, "the same question is not asked again");

    let silent = FakeDns::start(Says::Silence).await;
    site.reload(&by_address(&silent, &a, "1h")).await.unwrap();
    silent.until_asked(1).await;
    until_nodes(site.admin, &[&a]).await;
    assert!(handshake(site.address()).await.starts_with('a'));

    let written = format!("nodes: ['{}']", b.address);
    let discover = same.split("discover: ").nth(1).unwrap().split('}').next().unwrap();
    site.reload(&same.replace(&format!("discover: {discover}}}"), &written)).await.unwrap();
    until_nodes(site.admin, &[&b]).await;
    assert_eq!(poll(site.address(), &sid).await, (200, "4a".to_owned()));
}
