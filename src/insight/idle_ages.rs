//! Whether connections of clients are cut again and again after the same time without traffic: what a proxy
//! before us does that has a timeout of its own.
//!
//! Pure. Runs at start, at reload, or on a timer.

use std::time::Duration;

use crate::Instant;
use crate::clock::Epoch;

/// The ends of the last half hour to hour, by how long nothing had moved.
#[derive(Debug)]
pub(super) struct IdleAges {
    epoch: Epoch,
    period: u64,
    former: Period,
    current: Period,
}

/// The ends of one period. All of them are counted apart: when all clients leave at once, each end asks.
#[derive(Debug)]
struct Period {
    ends: u64,
    by_age: Box<[Bucket]>,
}

/// The ends at one age.
#[derive(Clone, Copy, Debug, Default)]
struct Bucket {
    ends: u16,
    /// In how many different seconds they came.
    seconds: u16,
    /// The last of these seconds.
    last: u32,
}

impl IdleAges {
    /// No end was noted yet; none was before `now`.
    pub(super) fn new(now: Instant) -> Self {
        Self { epoch: Epoch::new(now), period: 0, former: Period::new(), current: Period::new() }
    }

    /// Notes an end after so long without traffic. Returns the age in whole seconds if many connections
    /// were cut at it: at least three, not all at once, and a third of all.
    pub(super) fn note(&mut self, age: Duration, now: Instant) -> Option<u64> {
        let second = self.epoch.millis(now) / 1000;
        self.turn(second / PERIOD_SECONDS);
        let age =
            usize::try_from((age + HALF_A_SECOND).as_secs()).ok().filter(|age| *age < AGES)?;
        if age < AGE_MIN {
            return None;
        }
        let bucket = self.current.by_age.get_mut(age)?;
        let second = u32::try_from(second).unwrap_or(u32::MAX);
        if bucket.ends == 0 || bucket.last != second {
            bucket.seconds = bucket.seconds.saturating_add(1);
        }
        bucket.last = second;
        bucket.ends = bucket.ends.saturating_add(1);
        self.current.ends += 1;
        self.is_frequent(age).then_some(age as u64)
    }

    /// Forgets what is older than a period.
    fn turn(&mut self, period: u64) {
        if period == self.period {
            return;
        }
        let is_next = period == self.period + 1;
        self.period = period;
        std::mem::swap(&mut self.former, &mut self.current);
        self.current.clear();
        if !is_next {
            self.former.clear();
        }
    }

    fn is_frequent(&self, age: usize) -> bool {
        let both = [&self.former, &self.current];
        let near = age.saturating_sub(1)..(age + 2).min(AGES);
        let near = both.iter().filter_map(|period| period.by_age.get(near.clone())).flatten();
        let (ends, seconds) = near.fold((0, 0), |(ends, seconds), bucket| {
            (ends + u64::from(bucket.ends), seconds + u64::from(bucket.seconds))
        });
        let all: u64 = both.iter().map(|period| period.ends).sum();
        ends >= 3 && seconds >= 2 && ends * 3 >= all
    }
}

impl Period {
    fn new() -> Self {
        Self { ends: 0, by_age: vec![Bucket::default(); AGES].into_boxed_slice() }
    }

    fn clear(&mut self) {
        self.ends = 0;
        self.by_age.fill(Bucket::default());
    }
}

/// Ages in seconds: the timeouts of proxies are at most an hour.
const AGES: usize = 3700;

/// A shorter time without traffic says nothing.
const AGE_MIN: usize = 4;

const PERIOD_SECONDS: u64 = 1800;

const HALF_A_SECOND: Duration = Duration::from_millis(500);

#[cfg(test)]
mod tests {
    use super::*;

    /// With ends at these seconds, after so many seconds without traffic: what is found at the last one?
    fn check(ends: &[(u64, f64)], expected: Option<u64>) {
        let begin = Instant::now();
        let mut ages = IdleAges::new(begin);
        let mut found = None;
        for (second, age) in ends {
            let now = begin + Duration::from_secs(*second);
            found = ages.note(Duration::from_secs_f64(*age), now);
        }
        assert_eq!(found, expected, "{ends:?}");
    }

    #[test]
    fn ends_at_the_same_age_are_a_timeout_of_another() {
        check(&[(1, 60.0)], None);
        check(&[(1, 60.0), (9, 60.1)], None);
        check(&[(1, 60.0), (9, 60.1), (12, 59.9)], Some(60));
        check(&[(1, 60.0), (9, 61.1), (12, 60.6)], Some(61));
        check(&[(1, 3600.0), (9, 3600.0), (12, 3600.2)], Some(3600));
    }

    #[test]
    fn people_who_leave_are_none() {
        check(&[(1, 7.0), (1, 7.0), (1, 7.0), (1, 7.0)], None);
        check(&[(1, 7.0), (20, 12.0), (30, 20.0), (40, 25.0)], None);
        check(&[(1, 1.0), (2, 1.0), (3, 1.0), (4, 1.0)], None);
        let many: Vec<_> = (1..200_u64).map(|end| (end, (end * 7 % 25) as f64)).collect();
        check(&many, None);
        check(&[(1, 9999.0), (2, 9999.0), (3, 9999.0)], None);
    }

    #[test]
    fn what_is_old_is_forgotten() {
        check(&[(1, 60.0), (9, 60.0), (1801, 60.0)], Some(60));
        check(&[(1, 60.0), (9, 60.0), (3601, 60.0)], None);
    }
}
