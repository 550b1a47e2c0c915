//! `sockeye check`: is a configuration file one that could be served?
//!
//! Runs at start, at reload, or on a timer.

use std::path::Path;

use super::Outcome;
use crate::config;

/// Counts what the file at `path` holds, or fails with all that is wrong with it.
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
