//! Ordinary requests: what a node sees, what a client gets.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::time::Instant;

use crate::support::{Client, FakeNode, Proxy, Reply, config, get, ok, request, response};

#[tokio::test]
async fn a_node_is_told_who_the_client_is() {
    let node = FakeNode::start(|_| ok("")).await;
    let proxy = Proxy::default_before(&[&node]);
    let mut client = Client::connect_from("127.0.0.7", proxy.address).await;
    let fields = [
        "Connection: keep-alive, X-Private, X-Request-Id, X-Forwarded-For, Host",
        "X-Private: 1",
        "X-Real-IP: 6.6.6.6",
        "X_Forwarded_Proto: https",
        "True-Client-IP: 6.6.6.6",
        "X-Forwarded-Prefix: /forged",
        "Keep-Alive: timeout=9",
        "TE: trailers",
        "X-Forwarded-For: 6.6.6.6",
        "Forwarded: for=6.6.6.6",
        "X-Request-Id: mine",
        "Cookie: a=b",
    ];
    client.send(request("GET", "/path?query=1", &fields, "")).await;
    assert_eq!(client.response().await.status(), 200);

    let seen = node.requests().remove(0).head;
    assert_eq!(seen.target, "/path?query=1");
    assert_eq!(seen.field("host"), Some("test"));
    assert_eq!(seen.field("cookie"), Some("a=b"));
    assert_eq!(seen.field("x-forwarded-for"), Some("127.0.0.7"));
    assert_eq!(seen.field("x-forwarded-proto"), Some("http"));
    assert_eq!(seen.field("x-forwarded-host"), Some("test"));
    assert_eq!(seen.field("x-forwarded-port"), Some("80"));
    assert_eq!(seen.field("x-real-ip"), Some("127.0.0.7"));
    assert_eq!(seen.field("forwarded"), Some("for=127.0.0.7;host=\"test\";proto=http"));
    assert_eq!(seen.field("x-request-id").map(str::len), Some(32));
    for dropped in [
        "x-private",
        "keep-alive",
        "te",
        "x_forwarded_proto",
        "true-client-ip",
        "x-forwarded-prefix",
    ] {
        assert_eq!(seen.field(dropped), None);
    }
}

#[tokio::test]
async fn a_trusted_proxy_is_believed() {
    let node = FakeNode::start(|_| ok("")).await;
    let yaml = config(&[node.address], "", "")
        .replace("'127.0.0.1:0'", "'127.0.0.1:0', trusted_proxies: [127.0.0.0/8]");
    let proxy = Proxy::start(&yaml);
    let mut client = Client::connect(proxy.address).await;
    let fields = [
        "X-Forwarded-For: 6.6.6.6",
        "X-Forwarded-Proto: https",
        "X-Request-Id: from-outside",
        "Connection: x-forwarded-for",
    ];
    client.send(request("GET", "/", &fields, "")).await;
    client.response().await;
    let seen = node.requests().remove(0).head;
    assert_eq!(seen.field("x-forwarded-for"), Some("6.6.6.6, 127.0.0.1"));
    assert_eq!(seen.field("x-forwarded-proto"), Some("https"));
    assert_eq!(seen.field("x-real-ip"), Some("6.6.6.6"));
    assert_eq!(seen.field("x-forwarded-port"), Some("443"));
    assert_eq!(seen.field("x-request-id"), Some("from-outside"));
}

