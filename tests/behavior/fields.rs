//! Routes that change header fields: what nodes see, and what clients get.

use http::Request;

use crate::support::http2::{self, websocket_request};
use crate::support::node::Request as Seen;
use crate::support::websocket::{UPGRADE, ask};
use crate::support::{Client, FakeNode, Proxy, Reply, config, get, request};

/// A proxy before `node` for both versions of HTTP, whose route has these keys.
fn proxy(node: &FakeNode, route: &str) -> Proxy {
    let yaml = config(&[node.address], "health: off", route);
    Proxy::start(&yaml.replace("'127.0.0.1:0'", "'127.0.0.1:0', http2: on"))
}

/// All values of a field that the node saw last.
fn last(node: &FakeNode, name: &str) -> Vec<String> {
    let Seen { head, .. } = node.requests().pop().unwrap();
    let fields = head.fields.into_iter().filter(|(field, _)| field == name);
    fields.map(|(_, value)| value).collect()
}

const NONE: [&str; 0] = [];

#[tokio::test]
async fn nodes_get_the_fields_that_the_route_sets_in_every_kind_of_request() {
    let node = FakeNode::engineio("a").await;
    let rules = "request_headers: { \
                 set: { Host: app.internal, Origin: 'https://app.internal', X-Real-IP: '${client_address}', \
                        X-From: '${scheme}://${host} ${cookie.a} ${header.X-Said}', X-Empty: '${header.X-None}' }, \
                 add: { X-More: two }, remove: [X-Gone, Accept-Encoding] }";
    let proxy = proxy(&node, rules);
    let fields = [
        "Origin: https://evil.example",
        "X-Real-IP: 6.6.6.6",
        "X-Said: it",
        "X_From: forged",
        "X-Empty: 1",
        "X-More: one",
        "X-Gone: 1",
        "x_gone: 1",
        "Cookie: a=b",
        "Accept-Encoding: gzip",
    ];
    let check = |case: &str, host: &str| {
        let check = |name: &str, expected: &[&str]| {
            assert_eq!(last(&node, name), expected, "{case} {name}")
        };
        check("host", &["app.internal"]);
        check("origin", &["https://app.internal"]);
        check("x-real-ip", &["127.0.0.1"]);
        check("x-from", &[&format!("http://{host} b it")]);
        check("x_from", &NONE);
        check("x-empty", &NONE);
        check("x-more", &["one", "two"]);
        check("x-gone", &NONE);
        check("x_gone", &NONE);
        check("accept-encoding", &NONE);
        check("x-forwarded-host", &[host]);
        check("x-forwarded-for", &["127.0.0.1"]);
    };
    let poll = "/socket.io/?EIO=4&transport=polling";
    for (method, target) in [("GET", poll), ("POST", "/form"), ("GET", "/page")] {
        let mut client = Client::connect(proxy.address).await;
        client.send(request(method, target, &fields, "")).await;
        assert_eq!(client.response().await.status(), 200);
        check(target, "test");
    }
    let websocket = "/socket.io/?EIO=4&transport=websocket";
    assert_eq!(ask(proxy.address, websocket, &fields).await.1.status(), 101);
    check("websocket", "test");

    let mut requests = http2::connect(proxy.address).await;
    let mut get = Request::get("http://a.test/page").body(()).unwrap();
    let mut connect = websocket_request(websocket);
    for request in [&mut get, &mut connect] {
        for (name, value) in fields.iter().filter_map(|field| field.split_once(": ")) {
            let name: http::HeaderName = name.parse().unwrap();
            request.headers_mut().append(name, value.parse().unwrap());
        }
    }
    assert_eq!(http2::ask(&mut requests, get).await.status(), 200);
    check("HTTP/2", "a.test");
    let (answer, _sent) = requests.send_request(connect, false).unwrap();
    assert_eq!(answer.await.unwrap().status(), 200);
    check("WebSocket over HTTP/2", "a.test");
}

