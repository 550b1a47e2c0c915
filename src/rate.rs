//! A token bucket: at most so many tokens each second, and a burst after a pause.
//!
//! In any span of time it gives out at most rate × time + burst. It does not store the rate: when a
//! reload changes the rate, what was taken is [converted](TokenBucket::convert).
//!
//! Pure. Runs for every request.

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::Instant;

/// So many each second, and so many at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// On average.
    pub per_second: NonZeroU32,
    /// After a pause.
    pub burst: NonZeroU32,
}

/// A token bucket that threads share without a lock.
///
/// It is one word: the nanoseconds from `base` to the time at which the bucket is full again.
#[derive(Debug)]
pub(crate) struct TokenBucket {
    base: Instant,
    full_at: AtomicU64,
}

impl TokenBucket {
    /// A full bucket; `base` is no later than any time that is ever passed in.
    pub(crate) fn new(base: Instant) -> Self {
        Self { base, full_at: AtomicU64::new(0) }
    }

    /// Takes one token.
    ///
    /// # Errors
    ///
    /// There is none; the error is when there will be one.
    pub(crate) fn take(&self, rate: Rate, now: Instant) -> Result<(), Instant> {
        let (each, now_nanos) = (nanos_for_each(rate), self.nanos(now));
        let refused = |full_at: u64| self.base + Duration::from_nanos(next_at(full_at, rate));
        self.full_at
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |full_at| {
                let is_left = next_at(full_at, rate) <= now_nanos;
                is_left.then(|| full_at.max(now_nanos).saturating_add(each))
            })
            .map(|_| ())
            .map_err(refused)
    }

    /// When there is a token: not later than `now` if there is one already.
    pub(crate) fn next(&self, rate: Rate) -> Instant {
        let full_at = self.full_at.load(Ordering::Relaxed);
        self.base + Duration::from_nanos(next_at(full_at, rate))
    }

    /// Puts back a token that was taken and not used.
    pub(crate) fn give_back(&self, rate: Rate) {
        let lower = |full_at: u64| Some(full_at.saturating_sub(nanos_for_each(rate)));
        // Never fails: there always is a new value.
        let _ = self.full_at.fetch_update(Ordering::Relaxed, Ordering::Relaxed, lower);
    }

    /// Makes what was taken at the rate `from` count at the rate `to`: as many tokens, but no more than
    /// the burst of `to`. Without `from` nothing was counted, and the bucket is full.
    pub(crate) fn convert(&self, from: Option<Rate>, to: Rate, now: Instant) {
        let now = self.nanos(now);
        let converted = |full_at: u64| {
            let debt = full_at.saturating_sub(now) as f64;
            let taken = from.map_or(0.0, |from| debt / nanos_for_each(from) as f64);
            let taken = taken.min(to.burst.get().into());
            Some(now.saturating_add((taken * nanos_for_each(to) as f64).ceil() as u64))
        };
        // Never fails: there always is a new value.
        let _ = self.full_at.fetch_update(Ordering::Relaxed, Ordering::Relaxed, converted);
    }

    fn nanos(&self, now: Instant) -> u64 {
        let nanos = now.saturating_duration_since(self.base).as_nanos();
        u64::try_from(nanos).unwrap_or(u64::MAX)
    }
}

/// The first moment at which one more fits in, where the bucket is full at `full_at`.
fn next_at(full_at: u64, rate: Rate) -> u64 {
    let others = u64::from(rate.burst.get() - 1);
    full_at.saturating_sub(nanos_for_each(rate).saturating_mul(others))
}

