//! Points in time in one atomic word, in milliseconds since a base.
//!
//! Pure. Runs for every byte.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::Instant;

/// The base of times that are kept as milliseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Epoch(Instant);

impl Epoch {
    /// An epoch that begins at `base`, which is no later than any time that is ever passed in.
    pub(crate) fn new(base: Instant) -> Self {
        Self(base)
    }

    /// The whole milliseconds from the base to `time`.
    #[inline]
    pub(crate) fn millis(self, time: Instant) -> u64 {
        let passed = time.saturating_duration_since(self.0);
        // Not `as_millis`, which divides 128 bits.
        passed.as_secs().saturating_mul(1000).saturating_add(passed.subsec_millis().into())
    }

    /// The time at so many milliseconds from the base.
    pub(crate) fn instant(self, millis: u64) -> Instant {
        self.0 + Duration::from_millis(millis)
    }
}

/// A point in time, or none, that threads share without a lock. It is rounded down to a millisecond.
#[derive(Debug)]
pub(crate) struct AtomicInstant {
    epoch: Epoch,
    /// Milliseconds from the epoch, and one more; zero means none.
    word: AtomicU64,
}

impl AtomicInstant {
    /// No point in time.
    pub(crate) fn new(epoch: Epoch) -> Self {
        Self { epoch, word: AtomicU64::new(0) }
    }

    /// The point in time, if there is one.
    pub(crate) fn get(&self) -> Option<Instant> {
        self.instant(self.word.load(Ordering::Relaxed))
    }

    /// Sets the point in time, or none.
    pub(crate) fn set(&self, time: Option<Instant>) {
        let word = time.map_or(0, |time| self.epoch.millis(time).saturating_add(1));
        self.word.store(word, Ordering::Relaxed);
    }

    /// Leaves none, and returns what there was.
    pub(crate) fn take(&self) -> Option<Instant> {
        self.instant(self.word.swap(0, Ordering::Relaxed))
    }

    fn instant(&self, word: u64) -> Option<Instant> {
        Some(self.epoch.instant(word.checked_sub(1)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_in_time_is_rounded_down_to_a_millisecond() {
        let base = Instant::now();
        let shared = AtomicInstant::new(Epoch::new(base));
        assert_eq!(shared.get(), None);
        for (micros, expected) in [(0, 0), (999, 0), (1_000, 1), (5_000_900, 5_000)] {
            shared.set(Some(base + Duration::from_micros(micros)));
            assert_eq!(shared.get(), Some(base + Duration::from_millis(expected)), "{micros}");
        }
        assert_eq!(shared.take(), Some(base + Duration::from_millis(5_000)));
        assert_eq!(shared.get(), None);
    }

    #[test]
    fn a_time_before_the_base_counts_as_the_base() {
        let base = Instant::now() + Duration::from_secs(1);
        assert_eq!(Epoch::new(base).millis(base - Duration::from_secs(1)), 0);
    }
}
