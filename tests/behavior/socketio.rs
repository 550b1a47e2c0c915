//! The truth: real Socket.IO servers and clients of three generations, through Sockeye.

use std::time::Duration;

use tokio::time::Instant;

use crate::support::balancer::Balancer;
use crate::support::front::Fronts;
use crate::support::redis::Redis;
use crate::support::socketio::{NodeServer, StayingClients, held, run_client, run_python_client};
use crate::support::{Proxy, ProxyProcess, get, http};

const TRANSPORTS: [&str; 3] = ["polling", "websocket", "polling,websocket"];

/// Nodes of one kind, and a proxy in front of them.
struct Cluster {
    nodes: Vec<NodeServer>,
    fronts: Fronts,
}

impl Cluster {
    /// Two nodes: enough for a request to go astray.
    async fn of(arguments: &[&str]) -> Self {
        let nodes = vec![NodeServer::start(arguments).await, NodeServer::start(arguments).await];
        Self::before(nodes)
    }

    fn before(nodes: Vec<NodeServer>) -> Self {
        let fronts = Fronts::before(&nodes.iter().collect::<Vec<_>>(), "");
        Self { nodes, fronts }
    }

    /// For clients who come plainly.
    fn url(&self) -> String {
        format!("http://{}", self.fronts.plain.address)
    }

    /// Runs a scenario of socket.io-client by every transport, plainly and by TLS.
    async fn holds(&self, line: &str, scenario: &str) {
        for front in self.fronts.all() {
            for transports in TRANSPORTS {
                let arguments = ["--line", line, "--scenario", scenario];
                let arguments = [&arguments[..], &["--transports", transports]].concat();
                held(front.client(&arguments).await);
            }
        }
    }
}

fn yaml(nodes: &[NodeServer]) -> String {
    let addresses: Vec<_> = nodes.iter().map(|node| node.address().parse().unwrap()).collect();
    crate::support::config(&addresses, "", "")
}

#[tokio::test]
async fn clients_of_the_4_line_with_servers_of_the_4_line() {
    let cluster = Cluster::of(&[]).await;
    cluster.holds("4", "basics").await;
    cluster.holds("4", "ordered").await;
}

#[tokio::test]
async fn clients_of_the_3_line_with_servers_of_the_4_line() {
    let cluster = Cluster::of(&[]).await;
    cluster.holds("3", "basics").await;
    cluster.holds("3", "ordered").await;
}

#[tokio::test]
async fn clients_of_the_2_line_with_servers_of_the_2_line() {
    let cluster = Cluster::of(&["--line", "2"]).await;
    cluster.holds("2", "basics").await;
    cluster.holds("2", "ordered").await;
}

#[tokio::test]
async fn clients_of_the_2_line_with_servers_of_the_4_line() {
    let cluster = Cluster::of(&["--allow-eio3"]).await;
    cluster.holds("2", "basics").await;
    cluster.holds("2", "ordered").await;
}

#[tokio::test]
async fn a_python_client_with_javascript_servers() {
    let cluster = Cluster::of(&[]).await;
    for front in cluster.fronts.all() {
        for transports in TRANSPORTS {
            held(front.python_client(&["--transports", transports]).await);
        }
    }
}

#[tokio::test]
async fn javascript_clients_with_python_servers() {
    let nodes = vec![NodeServer::start_python(&[]).await, NodeServer::start_python(&[]).await];
    let cluster = Cluster::before(nodes);
    cluster.holds("4", "basics").await;
    cluster.holds("4", "ordered").await;
}

#[tokio::test]
async fn polling_by_script_tags() {
    for (server, line) in [("4", "4"), ("2", "2")] {
        let cluster = Cluster::of(&["--line", server]).await;
        for front in cluster.fronts.all() {
            held(front.client(&["--line", line, "--scenario", "jsonp"]).await);
        }
    }
}

#[tokio::test]
async fn plain_websockets_with_compression() {
    let cluster = Cluster::of(&[]).await;
    for front in cluster.fronts.all() {
        held(front.client(&["--scenario", "deflate"]).await);
    }
}

#[tokio::test]
async fn handshakes_that_the_node_compresses() {
    let cluster = Cluster::of(&["--threshold", "1"]).await;
    cluster.holds("4", "basics").await;
}

/// All the rules of a tunnel on, each as tight as a client that is well can bear: the longest message
/// of `basics` has 900,015 bytes, `ordered` sends 1,000 at once and a few around them.
const TIGHT: &str = "tunnel: { idle_timeout: auto, keepalive: { every: 1s, lost_after: 1s }, \
                     message_max: 900015B, messages_per_second: 1005, stalled_client: 1s, \
                     idle_messages: 1m, max_age: 2m, buffer: 4KiB }";

#[tokio::test]
async fn clients_of_all_lines_within_tight_rules() {
    for (server, line) in [("4", "4"), ("4", "3"), ("2", "2"), ("4", "2")] {
        let node = NodeServer::start(&["--line", server, "--allow-eio3"]).await;
        let proxy = tight_before(&node);
        let url = format!("http://{}", proxy.address);
        for (scenario, transports) in
            [("basics", "websocket"), ("ordered", "websocket"), ("ordered", "polling,websocket")]
        {
            let arguments = ["--url", &url, "--line", line, "--scenario", scenario];
            held(run_client(&[&arguments[..], &["--transports", transports]].concat()).await);
        }
    }
}

