//! Nodes that fail their clients' handshakes, and requests that no node can answer.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::Value;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;
use tokio::time::Instant;

use crate::support::http::read_head;
use crate::support::{
    Client, Exposition, FakeNode, Proxy, Reply, config, ok, open_packet, response,
};

const HANDSHAKE: &str = "/socket.io/?EIO=4&transport=polling";

/// Any three failures of three clients eject a node, and no check finds anything.
const EJECTING: &str = "balance: round-robin, health: { eject_after: 3, every: 1h }";

/// A node that has not answered after half of this is compared with another one.
const IMPATIENT: &str = "response_timeout: 1s";

fn start(nodes: &[&FakeNode], route: &str) -> Proxy {
    let addresses: Vec<_> = nodes.iter().map(|node| node.address).collect();
    start_before(&addresses, route)
}

fn start_before(nodes: &[SocketAddr], route: &str) -> Proxy {
    Proxy::start(&(config(nodes, EJECTING, route) + "admin: { bind: '127.0.0.1:0' }\n"))
}

async fn ill() -> FakeNode {
    FakeNode::start(|_| Reply::Bytes(response("500 Oops", ""))).await
}

/// What the admin listener says of the node at this place.
async fn shown(proxy: &Proxy, index: usize) -> Value {
    let mut client = Client::connect(proxy.admin.unwrap()).await;
    client.send("GET /nodes HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    let shown: Value = serde_json::from_slice(&client.response().await.body).unwrap();
    shown["upstreams"][0]["nodes"][index].clone()
}

async fn ejected(proxy: &Proxy, nodes: usize) -> usize {
    let mut ejected = 0;
    for index in 0..nodes {
        ejected += usize::from(shown(proxy, index).await["state"] == "ejected");
    }
    ejected
}

/// What a handshake of the client at `127.0.0.LAST` is answered.
async fn handshake_from(last: u8, proxy: &Proxy) -> u16 {
    ask_from(last, proxy, HANDSHAKE).await
}

async fn ask_from(last: u8, proxy: &Proxy, target: &str) -> u16 {
    let mut client = Client::connect_from(&format!("127.0.0.{last}"), proxy.address).await;
    client.get(target).await.status()
}

#[tokio::test]
async fn a_node_that_fails_the_handshakes_of_three_clients_is_ejected() {
    let ill = ill().await;
    let well = [FakeNode::engineio("b").await, FakeNode::engineio("c").await];
    let proxy = start(&[&ill, &well[0], &well[1]], "");
    assert_eq!(handshake_from(2, &proxy).await, 500, "one failure is the client's answer");
    for _ in 0..30 {
        assert_eq!(handshake_from(2, &proxy).await, 200, "a second one is compared");
        assert_eq!(handshake_from(3, &proxy).await, 200);
    }
    assert_eq!(shown(&proxy, 0).await["state"], "up", "it may be these two");

    for last in [2, 3, 4].into_iter().cycle().take(30) {
        assert_eq!(handshake_from(last, &proxy).await, 200);
    }
    let ill_node = shown(&proxy, 0).await;
    assert_eq!((&ill_node["state"], &ill_node["ejections"]), (&"ejected".into(), &1.into()));
    let seen = ill.requests().len();
    for last in 2..12 {
        assert_eq!(handshake_from(last, &proxy).await, 200);
    }
    assert_eq!(ill.requests().len(), seen);
    let page = Exposition::scrape(proxy.admin.unwrap()).await;
    let labels = format!("{{upstream=\"chat\",node=\"{}\"", ill.address);
    assert_eq!(page.value(&format!("sockeye_node_ejections_total{labels}}}")), 1.0);
    assert_eq!(page.value(&format!("sockeye_node_state{labels},state=\"ejected\"}}")), 1.0);
    assert_eq!(page.value(&format!("sockeye_node_state{labels},state=\"up\"}}")), 0.0);
}

#[tokio::test]
async fn half_of_the_nodes_are_never_ejected() {
    let nodes = [ill().await, ill().await, FakeNode::engineio("c").await];
    let proxy = start(&nodes.each_ref(), "");
    for last in 2..60 {
        handshake_from(last, &proxy).await;
    }
    assert_eq!(ejected(&proxy, 3).await, 1);
}

#[tokio::test]
async fn a_node_that_breaks_handshakes_off_is_ejected_and_one_that_refuses_is_not() {
    let breaks = FakeNode::start(|_| Reply::Hangup).await;
    let refuses = FakeNode::start(|_| {
        Reply::Bytes(response("403 Forbidden", r#"{"code":4,"message":"Forbidden"}"#))
    })
    .await;
    let well = FakeNode::engineio("c").await;
    let proxy = start(&[&breaks, &refuses, &well], "");
    for last in 2..20 {
        assert_ne!(handshake_from(last, &proxy).await, 502);
    }
    assert_eq!(shown(&proxy, 0).await["state"], "ejected");
    assert_eq!(shown(&proxy, 1).await["state"], "up");
}

#[tokio::test]
async fn a_node_that_lets_handshakes_hang_costs_its_clients_a_wait_and_is_ejected() {
    let hangs = FakeNode::start(|_| Reply::Silence).await;
    let well = FakeNode::engineio("b").await;
    let proxy = start(&[&hangs, &well], IMPATIENT);
    for last in 2..10 {
        assert_eq!(handshake_from(last, &proxy).await, 200);
    }
    assert_eq!(shown(&proxy, 0).await["state"], "ejected");
    assert_eq!(hangs.requests().len(), 3);
}

#[tokio::test]
async fn a_handshake_that_no_node_can_answer_ejects_nobody() {
    let answers: [fn() -> Reply; 3] = [
        || Reply::Bytes(response("503 Service Unavailable", "")),
        || Reply::Silence,
        || Reply::Hangup,
    ];
    let poison = format!("{HANDSHAKE}&poison=1");
    for (expected, answer) in [503, 504, 502].into_iter().zip(answers) {
        let node = || {
            FakeNode::start(move |request| match request.head.target.contains("poison") {
                true => answer(),
                false => ok(&open_packet("a0")),
            })
        };
        let nodes = [node().await, node().await];
        let proxy = start(&nodes.each_ref(), IMPATIENT);
        // Often, from many addresses, and between handshakes that succeed.
        for _ in 0..3 {
            let asked = (2..30).map(|last| ask_from(last, &proxy, &poison));
            for status in join_all(asked).await {
                assert_eq!(status, expected);
            }
            assert_eq!(handshake_from(2, &proxy).await, 200);
        }
        assert_eq!(ejected(&proxy, 2).await, 0, "{expected}");
        let seen = nodes.iter().flat_map(FakeNode::requests);
        let seen = seen.filter(|request| request.head.target.contains("poison")).count();
        // Two nodes, and one more time for a connection that a node has closed at the same moment.
        assert!(seen <= 3 * 3 * 28, "{expected}: {seen}");
    }
}

#[tokio::test]
async fn a_node_that_answers_late_is_not_cut_off_for_one_that_does_not_answer() {
    let slow = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let hangs = FakeNode::start(|_| Reply::Silence).await;
    let proxy = start_before(&[slow.local_addr().unwrap(), hangs.address], "response_timeout: 10s");
    let answers = async {
        let (mut stream, _) = slow.accept().await.unwrap();
        read_head(&mut stream, &mut Vec::new()).await.unwrap();
        let begun = Instant::now();
        hangs.until_requests(1).await;
        assert!(begun.elapsed() > Duration::from_secs(4), "a slow server has its time");
        stream.write_all(&response("200 OK", &open_packet("slow0"))).await.unwrap();
        stream
    };
    let (status, _stream) = tokio::join!(handshake_from(2, &proxy), answers);
    assert_eq!(status, 200);
}
