//! The command line: words, exit codes, and the lines that tell what is served.
//!
//! Exit codes: 0 fine, 1 failed, 2 wrong use.
//!
//! Runs at start, at reload, or on a timer.

use std::error::Error;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use http::Method;
use serde_json::Value;
use tokio::signal::unix::{SignalKind, signal};
use tracing::info;

use crate::admin::{client, tables};
use crate::config::{self, Config};
use crate::logging;
use crate::server::Server;

/// A reverse proxy for Socket.IO clusters and WebSockets.
#[derive(Debug, Parser)]
#[command(name = "sockeye", version, after_help = EXAMPLE)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve what a configuration file says, until SIGTERM or SIGINT
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
    /// Ask a running process how it is; exit code 1 if it is not ready
    Status(Asked),
    /// Ask a running process for its nodes and what they have to do
    Nodes(Asked),
    /// Tell a running process to read its configuration file anew
    Reload(Asked),
}

/// Whom to ask, and what for.
#[derive(Debug, Args)]
struct Asked {
    /// The admin listener; by default that of the configuration file, else 127.0.0.1:9090
    #[arg(long, value_name = "ADDRESS")]
    admin: Option<SocketAddr>,
    /// The configuration file that names the admin listener, if there is one
    #[arg(long, short, value_name = "FILE", default_value = "sockeye.yaml")]
    config: PathBuf,
    /// Print the answer as it came
    #[arg(long)]
    json: bool,
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

With admin: { bind: 127.0.0.1:9090 } in the file, sockeye status, nodes and reload
talk to the running process.

Exit codes: 0 fine, 1 failed, 2 wrong use.";

/// Runs the program on this process's arguments.
pub fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Run { config } => run(&config),
        Command::Check { file } => check(&file),
        Command::Status(asked) => ask(&asked, Method::GET, "/status", tables::status),
        Command::Nodes(asked) => ask(&asked, Method::GET, "/nodes", tables::nodes),
        Command::Reload(asked) => ask(&asked, Method::POST, "/reload", tables::reload),
    };
    match outcome {
        Ok(code) => code,
        Err(error) => {
            print_failure(&*error);
            ExitCode::FAILURE
        }
    }
}

type Outcome = Result<ExitCode, Box<dyn Error>>;

fn run(path: &Path) -> Outcome {
    let config = config::load(path)?;
    logging::init(config.log);
    let server = Server::bind(&config)?;
    announce(&config, &server);
    server.run(stop_signal())?;
    Ok(ExitCode::SUCCESS)
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
    Ok(ExitCode::SUCCESS)
}

/// Asks the admin listener and prints its answer, by `table` for people.
#[expect(clippy::print_stdout, reason = "this is what the command is for")]
fn ask(asked: &Asked, method: Method, path: &str, table: fn(&Value) -> String) -> Outcome {
    let (status, answer) = client::ask(admin_address(asked)?, method, path)?;
    if asked.json {
        println!("{answer:#}");
    } else if status.is_success() {
        print!("{}", table(&answer));
    } else {
        return Err(answer["error"].as_str().unwrap_or("it gave no reason").into());
    }
    let is_well = status.is_success() && answer["readiness"]["ready"] != false;
    Ok(if is_well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn admin_address(asked: &Asked) -> Result<SocketAddr, Box<dyn Error>> {
    let file = &asked.config;
    match asked.admin {
        Some(address) => Ok(address),
        None if file.exists() => config::load(file)?.admin.ok_or_else(|| {
            let file = file.display();
            let what = "it has no admin listener: write admin: { bind: 127.0.0.1:9090 }";
            format!("{file}: {what}, and restart").into()
        }),
        None => Ok(ADMIN_DEFAULT),
    }
}

/// Where the admin listener is expected if nothing says where.
const ADMIN_DEFAULT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9090);

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
