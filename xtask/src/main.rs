//! Chores of the repository; `cargo xtask help` lists them.
//!
//! Ends with 0 when the chore is done, 1 when it failed, 2 on a wrong command line.

#![expect(clippy::print_stderr, reason = "a chore talks to the person who runs it")]

use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod autobahn;
mod check;
mod command;
mod docs;
mod edge;
mod fuzz;
mod setup;
mod soak;
mod test;

/// Chores of the repository.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", after_help = EXAMPLES)]
struct Arguments {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Is the code in order? Format, lints, documentation, licences and bans of dependencies
    ///
    /// Runs all of them and names at the end those that failed. Installs cargo-deny if there is none.
    Check,
    /// Install what tests need, then run them all
    ///
    /// What stands behind `test` goes to `cargo test`.
    Test {
        /// Arguments of `cargo test`, such as `--test behavior` or a part of a test's name
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGUMENTS")]
        arguments: Vec<String>,
    },
    /// Write the key tables of docs/configuration.md and configs/reference.yaml
    ///
    /// They are made of the declarations in src/config/file. A test fails while they are not current.
    Docs,
    /// Does the edge work with other people's programs? Browsers, and certificates of an ACME server
    ///
    /// Chromium and Firefox by TLS and HTTP/2, and the ACME server pebble. Installs what is missing, as setup
    /// does, and skips nothing.
    Edge,
    /// Search for bytes that break what strangers' bytes are parsed by
    ///
    /// Needs a C++ compiler. What was reached is kept in fuzz/corpus, for the next search to go on; a
    /// case that was found, in fuzz/artifacts.
    Fuzz {
        /// A file of fuzz/src/bin, without `.rs`; all of them if none is named
        target: Option<String>,
        /// How long to search with each target
        #[arg(long, value_name = "N", default_value_t = 60)]
        seconds: u32,
        /// Do not search: run the target on this file alone
        #[arg(long, value_name = "FILE", requires = "target", conflicts_with = "seconds")]
        case: Option<String>,
    },
    /// Install what tests need, as far as it is missing or has changed
    ///
    /// Node.js with the packages of tests/node, Python with those of tests/python, Redis, nginx, HAProxy,
    /// openssl and Chromium. Packages
    /// stay inside the repository. Programs of the system come from its package manager, but only if that
    /// works without asking (as root, or by sudo without a password); else you are told what to install.
    Setup,
    /// Run something for long under load, and print its figures
    Soak {
        /// What to run
        what: soak::Soak,
    },
    /// Does any client see a difference between Sockeye and the server behind it? Takes half an hour
    ///
    /// The fuzzing client of the Autobahn Testsuite plays its cases against a server of ws, directly and
    /// through a Sockeye built for it with its debug assertions, and each case must be judged alike.
    /// Installs the suite into tests/python/.venv-autobahn; it needs a Python 2.7, in PATH or in pyenv.
    Autobahn(autobahn::Options),
    /// Are there known vulnerabilities in dependencies? Needs the network
    Advisories,
}

fn main() -> ExitCode {
    let done = match Arguments::parse().chore {
        Chore::Check => check::check(),
        Chore::Test { arguments } => test::test(&arguments),
        Chore::Docs => docs::docs(),
        Chore::Edge => edge::edge(),
        Chore::Fuzz { target: Some(target), case: Some(case), .. } => fuzz::repeat(&target, &case),
        Chore::Fuzz { target, seconds, case: _ } => fuzz::fuzz(target, seconds),
        Chore::Setup => setup::setup(),
        Chore::Soak { what } => soak::soak(what),
        Chore::Autobahn(options) => autobahn::autobahn(&options),
        Chore::Advisories => check::advisories(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("\n{failure}");
            ExitCode::FAILURE
        }
    }
}

const EXAMPLES: &str = "\
Before a push:
  cargo xtask check && cargo xtask test

While you work on one thing:
  cargo xtask test --lib tunnel            unit tests whose path has `tunnel`
  cargo xtask test --test behavior drain   behaviour tests whose path has `drain`
  cargo test ...                           the same without setup
  cargo xtask fuzz frames --seconds 600    a long search in what was changed";
