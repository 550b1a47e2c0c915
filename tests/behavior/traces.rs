//! `traceparent` on its way to nodes, and in the log.

use crate::support::http2;
use crate::support::{Client, FakeNode, ProxyProcess, Reply, config, ok, request, websocket};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

fn parent() -> String {
    format!("traceparent: 00-{TRACE}-00f067aa0ba902b7-01")
}

#[tokio::test]
async fn a_trace_reaches_the_node_and_the_log_over_both_versions_of_http() {
    let node = FakeNode::start(|_| ok("yes")).await;
    let yaml = config(&[node.address], "", "") + "log: { level: debug }\n";
    let yaml = yaml.replace("'127.0.0.1:0'", "'127.0.0.1:0', http2: on");
    let mut process = ProxyProcess::start(&yaml).await;
    let mut client = Client::connect(process.address).await;
    let fields = [&*parent(), "tracestate: a=1"];
    client.send(request("GET", "/a", &fields, "")).await;
    assert_eq!(client.response().await.status(), 200);
    let line = process.until_log("answered").await;
    assert!(line.contains(&format!("trace={TRACE}")), "{line}");
    client.send(request("GET", "/b", &["traceparent: 00-x"], "")).await;
    client.response().await;
    let line = process.until_log("answered").await;
    assert!(!line.contains("trace="), "{line}");
    let mut requests = http2::connect(process.address).await;
    let head = http::Request::get("http://a.test/c").header("traceparent", &parent()[13..]);
    let (answer, _) = requests.send_request(head.body(()).unwrap(), true).unwrap();
    assert_eq!(http2::soon(answer).await.unwrap().status(), 200);
    let line = process.until_log("http2").await;
    assert!(line.contains(&format!("trace={TRACE}")), "{line}");
    let sent = node.requests();
    assert_eq!(sent[2].head.field("traceparent"), Some(&parent()[13..]));
    let value = parent().split_off("traceparent: ".len());
    assert_eq!(sent[0].head.field("traceparent"), Some(&*value));
    assert_eq!(sent[0].head.field("tracestate"), Some("a=1"));
    assert_eq!(sent[1].head.field("traceparent"), Some("00-x"), "passed on as it came");
}

#[tokio::test]
async fn a_trace_is_made_where_there_is_no_valid_one() {
    let node = FakeNode::start(|_| ok("yes")).await;
    let yaml = config(&[node.address], "", "") + "tracing: { sample: 1 }\nlog: { level: debug }\n";
    let mut process = ProxyProcess::start(&yaml).await;
    let mut client = Client::connect(process.address).await;
    let valid = parent();
    for fields in [&[][..], &["traceparent: 00-x", "tracestate: a=1"], &[&*valid]] {
        client.send(request("GET", "/", fields, "")).await;
        assert_eq!(client.response().await.status(), 200);
    }
    let sent = node.requests();
    let traces: Vec<&str> = sent.iter().map(|one| one.head.field("traceparent").unwrap()).collect();
    for made in &traces[..2] {
        assert!(made.len() == 55 && made.starts_with("00-") && made.ends_with("-01"), "{made}");
        let line = process.until_log("answered").await;
        assert!(line.contains(&format!("trace={}", &made[3..35])), "{line}");
    }
    assert_ne!(traces[0], traces[1]);
    assert_eq!(sent[1].head.field("tracestate"), None, "it belonged to what was replaced");
    assert_eq!(traces[2], &valid["traceparent: ".len()..]);
}

#[tokio::test]
async fn the_end_of_a_tunnel_has_the_trace_of_its_handshake() {
    let node = FakeNode::start(|_| Reply::Echo { behind: Vec::new() }).await;
    let yaml = config(&[node.address], "", "") + "tracing: { sample: 0.5 }\n";
    let mut process = ProxyProcess::start(&yaml).await;
    drop(websocket::open(process.address, "/").await);
    let line = process.until_log("tunnel ended").await;
    let sent = node.requests();
    let trace = &sent[0].head.field("traceparent").unwrap()[3..35];
    assert!(line.contains(&format!("trace={trace}")), "{line}");
}

#[cfg(not(feature = "otlp"))]
#[test]
fn a_build_that_exports_no_spans_says_so() {
    let yaml = "upstreams: { a: { nodes: [b:1] } }\nroutes: [{ upstream: a }]\n\
                tracing: { otlp: 'http://127.0.0.1:4318' }\n";
    let problems = sockeye::parse("a.yaml", yaml).unwrap_err().to_string();
    assert!(problems.contains("needs a build with the feature `otlp`"), "{problems}");
}
