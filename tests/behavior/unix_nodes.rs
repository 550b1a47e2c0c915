//! Nodes that listen on Unix sockets.

use std::path::Path;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixListener};
use tokio::task::JoinHandle;

use crate::admin::ask_at;
use crate::support::socketio::{NodeServer, held, run_client};
use crate::support::websocket::{open, text};
use crate::support::{Client, Exposition, FakeNode, Proxy, ProxyProcess, get, request};

const OPEN: &str = "/socket.io/?EIO=4&transport=polling";

/// Passes a Unix socket on to a node on TCP.
struct UnixFront(JoinHandle<()>);

impl UnixFront {
    fn start(path: &Path, node: &FakeNode) -> Self {
        let (listener, node) = (UnixListener::bind(path).unwrap(), node.address);
        Self(tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            loop {
                let mut outside = listener.accept().await.unwrap().0;
                connections.spawn(async move {
                    let mut inside = TcpStream::connect(node).await.unwrap();
                    let _ = tokio::io::copy_bidirectional(&mut outside, &mut inside).await;
                });
            }
        }))
    }
}

impl Drop for UnixFront {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A configuration whose nodes are these sockets.
fn file(paths: &[&Path], upstream: &str) -> String {
    let nodes: Vec<_> = paths.iter().map(|path| format!("'unix:{}'", path.display())).collect();
    format!(
        "listeners: [{{ bind: '127.0.0.1:0' }}]\nadmin: {{ bind: '127.0.0.1:0' }}\n\
         upstreams: {{ chat: {{ nodes: [{}], {upstream} }} }}\nroutes: [{{ upstream: chat }}]\n",
        nodes.join(", ")
    )
}

#[tokio::test]
async fn socket_io_works_on_two_sockets_by_all_transports() {
    let directory = tempfile::tempdir().unwrap();
    let paths = ["1.sock", "2.sock"].map(|name| directory.path().join(name));
    let mut servers = Vec::new();
    for path in &paths {
        servers.push(NodeServer::start(&["--socket", path.to_str().unwrap()]).await);
    }
    let paths = [&*paths[0], &*paths[1]];
    let proxy = Proxy::start(&file(&paths, "health: { engineio: /socket.io/ }"));
    let url = format!("http://{}", proxy.address);
    held(run_client(&["--scenario", "basics", "--url", &url]).await);
    held(run_client(&["--scenario", "roaming", "--url", &url]).await);

    let page = Exposition::scrape(proxy.admin.unwrap()).await;
    for path in paths {
        let of_node = format!("{{upstream=\"chat\",node=\"unix:{}\"", path.display());
        let opened = |transport| {
            page.value(&format!(
                "sockeye_node_handshakes_total{of_node},transport=\"{transport}\"}}"
            ))
        };
        assert!(opened("polling") > 10.0, "{}", path.display());
        assert_eq!(page.value(&format!("sockeye_node_connects_failed_total{of_node}}}")), 0.0);
    }
}

#[tokio::test]
async fn requests_websockets_and_drains_are_those_of_any_node() {
    let directory = tempfile::tempdir().unwrap();
    let paths = ["a.sock", "b.sock"].map(|name| directory.path().join(name));
    let nodes = [FakeNode::engineio("a").await, FakeNode::engineio("b").await];
    let _fronts = [0, 1].map(|index| UnixFront::start(&paths[index], &nodes[index]));
    let proxy = Proxy::start(&file(&[&paths[0], &paths[1]], "health: off"));
    let admin = proxy.admin.unwrap();

    let mut client = Client::connect(proxy.address).await;
    client
        .send(request("POST", "/x", &["Host: chat.example"], "body").replacen(
            "Host: test\r\n",
            "",
            1,
        ))
        .await;
    client.response().await;
    let seen: Vec<_> = nodes.iter().flat_map(FakeNode::requests).collect();
    assert_eq!(seen[0].head.field("host"), Some("chat.example"), "as the client wrote it");
    assert_eq!(
        (&*seen[0].body, seen[0].head.field("x-forwarded-for")),
        (&b"body"[..], Some("127.0.0.1"))
    );

    let mut websocket = open(proxy.address, "/socket.io/?EIO=4&transport=websocket").await;
    let message = "x".repeat(300_000);
    websocket.send(text(&message)).await;
    loop {
        let (_, payload) = websocket.frame().await.unwrap();
        if payload == message.as_bytes() {
            break;
        }
    }

    let path = paths[0].display().to_string().replace('/', "%2F");
    let drain = format!("/nodes/unix:{path}/drain");
    assert_eq!(ask_at(admin, "POST", &drain, &[]).await.0, 200);
    for _ in 0..10 {
        let opened = get(proxy.address, OPEN).await.text();
        assert!(opened.contains("\"sid\":\"b"), "{opened}");
    }
    let shown = ask_at(admin, "GET", "/nodes", &[]).await.1.to_string();
    assert!(shown.contains(&format!("unix:{}", paths[1].display())), "{shown}");
}

#[tokio::test]
async fn a_proxy_header_names_the_client_and_a_check_names_nobody() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("1.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let proxy = Proxy::start(&file(&[&path], "proxy_protocol: v1, health: { every: 100ms }"));
    let answered = tokio::spawn(async move {
        let mut client = Client::connect(proxy.address).await;
        client.send(request("GET", "/", &[], "")).await;
        (client.response().await.status(), proxy)
    });
    let (mut of_check, mut of_client) = (false, false);
    while !(of_check && of_client) {
        let mut node = listener.accept().await.unwrap().0;
        let mut line = Vec::new();
        while !line.ends_with(b"\r\n") {
            line.push(node.read_u8().await.unwrap());
        }
        let line = String::from_utf8(line).unwrap();
        of_check |= line == "PROXY UNKNOWN\r\n";
        if line.starts_with("PROXY TCP4 127.0.0.1 0.0.0.0 ") {
            of_client = true;
            node.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
        }
    }
    assert_eq!(answered.await.unwrap().0, 204);
}

#[tokio::test]
async fn the_log_says_why_a_socket_cannot_be_used() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("none.sock");
    let yaml = file(&[&path], "health: off").replace("admin: { bind: '127.0.0.1:0' }\n", "");
    let mut proxy = ProxyProcess::start(&yaml).await;
    assert_eq!(get(proxy.address, "/").await.status(), 502);
    let line = proxy.until_log("failed").await;
    let advice = "none.sock: start the node, or correct the path";
    assert!(line.contains(advice), "{line}");
}
