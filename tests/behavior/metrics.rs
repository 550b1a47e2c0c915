//! What is counted, compared with what was sent.

use std::net::SocketAddr;

use crate::support::{
    Client, Exposition, FakeNode, Proxy, Reply, config, get, ok, request, response, websocket,
};

/// A proxy with an admin listener before `nodes`; `upstream` and `route` are more keys of theirs.
fn start(nodes: &[SocketAddr], upstream: &str, route: &str) -> Proxy {
    Proxy::start(&(config(nodes, upstream, route) + ADMIN))
}

const ADMIN: &str = "admin: { bind: '127.0.0.1:0' }\n";

async fn scrape(proxy: &Proxy) -> Exposition {
    Exposition::scrape(proxy.admin.unwrap()).await
}

async fn until(proxy: &Proxy, series: &str, value: f64) -> Exposition {
    Exposition::until(proxy.admin.unwrap(), series, value).await
}

#[tokio::test]
async fn exchanges_are_counted_by_route_and_class() {
    let node = FakeNode::start(|request| match request.head.target.as_str() {
        "/missing" => Reply::Bytes(response("404 Not Found", "")),
        _ => ok("yes"),
    })
    .await;
    let proxy = start(&[node.address], "", "");
    for target in ["/", "/a?b=c", "/missing", "/z"] {
        get(proxy.address, target).await;
    }
    let page = scrape(&proxy).await;
    let check = |class: &str, expected: f64| {
        let series =
            format!("sockeye_exchanges_total{{route=\"*/\",protocol=\"http1\",class=\"{class}\"}}");
        assert_eq!(page.value(&series), expected, "{series}");
        let node = node.address;
        let series = format!(
            "sockeye_node_answers_total{{upstream=\"chat\",node=\"{node}\",class=\"{class}\"}}"
        );
        assert_eq!(page.value(&series), expected, "{series}");
    };
    check("1xx", 0.0);
    check("2xx", 3.0);
    check("4xx", 1.0);
    check("5xx", 0.0);
    assert_eq!(page.sum("sockeye_exchange_errors_total"), 0.0);
    assert_eq!(page.value("sockeye_affinity_total{route=\"*/\",outcome=\"none\"}"), 4.0);
}

/// Handshakes fail at once.
const NO_HOLD: &str = "admission: { hold: off }";

#[tokio::test]
async fn our_own_answers_are_counted_by_error() {
    let node = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    // Checks would count failed connects of their own.
    let yaml = config(&[node], &format!("{NO_HOLD}, health: off"), "");
    let yaml = yaml.replace("path: /,", "path: /socket.io/,");
    let proxy = Proxy::start(&(yaml + ADMIN));

    assert_eq!(get(proxy.address, "/socket.io/?EIO=4&transport=polling").await.status(), 502);
    assert_eq!(get(proxy.address, "/elsewhere").await.status(), 404);
    assert_eq!(get(proxy.address, "/elsewhere").await.status(), 404);

    let page = scrape(&proxy).await;
    let errors = "sockeye_exchange_errors_total";
    let series = format!("{errors}{{route=\"*/socket.io/\",error=\"connect\",blame=\"node\"}}");
    assert_eq!(page.value(&series), 1.0);
    let series = format!("{errors}{{route=\"none\",error=\"no_route\",blame=\"client\"}}");
    assert_eq!(page.value(&series), 2.0);
    assert_eq!(
        page.value("sockeye_exchanges_total{route=\"none\",protocol=\"http1\",class=\"4xx\"}"),
        2.0
    );
    let labels = format!("{{upstream=\"chat\",node=\"{node}\"}}");
    assert_eq!(page.value(&format!("sockeye_node_connects_failed_total{labels}")), 1.0);
    assert_eq!(page.value(&format!("sockeye_node_reachable{labels}")), 0.0);
}

