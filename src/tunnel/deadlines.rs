//! When a tunnel must do something though no byte came.
//!
//! A table of timers, of which each is set or not. Who waits looks only at the earliest.
//!
//! Pure. Runs for every byte.

use crate::Instant;

/// A reason to wake up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Timer {
    /// Nothing came from either side for the idle timeout.
    Idle,
    /// This tunnel's turn in a drain.
    Turn,
    /// A side was inside a frame for too long when its Close frame should be put in.
    Boundary,
    /// The orderly end took too long.
    Cut,
}

/// The timers of one tunnel.
#[derive(Clone, Debug, Default)]
pub(super) struct Deadlines([Option<Instant>; Timer::ALL.len()]);

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
    const ALL: [Self; 4] = [Self::Cut, Self::Boundary, Self::Turn, Self::Idle];
}

impl Deadlines {
    /// Sets `timer` to `at`; `None` stops it.
    pub(super) fn set(&mut self, timer: Timer, at: Option<Instant>) {
        self.0[timer as usize] = at;
    }

    /// Sets `timer` to `at` unless it fires earlier anyway.
    pub(super) fn hasten(&mut self, timer: Timer, at: Instant) {
        let place = &mut self.0[timer as usize];
        *place = Some(place.map_or(at, |set| set.min(at)));
    }

    /// Whether `timer` is set.
    pub(super) fn is_set(&self, timer: Timer) -> bool {
        self.0[timer as usize].is_some()
    }

    /// What is due at `now`. A timer that is due is stopped.
    pub(super) fn poll(&mut self, now: Instant) -> Due {
        for timer in Timer::ALL {
            if self.0[timer as usize].is_some_and(|at| at <= now) {
                self.set(timer, None);
                return Due::Now(timer);
            }
        }
        Due::Wait(self.next())
    }

    /// The earliest moment of all timers.
    pub(super) fn next(&self) -> Option<Instant> {
        self.0.iter().flatten().min().copied()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// With timers `set` to these seconds, which fire at second `now`, and which second is next?
    fn check(set: &[(Timer, u64)], now: u64, fire: &[Timer], next: Option<u64>) {
        let begin = Instant::now();
        let at = |seconds| begin + Duration::from_secs(seconds);
        let mut deadlines = Deadlines::default();
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
    fn every_timer_has_a_place_of_its_own() {
        let mut deadlines = Deadlines::default();
        for timer in Timer::ALL {
            assert!(!deadlines.is_set(timer));
            deadlines.set(timer, Some(Instant::now()));
            assert!(deadlines.is_set(timer));
        }
    }

    #[test]
    fn a_timer_can_be_hastened_and_not_delayed() {
        let now = Instant::now();
        let mut deadlines = Deadlines::default();
        for (seconds, next) in [(9, 9), (5, 5), (7, 5)] {
            deadlines.hasten(Timer::Cut, now + Duration::from_secs(seconds));
            assert_eq!(deadlines.next(), Some(now + Duration::from_secs(next)));
        }
    }
}
