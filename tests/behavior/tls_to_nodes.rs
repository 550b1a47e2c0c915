//! TLS to nodes: which node is accepted, what is said of the others, and what passes through.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::support::socketio::{NodeServer, held, run_client};
use crate::support::tls::{Authority, TlsFront};
use crate::support::websocket::{accept, frame, open, switching, text};
use crate::support::{
    Client, FakeNode, Proxy, ProxyProcess, Reply, Site, config, get, ok, request,
};

/// What a node of Socket.IO is started with to speak TLS with the certificate `file`.
fn of_node(authority: &Authority, file: &str, more: &[&str]) -> Vec<String> {
    let path = |end: &str| authority.path(&format!("{file}.{end}")).display().to_string();
    let arguments = ["--chain".to_owned(), path("pem"), "--key".to_owned(), path("key")];
    arguments.into_iter().chain(more.iter().map(|it| (*it).to_owned())).collect()
}

async fn socketio(arguments: Vec<String>) -> (NodeServer, SocketAddr) {
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let node = NodeServer::start(&arguments).await;
    let address = node.address().parse().unwrap();
    (node, address)
}

/// `tls:` that trusts `authority`, with more keys.
fn trusting(authority: &Authority, more: &str) -> String {
    format!("tls: {{ ca: '{}'{more} }}", authority.path("ca.pem").display())
}

/// The key `client_certificate` with a certificate of `authority`.
fn client(authority: &Authority, file: &str) -> String {
    format!("client_certificate: {{ {} }}", authority.pair(file))
}

fn authority() -> Authority {
    let authority = Authority::new();
    authority.issue("node", "node", &["127.0.0.1", "chat.internal"]);
    authority.issue("other", "other", &["elsewhere.example"]);
    authority.issue("proxy", "proxy", &["proxy"]);
    authority
}

#[tokio::test]
async fn a_socketio_node_is_served_over_tls_by_every_transport() {
    let authority = authority();
    let nodes = [
        socketio(of_node(&authority, "node", &["--name", "n1"])).await,
        socketio(of_node(&authority, "node", &["--name", "n2"])).await,
    ];
    let addresses = nodes.each_ref().map(|(_, address)| *address);
    let check = format!("{}, health: {{ engineio: /socket.io/ }}", trusting(&authority, ""));
    let proxy = Proxy::start(&config(&addresses, &check, ""));
    let url = format!("http://{}", proxy.address);
    for transports in ["polling", "websocket", "polling,websocket"] {
        let arguments = ["--url", &url, "--scenario", "basics", "--transports", transports];
        held(run_client(&arguments).await);
    }
}

/// The status and the body of a request to the only node.
async fn asked(node: SocketAddr, tls: &str) -> (u16, String) {
    let proxy = Proxy::start(&config(&[node], &format!("{tls}, health: off"), ""));
    let response = get(proxy.address, "/").await;
    (response.status(), response.text())
}

#[tokio::test]
async fn a_node_that_cannot_prove_who_it_is_gets_no_request_and_the_client_is_told() {
    let (authority, stranger) = (authority(), Authority::new());
    let (_node, address) = socketio(of_node(&authority, "node", &[])).await;
    let (_elsewhere, elsewhere) = socketio(of_node(&authority, "other", &[])).await;
    let refused = async |node: SocketAddr, tls: &str, what: &str| {
        let (status, body) = asked(node, tls).await;
        assert_eq!(status, 502, "{tls}");
        assert!(body.contains(&format!("cannot connect to the node: {what}")), "{tls}: {body}");
    };
    let trusted = trusting(&authority, "");
    assert_eq!(asked(address, &trusted).await.0, 200);
    let named = trusting(&authority, ", server_name: chat.internal");
    assert_eq!(asked(address, &named).await.0, 200);
    let named = trusting(&authority, ", server_name: elsewhere.example");
    assert_eq!(asked(elsewhere, &named).await.0, 200);

    refused(address, &trusting(&stranger, ""), "its certificate is not signed by").await;
    refused(address, "tls: on", "its certificate is not signed by").await;
    refused(elsewhere, &trusted, "its certificate has another name").await;
    authority.issue_expired("expired", "node", &["127.0.0.1"]);
    let (_expired, expired) = socketio(of_node(&authority, "expired", &[])).await;
    refused(expired, &trusted, "its certificate has expired").await;

    assert_eq!(asked(elsewhere, "tls: { verify: off }").await.0, 200);
    let pinned =
        |fingerprint: &str| format!("tls: {{ verify: {{ fingerprints: ['{fingerprint}'] }} }}");
    let shown = authority.fingerprint("other").await;
    assert_eq!(asked(elsewhere, &pinned(&shown)).await.0, 200);
    let wrong = "its certificate is not one of those that are pinned";
    refused(address, &pinned(&shown), wrong).await;
}

