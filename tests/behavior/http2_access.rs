//! The access rules of a route over HTTP/2: each stream is checked like a request over HTTP/1.

use bytes::Bytes;
use h2::client::SendRequest;
use h2::ext::Protocol;
use http::{Method, Request};
use tokio::net::TcpStream;

use crate::support::{FakeNode, Proxy};

const POLL: &str = "/socket.io/?EIO=4&transport=polling";
const WEBSOCKET: &str = "/socket.io/?EIO=4&transport=websocket";

/// A connection to a proxy whose route and process have these keys.
async fn connect(node: &FakeNode, route: &str, process: &str) -> (Proxy, SendRequest<Bytes>) {
    let proxy = Proxy::start(&format!(
        "listeners: [{{ bind: '127.0.0.1:0', http2: on, trusted_proxies: [127.0.0.1] }}]\n\
         upstreams: {{ chat: {{ nodes: ['{}'] }} }}\n\
         routes: [{{ path: /, upstream: chat{route} }}]\n{process}",
        node.address
    ));
    let stream = TcpStream::connect(proxy.address).await.unwrap();
    let (requests, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    (proxy, requests)
}

/// The status of a GET, or of an extended CONNECT, with one more field.
async fn status(
    requests: &mut SendRequest<Bytes>,
    method: Method,
    target: &str,
    (name, value): (&str, &str),
) -> u16 {
    let is_websocket = method == Method::CONNECT;
    let request = Request::builder().method(method).uri(format!("http://a.test{target}"));
    let request = request.header("sec-websocket-version", "13").header(name, value);
    let mut request = request.body(()).unwrap();
    if is_websocket {
        request.extensions_mut().insert(Protocol::from_static("websocket"));
    }
    let (answer, _sent) = requests.send_request(request, !is_websocket).unwrap();
    answer.await.unwrap().status().as_u16()
}

#[tokio::test]
async fn origins_networks_and_tokens_are_checked_at_every_stream() {
    let node = FakeNode::engineio("n").await;
    let rules = ", origins: ['https://app.example'], deny: [203.0.113.0/24], \
                 auth: { jwt: { secrets: ['0123456789abcdef0123456789abcdef'] } }";
    let (_proxy, mut requests) = connect(&node, rules, "").await;
    for (field, expected) in [
        (("origin", "https://evil.example"), 403),
        (("x-forwarded-for", "203.0.113.9"), 403),
        (("authorization", "Bearer eyJhbGciOiJub25lIn0.e30."), 401),
        (("origin", "https://app.example"), 401),
    ] {
        for (method, target) in
            [(Method::GET, POLL), (Method::GET, "/page"), (Method::CONNECT, WEBSOCKET)]
        {
            let found = status(&mut requests, method, target, field).await;
            assert_eq!(found, expected, "{target} {field:?}");
        }
    }
    assert!(node.requests().is_empty());
}

#[tokio::test]
async fn streams_of_one_connection_share_the_rates_of_their_network() {
    let node = FakeNode::engineio("n").await;
    // A rate that no test waits for.
    let limits = "client_limits: { sessions_per_second: 1 }\n";
    let (_proxy, mut requests) = connect(&node, "", limits).await;
    for (method, target, opened) in
        [(Method::CONNECT, WEBSOCKET, "192.0.2.1"), (Method::GET, POLL, "192.0.2.2")]
    {
        let mut refused = 0;
        for _ in 0..30 {
            let field = ("x-forwarded-for", opened);
            let found = status(&mut requests, method.clone(), target, field).await;
            assert!([200, 429].contains(&found), "{found}");
            refused += usize::from(found == 429);
        }
        assert!(refused >= 10, "{refused}");
    }
}

#[tokio::test]
async fn a_name_and_a_password_are_checked_at_every_stream() {
    let node = FakeNode::engineio("n").await;
    // By libxcrypt: `secret`.
    let ann = "ann:$2y$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a";
    let rules = format!(", auth: {{ basic: {{ passwords: ['{ann}'], user_field: X-User }} }}");
    let (_proxy, mut requests) = connect(&node, &rules, "").await;
    // `ann:wrong`, `ann:secret`, and a scheme in capitals.
    for (field, is_right) in [
        (("x-user", "ann"), false),
        (("authorization", "Basic YW5uOndyb25n"), false),
        (("authorization", "Basic YW5uOnNlY3JldA=="), true),
        (("authorization", "BASIC YW5uOnNlY3JldA=="), true),
    ] {
        for (method, target) in
            [(Method::GET, POLL), (Method::GET, "/page"), (Method::CONNECT, WEBSOCKET)]
        {
            let seen = node.requests().len();
            let found = status(&mut requests, method, target, field).await;
            assert_eq!(found == 401, !is_right, "{target} {field:?}: {found}");
            let reached = node.requests().split_off(seen);
            assert_eq!(reached.len(), usize::from(is_right), "{target} {field:?}");
            assert!(reached.iter().all(|seen| seen.head.field("x-user") == Some("ann")));
        }
    }
    let unknown = Request::get(format!("http://a.test{POLL}")).body(()).unwrap();
    let (refused, _) = requests.send_request(unknown, true).unwrap();
    let challenge = refused.await.unwrap().headers()["www-authenticate"].clone();
    assert_eq!(challenge, "Basic realm=\"Sockeye\", charset=\"UTF-8\"");
}