#[tokio::test]
async fn an_absolute_target_replaces_the_host() {
    let node = FakeNode::start(|_| ok("")).await;
    let proxy = Proxy::default_before(&[&node]);
    for (target, host, expected) in [
        ("http://b.c/x", "", "b.c"),
        ("http://b.c/x", "B.C", "b.c"),
        ("http://b.c:80/x", "b.c", "b.c:80"),
        ("http://b.c/x", "b.c:80", "b.c"),
        ("http://b.c/x", "d.e", "b.c"),
        ("http://b.c:81/x", "b.c", "b.c:81"),
    ] {
        let mut client = Client::connect(proxy.address).await;
        client.send(format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n")).await;
        assert_eq!(client.response().await.status(), 200, "{target} {host:?}");
        let seen = node.requests().pop().unwrap().head;
        assert_eq!(seen.target, "/x");
        assert_eq!(seen.field("host"), Some(expected));
        assert_eq!(seen.field("x-forwarded-host"), Some(expected));
    }
}

#[tokio::test]
async fn what_a_query_should_not_hold_reaches_the_node_encoded() {
    let node = FakeNode::start(|_| ok("")).await;
    let proxy = Proxy::default_before(&[&node]);
    let mut client = Client::connect(proxy.address).await;
    for (query, expected) in [
        (r#"filter={"room":"<a>"}&x=1"#, "filter={%22room%22:%22%3Ca%3E%22}&x=1"),
        ("a[]=1&b=%22|^`\\", "a[]=1&b=%22|^`\\"),
    ] {
        assert_eq!(client.get(&format!("/ws?{query}")).await.status(), 200);
        assert_eq!(node.requests().pop().unwrap().head.target, format!("/ws?{expected}"));
    }
    // Far longer than what is read at once.
    let query = "<".repeat(20_000);
    assert_eq!(client.get(&format!("/?{query}")).await.status(), 200);
    assert_eq!(node.requests().pop().unwrap().head.target, format!("/?{}", "%3C".repeat(20_000)));
}

#[tokio::test]
async fn names_of_fields_go_out_as_they_are_usually_written() {
    let answer = "HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\netag: \"1\"\r\nx-app: 1\r\n\
                  www-authenticate: Basic\r\nwww-authenticate: Bearer\r\n\r\n";
    let node = FakeNode::start(move |request| match request.head.is_upgrade() {
        true => Reply::Echo { behind: Vec::new() },
        false => Reply::Bytes(answer.into()),
    })
    .await;
    let proxy = Proxy::default_before(&[&node]);
    let handshake = [
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    ];
    for (fields, names) in [
        (&[][..], &["Content-Length", "ETag", "X-App", "WWW-Authenticate", "Date"][..]),
        (&handshake, &["Connection", "Upgrade", "Sec-WebSocket-Accept"]),
    ] {
        let mut client = Client::connect(proxy.address).await;
        client.send(request("GET", "/", fields, "")).await;
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(client.stream.read_u8().await.unwrap());
        }
        let head = String::from_utf8(head).unwrap();
        for name in names {
            assert!(head.contains(&format!("\r\n{name}: ")), "{name}: {head}");
        }
        assert!(!head.contains("Www-"), "{head}");
    }
}

#[tokio::test]
async fn what_is_asked_of_the_server_is_answered_by_it() {
    let node = FakeNode::start(|_| ok("")).await;
    let proxy = Proxy::default_before(&[&node]);
    let mut client = Client::connect(proxy.address).await;
    client.send("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let answer = client.response().await;
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.head.field("content-length"), Some("0"));
    assert!(answer.head.field("allow").unwrap().contains("GET"));
    assert!(answer.head.field("x-request-id").is_some());
    assert!(node.requests().is_empty());
    assert_eq!(client.get("/").await.status(), 200);
}

#[tokio::test]
async fn a_host_with_a_final_dot_finds_its_route_and_stays_as_it_is() {
    let node = FakeNode::start(|_| ok("")).await;
    let yaml = config(&[node.address], "", "host: chat.example.com");
    let proxy = Proxy::start(&yaml);
    for host in ["chat.example.com", "chat.example.com.", "CHAT.example.com.:8080"] {
        let mut client = Client::connect(proxy.address).await;
        client.send(format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n")).await;
        assert_eq!(client.response().await.status(), 200, "{host}");
        assert_eq!(node.requests().pop().unwrap().head.field("host"), Some(host));
    }
}

#[tokio::test]
async fn a_clients_and_a_nodes_connection_serve_many_requests() {
    let node = FakeNode::start(|_| ok("yes")).await;
    let proxy = Proxy::default_before(&[&node]);
    let mut client = Client::connect(proxy.address).await;
    for _ in 0..10 {
        assert_eq!(client.get("/").await.text(), "yes");
    }
    assert_eq!(node.connections(), 1);
}

#[tokio::test]
async fn fields_of_the_nodes_connection_stay_there() {
    let answer = "HTTP/1.1 200 OK\r\nConnection: keep-alive, X-Node\r\nX-Node: 1\r\n\
                  Keep-Alive: timeout=5\r\nSet-Cookie: a=b\r\nContent-Length: 2\r\n\r\nok";
    let node = FakeNode::start(|_| Reply::Bytes(answer.into())).await;
    let proxy = Proxy::default_before(&[&node]);
    let head = get(proxy.address, "/").await.head;
    assert_eq!(head.field("x-node"), None);
    assert_eq!(head.field("keep-alive"), None);
    assert_eq!(head.field("set-cookie"), Some("a=b"));
}

#[tokio::test]
async fn bodies_flow_while_they_are_sent() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy = Proxy::start(&config(&[listener.local_addr().unwrap()], "", ""));
    let mut client = Client::connect(proxy.address).await;

    let head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    client.send(format!("{head}3\r\none\r\n")).await;
    let (mut node, _) = listener.accept().await.unwrap();
    read_until(&mut node, "one\r\n").await;
    client.send("3\r\ntwo\r\n").await;
    read_until(&mut node, "two\r\n").await;
    client.send("0\r\n\r\n").await;
    read_until(&mut node, "0\r\n\r\n").await;

    node.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\none").await.unwrap();
    read_until(&mut client.stream, "one").await;
    node.write_all(b"two").await.unwrap();
    read_until(&mut client.stream, "two").await;
}

async fn read_until(stream: &mut tokio::net::TcpStream, end: &str) {
    let mut read = Vec::new();
    while !read.ends_with(end.as_bytes()) {
        assert_ne!(stream.read_buf(&mut read).await.unwrap(), 0, "{read:?}");
    }
}

#[tokio::test]
async fn a_client_that_goes_away_ends_its_poll_at_the_node_within_a_second() {
    let node = FakeNode::start(|_| Reply::Silence).await;
    let proxy = Proxy::default_before(&[&node]);
    let mut client = Client::connect(proxy.address).await;
    client.send(request("GET", "/socket.io/?EIO=4&transport=polling", &[], "")).await;
    node.until_requests(1).await;
    let left = Instant::now();
    drop(client);
    node.until_lost(1).await;
    assert!(left.elapsed().as_secs_f64() < 1.0);
}

#[tokio::test]
async fn a_connection_that_the_node_closed_meanwhile_costs_no_request() {
    let node = FakeNode::start(|_| Reply::Last(response("200 OK", "yes"))).await;
    let proxy = Proxy::default_before(&[&node]);
    let mut client = Client::connect(proxy.address).await;
    for count in 1..=10 {
        client.send(request("POST", "/", &[], "body")).await;
        assert_eq!(client.response().await.text(), "yes");
        node.until_lost(count).await;
    }
    assert_eq!(node.requests().len(), 10, "and none came twice");
}

#[tokio::test]
async fn a_message_that_may_have_reached_the_node_is_never_sent_again() {
    let nodes =
        [FakeNode::start(|_| Reply::Hangup).await, FakeNode::start(|_| Reply::Hangup).await];
    let proxy = Proxy::default_before(&nodes.each_ref());
    let mut client = Client::connect(proxy.address).await;
    client.send(request("POST", "/", &[], "body")).await;
    assert_eq!(client.response().await.status(), 502);
    let seen: usize = nodes.iter().map(|node| node.requests().len()).sum();
    assert_eq!(seen, 1);
}

#[tokio::test]
async fn a_handshake_goes_to_another_node_when_one_fails() {
    let refusing = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let rude = FakeNode::start(|_| Reply::Hangup).await;
    let good = FakeNode::engineio("good").await;
    let addresses = [refusing, rude.address, good.address];
    let proxy = Proxy::start(&config(&addresses, "", ""));
    for _ in 0..10 {
        let open = get(proxy.address, "/socket.io/?EIO=4&transport=polling").await;
        assert_eq!(open.status(), 200, "{}", open.text());
        let target = "/socket.io/?EIO=4&transport=websocket";
        crate::support::websocket::open(proxy.address, target).await;
    }
}

#[tokio::test]
async fn a_handshake_that_had_a_body_is_not_repeated_without_it() {
    let broken = FakeNode::start(|_| Reply::Hangup).await;
    let good = FakeNode::start(|_| ok("")).await;
    let proxy = Proxy::start(&config(&[broken.address, good.address], "", ""));
    for _ in 0..4 {
        let mut client = Client::connect(proxy.address).await;
        let target = "/socket.io/?EIO=4&transport=polling";
        client.send(request("GET", target, &[], "body")).await;
        client.response().await;
    }
    for seen in good.requests() {
        assert_eq!(
            seen.body, b"body",
            "the length of a body that is not sent hides the next request"
        );
    }
    assert!(broken.requests().len() + good.requests().len() <= 4);
}

#[tokio::test]
async fn a_refused_connect_lets_any_unbound_request_go_to_another_node() {
    let refusing = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let good = FakeNode::start(|_| ok("good")).await;
    let proxy = Proxy::start(&config(&[refusing, good.address], "", ""));
    for _ in 0..10 {
        let mut client = Client::connect(proxy.address).await;
        client.send(request("POST", "/", &[], "body")).await;
        assert_eq!(client.response().await.text(), "good");
    }
}

#[tokio::test]
async fn a_large_body_passes_both_ways() {
    let size = 900_000;
    let node = FakeNode::start(|request| ok(&String::from_utf8_lossy(&request.body))).await;
    let proxy = Proxy::default_before(&[&node]);
    let body: String = (0..size).map(|i| char::from(b'a' + (i % 26) as u8)).collect();
    let mut client = Client::connect(proxy.address).await;
    client.send(request("POST", "/", &[], &body)).await;
    assert!(client.response().await.text() == body);
}

#[tokio::test]
async fn an_http_1_0_client_is_served() {
    let node = FakeNode::start(|_| ok("yes")).await;
    let proxy = Proxy::default_before(&[&node]);
    let mut client = Client::connect(proxy.address).await;
    client.send("GET / HTTP/1.0\r\nHost: a\r\n\r\n").await;
    assert_eq!(client.response().await.text(), "yes");
    client.until_end().await;
}

#[tokio::test]
async fn an_http_1_0_client_is_told_whether_its_connection_is_kept() {
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nyes\r\n0\r\n\r\n";
    let old = "HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nyes";
    let node = FakeNode::start(move |request| match &*request.head.target {
        "/chunked" => Reply::Bytes(chunked.into()),
        "/old" => Reply::Last(old.into()),
        _ => ok("yes"),
    })
    .await;
    let proxy = Proxy::default_before(&[&node]);
    let mut client = Client::connect(proxy.address).await;
    for (target, connection) in
        [("/", "keep-alive"), ("/old", "keep-alive"), ("/", "keep-alive"), ("/chunked", "close")]
    {
        let fields = "Host: a\r\nConnection: keep-alive\r\n";
        client.send(format!("GET {target} HTTP/1.0\r\n{fields}\r\n")).await;
        let answer = client.response().await;
        assert_eq!(answer.head.method, "HTTP/1.0");
        assert_eq!(answer.head.field("connection"), Some(connection), "{target}");
        assert_eq!(answer.text(), "yes");
    }
    client.until_end().await;
}

#[tokio::test]
async fn many_clients_at_once_are_served() {
    let count = std::sync::Arc::new(AtomicUsize::new(0));
    let node = FakeNode::start(|request| ok(&request.head.target)).await;
    let proxy = Proxy::default_before(&[&node]);
    let mut clients = tokio::task::JoinSet::new();
    for number in 0..100 {
        let (address, count) = (proxy.address, count.clone());
        clients.spawn(async move {
            let target = format!("/{number}");
            assert_eq!(get(address, &target).await.text(), target);
            count.fetch_add(1, Ordering::Relaxed);
        });
    }
    clients.join_all().await;
    assert_eq!(count.load(Ordering::Relaxed), 100);
}