#[tokio::test]
async fn a_node_that_demands_a_certificate_gets_it_or_is_not_asked() {
    let (authority, stranger) = (authority(), Authority::new());
    stranger.issue("proxy", "proxy", &["proxy"]);
    let ca = authority.path("ca.pem").display().to_string();
    let (_node, strict) = socketio(of_node(&authority, "node", &["--client-ca", &ca])).await;
    let with = |keys: &str| trusting(&authority, &format!(", {keys}"));
    assert_eq!(asked(strict, &with(&client(&authority, "proxy"))).await.0, 200);
    let (status, body) = asked(strict, &trusting(&authority, "")).await;
    assert_eq!(status, 502, "{body}");
    assert!(body.contains("it requires a client certificate"), "{body}");
    assert_eq!(asked(strict, &with(&client(&stranger, "proxy"))).await.0, 502);

    // It has read nothing, so that also a request with a body can go on.
    let node = FakeNode::start(|request| ok(std::str::from_utf8(&request.body).unwrap())).await;
    let front = TlsFront::start(&authority, "node", false, node.address).await;
    let keys = format!("{}, health: off, balance: round-robin", trusting(&authority, ""));
    let proxy = Proxy::start(&config(&[strict, front.address], &keys, ""));
    for number in 0..4 {
        let mut client = Client::connect(proxy.address).await;
        client.send(request("POST", "/", &[], &format!("body {number}"))).await;
        let response = client.response().await;
        assert_eq!(response.text(), format!("body {number}"));
    }
    assert_eq!(node.requests().len(), 4);
}

#[tokio::test]
async fn the_next_node_is_asked_if_one_speaks_no_tls_or_hangs() {
    let authority = authority();
    let plain = FakeNode::start(|_| ok("plain")).await;
    let (_plain, real) = socketio(Vec::new()).await;
    // The kernel accepts, and nobody answers the ClientHello.
    let hanging = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let good = FakeNode::start(|_| ok("good")).await;
    let front = TlsFront::start(&authority, "node", false, good.address).await;
    let keys = format!("{}, health: off, connect_timeout: 300ms", trusting(&authority, ""));
    for bad in [plain.address, real, hanging.local_addr().unwrap()] {
        let proxy = Proxy::start(&config(&[bad, front.address], &keys, ""));
        for _ in 0..3 {
            assert_eq!(get(proxy.address, "/").await.text(), "good");
        }
    }
    let no_tls = "it does not speak TLS on this port";
    assert!(asked(real, &trusting(&authority, "")).await.1.contains(no_tls));
    let (status, body) =
        asked(hanging.local_addr().unwrap(), &keys.replace(", health: off", "")).await;
    assert_eq!(status, 502);
    assert!(body.contains("the TLS handshake took too long"), "{body}");
}

#[tokio::test]
async fn the_log_says_who_refused_whom_and_what_to_do() {
    let (authority, stranger) = (authority(), Authority::new());
    let (_node, address) = socketio(of_node(&authority, "node", &[])).await;
    let keys = format!("{}, health: off", trusting(&stranger, ""));
    let mut proxy = ProxyProcess::start(&config(&[address], &keys, "")).await;
    assert_eq!(get(proxy.address, "/").await.status(), 502);
    let line = proxy.until_log("cannot connect to the node").await;
    for part in ["blame=\"node\"", &address.to_string(), "tls.ca", "invalid peer certificate"] {
        assert!(line.contains(part), "{part}: {line}");
    }
}

#[tokio::test]
async fn a_file_of_authorities_that_changes_is_read_again() {
    let (old, new) = (Authority::new(), authority());
    let (_node, address) = socketio(of_node(&new, "node", &[])).await;
    let keys = format!("{}, health: off", trusting(&old, ""));
    let site = Site::start(&config(&[address], &keys, ""));
    assert_eq!(get(site.address(), "/").await.status(), 502);
    std::fs::copy(new.path("ca.pem"), old.path("ca.pem")).unwrap();
    let until_served = async {
        while get(site.address(), "/").await.status() != 200 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), until_served).await.unwrap();
    std::fs::write(old.path("ca.pem"), "none").unwrap();
    let refused = site.reloader.reload().await.unwrap_err().to_string();
    assert!(refused.contains("upstreams.chat.tls.ca"), "{refused}");
    assert_eq!(get(site.address(), "/").await.status(), 200);
}

