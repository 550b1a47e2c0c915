//! When a tunnel must do something though no byte came.
//!
//! A table of timers, of which each is set or not. Who waits looks only at the earliest.
//!
//! Pure. Runs for every byte.

use std::num::NonZeroU64;
use std::time::Duration;

use crate::Instant;

/// A reason to wake up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Timer {
    /// Nothing came from either side for the idle timeout; nothing moved at the tunnel's end.
    Idle,
    /// No message that counts came from either side for their timeout.
    IdleMessages,
    /// The client took nothing of what waits for it.
    StalledClient,
    /// The node took nothing of what waits for it.
    StalledNode,
    /// A side may have been quiet for so long that it needs a Ping, or is lost.
    Keepalive,
    /// The tunnel is as old as it may be.
    MaxAge,
    /// This tunnel's turn in a drain.
    Turn,
    /// A Close frame of ours has found no place: a frame does not come to its end, or the node
    /// had its time for what it still has to say to a client that broke a rule.
    Boundary,
    /// The end took too long, although bytes moved.
    Cut,
}

/// The timers of one tunnel, in whole milliseconds, as the runtime's own, since the tunnel began:
/// half as large as an array of `Instant`s.
#[derive(Clone, Debug)]
pub(super) struct Deadlines {
    begun_at: Instant,
    after_millis: [Option<NonZeroU64>; Timer::ALL.len()],
}

/// What is to be done about the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// Nothing before this moment; nothing at all if `None`.
    Wait(Option<Instant>),
    /// This timer's moment has come.
    Now(Timer),
}

impl Timer {
    /// Those that fire first when several are due: a cut leaves nothing to the others.
    const ALL: [Self; 9] = [
        Self::Cut,
        Self::Boundary,
        Self::Turn,
        Self::StalledClient,
        Self::StalledNode,
        Self::Keepalive,
        Self::Idle,
        Self::IdleMessages,
        Self::MaxAge,
    ];
}

impl Deadlines {
    /// No timer is set of a tunnel that begins now.
    pub(super) fn new(begun_at: Instant) -> Self {
        Self { begun_at, after_millis: [None; Timer::ALL.len()] }
    }

    /// When the tunnel began.
    pub(super) fn begun_at(&self) -> Instant {
        self.begun_at
    }

    /// Sets `timer` to `at`, rounded up to a millisecond; `None` stops it.
    #[inline]
    pub(super) fn set(&mut self, timer: Timer, at: Option<Instant>) {
        self.after_millis[timer as usize] = at.map(|at| {
            let after = at.saturating_duration_since(self.begun_at);
            let millis = after.as_nanos().div_ceil(NANOS_PER_MILLI);
            u64::try_from(millis).ok().and_then(NonZeroU64::new).unwrap_or(NonZeroU64::MIN)
        });
    }

    /// Sets `timer` to `at` unless it fires earlier anyway.
    pub(super) fn hasten(&mut self, timer: Timer, at: Instant) {
        let before = self.after_millis[timer as usize];
        self.set(timer, Some(at));
        let place = &mut self.after_millis[timer as usize];
        *place = before.into_iter().chain(*place).min();
    }

    /// Whether `timer` is set.
    #[inline]
    pub(super) fn is_set(&self, timer: Timer) -> bool {
        self.after_millis[timer as usize].is_some()
    }

    /// Stops all timers.
    pub(super) fn clear(&mut self) {
        *self = Self::new(self.begun_at);
    }

    /// What is due at `now`. A timer that is due is stopped.
    pub(super) fn poll(&mut self, now: Instant) -> Due {
        for timer in Timer::ALL {
            let after = self.after_millis[timer as usize];
            if after.and_then(|after| self.moment(after)).is_some_and(|at| at <= now) {
                self.set(timer, None);
                return Due::Now(timer);
            }
        }
        Due::Wait(self.next())
    }

    /// The earliest moment of all timers.
    #[inline]
    pub(super) fn next(&self) -> Option<Instant> {
        self.after_millis.iter().flatten().min().and_then(|after| self.moment(*after))
    }

    fn moment(&self, after: NonZeroU64) -> Option<Instant> {
        self.begun_at.checked_add(Duration::from_millis(after.get()))
    }
}

const NANOS_PER_MILLI: u128 = 1_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    /// With timers `set` to these seconds, which fire at second `now`, and which second is next?
    fn check(set: &[(Timer, u64)], now: u64, fire: &[Timer], next: Option<u64>) {
        let begin = Instant::now();
        let at = |seconds| begin + Duration::from_secs(seconds);
        let mut deadlines = Deadlines::new(begin);
        for (timer, seconds) in set {
            deadlines.set(*timer, Some(at(*seconds)));
        }
        for timer in fire {
            assert_eq!(deadlines.poll(at(now)), Due::Now(*timer), "{set:?} at {now}");
        }
        assert_eq!(deadlines.poll(at(now)), Due::Wait(next.map(at)), "{set:?} at {now}");
    }

    #[test]
    fn a_timer_fires_once_and_at_its_moment() {
        check(&[], 0, &[], None);
        check(&[(Timer::Idle, 30)], 29, &[], Some(30));
        check(&[(Timer::Idle, 30)], 30, &[Timer::Idle], None);
        check(&[(Timer::Idle, 30)], 31, &[Timer::Idle], None);
        check(&[(Timer::Idle, 30), (Timer::Turn, 9)], 8, &[], Some(9));
        check(&[(Timer::Idle, 30), (Timer::Turn, 9)], 9, &[Timer::Turn], Some(30));
        check(&[(Timer::Boundary, 5), (Timer::Cut, 5)], 5, &[Timer::Cut, Timer::Boundary], None);
    }

    #[test]
    fn no_timer_fires_early_and_none_is_out_of_reach() {
        let begin = Instant::now();
        let mut deadlines = Deadlines::new(begin);
        for (nanos, millis) in [(0, 1), (1, 1), (1_000_000, 1), (1_000_001, 2)] {
            let at = begin + Duration::from_nanos(nanos);
            deadlines.set(Timer::Idle, Some(at));
            let next = begin + Duration::from_millis(millis);
            assert_eq!(deadlines.poll(begin), Due::Wait(Some(next)), "{nanos}");
            assert_eq!(deadlines.poll(next), Due::Now(Timer::Idle), "{nanos}");
        }
        deadlines.set(Timer::Idle, Some(begin + Duration::from_hours(24 * 365 * 100)));
        assert!(deadlines.next().is_some());
    }

    #[test]
    fn every_timer_has_a_place_of_its_own() {
        let now = Instant::now();
        let mut deadlines = Deadlines::new(now);
        for timer in Timer::ALL {
            assert!(!deadlines.is_set(timer));
            deadlines.set(timer, Some(now));
            assert!(deadlines.is_set(timer));
        }
    }

    #[test]
    fn a_timer_can_be_hastened_and_not_delayed() {
        let now = Instant::now();
        let mut deadlines = Deadlines::new(now);
        for (seconds, next) in [(9, 9), (5, 5), (7, 5)] {
            deadlines.hasten(Timer::Cut, now + Duration::from_secs(seconds));
            assert_eq!(deadlines.next(), Some(now + Duration::from_secs(next)));
        }
    }
}
