//! An authorization service of the operator says who may come in.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use crate::support::http::{Response, read_head};
use crate::support::node::Request;
use crate::support::socketio::{NodeServer, held, run_client};
use crate::support::websocket::ask;
use crate::support::{Client, FakeNode, Proxy, ProxyProcess, Reply, config, request, response};

const POLL: &str = "/socket.io/?EIO=4&transport=polling";
const WEBSOCKET: &str = "/socket.io/?EIO=4&transport=websocket";
const GOOD: &str = "Authorization: Bearer good";

/// A service that lets in who says `good`, with a cookie, a field or a parameter, and names the client.
async fn gatekeeper() -> FakeNode {
    FakeNode::start(|request| {
        let is_good = |name| request.head.field(name).is_some_and(|value| value.contains("good"));
        let query = request.head.field("x-forwarded-uri").is_some_and(|uri| uri.contains("k=good"));
        match is_good("authorization") || is_good("cookie") || is_good("x-api-key") || query {
            true => Reply::Bytes(
                b"HTTP/1.1 204 Fine\r\nX-User-Id: ann\r\nX-Other: 1\r\nConnection: x-user\r\n\r\n"
                    .to_vec(),
            ),
            false => Reply::Bytes(
                b"HTTP/1.1 401 No\r\nWWW-Authenticate: Bearer realm=\"gate\"\r\n\
                  Set-Cookie: a=b\r\nX-Other: 1\r\nContent-Length: 2\r\n\r\nno"
                    .to_vec(),
            ),
        }
    })
    .await
}

/// The keys of a route that asks at `service`; `more` are more of `forward`.
fn route(service: &FakeNode, more: &str) -> String {
    format!("auth: {{ forward: {{ url: 'http://{}/check?x=1'{more} }} }}", service.address)
}

async fn send(proxy: &Proxy, method: &str, target: &str, fields: &[&str]) -> Response {
    let mut client = Client::connect(proxy.address).await;
    client.send(request(method, target, fields, "")).await;
    client.response().await
}

async fn status(proxy: &Proxy, method: &str, target: &str, fields: &[&str]) -> u16 {
    send(proxy, method, target, fields).await.status()
}

