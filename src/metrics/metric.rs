//! What a metric is.
//!
//! Pure. Runs at start, at reload, or on a timer.

/// A metric as Prometheus sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metric {
    /// With the unit, and `_total` for counters.
    pub name: &'static str,
    /// Whether it may go down.
    pub kind: Kind,
    /// The names of its labels.
    pub labels: &'static [&'static str],
    /// One sentence, without its full stop.
    pub help: &'static str,
}

/// Whether a metric may go down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It only grows, until the process or what it counts for ends.
    Counter,
    /// It tells how it is now.
    Gauge,
    /// It tells how many were how long or how much.
    Histogram,
}

impl Kind {
    /// The word in the manual and in the exposition.
    pub fn label(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

pub(super) const fn counter(
    name: &'static str,
    labels: &'static [&'static str],
    help: &'static str,
) -> Metric {
    Metric { name, kind: Kind::Counter, labels, help }
}

pub(super) const fn gauge(
    name: &'static str,
    labels: &'static [&'static str],
    help: &'static str,
) -> Metric {
    Metric { name, kind: Kind::Gauge, labels, help }
}
