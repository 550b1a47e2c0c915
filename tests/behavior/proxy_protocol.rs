//! PROXY headers from and to programs that others wrote.

use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;

use crate::support::relay::Relay;
use crate::support::{Client, Exposition, FakeNode, Proxy, config, ok, request};

/// A proxy behind a balancer on this machine.
fn behind_balancer(nodes: &[&FakeNode], upstream: &str) -> Proxy {
    let addresses: Vec<_> = nodes.iter().map(|node| node.address).collect();
    let keys = "'127.0.0.1:0', trusted_proxies: [127.0.0.1], proxy_protocol: required";
    Proxy::start(&config(&addresses, upstream, "").replace("'127.0.0.1:0'", keys))
}

/// The client's address as the node is told after a request through `relay`.
async fn told(relay: &Relay, node: &FakeNode) -> (String, String) {
    let before = node.requests().len();
    let mut client = Client::connect_from("127.0.0.7", relay.address).await;
    client.send(request("GET", "/", &["X-Forwarded-For: 6.6.6.6"], "")).await;
    assert_eq!(client.response().await.status(), 200);
    let seen = node.requests().remove(before).head;
    let field = |name| seen.field(name).unwrap_or_default().to_owned();
    (field("x-forwarded-for"), field("x-forwarded-proto"))
}

#[tokio::test]
async fn haproxys_headers_of_both_versions_name_the_client() {
    let node = FakeNode::start(|_| ok("")).await;
    let proxy = behind_balancer(&[&node], "");
    for options in [
        "send-proxy",
        "send-proxy-v2",
        "send-proxy-v2 proxy-v2-options crc32c",
        "send-proxy-v2 proxy-v2-options unique-id,crc32c,authority",
        "send-proxy-v2-ssl-cn",
    ] {
        let relay = Relay::haproxy(&format!(
            "\n  mode tcp\n  unique-id-format %{{+X}}o%pid-%rt\n  server sockeye {} {options}",
            proxy.address
        ));
        let expected = ("127.0.0.7".to_owned(), "http".to_owned());
        assert_eq!(told(&relay, &node).await, expected, "{options}");
    }
}

#[tokio::test]
async fn nginxs_header_names_the_client() {
    let node = FakeNode::start(|_| ok("")).await;
    let proxy = behind_balancer(&[&node], "");
    let relay = Relay::nginx(&format!(
        "stream {{ server {{ listen LISTEN; proxy_pass {}; proxy_protocol on; }} }}",
        proxy.address
    ))
    .await;
    assert_eq!(told(&relay, &node).await, ("127.0.0.7".to_owned(), "http".to_owned()));
}

#[tokio::test]
async fn health_checks_of_haproxy_pass_without_a_client() {
    for version in ["send-proxy", "send-proxy-v2"] {
        let node = FakeNode::start(|_| ok("")).await;
        let proxy = behind_balancer(&[&node], "");
        let _relay = Relay::haproxy(&format!(
            "\n  mode http\n  option httpchk GET /checked\n  \
             server sockeye {} {version} check inter 50",
            proxy.address
        ));
        node.until_requests(1).await;
        assert_eq!(node.requests()[0].head.target, "/checked", "{version}");
    }
}

#[tokio::test]
async fn haproxy_as_a_node_is_told_the_client_in_both_versions() {
    for version in ["v1", "v2"] {
        let relay = Relay::haproxy(
            "accept-proxy\n  mode http\n  http-request return status 200 hdr x-seen \
             \"%[src]:%[src_port]\" content-type text/plain string ok",
        );
        let yaml = config(&[relay.address], &format!("proxy_protocol: {version}"), "");
        let proxy = Proxy::start(&yaml);
        for source in ["127.0.0.7", "127.0.0.8"] {
            let mut client = Client::connect_from(source, proxy.address).await;
            let own = client.stream.local_addr().unwrap().to_string();
            for _ in 0..2 {
                let response = client.get("/").await;
                assert_eq!(response.head.field("x-seen"), Some(own.as_str()), "{version}");
            }
        }
    }
}