/// The status of a poll before a service that replies by `script`.
async fn status_by(script: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> (u16, usize) {
    let (service, node) = (FakeNode::start(script).await, FakeNode::engineio("a").await);
    let proxy = Proxy::before(&[&node], "", &route(&service, ", timeout: 300ms"));
    (status(&proxy, "GET", POLL, &[GOOD]).await, node.requests().len())
}

#[tokio::test]
async fn the_service_is_asked_before_the_node_at_every_kind_of_request() {
    let (service, node) = (gatekeeper().await, FakeNode::engineio("a").await);
    let more = ", cache: off, response_fields: [X-User-Id], refusal_fields: [Set-Cookie]";
    let proxy = Proxy::before(&[&node], "", &route(&service, more));
    let bound = format!("{POLL}&sid=a0");
    for (method, target) in
        [("GET", POLL), ("GET", &*bound), ("POST", &*bound), ("GET", "/page"), ("OPTIONS", POLL)]
    {
        let refused = send(&proxy, method, target, &[]).await;
        assert_eq!(refused.status(), 401, "{method} {target}");
        assert_eq!(refused.head.field("www-authenticate"), Some("Bearer realm=\"gate\""));
        assert_eq!(refused.head.field("set-cookie"), Some("a=b"));
        assert_eq!(refused.head.field("x-other"), None);
    }
    let refused = send(&proxy, "GET", POLL, &[]).await;
    assert_eq!(refused.head.field("content-type"), Some("application/json"));
    assert!(refused.text().starts_with(r#"{"code":401,"#), "{}", refused.text());
    assert_eq!(ask(proxy.address, WEBSOCKET, &[]).await.1.status(), 401);
    assert_eq!(node.requests().len(), 0, "the node is spared");

    assert_eq!(status(&proxy, "GET", POLL, &[GOOD]).await, 200);
    assert_eq!(status(&proxy, "POST", &bound, &[GOOD]).await, 200);
    assert_eq!(ask(proxy.address, WEBSOCKET, &["Cookie: good=1"]).await.1.status(), 101);
    assert_eq!(service.requests().len(), 10, "one for each request");
    for seen in node.requests() {
        assert_eq!(seen.head.field("x-user-id"), Some("ann"));
        assert_eq!(seen.head.field("x-other"), None);
    }
}

#[tokio::test]
async fn the_service_learns_what_is_asked_and_no_claim_of_a_stranger() {
    let (service, node) = (gatekeeper().await, FakeNode::engineio("a").await);
    let proxy = Proxy::before(&[&node], "", &route(&service, ", request_fields: [X-Api-Key]"));
    let fields = [
        "X-Forwarded-For: 1.1.1.1",
        "X-Forwarded-Uri: /allowed",
        "X-Forwarded-Method: HEAD",
        "X-Original-URI: /allowed",
        "X-Api-Key: good",
        "X-Secret: 1",
        "Cookie: a=1",
        "Cookie: b=2",
    ];
    status(&proxy, "POST", POLL, &fields).await;
    let seen = service.requests().remove(0);
    assert_eq!((&*seen.head.method, &*seen.head.target), ("GET", "/check?x=1"));
    let expected = [
        ("host", service.address.to_string()),
        ("x-forwarded-method", "POST".to_owned()),
        ("x-forwarded-proto", "http".to_owned()),
        ("x-forwarded-host", "test".to_owned()),
        ("x-forwarded-uri", POLL.to_owned()),
        ("x-forwarded-for", "127.0.0.1".to_owned()),
        ("x-original-method", "POST".to_owned()),
        ("x-original-uri", POLL.to_owned()),
        ("cookie", "a=1; b=2".to_owned()),
        ("x-api-key", "good".to_owned()),
    ];
    let found = seen.head.fields.iter().map(|(name, value)| (&**name, value.clone()));
    assert_eq!(found.collect::<Vec<_>>(), expected);
}

#[tokio::test]
async fn nodes_learn_who_it_is_from_fields_that_no_client_can_write() {
    let (service, node) = (gatekeeper().await, FakeNode::engineio("a").await);
    let proxy = Proxy::before(&[&node], "", &route(&service, ", response_fields: [X-User-Id]"));
    let forged = ["X-User-Id: root", "X_User_Id: root", "Connection: X-User-Id", GOOD];
    for _ in 0..2 {
        assert_eq!(status(&proxy, "GET", POLL, &forged).await, 200);
    }
    assert_eq!(service.requests().len(), 1, "the second one is remembered");
    for seen in node.requests() {
        let named = seen.head.fields.iter().filter(|(name, _)| name.contains("user"));
        assert_eq!(named.collect::<Vec<_>>(), [&("x-user-id".to_owned(), "ann".to_owned())]);
    }
}

#[tokio::test]
async fn what_is_allowed_is_remembered_for_these_credentials_and_for_no_others() {
    let (service, node) = (gatekeeper().await, FakeNode::engineio("a").await);
    let proxy = Proxy::before(&[&node], "", &route(&service, ", request_fields: [X-Api-Key]"));
    let asked = async |target: &str, fields: &[&str], expected: u16| {
        let before = service.requests().len();
        assert_eq!(status(&proxy, "GET", target, fields).await, expected, "{target} {fields:?}");
        service.requests().len() - before
    };
    let bound = format!("{POLL}&sid=a0&t=abc");
    assert_eq!(asked(POLL, &[GOOD], 200).await, 1);
    assert_eq!(asked(&bound, &[GOOD], 200).await, 0);
    assert_eq!(asked(POLL, &["Authorization: Bearer bad"], 401).await, 1);
    assert_eq!(asked(POLL, &["Authorization: Bearer bad"], 401).await, 1, "a refusal is not kept");
    assert_eq!(asked(POLL, &["Cookie: Bearer good"], 200).await, 1);
    assert_eq!(asked(POLL, &["X-Api-Key: good"], 200).await, 1);
    assert_eq!(asked(&format!("{POLL}&k=good"), &[], 200).await, 1);
    assert_eq!(asked(&format!("{bound}&k=good"), &[], 200).await, 0);
    assert_eq!(asked(&format!("{POLL}&k=bad"), &[], 401).await, 1);
    assert_eq!(asked("/page", &[GOOD], 200).await, 1, "another path");
    assert_eq!(asked(POLL, &[GOOD, "Host: other"], 400).await, 0, "two hosts");
    // Two readers could take different ones, and the order could select the verdict.
    let twice = [GOOD, "Authorization: Bearer bad"];
    assert_eq!(asked(POLL, &twice, 401).await, 0);
    assert_eq!(asked(POLL, &[twice[1], twice[0]], 401).await, 0);
    // The node does not get a field of the connection, so the service does not get it either.
    assert_eq!(asked(POLL, &[GOOD, "Connection: Authorization"], 401).await, 1);
}

#[tokio::test]
async fn a_page_is_sent_to_the_login_and_a_socketio_client_is_not() {
    // A relative one stays as it is: browsers resolve it against the page.
    for location in
        ["https://login.example/?a=b", "/login?next=%2Fpage", "login", "//login.example/"]
    {
        let head = format!("HTTP/1.1 302 Found\r\nLocation: {location}\r\n");
        let service = FakeNode::start(move |_| {
            Reply::Bytes(format!("{head}Content-Length: 0\r\n\r\n").into_bytes())
        });
        let (service, node) = (service.await, FakeNode::engineio("a").await);
        let proxy = Proxy::before(&[&node], "", &route(&service, ""));
        let page = send(&proxy, "GET", "/page", &[]).await;
        assert_eq!((page.status(), page.head.field("location")), (302, Some(location)));
        for (method, target) in [("POST", "/page"), ("GET", POLL), ("POST", POLL)] {
            let refused = send(&proxy, method, target, &[]).await;
            assert_eq!((refused.status(), refused.head.field("location")), (401, None), "{target}");
        }
        assert_eq!(ask(proxy.address, WEBSOCKET, &[]).await.1.status(), 401);
        assert_eq!(node.requests().len(), 0);
    }
}

#[tokio::test]
async fn a_service_that_fails_lets_nobody_in() {
    let head = |bytes: &'static [u8]| move |_: &Request| Reply::Last(bytes.to_vec());
    assert_eq!(status_by(head(b"HTTP/1.1 403 No\r\n\r\n")).await, (403, 0));
    assert_eq!(status_by(head(b"HTTP/1.1 500 No\r\n\r\n")).await, (502, 0));
    assert_eq!(status_by(head(b"HTTP/1.1 302 No\r\n\r\n")).await, (502, 0), "no Location");
    assert_eq!(status_by(head(b"HTTP/1.1 101 Switching Protocols\r\n\r\n")).await, (502, 0));
    assert_eq!(status_by(head(b"220 mail.example ESMTP\r\n")).await, (502, 0));
    assert_eq!(status_by(|_| Reply::Hangup).await, (502, 0));
    assert_eq!(status_by(|_| Reply::Silence).await, (503, 0));
    let large = [b"HTTP/1.1 200 OK\r\nX-A: ".to_vec(), vec![b'a'; 1 << 20]].concat();
    assert_eq!(status_by(move |_| Reply::Last(large.clone())).await, (502, 0));
    let interim = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(status_by(head(interim)).await, (200, 1));
    // The head decides; a body that is long, or never comes, costs its connection and no more.
    assert_eq!(status_by(head(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n")).await, (200, 1));
    let long = [b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n".to_vec(), vec![0; 1 << 22]];
    assert_eq!(status_by(move |_| Reply::Last(long.concat())).await, (200, 1));
}

#[tokio::test]
async fn a_service_that_trickles_its_head_is_given_up_in_time() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let node = FakeNode::engineio("a").await;
    let auth = format!("auth: {{ forward: {{ url: 'http://{address}', timeout: 300ms }} }}");
    let proxy = Proxy::before(&[&node], "", &auth);
    let (found, written) = tokio::join!(status(&proxy, "GET", POLL, &[GOOD]), async {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\nX-A: ").await.unwrap();
        let mut written = 0;
        let mut pace = tokio::time::interval(Duration::from_millis(10));
        while stream.write_all(b"a").await.is_ok() {
            pace.tick().await;
            written += 1;
        }
        written
    });
    assert_eq!((found, node.requests().len()), (503, 0));
    assert!(written < 500, "{written}");
}

#[tokio::test]
async fn a_service_that_is_gone_is_blamed_in_the_log() {
    let node = FakeNode::engineio("a").await;
    let service = gatekeeper().await;
    let route = route(&service, "");
    drop(service);
    let mut process = ProxyProcess::start(&config(&[node.address], "", &route)).await;
    let found = ask(process.address, WEBSOCKET, &[GOOD]).await.1;
    assert_eq!(found.status(), 503);
    let line = process.until_log("the authorization service is unreachable").await;
    assert!(line.contains("auth_service"), "{line}");
    assert!(line.contains("auth_unavailable"), "{line}");
}

/// The next request at a service that a test plays itself.
async fn next_request(listener: &TcpListener) -> TcpStream {
    let (mut stream, _) = listener.accept().await.unwrap();
    read_head(&mut stream, &mut Vec::new()).await.unwrap();
    stream
}

#[tokio::test]
async fn a_client_that_leaves_ends_its_question_and_another_one_asks_again() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let auth = format!("auth: {{ forward: 'http://{}' }}", listener.local_addr().unwrap());
    let node = FakeNode::engineio("a").await;
    let proxy = Arc::new(Proxy::before(&[&node], "", &auth));
    let mut leaving = Client::connect(proxy.address).await;
    leaving.send(request("GET", POLL, &[GOOD], "")).await;
    let mut first = next_request(&listener).await;
    let waiting = tokio::spawn({
        let proxy = proxy.clone();
        async move { status(&proxy, "GET", POLL, &[GOOD]).await }
    });
    drop(leaving);
    let mut rest = [0; 8];
    let end = tokio::io::AsyncReadExt::read(&mut first, &mut rest).await.unwrap_or(0);
    assert_eq!(end, 0, "nobody waits for the first verdict");
    let mut second = next_request(&listener).await;
    second.write_all(&response("200 OK", "")).await.unwrap();
    assert_eq!(waiting.await.unwrap(), 200);
}

#[tokio::test]
async fn requests_at_once_with_the_same_credentials_ask_once() {
    let (service, node) = (gatekeeper().await, FakeNode::engineio("a").await);
    let proxy = Proxy::before(&[&node], "", &route(&service, ""));
    let found = join_all((0..32).map(|_| status(&proxy, "GET", POLL, &[GOOD]))).await;
    assert_eq!(found, [200; 32]);
    assert_eq!(service.requests().len(), 1);
}

#[tokio::test]
async fn real_clients_connect_with_credentials_and_learn_that_they_are_refused_without() {
    let service = gatekeeper().await;
    let server = NodeServer::start(&["--allow-eio3"]).await;
    let route = route(&service, "");
    let proxy = Proxy::start(&config(&[server.address().parse().unwrap()], "", &route));
    let url = format!("http://{}", proxy.address);
    let refused = ["--url", &url, "--scenario", "refused"];
    for line in ["4", "3", "2"] {
        let status = ["--line", line, "--status", "401"];
        held(run_client(&[&refused[..], &status].concat()).await);
        let headers = r#"{"Cookie":"session=good"}"#;
        let admitted = ["--line", line, "--headers", headers, "--status", "200"];
        held(run_client(&[&refused[..], &admitted].concat()).await);
    }
}

#[tokio::test]
async fn requests_and_websockets_over_http2_are_asked_about_too() {
    let (service, node) = (gatekeeper().await, FakeNode::engineio("a").await);
    let auth = route(&service, "");
    let yaml =
        config(&[node.address], "", &auth).replace("'127.0.0.1:0'", "'127.0.0.1:0', http2: on");
    let proxy = Proxy::start(&yaml);
    let stream = TcpStream::connect(proxy.address).await.unwrap();
    let (mut requests, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    // The two cookies are crumbs of one (RFC 9113, section 8.2.3).
    for (cookies, poll, websocket) in [(["a=1", "b=2"], 401, 401), (["a=1", "b=good"], 200, 200)] {
        let get = http::Request::get(format!("http://a.test{POLL}"));
        let get = get.header("cookie", cookies[0]).header("cookie", cookies[1]).body(()).unwrap();
        let found = requests.send_request(get, true).unwrap().0.await.unwrap();
        assert_eq!(found.status(), poll, "{cookies:?}");
        let connect = http::Request::builder()
            .method("CONNECT")
            .uri(format!("http://a.test{WEBSOCKET}"))
            .header("sec-websocket-version", "13")
            .header("cookie", cookies[0])
            .header("cookie", cookies[1]);
        let mut connect = connect.body(()).unwrap();
        connect.extensions_mut().insert(h2::ext::Protocol::from_static("websocket"));
        let (found, _sent) = requests.send_request(connect, false).unwrap();
        assert_eq!(found.await.unwrap().status(), websocket, "{cookies:?}");
    }
    let seen = service.requests();
    assert_eq!(seen[0].head.field("cookie"), Some("a=1; b=2"));
    assert_eq!(seen[1].head.field("x-forwarded-method"), Some("GET"), "as the node sees it");
}

#[tokio::test]
async fn a_flood_of_credentials_before_a_service_that_hangs_is_bounded() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let auth = format!("auth: {{ forward: {{ url: '{url}', timeout: 2s }} }}");
    let node = FakeNode::engineio("a").await;
    let proxy = Arc::new(Proxy::before(&[&node], "", &auth));
    let clients =
        (0..400).map(|number| {
            let proxy = proxy.clone();
            async move {
                status(&proxy, "GET", POLL, &[&format!("Authorization: Bearer {number}")]).await
            }
        });
    let clients = tokio::spawn(join_all(clients));
    let mut held = Vec::new();
    while let Ok(accepted) = timeout(Duration::from_millis(500), listener.accept()).await {
        held.push(accepted.unwrap());
    }
    assert_eq!(held.len(), 256, "no more at the same time");
    drop(listener);
    let found = clients.await.unwrap();
    assert!(found.iter().all(|status| *status == 503), "{found:?}");
    assert_eq!(node.requests().len(), 0);
}
