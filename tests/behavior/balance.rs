//! Which node a new session begins on.

use crate::support::{Client, FakeNode, Proxy, request};

const OPEN: &str = "/socket.io/?EIO=4&transport=polling";

async fn three() -> [FakeNode; 3] {
    [FakeNode::engineio("a").await, FakeNode::engineio("b").await, FakeNode::engineio("c").await]
}

fn before(nodes: &[FakeNode; 3], upstream: &str) -> Proxy {
    Proxy::before(&nodes.each_ref(), upstream, "")
}

/// The name of the node on which a session begins, with more header fields.
async fn opened(proxy: &Proxy, fields: &[&str]) -> char {
    let mut client = Client::connect(proxy.address).await;
    client.send(request("GET", OPEN, fields, "")).await;
    let answer = client.response().await;
    assert_eq!(answer.status(), 200);
    let text = answer.text();
    let (_, sid) = text.split_once("\"sid\":\"").unwrap();
    sid.chars().next().unwrap()
}

#[tokio::test]
async fn round_robin_goes_from_node_to_node() {
    let nodes = three().await;
    let proxy = before(&nodes, "balance: round-robin");
    let mut names = String::new();
    for _ in 0..9 {
        names.push(opened(&proxy, &[]).await);
    }
    let (first, rest) = names.split_at(3);
    assert_eq!(rest, first.repeat(2));
    assert!(first.contains('a') && first.contains('b') && first.contains('c'), "{first}");
}

#[tokio::test]
async fn random_two_reaches_all_nodes() {
    let nodes = three().await;
    let proxy = before(&nodes, "balance: random-two");
    for _ in 0..60 {
        opened(&proxy, &[]).await;
    }
    for node in &nodes {
        let sessions = node.requests().len();
        assert!((10..=30).contains(&sessions), "{sessions} of 60 on one of three nodes");
    }
}

#[tokio::test]
async fn a_user_comes_back_to_the_same_node_and_a_crowd_is_spread() {
    let nodes = three().await;
    let proxy = before(&nodes, "balance: { rendezvous: { by: { cookie: user } } }");
    // The node that each user prefers, asked for in a row so that none is over its bound.
    let mut preferred = Vec::new();
    for user in 0..30 {
        preferred.push(opened(&proxy, &[&format!("Cookie: a=b; user={user}")]).await);
    }
    let mut same = 0;
    for (user, node) in preferred.iter().enumerate() {
        let again = opened(&proxy, &[&format!("Cookie: user={user}; c=d")]).await;
        same += usize::from(again == *node);
    }
    assert!(same >= 20, "{same} of 30 came back to their node");

    // All of one user's sessions would be a third of the load of three nodes, and a quarter more.
    for _ in 0..60 {
        opened(&proxy, &["Cookie: user=crowd"]).await;
    }
    for node in &nodes {
        let sessions = node.requests().len();
        assert!((12..=70).contains(&sessions), "{sessions} of 120 on one of three nodes");
    }
}

#[tokio::test]
async fn without_the_property_the_load_decides() {
    let nodes = three().await;
    let proxy = before(&nodes, "balance: { rendezvous: { by: { query: room } } }");
    for _ in 0..9 {
        opened(&proxy, &[]).await;
    }
    for node in &nodes {
        assert_eq!(node.requests().len(), 3);
    }
}

#[tokio::test]
async fn a_full_node_gets_no_new_session() {
    let nodes = three().await;
    let proxy = before(&nodes, "max_connections: 1, admission: { hold: off }");
    let mut tunnels = Vec::new();
    for _ in 0..3 {
        let target = "/socket.io/?EIO=4&transport=websocket";
        tunnels.push(crate::support::websocket::open(proxy.address, target).await);
    }
    let mut client = Client::connect(proxy.address).await;
    client.send(request("GET", OPEN, &[], "")).await;
    assert_eq!(client.response().await.status(), 503, "all three are full");
}
