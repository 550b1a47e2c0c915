//! What is known about a node's health: what its checks found, how its clients' handshakes went, and
//! the state that follows.
//!
//! Runs at start, at reload, or on a timer.

mod outliers;
pub(crate) mod settings;
mod state;
mod verdict;

use crate::Instant;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

pub(crate) use state::NodeState;

pub(super) use outliers::OutlierDetector;
pub(crate) use verdict::{CheckOutcome, Verdict, VerdictChange};

/// What was found out about a node's health. Whether it gets new sessions is in its
/// [`Availability`](super::availability::Availability).
#[derive(Debug, Default)]
pub(crate) struct HealthRecord {
    /// From the checks. Locked for one lookup, by a check that has ended or an operator who asks.
    verdict: Mutex<Verdict>,
    /// Locked for one lookup, as above.
    last: Mutex<Option<LastCheck>>,
    has_answered: AtomicBool,
    /// From the clients' handshakes.
    pub(super) outliers: OutlierDetector,
}

/// The last check of a node and its outcome.
#[derive(Clone, Debug)]
pub struct LastCheck {
    /// What it was asked.
    pub asked: String,
    /// When the check ended.
    pub at: Instant,
    /// `passed`, `failed`, `drain` or `skipped`.
    pub result: &'static str,
    /// Why it failed.
    pub reason: Option<Box<str>>,
}

impl HealthRecord {
    /// The last check; `None` before the first.
    pub(super) fn last(&self) -> Option<LastCheck> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether a check was ever answered.
    pub(super) fn has_answered(&self) -> bool {
        self.has_answered.load(Ordering::Relaxed)
    }

    /// Notes that a check was answered.
    pub(crate) fn note_answer(&self) {
        self.has_answered.store(true, Ordering::Relaxed);
    }

    /// Notes the check that ended last.
    pub(crate) fn set_last(&self, asked: String, outcome: &CheckOutcome, at: Instant) {
        let reason = match outcome {
            CheckOutcome::Failed(reason) => Some(reason.clone()),
            CheckOutcome::Passed | CheckOutcome::Drain | CheckOutcome::Skipped => None,
        };
        let last = LastCheck { asked, at, result: outcome.label(), reason };
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(last);
    }

    /// The verdict of the checks so far.
    pub(crate) fn verdict(&self) -> MutexGuard<'_, Verdict> {
        // A panic leaves it in order: each step of its methods is whole.
        self.verdict.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
