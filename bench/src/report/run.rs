//! One run of a proxy under a load.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Outcome;
use crate::compare::Peer;
use crate::load::Measurement;
use crate::scenario::{Figure, Scenario};

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Run {
    pub(crate) round: u32,
    pub(crate) scenario: Scenario,
    pub(crate) peer: Peer,
    /// `None` if it failed.
    pub(crate) measurement: Option<Measurement>,
    /// Why it failed.
    pub(crate) failure: Option<String>,
}

impl Run {
    pub(crate) fn new(
        round: u32,
        scenario: Scenario,
        peer: Peer,
        outcome: Outcome<Measurement>,
    ) -> Self {
        let (measurement, failure) = match outcome {
            Ok(measurement) => (Some(measurement), None),
            Err(error) => (None, Some(error.to_string())),
        };
        Self { round, scenario, peer, measurement, failure }
    }

    /// The scenario's figure; `None` where there is no proxy, and where nothing was completed.
    pub(crate) fn figure(&self) -> Option<f64> {
        let measurement = self.measurement.as_ref()?;
        match self.scenario.figure() {
            Figure::CpuPer(_) => {
                let spent = measurement.proxy?.seconds;
                (measurement.units > 0).then(|| spent * 1e6 / measurement.units as f64)
            }
            Figure::BytesPer(_) | Figure::Growth => Some(measurement.memory?.figure),
        }
    }
}

/// One line for the person who waits.
impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: ", self.scenario.name(), self.peer.title())?;
        let Some(measurement) = &self.measurement else {
            return write!(f, "failed: {}", self.failure.as_deref().unwrap_or_default());
        };
        match self.figure() {
            Some(figure) => write!(f, "{figure:.1} {}", self.scenario.figure().unit())?,
            None => write!(f, "{:.0}/s", measurement.units as f64 / measurement.seconds)?,
        }
        match &measurement.first_error {
            Some(error) => write!(f, ", {} errors, first: {error}", measurement.errors),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::account::{Source, Spent};
    use crate::load::{Latency, Memory};

    /// A second of a thousand units, for which the proxy spent `proxy` seconds.
    pub(in crate::report) fn measurement(proxy: f64) -> Measurement {
        let spent = |seconds| Spent { seconds, source: Source::Schedstat };
        Measurement {
            seconds: 1.0,
            units: 1000,
            errors: 0,
            first_error: None,
            latency: Some(Latency { p50: 100.0, p99: 900.0 }),
            memory: Some(Memory { figure: proxy * 1e6, used: Some(proxy * 2e6) }),
            proxy: Some(spent(proxy)),
            nodes: spent(0.1),
            load: spent(0.2),
            foreign_seconds: 0.0,
        }
    }

    #[test]
    fn a_figure_is_cpu_for_each_unit_or_memory_for_each_tunnel() {
        let figure =
            |scenario, measurement| Run::new(0, scenario, Peer::Sockeye, Ok(measurement)).figure();
        assert_eq!(figure(Scenario::Echo64, measurement(0.02)), Some(20.0));
        assert_eq!(figure(Scenario::Idle, measurement(0.002)), Some(2000.0));
        let none = Measurement { units: 0, ..measurement(0.02) };
        assert_eq!(figure(Scenario::Echo64, none), None);
        let direct = Measurement { proxy: None, memory: None, ..measurement(0.0) };
        assert_eq!(figure(Scenario::Echo64, direct.clone()), None);
        assert_eq!(figure(Scenario::Idle, direct), None);
        let failed = Run::new(0, Scenario::Echo64, Peer::Nginx, Err("it ended".into()));
        assert_eq!(failed.figure(), None);
        assert_eq!(failed.to_string(), "echo64 nginx: failed: it ended");
    }
}
