//! CORS of a route: what pages of other origins may read.

use http::{Method, Request};

use crate::support::http::Head;
use crate::support::{Client, FakeNode, Proxy, Reply, config, http2, request};

const POLL: &str = "/socket.io/?EIO=4&transport=polling";
const APP: &str = "https://app.example";

/// A node that has CORS of its own, as Socket.IO has, and a proxy for both versions of HTTP before it.
async fn served(route: &str) -> (FakeNode, Proxy) {
    let node = FakeNode::start(|request| {
        match request.head.target.as_str() {
        "/silent" => Reply::Hangup,
        _ => Reply::Bytes(
            b"HTTP/1.1 200 OK\r\nAccess-Control-Allow-Origin: http://localhost:3000\r\n\
              Access-Control-Allow-Credentials: true\r\nVary: Origin\r\nContent-Length: 2\r\n\r\nok"
                .to_vec(),
        ),
    }
    })
    .await;
    let yaml = config(&[node.address], "health: off", route);
    let proxy = Proxy::start(&yaml.replace("'127.0.0.1:0'", "'127.0.0.1:0', http2: on"));
    (node, proxy)
}

async fn ask(proxy: &Proxy, method: &str, target: &str, fields: &[&str]) -> (u16, Head) {
    let mut client = Client::connect(proxy.address).await;
    client.send(request(method, target, fields, "")).await;
    let answer = client.response().await;
    (answer.status(), answer.head)
}

/// All values of the field.
fn values<'a>(head: &'a Head, name: &str) -> Vec<&'a str> {
    let fields = head.fields.iter().filter(|(field, _)| field == name);
    fields.map(|(_, value)| value.as_str()).collect()
}

#[tokio::test]
async fn a_page_reads_what_the_route_allows_and_no_field_is_there_twice() {
    let cors =
        "cors: { origins: ['https://app.example'], credentials: true, expose_headers: [X-Total] }";
    let (_node, proxy) = served(cors).await;
    for (method, target, status) in
        [("GET", POLL, 200), ("POST", "/form", 200), ("GET", "/silent", 502)]
    {
        let origin = format!("Origin: {APP}");
        let (found, head) = ask(&proxy, method, target, &[&origin]).await;
        assert_eq!(found, status);
        assert_eq!(values(&head, "access-control-allow-origin"), [APP], "{target}");
        assert_eq!(values(&head, "access-control-allow-credentials"), ["true"]);
        assert_eq!(values(&head, "access-control-expose-headers"), ["x-total"]);
        assert_eq!(values(&head, "vary").len(), 1);

        let (found, head) = ask(&proxy, method, target, &["Origin: https://evil.example"]).await;
        assert_eq!(found, status);
        assert_eq!(values(&head, "access-control-allow-origin"), [""; 0], "{target}");
        assert_eq!(values(&head, "access-control-allow-credentials"), [""; 0]);
        assert_eq!(values(&head, "vary").len(), 1);
    }

    let mut requests = http2::connect(proxy.address).await;
    let request = Request::get("http://a.test/").header("origin", APP).body(()).unwrap();
    let answer = http2::ask(&mut requests, request).await;
    assert_eq!(answer.headers().get_all("access-control-allow-origin").iter().count(), 1);
    assert_eq!(answer.headers()["access-control-allow-origin"], APP);
}

#[tokio::test]
async fn preflights_are_answered_and_cost_the_node_nothing() {
    let cors = "cors: { origins: ['https://app.example'], methods: [GET, POST], max_age: 10m }, \
                deny: [127.0.0.7]";
    let (node, proxy) = served(cors).await;
    let asked = ["Access-Control-Request-Method: POST", "Access-Control-Request-Headers: x-a, x-b"];
    let (status, head) =
        ask(&proxy, "OPTIONS", POLL, &["Origin: https://app.example", asked[0], asked[1]]).await;
    assert_eq!(status, 204);
    assert_eq!(values(&head, "access-control-allow-origin"), [APP]);
    assert_eq!(values(&head, "access-control-allow-methods"), ["GET, POST"]);
    assert_eq!(values(&head, "access-control-allow-headers"), ["x-a, x-b"]);
    assert_eq!(values(&head, "access-control-max-age"), ["600"]);
    assert_eq!(values(&head, "access-control-allow-credentials"), [""; 0]);

    let (status, head) =
        ask(&proxy, "OPTIONS", POLL, &["Origin: https://evil.example", asked[0]]).await;
    assert_eq!(status, 204);
    assert!(!head.fields.iter().any(|(name, _)| name.starts_with("access-control-")), "{head:?}");

    let mut requests = http2::connect(proxy.address).await;
    let request = Request::builder().method(Method::OPTIONS).uri("http://a.test/form");
    let request = request.header("origin", APP).header("access-control-request-method", "POST");
    let answer = http2::ask(&mut requests, request.body(()).unwrap()).await;
    assert_eq!(answer.status(), 204);
    assert_eq!(answer.headers()["access-control-allow-methods"], "GET, POST");

    // A client that may not use the route learns nothing about it.
    let mut client = Client::connect_from("127.0.0.7", proxy.address).await;
    client
        .send(crate::support::request(
            "OPTIONS",
            POLL,
            &["Origin: https://app.example", asked[0]],
            "",
        ))
        .await;
    assert_eq!(client.response().await.status(), 403);
    assert!(node.requests().is_empty());

    // No preflight: the node answers.
    assert_eq!(ask(&proxy, "OPTIONS", "/", &["Origin: https://app.example"]).await.0, 200);
    assert_eq!(node.requests().len(), 1);
}

#[tokio::test]
async fn a_public_route_is_for_all_pages_and_the_same_for_each() {
    let (_node, proxy) = served("cors: { origins: [any] }").await;
    for fields in [&["Origin: https://a.example"][..], &[]] {
        let (_, head) = ask(&proxy, "GET", "/", fields).await;
        assert_eq!(values(&head, "access-control-allow-origin"), ["*"]);
        assert_eq!(values(&head, "access-control-allow-credentials"), [""; 0]);
    }
}
