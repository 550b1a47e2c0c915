//! `admission:`, `drain:` and `rebalance:`: how fast sessions start and move.
//!
//! Pure. Runs at start, at reload, or on a timer.

use crate::config::file::pacing as keys;
use crate::form::section;
use crate::upstream::settings::{Admission, Drain, Rebalance};
use crate::yaml::{Diagnostic, KeyPath, Report, TextOr, units};

/// The admission at `path`.
pub(super) fn admission(
    path: &KeyPath,
    written: Option<&keys::Admission>,
    report: &mut Report<'_>,
) -> Admission {
    section::read(path, written, keys::Rates::from(&Admission::default()), report).into()
}

/// The drain at `path`.
pub(super) fn drain(
    path: &KeyPath,
    written: Option<&keys::Drain>,
    report: &mut Report<'_>,
) -> Drain {
    section::read(path, written, Drain::default(), report)
}

/// The rebalance at `path`; by default none.
pub(super) fn rebalance(
    path: &KeyPath,
    written: Option<&TextOr<keys::Rebalance>>,
    report: &mut Report<'_>,
) -> Option<Rebalance> {
    let default = Rebalance {
        within_percent: Rebalance::WITHIN_PERCENT,
        closes_per_second: Rebalance::CLOSES_PER_SECOND,
    };
    match written? {
        TextOr::Text(word) => report.read(path, Some(word), None, |word| match word {
            "off" => Ok(None),
            other => units::refuse_other_off(other).and_then(|()| {
                Err(Diagnostic::new("is not a rebalance").help("write off, or { within: 10% }"))
            }),
        }),
        TextOr::Map(written) => Some(section::read(path, Some(written), default, report)),
    }
}
