//! Spans as a collector of OpenTelemetry gets them. These tests need the feature `otlp`.

use serde_json::Value;

use crate::support::{Client, FakeNode, ProxyProcess, Reply, config, ok, request, websocket};

/// A collector that answers with these statuses, one after the other, and then with 200.
async fn collector(statuses: &'static [u16]) -> FakeNode {
    let asked = std::sync::atomic::AtomicUsize::new(0);
    FakeNode::start(move |_| {
        let index = asked.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let status = statuses.get(index).copied().unwrap_or(200);
        let answer = format!("HTTP/1.1 {status} X\r\nContent-Length: 2\r\n\r\n{{}}");
        Reply::Bytes(answer.into_bytes())
    })
    .await
}

fn yaml(node: &FakeNode, collector: &FakeNode) -> String {
    let tracing = format!("tracing: {{ sample: 1, otlp: 'http://{}' }}\n", collector.address);
    config(&[node.address], "", "") + &tracing + "admin: { bind: '127.0.0.1:0' }\n"
}

/// The spans that the collector has got.
fn spans(collector: &FakeNode) -> Vec<Value> {
    let mut spans = Vec::new();
    for request in collector.requests() {
        assert_eq!((&*request.head.method, &*request.head.target), ("POST", "/v1/traces"));
        assert_eq!(request.head.field("content-type"), Some("application/json"));
        let body: Value = serde_json::from_slice(&request.body).unwrap();
        let resource = &body["resourceSpans"][0];
        let service = &resource["resource"]["attributes"][0];
        assert_eq!(service["value"]["stringValue"], "sockeye");
        spans.extend(resource["scopeSpans"][0]["spans"].as_array().unwrap().clone());
    }
    spans
}

fn attribute(span: &Value, key: &str) -> Option<String> {
    let attributes = span["attributes"].as_array().unwrap();
    let value = &attributes.iter().find(|attribute| attribute["key"] == key)?["value"];
    let text = value["stringValue"].as_str().or_else(|| value["intValue"].as_str());
    Some(text.expect("a text or a number as text").to_owned())
}

#[tokio::test]
async fn an_exchange_and_a_tunnel_are_spans_and_nodes_get_ours_as_their_parent() {
    let node = FakeNode::start(|request| match request.head.is_upgrade() {
        true => Reply::Echo { behind: Vec::new() },
        false => ok("yes"),
    })
    .await;
    let collector = collector(&[]).await;
    let process = ProxyProcess::start(&yaml(&node, &collector)).await;
    let mut client = Client::connect(process.address).await;
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7";
    for flags in ["01", "00"] {
        let field = format!("traceparent: {parent}-{flags}");
        client.send(request("GET", "/a?secret=1", &[&field], "")).await;
        assert_eq!(client.response().await.status(), 200);
    }
    collector.until_requests(1).await;
    let exported = spans(&collector);
    let [span] = exported.as_slice() else { panic!("one is sampled: {exported:#?}") };
    assert_eq!(span["traceId"], "4bf92f3577b34da6a3ce929d0e0e4736");
    assert_eq!(span["parentSpanId"], "00f067aa0ba902b7");
    assert_eq!((&span["name"], &span["kind"]), (&"exchange".into(), &2.into()));
    assert_eq!(attribute(span, "url.path").as_deref(), Some("/a"), "without its query");
    assert_eq!(attribute(span, "http.response.status_code").as_deref(), Some("200"));
    let nanos = |key: &str| span[key].as_str().unwrap().parse::<u128>().unwrap();
    assert!(nanos("startTimeUnixNano") <= nanos("endTimeUnixNano"));
    let sent = node.requests();
    let own = sent[0].head.field("traceparent").unwrap();
    assert_eq!(own[36..52], *span["spanId"].as_str().unwrap(), "{own}");
    assert_eq!(sent[1].head.field("traceparent"), Some(&*format!("{parent}-00")));

    drop(websocket::open(process.address, "/b").await);
    // Both may be in one batch.
    let mut batches = 2;
    let exported = loop {
        collector.until_requests(batches).await;
        let exported = spans(&collector);
        if exported.iter().any(|span| span["name"] == "tunnel") {
            break exported;
        }
        batches += 1;
    };
    let named = |name: &str| exported.iter().rfind(|span| span["name"] == name).unwrap();
    let (handshake, tunnel) = (named("exchange"), named("tunnel"));
    assert_eq!(tunnel["traceId"], handshake["traceId"]);
    assert_eq!(tunnel["parentSpanId"], handshake["spanId"]);
    assert_eq!(handshake["parentSpanId"], Value::Null, "the trace begins here");
    assert_eq!(attribute(tunnel, "sockeye.end").as_deref(), Some("client_left"));
    let events: Vec<&str> =
        tunnel["events"].as_array().unwrap().iter().map(|e| e["name"].as_str().unwrap()).collect();
    assert_eq!(events, ["upgrade", "end"]);
    if let Ok(file) = std::env::var("SOCKEYE_OTLP_SAMPLE") {
        std::fs::write(file, &collector.requests()[1].body).unwrap();
    }
}

#[tokio::test]
async fn a_busy_collector_gets_the_batch_again_and_one_that_refuses_does_not() {
    let node = FakeNode::start(|_| ok("yes")).await;
    let collector = collector(&[503, 200, 400]).await;
    let mut process = ProxyProcess::start(&yaml(&node, &collector)).await;
    let mut client = Client::connect(process.address).await;
    client.get("/a").await;
    collector.until_requests(2).await;
    let sent = collector.requests();
    assert_eq!(sent[0].body, sent[1].body);
    client.get("/b").await;
    let line = process.until_log("spans are lost").await;
    assert!(line.contains("400"), "{line}");
    assert_eq!(collector.requests().len(), 3);
}
