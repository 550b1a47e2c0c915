//! Sessions that no tag and no table knows.

use crate::support::{Client, FakeNode, Proxy, Reply, get, ok, request, response, websocket};

async fn nodes_and_proxy() -> ([FakeNode; 3], Proxy) {
    let nodes = [
        FakeNode::engineio("a").await,
        FakeNode::engineio("b").await,
        FakeNode::engineio("c").await,
    ];
    let proxy = Proxy::default_before(&nodes.each_ref());
    (nodes, proxy)
}

/// A node that knows its own sessions only, and answers every question about what it can do.
async fn with_preflight(name: &'static str) -> FakeNode {
    FakeNode::start(move |request| match request.head.method.as_str() {
        "GET" if request.query("sid").is_some_and(|sid| sid.starts_with(name)) => {
            ok(&format!("4{name}"))
        }
        "GET" => Reply::Bytes(response("400 Bad Request", r#"{"code":1}"#)),
        _ => Reply::Bytes(b"HTTP/1.1 204 No Content\r\n\r\n".to_vec()),
    })
    .await
}

fn asked(nodes: &[FakeNode]) -> usize {
    nodes.iter().map(|node| node.requests().len()).sum()
}

#[tokio::test]
async fn a_session_that_another_balancer_opened_is_found_and_learned() {
    let (nodes, proxy) = nodes_and_proxy().await;
    let target = "/socket.io/?EIO=4&transport=polling&sid=b-from-elsewhere";
    assert_eq!(get(proxy.address, target).await.text(), "4b");
    let before = asked(&nodes);
    assert_eq!(get(proxy.address, target).await.text(), "4b");
    assert_eq!(asked(&nodes), before + 1, "the second time it is known");
}

#[tokio::test]
async fn a_message_arrives_once_and_whole_at_the_node_that_has_the_session() {
    let (nodes, proxy) = nodes_and_proxy().await;
    let body = "4".repeat(100_000);
    let target = "/socket.io/?EIO=4&transport=polling&sid=c-from-elsewhere";
    let mut client = Client::connect(proxy.address).await;
    client.send(request("POST", target, &[], &body)).await;
    assert_eq!(client.response().await.text(), "ok");
    let taken: Vec<_> =
        nodes[2].requests().into_iter().filter(|request| request.body == body.as_bytes()).collect();
    assert_eq!(taken.len(), 1);
}

#[tokio::test]
async fn a_message_without_a_declared_length_arrives_too() {
    let (nodes, proxy) = nodes_and_proxy().await;
    let target = "/socket.io/?EIO=4&transport=polling&sid=c-from-elsewhere";
    let head =
        format!("POST {target} HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n");
    let mut client = Client::connect(proxy.address).await;
    client.send(format!("{head}3\r\n4he\r\n3\r\nllo\r\n0\r\n\r\n")).await;
    assert_eq!(client.response().await.text(), "ok");
    let is_taken = |node: &FakeNode| node.requests().iter().any(|asked| asked.body == b"4hello");
    assert!(is_taken(&nodes[2]));

    // What is too long to be kept goes to one node, as a whole.
    let proxy = Proxy::default_before(&[&nodes[2]]);
    let chunk = format!("{:x}\r\n{}\r\n", 200_000, "4".repeat(200_000));
    let mut client = Client::connect(proxy.address).await;
    client.send(format!("{head}{}0\r\n\r\n", chunk.repeat(10))).await;
    assert_eq!(client.response().await.text(), "ok");
    assert_eq!(nodes[2].requests().iter().map(|request| request.body.len()).max(), Some(2_000_000));
}

#[tokio::test]
async fn a_preflight_goes_to_one_node_and_teaches_nothing() {
    for name in ["a", "b", "c"] {
        let nodes =
            [with_preflight("a").await, with_preflight("b").await, with_preflight("c").await];
        let proxy = Proxy::default_before(&nodes.each_ref());
        let target = &format!("/socket.io/?EIO=3&transport=polling&sid={name}-from-elsewhere");
        let mut client = Client::connect(proxy.address).await;
        for method in ["OPTIONS", "HEAD"] {
            let before = asked(&nodes);
            client.send(request(method, target, &[], "")).await;
            assert_eq!(client.response().await.status(), 204);
            assert_eq!(asked(&nodes), before + 1, "{method}");
        }
        assert_eq!(get(proxy.address, target).await.text(), format!("4{name}"));
    }
}

#[tokio::test]
async fn a_message_that_a_node_may_have_taken_goes_to_no_other() {
    let failures: [(fn() -> Reply, u16); 3] = [
        (|| Reply::Hangup, 502),
        (|| Reply::Bytes(b"no HTTP\r\n\r\n".to_vec()), 502),
        (|| Reply::Bytes(response("503 Service Unavailable", "")), 503),
    ];
    for (fail, expected) in failures {
        let nodes =
            [FakeNode::start(move |_| fail()).await, FakeNode::start(move |_| fail()).await];
        let proxy = Proxy::default_before(&nodes.each_ref());
        let target = "/socket.io/?EIO=4&transport=polling&sid=from-elsewhere";
        let mut client = Client::connect(proxy.address).await;
        client.send(request("POST", target, &[], "4hello")).await;
        assert_eq!(client.response().await.status(), expected);
        assert_eq!(asked(&nodes), 1);
        assert!(get(proxy.address, target).await.status() >= 500);
        assert_eq!(asked(&nodes), 3, "a poll is asked of each");
    }
}

#[tokio::test]
async fn a_message_that_is_too_long_to_be_kept_is_sent_to_one_node() {
    let (nodes, _) = nodes_and_proxy().await;
    let proxy = Proxy::default_before(&[&nodes[2]]);
    let target = "/socket.io/?EIO=4&transport=polling&sid=c-from-elsewhere";
    let mut client = Client::connect(proxy.address).await;
    client.send(request("POST", target, &[], &"4".repeat(2_000_000))).await;
    assert_eq!(client.response().await.text(), "ok");
    assert_eq!(nodes[2].requests().iter().map(|request| request.body.len()).max(), Some(2_000_000));
}

#[tokio::test]
async fn an_upgrade_is_found_too() {
    let (nodes, proxy) = nodes_and_proxy().await;
    let target = "/socket.io/?EIO=4&transport=websocket&sid=b-from-elsewhere";
    let mut client = websocket::open(proxy.address, target).await;
    client.send(websocket::text("2probe")).await;
    assert_eq!(client.frame().await, Some((1, b"2probe".to_vec())));
    assert!(nodes[1].requests().iter().any(|request| request.head.is_upgrade()));
}

#[tokio::test]
async fn a_session_that_nobody_has_is_refused_and_not_asked_for_again() {
    let (nodes, proxy) = nodes_and_proxy().await;
    let target = "/socket.io/?EIO=4&transport=polling&sid=nobody";
    let refused = get(proxy.address, target).await;
    assert_eq!(refused.status(), 400);
    assert_eq!(refused.text(), r#"{"code":1,"message":"Session ID unknown"}"#);
    assert_eq!(asked(&nodes), 3, "every node was asked");
    get(proxy.address, target).await;
    assert_eq!(asked(&nodes), 3, "the second time none is");
}

#[tokio::test]
async fn strangers_cannot_make_us_ask_every_node_for_each_of_theirs() {
    let (nodes, proxy) = nodes_and_proxy().await;
    let mut client = Client::connect(proxy.address).await;
    let requests = 600;
    for number in 0..requests {
        client.get(&format!("/socket.io/?EIO=4&transport=polling&sid=stranger{number}")).await;
    }
    let asked = asked(&nodes);
    // One in ten may be asked for on the two other nodes; the burst allows some more.
    assert!(asked < requests * 2, "{asked} requests to nodes for {requests} of a stranger");
}