#[tokio::test]
async fn clients_get_the_fields_that_the_route_sets_in_every_kind_of_response() {
    let node = FakeNode::start(|request| match request.head.is_upgrade() {
        true => Reply::Echo { behind: Vec::new() },
        false if request.head.target == "/silent" => Reply::Hangup,
        false => Reply::Bytes(
            b"HTTP/1.1 200 OK\r\nServer: node\r\nX-Frame-Options: ALLOW\r\nCache-Control: private\r\n\
              Link: a\r\nContent-Length: 0\r\n\r\n"
                .to_vec(),
        ),
    })
    .await;
    let rules = "response_headers: { \
                 set: { X-Frame-Options: DENY, Cache-Control: 'public, max-age=60', X-Id: '${request_id}', \
                        X-Back: '${header.X-Said}' }, \
                 add: { Link: b }, remove: [Server] }";
    let proxy = proxy(&node, rules);
    let mut client = Client::connect(proxy.address).await;
    client.send(request("GET", "/", &["X-Said: it"], "")).await;
    let head = client.response().await.head;
    let values = |name: &str| {
        let fields = head.fields.iter().filter(|(field, _)| field == name);
        fields.map(|(_, value)| value.as_str()).collect::<Vec<_>>()
    };
    assert_eq!(values("server"), NONE);
    assert_eq!(values("x-frame-options"), ["DENY"]);
    assert_eq!(values("cache-control"), ["public, max-age=60"]);
    assert_eq!(values("link"), ["a", "b"]);
    assert_eq!(values("x-back"), ["it"]);
    assert_eq!(values("x-id"), last(&node, "x-request-id"), "it is the id that the node got");

    let (_client, switched) = ask(proxy.address, "/", &[]).await;
    assert_eq!(switched.status(), 101);
    assert_eq!(switched.head.field("x-frame-options"), Some("DENY"));
    let mut requests = http2::connect(proxy.address).await;
    let request = Request::get("http://a.test/").body(()).unwrap();
    let answer = http2::ask(&mut requests, request).await;
    assert_eq!(answer.headers()["x-frame-options"], "DENY");

    // An error of ours is not made cacheable.
    let refused = get(proxy.address, "/silent").await;
    assert_eq!(refused.status(), 502);
    assert_eq!(refused.head.field("x-frame-options"), Some("DENY"));
    assert_eq!(refused.head.field("cache-control"), Some("no-store"));
    let mut client = Client::connect(proxy.address).await;
    let twice = [UPGRADE[3], UPGRADE[3], UPGRADE[0], UPGRADE[1]];
    client.send(crate::support::request("GET", "/", &twice, "")).await;
    let refused = client.response().await;
    assert_eq!((refused.status(), refused.head.field("x-frame-options")), (400, Some("DENY")));
}

#[tokio::test]
async fn a_redirect_to_the_host_that_the_node_got_leads_to_the_clients_host() {
    let node = FakeNode::start(|_| {
        let head =
            "HTTP/1.1 302 Found\r\nLocation: http://app.internal/x?y\r\nContent-Length: 0\r\n\r\n";
        Reply::Bytes(head.into())
    })
    .await;
    let proxy = proxy(&node, "request_headers: { set: { Host: app.internal } }");
    let answer = get(proxy.address, "/").await;
    assert_eq!(answer.head.field("location"), Some("http://test/x?y"));
}

#[tokio::test]
async fn no_rule_removes_the_cookie_of_the_affinity() {
    let node = FakeNode::start(|_| {
        Reply::Bytes(b"HTTP/1.1 200 OK\r\nSet-Cookie: a=b\r\nContent-Length: 0\r\n\r\n".to_vec())
    })
    .await;
    let rules = "response_headers: { remove: [Set-Cookie] }";
    let proxy = Proxy::before(&[&node], "affinity: cookie", rules);
    let head = get(proxy.address, "/").await.head;
    let cookies: Vec<_> = head.fields.iter().filter(|(name, _)| name == "set-cookie").collect();
    assert_eq!(cookies.len(), 1, "{cookies:?}");
    assert!(cookies[0].1.starts_with("sockeye="), "{cookies:?}");
}