#[tokio::test]
async fn affinity_is_counted_by_how_the_node_was_found() {
    let nodes = [FakeNode::engineio("a").await, FakeNode::engineio("b").await];
    let proxy = start(&[nodes[0].address, nodes[1].address], "", "");
    let poll = |sid: &str| format!("/socket.io/?EIO=4&transport=polling&sid={sid}");

    let open = get(proxy.address, "/socket.io/?EIO=4&transport=polling").await.text();
    let sid = open.split('"').nth(3).unwrap().to_owned();
    for _ in 0..3 {
        assert_eq!(get(proxy.address, &poll(&sid)).await.status(), 200);
    }
    assert_eq!(get(proxy.address, &poll("b-elsewhere")).await.status(), 200);
    assert_eq!(get(proxy.address, &poll("b-elsewhere")).await.status(), 200);
    assert_eq!(get(proxy.address, &poll("nobody")).await.status(), 400);

    let page = scrape(&proxy).await;
    let check = |outcome: &str, expected: f64| {
        let series = format!("sockeye_affinity_total{{route=\"*/\",outcome=\"{outcome}\"}}");
        assert_eq!(page.value(&series), expected, "{outcome}");
    };
    check("none", 1.0);
    check("tag", 3.0);
    check("healed", 1.0);
    check("table", 1.0);
    check("unknown", 1.0);
    check("gone", 0.0);
    check("cookie", 0.0);
    assert_eq!(page.sum("sockeye_node_handshakes_total"), 1.0);
}

#[tokio::test]
async fn a_websocket_is_counted_from_its_handshake_to_its_end() {
    let node = FakeNode::engineio("a").await;
    let proxy = start(&[node.address], "", "");
    let target = "/socket.io/?EIO=4&transport=websocket";
    let mut client = websocket::open(proxy.address, target).await;
    let mut sent = 0;
    for message in ["hello", "you", "there"] {
        let frame = websocket::text(message);
        sent += frame.len();
        client.send(frame).await;
        assert_eq!(client.frame().await, Some((1, message.as_bytes().to_vec())));
    }
    let page = until(&proxy, "sockeye_tunnels_open{route=\"*/\",protocol=\"http1\"}", 1.0).await;
    let labels = format!("{{upstream=\"chat\",node=\"{}\"}}", node.address);
    assert_eq!(page.value(&format!("sockeye_node_tunnels_open{labels}")), 1.0);
    let close = websocket::close(1000);
    sent += close.len();
    client.send(close).await;
    client.until_end().await;

    let end = "sockeye_tunnel_ends_total{route=\"*/\",end=\"client_closed\",by=\"client\"}";
    let of_node = format!("upstream=\"chat\",node=\"{}\"", node.address);
    let of_node =
        format!("sockeye_node_tunnel_ends_total{{{of_node},end=\"client_closed\",by=\"client\"}}");
    let page = until(&proxy, end, 1.0).await;
    assert_eq!(page.value(&of_node), 1.0);
    let check = |series: &str, expected: f64| {
        let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
        let series = format!("{name}{{route=\"*/\"{labels}");
        assert_eq!(page.value(&series), expected, "{series}");
    };
    check("sockeye_upgrades_tried_total{}", 1.0);
    check("sockeye_upgrades_total{,outcome=\"switched\",cause=\"none\"}", 1.0);
    check("sockeye_tunnels_total{,protocol=\"http1\"}", 1.0);
    check("sockeye_tunnels_open{,protocol=\"http1\"}", 0.0);
    check("sockeye_tunnel_messages_total{,from=\"client\"}", 3.0);
    check("sockeye_tunnel_messages_total{,from=\"node\"}", 3.0);
    check("sockeye_tunnel_bytes_total{,from=\"client\"}", sent as f64);
    // A node's frames have no mask: four bytes less, for three messages and the Close.
    check("sockeye_tunnel_bytes_total{,from=\"node\"}", (sent - 16) as f64);
    check("sockeye_exchanges_total{,protocol=\"http1\",class=\"1xx\"}", 1.0);
    let series = format!(
        "sockeye_node_handshakes_total{{upstream=\"chat\",node=\"{}\",transport=\"websocket\"}}",
        node.address
    );
    assert_eq!(page.value(&series), 1.0);
}

#[tokio::test]
async fn refused_and_failed_upgrades_tell_their_cause() {
    let node = FakeNode::engineio("a").await;
    let proxy = start(&[node.address], "affinity: none", "");
    let (_, refused) =
        websocket::ask(proxy.address, "/socket.io/?EIO=4&transport=websocket&sid=x", &[]).await;
    assert_eq!(refused.status(), 400);
    let mut client = Client::connect(proxy.address).await;
    let fields = ["Connection: Upgrade", "Upgrade: websocket"];
    client.send(request("GET", "/", &fields, "")).await;
    assert_eq!(client.response().await.status(), 400);

    let page = scrape(&proxy).await;
    assert_eq!(page.value("sockeye_upgrades_tried_total{route=\"*/\"}"), 2.0);
    let check = |outcome: &str, cause: &str| {
        let labels = format!("{{route=\"*/\",outcome=\"{outcome}\",cause=\"{cause}\"}}");
        assert_eq!(page.value(&format!("sockeye_upgrades_total{labels}")), 1.0);
    };
    check("refused", "400");
    check("failed", "bad_upgrade");
}