#[tokio::test]
async fn nginx_as_a_node_is_told_the_client_in_both_versions() {
    for version in ["v1", "v2"] {
        let relay = Relay::nginx(
            "http { server { listen LISTEN proxy_protocol; \
             location / { return 200 \"$proxy_protocol_addr:$proxy_protocol_port\"; } } }",
        )
        .await;
        let yaml = config(&[relay.address], &format!("proxy_protocol: {version}"), "");
        let proxy = Proxy::start(&yaml);
        let mut client = Client::connect_from("127.0.0.7", proxy.address).await;
        let own = client.stream.local_addr().unwrap().to_string();
        assert_eq!(client.get("/").await.text(), own, "{version}");
    }
}

#[tokio::test]
async fn a_websocket_to_a_node_that_requires_a_header_names_its_client() {
    let node = FakeNode::engineio("a").await;
    let relay = Relay::haproxy(&format!(
        "accept-proxy\n  mode http\n  option forwardfor header x-seen\n  server node {}",
        node.address
    ));
    let proxy = Proxy::start(&config(&[relay.address], "proxy_protocol: v2", ""));
    let mut client = Client::connect_from("127.0.0.7", proxy.address).await;
    let fields = [
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    ];
    let target = "/socket.io/?EIO=4&transport=websocket";
    client.send(request("GET", target, &fields, "")).await;
    assert_eq!(client.response().await.status(), 101);
    assert_eq!(node.requests()[0].head.field("x-seen"), Some("127.0.0.7"));
}

#[tokio::test]
async fn health_checks_name_no_client() {
    for (version, expected) in
        [("v1", "PROXY TCP4 127.0.0.1 127.0.0.1 "), ("v2", "\r\n\r\n\0\r\nQUIT\n\x20\0\0\0")]
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let _proxy = Proxy::start(&config(&[address], &format!("proxy_protocol: {version}"), ""));
        let mut check = listener.accept().await.unwrap().0;
        let mut sent = Vec::new();
        check.read_to_end(&mut sent).await.unwrap();
        assert!(sent.starts_with(expected.as_bytes()), "{}", sent.escape_ascii());
    }
}

#[tokio::test]
async fn a_client_of_a_trusted_proxy_is_named_without_its_port() {
    let relay = Relay::haproxy(
        "accept-proxy\n  mode http\n  http-request return status 200 hdr x-seen \
         \"%[src]:%[src_port]\" content-type text/plain string ok",
    );
    let yaml = config(&[relay.address], "proxy_protocol: v2", "")
        .replace("'127.0.0.1:0'", "'127.0.0.1:0', trusted_proxies: [127.0.0.1]");
    let proxy = Proxy::start(&yaml);
    let mut client = Client::connect(proxy.address).await;
    for forwarded in ["203.0.113.9", "203.0.113.10", "203.0.113.9"] {
        let field = format!("X-Forwarded-For: {forwarded}");
        client.send(request("GET", "/", &[&field], "")).await;
        let response = client.response().await;
        // HAProxy writes nothing for port 0.
        assert_eq!(response.head.field("x-seen"), Some(format!("{forwarded}:").as_str()));
    }
}

#[tokio::test]
async fn connections_without_a_required_header_are_counted() {
    let node = FakeNode::start(|_| ok("")).await;
    let keys = "'127.0.0.1:0', trusted_proxies: [127.0.0.1], proxy_protocol: required";
    let yaml = config(&[node.address], "", "").replace("'127.0.0.1:0'", keys);
    let proxy = Proxy::start(&(yaml + "admin: { bind: '127.0.0.1:0' }\n"));
    for source in ["127.0.0.1", "127.0.0.7"] {
        let mut client = Client::connect_from(source, proxy.address).await;
        client.send(request("GET", "/", &[], "")).await;
        assert!(client.until_end().await.is_empty());
    }
    for reason in ["proxy_header_missing", "proxy_header_untrusted"] {
        let series = format!("sockeye_connection_ends_total{{reason=\"{reason}\"}}");
        Exposition::until(proxy.admin.unwrap(), &series, 1.0).await;
    }
    assert!(node.requests().is_empty());
}
