//! TLS towards clients, as openssl, rustls and Socket.IO see it.

use std::net::SocketAddr;
use std::path::PathBuf;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::admin::ask_at;
use crate::support::tls::{Authority, Key, connect, s_client};
use crate::support::{Client, FakeNode, Proxy, ProxyProcess, Site, config, ok, request};

/// A listener with these keys below `tls:`.
fn yaml(nodes: &[SocketAddr], tls: &str) -> String {
    config(nodes, "", "").replace("'127.0.0.1:0'", &format!("'127.0.0.1:0', tls: {{ {tls} }}"))
}

async fn node() -> FakeNode {
    FakeNode::start(|request| {
        let field = |name| request.head.field(name).unwrap_or("none");
        ok(&format!("{} {}", field("x-forwarded-proto"), field("x-forwarded-client-cert")))
    })
    .await
}

/// The response to one request, to its end.
async fn get(mut stream: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin) -> String {
    let request = "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
        X-Forwarded-Client-Cert: forged\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).await.unwrap();
    response
}

#[tokio::test]
async fn openssl_gets_the_certificate_for_its_name_and_its_signatures() {
    let authority = Authority::new();
    let ca = authority.path("ca.pem");
    authority.issue("one", "one", &["one.example"]);
    authority.issue("wild", "wild-ecdsa", &["*.chat.example"]);
    authority.issue_by(Key::Rsa, "rsa", "wild-rsa", &["*.chat.example"]);
    let node = node().await;
    let files = ["one", "rsa", "wild"].map(|file| format!("{{ {} }}", authority.pair(file)));
    let tls = format!("certificates: [{}]", files.join(", "));
    let proxy = Proxy::start(&yaml(&[node.address], &tls));
    let check = async |arguments: &[&str], expected: &str| {
        let printed = s_client(proxy.address, &ca, arguments).await;
        assert!(printed.contains(expected), "{arguments:?}: {expected}\n{printed}");
    };
    check(&["-servername", "one.example"], "subject=CN=one\n").await;
    check(&["-servername", "a.chat.example"], "subject=CN=wild-ecdsa\n").await;
    let rsa = ["-servername", "a.chat.example", "-sigalgs", "rsa_pss_rsae_sha256"];
    check(&rsa, "subject=CN=wild-rsa\n").await;
    check(&["-servername", "unknown.example"], "subject=CN=one\n").await;
    check(&["-noservername"], "subject=CN=one\n").await;
    check(&["-servername", "one.example"], "Verification: OK").await;
    check(&["-servername", "one.example"], "HTTP/1.1 200 OK").await;
}

#[tokio::test]
async fn a_protocol_is_agreed_on_or_the_handshake_refused() {
    let authority = Authority::new();
    authority.issue("one", "one", &["localhost"]);
    let node = node().await;
    let proxy = Proxy::start(&yaml(&[node.address], &authority.pair("one")));
    for (offered, expected) in
        [("h2,http/1.1", "ALPN protocol: http/1.1"), ("imap", "SSL alert number 120")]
    {
        let ca = authority.path("ca.pem");
        let printed = s_client(proxy.address, &ca, &["-alpn", offered]).await;
        assert!(printed.contains(expected), "{offered}: {expected}\n{printed}");
    }
}

#[tokio::test]
async fn a_session_is_resumed_by_another_proxy_and_after_a_restart() {
    let authority = Authority::new();
    let ca = authority.path("ca.pem");
    authority.issue("one", "one", &["localhost"]);
    std::fs::write(authority.path("secret"), "0123456789abcdef0123456789abcdef\n").unwrap();
    let node = node().await;
    let secret = authority.path("secret");
    let tls = |more: &str| {
        let tls = format!("{}, {more}", authority.pair("one"));
        yaml(&[node.address], &tls)
    };
    let shared = tls(&format!("tickets: {{ key_file: '{}' }}", secret.display()));
    let own = tls("tickets: auto");
    for version in ["-tls1_2", "-tls1_3"] {
        let session: PathBuf = authority.path("session");
        let session = session.to_str().unwrap();
        let mut first = ProxyProcess::start(&shared).await;
        let second = ProxyProcess::start(&shared).await;
        let out = s_client(first.address, &ca, &[version, "-sess_out", session]).await;
        assert!(out.contains("New, TLS"), "{out}");
        let resume = [version, "-sess_in", session];
        let again = s_client(first.address, &ca, &resume).await;
        assert!(again.contains("Reused, TLS"), "{version}: the same process\n{again}");
        let again = s_client(second.address, &ca, &resume).await;
        assert!(again.contains("Reused, TLS"), "{version}: another proxy\n{again}");
        first.child.kill().await.unwrap();
        let restarted = ProxyProcess::start(&shared).await;
        let again = s_client(restarted.address, &ca, &resume).await;
        assert!(again.contains("Reused, TLS"), "{version}: after a restart\n{again}");
        let other = ProxyProcess::start(&own).await;
        let again = s_client(other.address, &ca, &resume).await;
        assert!(again.contains("New, TLS"), "{version}: another secret\n{again}");
    }
}

