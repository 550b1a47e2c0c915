//! What all clients of a load count together.

use std::fmt::Display;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

/// Counts completed units while it is measured, and errors at any time.
#[derive(Debug)]
pub(super) struct Tally {
    phase: watch::Sender<Phase>,
    errors: AtomicU64,
    first_error: Mutex<Option<String>>,
    /// Nanoseconds of each completed unit.
    latencies: Mutex<Vec<u64>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Warming,
    Measuring,
    Over,
}

impl Tally {
    pub(super) fn new() -> Self {
        let (phase, _) = watch::channel(Phase::Warming);
        Self {
            phase,
            errors: AtomicU64::new(0),
            first_error: Mutex::default(),
            latencies: Mutex::default(),
        }
    }

    pub(super) fn enter(&self, phase: Phase) {
        self.phase.send_replace(phase);
    }

    /// A unit was completed that took so long.
    pub(super) fn complete(&self, nanoseconds: u64) {
        if *self.phase.borrow() == Phase::Measuring {
            lock(&self.latencies).push(nanoseconds);
        }
    }

    pub(super) fn fail(&self, error: impl Display) {
        self.errors.fetch_add(1, Relaxed);
        lock(&self.first_error).get_or_insert_with(|| error.to_string());
    }

    /// How often it failed, and why first.
    pub(super) fn errors(&self) -> (u64, Option<String>) {
        (self.errors.load(Relaxed), lock(&self.first_error).clone())
    }

    /// Of what was completed, by the time it took.
    pub(super) fn latencies(&self) -> Vec<u64> {
        lock(&self.latencies).clone()
    }

    pub(super) fn is_over(&self) -> bool {
        *self.phase.borrow() == Phase::Over
    }

    /// Waits for the end. Nothing is lost if the future is dropped.
    pub(super) async fn over(&self) {
        let seen = self.phase.subscribe().wait_for(|phase| *phase == Phase::Over).await.is_ok();
        debug_assert!(seen, "the sender is ours");
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_count_while_it_is_measured_and_errors_always() {
        let tally = Tally::new();
        tally.complete(1);
        tally.fail("cold");
        tally.enter(Phase::Measuring);
        tally.complete(2);
        tally.complete(3);
        tally.enter(Phase::Over);
        tally.complete(4);
        tally.fail("late");
        assert_eq!(tally.latencies(), [2, 3]);
        assert_eq!(tally.errors(), (2, Some("cold".to_owned())));
        assert!(tally.is_over());
    }
}
