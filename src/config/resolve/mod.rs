//! What the file means: the rooms' settings, complete with defaults.
//!
//! What cannot be resolved is told to the report and gets a stand-in, so that the rest is looked
//! at too; nobody sees the stand-ins, for a report with a problem gives no `Config`.
//!
//! Pure. Runs at start, at reload, or on a timer.

mod address;
mod affinity;
mod listener;
mod pattern;
mod route;
mod tunnel;
mod upstream;

use tracing::Level;

use super::Config;
use super::file::{File, Log};
use super::key_path::KeyPath;
use super::problem::Fault;
use super::report::Report;
use crate::logging::{self, Format};

/// Gives `file` its meaning and tells `report` what has none.
pub(super) fn resolve(file: &File, report: &mut Report<'_>) -> Config {
    let top = KeyPath::root();
    Config {
        log: log(&top.key("log"), file.log.as_ref(), report),
        listeners: listener::resolve(&top.key("listeners"), file.listeners.as_deref(), report),
        upstreams: upstream::resolve(&top.key("upstreams"), file.upstreams.as_ref(), report),
        routes: route::resolve(&top.key("routes"), file, report),
    }
}

fn log(path: &KeyPath, written: Option<&Log>, report: &mut Report<'_>) -> logging::Settings {
    let default = logging::Settings::default();
    let Some(written) = written else { return default };
    let (format, level) = (written.format.as_deref(), written.level.as_deref());
    logging::Settings {
        format: report.read(&path.key("format"), format, default.format, |word| {
            choose(word, "is not a format", &FORMATS)
        }),
        level: report.read(&path.key("level"), level, default.level, |word| {
            choose(word, "is not a level", &LEVELS)
        }),
    }
}

/// What stands beside `word` in `known`.
fn choose<T: Copy>(word: &str, what: &str, known: &[(&str, T)]) -> Result<T, Fault> {
    let chosen = known.iter().find(|(name, _)| *name == word).map(|(_, chosen)| *chosen);
    chosen.ok_or_else(|| Fault::none_of(what, word, known.iter().map(|(name, _)| *name)))
}

const FORMATS: [(&str, Format); 2] = [("text", Format::Text), ("json", Format::Json)];

const LEVELS: [(&str, Level); 5] = [
    ("error", Level::ERROR),
    ("warn", Level::WARN),
    ("info", Level::INFO),
    ("debug", Level::DEBUG),
    ("trace", Level::TRACE),
];
