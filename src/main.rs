//! The program; see [`sockeye::cli`].
//!
//! Runs at start, at reload, or on a timer.

use std::process::ExitCode;

fn main() -> ExitCode {
    sockeye::cli::main()
}
