//! Whether a node accepts connections, as its recent connects show.
//!
//! After one failed connect a node is avoided. That only steers new sessions: a request that is bound
//! to a node goes there anyway, because its session lives nowhere else. After several consecutive
//! failures it is dead: then nothing waits for it.
//!
//! Pure. Runs for every request.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::Instant;
use crate::clock::{AtomicInstant, Epoch};

/// The failed connects since the last that succeeded.
///
/// One word, so that workers share it without a lock: how many in the upper 16 bits, the
/// milliseconds from `epoch` to the last in the lower 48. Zero means none.
#[derive(Debug)]
pub(crate) struct ConnectFailures {
    epoch: Epoch,
    word: AtomicU64,
    /// As `word`, but counts each failure that began after the one before it had been counted.
    consecutive: AtomicU64,
    /// The last connect that succeeded, give or take [`KNOWN_EVERY`].
    connected: AtomicInstant,
}

impl ConnectFailures {
    /// No connect was made yet; `base` is no later than any time that is ever passed in.
    pub(crate) fn new(base: Instant) -> Self {
        let epoch = Epoch::new(base);
        let [word, consecutive] = [(); 2].map(|()| AtomicU64::new(0));
        Self { epoch, word, consecutive, connected: AtomicInstant::new(epoch) }
    }

    /// Notes a successful connect, which clears the failures. How many consecutive failures there were.
    pub(crate) fn connected(&self, now: Instant) -> u16 {
        // Nearly always there is nothing to write; a store would take the word from the caches
        // of all other workers.
        if self.connected.get().is_none_or(|known| known + KNOWN_EVERY < now) {
            self.connected.set(Some(now));
        }
        if self.word.load(Ordering::Relaxed) == 0 {
            return 0;
        }
        self.word.store(0, Ordering::Relaxed);
        let (failures, _) = unpack(self.consecutive.swap(0, Ordering::Relaxed));
        failures
    }

    /// Notes that a connect that was `begun` then has failed `now`. If the node is avoided already, this
    /// renews the wait without making the next one longer: concurrent failed connects are one failure.
    pub(crate) fn failed(&self, begun: Instant, now: Instant) {
        let begun = self.millis(begun);
        let count = |word| {
            let (failures, counted) = unpack(word);
            let is_next = failures == 0 || begun > counted;
            is_next.then(|| pack(failures.saturating_add(1), self.millis(now)))
        };
        // An error means that it belongs to a failure that was counted.
        let _ = self.consecutive.fetch_update(Ordering::Relaxed, Ordering::Relaxed, count);
        let renew = |word| {
            let (failures, _) = unpack(word);
            let failures =
                if self.avoids(word, now) { failures } else { failures.saturating_add(1) };
            Some(pack(failures, self.millis(now)))
        };
        // Never fails, for `renew` always has a new value.
        let _ = self.word.fetch_update(Ordering::Relaxed, Ordering::Relaxed, renew);
    }

    /// Whether new sessions should go elsewhere.
    pub(crate) fn is_avoided(&self, now: Instant) -> bool {
        self.avoids(self.word.load(Ordering::Relaxed), now)
    }

    /// Whether at least `fail` consecutive connects failed, the last one recently: what would still be
    /// sent there could only wait.
    pub(crate) fn is_dead(&self, fail: u32, now: Instant) -> bool {
        let word = self.word.load(Ordering::Relaxed);
        if word == 0 {
            return false;
        }
        let (consecutive, _) = unpack(self.consecutive.load(Ordering::Relaxed));
        let (failures, millis) = unpack(word);
        let passed = Duration::from_millis(self.millis(now).saturating_sub(millis));
        u32::from(consecutive) >= fail && passed < wait(failures).max(DEAD_MIN)
    }

    /// When a connect last succeeded, give or take a quarter of a second; `None` if none did.
    pub(crate) fn connected_at(&self) -> Option<Instant> {
        self.connected.get()
    }

