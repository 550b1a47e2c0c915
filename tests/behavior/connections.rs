//! How many clients there may be, and what becomes of one more.

use std::net::SocketAddr;
use std::process::Stdio;
use std::time::Duration;

use futures_util::future::select_all;
use http::Request;
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio::time::interval;

use crate::support::http2;
use crate::support::websocket::{open, text};
use crate::support::{
    Client, Exposition, FakeNode, Proxy, ProxyProcess, Reply, Site, config, get, ok, request,
};

/// The program, under bounds on its open files as a shell sets them.
fn bounded(ulimits: &str) -> Command {
    let script = format!("{ulimits}; exec \"$0\" \"$@\"");
    let mut command = Command::new("sh");
    command.args(["-c", &script, env!("CARGO_BIN_EXE_sockeye")]).stdin(Stdio::null());
    command
}

/// Answers requests and sends back what comes through a WebSocket.
async fn node() -> FakeNode {
    FakeNode::start(|request| match request.head.is_upgrade() {
        true => Reply::Echo { behind: Vec::new() },
        false => ok("yes"),
    })
    .await
}

async fn assert_well(tunnel: &mut Client) {
    tunnel.send(text("well?")).await;
    assert_eq!(tunnel.frame().await, Some((1, b"well?".to_vec())));
}

/// Until `/ready` of the admin listener says so.
async fn until_ready_is(admin: SocketAddr, status: u16) {
    let mut look = interval(Duration::from_millis(20));
    for _ in 0..500 {
        look.tick().await;
        let mut client = Client::connect(admin).await;
        client.send("GET /ready HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
        if client.response().await.status() == status {
            return;
        }
    }
    panic!("/ready is never {status}");
}

#[tokio::test]
async fn the_limit_of_open_files_is_raised_and_logged() {
    let yaml = config(&["127.0.0.1:1".parse().unwrap()], "", "");
    let mut proxy = ProxyProcess::spawn_by(bounded("ulimit -Sn 200; ulimit -Hn 300"), &yaml);
    let line = proxy.until_log("limits").await;
    assert!(line.contains("open_files=300 max_connections=109"), "{line}");
}

#[tokio::test]
async fn a_client_too_many_waits_until_another_leaves_and_nobody_else_notices() {
    const PLACES: usize = 28;
    let node = node().await;
    let yaml = config(&[node.address], "", "") + "admin: { bind: '127.0.0.1:0' }\n";
    let mut proxy = ProxyProcess::start_by(bounded("ulimit -n 128"), &yaml).await;
    let line = proxy.until_log("admin listener").await;
    let admin = line.split("address=").nth(1).unwrap().trim().parse().unwrap();

    let mut tunnels = Vec::new();
    for _ in 0..PLACES {
        tunnels.push(open(proxy.address, "/ws").await);
    }
    until_ready_is(admin, 503).await;
    let status = std::process::Command::new(env!("CARGO_BIN_EXE_sockeye"))
        .args(["status", "--admin", &admin.to_string()])
        .output();
    let status = status.unwrap();
    assert!(status.status.success(), "it is full, and healthy: {status:?}");

    let mut late = Client::connect(proxy.address).await;
    late.send(request("GET", "/", &[], "")).await;
    let line = proxy.until_log("connection limit reached").await;
    assert!(line.contains("max_connections=28"), "{line}");
    for tunnel in &mut tunnels {
        assert_well(tunnel).await;
    }
    late.stream.try_read(&mut [0]).expect_err("nobody answers yet");

    drop(tunnels.pop());
    assert_eq!(late.response().await.text(), "yes");

    let mut later = Client::connect(proxy.address).await;
    later.send(request("GET", "/", &[], "")).await;
    std::fs::write(&proxy.file, yaml + "max_connections: 34\n").unwrap();
    assert_eq!(later.response().await.text(), "yes");
    drop((tunnels, late, later));
    until_ready_is(admin, 200).await;
}

#[tokio::test]
async fn out_of_descriptors_accepting_pauses_and_those_who_are_there_go_on() {
    let node = node().await;
    let yaml = config(&[node.address], "", "") + "max_connections: 1000\nstop: { timeout: 1s }\n";
    let mut proxy = ProxyProcess::spawn_by(bounded("ulimit -n 64"), &yaml);
    proxy.until_log("more than may be open").await;
    let line = proxy.until_log("listening").await;
    proxy.address = line.split("address=").nth(1).unwrap().trim().parse().unwrap();

    let mut tunnel = open(proxy.address, "/ws").await;
    let mut polling = Client::connect(proxy.address).await;
    let mut silent = Vec::new();
    for _ in 0..100 {
        silent.push(TcpStream::connect(proxy.address).await.unwrap());
    }
    let line = proxy.until_log("only descriptors for connections to nodes are left").await;
    assert!(line.contains("reserved=16"), "{line}");
    let before = proxy.cpu_ticks();
    let mut pace = interval(Duration::from_millis(100));
    for _ in 0..10 {
        pace.tick().await;
        assert_well(&mut tunnel).await;
    }
    polling.send(request("GET", "/", &[], "")).await;
    assert_eq!(polling.response().await.text(), "yes", "there is a descriptor for the node");
    let ticks = proxy.cpu_ticks() - before;
    assert!(ticks < 50, "{ticks} hundredths of a second in one");

    drop(silent);
    assert_eq!(get(proxy.address, "/").await.text(), "yes");
    proxy.signal("TERM");
    loop {
        let line = proxy.until_log("").await;
        assert!(!line.contains("new clients wait"), "told again: {line}");
        if line.contains("stopped") {
            return;
        }
    }
}

#[tokio::test]
async fn at_the_limit_the_connection_that_was_idle_longest_makes_room() {
    let node = FakeNode::start(|request| match &*request.head.target {
        "/slow" => Reply::Silence,
        _ if request.head.is_upgrade() => Reply::Echo { behind: Vec::new() },
        _ => ok("yes"),
    })
    .await;
    for http2 in ["off", "on"] {
        let yaml = format!(
            "listeners: [{{ bind: '127.0.0.1:0', http2: {http2} }}]\nmax_connections: 4\n\
             admin: {{ bind: '127.0.0.1:0' }}\n\
             upstreams: {{ a: {{ nodes: ['{}'] }} }}\nroutes: [{{ path: /, upstream: a }}]\n",
            node.address
        );
        let site = Site::start(&yaml);
        let proxy = site.addresses[0];
        let mut tunnel = open(proxy, "/ws").await;
        let mut pending = Client::connect(proxy).await;
        pending.send(request("GET", "/slow", &[], "")).await;
        let mut first = Client::connect(proxy).await;
        assert_eq!(first.get("/").await.text(), "yes");
        let mut second = Client::connect(proxy).await;
        assert_eq!(second.get("/").await.text(), "yes");

        let mut late = Client::connect(proxy).await;
        assert_eq!(late.get("/").await.text(), "yes");
        assert_eq!(first.until_end().await, b"");
        assert_eq!(second.get("/").await.text(), "yes");
        assert_well(&mut tunnel).await;
        pending.stream.try_read(&mut [0]).expect_err("it goes on");
        let ends = r#"sockeye_connection_ends_total{reason="replaced"}"#;
        Exposition::until(site.admin.unwrap(), ends, 1.0).await;
    }
}

#[tokio::test]
async fn at_the_limit_a_connection_without_a_byte_makes_room_too() {
    let node = node().await;
    for http2 in ["off", "on"] {
        let yaml = format!(
            "listeners: [{{ bind: '127.0.0.1:0', http2: {http2} }}]\nmax_connections: 1\n\
             upstreams: {{ a: {{ nodes: ['{}'] }} }}\nroutes: [{{ path: /, upstream: a }}]\n",
            node.address
        );
        let proxy = Proxy::start(&yaml);
        let mut silent = Client::connect(proxy.address).await;
        let mut late = Client::connect(proxy.address).await;
        assert_eq!(late.get("/").await.text(), "yes", "{http2}");
        assert_eq!(silent.until_end().await, b"");
    }
}

#[tokio::test]
async fn out_of_descriptors_files_and_nodes_are_unavailable_and_no_node_is_blamed() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("large"), vec![b'x'; 4 << 20]).unwrap();
    let node = FakeNode::start(|_| Reply::Silence).await;
    let yaml = format!(
        "listeners: [{{ bind: '127.0.0.1:0', http2: on }}]\n\
         upstreams: {{ chat: {{ nodes: ['{}'], health: off }} }}\n\
         routes: [{{ path: /, upstream: chat }}, {{ path: /files/, strip_prefix: /files, \
         files: {{ root: {} }} }}]\n",
        node.address,
        directory.path().display()
    );
    let mut proxy = ProxyProcess::start_by(bounded("ulimit -n 64"), &yaml).await;
    let mut requests = http2::connect(proxy.address).await;
    let mut refused = None;
    let mut open = Vec::new();
    while refused.is_none() && open.len() < 64 {
        let request = Request::get("http://test/files/large").body(()).unwrap();
        let response = http2::ask(&mut requests, request).await;
        match response.status().as_u16() {
            200 => open.push(response),
            status => refused = Some((status, response.headers()["retry-after"].clone())),
        }
    }
    assert_eq!(refused, Some((503, "1".parse().unwrap())));

    // The rest is for connections to nodes, until there is none. Bodies are not read: those of the files take
    // up the window of the connection.
    let mut pending: Vec<_> = (0..32)
        .map(|_| {
            let request = Request::get("http://test/").body(()).unwrap();
            requests.send_request(request, true).unwrap().0
        })
        .collect();
    let (first, _, _others) = http2::soon(select_all(pending.drain(..))).await;
    let response = first.unwrap();
    assert_eq!(response.status(), 503);
    assert_eq!(response.headers()["retry-after"], "1");
    let line = proxy.until_log("no_socket").await;
    assert!(line.contains("Too many open files") && line.contains("operator"), "{line}");
    drop(open);
}

