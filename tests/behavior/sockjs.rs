//! SockJS: the session is in the path, and any proxy finds its node by it.

use crate::support::balancer::Balancer;
use crate::support::socketio::{NodeServer, held, run_sockjs};
use crate::support::websocket::ask;
use crate::support::{FakeNode, Proxy, Reply, config, get, ok};

const BY_PATH: &str = "affinity: { rendezvous: { by: { path: /echo/*/:key } } }";

#[tokio::test]
async fn sockjs_clients_stay_on_their_node_by_any_transport_and_any_proxy() {
    let nodes = [NodeServer::start_sockjs("n1").await, NodeServer::start_sockjs("n2").await];
    let addresses = nodes.each_ref().map(|node| node.address().parse().unwrap());
    let proxies = [(); 2].map(|()| Proxy::start(&config(&addresses, BY_PATH, "")));
    // Each connection goes to the next proxy.
    let balancer = Balancer::over(proxies.iter().map(|proxy| proxy.address).collect()).await;
    let url = balancer.url();
    let result = held(run_sockjs(&["--url", &url, "--clients", "8"]).await);
    let used = result["nodes"].to_string();
    assert!(used.contains("n1") && used.contains("n2"), "{used}");
}

/// A node that says its name, and echoes WebSockets.
async fn named(name: &'static str) -> FakeNode {
    FakeNode::start(move |request| match request.head.is_upgrade() {
        true => Reply::Echo { behind: Vec::new() },
        false => ok(name),
    })
    .await
}

#[tokio::test]
async fn the_same_part_of_a_path_leads_to_the_same_node() {
    let nodes = [named("a").await, named("b").await, named("c").await];
    let upstream = format!("max_connections: 1, {BY_PATH}");
    let [one, other] = [(); 2].map(|()| Proxy::before(&nodes.each_ref(), &upstream, ""));
    let mut seen = String::new();
    for session in 0..20 {
        let first = get(one.address, &format!("/echo/000/s{session}/xhr")).await.text();
        for path in [format!("/echo/123/s{session}/xhr_send?t=1"), format!("/echo/9/s{session}")] {
            assert_eq!(get(other.address, &path).await.text(), first, "{path}");
        }
        seen.push_str(&first);
    }
    assert!(["a", "b", "c"].iter().all(|name| seen.contains(name)), "{seen}");

    // A full node keeps what is there already.
    let first = get(one.address, "/echo/000/full/xhr").await.text();
    let (_tunnel, switched) = ask(one.address, "/echo/000/full/websocket", &[]).await;
    assert_eq!(switched.status(), 101);
    assert_eq!(get(one.address, "/echo/000/full/xhr").await.text(), first);
}
