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

use std::sync::{Mutex, MutexGuard, PoisonError};

pub use rounds::Rounds;
pub use state::State;

pub(super) use ejection::Trials;
use verdict::Verdict;

/// What was found out of a node's health. What follows from it is in the node's
/// [standing](super::standing).
#[derive(Debug, Default)]
pub(super) struct Record {
    /// Of the checks. Held for one look, by a check that has ended or an operator who asks.
    verdict: Mutex<Verdict>,
    /// Of the clients' handshakes.
    pub(super) trials: Trials,
}

impl Record {
    fn verdict(&self) -> MutexGuard<'_, Verdict> {
        // A panic would leave it in order: each step of its methods is whole.
        self.verdict.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
