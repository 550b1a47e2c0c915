//! Proofs for the authority that issues certificates: requests of its validators.

use std::path::Path;

use crate::support::{Client, FakeNode, Proxy, config, ok, request};

/// A proxy whose store has a proof for `token`.
async fn proxy(node: &FakeNode, store: &Path) -> Proxy {
    let directory = store.join("challenges/http-01");
    std::fs::create_dir_all(&directory).unwrap();
    std::fs::write(directory.join("token"), "token.thumbprint").unwrap();
    let store = store.display();
    let section = format!("acme: {{ store: '{store}', agree_to_terms: true }}\n");
    Proxy::start(&format!("{section}{}", config(&[node.address], "", "")))
}

#[tokio::test]
async fn a_proof_is_answered_before_any_route_and_only_if_there_is_one() {
    let node = FakeNode::start(|_| ok("from the node")).await;
    let store = tempfile::tempdir().unwrap();
    let proxy = proxy(&node, store.path()).await;
    let mut client = Client::connect(proxy.address).await;
    let answer = client.get("/.well-known/acme-challenge/token").await;
    assert_eq!((answer.status(), &*answer.text()), (200, "token.thumbprint"));
    assert_eq!(answer.head.field("content-type"), Some("application/octet-stream"));
    assert_eq!(answer.head.field("cache-control"), Some("no-store"));

    for path in ["token2", "", "token/", "%74oken"] {
        let target = format!("/.well-known/acme-challenge/{path}");
        let answer = client.get(&target).await;
        assert_eq!(answer.text(), "from the node", "{path}");
    }
    let outside = client.get("/.well-known/acme-challenge/../http-01/token").await;
    assert_eq!(outside.status(), 400);
    let mut client = Client::connect(proxy.address).await;
    let post = request("POST", "/.well-known/acme-challenge/token", &[], "x");
    client.send(post).await;
    assert_eq!(client.response().await.text(), "from the node");
}

#[tokio::test]
async fn without_an_authority_the_path_is_one_like_any_other() {
    let node = FakeNode::start(|_| ok("from the node")).await;
    let proxy = Proxy::default_before(&[&node]);
    let mut client = Client::connect(proxy.address).await;
    let answer = client.get("/.well-known/acme-challenge/token").await;
    assert_eq!(answer.text(), "from the node");
}
