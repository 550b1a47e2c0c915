//! The command line: words, exit codes, and the lines that tell what is served.
//!
//! Exit codes: 0 fine, 1 failed or cut short by a second signal, 2 wrong use.
//!
//! Runs at start, at reload, or on a timer.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tokio::signal::unix::{SignalKind, signal};
use tracing::info;

use crate::config::{self, Config};
use crate::logging;
use crate::reload::Reloader;
use crate::server::{Server, Stopped};
use crate::systemd;

/// A reverse proxy for Socket.IO clusters and WebSockets.
#[derive(Debug, Parser)]
#[command(name = "sockeye", version, after_help = EXAMPLE)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve what a configuration file says, until SIGTERM or SIGINT; SIGHUP or a change of the
    /// file reloads it, a second SIGTERM or SIGINT ends at once
    Run {
        /// The YAML file
        #[arg(long, short, value_name = "FILE", default_value = "sockeye.yaml")]
        config: PathBuf,
    },
    /// Read a configuration file and say everything that is wrong with it
    Check {
        /// The YAML file
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
}

const EXAMPLE: &str = "\
The least that works, in sockeye.yaml:

  upstreams:
    chat: { nodes: [10.0.0.1:3000, 10.0.0.2:3000] }
  routes:
    - { path: /socket.io/, upstream: chat }

It listens on port 8080, keeps every session on its node, and passes WebSockets,
long polling and the upgrade from one to the other. Try it:

  sockeye check sockeye.yaml
  sockeye run

Exit codes: 0 fine, 1 failed or cut short by a second signal, 2 wrong use.";

/// Runs the program on this process's arguments.
pub fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Run { config } => run(&config),
        Command::Check { file } => check(&file),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            print_failure(&*error);
            ExitCode::FAILURE
        }
    }
}

type Outcome = Result<(), Box<dyn Error>>;

fn run(path: &Path) -> Outcome {
    let (config, outline) = config::load_with_outline(path)?;
    logging::init(config.log);
    let mut server = Server::bind_passed(&config, systemd::passed_sockets())?;
    let reloader = server.follow(path.to_owned(), outline);
    announce(&config, &server);
    match server.run_or_cut(stop_signal(reloader), second_signal())? {
        Stopped::InOrder => Ok(()),
        Stopped::Cut => Err("a second signal cut the stop short".into()),
    }
}

/// Waits for SIGTERM or SIGINT, and hands SIGHUP on. If signals cannot be had, they keep their
/// default: to end the process at once.
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
            _ = terminate.recv() => return info!("got SIGTERM"),
            _ = interrupt.recv() => return info!("got SIGINT"),
            _ = hang_up.recv() => {
                info!("got SIGHUP");
                reloader.ask();
            }
        }
    }
}

/// Waits for the second of all SIGTERM and SIGINT, which says that the stop takes too long.
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

/// One line for each listener, upstream and route.
fn announce(config: &Config, server: &Server) {
    for address in server.addresses() {
        info!(%address, "listening");
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

#[expect(clippy::print_stdout, reason = "this is what the command is for")]
fn check(path: &Path) -> Outcome {
    let config = config::load(path)?;
    config.snapshot(None)?;
    println!(
        "{} is fine: {}, {}, {}",
        path.display(),
        counted(config.listeners.len(), "listener"),
        counted(config.upstreams.len(), "upstream"),
        counted(config.routes.len(), "route"),
    );
    Ok(())
}

fn counted(count: usize, what: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {what}{plural}")
}

/// The whole chain, one line each: the last is what the system said.
#[expect(clippy::print_stderr, reason = "logs may not be set up yet")]
fn print_failure(error: &dyn Error) {
    eprintln!("sockeye: {error}");
    let mut source = error.source();
    while let Some(error) = source {
        eprintln!("  because: {error}");
        source = error.source();
    }
}