#[tokio::test]
async fn a_session_is_resumed_after_a_reload_that_brings_another_certificate() {
    let authority = Authority::new();
    let ca = authority.path("ca.pem");
    authority.issue("old", "old", &["localhost"]);
    authority.issue("new", "new", &["localhost"]);
    let node = node().await;
    let session: PathBuf = authority.path("session");
    let session = session.to_str().unwrap();
    for version in ["-tls1_2", "-tls1_3"] {
        let site = Site::start(&yaml(&[node.address], &authority.pair("old")));
        let out = s_client(site.address(), &ca, &[version, "-sess_out", session]).await;
        assert!(out.contains("New, TLS") && out.contains("subject=CN=old"), "{out}");
        site.reload(&yaml(&[node.address], &authority.pair("new"))).await.unwrap();
        let again = s_client(site.address(), &ca, &[version, "-sess_in", session]).await;
        assert!(again.contains("Reused, TLS"), "{version}\n{again}");
        let other = s_client(site.address(), &ca, &[version]).await;
        assert!(other.contains("New, TLS") && other.contains("subject=CN=new"), "{other}");
    }
}

#[tokio::test]
async fn a_node_learns_the_certificate_of_the_client_and_nothing_that_is_forged() {
    let authority = Authority::new();
    authority.issue("one", "one", &["localhost"]);
    authority.issue("alice", "alice", &[]);
    let node = node().await;
    let ca = authority.path("ca.pem").display().to_string();
    let clients = |mode: &str| {
        let more = format!(", client_certificates: {{ mode: {mode}, ca: '{ca}' }}");
        Proxy::start(&yaml(&[node.address], &format!("{}{more}", authority.pair("one"))))
    };
    let (optional, required) = (clients("optional"), clients("required"));
    let alice = authority.connector(Some("alice"));
    let stranger = authority.connector(None);
    for proxy in [&optional, &required] {
        let response = get(connect(&alice, proxy.address).await).await;
        assert!(response.contains("https Hash="), "{response}");
        assert!(response.contains(";Subject=\"CN=alice\""), "{response}");
    }
    let response = get(connect(&stranger, optional.address).await).await;
    assert!(response.ends_with("https none"), "{response}");
    // A client of TLS 1.3 learns of the refusal after its own end of the handshake.
    let mut refused = connect(&stranger, required.address).await;
    assert!(refused.read(&mut [0]).await.is_err());
}

#[tokio::test]
async fn plain_http_is_redirected_with_path_and_query() {
    let node = node().await;
    let redirect = |value: &str| {
        let bind = format!("'127.0.0.1:0', redirect_http: {value}");
        Proxy::start(&config(&[node.address], "", "").replace("'127.0.0.1:0'", &bind))
    };
    let proxy = redirect("on");
    let ask = async |proxy: &Proxy, method: &str, target: &str| {
        let mut client = Client::connect(proxy.address).await;
        client.send(request(method, target, &[], "")).await;
        let response = client.response().await;
        let location = response.head.field("location").unwrap_or_default().to_owned();
        (response.status(), location)
    };
    let (status, location) = ask(&proxy, "GET", "/socket.io/?EIO=4&transport=polling").await;
    assert_eq!(status, 301);
    assert_eq!(location, "https://test/socket.io/?EIO=4&transport=polling");
    assert_eq!(ask(&proxy, "POST", "/x").await.0, 308);
    assert_eq!(ask(&proxy, "GET", "/.well-known/acme-challenge/x").await.0, 200);
    let other = redirect("8443");
    assert_eq!(ask(&other, "GET", "/").await.1, "https://test:8443/");
}

#[tokio::test]
async fn the_status_remarks_on_certificates_that_are_not_valid_wherever_they_are_shown() {
    let authority = Authority::new();
    authority.issue_expired("old", "old", &["old.example"]);
    authority.issue_expired("client", "client", &["client.example"]);
    authority.issue("one", "one", &["one.example"]);
    let node = node().await;
    let files = ["one", "old"].map(|file| format!("{{ {} }}", authority.pair(file))).join(", ");
    let shown =
        format!("tls: {{ verify: off, client_certificate: {{ {} }} }}", authority.pair("client"));
    let upstream = config(&[node.address], &shown, "");
    let listener = format!("'127.0.0.1:0', tls: {{ certificates: [{files}] }}");
    let yaml = upstream.replace("'127.0.0.1:0'", &listener);
    let proxy = Proxy::start(&(yaml + "admin: { bind: '127.0.0.1:0' }\n"));
    let (_, status) = ask_at(proxy.admin.unwrap(), "GET", "/status", &[]).await;
    let expired = |name: &str| {
        format!("the certificate of {name} expired on 2021-01-01: it is refused, renew it")
    };
    let expected = ["old.example", "client.example"].map(expired);
    assert_eq!(status["notes"], serde_json::json!(expected));
    assert_eq!(status["listener_certificates"][1]["name"], "old.example");
}