#[tokio::test]
async fn a_websocket_passes_through_tls_with_what_came_early_and_to_both_ends() {
    let authority = authority();
    let early = frame(1, b"early", None);
    let node = FakeNode::start(move |_| Reply::Echo { behind: early.clone() }).await;
    let front = TlsFront::start(&authority, "node", false, node.address).await;
    let proxy = Proxy::start(&config(&[front.address], &trusting(&authority, ""), ""));
    let mut client = open(proxy.address, "/ws").await;
    assert_eq!(client.frame().await, Some((1, b"early".to_vec())));
    client.send(text("hello")).await;
    assert_eq!(client.frame().await, Some((1, b"hello".to_vec())));
    let large = vec![b'x'; 300_000];
    client.send(frame(2, &large, Some([1, 2, 3, 4]))).await;
    assert_eq!(client.frame().await, Some((2, large)));
    drop(client);
    node.until_lost(1).await;

    let node =
        FakeNode::start(|_| Reply::Last(b"HTTP/1.1 200 OK\r\n\r\nto the end".to_vec())).await;
    let front = TlsFront::start(&authority, "node", false, node.address).await;
    let proxy = Proxy::start(&config(&[front.address], &trusting(&authority, ""), ""));
    assert_eq!(get(proxy.address, "/").await.text(), "to the end");
}

#[tokio::test]
async fn an_end_of_a_websocket_crosses_tls_behind_the_last_bytes() {
    let authority = authority();
    let acceptor = authority.acceptor("node", false);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let keys = format!("{}, health: off", trusting(&authority, ""));
    let proxy = Proxy::start(&config(&[listener.local_addr().unwrap()], &keys, ""));
    let address = proxy.address;
    let tunnel = async || {
        let client = tokio::spawn(async move { open(address, "/ws").await });
        let mut node = acceptor.accept(listener.accept().await.unwrap().0).await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(node.read_u8().await.unwrap());
        }
        // The key of the handshake is always the same.
        let switching = switching(&accept("dGhlIHNhbXBsZSBub25jZQ=="));
        node.write_all(switching.as_bytes()).await.unwrap();
        (client.await.unwrap(), node)
    };

    let (mut client, mut node) = tunnel().await;
    client.send(text("last")).await;
    client.stream.shutdown().await.unwrap();
    let mut received = Vec::new();
    // An error if close_notify were missing.
    node.read_to_end(&mut received).await.unwrap();
    assert_eq!(received, text("last"));

    let (mut client, mut node) = tunnel().await;
    let large = frame(2, &vec![b'x'; 300_000], None);
    let (sent, received) = tokio::join!(
        async {
            node.write_all(&large).await?;
            node.shutdown().await
        },
        client.until_end()
    );
    sent.unwrap();
    assert_eq!(received.len(), large.len());
}

/// A body that ends with the connection is complete only if the node said so (RFC 8446, section 6.1).
#[tokio::test]
async fn a_body_that_somebody_cut_off_is_not_passed_on_as_complete() {
    let authority = authority();
    let acceptor = authority.acceptor("node", false);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let keys = format!("{}, health: off", trusting(&authority, ""));
    let proxy = Proxy::start(&config(&[listener.local_addr().unwrap()], &keys, ""));
    let mut client = Client::connect(proxy.address).await;
    client.send(request("GET", "/", &[], "")).await;
    let mut node = acceptor.accept(listener.accept().await.unwrap().0).await.unwrap();
    while node.read_u8().await.unwrap() != b'\n' {}
    node.write_all(b"HTTP/1.1 200 OK\r\n\r\ncut of").await.unwrap();
    node.flush().await.unwrap();
    // Without close_notify.
    node.into_inner().0.shutdown().await.unwrap();
    let received = String::from_utf8_lossy(&client.until_end().await).into_owned();
    assert!(received.contains("cut of"), "{received}");
    assert!(!received.ends_with("0\r\n\r\n"), "{received}");
}

#[tokio::test]
async fn the_proxy_header_comes_before_the_handshake() {
    let authority = authority();
    let acceptor = authority.acceptor("node", false);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let keys = format!("{}, health: off, proxy_protocol: v1", trusting(&authority, ""));
    let proxy = Proxy::start(&config(&[listener.local_addr().unwrap()], &keys, ""));
    let mut client = Client::connect(proxy.address).await;
    client.send(request("GET", "/", &[], "")).await;
    let mut socket = listener.accept().await.unwrap().0;
    let mut header = Vec::new();
    while !header.ends_with(b"\r\n") {
        header.push(socket.read_u8().await.unwrap());
    }
    assert!(header.starts_with(b"PROXY TCP4 127.0.0.1 "), "{header:?}");
    let mut node = acceptor.accept(socket).await.unwrap();
    assert_eq!(node.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]), "and not h2");
    node.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
    assert_eq!(client.response().await.status(), 204);
}

#[tokio::test]
async fn a_tcp_check_makes_the_handshake_and_hears_what_the_node_says_of_it() {
    let authority = authority();
    let ca = authority.path("ca.pem").display().to_string();
    let (_node, strict) = socketio(of_node(&authority, "node", &["--client-ca", &ca])).await;
    let health = "health: { every: 1s, fail: 1 }";
    let keys = format!("{}, {health}", trusting(&authority, ""));
    let mut proxy = ProxyProcess::start(&config(&[strict], &keys, "")).await;
    let line = proxy.until_log("it requires a client certificate").await;
    assert!(line.contains(&strict.to_string()), "{line}");
}
