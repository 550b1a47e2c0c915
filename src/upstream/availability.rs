//! Whether a node may get new sessions, and why not.
//!
//! This is the state of drains, health checks and ejections; failed connects are in
//! [`connect_failures`](super::connect_failures). None of it keeps a session's own requests from its
//! node.
//!
//! Pure. Runs for every request.

use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use crate::Instant;
use crate::clock::{AtomicInstant, Epoch};

/// Why a node gets no new session, and since when it does.
///
/// Single words, so that workers read them without a lock.
#[derive(Debug)]
pub(crate) struct Availability {
    /// A bit for each [`DrainCause`].
    drain_causes: AtomicU8,
    draining_since: AtomicInstant,
    is_failing: AtomicU8,
    ejected_until: AtomicInstant,
    /// When it was added or came back.
    up_since: AtomicInstant,
}

/// Why a node drains.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DrainCause {
    /// The configuration says `drain: true`.
    Configured,
    /// It is no longer in the configuration, or no longer found.
    Left,
    /// An order to the admin listener.
    Ordered,
    /// The node's own answer to a health check.
    Asked,
}

impl DrainCause {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Configured, Self::Left, Self::Ordered, Self::Asked];

    /// The word for logs and the admin listener.
    pub fn label(self) -> &'static str {
        match self {
            Self::Configured => "configured",
            Self::Left => "left",
            Self::Ordered => "ordered",
            Self::Asked => "asked",
        }
    }

    fn bit(self) -> u8 {
        match self {
            Self::Configured => 1,
            Self::Left => 2,
            Self::Ordered => 4,
            Self::Asked => 8,
        }
    }
}

impl Availability {
    /// The node gets new sessions; `base` is no later than any time that is ever passed in.
    pub(crate) fn new(base: Instant) -> Self {
        let epoch = Epoch::new(base);
        Self {
            drain_causes: AtomicU8::new(0),
            draining_since: AtomicInstant::new(epoch),
            is_failing: AtomicU8::new(0),
            ejected_until: AtomicInstant::new(epoch),
            up_since: AtomicInstant::new(epoch),
        }
    }

    /// Whether it neither drains nor fails its checks nor is ejected at `now`.
    pub(crate) fn is_available(&self, now: Instant) -> bool {
        !self.is_draining() && !self.is_failing() && self.ejected_until(now).is_none()
    }

    /// Makes it drain for this cause, or no longer. Whether that changed anything.
    pub(crate) fn set_drain(&self, cause: DrainCause, drains: bool, now: Instant) -> bool {
        let bit = cause.bit();
        let before = if drains {
            self.drain_causes.fetch_or(bit, Ordering::Relaxed)
        } else {
            self.drain_causes.fetch_and(!bit, Ordering::Relaxed)
        };
        let after = if drains { before | bit } else { before & !bit };
        match (before, after) {
            (0, 1..) => self.draining_since.set(Some(now)),
            (1.., 0) => {
                self.draining_since.set(None);
                self.begin_slow_start(now);
            }
            (0, 0) | (1.., 1..) => (),
        }
        before != after
    }

    /// Whether it drains.
    pub(crate) fn is_draining(&self) -> bool {
        self.drain_causes.load(Ordering::Relaxed) != 0
    }

    /// Why it drains.
    pub(crate) fn drain_causes(&self) -> impl Iterator<Item = DrainCause> + use<> {
        let causes = self.drain_causes.load(Ordering::Relaxed);
        DrainCause::ALL.into_iter().filter(move |cause| causes & cause.bit() != 0)
    }

    /// Since when it drains.
    pub(crate) fn draining_since(&self) -> Option<Instant> {
        self.draining_since.get()
    }

    /// Sets whether its checks fail. Whether that changed anything.
    pub(crate) fn set_failing(&self, fails: bool, now: Instant) -> bool {
        let was = self.is_failing.swap(fails.into(), Ordering::Relaxed) != 0;
        if was && !fails {
            self.begin_slow_start(now);
        }
        was != fails
    }

    /// Whether its checks fail.
    pub(crate) fn is_failing(&self) -> bool {
        self.is_failing.load(Ordering::Relaxed) != 0
    }

    /// Ejects it until `until`; then it starts slowly.
    pub(crate) fn eject(&self, until: Instant) {
        self.ejected_until.set(Some(until));
    }

    /// Until when it is ejected; `None` if it is not.
    pub(crate) fn ejected_until(&self, now: Instant) -> Option<Instant> {
        self.ejected_until.get().filter(|until| now < *until)
    }

    /// Makes its share of new sessions grow slowly from `now` on, since it was added or came back.
    pub(crate) fn begin_slow_start(&self, now: Instant) {
        self.up_since.set(Some(now));
    }

    /// How much of its share it gets at `now`, if a slow start takes `slow_start`: from [`SHARE_MIN`] to
    /// 1.
    pub(crate) fn share(&self, slow_start: Duration, now: Instant) -> f64 {
        let Some(since) = self.up_since.get().max(self.ejected_until.get()) else {
            return 1.0;
        };
        let passed = now.saturating_duration_since(since);
        if passed >= slow_start {
            return 1.0;
        }
        passed.div_duration_f64(slow_start).max(SHARE_MIN)
    }

