//! A host that disappears without a word, as when a phone loses its network: what is sent to it is
//! lost on the link.

use std::process::Command;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::time::Instant;

use crate::support::{ProxyProcess, config};
use crate::tunnel::HeldNode;

/// A network namespace for the proxy, with a link to the client and one to the node; deleted when
/// dropped.
struct Network {
    name: String,
    /// The third byte of the addresses on the links: to the client, to the node.
    subnets: [u8; 2],
}

impl Network {
    fn new(number: u8) -> Self {
        let name = format!("sockeye{}-{number}", std::process::id());
        ip(&format!("netns add {name}"));
        let network = Self { name, subnets: [10 + number, 20 + number] };
        for subnet in network.subnets {
            let (link, name) = (Self::link(subnet), &network.name);
            ip(&format!("link add {link} type veth peer name inside netns {name}"));
            ip(&format!("-n {name} link set inside name to{subnet}"));
            ip(&format!("-n {name} addr add 198.18.{subnet}.1/24 dev to{subnet}"));
            ip(&format!("-n {name} link set to{subnet} up"));
            ip(&format!("addr add 198.18.{subnet}.2/24 dev {link}"));
            ip(&format!("link set {link} up"));
        }
        network
    }

    fn link(subnet: u8) -> String {
        format!("sockeye{subnet}")
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "delete", &self.name]).status();
    }
}

fn ip(arguments: &str) {
    let output = Command::new("ip").args(arguments.split(' ')).output().unwrap();
    assert!(output.status.success(), "ip {arguments}: {}", String::from_utf8_lossy(&output.stderr));
}

/// How long does a tunnel live whose client's or node's host is gone, and what does its line say?
async fn lifetime(number: u8, is_client: bool) -> Duration {
    let network = Network::new(number);
    let [to_client, to_node] = network.subnets;
    let listener = TcpListener::bind(format!("198.18.{to_node}.2:0")).await.unwrap();
    let yaml = config(&[listener.local_addr().unwrap()], "", "");
    let yaml = yaml.replace("127.0.0.1", &format!("198.18.{to_client}.1"));
    let mut program = tokio::process::Command::new("ip");
    program.args(["netns", "exec", &network.name, env!("CARGO_BIN_EXE_sockeye")]);
    let mut proxy = ProxyProcess::start_by(program, &yaml).await;
    let (address, held) = (proxy.address, HeldNode::over(listener));
    let (mut client, mut node) = held.tunnel(address).await;
    let begun = Instant::now();
    // Frames for another station's address are dropped by the one that gets them.
    let (side, gone) = if is_client { ("client", to_client) } else { ("node", to_node) };
    let nobody = format!("198.18.{gone}.2 lladdr 02:00:00:00:00:01 dev to{gone} nud permanent");
    ip(&format!("-n {} neigh replace {nobody}", network.name));
    let stays = if is_client { &mut node } else { &mut client };
    let message = loop {
        let (opcode, payload) = stays.frame_within(Duration::from_secs(200)).await.unwrap();
        if opcode == 8 {
            break payload;
        }
    };
    let lifetime = begun.elapsed();
    assert_eq!(message[2..], *format!("{side} lost").as_bytes());
    let line = proxy.until_log("tunnel ended").await;
    let by = format!("by=\"{side}\"");
    assert!(line.contains("end=\"keepalive_lost\"") && line.contains(&by), "{line}");
    lifetime
}

#[tokio::test]
#[ignore = "needs root, iproute2 and a minute: cargo xtask soak dead-host"]
#[expect(clippy::print_stdout, reason = "figures are for who runs it")]
async fn a_host_that_is_gone_is_found_within_a_minute() {
    let (client, node) = tokio::join!(lifetime(1, true), lifetime(2, false));
    println!("a client's host was found gone after {client:?}, a node's after {node:?}");
    for lifetime in [client, node] {
        assert!((Duration::from_secs(41)..Duration::from_secs(45)).contains(&lifetime));
    }
}
