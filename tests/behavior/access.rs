//! Who may use a route: pages by their origin, clients by their network.

use crate::support::socketio::{NodeServer, held, run_client};
use crate::support::websocket::ask;
use crate::support::{Client, FakeNode, Proxy, ProxyProcess, config, get, ok, request};

const POLL: &str = "/socket.io/?EIO=4&transport=polling";
const WEBSOCKET: &str = "/socket.io/?EIO=4&transport=websocket";

/// The status of a WebSocket handshake with these fields.
async fn upgrade_status(proxy: &Proxy, fields: &[&str]) -> u16 {
    ask(proxy.address, WEBSOCKET, fields).await.1.status()
}

#[tokio::test]
async fn a_page_of_another_origin_is_refused_at_every_request() {
    let node = FakeNode::engineio("a").await;
    let origins = "origins: [same-host, 'https://*.example.com', 'https://app.example']";
    let proxy = Proxy::before(&[&node], "", origins);
    let open = get(proxy.address, POLL).await.text();
    let sid = open.split('"').nth(3).unwrap();
    let bound = format!("{POLL}&sid={sid}");
    let passed = node.requests().len();

    let evil = ["Origin: https://app.example.evil.example"];
    for (method, target) in [("GET", POLL), ("GET", &*bound), ("POST", &*bound), ("OPTIONS", POLL)]
    {
        let mut client = Client::connect(proxy.address).await;
        client.send(request(method, target, &evil, "")).await;
        let answer = client.response().await;
        assert_eq!(answer.status(), 403, "{method} {target}");
        let body = r#"{"code":4,"message":"pages of this origin may not use the route"}"#;
        assert_eq!(answer.text(), body);
        assert_eq!(answer.head.field("access-control-allow-origin"), None);
    }
    assert_eq!(upgrade_status(&proxy, &evil).await, 403);
    let twice = ["Origin: https://app.example", "Origin: https://app.example"];
    assert_eq!(upgrade_status(&proxy, &twice).await, 403);
    assert_eq!(upgrade_status(&proxy, &["Origin: null"]).await, 403);
    assert_eq!(node.requests().len(), passed, "the node is spared");

    assert_eq!(upgrade_status(&proxy, &["Origin: https://app.example"]).await, 101);
    assert_eq!(upgrade_status(&proxy, &["Origin: https://a.b.example.com"]).await, 101);
    assert_eq!(upgrade_status(&proxy, &[]).await, 101);
}

#[tokio::test]
async fn the_same_host_is_the_one_that_the_client_asked_for() {
    let node = FakeNode::engineio("a").await;
    let yaml = config(&[node.address], "", "origins: [same-host]");
    let behind = yaml.replace("'127.0.0.1:0'", "'127.0.0.1:0', trusted_proxies: [127.0.0.1]");
    let (direct, behind) = (Proxy::start(&yaml), Proxy::start(&behind));
    // The host of each request is `test`.
    let status = async |proxy: &Proxy, origin: &str, forwarded: &str| {
        let fields = [format!("Origin: {origin}"), format!("X-Forwarded-Host: {forwarded}")];
        upgrade_status(proxy, &[&fields[0], &fields[1]]).await
    };
    assert_eq!(status(&direct, "https://test", "chat.example").await, 101);
    assert_eq!(status(&direct, "https://chat.example", "chat.example").await, 403, "a stranger");
    assert_eq!(status(&behind, "https://chat.example", "chat.example, inner").await, 101);
    assert_eq!(status(&behind, "https://evil.example", "chat.example").await, 403);
}

#[tokio::test]
async fn a_foreign_page_with_cookies_is_reported_once_where_no_rule_names_origins() {
    let node = FakeNode::engineio("a").await;
    let cookies = ["Cookie: session=1", "Origin: https://evil.example"];
    let mut process = ProxyProcess::start(&config(&[node.address], "", "")).await;
    for _ in 0..3 {
        assert_eq!(ask(process.address, WEBSOCKET, &cookies).await.1.status(), 101);
    }
    process.until_log("write origins: [same-host, https://app.example.com]").await;
    process.signal("TERM");
    let warnings = process.pass_log().await.unwrap();
    assert_eq!(warnings.iter().filter(|line| line.contains("origins")).count(), 0, "{warnings:?}");

    // No warning: no cookies, no page, a page of this host, or a rule that allows all.
    let any = config(&[node.address], "", "origins: [any]");
    let mut process = ProxyProcess::start(&any).await;
    assert_eq!(ask(process.address, WEBSOCKET, &cookies).await.1.status(), 101);
    process.signal("TERM");
    assert_eq!(process.pass_log().await.unwrap(), Vec::<String>::new());
    let mut process = ProxyProcess::start(&config(&[node.address], "", "")).await;
    for fields in [&cookies[..1], &cookies[1..], &[cookies[0], "Origin: http://test"]] {
        assert_eq!(ask(process.address, WEBSOCKET, fields).await.1.status(), 101);
    }
    process.signal("TERM");
    assert_eq!(process.pass_log().await.unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn clients_of_other_networks_are_refused_by_the_address_that_trusted_proxies_state() {
    let node = FakeNode::start(|_| ok("served")).await;
    let yaml = config(&[node.address], "", "deny: [10.1.0.0/16], allow: [10.0.0.0/8]");
    let behind = yaml.replace("'127.0.0.1:0'", "'127.0.0.1:0', trusted_proxies: [127.0.0.1]");
    let (direct, behind) = (Proxy::start(&yaml), Proxy::start(&behind));
    let status = async |proxy: &Proxy, client: &str| {
        let mut connection = Client::connect(proxy.address).await;
        let field = format!("X-Forwarded-For: {client}");
        connection.send(request("GET", "/", &[&field], "")).await;
        connection.response().await.status()
    };
    assert_eq!(status(&behind, "10.0.0.1").await, 200);
    assert_eq!(status(&behind, "10.1.0.1").await, 403);
    assert_eq!(status(&behind, "203.0.113.7").await, 403);
    assert_eq!(status(&direct, "10.0.0.1").await, 403, "a stranger is not believed");
}

#[tokio::test]
async fn real_clients_of_three_lines_learn_that_they_are_refused() {
    let server = NodeServer::start(&[]).await;
    let address = server.address().parse().unwrap();
    let proxy = Proxy::start(&config(&[address], "", "origins: ['https://app.example']"));
    let url = format!("http://{}", proxy.address);
    let headers = r#"{"Origin":"https://evil.example"}"#;
    for line in ["4", "3", "2"] {
        let arguments = ["--url", &url, "--line", line, "--scenario", "refused"];
        let result = run_client(&[&arguments[..], &["--headers", headers]].concat()).await;
        held(result);
    }
}
