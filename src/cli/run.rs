//! `sockeye run`: serves until a signal, reloads on another, and logs what is served.
//!
//! Runs at start, at reload, or on a timer.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::error::Error;
use std::panic::{self, PanicHookInfo};

use tokio::signal::unix::{SignalKind, signal};
use tracing::field::display;
use tracing::{error, info, warn};

use crate::config::{self, Source};
use crate::descriptors::{self, memory};
use crate::logging;
use crate::metrics::count_panic;
use crate::reload::Reloader;
use crate::server::{Server, Stopped};
use crate::systemd;

/// Serves with the configuration of `source`, and follows it, until SIGTERM or SIGINT.
pub(super) fn run(source: Source) -> Result<Stopped, Box<dyn Error>> {
    let (config, outline) = config::load_with_files(&source).outcome?;
    let _log_writer = logging::init(config.log);
    panic::set_hook(Box::new(log_panic));
    for warning in &config.warnings {
        warn!("{warning}");
    }
    descriptors::raise();
    let mut server = Server::bind_passed(config, systemd::passed_sockets())?;
    let reloader = server.follow_source(source, outline);
    announce(&server);
    let stopped = server.run_or_cut(stop_signal(reloader), second_signal())?;
    if stopped == Stopped::Cut {
        error!("second signal, stopping immediately");
    }
    Ok(stopped)
}

/// Counts and logs a panic: the default hook would write to standard error, and wait for its reader.
fn log_panic(panic: &PanicHookInfo<'_>) {
    count_panic();
    let backtrace = Backtrace::capture();
    let backtrace = (backtrace.status() == BacktraceStatus::Captured).then(|| display(backtrace));
    error!(
        place = panic.location().map(display),
        backtrace,
        panic = panic.payload_as_str(),
        "panicked"
    );
}

/// Waits for SIGTERM or SIGINT, and requests a reload on SIGHUP. If the signals cannot be registered, they
/// keep their default: the process ends at once.
async fn stop_signal(reloader: Reloader) {
    let (Ok(mut terminate), Ok(mut interrupt), Ok(mut hang_up)) = (
        signal(SignalKind::terminate()),
        signal(SignalKind::interrupt()),
        signal(SignalKind::hangup()),
    ) else {
        return std::future::pending().await;
    };
    loop {
        tokio::select! {
            _ = terminate.recv() => return info!("received SIGTERM"),
            _ = interrupt.recv() => return info!("received SIGINT"),
            _ = hang_up.recv() => {
                info!("received SIGHUP");
                reloader.request();
            }
        }
    }
}

/// Waits for the second SIGTERM or SIGINT, which means that the shutdown takes too long.
async fn second_signal() {
    let (Ok(mut terminate), Ok(mut interrupt)) =
        (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        return std::future::pending().await;
    };
    for _ in 0..2 {
        tokio::select! {
            _ = terminate.recv() => (),
            _ = interrupt.recv() => (),
        }
    }
}

/// Logs the limits for clients, and warns if they are too low for `max_connections`.
fn announce_bounds(max_connections: usize) {
    let (open_files, memory_bytes) = (descriptors::max(), memory::max());
    let bytes_per_connection = memory::BYTES_PER_CLIENT;
    info!(open_files, max_connections, memory_bytes, bytes_per_connection, "limits");
    if max_connections > descriptors::clients_by_descriptors() {
        warn!(
            open_files,
            max_connections,
            "max_connections needs two descriptors for each connection, more than may be open"
        );
    }
    if max_connections > descriptors::clients_by_memory() {
        warn!(
            memory_bytes,
            bytes_per_connection,
            max_connections,
            "max_connections may need more memory than this process may use"
        );
    }
}

/// Logs one line for each listener, upstream and route.
fn announce(server: &Server) {
    let config = &server.in_force().config;
    announce_bounds(server.max_connections());
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
        let upstream = route.target.upstream().map(|upstream| &*upstream.name);
        info!(host = %route.host, path = %route.path, upstream = upstream.map(display), "route");
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::metrics::panics;

    #[test]
    fn a_panic_is_counted() {
        // It stays, and what other tests panic with is still printed.
        let former = Arc::new(panic::take_hook());
        panic::set_hook(Box::new(move |panic| {
            log_panic(panic);
            former(panic);
        }));
        let before = panics();
        assert!(panic::catch_unwind(|| panic!("as this test wants it")).is_err());
        assert!(panics() > before);
    }
}
