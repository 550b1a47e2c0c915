//! When failed or passed checks make a node unhealthy or healthy.
//!
//! Pure. Runs at start, at reload, or on a timer.

use std::sync::Arc;

use super::settings::Health;

/// The outcome of a health check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum CheckOutcome {
    /// The node is healthy.
    Passed,
    /// It is not, and why.
    Failed(Box<str>),
    /// It asks to be drained, which says nothing about its health.
    Drain,
    /// Nothing: this machine could not ask.
    Skipped,
}

impl CheckOutcome {
    /// The word for metrics.
    pub(crate) fn label(&self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed(_) => "failed",
            Self::Drain => "drain",
            Self::Skipped => "skipped",
        }
    }
}

/// What the checks so far say about a node. Before the first, it is healthy.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    is_failing: bool,
    /// How many consecutive outcomes say the contrary.
    contrary: u32,
    reason: Option<Arc<str>>,
}

/// A change of the verdict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum VerdictChange {
    /// It fails, and why.
    Fails(Arc<str>),
    /// It no longer fails.
    Recovers,
}

impl Verdict {
    /// Weighs one more outcome.
    pub(crate) fn weigh(
        &mut self,
        outcome: &CheckOutcome,
        settings: &Health,
    ) -> Option<VerdictChange> {
        let fails = match outcome {
            CheckOutcome::Passed => false,
            CheckOutcome::Failed(reason) => {
                self.reason = Some((**reason).into());
                true
            }
            CheckOutcome::Drain | CheckOutcome::Skipped => return None,
        };
        if fails == self.is_failing {
            self.contrary = 0;
            return None;
        }
        self.contrary = self.contrary.saturating_add(1);
        let enough = if fails { settings.fail } else { settings.pass };
        if self.contrary < enough.get() {
            return None;
        }
        self.is_failing = fails;
        self.contrary = 0;
        match &self.reason {
            Some(reason) if fails => Some(VerdictChange::Fails(reason.clone())),
            Some(_) | None => Some(VerdictChange::Recovers),
        }
    }

    /// Why the last failed check failed.
    pub(crate) fn reason(&self) -> Option<Arc<str>> {
        self.reason.clone()
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;

    /// `outcomes`, a letter each: passed, failed, drain, skipped. `expected`, a letter each: the
    /// node fails from then on, recovers, or nothing changes.
    fn check(fail: u32, pass: u32, outcomes: &str, expected: &str) {
        let count = |count| NonZeroU32::new(count).unwrap();
        let settings = Health { fail: count(fail), pass: count(pass), ..Health::default() };
        let mut verdict = Verdict::default();
        let changes = outcomes.chars().map(|outcome| {
            let outcome = match outcome {
                'p' => CheckOutcome::Passed,
                'f' => CheckOutcome::Failed("it burns".into()),
                'd' => CheckOutcome::Drain,
                _ => CheckOutcome::Skipped,
            };
            match verdict.weigh(&outcome, &settings) {
                None => '.',
                Some(VerdictChange::Fails(reason)) if *reason == *"it burns" => 'F',
                Some(VerdictChange::Fails(_)) => '?',
                Some(VerdictChange::Recovers) => 'R',
            }
        });
        assert_eq!(changes.collect::<String>(), expected, "{outcomes}");
    }

    #[test]
    fn a_node_fails_after_consecutive_failures_and_recovers_after_consecutive_passes() {
        check(3, 2, "ppp", "...");
        check(3, 2, "fff", "..F");
        check(3, 2, "ffpff", ".....");
        check(3, 2, "ffpfff", ".....F");
        check(3, 2, "fffff", "..F..");
        check(3, 2, "fffpp", "..F.R");
        check(3, 2, "fffpfpp", "..F...R");
        check(3, 2, "fffppfff", "..F.R..F");
        check(1, 1, "pfpf", ".FRF");
    }

    #[test]
    fn what_says_nothing_of_health_changes_nothing() {
        check(3, 2, "fdfsf", "....F");
        check(3, 2, "fffpsdp", "..F...R");
        check(1, 1, "dsds", "....");
    }
}
