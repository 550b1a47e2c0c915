//! Whether a node is well: what it is asked, and what follows from its answers.
//!
//! It only steers new sessions. A session lives on its node and nowhere else: its requests go there
//! also when all checks fail, for a node that is merely too busy to answer them would lose all its
//! clients to the others, and they would follow.
//!
//! Runs at start, at reload, or on a timer.

mod answer;
mod check;
mod rounds;
pub mod settings;
mod state;
mod verdict;

use std::sync::{Mutex, MutexGuard, PoisonError};

pub use rounds::Rounds;
pub use state::State;

use verdict::Verdict;

/// What was found out of a node's health. What follows from it is in the node's
/// [standing](super::standing).
#[derive(Debug, Default)]
pub(super) struct Record {
    /// Of the checks. Held for one look, by a check that has ended or an operator who asks.
    verdict: Mutex<Verdict>,
}

impl Record {
    fn verdict(&self) -> MutexGuard<'_, Verdict> {
        // A panic would leave it in order: each step of its methods is whole.
        self.verdict.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