#[tokio::test]
async fn a_listener_may_have_a_limit_of_its_own() {
    let node = node().await;
    let yaml = format!(
        "listeners: [{{ bind: '127.0.0.1:0', max_connections: 2 }}, {{ bind: '127.0.0.1:0' }}]\n\
         admin: {{ bind: '127.0.0.1:0' }}\n\
         upstreams: {{ a: {{ nodes: ['{}'] }} }}\nroutes: [{{ path: /, upstream: a }}]\n",
        node.address
    );
    let site = Site::start(&yaml);
    let [limited, other] = site.addresses[..] else { panic!("two listeners") };
    let tunnels = [open(limited, "/ws").await, open(limited, "/ws").await];
    let mut late = Client::connect(limited).await;
    late.send(request("GET", "/", &[], "")).await;
    assert_eq!(get(other, "/").await.text(), "yes");
    late.stream.try_read(&mut [0]).expect_err("nobody answers yet");
    let pauses = r#"sockeye_accept_pauses_total{reason="listener_max_connections"}"#;
    Exposition::until(site.admin.unwrap(), pauses, 1.0).await;

    let [first, _second] = tunnels;
    drop(first);
    assert_eq!(late.response().await.text(), "yes");
    let mut later = Client::connect(limited).await;
    later.send(request("GET", "/", &[], "")).await;
    site.reload(&yaml.replace("max_connections: 2", "max_connections: 9")).await.unwrap();
    assert_eq!(later.response().await.text(), "yes");
}
