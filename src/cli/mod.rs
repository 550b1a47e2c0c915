//! The command line: arguments, exit codes, and the output of failures.
//!
//! Exit codes: 0 success, 1 failed or cut short by a second signal, 2 wrong use, 3 imported with things to do
//! by hand.
//!
//! Runs at start, at reload, or on a timer.

mod admin_target;
mod check;
mod deployment;
mod describe;
mod doctor;
mod drain;
mod import;
mod init;
mod query;
mod route;
mod route_text;
mod run;
mod sessions;
mod tail;
mod top;
mod watch;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use clap_complete::Shell;

use crate::config::Source;
use crate::logging::errors;
use crate::server::Stopped;
use doctor::DoctorArguments;
use drain::{DrainArguments, NodeArguments};
use import::{ImportCommand, nginx_source};
use init::InitArguments;
use query::QueryArguments;
use route::RouteArguments;
use sessions::SessionsArguments;
use tail::TailArguments;
use top::TopArguments;
use watch::WatchArguments;

/// A reverse proxy for Socket.IO clusters and WebSockets.
#[derive(Debug, Parser)]
#[command(name = "sockeye", version, after_help = EXAMPLE)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve with a configuration file until SIGTERM or SIGINT; SIGHUP or a change of the file reloads
    /// it, a second SIGTERM or SIGINT stops immediately
    Run {
        /// The YAML file
        #[arg(long, short, value_name = "FILE", default_value = "sockeye.yaml")]
        config: PathBuf,
        /// An nginx.conf to serve instead, as it stands: it is imported at start and whenever it, or a file that
        /// it includes, changes
        #[arg(long, value_name = "FILE", conflicts_with = "config")]
        nginx: Option<PathBuf>,
    },
    /// Write a configuration file for the nodes that run on this machine
    Init(InitArguments),
    /// Read a configuration file and print everything that is wrong with it
    Check {
        /// The YAML file
        #[arg(value_name = "FILE", default_value = "sockeye.yaml")]
        file: PathBuf,
    },
    /// Write a configuration for what another proxy does
    #[command(subcommand)]
    Import(ImportCommand),
    /// Show the state of a running process; fails if it is not ready, unless only the connection limit is
    /// reached
    Status(QueryArguments),
    /// Show the nodes of a running process and their load
    Nodes(QueryArguments),
    /// Find sessions of a running process, show all that is known of one, or end one
    Sessions(SessionsArguments),
    /// Show the ends of WebSockets and the answers to handshakes as they come
    Tail(TailArguments),
    /// Show the frames of a session as they pass, with their events; each watch is logged
    Watch(WatchArguments),
    /// Show how a running process is, live in the terminal: open sessions, rates, nodes, ends, reloads and
    /// warnings. q ends it
    Top(TopArguments),
    /// Tell a running process to reload its configuration file
    Reload(QueryArguments),
    /// Tell a running process to give a node no new sessions and to close its tunnels; shows the
    /// progress until the node is empty, and the drain continues if this is interrupted
    Drain(DrainArguments),
    /// Tell a running process to give a node new sessions again
    Undrain(NodeArguments),
    /// Say which route, upstream and node a request would take, what is changed on the way, who may use
    /// it, and why it takes no other route; nothing is sent. Fails if the request would be refused
    Route(RouteArguments),
    /// Speak to a running set-up as a client does, through any proxy, and say what is wrong with it, whose
    /// fault it is and what to change. Exit codes: 0 sound, 1 something breaks, 2 wrong use, 3 something
    /// could not be seen
    Doctor(DoctorArguments),
    /// Print the JSON Schema of the configuration, by which editors complete and check it
    Schema {
        /// The schema of the files under include, which have upstreams and routes alone
        #[arg(long)]
        included: bool,
    },
    /// Print the completions for a shell
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Print the manual page
    Man {
        /// The command; without it, the whole program
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

`sockeye init` writes such a file for the nodes that run on this machine, and
`sockeye doctor URL` says what is wrong with a set-up, behind any proxy.

With admin: { bind: 127.0.0.1:9090 } in the file, sockeye status, nodes, reload,
drain and undrain talk to the running process.

Exit codes: 0 fine, 1 failed or cut short by a second signal, 2 wrong use, 3 imported
with things to do by hand.";

/// Runs the program on this process's arguments.
pub fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Run { config, nginx: None } if is_missing(&config) => Err(NO_FILE.into()),
        Command::Run { config, nginx } => match run::run(source(config, nginx)) {
            Ok(Stopped::InOrder) => Ok(()),
            Ok(Stopped::Cut) => return ExitCode::FAILURE,
            Err(error) => Err(error),
        },
        Command::Init(arguments) => init::init(&arguments),
        Command::Check { file } => check::check(&file),
        Command::Import(command) => return import::import(&command),
        Command::Status(arguments) => query::status(&arguments),
        Command::Nodes(arguments) => query::nodes(&arguments),
        Command::Sessions(arguments) => sessions::sessions(&arguments),
        Command::Tail(arguments) => tail::tail(&arguments),
        Command::Watch(arguments) => watch::watch(&arguments),
        Command::Top(arguments) => top::top(&arguments),
        Command::Reload(arguments) => query::reload(&arguments),
        Command::Drain(arguments) => drain::drain(&arguments),
        Command::Undrain(arguments) => drain::undrain(&arguments),
        Command::Route(arguments) => return route::route(&arguments),
        Command::Doctor(arguments) => return doctor::doctor(&arguments),
        Command::Schema { included } => describe::schema(included),
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

/// What a process serves.
fn source(config: PathBuf, nginx: Option<PathBuf>) -> Source {
    nginx.map_or_else(|| Source::yaml(config), |nginx| nginx_source(&nginx))
}

/// Whether nobody named the file and there is none.
fn is_missing(file: &Path) -> bool {
    file == Path::new(FILE_DEFAULT) && !file.exists()
}

type Outcome = Result<(), Box<dyn Error>>;

/// Prints the error and its sources, one on each line.
#[expect(clippy::print_stderr, reason = "logs may not be set up yet")]
fn print_failure(error: &(dyn Error + 'static)) {
    for (index, error) in errors(error).enumerate() {
        let prefix = if index == 0 { "sockeye" } else { "  because" };
        eprintln!("{prefix}: {}", printable(&error.to_string()));
    }
}

/// `text` for a terminal: names of files, hosts and nodes may have characters that move the cursor, or change
/// the order in which text is shown.
fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        let is_order = matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        match (c == '\n', c.is_control() || is_order) {
            (false, true) => shown.extend(c.escape_default()),
            (true, _) | (false, false) => shown.push(c),
        }
    }
    shown
}

const NO_FILE: &str = "there is no sockeye.yaml here: `sockeye init` writes one for the nodes on this \
                       machine, --config names another file";

const FILE_DEFAULT: &str = "sockeye.yaml";

#[cfg(test)]
mod tests {
    use super::printable;

    #[test]
    fn what_would_change_the_terminal_is_shown_as_text() {
        assert_eq!(printable("ü: a\n | b"), "ü: a\n | b");
        assert_eq!(printable("a\x1b[2Jb\r\u{9b}c"), "a\\u{1b}[2Jb\\r\\u{9b}c");
        assert_eq!(printable("a\u{202e}b"), "a\\u{202e}b");
    }
}
