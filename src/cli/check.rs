//! `sockeye check`: checks a configuration file.
//!
//! Runs at start, at reload, or on a timer.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use super::{Outcome, printable};
use crate::config::{self, Config};
use crate::yaml::source::name_of;

/// Prints a summary of the file at `path`, or fails with all its problems.
#[expect(clippy::print_stdout, clippy::print_stderr, reason = "this is what the command is for")]
pub(super) fn check(path: &Path) -> Outcome {
    let config = config::load(path)?;
    config.snapshot(None)?;
    refuse_expired(&config)?;
    for warning in &config.warnings {
        eprintln!("warning: {}", printable(warning));
    }
    let included = config.included.iter().filter(|path| path.is_file()).count();
    let with = match included {
        0 => String::new(),
        count => format!(" with {} that it includes", counted(count, "file")),
    };
    println!(
        "{}{with} is fine: {}, {}, {}",
        name_of(path),
        counted(config.listeners.len(), "listener"),
        counted(config.upstreams.len(), "upstream"),
        counted(config.routes.len(), "route"),
    );
    Ok(())
}

/// Fails for a certificate that clients refuse now. Start and reload only warn: a process must always be
/// able to restart.
fn refuse_expired(config: &Config) -> Result<(), String> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let now = i64::try_from(now).unwrap_or(i64::MAX);
    let warnings = config.certificates().filter_map(|certificate| certificate.date_warning(now));
    let refused: Vec<String> = warnings.map(|warning| warning.to_string()).collect();
    if refused.is_empty() { Ok(()) } else { Err(refused.join("\n")) }
}

fn counted(count: usize, what: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {what}{plural}")
}
