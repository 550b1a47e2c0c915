//! Chromium and Firefox, by TLS and HTTP/2, at a real Socket.IO node.

use serde_json::Value;

use crate::support::Proxy;
use crate::support::socketio::{NodeServer, held, run_http2_visit};
use crate::support::tls::Authority;

/// What the visit of this browser found. Both browsers show in their own logs whether a WebSocket was a
/// stream of HTTP/2.
async fn visit(browser: &str) -> Value {
    let authority = Authority::new();
    authority.issue("page", "page", &["localhost"]);
    let node = NodeServer::start(&[]).await;
    let proxy = Proxy::start(&format!(
        "listeners: [{{ bind: '127.0.0.1:0', http2: on, tls: {{ {} }} }}]\n\
         upstreams: {{ chat: {{ nodes: ['{}'] }} }}\nroutes: [{{ upstream: chat }}]\n",
        authority.pair("page"),
        node.address()
    ));
    let url = format!("https://localhost:{}", proxy.address.port());
    held(run_http2_visit(&["--url", &url, "--browser", browser]).await)
}

#[tokio::test]
#[ignore = "needs Chromium: cargo xtask edge"]
async fn chromium_polls_upgrades_and_opens_websockets_by_http2() {
    let result = visit("chromium").await;
    assert!(result["version"].as_str().unwrap().starts_with("Chrom"), "{result}");
}

#[tokio::test]
#[ignore = "needs Firefox: cargo xtask edge"]
async fn firefox_polls_upgrades_and_opens_websockets_by_http2() {
    let result = visit("firefox").await;
    assert!(result["version"].as_str().unwrap().to_lowercase().contains("firefox"), "{result}");
}
