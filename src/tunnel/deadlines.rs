//! When a tunnel must do something although no bytes arrived.
//!
//! A table of timers, each of which is set or not. Only the earliest is waited for.
//!
//! Pure. Runs for every byte.

use std::num::{NonZeroU32, NonZeroU64};
use std::time::Duration;

use crate::Instant;

/// A reason to wake up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Timer {
    /// Nothing arrived from either side for the idle timeout; or, at the tunnel's end, no bytes
    /// moved.
    Idle,
    /// No message that counts arrived from either side for the timeout of messages.
    IdleMessages,
    /// The client took none of the bytes that wait for it.
    StalledClient,
    /// The node took none of the bytes that wait for it.
    StalledNode,
    /// A side may have been quiet so long that it needs a Ping or is lost; or without frames, a side whose
    /// direction has ended may have been reset.
    Keepalive,
    /// The tunnel has reached its maximum age.
    MaxAge,
    /// What allowed the client to open the tunnel has expired.
    Expired,
    /// This tunnel's time slot in a shutdown.
    ShutdownSlot,
    /// A Close frame of ours could not be inserted: a frame does not end, or the node had its time
    /// for the last messages to a client that broke a rule.
    CloseFrame,
    /// The end took too long although bytes moved.
    Cut,
}

/// The timers of one tunnel, in whole milliseconds since it began, the resolution of the runtime's
/// timers: half as large as an array of `Instant`s.
#[derive(Clone, Debug)]
pub(super) struct Deadlines {
    begun_at: Instant,
    after_millis: [Option<NonZeroU64>; Timer::ALL.len()],
}

/// What is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// Nothing before this time; nothing at all if `None`.
    Wait(Option<Instant>),
    /// This timer.
    Now(Timer),
}

impl Timer {
    /// In the order in which they fire when several are due: a cut leaves nothing for the others.
    const ALL: [Self; 10] = [
        Self::Cut,
        Self::CloseFrame,
        Self::ShutdownSlot,
        Self::StalledClient,
        Self::StalledNode,
        Self::Keepalive,
        Self::Idle,
        Self::IdleMessages,
        Self::MaxAge,
        Self::Expired,
    ];
}

impl Deadlines {
    /// No timer is set; the tunnel begins at `begun_at`.
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

    /// Sets `timer` to `at` unless it already fires earlier.
    pub(super) fn set_earlier(&mut self, timer: Timer, at: Instant) {
        let before = self.after_millis[timer as usize];
        self.set(timer, Some(at));
        let slot = &mut self.after_millis[timer as usize];
        *slot = before.into_iter().chain(*slot).min();
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

    /// What is due at `now`. A timer that fires is stopped.
    pub(super) fn poll(&mut self, now: Instant) -> Due {
        for timer in Timer::ALL {
            let after = self.after_millis[timer as usize];
            if after.and_then(|after| self.time_of(after)).is_some_and(|at| at <= now) {
                self.set(timer, None);
                return Due::Now(timer);
            }
        }
        Due::Wait(self.next())
    }

    /// The earliest time of all timers.
    #[inline]
    pub(super) fn next(&self) -> Option<Instant> {
        self.after_millis.iter().flatten().min().and_then(|after| self.time_of(*after))
    }

    fn time_of(&self, after: NonZeroU64) -> Option<Instant> {
        self.begun_at.checked_add(Duration::from_millis(after.get()))
    }
}

/// A timeout in milliseconds. `None` if it is so long that it never comes.
pub(super) fn in_millis(timeout: Duration) -> Option<NonZeroU32> {
    NonZeroU32::new(u32::try_from(timeout.as_millis()).ok()?)
}

const NANOS_PER_MILLI: u128 = 1_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    /// With timers `set` to these seconds: which fire at second `now`, and which second is next?
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
    fn a_timer_fires_once_and_at_its_time() {
        check(&[], 0, &[], None);
        check(&[(Timer::Idle, 30)], 29, &[], Some(30));
        check(&[(Timer::Idle, 30)], 30, &[Timer::Idle], None);
        check(&[(Timer::Idle, 30)], 31, &[Timer::Idle], None);
        check(&[(Timer::Idle, 30), (Timer::ShutdownSlot, 9)], 8, &[], Some(9));
        check(&[(Timer::Idle, 30), (Timer::ShutdownSlot, 9)], 9, &[Timer::ShutdownSlot], Some(30));
        check(
            &[(Timer::CloseFrame, 5), (Timer::Cut, 5)],
            5,
            &[Timer::Cut, Timer::CloseFrame],
            None,
        );
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
    fn every_timer_has_its_own_slot() {
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
            deadlines.set_earlier(Timer::Cut, now + Duration::from_secs(seconds));
            assert_eq!(deadlines.next(), Some(now + Duration::from_secs(next)));
        }
    }
}
