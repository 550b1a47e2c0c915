//! When checks that fail or pass make a node unhealthy or healthy.
//!
//! Pure. Runs at start, at reload, or on a timer.

use std::sync::Arc;

use super::settings::Health;

/// What a check found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The node is well.
    Passed,
    /// It is not, and why.
    Failed(Box<str>),
    /// It wants to be drained, and is neither well nor unwell.
    Drain,
    /// Nothing: this machine could not ask.
    Skipped,
}

impl Outcome {
    /// The word for metrics.
    pub(super) fn label(&self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed(_) => "failed",
            Self::Drain => "drain",
            Self::Skipped => "skipped",
        }
    }
}

/// What the checks so far say of a node. Before the first, it is well.
#[derive(Debug, Default)]
pub(super) struct Verdict {
    is_failing: bool,
    /// How many outcomes running say the contrary.
    contrary: u32,
    reason: Option<Arc<str>>,
}

/// A verdict that was not so before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// It fails, and why.
    Fails(Arc<str>),
    /// It does not fail any more.
    Recovers,
}

impl Verdict {
    /// Weighs one more outcome.
    pub(super) fn weigh(&mut self, outcome: &Outcome, settings: &Health) -> Option<Change> {
        let fails = match outcome {
            Outcome::Passed => false,
            Outcome::Failed(reason) => {
                self.reason = Some((**reason).into());
                true
            }
            Outcome::Drain | Outcome::Skipped => return None,
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
            Some(reason) if fails => Some(Change::Fails(reason.clone())),
            Some(_) | None => Some(Change::Recovers),
        }
    }

    /// What the last check that failed found.
    pub(super) fn reason(&self) -> Option<Arc<str>> {
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
                'p' => Outcome::Passed,
                'f' => Outcome::Failed("it burns".into()),
                'd' => Outcome::Drain,
                _ => Outcome::Skipped,
            };
            match verdict.weigh(&outcome, &settings) {
                None => '.',
                Some(Change::Fails(reason)) if *reason == *"it burns" => 'F',
                Some(Change::Fails(_)) => '?',
                Some(Change::Recovers) => 'R',
            }
        });
        assert_eq!(changes.collect::<String>(), expected, "{outcomes}");
    }

    #[test]
    fn a_node_fails_after_failures_running_and_recovers_after_passes_running() {
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
