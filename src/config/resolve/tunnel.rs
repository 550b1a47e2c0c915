//! `routes[].tunnel:`
//!
//! Pure. Runs at start, at reload, or on a timer.

use crate::config::file::route::{Keepalive, Tunnel};
use crate::form::section;
use crate::tunnel::{self, KeepaliveTimes, Limits};
use crate::yaml::{Diagnostic, KeyPath, Report, TextOr, units};

/// The settings at `path`, with defaults.
pub(super) fn resolve(path: &KeyPath, written: Option<&Tunnel>, report: &mut Report<'_>) -> Limits {
    let keepalive = written.and_then(|written| written.keepalive.as_ref());
    let limits = section::read(path, written, Limits::default(), report);
    Limits { keepalive: self::keepalive(&path.key("keepalive"), keepalive, report), ..limits }
}

fn keepalive(
    path: &KeyPath,
    written: Option<&TextOr<Keepalive>>,
    report: &mut Report<'_>,
) -> tunnel::Keepalive {
    let default = Limits::default().keepalive;
    match written {
        None => default,
        Some(TextOr::Text(word)) => report.read(path, Some(word), default, |word| match word {
            "auto" => Ok(tunnel::Keepalive::Auto),
            "off" => Ok(tunnel::Keepalive::Off),
            other => units::refuse_other_off(other).and_then(|()| {
                Err(Diagnostic::new("is not a keepalive")
                    .help("write auto, off, or { every: 25s, lost_after: 20s }"))
            }),
        }),
        Some(TextOr::Map(times)) => {
            let default = KeepaliveTimes::default();
            tunnel::Keepalive::On(section::read(path, Some(times), default, report))
        }
    }
}