/// Rounded up, so that the rate is never exceeded.
fn nanos_for_each(rate: Rate) -> u64 {
    1_000_000_000_u64.div_ceil(rate.per_second.get().into())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rate(per_second: u32, burst: u32) -> Rate {
        let number = |number| NonZeroU32::new(number).unwrap();
        Rate { per_second: number(per_second), burst: number(burst) }
    }

    /// How many are given out when one is asked for at each of these milliseconds?
    fn check(rate: Rate, asks: &[u64], expected: usize) {
        let base = Instant::now();
        let bucket = TokenBucket::new(base);
        let taken = asks
            .iter()
            .filter(|&&millis| bucket.take(rate, base + Duration::from_millis(millis)).is_ok());
        assert_eq!(taken.count(), expected, "{asks:?}");
    }

    #[test]
    fn a_burst_and_then_the_rate() {
        check(rate(10, 3), &[0; 5], 3);
        check(rate(10, 3), &[0, 0, 0, 99, 100, 100], 4);
        check(rate(10, 3), &[0, 0, 0, 10_000, 10_000, 10_000, 10_000], 6);
        check(rate(10, 1), &[0, 50, 100, 150, 200], 3);
    }

    #[test]
    fn it_says_when_there_is_a_token_again() {
        let base = Instant::now();
        let bucket = TokenBucket::new(base);
        let rate = rate(10, 1);
        assert!(bucket.next(rate) <= base);
        bucket.take(rate, base).unwrap();
        let next = base + Duration::from_millis(100);
        assert_eq!(bucket.take(rate, base), Err(next));
        assert_eq!(bucket.next(rate), next);
        bucket.give_back(rate);
        bucket.take(rate, base).unwrap();
    }

    #[test]
    fn what_was_taken_counts_at_another_rate() {
        // check(rate, how many were taken, the rate then, after how many milliseconds the next comes)
        fn check(before: Option<Rate>, taken: u32, after: Rate, expected: u64) {
            let base = Instant::now();
            let bucket = TokenBucket::new(base);
            for _ in 0..taken {
                bucket.take(before.unwrap(), base).unwrap();
            }
            bucket.convert(before, after, base);
            let wait = bucket.next(after).saturating_duration_since(base);
            assert_eq!(wait.as_millis(), u128::from(expected), "{before:?} {taken} {after:?}");
        }
        // Raised, all was taken: 30 s of debt are one thousandth of a second.
        check(Some(rate(10, 300)), 300, rate(1000, 300), 1);
        check(Some(rate(10, 300)), 300, rate(1000, 1000), 0);
        check(Some(rate(10, 300)), 300, rate(100, 1), 10);
        // Lowered: at most what the new rate gives out at once.
        check(Some(rate(1000, 1000)), 1000, rate(10, 10), 100);
        check(Some(rate(1000, 1000)), 5, rate(10, 10), 0);
        check(Some(rate(10, 10)), 10, rate(10, 10), 100);
        check(None, 0, rate(1, 1), 0);
    }

    proptest! {
        #[test]
        fn no_stretch_of_time_has_more_than_its_rate_and_a_burst(
            per_second in 1..2_000_u32,
            burst in 1..50_u32,
            pauses in prop::collection::vec(0..20_000_u64, 1..300),
        ) {
            let base = Instant::now();
            let (bucket, rate) = (TokenBucket::new(base), rate(per_second, burst));
            let mut now = base;
            let mut taken = Vec::new();
            for pause in pauses {
                now += Duration::from_micros(pause);
                if bucket.take(rate, now).is_ok() {
                    taken.push(now);
                }
            }
            for (first, begin) in taken.iter().enumerate() {
                for (last, end) in taken.iter().enumerate().skip(first) {
                    let most = (*end - *begin).as_secs_f64() * f64::from(per_second);
                    let count = (last - first + 1) as f64;
                    prop_assert!(count <= most + f64::from(burst) + 1e-6, "{count} in {most}");
                }
            }
        }

        #[test]
        fn after_the_wait_there_is_a_token(per_second in 1..2_000_u32, burst in 1..50_u32) {
            let base = Instant::now();
            let (bucket, rate) = (TokenBucket::new(base), rate(per_second, burst));
            let mut now = base;
            for _ in 0..200 {
                now = bucket.next(rate).max(now);
                prop_assert_eq!(bucket.take(rate, now), Ok(()));
            }
        }
    }
}
