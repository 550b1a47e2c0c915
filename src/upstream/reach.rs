//! Whether a node accepts connections, as the connects that were made anyway tell.
//!
//! It only steers new sessions: a request that is bound to a node goes there all the same, since
//! its session lives nowhere else.
//!
//! Pure. Runs for every request.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::Instant;

/// The failed connects since the last that succeeded.
///
/// One word, so that workers share it without a lock: how many in the upper 16 bits, the
/// milliseconds from `base` to the last in the lower 48. Zero means none.
#[derive(Debug)]
pub(super) struct Reach {
    base: Instant,
    word: AtomicU64,
}

impl Reach {
    /// Nothing is known; `base` is no later than any time that is ever passed in.
    pub(super) fn new(base: Instant) -> Self {
        Self { base, word: AtomicU64::new(0) }
    }

    /// A connect succeeded: all that was held against the node is forgotten.
    pub(super) fn connected(&self) {
        // Nearly always there is nothing to forget; a store would take the word from the caches
        // of all other workers.
        if self.word.load(Ordering::Relaxed) != 0 {
            self.word.store(0, Ordering::Relaxed);
        }
    }

    /// A connect failed. While the node is avoided already this renews the wait and does not
    /// lengthen the next: connects that fail together are one failure.
    pub(super) fn failed(&self, now: Instant) {
        let renew = |word| {
            let (failures, _) = unpack(word);
            let failures =
                if self.avoids(word, now) { failures } else { failures.saturating_add(1) };
            Some(pack(failures, self.millis(now)))
        };
        // Never fails, for `renew` always has a new value.
        let _ = self.word.fetch_update(Ordering::Relaxed, Ordering::Relaxed, renew);
    }

    /// Whether new sessions should rather go elsewhere.
    pub(super) fn is_avoided(&self, now: Instant) -> bool {
        self.avoids(self.word.load(Ordering::Relaxed), now)
    }

    /// When the last connect failed; `None` if it succeeded or there was none.
    pub(super) fn failed_at(&self) -> Option<Instant> {
        let (failures, millis) = unpack(self.word.load(Ordering::Relaxed));
        (failures > 0).then(|| self.base + Duration::from_millis(millis))
    }

    fn avoids(&self, word: u64, now: Instant) -> bool {
        let (failures, millis) = unpack(word);
        let Some(doublings) = failures.checked_sub(1) else { return false };
        let wait = AVOID_MIN.saturating_mul(1 << doublings.min(DOUBLINGS_MAX)).min(AVOID_MAX);
        Duration::from_millis(self.millis(now).saturating_sub(millis)) < wait
    }

    fn millis(&self, now: Instant) -> u64 {
        let millis = now.saturating_duration_since(self.base).as_millis();
        u64::try_from(millis).unwrap_or(u64::MAX).min(MILLIS_MAX)
    }
}

fn pack(failures: u16, millis: u64) -> u64 {
    u64::from(failures) << MILLIS_BITS | millis
}

fn unpack(word: u64) -> (u16, u64) {
    ((word >> MILLIS_BITS) as u16, word & MILLIS_MAX)
}

/// Nine thousand years.
const MILLIS_BITS: u32 = 48;
const MILLIS_MAX: u64 = (1 << MILLIS_BITS) - 1;

/// The wait after the first failure: a process that is being restarted is back soon.
const AVOID_MIN: Duration = Duration::from_secs(1);

/// The longest wait: what it costs to find out that a node is back is one connect, which is
/// retried elsewhere.
const AVOID_MAX: Duration = Duration::from_secs(10);

/// More would be longer than [`AVOID_MAX`] anyway, and the shift must not overflow.
const DOUBLINGS_MAX: u16 = 4;

#[cfg(test)]
mod tests {
    use super::*;

    /// Fails a connect at each of `failures`, in milliseconds, and finds the first millisecond
    /// at which the node is not avoided.
    fn check(failures: &[u64], free_at: u64) {
        let base = Instant::now();
        let at = |millis| base + Duration::from_millis(millis);
        let reach = Reach::new(base);
        for &failure in failures {
            reach.failed(at(failure));
        }
        assert!(!reach.is_avoided(at(free_at)));
        assert_eq!(reach.is_avoided(at(free_at.saturating_sub(1))), free_at > 0);
        assert_eq!(reach.failed_at(), failures.last().map(|&last| at(last)));

        reach.connected();
        assert!(!reach.is_avoided(at(free_at.saturating_sub(1))));
        assert_eq!(reach.failed_at(), None);
    }

    #[test]
    fn a_node_is_avoided_for_a_growing_time() {
        check(&[], 0);
        check(&[0], 1_000);
        check(&[0, 1_000], 3_000);
        check(&[0, 1_000, 3_000], 7_000);
        check(&[0, 1_000, 3_000, 7_000], 15_000);
        check(&[0, 1_000, 3_000, 7_000, 15_000], 25_000);
        check(&[0, 1_000, 3_000, 7_000, 15_000, 25_000], 35_000);
    }

    #[test]
    fn connects_that_fail_together_are_one_failure() {
        check(&[0, 0, 0, 10], 1_010);
        check(&[0, 999], 1_999);
    }

    #[test]
    fn the_wait_does_not_outgrow_its_longest() {
        let often: Vec<u64> = (0..70_000).map(|failure| failure * 10_000).collect();
        check(&often, 69_999 * 10_000 + 10_000);
    }
}
