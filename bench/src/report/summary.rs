//! What the runs of one proxy in one scenario come to. Pure.

use super::Report;
use super::run::Run;
use super::statistics::Sample;
use crate::compare::Peer;
use crate::load::Measurement;
use crate::scenario::{Figure, Scenario};

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Summary {
    pub(super) peer: Peer,
    /// The scenario's figure.
    pub(super) figure: Option<Sample>,
    pub(super) used_bytes: Option<f64>,
    pub(super) per_second: Option<f64>,
    pub(super) p50: Option<f64>,
    pub(super) p99: Option<f64>,
    /// Of the proxy.
    pub(super) cores: Option<f64>,
    pub(super) errors: u64,
    /// Of runs that failed or had errors, the first reason.
    pub(super) first_error: Option<String>,
    pub(super) runs: usize,
    pub(super) failed_runs: usize,
    /// Runs that were disturbed by other processes.
    pub(super) noisy_runs: usize,
    /// Runs whose rate was the load side's.
    pub(super) load_bound_runs: usize,
}

impl Summary {
    /// Whether its figure may be compared: nothing went wrong.
    pub(super) fn is_sound(&self) -> bool {
        self.errors == 0 && self.failed_runs == 0
    }
}

impl Report {
    /// The scenarios that were run, in order.
    pub(super) fn scenarios(&self) -> impl Iterator<Item = Scenario> {
        let was_run = |it: &Scenario| self.runs.iter().any(|run| run.scenario == *it);
        Scenario::ALL.into_iter().filter(was_run)
    }

    /// One for each proxy that ran `scenario`, in order.
    pub(super) fn summaries(&self, scenario: Scenario) -> Vec<Summary> {
        let of_peer = |peer| {
            let runs = self.runs.iter().filter(|run| run.scenario == scenario && run.peer == peer);
            self.summary(peer, &runs.collect::<Vec<_>>())
        };
        Peer::ALL.into_iter().filter_map(of_peer).collect()
    }

    fn summary(&self, peer: Peer, runs: &[&Run]) -> Option<Summary> {
        let first = runs.first()?;
        let measured: Vec<&Measurement> =
            runs.iter().filter_map(|run| run.measurement.as_ref()).collect();
        let median = |of: &dyn Fn(&Measurement) -> Option<f64>| {
            Some(Sample::of(measured.iter().filter_map(|it| of(it)))?.median)
        };
        let reasons = runs.iter().find_map(|run| {
            let error = run.measurement.as_ref().and_then(|it| it.first_error.clone());
            run.failure.clone().or(error)
        });
        let count = |is: &dyn Fn(&Measurement) -> bool| measured.iter().filter(|it| is(it)).count();
        let is_noisy = |it: &Measurement| it.foreign_seconds > FOREIGN_CORES_MAX * it.seconds;
        let is_rate = matches!(first.scenario.figure(), Figure::CpuPer(_));
        Some(Summary {
            peer,
            figure: Sample::of(runs.iter().filter_map(|run| run.figure())),
            used_bytes: median(&|it| it.memory?.used),
            per_second: median(&|it| is_rate.then(|| it.units as f64 / it.seconds)),
            p50: median(&|it| Some(it.latency?.p50)),
            p99: median(&|it| Some(it.latency?.p99)),
            cores: median(&|it| Some(it.proxy?.seconds / it.seconds)),
            errors: measured.iter().map(|it| it.errors).sum(),
            first_error: reasons,
            runs: runs.len(),
            failed_runs: runs.len() - measured.len(),
            // Memory is what it is, even if others work.
            noisy_runs: count(&|it| is_rate && is_noisy(it)),
            load_bound_runs: count(&|it| is_rate && self.placement.is_load_bound(it)),
        })
    }
}

/// More cores than this in the hands of other processes disturb a run.
pub(crate) const FOREIGN_CORES_MAX: f64 = 0.15;