    /// When the last connect failed; `None` if it succeeded or there was none.
    pub(crate) fn failed_at(&self) -> Option<Instant> {
        let (failures, millis) = unpack(self.word.load(Ordering::Relaxed));
        (failures > 0).then(|| self.epoch.instant(millis))
    }

    fn avoids(&self, word: u64, now: Instant) -> bool {
        let (failures, millis) = unpack(word);
        Duration::from_millis(self.millis(now).saturating_sub(millis)) < wait(failures)
    }

    fn millis(&self, now: Instant) -> u64 {
        self.epoch.millis(now).min(MILLIS_MAX)
    }
}

/// How long a node is avoided after so many failures.
fn wait(failures: u16) -> Duration {
    let Some(doublings) = failures.checked_sub(1) else { return Duration::ZERO };
    AVOID_MIN.saturating_mul(1 << doublings.min(DOUBLINGS_MAX)).min(AVOID_MAX)
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

/// How exactly the last success is known.
const KNOWN_EVERY: Duration = Duration::from_millis(250);

/// The wait after the first failure: a process that is being restarted is back soon.
const AVOID_MIN: Duration = Duration::from_secs(1);

/// The longest wait: finding out that a node is back costs only one connect, which is retried
/// elsewhere.
const AVOID_MAX: Duration = Duration::from_secs(10);

/// How long a node is dead at least after its last failed connect: longer than the default interval of
/// health checks, which then find out that it is back.
const DEAD_MIN: Duration = Duration::from_secs(5);

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
        let record = ConnectFailures::new(base);
        for &failure in failures {
            record.failed(at(failure), at(failure));
        }
        assert!(!record.is_avoided(at(free_at)));
        assert_eq!(record.is_avoided(at(free_at.saturating_sub(1))), free_at > 0);
        assert_eq!(record.failed_at(), failures.last().map(|&last| at(last)));

        assert_eq!(record.connected_at(), None);
        record.connected(at(free_at));
        assert_eq!(record.connected_at(), Some(at(free_at)));
        assert!(!record.is_avoided(at(free_at.saturating_sub(1))));
        assert_eq!(record.failed_at(), None);
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
    fn concurrent_failed_connects_are_one_failure() {
        check(&[0, 0, 0, 10], 1_010);
        check(&[0, 999], 1_999);
    }

    #[test]
    fn a_node_is_dead_after_some_consecutive_failures() {
        // check(when connects began and failed, in milliseconds, the first one at which it lives)
        fn check(failures: &[(u64, u64)], alive_at: Option<u64>) {
            let base = Instant::now();
            let at = |millis| base + Duration::from_millis(millis);
            let record = ConnectFailures::new(base);
            for &(begun, failed) in failures {
                record.failed(at(begun), at(failed));
            }
            let last = failures.last().map_or(0, |(_, failed)| *failed);
            assert_eq!(record.is_dead(3, at(last)), alive_at.is_some(), "{failures:?}");
            if let Some(alive_at) = alive_at {
                assert!(record.is_dead(3, at(alive_at - 1)), "{failures:?}");
                assert!(!record.is_dead(3, at(alive_at)), "{failures:?}");
                assert_eq!(record.connected(at(last)), 3);
                assert!(!record.is_dead(3, at(last)), "{failures:?}");
            }
        }
        check(&[], None);
        check(&[(0, 1), (2, 3)], None);
        check(&[(0, 1), (2, 3), (4, 5)], Some(5_005));
        check(&[(0, 3_000), (0, 3_000), (1, 3_001), (2_999, 4_000)], None);
        check(&[(0, 3_000), (3_001, 6_001), (6_002, 9_002)], Some(14_002));
    }

    #[test]
    fn the_wait_does_not_outgrow_its_longest() {
        let often: Vec<u64> = (0..70_000).map(|failure| failure * 10_000).collect();
        check(&often, 69_999 * 10_000 + 10_000);
    }
}
