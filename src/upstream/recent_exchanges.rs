//! How many exchanges of a node are pending most of the time.
//!
//! A session that polls has an exchange pending nearly always, but for a moment after each response. A
//! node that sends something to all of them answers all polls at once, so that at this moment they
//! seem to be gone.
//!
//! Pure. Runs at start, at reload, or on a timer.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The last samples of the number of pending exchanges.
#[derive(Debug, Default)]
pub(crate) struct RecentExchanges(Mutex<VecDeque<u32>>);

impl RecentExchanges {
    /// Notes that so many are pending now.
    pub(crate) fn note(&self, exchanges: u32) {
        let mut samples = self.samples();
        if samples.len() == SAMPLES {
            samples.pop_front();
        }
        samples.push_back(exchanges);
    }

    /// The median of the last [`SAMPLES`]; zero without any.
    pub(crate) fn median(&self) -> u32 {
        let mut sorted: Vec<u32> = self.samples().iter().copied().collect();
        sorted.sort_unstable();
        sorted.get(sorted.len() / 2).copied().unwrap_or(0)
    }

    fn samples(&self) -> MutexGuard<'_, VecDeque<u32>> {
        // No code under the lock panics half-way.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// About a second, at ten samples each second.
const SAMPLES: usize = 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_pending_most_of_the_time_counts() {
        // check(samples, median)
        fn check(samples: &[u32], expected: u32) {
            let recent = RecentExchanges::default();
            samples.iter().for_each(|exchanges| recent.note(*exchanges));
            assert_eq!(recent.median(), expected, "{samples:?}");
        }
        check(&[], 0);
        check(&[7], 7);
        check(&[90, 90, 90, 0, 23, 90, 90, 90, 90, 90], 90);
        check(&[0, 0, 0, 0, 0, 500, 400, 0, 0, 0], 0);
        check(&[90, 90, 90, 90, 90, 90, 90, 5, 5, 5, 5, 5, 5, 5], 5);
    }
}
