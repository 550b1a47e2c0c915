//! From the file's values to the rooms' settings, complete with defaults.
//!
//! A value that cannot be resolved is reported and gets a placeholder, so that the rest is checked
//! too. No placeholder is used: a report with a problem gives no `Config`.
//!
//! Pure. Runs at start, at reload, or on a timer.

mod access;
mod acme;
mod address;
mod affinity;
mod balance;
mod binds;
mod discover;
mod health;
mod listener;
mod pacing;
mod pattern;
mod route;
mod tunnel;
mod upstream;

use std::net::SocketAddr;

use tracing::Level;

pub(super) use address::node as node_address;
pub(super) use balance::RULES as BALANCE_RULES;

use super::Config;
use super::file::{self, Admin, File, Log, Shutdown};
use crate::logging::{self, Format};
use crate::shutdown;
use crate::yaml::{Diagnostic, KeyPath, RawScalar, Report, units};

/// The settings in `file`. Problems go to `report`.
pub(super) fn resolve(file: &File, report: &mut Report<'_>) -> Config {
    let top = KeyPath::root();
    let admin = admin(&top.key("admin"), file.admin.as_ref(), report);
    let listeners = listener::resolve(&top.key("listeners"), file.listeners.as_deref(), report);
    let binds = listeners.iter().map(|(path, settings)| (path.clone(), settings.bind));
    let of_admin = admin.map(|bind| (top.key("admin").key("bind"), bind));
    binds::refuse_overlaps(&binds.chain(of_admin).collect::<Vec<_>>(), report);
    Config {
        acme: file.acme.as_ref().map(|acme| acme::resolve(&top.key("acme"), acme, report)),
        max_connections: max_connections(&top.key("max_connections"), file, report),
        shutdown: shutdown(&top.key("shutdown"), file.shutdown.as_ref(), report),
        admin,
        log: log(&top.key("log"), file.log.as_ref(), report),
        listeners: listeners.into_iter().map(|(_, settings)| settings).collect(),
        upstreams: upstream::resolve(&top.key("upstreams"), file.upstreams.as_ref(), report),
        routes: route::resolve(&top.key("routes"), file, report),
        warnings: Vec::new(),
    }
}

fn max_connections(path: &KeyPath, file: &File, report: &mut Report<'_>) -> Option<usize> {
    let written = file.max_connections.as_ref().map(RawScalar::as_str);
    report.read(path, written, None, |text| match text {
        "auto" => Ok(None),
        text => {
            let number = units::whole(text).filter(|number| file::MAX_CONNECTIONS.contains(number));
            number.map(|number: u32| Some(number as usize)).ok_or_else(|| {
                let (least, most) = (file::MAX_CONNECTIONS.start(), file::MAX_CONNECTIONS.end());
                Diagnostic::new("is not a number of connections")
                    .help(format!("write a whole number from {least} to {most}, or auto"))
            })
        }
    })
}

fn shutdown(
    path: &KeyPath,
    written: Option<&Shutdown>,
    report: &mut Report<'_>,
) -> shutdown::Settings {
    let default = shutdown::Settings::default();
    let Some(written) = written else { return default };
    let delay = written.delay.as_ref().map(RawScalar::as_str);
    let timeout = written.timeout.as_ref().map(RawScalar::as_str);
    shutdown::Settings {
        delay: report.read(&path.key("delay"), delay, default.delay, |text| {
            units::duration(text, &file::SHUTDOWN_DELAY)
        }),
        timeout: report.read(&path.key("timeout"), timeout, default.timeout, |text| {
            units::duration(text, &file::SHUTDOWN_TIMEOUT)
        }),
    }
}

fn admin(path: &KeyPath, written: Option<&Admin>, report: &mut Report<'_>) -> Option<SocketAddr> {
    let bind = written?.bind.as_ref().map(RawScalar::as_str);
    report.read(&path.key("bind"), bind, None, |text| units::off_or(text, address::bind))
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

/// The value of `word` in `known`.
fn choose<T: Clone>(word: &str, what: &str, known: &[(&str, T)]) -> Result<T, Diagnostic> {
    let chosen = known.iter().find(|(name, _)| *name == word).map(|(_, chosen)| chosen.clone());
    chosen.ok_or_else(|| Diagnostic::none_of(what, word, known.iter().map(|(name, _)| *name)))
}

pub(super) const FORMATS: [(&str, Format); 2] = [("text", Format::Text), ("json", Format::Json)];

pub(super) const LEVELS: [(&str, Level); 5] = [
    ("error", Level::ERROR),
    ("warn", Level::WARN),
    ("info", Level::INFO),
    ("debug", Level::DEBUG),
    ("trace", Level::TRACE),
];
