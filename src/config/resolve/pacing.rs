//! `admission:`, `drain:` and `rebalance:`: how fast sessions start and move.
//!
//! Pure. Runs at start, at reload, or on a timer.

use std::num::NonZeroU32;
use std::ops::RangeInclusive;

use crate::config::file::pacing as keys;
use crate::upstream::settings::{Admission, Drain, Rate, Rebalance};
use crate::yaml::{Diagnostic, KeyPath, RawScalar, Report, TextOr, units};

/// The admission at `path`.
pub(super) fn admission(
    path: &KeyPath,
    written: Option<&keys::Admission>,
    report: &mut Report<'_>,
) -> Admission {
    let default = Admission::default();
    let Some(written) = written else { return default };
    let mut rate = |key, written: &Option<RawScalar>| {
        report.read(&path.key(key), text(written), None, |text| {
            units::off_or(text, |text| positive(text, &keys::HANDSHAKES))
        })
    };
    let in_all = rate("handshakes_per_second", &written.handshakes_per_second);
    let on_each = rate("node_handshakes_per_second", &written.node_handshakes_per_second);
    let burst = report.read(&path.key("burst"), text(&written.burst), None, |text| match text {
        "auto" => Ok(None),
        text => positive(text, &keys::HANDSHAKES)
            .map(Some)
            .map_err(|diagnostic| diagnostic.or_write("auto")),
    });
    let with_burst = |rate: Option<NonZeroU32>| {
        rate.map(|per_second| Rate { per_second, burst: burst.unwrap_or(per_second) })
    };
    let hold = report.read(&path.key("hold"), text(&written.hold), default.hold, |text| {
        let hold = units::off_or(text, |text| units::duration(text, &keys::HOLD))?;
        Ok(hold.unwrap_or_default())
    });
    let queue = NonZeroU32::new(u32::try_from(default.queue_max).unwrap_or(u32::MAX));
    let queue = queue.unwrap_or(NonZeroU32::MIN);
    let queue = count(&path.key("queue"), &written.queue, queue, &keys::QUEUE, report);
    Admission {
        rate: with_burst(in_all),
        node_rate: with_burst(on_each),
        hold,
        queue_max: queue.get() as usize,
    }
}

/// The drain at `path`.
pub(super) fn drain(
    path: &KeyPath,
    written: Option<&keys::Drain>,
    report: &mut Report<'_>,
) -> Drain {
    let default = Drain::default();
    let Some(written) = written else { return default };
    Drain {
        timeout: report.read(
            &path.key("timeout"),
            text(&written.timeout),
            default.timeout,
            |text| units::duration(text, &keys::DRAIN_TIMEOUT),
        ),
        closes_per_second: closes(
            path,
            &written.closes_per_second,
            default.closes_per_second,
            report,
        ),
    }
}

/// The rebalance at `path`; by default none.
pub(super) fn rebalance(
    path: &KeyPath,
    written: Option<&TextOr<keys::Rebalance>>,
    report: &mut Report<'_>,
) -> Option<Rebalance> {
    match written? {
        TextOr::Text(word) => report.read(path, Some(word), None, |word| match word {
            "off" => Ok(None),
            other => units::refuse_other_off(other).and_then(|()| {
                Err(Diagnostic::new("is not a rebalance").help("write off, or { within: 10% }"))
            }),
        }),
        TextOr::Map(written) => Some(Rebalance {
            within_percent: report.read(
                &path.key("within"),
                text(&written.within),
                Rebalance::WITHIN_PERCENT,
                |text| units::percent(text, &keys::WITHIN),
            ),
            closes_per_second: closes(
                path,
                &written.closes_per_second,
                Rebalance::CLOSES_PER_SECOND,
                report,
            ),
        }),
    }
}

fn closes(
    path: &KeyPath,
    written: &Option<RawScalar>,
    default: NonZeroU32,
    report: &mut Report<'_>,
) -> NonZeroU32 {
    count(&path.key("closes_per_second"), written, default, &keys::CLOSES, report)
}

/// The number at `path`, if it is in `range`.
pub(super) fn count(
    path: &KeyPath,
    written: &Option<RawScalar>,
    default: NonZeroU32,
    range: &RangeInclusive<u32>,
    report: &mut Report<'_>,
) -> NonZeroU32 {
    report.read(path, text(written), default, |text| positive(text, range))
}

/// The number in `text`, if it is in `range` and not zero.
pub(super) fn positive(text: &str, range: &RangeInclusive<u32>) -> Result<NonZeroU32, Diagnostic> {
    let number = units::number(text, range)?;
    NonZeroU32::new(number).ok_or_else(|| Diagnostic::new("is zero"))
}

fn text(written: &Option<RawScalar>) -> Option<&str> {
    written.as_ref().map(RawScalar::as_str)
}