#[tokio::test]
async fn python_within_tight_rules() {
    let (server, python_server) =
        tokio::join!(NodeServer::start(&[]), NodeServer::start_python(&[]));
    for node in [&server, &python_server] {
        let proxy = tight_before(node);
        let url = format!("http://{}", proxy.address);
        for transports in &TRANSPORTS[1..] {
            held(run_python_client(&["--url", &url, "--transports", transports]).await);
            let arguments = ["--url", &url, "--scenario", "basics", "--transports", transports];
            held(run_client(&arguments).await);
        }
    }
}

#[tokio::test]
async fn real_clients_and_servers_answer_our_pings() {
    let (server, python_server) =
        tokio::join!(NodeServer::start(&[]), NodeServer::start_python(&[]));
    let (proxy, python_proxy) = (tight_before(&server), tight_before(&python_server));
    let mut staying = Vec::new();
    for proxy in [&proxy, &python_proxy] {
        let url = format!("http://{}", proxy.address);
        let arguments = ["--url", &url, "--clients", "6", "--transports", "websocket"];
        staying.push(StayingClients::start(&arguments).await);
    }
    // Longer than a side that does not answer lives.
    let url = format!("http://{}", proxy.address);
    held(run_python_client(&["--url", &url, "--transports", "websocket", "--quiet", "5"]).await);
    for clients in staying {
        let result = held(clients.finish().await);
        assert_eq!(result["disconnects"], 0, "{result}");
    }
}

fn tight_before(node: &NodeServer) -> Proxy {
    Proxy::start(&crate::support::config(&[node.address().parse().unwrap()], "", TIGHT))
}

/// Three nodes, `n1` to `n3`.
async fn three(arguments: &[&str]) -> Vec<NodeServer> {
    let mut nodes = Vec::new();
    for name in ["n1", "n2", "n3"] {
        nodes.push(NodeServer::start(&[&["--name", name], arguments].concat()).await);
    }
    nodes
}

/// Two proxies without shared state: one in this process, one of its own.
async fn two_proxies(nodes: &[NodeServer]) -> (Proxy, ProxyProcess) {
    let yaml = yaml(nodes);
    (Proxy::start(&yaml), ProxyProcess::start(&yaml).await)
}

#[tokio::test]
async fn a_rooms_messages_reach_each_member_once_over_nodes_and_proxies() {
    let redis = Redis::start().await;
    let nodes = three(&["--redis", &redis.socket()]).await;
    let (first, second) = two_proxies(&nodes).await;
    let balancer = Balancer::over(vec![first.address, second.address]).await;
    let result = held(run_client(&["--url", &balancer.url(), "--scenario", "rooms"]).await);
    assert_eq!(result["members"].as_array().map(Vec::len), Some(30), "{result}");
    assert_eq!(result["nodes"].as_object().map(|nodes| nodes.len()), Some(3), "{result}");
}

#[tokio::test]
async fn polling_clients_that_change_connection_address_and_proxy_keep_their_session() {
    for line in ["4", "2"] {
        let nodes = three(&["--line", line]).await;
        let (first, second) = two_proxies(&nodes).await;
        let url = format!("http://{},http://{}", first.address, second.address);
        let arguments = ["--url", &url, "--line", line, "--scenario", "roaming"];
        let result = held(run_client(&arguments).await);
        assert_eq!(result["unknown_sessions"], 0, "{result}");
        assert_eq!(result["nodes"].as_object().map(|nodes| nodes.len()), Some(3), "{result}");
    }
}

#[tokio::test]
async fn clients_of_a_killed_node_are_back_on_others_within_5_seconds() {
    let mut cluster = Cluster::before(three(&[]).await);
    let url = cluster.url();
    let mut clients = StayingClients::start(&["--url", &url, "--clients", "24"]).await;
    let lost = clients.first.iter().filter(|connect| connect["node"] == "n1").count();
    assert!(lost >= 4, "clients are spread: {:?}", clients.first);

    cluster.nodes[0].kill().await;
    let killed = Instant::now();
    for _ in 0..lost {
        let back = clients.event("connect").await;
        assert_ne!(back["node"], "n1");
    }
    let waited = killed.elapsed();
    assert!(waited < Duration::from_secs(5), "all are back after {waited:?}");
    held(clients.finish().await);
}

#[tokio::test]
async fn requests_with_a_killed_nodes_sids_are_answered_within_50_ms() {
    let mut cluster =
        Cluster::before(vec![NodeServer::start(&[]).await, NodeServer::start(&[]).await]);
    let open = "/socket.io/?EIO=4&transport=polling";
    let mut sids = Vec::new();
    for _ in 0..8 {
        let body = get(cluster.fronts.plain.address, open).await.text();
        sids.push(body.split('"').nth(3).unwrap().to_owned());
    }
    cluster.nodes[0].kill().await;
    cluster.nodes[1].kill().await;
    let mut client = http::Client::connect(cluster.fronts.plain.address).await;
    let mut waits = Vec::new();
    for sid in sids {
        let asked = Instant::now();
        let answer = client.get(&format!("{open}&sid={sid}")).await;
        waits.push(asked.elapsed());
        assert_eq!(answer.status(), 502, "{}", answer.text());
    }
    // The median: on a busy machine one of eight may have waited for its turn.
    waits.sort();
    assert!(waits[4] < Duration::from_millis(50), "answered after {waits:?}");
}
