//! Sockeye next to other proxies on the same work, and the parts that this takes.
//!
//! `compare` is the conductor: it starts nodes, then for each run a proxy and a load, all of them
//! processes of their own, and reports. `load`, `node` and `relay` are what it starts; each can be
//! run by hand. `sessions` measures two settings of Sockeye. The method is told in docs/performance.md.
//!
//! Ends with 0 when done, 1 when it failed, 2 on a wrong command line.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "it talks to the one who runs it")]

use std::error::Error;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod account;
mod clock;
mod compare;
mod load;
mod machine;
mod node;
mod relay;
mod report;
mod scenario;
mod sessions;
mod simulate;
mod wire;

/// What a part of the program comes to.
type Outcome<T = ()> = Result<T, Box<dyn Error + Send + Sync>>;

/// Compares proxies for Socket.IO and WebSockets by the CPU time that they spend.
#[derive(Parser)]
#[command(name = "bench", after_help = EXAMPLES)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run scenarios on proxies in turn and report
    Compare(compare::Options),
    /// Put one load on one address and print what was measured as JSON
    Load(load::Options),
    /// Serve as a fake Engine.IO v4 node: polling, WebSocket, echo, fan-out
    Node(node::Options),
    /// Move bytes from clients to nodes and do nothing else: the yardstick
    Relay(relay::Options),
    /// Count what connections of their own cost thousands of polling sessions
    Sessions(sessions::Options),
    /// Simulate a storm of reconnects with admission off and on
    Simulate(simulate::Options),
}

const EXAMPLES: &str = "\
The table of the README:
  cargo run --release -p bench -- compare --pin-proxy 0 --wait-quiet 20

A quick look at two of them:
  cargo run --release -p bench -- compare --scenarios echo64 --only sockeye,nginx --rounds 1

By hand:
  bench node &
  bench load handshake --target 127.0.0.1:3000";

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done =
        machine::raise_file_limit().map_err(Into::into).and_then(|()| match arguments.command {
            Command::Compare(options) => compare::compare(&options),
            Command::Load(options) => load::load(&options),
            Command::Node(options) => node::node(&options),
            Command::Relay(options) => relay::relay(options),
            Command::Sessions(options) => sessions::sessions(&options),
            Command::Simulate(options) => simulate::simulate(&options),
        });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}
