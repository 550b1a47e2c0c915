//! Under systemd: what it is told, and the sockets that it passes.

use std::net::{Shutdown, TcpListener};
use std::os::fd::OwnedFd;
use std::time::Duration;

use serde_json::json;
use socket2::SockRef;
use tokio::net::UnixDatagram;
use tokio::process::Command;
use tokio::time::timeout;

use crate::admin::{ask_at, until_ready};
use crate::support::{FakeNode, ProxyProcess, config, get, ok};

const PROGRAM: &str = env!("CARGO_BIN_EXE_sockeye");

/// Waits for a datagram with `part` in it.
async fn until_told(socket: &UnixDatagram, part: &str) {
    let told = async {
        let mut datagram = [0; 512];
        loop {
            let length = socket.recv(&mut datagram).await.unwrap();
            let text = String::from_utf8_lossy(&datagram[..length]).into_owned();
            if text.lines().any(|line| line.starts_with(part)) {
                return;
            }
        }
    };
    timeout(Duration::from_secs(20), told).await.unwrap_or_else(|_| panic!("no {part}"));
}

#[tokio::test]
async fn systemd_is_notified_of_start_watchdog_reload_and_stop() {
    let node = FakeNode::start(|_| ok("yes")).await;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    let mut command = Command::new(PROGRAM);
    command.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "200000").env_remove("WATCHDOG_PID");

    let mut proxy = ProxyProcess::start_by(command, &config(&[node.address], "", "")).await;

    until_told(&socket, "READY=1").await;
    assert_eq!(get(proxy.address, "/").await.text(), "yes");
    until_told(&socket, "WATCHDOG=1").await;
    until_told(&socket, "WATCHDOG=1").await;
    proxy.signal("HUP");
    until_told(&socket, "RELOADING=1").await;
    until_told(&socket, "READY=1").await;
    proxy.signal("TERM");
    until_told(&socket, "STOPPING=1").await;
    assert_eq!(proxy.child.wait().await.unwrap().code(), Some(0));
}

#[tokio::test]
async fn a_passed_socket_is_taken_and_one_that_nobody_wants_is_a_warning() {
    let node = FakeNode::start(|_| ok("yes")).await;
    let passed = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = passed.local_addr().unwrap();
    // While the proxy does not run: the system takes the connection, and it is served later.
    let early = std::net::TcpStream::connect(address).unwrap();
    let yaml = |bind: &str| config(&[node.address], "", "").replace("127.0.0.1:0", bind);

    let mut proxy = ProxyProcess::start_by(activated(&passed), &yaml(&address.to_string())).await;
    proxy.until_log(" ready").await;
    assert_eq!(proxy.address, address);
    early.set_nonblocking(true).unwrap();
    let stream = tokio::net::TcpStream::from_std(early).unwrap();
    let mut client = crate::support::Client { stream, buffer: Vec::new() };
    assert_eq!(client.get("/").await.text(), "yes");
    drop(proxy);

    let mut proxy = ProxyProcess::spawn_by(activated(&passed), &yaml("127.0.0.1:0"));
    let warning = proxy.until_log("that no listener has").await;
    assert!(warning.contains("WARN") && warning.contains(&address.to_string()), "{warning}");
}

#[tokio::test]
async fn a_listener_whose_socket_no_longer_listens_makes_the_proxy_unready() {
    let node = FakeNode::start(|_| ok("yes")).await;
    let passed = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = passed.local_addr().unwrap();
    let bind = format!("'{address}' }}, {{ bind: '127.0.0.1:0'");
    let yaml = config(&[node.address], "", "").replace("'127.0.0.1:0'", &bind);
    let yaml = yaml + "admin: { bind: '127.0.0.1:0' }\n";
    let mut proxy = ProxyProcess::start_by(activated(&passed), &yaml).await;
    let line = proxy.until_log("admin listener").await;
    let admin = line.rsplit_once("address=").unwrap().1.trim_matches('"').parse().unwrap();
    until_ready(admin).await;

    // Another process that has the socket can do that to it.
    SockRef::from(&passed).shutdown(Shutdown::Both).unwrap();
    let line = proxy.until_log("cannot accept").await;
    assert!(line.contains("ERROR") && line.contains(&address.to_string()), "{line}");

    let (status, ready) = ask_at(admin, "GET", "/ready", &[]).await;
    assert_eq!(status, 503, "{ready}");
    assert_eq!(ready["reasons"], json!([format!("the listener on {address} no longer accepts")]));
}

/// The program as systemd starts it, with one socket.
fn activated(passed: &TcpListener) -> Command {
    let mut command = Command::new("sh");
    let script = r#"exec 3<&0 0</dev/null; LISTEN_PID=$$ LISTEN_FDS=1 exec "$0" "$@""#;
    command.args(["-c", script, PROGRAM]);
    command.stdin(OwnedFd::from(passed.try_clone().unwrap()));
    command
}
