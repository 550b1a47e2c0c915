//! What each client network may do.

use crate::support::{Client, FakeNode, Proxy, ProxyProcess, config, ok, request};

const POLL: &str = "/socket.io/?EIO=4&transport=polling";

fn limited(nodes: &[std::net::SocketAddr], limits: &str) -> String {
    format!("{}client_limits: {{ {limits} }}\n", config(nodes, "", ""))
}

/// The status of a request by a client behind a trusted proxy, and its `Retry-After`.
async fn status(proxy: &Proxy, client: &str, target: &str) -> (u16, Option<String>) {
    let mut connection = Client::connect(proxy.address).await;
    let field = format!("X-Forwarded-For: {client}");
    connection.send(request("GET", target, &[&field], "")).await;
    let answer = connection.response().await;
    (answer.status(), answer.head.field("retry-after").map(str::to_owned))
}

#[tokio::test]
async fn a_network_has_so_many_connections_sessions_and_requests_and_no_more() {
    let node = FakeNode::engineio("a").await;
    // A rate that no test waits for.
    let yaml = limited(&[node.address], "sessions_per_second: 1, requests_per_second: 3");
    let proxy =
        Proxy::start(&yaml.replace("'127.0.0.1:0'", "'127.0.0.1:0', trusted_proxies: [127.0.0.1]"));
    // Even on a slow machine a token of each second is not enough for all of them.
    let refusals = async |client: &str, target: &str| {
        let mut refused = 0;
        for _ in 0..30 {
            let (found, retry_after) = status(&proxy, client, target).await;
            assert_eq!(found == 429, retry_after.is_some(), "{found}");
            refused += usize::from(found == 429);
        }
        refused
    };
    assert!(refusals("2001:db8::1", POLL).await >= 10);
    assert!(refusals("2001:db8::2", POLL).await >= 10, "the same /64");
    assert_eq!(status(&proxy, "2001:db8:0:1::1", POLL).await.0, 200, "another /64");
    assert!(refusals("192.0.2.1", "/").await >= 10);
    assert_eq!(status(&proxy, "192.0.2.2", "/").await.0, 200, "another address");

    let yaml = limited(&[node.address], "connections: 2");
    let mut process =
        ProxyProcess::start(&format!("{yaml}admin: {{ bind: '127.0.0.1:0' }}\n")).await;
    let (mut first, second) =
        (Client::connect(process.address).await, Client::connect(process.address).await);
    first.send(request("GET", "/", &[], "")).await;
    first.response().await;
    let mut third = Client::connect(process.address).await;
    third.until_end().await;
    let line = process.until_log("client_limits.connections").await;
    assert!(line.contains("network=127.0.0.1"), "{line}");
    drop((second, third));
}

#[tokio::test]
async fn a_connection_counts_for_the_client_that_its_proxy_header_names() {
    let node = FakeNode::start(|_| ok("")).await;
    let keys =
        "'127.0.0.1:0', trusted_proxies: [127.0.0.1, 192.0.2.0/24], proxy_protocol: optional";
    let yaml = limited(&[node.address], "connections: 2").replace("'127.0.0.1:0'", keys);
    let mut process =
        ProxyProcess::start(&format!("{yaml}admin: {{ bind: '127.0.0.1:0' }}\n")).await;
    let address = process.address;
    // The balancer's connection, if it is served.
    let connect = async |header: &str| {
        let mut balancer = Client::connect(address).await;
        balancer.send(format!("{header}GET / HTTP/1.1\r\nHost: a\r\n\r\n")).await;
        // It is reset if bytes were not read.
        let is_served = matches!(balancer.stream.peek(&mut [0]).await, Ok(1..));
        is_served.then_some(balancer)
    };
    let header = |client: &str| format!("PROXY TCP4 {client} 127.0.0.1 4711 80\r\n");
    let client = header("203.0.113.1");
    let first = connect(&client).await.unwrap();
    let _second = connect(&client).await.unwrap();
    assert!(connect(&client).await.is_none(), "it has two");
    let line = process.until_log("client_limits.connections").await;
    assert!(line.contains("network=203.0.113.1"), "{line}");
    let _other = connect(&header("203.0.113.2")).await.unwrap();
    let mut unlimited = Vec::new();
    for of_proxies in [header("192.0.2.1"), "PROXY UNKNOWN\r\n".to_owned(), String::new()] {
        for _ in 0..4 {
            unlimited.push(connect(&of_proxies).await.expect("the connections of many clients"));
        }
    }
    drop(first);
    // Its end may come later than this connection.
    while connect(&client).await.is_none() {}
}
