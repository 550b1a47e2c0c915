//! Real Socket.IO nodes behind a proxy that is a process of its own.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::Value;
use tokio::task::JoinHandle;
use tokio::time::{interval, timeout};

use super::figures::print_descriptor_limit;
use crate::support::socketio::NodeServer;
use crate::support::{Client, Exposition, ProxyProcess, get, request};

/// Three nodes and their proxy.
pub struct Cluster {
    pub nodes: Vec<NodeServer>,
    pub proxy: ProxyProcess,
    /// Of the admin listener.
    pub admin: SocketAddr,
    /// Ends with the proxy, and gives what it warned of.
    pub log: JoinHandle<Vec<String>>,
}

impl Cluster {
    /// Nodes with these arguments in addition to their names, and a proxy whose upstream has more keys, in
    /// YAML's flow style.
    pub async fn start(arguments: &[&str], upstream: &str) -> Self {
        let chat = |nodes: &[NodeServer]| {
            format!(
                "listeners: [{{ bind: '127.0.0.1:0' }}]\nadmin: {{ bind: '127.0.0.1:0' }}\n\
                 upstreams: {{ chat: {{ nodes: [{}], {upstream} }} }}\n\
                 routes: [{{ path: /, upstream: chat }}]\n",
                named(nodes)
            )
        };
        Self::start_by(arguments, chat).await
    }

    /// As [`Cluster::start`], with a configuration that knows the nodes and has an admin listener.
    pub async fn start_by(
        arguments: &[&str],
        configuration: impl FnOnce(&[NodeServer]) -> String,
    ) -> Self {
        let mut nodes = Vec::new();
        for name in NAMES {
            nodes.push(NodeServer::start(&[&["--name", name], arguments].concat()).await);
        }
        let mut proxy = ProxyProcess::start(&configuration(&nodes)).await;
        let line = proxy.until_log("admin listener").await;
        let admin = line.rsplit_once("address=").expect("the line has the address").1;
        let admin = admin.trim_matches('"').parse().unwrap();
        let log = proxy.pass_log();
        until_ready(admin).await;
        print_descriptor_limit(proxy.pid());
        Self { nodes, proxy, admin, log }
    }

    /// The proxy, as clients write it.
    pub fn url(&self) -> String {
        format!("http://{}", self.proxy.address)
    }

    /// When each session of a node began, in milliseconds since 1970.
    pub async fn sessions_at(&self, node: usize) -> Vec<u64> {
        let counts = self.counts(node).await;
        let times = counts["sessions_at"].as_array().unwrap();
        times.iter().filter_map(Value::as_u64).collect()
    }

    /// How many sessions each node has.
    pub async fn open_sessions(&self) -> Vec<u64> {
        let mut sessions = Vec::new();
        for node in 0..self.nodes.len() {
            sessions.push(self.counts(node).await["open_sessions"].as_u64().unwrap());
        }
        sessions
    }

    async fn counts(&self, node: usize) -> Value {
        let address = self.nodes[node].address().parse().unwrap();
        serde_json::from_str(&get(address, "/counts").await.text()).unwrap()
    }

    /// The proxy's metrics.
    pub async fn metrics(&self) -> Exposition {
        Exposition::scrape(self.admin).await
    }

    /// Ends the proxy, and gives what it warned of.
    pub async fn finish(self) -> Vec<String> {
        let Self { nodes, proxy, log, .. } = self;
        drop(proxy);
        drop(nodes);
        log.await.unwrap()
    }
}

/// Waits until the proxy is ready: before, its workers may not have their descriptors yet.
pub async fn until_ready(admin: SocketAddr) {
    let ready = request("GET", "/ready", &[], "").replace("Host: test", "Host: localhost");
    let wait = async {
        let mut look = interval(Duration::from_millis(100));
        loop {
            look.tick().await;
            let mut client = Client::connect(admin).await;
            client.send(&ready).await;
            if client.response().await.status() == 200 {
                return;
            }
        }
    };
    timeout(READY_WITHIN, wait).await.expect("the proxy is ready in time");
}

/// Now, in milliseconds since 1970, as the nodes and clients tell it.
pub fn now_millis() -> u64 {
    let passed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    passed.as_millis() as u64
}

/// The nodes as a configuration has them, with their names.
pub fn named(nodes: &[NodeServer]) -> String {
    let name = |(name, node): (&&str, &NodeServer)| {
        format!("{{ name: {name}, address: '{}' }}", node.address())
    };
    NAMES.iter().zip(nodes).map(name).collect::<Vec<_>>().join(", ")
}

/// Gives an order for the node of this name to the admin listener, and its answer.
pub async fn order(admin: SocketAddr, name: &str, order: &str) -> Value {
    let mut client = Client::connect(admin).await;
    let text = request("POST", &format!("/nodes/{name}/{order}"), &[], "");
    client.send(text.replace("Host: test", "Host: localhost")).await;
    let answer = client.response().await;
    assert_eq!(answer.status(), 200, "{}", answer.text());
    serde_json::from_slice(&answer.body).unwrap()
}

/// What the admin listener answers to GET of this path, whatever its status.
pub async fn ask(admin: SocketAddr, path: &str) -> Value {
    let mut client = Client::connect(admin).await;
    let text = request("GET", path, &[], "");
    client.send(text.replace("Host: test", "Host: localhost")).await;
    serde_json::from_slice(&client.response().await.body).unwrap()
}

/// A proxy waits 10 s at most for the first answers of its nodes.
const READY_WITHIN: Duration = Duration::from_secs(30);

/// What the nodes are called, in their order.
pub const NAMES: [&str; 3] = ["n1", "n2", "n3"];
