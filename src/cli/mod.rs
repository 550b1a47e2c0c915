//! The command line: words, exit codes, and how a failure is told.
//!
//! Exit codes: 0 fine, 1 failed or cut short by a second signal, 2 wrong use.
//!
//! Runs at start, at reload, or on a timer.

mod ask;
mod check;
mod describe;
mod drain;
mod run;

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use clap_complete::Shell;

use crate::server::Stopped;
use ask::Asked;
use drain::{Drained, Named};

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
        #[arg(value_name = "FILE", default_value = "sockeye.yaml")]
        file: PathBuf,
    },
    /// Ask a running process how it is; fails if it is not ready, unless only its places are taken
    Status(Asked),
    /// Ask a running process for its nodes and what they have to do
    Nodes(Asked),
    /// Tell a running process to read its configuration file anew
    Reload(Asked),
    /// Tell a running process to give a node no new session and to close its tunnels in time; shows
    /// how far it is until the node is empty, and the drain goes on if this is interrupted
    Drain(Drained),
    /// Tell a running process to give a node new sessions again
    Undrain(Named),
    /// Print the JSON Schema of the configuration, by which editors complete and check it
    Schema,
    /// Print the completions for a shell
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Print the manual page
    Man {
        /// Of one command; without it, of the whole program
        #[arg(value_name = "COMMAND")]
        command: Option<String>,
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

  sockeye check
  sockeye run

With admin: { bind: 127.0.0.1:9090 } in the file, sockeye status, nodes, reload,
drain and undrain talk to the running process.

Exit codes: 0 fine, 1 failed or cut short by a second signal, 2 wrong use.";

/// Runs the program on this process's arguments.
pub fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Run { config } => match run::run(&config) {
            Ok(Stopped::InOrder) => Ok(()),
            Ok(Stopped::Cut) => return ExitCode::FAILURE,
            Err(error) => Err(error),
        },
        Command::Check { file } => check::check(&file),
        Command::Status(asked) => ask::status(&asked),
        Command::Nodes(asked) => ask::nodes(&asked),
        Command::Reload(asked) => ask::reload(&asked),
        Command::Drain(drained) => drain::drain(&drained),
        Command::Undrain(named) => drain::undrain(&named),
        Command::Schema => describe::schema(),
        Command::Completions { shell } => describe::completions(Arguments::command(), shell),
        Command::Man { command } => describe::man(Arguments::command(), command.as_deref()),
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
