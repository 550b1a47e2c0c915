//! A node by a name that does not resolve: its sessions keep its last address, new ones go elsewhere.
//!
//! The proxy has a `/etc/hosts` of its own, by a mount namespace.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio::time::timeout;

use crate::admin::ask_at;
use crate::support::{Exposition, FakeNode, ProxyProcess, get};

const NAMESPACE: [&str; 3] = ["--user", "--map-root-user", "--mount"];
const ADVICE: &str = "install unshare (util-linux), and allow user namespaces: `sysctl \
                      kernel.apparmor_restrict_unprivileged_userns=0`, or `docker run --privileged`";
const OPEN: &str = "/socket.io/?EIO=4&transport=polling";

/// Panics if this machine makes no mount namespace for us.
fn require_namespaces() {
    let made = std::process::Command::new("unshare").args(NAMESPACE).arg("true").status();
    assert!(made.is_ok_and(|status| status.success()), "{ADVICE}");
}

/// The program with these files as its `/etc/hosts` and `/etc/nsswitch.conf`: nobody else is asked.
fn with_hosts(directory: &Path) -> Command {
    std::fs::write(directory.join("nsswitch.conf"), "hosts: files\n").unwrap();
    let script = r#"mount --bind "$0/hosts" /etc/hosts && mount --bind "$0/nsswitch.conf" /etc/nsswitch.conf && exec "$@""#;
    let mut command = Command::new("unshare");
    command.args(NAMESPACE).args(["sh", "-c", script]);
    command.arg(directory).arg(env!("CARGO_BIN_EXE_sockeye"));
    command
}

/// The mount is of the file itself, so it is written where it is.
fn say(directory: &Path, hosts: &str) {
    std::fs::write(directory.join("hosts"), hosts).unwrap();
}

async fn poll(proxy: SocketAddr, sid: &str) -> (u16, String) {
    let answer = get(proxy, &format!("{OPEN}&sid={sid}")).await;
    (answer.status(), answer.text())
}

async fn open(proxy: SocketAddr) -> String {
    get(proxy, OPEN).await.text().split('"').nth(3).unwrap().to_owned()
}

/// The first node as `/nodes` shows it, as soon as it is in this state; `meanwhile` is done before each
/// look.
async fn until_state(admin: SocketAddr, state: &str, mut meanwhile: impl AsyncFnMut()) -> Value {
    let found = async {
        loop {
            meanwhile().await;
            let nodes = ask_at(admin, "GET", "/nodes", &[]).await.1;
            if nodes["upstreams"][0]["nodes"][0]["state"] == state {
                return nodes["upstreams"][0]["nodes"][0].clone();
            }
        }
    };
    timeout(Duration::from_secs(20), found).await.unwrap_or_else(|_| panic!("{state} in time"))
}

#[tokio::test]
async fn a_node_whose_name_no_longer_resolves_keeps_its_sessions_and_gets_no_new_ones() {
    require_namespaces();
    let listener = TcpListener::bind("127.0.0.5:0").await.unwrap();
    let (a, b) = (FakeNode::engineio_at(listener, "a"), FakeNode::engineio("b").await);
    let directory = tempfile::tempdir().unwrap();
    say(directory.path(), "127.0.0.5 chat-0.test\n");
    // Each request connects, and so asks for the address.
    let yaml = format!(
        "listeners: [{{ bind: '127.0.0.1:0' }}]\nadmin: {{ bind: '127.0.0.1:0' }}\n\
         upstreams:\n  chat:\n    nodes: [{{ name: a, address: 'chat-0.test:{}' }}, {{ name: b, address: '{}' }}]\n    \
         pool_idle_timeout: off\n    slow_start: off\n\
         routes: [{{ path: /, upstream: chat }}]\n",
        a.address.port(),
        b.address
    );
    let mut proxy = ProxyProcess::start_by(with_hosts(directory.path()), &yaml).await;
    let line = proxy.until_log("admin listener").await;
    let admin = line.rsplit_once("address=").unwrap().1.trim_matches('"').parse().unwrap();
    let _log = proxy.pass_log();
    let address = proxy.address;
    let mut sid = open(address).await;
    while !sid.starts_with('a') {
        sid = open(address).await;
    }

    say(directory.path(), "127.0.0.1 elsewhere.test\n");
    let polls = async || assert_eq!(poll(address, &sid).await, (200, "4a".to_owned()));
    let node = until_state(admin, "unreachable", polls).await;

    let reason = node["reason"].as_str().unwrap();
    assert!(reason.starts_with("its name does not resolve: "), "{reason}");
    for _ in 0..10 {
        assert!(open(address).await.starts_with('b'));
        assert_eq!(poll(address, &sid).await, (200, "4a".to_owned()));
    }
    let page = Exposition::scrape(admin).await;
    for metric in ["sockeye_node_connects_failed_total", "sockeye_node_ejections_total"] {
        assert_eq!(page.sum(metric), 0.0, "{metric}: the resolver failed, and not the node");
    }

    say(directory.path(), "127.0.0.5 chat-0.test\n");
    until_state(admin, "up", async || ()).await;
    let found = async { while !open(address).await.starts_with('a') {} };
    timeout(Duration::from_secs(20), found).await.expect("a session on the node that is back");
}
