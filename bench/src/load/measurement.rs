//! What a load measured, as it goes from the load's process to the one that compares.

use serde::{Deserialize, Serialize};

use crate::account::Spent;

/// One run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Measurement {
    /// How long it was measured.
    pub(crate) seconds: f64,
    /// Messages, connections or requests that were completed within.
    pub(crate) units: u64,
    /// What went wrong, at any time.
    pub(crate) errors: u64,
    pub(crate) first_error: Option<String>,
    pub(crate) latency: Option<Latency>,
    pub(crate) memory: Option<Memory>,
    /// Without a proxy, what one costs.
    pub(crate) proxy: Option<Spent>,
    pub(crate) nodes: Spent,
    pub(crate) load: Spent,
    /// CPU time of processes that have nothing to do with the measurement.
    pub(crate) foreign_seconds: f64,
}

/// How long units took, in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Latency {
    pub(crate) p50: f64,
    pub(crate) p99: f64,
}

/// What a scenario of memory has found.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Memory {
    /// In the unit of the scenario's figure.
    pub(crate) figure: f64,
    /// Bytes for each tunnel once it has carried a message.
    pub(crate) used: Option<f64>,
}

impl Latency {
    /// The percentiles of `nanoseconds`, in any order; `None` of none.
    pub(crate) fn of(mut nanoseconds: Vec<u64>) -> Option<Self> {
        nanoseconds.sort_unstable();
        let rank = |part: f64| {
            // The smallest value that at least this part of all does not exceed.
            let rank = (part * nanoseconds.len() as f64).ceil() as usize;
            Some(*nanoseconds.get(rank.saturating_sub(1))? as f64 / 1e3)
        };
        Some(Self { p50: rank(0.5)?, p99: rank(0.99)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_a_value_that_was_measured() {
        let check = |nanoseconds: Vec<u64>, p50: f64, p99: f64| {
            assert_eq!(Latency::of(nanoseconds), Some(Latency { p50, p99 }));
        };
        check(vec![7000], 7.0, 7.0);
        check(vec![2000, 1000], 1.0, 2.0);
        check((1..=100).rev().map(|n| n * 1000).collect(), 50.0, 99.0);
        check((1..=200).map(|n| n * 1000).collect(), 100.0, 198.0);
        assert_eq!(Latency::of(Vec::new()), None);
    }
}
