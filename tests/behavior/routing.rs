//! Which node a request is for.

use crate::support::{Client, FakeNode, Proxy, ok};

async fn named(name: &'static str) -> FakeNode {
    FakeNode::start(move |_| ok(name)).await
}

#[tokio::test]
async fn the_most_specific_host_and_path_win() {
    let (exact, below, any, deep) =
        (named("exact").await, named("below").await, named("any").await, named("deep").await);
    let proxy = Proxy::start(&format!(
        "listeners: [{{ bind: '127.0.0.1:0' }}]
upstreams:
  exact: {{ nodes: ['{}'] }}
  below: {{ nodes: ['{}'] }}
  any: {{ nodes: ['{}'] }}
  deep: {{ nodes: ['{}'] }}
routes:
  - {{ path: /, upstream: any }}
  - {{ host: '*.example.com', path: /, upstream: below }}
  - {{ host: chat.example.com, path: /, upstream: exact }}
  - {{ host: chat.example.com, path: /deep/, upstream: deep }}
  - {{ host: chat.example.com, path: {{ exact: /one }}, upstream: deep }}
",
        exact.address, below.address, any.address, deep.address
    ));
    let cases = [
        ("chat.example.com", "/", "exact"),
        ("CHAT.example.com:8080", "/", "exact"),
        ("chat.example.com", "/deep/er?x=1", "deep"),
        ("chat.example.com", "/deep", "exact"),
        ("chat.example.com", "/one", "deep"),
        ("chat.example.com", "/one/", "exact"),
        ("other.example.com", "/", "below"),
        ("a.b.example.com", "/", "below"),
        ("example.com", "/", "any"),
        ("[::1]:80", "/", "any"),
    ];
    let mut client = Client::connect(proxy.address).await;
    for (host, target, expected) in cases {
        client.send(format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n")).await;
        assert_eq!(client.response().await.text(), expected, "{host}{target}");
    }
}

#[tokio::test]
async fn a_request_without_a_route_gets_an_error_that_says_so() {
    let node = named("node").await;
    let proxy = Proxy::start(&format!(
        "listeners: [{{ bind: '127.0.0.1:0' }}]
upstreams: {{ chat: {{ nodes: ['{}'] }} }}
routes: [{{ host: a.b, path: /socket.io/, upstream: chat }}]
",
        node.address
    ));
    let mut client = Client::connect(proxy.address).await;
    let plain = client.get("/elsewhere").await;
    assert_eq!((plain.status(), plain.text().trim()), (404, NO_ROUTE_TEXT));
    let engineio = client.get("/socket.io/?EIO=4&transport=polling").await;
    assert_eq!((engineio.status(), engineio.text().trim()), (404, NO_ROUTE_JSON));
    assert!(node.requests().is_empty());
}

const NO_ROUTE_TEXT: &str = "404 Not Found: no route serves this host and path";
const NO_ROUTE_JSON: &str = r#"{"code":404,"message":"no route serves this host and path"}"#;