#[tokio::test]
async fn connections_are_counted_by_how_they_end() {
    let node = FakeNode::start(|_| ok("yes")).await;
    let proxy = start(&[node.address], "", "");
    let mut staying = Client::connect(proxy.address).await;
    staying.get("/").await;
    let mut bad = Client::connect(proxy.address).await;
    bad.send("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n").await;
    bad.until_end().await;
    let ends = |reason: &str| format!("sockeye_connection_ends_total{{reason=\"{reason}\"}}");
    until(&proxy, &ends("refused"), 1.0).await;
    drop(get(proxy.address, "/").await);

    let page = until(&proxy, &ends("closed"), 1.0).await;
    assert_eq!(page.value("sockeye_connections_total"), 3.0);
    assert_eq!(page.value("sockeye_connections_open"), 1.0);
    assert_eq!(page.sum("sockeye_worker_connections"), 1.0);
}

#[tokio::test]
async fn the_exposition_has_every_metric_and_no_other() {
    let node = FakeNode::start(|_| ok("yes")).await;
    let page = scrape(&start(&[node.address], "", "")).await;
    let announced: Vec<&str> = page.types.keys().map(String::as_str).collect();
    let name = |name: &'static str| name.strip_suffix("_total").unwrap_or(name);
    let mut known: Vec<&str> =
        sockeye::internal::metrics::ALL.iter().map(|metric| name(metric.name)).collect();
    known.sort_unstable();
    assert_eq!(announced, known);
    assert!(page.value("sockeye_memory_bytes") > 1e6);
    assert!(page.value("sockeye_descriptors_open") > 3.0);
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(page.value(&format!("sockeye_build_info{{version=\"{version}\"}}")), 1.0);
}

#[tokio::test]
async fn questions_to_a_service_and_what_is_remembered_are_counted() {
    let service = FakeNode::start(|request| match request.head.field("authorization") {
        Some("good") => ok(""),
        Some("broken") => Reply::Bytes(response("500 Broken", "")),
        Some("slow") => Reply::Silence,
        _ => Reply::Bytes(response("403 No", "")),
    })
    .await;
    let node = FakeNode::start(|_| ok("yes")).await;
    let url = format!("http://{}", service.address);
    let auth = format!("auth: {{ forward: {{ url: '{url}', timeout: 100ms }} }}");
    let proxy = start(&[node.address], "", &auth);
    for word in ["good", "good", "good", "bad", "broken", "slow"] {
        let mut client = Client::connect(proxy.address).await;
        client.send(request("GET", "/", &[&format!("Authorization: {word}")], "")).await;
        client.response().await;
    }
    let page = scrape(&proxy).await;
    for outcome in ["allowed", "refused", "failed", "unavailable"] {
        let series = format!("sockeye_auth_requests_total{{route=\"*/\",outcome=\"{outcome}\"}}");
        assert_eq!(page.value(&series), 1.0, "{series}");
    }
    assert_eq!(page.value("sockeye_auth_remembered_total{route=\"*/\"}"), 2.0);
    assert_eq!(page.sum("sockeye_password_checks_total"), 0.0);
}

#[tokio::test]
async fn checks_of_passwords_are_counted() {
    let node = FakeNode::start(|_| ok("yes")).await;
    // `secret`
    let ann = "ann:$2y$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a";
    let proxy =
        start(&[node.address], "", &format!("auth: {{ basic: {{ passwords: ['{ann}'] }} }}"));
    // `ann:secret` three times, `ann:wrong`
    for pair in ["YW5uOnNlY3JldA==", "YW5uOnNlY3JldA==", "YW5uOnNlY3JldA==", "YW5uOndyb25n"] {
        let mut client = Client::connect(proxy.address).await;
        client.send(request("GET", "/", &[&format!("Authorization: Basic {pair}")], "")).await;
        client.response().await;
    }
    let page = scrape(&proxy).await;
    for outcome in ["right", "wrong"] {
        let series = format!("sockeye_password_checks_total{{route=\"*/\",outcome=\"{outcome}\"}}");
        assert_eq!(page.value(&series), 1.0, "{series}");
    }
    assert_eq!(page.value("sockeye_auth_remembered_total{route=\"*/\"}"), 2.0);
}
