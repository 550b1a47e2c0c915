//! Whether a node is well: what it is asked, how its clients' handshakes go, and what follows.
//!
//! Both only steer new sessions. A session lives on its node and nowhere else: its requests go there
//! also when all checks fail, for a node that is merely too busy to answer them would lose all its
//! clients to the others, and they would follow.
//!
//! Runs at start, at reload, or on a timer.

mod answer;
mod check;
mod ejection;
mod rounds;
pub mod settings;
mod state;
mod verdict;

use crate::Instant;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

pub use rounds::Rounds;
pub use state::State;

pub(super) use ejection::Trials;
use verdict::{Outcome, Verdict};

/// What was found out of a node's health. What follows from it is in the node's
/// [standing](super::standing).
#[derive(Debug, Default)]
pub(super) struct Record {
    /// Of the checks. Held for one look, by a check that has ended or an operator who asks.
    verdict: Mutex<Verdict>,
    /// Held for one look, as above.
    last: Mutex<Option<LastCheck>>,
    has_answered: AtomicBool,
    /// Of the clients' handshakes.
    pub(super) trials: Trials,
}

/// What a node was asked last, and what came of it.
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

impl Record {
    /// The last check; `None` before the first.
    pub(super) fn last(&self) -> Option<LastCheck> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether a check ever had an answer.
    pub(super) fn has_answered(&self) -> bool {
        self.has_answered.load(Ordering::Relaxed)
    }

    fn note_answer(&self) {
        self.has_answered.store(true, Ordering::Relaxed);
    }

    fn set_last(&self, asked: String, outcome: &Outcome, at: Instant) {
        let reason = match outcome {
            Outcome::Failed(reason) => Some(reason.clone()),
            Outcome::Passed | Outcome::Drain | Outcome::Skipped => None,
        };
        let last = LastCheck { asked, at, result: outcome.label(), reason };
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(last);
    }

    fn verdict(&self) -> MutexGuard<'_, Verdict> {
        // A panic would leave it in order: each step of its methods is whole.
        self.verdict.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
