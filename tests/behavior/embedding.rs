//! The proxy as a tower service in somebody else's server.

use std::net::SocketAddr;

use axum::extract::{ConnectInfo, Request};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::get;
use sockeye::ClientInfo;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::support::websocket::{open, text};
use crate::support::{Client, FakeNode, config, request};

/// An axum app of which the proxy is the fallback.
struct App {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl App {
    async fn before(node: &FakeNode) -> Self {
        let config = sockeye::parse("embedded", &config(&[node.address], "", "")).unwrap();
        let app = axum::Router::new()
            .route("/health", get(async || "the app itself"))
            .fallback_service(config.proxy().unwrap())
            .layer(middleware::from_fn(with_client))
            .into_make_service_with_connect_info::<SocketAddr>();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let task = tokio::spawn(async { axum::serve(listener, app).await.unwrap() });
        Self { address, task }
    }
}

impl Drop for App {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn with_client(
    ConnectInfo(address): ConnectInfo<SocketAddr>,
    mut request: Request,
    next: Next,
) -> Response {
    request.extensions_mut().insert(ClientInfo::plain(address));
    next.run(request).await
}

#[tokio::test]
async fn an_axum_app_answers_its_own_and_leaves_sessions_and_tunnels_to_the_proxy() {
    let node = FakeNode::engineio("a").await;
    let app = App::before(&node).await;
    assert_eq!(crate::support::get(app.address, "/health").await.text(), "the app itself");

    let mut client = Client::connect(app.address).await;
    let open_packet = client.get("/socket.io/?EIO=4&transport=polling").await.text();
    let sid = open_packet.split('"').nth(3).unwrap();
    let target = format!("/socket.io/?EIO=4&transport=polling&sid={sid}");
    client.send(request("POST", &target, &[], "40")).await;
    assert_eq!(client.response().await.text(), "ok");
    assert_eq!(node.requests()[1].head.field("x-forwarded-for"), Some("127.0.0.1"));
    assert_eq!(node.requests()[1].body, b"40");

    let target = format!("/socket.io/?EIO=4&transport=websocket&sid={sid}");
    let mut tunnel = open(app.address, &target).await;
    let message = "x".repeat(100_000);
    tunnel.send(text(&message)).await;
    assert!(tunnel.frame().await == Some((1, message.into_bytes())));
}