    /// Converts its slow start from a duration of `from` to one of `to`: its share stays the same.
    pub(crate) fn convert_start(&self, from: Option<Duration>, to: Option<Duration>, now: Instant) {
        if self.ejected_until(now).is_some() {
            return;
        }
        let Some(since) = self.up_since.get().max(self.ejected_until.take()) else { return };
        let passed = now.saturating_duration_since(since);
        let left = match (from, to) {
            (Some(from), Some(to)) if passed < from => {
                Some(to.mul_f64(passed.div_duration_f64(from)))
            }
            (None | Some(_), _) => None,
        };
        // Before the base there is no time: then it gets a little more than its share.
        let since = left.map(|passed| now.checked_sub(passed).unwrap_or(now));
        self.up_since.set(since);
    }
}

/// What a node gets at the beginning of its slow start: enough to find out what is wrong with it.
const SHARE_MIN: f64 = 0.1;

#[cfg(test)]
mod tests {
    use super::*;

    const SLOW: Duration = Duration::from_secs(10);

    fn at(base: Instant, seconds: u64) -> Instant {
        base + Duration::from_secs(seconds)
    }

    #[test]
    fn a_node_drains_until_the_last_cause_is_gone() {
        let base = Instant::now();
        let availability = Availability::new(base);
        assert!(availability.is_available(base));
        assert!(availability.set_drain(DrainCause::Ordered, true, at(base, 1)));
        assert!(!availability.set_drain(DrainCause::Ordered, true, at(base, 2)), "nothing changed");
        assert!(availability.set_drain(DrainCause::Left, true, at(base, 3)));
        assert!(!availability.is_available(at(base, 3)));
        assert_eq!(availability.draining_since(), Some(at(base, 1)));

        availability.set_drain(DrainCause::Ordered, false, at(base, 4));
        assert_eq!(availability.drain_causes().collect::<Vec<_>>(), [DrainCause::Left]);
        availability.set_drain(DrainCause::Left, false, at(base, 5));
        assert!(availability.is_available(at(base, 5)));
        assert_eq!(availability.draining_since(), None);
    }

    #[test]
    fn a_failing_or_ejected_node_is_not_clear() {
        let base = Instant::now();
        let availability = Availability::new(base);
        assert!(availability.set_failing(true, base));
        assert!(!availability.is_available(base));
        assert!(availability.set_failing(false, base));
        assert!(availability.is_available(base));

        availability.eject(at(base, 5));
        assert!(!availability.is_available(at(base, 4)));
        assert!(availability.is_available(at(base, 5)));
        assert_eq!(availability.ejected_until(at(base, 4)), Some(at(base, 5)));
    }

    #[test]
    fn another_slow_start_takes_no_share_away() {
        // check(how long slow starts took, and take then; the shares before and after it at 103 s of
        // a node that rose at 100 s)
        fn check(from: Option<u64>, to: Option<u64>, shares: (f64, f64)) {
            let seconds = |number: Option<u64>| number.map(Duration::from_secs);
            let (from, to) = (seconds(from), seconds(to));
            let base = Instant::now();
            let share = |availability: &Availability, slow: Option<Duration>| {
                slow.map_or(1.0, |slow| availability.share(slow, at(base, 103)))
            };
            let rises = |availability: &Availability| availability.begin_slow_start(at(base, 100));
            let ejected = |availability: &Availability| availability.eject(at(base, 100));
            for comes_back in [&rises as &dyn Fn(&Availability), &ejected] {
                let availability = Availability::new(base);
                comes_back(&availability);
                let before = share(&availability, from);
                availability.convert_start(from, to, at(base, 103));
                assert_eq!((before, share(&availability, to)), shares, "{from:?} {to:?}");
            }
        }
        check(Some(3), Some(60), (1.0, 1.0));
        check(Some(30), Some(60), (0.1, 0.1));
        check(Some(6), Some(60), (0.5, 0.5));
        check(Some(6), Some(2), (0.5, 0.5));
        check(None, Some(60), (1.0, 1.0));
        check(Some(6), None, (0.5, 1.0));
    }

    #[test]
    fn the_share_of_a_node_that_comes_back_grows() {
        // check(what happens at second 100, the share at these seconds)
        fn check(happens: impl Fn(&Availability, Instant), shares: &[(u64, f64)]) {
            let base = Instant::now();
            let availability = Availability::new(base);
            assert_eq!(availability.share(SLOW, base), 1.0, "it was there from the beginning");
            happens(&availability, at(base, 100));
            for &(second, share) in shares {
                assert_eq!(availability.share(SLOW, at(base, second)), share, "at {second} s");
            }
        }
        let grows = [(100, 0.1), (105, 0.5), (110, 1.0), (999, 1.0)];
        check(|availability, now| availability.begin_slow_start(now), &grows);
        check(|availability, now| availability.eject(now), &grows);
        check(
            |availability, now| {
                availability.set_failing(true, now - SLOW);
                availability.set_failing(false, now);
            },
            &grows,
        );
        check(
            |availability, now| {
                availability.set_drain(DrainCause::Ordered, true, now - SLOW);
                availability.set_drain(DrainCause::Ordered, false, now);
            },
            &grows,
        );
    }
}
