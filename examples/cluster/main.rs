//! Three Socket.IO nodes in this process, Sockeye in front of them, and a chat page to look at:
//!
//! ```text
//! cargo run --release --example cluster
//! ```
//!
//! Open the page in a few tabs. Each tab shows the node that it landed on, how its session began
//! with long polling, and when it was upgraded to a WebSocket. All requests of a session must reach
//! the node that opened it, and only Sockeye ensures that: the nodes set no cookie, and all tabs
//! have the same address.

use std::error::Error;
use std::net::{Ipv4Addr, SocketAddr};

use clap::Parser;
use sockeye::Server;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

mod bus;
mod node;
mod page;

/// Starts three Socket.IO nodes, Sockeye in front of them, and a chat page.
#[derive(Debug, Parser)]
struct Arguments {
    /// The port of the page, on localhost; 0 chooses a free one.
    #[arg(long, default_value_t = 8080)]
    port: u16,
}

/// A node and the address that it serves.
#[derive(Debug)]
struct NodeAddress {
    name: &'static str,
    address: SocketAddr,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    let mut tasks = JoinSet::new();
    let node_addresses = start_nodes(&mut tasks).await?;
    let bind = SocketAddr::from((Ipv4Addr::LOCALHOST, arguments.port));
    let configuration = configuration(&node_addresses, bind);
    let page_address = start_proxy(&configuration, &mut tasks)?;
    introduce(&configuration, &node_addresses, page_address);

    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted?,
        // Nodes and proxy run until they fail, so the first that ends has failed.
        Some(ended) = tasks.join_next() => ended??,
    }
    Ok(())
}

/// Starts the nodes, each on a free port of its own.
async fn start_nodes(tasks: &mut Tasks) -> Result<Vec<NodeAddress>, Box<dyn Error>> {
    let bus = bus::new();
    let mut node_addresses = Vec::new();
    for name in NODE_NAMES {
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        node_addresses.push(NodeAddress { name, address: listener.local_addr()? });
        tasks.spawn(node::serve(listener, name, bus.clone()));
    }
    Ok(node_addresses)
}

/// What a user would write into `sockeye.yaml` for these nodes.
fn configuration(node_addresses: &[NodeAddress], bind: SocketAddr) -> String {
    // Both forms of a node. A session's tag is made from the name, or from the address without a name.
    let named = |node: &NodeAddress| {
        format!("      - {{ name: {}, address: {} }}\n", node.name, node.address)
    };
    let named_nodes: String = node_addresses.iter().map(named).collect();
    let nodes: Vec<String> = node_addresses.iter().map(|node| node.address.to_string()).collect();
    let nodes = nodes.join(", ");
    format!(
        "listeners:
  - bind: {bind}
upstreams:
  chat:
    nodes:
{named_nodes}  page: {{ nodes: [{nodes}] }}
routes:
  - {{ path: /socket.io/, upstream: chat }}
  - {{ path: /, upstream: page }}
"
    )
}

/// Starts Sockeye with `configuration` and gives the address that it listens on. It has its own
/// threads, which end with the process; only its failure is one of `tasks`.
fn start_proxy(configuration: &str, tasks: &mut Tasks) -> Result<SocketAddr, Box<dyn Error>> {
    let config = sockeye::parse("the configuration above", configuration)?;
    let server = Server::bind(&config)?;
    let address = server.addresses().next().ok_or("the configuration has no listener")?;
    let (ended, end) = oneshot::channel();
    std::thread::spawn(move || {
        // The receiver is gone only when the example ends anyway.
        let _ = ended.send(server.run(std::future::pending()));
    });
    tasks.spawn(async { end.await.map_err(std::io::Error::other)?.map_err(std::io::Error::other) });
    Ok(address)
}

/// Tells the user what runs and what to do with it.
#[expect(clippy::print_stdout, reason = "it is what the user runs this for")]
fn introduce(configuration: &str, node_addresses: &[NodeAddress], page_address: SocketAddr) {
    println!("Sockeye runs with this configuration:\n");
    for line in configuration.lines() {
        println!("    {line}");
    }
    println!("\nThe page:  http://localhost:{}  (open it in a few tabs)", page_address.port());
    for node in node_addresses {
        println!("Node {}:   http://{}  (past the proxy)", node.name, node.address);
    }
    println!("Stop:      Ctrl-C");
}

/// Owns the nodes and the proxy: they end with it.
type Tasks = JoinSet<std::io::Result<()>>;

const NODE_NAMES: [&str; 3] = ["n1", "n2", "n3"];
