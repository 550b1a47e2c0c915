//! TLS to an authorization service: who is asked, and what is said of a stranger.

use std::net::SocketAddr;
use std::time::Duration;

use crate::support::tls::{Authority, TlsFront};
use crate::support::websocket::ask;
use crate::support::{FakeNode, Proxy, ProxyProcess, Reply, Site, config, get, ok};

const WEBSOCKET: &str = "/socket.io/?EIO=4&transport=websocket";

fn authority() -> Authority {
    let authority = Authority::new();
    authority.issue("service", "service", &["127.0.0.1"]);
    authority.issue("elsewhere", "elsewhere", &["elsewhere.example"]);
    authority.issue("proxy", "proxy", &["proxy"]);
    authority
}

/// A service that lets everybody in.
async fn gatekeeper() -> FakeNode {
    FakeNode::start(|_| ok("")).await
}

/// The keys of a route that asks at `service` and trusts `authority`, with more keys of `tls`.
fn route(service: SocketAddr, authority: &Authority, more: &str) -> String {
    let ca = authority.path("ca.pem");
    let tls = format!("{{ ca: '{}'{more} }}", ca.display());
    format!("auth: {{ forward: {{ url: 'https://{service}/check', cache: off, tls: {tls} }} }}")
}

/// The status and the body of a request, and how many requests the node and the service got.
async fn asked(service: &FakeNode, auth: &str) -> (u16, String, [usize; 2]) {
    let node = FakeNode::engineio("a").await;
    let proxy = Proxy::before(&[&node], "", auth);
    let response = get(proxy.address, "/").await;
    let seen = [node.requests().len(), service.requests().len()];
    (response.status(), response.text(), seen)
}

#[tokio::test]
async fn a_service_with_a_certificate_of_the_own_authority_is_asked() {
    let authority = authority();
    let service = gatekeeper().await;
    let front = TlsFront::start(&authority, "service", false, service.address).await;
    let node = FakeNode::engineio("a").await;
    let proxy = Proxy::before(&[&node], "", &route(front.address, &authority, ""));
    for _ in 0..3 {
        assert_eq!(get(proxy.address, "/").await.status(), 200);
    }
    assert_eq!(ask(proxy.address, WEBSOCKET, &[]).await.1.status(), 101);
    assert_eq!(service.requests().len(), 4);
    let seen = service.requests().remove(0);
    assert_eq!(seen.head.target, "/check");
    assert_eq!(seen.head.field("host"), Some(&*front.address.to_string()));
}

#[tokio::test]
async fn a_service_that_cannot_prove_who_it_is_learns_nothing_and_lets_nobody_in() {
    let (authority, stranger) = (authority(), Authority::new());
    let service = gatekeeper().await;
    let check = async |auth: &str, cause: &str| {
        let (status, body, seen) = asked(&service, auth).await;
        assert_eq!((status, seen), (503, [0, 0]), "{auth}");
        assert!(body.contains("the authorization service is unreachable by TLS: "), "{body}");
        assert!(body.contains(cause), "{auth}: {body}");
    };
    let front = TlsFront::start(&authority, "service", false, service.address).await;
    let unknown = "its certificate is not signed by an authority that is trusted";
    check(&route(front.address, &stranger, ""), unknown).await;
    let short = format!("auth: {{ forward: 'https://{}' }}", front.address);
    check(&short, unknown).await;
    let named = route(front.address, &authority, ", server_name: a.example");
    check(&named, "its certificate has another name").await;
    let strict = TlsFront::start(&authority, "service", true, service.address).await;
    let anonymous = route(strict.address, &authority, "");
    check(&anonymous, "it requires a client certificate").await;
    assert_eq!(service.requests().len(), 0);

    let shown = format!(", client_certificate: {{ {} }}", authority.pair("proxy"));
    let shown = route(strict.address, &authority, &shown);
    assert_eq!(asked(&service, &shown).await.0, 200);
    let other = TlsFront::start(&authority, "elsewhere", false, service.address).await;
    let named = route(other.address, &authority, ", server_name: elsewhere.example");
    assert_eq!(asked(&service, &named).await.0, 200);
}

#[tokio::test]
async fn a_service_without_tls_on_its_port_is_named_as_such() {
    let authority = authority();
    // As nginx replies to TLS on a port without it.
    let plain = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let auth = route(plain.local_addr().unwrap(), &authority, "");
    let node = FakeNode::engineio("a").await;
    let proxy = Proxy::before(&[&node], "", &auth);
    let service = async {
        let (mut stream, _) = plain.accept().await.unwrap();
        tokio::io::AsyncReadExt::read(&mut stream, &mut [0; 1024]).await.unwrap();
        let reply = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n";
        tokio::io::AsyncWriteExt::write_all(&mut stream, reply).await.unwrap();
        stream
    };
    let (response, _stream) = tokio::join!(get(proxy.address, "/"), service);
    assert_eq!((response.status(), node.requests().len()), (503, 0));
    assert!(response.text().contains("it does not speak TLS on this port"), "{}", response.text());
}

#[tokio::test]
async fn the_log_blames_the_service_and_names_the_cause() {
    let (authority, stranger) = (authority(), Authority::new());
    let service = gatekeeper().await;
    let front = TlsFront::start(&authority, "service", false, service.address).await;
    let node = FakeNode::start(|_| Reply::Hangup).await;
    let yaml = config(&[node.address], "", &route(front.address, &stranger, ""));
    let mut process = ProxyProcess::start(&yaml).await;
    assert_eq!(get(process.address, "/").await.status(), 503);
    let line = process.until_log("not signed by an authority that is trusted").await;
    for part in ["auth_service", "auth_unavailable"] {
        assert!(line.contains(part), "{part}: {line}");
    }
}

#[tokio::test]
async fn a_file_of_authorities_that_changes_is_read_again() {
    let (old, new) = (Authority::new(), authority());
    let service = gatekeeper().await;
    let front = TlsFront::start(&new, "service", false, service.address).await;
    let node = FakeNode::engineio("a").await;
    let site = Site::start(&config(&[node.address], "", &route(front.address, &old, "")));
    assert_eq!(get(site.address(), "/").await.status(), 503);
    std::fs::copy(new.path("ca.pem"), old.path("ca.pem")).unwrap();
    let until_served = async {
        while get(site.address(), "/").await.status() != 200 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), until_served).await.unwrap();
}
