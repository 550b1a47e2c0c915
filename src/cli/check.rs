//! `sockeye check`: checks a configuration file.
//!
//! Runs at start, at reload, or on a timer.

use std::path::Path;

use super::Outcome;
use crate::config;

/// Prints a summary of the file at `path`, or fails with all its problems.
#[expect(clippy::print_stdout, clippy::print_stderr, reason = "this is what the command is for")]
pub(super) fn check(path: &Path) -> Outcome {
    let config = config::load(path)?;
    config.snapshot(None)?;
    for warning in &config.warnings {
        eprintln!("warning: {warning}");
    }
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
