//! `sockeye run`: serve until a signal, and tell what is served.
//!
//! Runs at start, at reload, or on a timer.

use std::path::Path;

use tokio::signal::unix::{SignalKind, signal};
use tracing::info;

use super::Outcome;
use crate::config::{self, Config};
use crate::logging;
use crate::server::Server;

/// Serves what the file at `path` says, until SIGTERM or SIGINT.
pub(super) fn run(path: &Path) -> Outcome {
    let config = config::load(path)?;
    logging::init(config.log);
    let server = Server::bind(&config)?;
    announce(&config, &server);
    Ok(server.run(stop_signal())?)
}

/// Waits for SIGTERM or SIGINT. If signals cannot be had, they keep their default: to end the
/// process at once.
async fn stop_signal() {
    let (Ok(mut terminate), Ok(mut interrupt)) =
        (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => info!("got SIGTERM"),
        _ = interrupt.recv() => info!("got SIGINT"),
    }
}

/// One line for each listener, upstream and route.
fn announce(config: &Config, server: &Server) {
    for address in server.addresses() {
        info!(%address, "listening");
    }
    if let Some(address) = server.admin_address() {
        info!(%address, "admin listener");
    }
    for group in &config.upstreams {
        let upstream = &group.upstream;
        let nodes: Vec<_> = upstream.nodes.iter().map(|node| &*node.name).collect();
        let affinity = group.affinity.label();
        info!(name = %upstream.name, nodes = nodes.join(" "), affinity, "upstream");
    }
    for route in &config.routes {
        info!(host = %route.host, path = %route.path, upstream = %route.upstream, "route");
    }
}
