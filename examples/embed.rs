//! The proxy as a tower `Service` in an axum app of your own, tunnels included:
//!
//! ```text
//! cargo run --release --example embed -- 127.0.0.1:3000 127.0.0.1:3001
//! ```
//!
//! The app answers its own paths (here `/health`) and passes all other requests to Sockeye, which
//! forwards them to the Socket.IO nodes on the command line.

use std::error::Error;
use std::net::{Ipv4Addr, SocketAddr};

use axum::Router;
use axum::extract::{ConnectInfo, Request};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::get;
use clap::Parser;
use sockeye::ClientInfo;
use tokio::net::TcpListener;

/// Serves an app that contains Sockeye.
#[derive(Debug, Parser)]
struct Arguments {
    /// The addresses of the Socket.IO nodes.
    #[arg(required = true)]
    nodes: Vec<SocketAddr>,
    /// The port of the app, on localhost.
    #[arg(long, default_value_t = 8080)]
    port: u16,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    let config = sockeye::parse("embed", &configuration(&arguments.nodes))?;

    let app = Router::new()
        .route("/health", get(async || "the app itself"))
        .fallback_service(config.proxy()?)
        .layer(middleware::from_fn(with_client));

    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, arguments.port)).await?;
    // `with_client` needs the connect info: it has the client's address, for `X-Forwarded-For`.
    let app = app.into_make_service_with_connect_info::<SocketAddr>();
    axum::serve(listener, app).await?;
    Ok(())
}

/// A configuration without listeners: the app listens itself.
fn configuration(nodes: &[SocketAddr]) -> String {
    let nodes: Vec<String> = nodes.iter().map(SocketAddr::to_string).collect();
    format!(
        "upstreams:
  chat: {{ nodes: [{}] }}
routes:
  - {{ path: /socket.io/, upstream: chat }}
",
        nodes.join(", ")
    )
}

/// Gives the proxy the client's address, as Sockeye's own listener does for its clients.
async fn with_client(
    ConnectInfo(address): ConnectInfo<SocketAddr>,
    mut request: Request,
    next: Next,
) -> Response {
    request.extensions_mut().insert(ClientInfo::plain(address));
    next.run(request).await
}
