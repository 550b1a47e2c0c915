//! Traces, as configured.
//!
//! Pure. Runs at start, at reload, or on a timer.

use std::sync::Arc;

use crate::tls::NodeTls;

/// Which traces are made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Settings {
    /// Which of the traces that begin here are sampled; `None`: none begin here.
    pub(crate) sample: Option<Sample>,
    /// Where spans are exported to.
    pub(crate) otlp: Option<Arc<Collector>>,
}

/// A collector of OpenTelemetry.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(not(feature = "otlp"), allow(dead_code, reason = "for the exporter"))]
pub(crate) struct Collector {
    /// A host name, or an IP address without brackets.
    pub(crate) host: Box<str>,
    /// The port.
    pub(crate) port: u16,
    /// Where it is, as written.
    pub(crate) url: Box<str>,
    /// The `Host` that it gets.
    pub(crate) authority: Box<str>,
    /// Path and query.
    pub(crate) target: Box<str>,
    /// TLS to it.
    pub(crate) tls: Option<Arc<NodeTls>>,
}

/// A share of all traces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sample(u32);

impl Sample {
    /// The share of everything, in millionths.
    pub(crate) const ALL: u32 = 1_000_000;

    /// So many millionths, at most all.
    pub(crate) fn of_millionths(millionths: u32) -> Self {
        Self(millionths.min(Self::ALL))
    }

    /// In millionths.
    pub(crate) fn millionths(self) -> u32 {
        self.0
    }

    /// Whether a trace with this random number below [`Sample::ALL`] is in it.
    pub(super) fn takes(self, random: u32) -> bool {
        random < self.0
    }
}
