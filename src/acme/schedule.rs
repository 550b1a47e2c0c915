//! When a name's certificate is ordered and renewed.
//!
//! The authority suggests a window for the renewal (RFC 9773), in which each certificate has its own
//! moment. Without a window it is a moment before two thirds of the certificate's life.
//!
//! Pure. Runs at start, at reload, or on a timer.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::unix_time::UnixTime;

/// When a certificate is valid.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Validity {
    pub(super) from: UnixTime,
    pub(super) until: UnixTime,
    /// From 0 to 1, made from the certificate's bytes: its moment in any window. So every proxy that
    /// shares the certificate finds the same moment, before and after a restart.
    pub(super) lot: f64,
}

/// The time in which the authority suggests to renew a certificate.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub(super) struct Window {
    pub(super) start: UnixTime,
    pub(super) end: UnixTime,
}

/// What decides on the next step of a name.
#[derive(Clone, Copy, Debug)]
pub(super) struct Situation<'a> {
    /// `None`: there is no certificate of this authority.
    pub(super) validity: Option<Validity>,
    /// What the authority suggests for this certificate.
    pub(super) window: Option<&'a Window>,
    /// When the authority is to be asked for the window. `None`: it has none to offer.
    pub(super) ask_at: Option<UnixTime>,
    /// No order before this, since one has failed.
    pub(super) retry_at: Option<UnixTime>,
}

/// What is to be done for a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Order a certificate now.
    Order,
    /// Ask the authority for the window now.
    AskWindow,
    /// Nothing until then.
    Wait(UnixTime),
}

impl Situation<'_> {
    /// What is to be done at `now`.
    pub(super) fn step(&self, now: UnixTime) -> Step {
        let order_at = self.order_at(now);
        if order_at <= now {
            return Step::Order;
        }
        match self.ask_at.filter(|_| self.validity.is_some()) {
            Some(ask_at) if ask_at <= now => Step::AskWindow,
            Some(ask_at) => Step::Wait(order_at.min(ask_at)),
            None => Step::Wait(order_at),
        }
    }

    /// When the next order is.
    pub(super) fn order_at(&self, now: UnixTime) -> UnixTime {
        let due = self.validity.map_or(now, |validity| validity.renew_at(self.window));
        due.max(self.retry_at.unwrap_or_default())
    }
}

impl Validity {
    /// The moment to renew.
    fn renew_at(&self, window: Option<&Window>) -> UnixTime {
        match window {
            Some(window) => window.start.after(share(window.end.since(window.start), self.lot)),
            None => {
                let life = self.until.since(self.from);
                self.from.after(share(life, TWO_THIRDS - SPREAD * self.lot))
            }
        }
    }
}

/// When the authority is to be asked again, which said `retry_after`.
pub(super) fn ask_again(now: UnixTime, retry_after: Duration) -> UnixTime {
    now.after(retry_after.clamp(ASK_EVERY_MIN, ASK_EVERY_MAX))
}

/// When the authority is to be asked again, which gave no window.
pub(super) fn ask_again_after_failure(now: UnixTime) -> UnixTime {
    now.after(ASK_AFTER_FAILURE)
}

fn share(whole: Duration, part: f64) -> Duration {
    whole.mul_f64(part.clamp(0.0, 1.0))
}

/// A third of the life is left for an authority that is down and for an operator on holiday.
const TWO_THIRDS: f64 = 2.0 / 3.0;

/// The share of the life over which renewals of the same age are spread.
const SPREAD: f64 = 1.0 / 30.0;

/// The bounds of how often the authority is asked (RFC 9773, section 4.3.2).
const ASK_EVERY_MIN: Duration = Duration::from_mins(1);
const ASK_EVERY_MAX: Duration = Duration::from_hours(24);

/// Authorities ask for six hours when all is well.
const ASK_AFTER_FAILURE: Duration = Duration::from_hours(6);

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 24 * 3600;

    fn ninety_days(lot: f64) -> Validity {
        Validity { from: UnixTime(0), until: UnixTime(90 * DAY), lot }
    }

    fn situation(validity: Option<Validity>) -> Situation<'static> {
        Situation { validity, window: None, ask_at: None, retry_at: None }
    }

    #[test]
    fn a_name_without_a_certificate_is_ordered_at_once() {
        assert_eq!(situation(None).step(UnixTime(7)), Step::Order);
    }

    #[test]
    fn a_failed_order_is_not_repeated_before_its_time() {
        let failed = Situation { retry_at: Some(UnixTime(100)), ..situation(None) };
        assert_eq!(failed.step(UnixTime(99)), Step::Wait(UnixTime(100)));
        assert_eq!(failed.step(UnixTime(100)), Step::Order);
    }

    #[test]
    fn without_a_window_a_certificate_is_renewed_before_two_thirds_of_its_life() {
        let check = |lot, day| {
            let wait = Step::Wait(UnixTime(day * DAY));
            assert_eq!(situation(Some(ninety_days(lot))).step(UnixTime(0)), wait, "{lot}");
        };
        check(0.0, 60);
        check(1.0, 57);
        let late = situation(Some(ninety_days(0.5))).step(UnixTime(59 * DAY));
        assert_eq!(late, Step::Order);
    }

    #[test]
    fn the_window_of_the_authority_comes_first() {
        let check = |start, end, lot, now, expected| {
            let window = Window { start: UnixTime(start), end: UnixTime(end) };
            let window = Some(&window);
            let situation = Situation { window, ..situation(Some(ninety_days(lot))) };
            assert_eq!(situation.step(UnixTime(now)), expected, "{start} {end} {lot}");
        };
        check(100, 200, 0.0, 1, Step::Wait(UnixTime(100)));
        check(100, 200, 0.25, 1, Step::Wait(UnixTime(125)));
        check(100, 200, 0.25, 125, Step::Order);
        check(80 * DAY, 81 * DAY, 0.0, 70 * DAY, Step::Wait(UnixTime(80 * DAY)));
        // A revoked certificate has a window in the past.
        check(10, 20, 0.9, 50, Step::Order);
        check(200, 100, 0.5, 1, Step::Wait(UnixTime(200)));
    }

    #[test]
    fn the_authority_is_asked_for_its_window_in_time() {
        let asks = Situation { ask_at: Some(UnixTime(50)), ..situation(Some(ninety_days(0.0))) };
        assert_eq!(asks.step(UnixTime(49)), Step::Wait(UnixTime(50)));
        assert_eq!(asks.step(UnixTime(50)), Step::AskWindow);
        assert_eq!(asks.step(UnixTime(60 * DAY)), Step::Order, "an order is more urgent");
        let without = Situation { retry_at: Some(UnixTime(99)), ..situation(None) };
        let without = Situation { ask_at: Some(UnixTime(50)), ..without };
        assert_eq!(without.step(UnixTime(60)), Step::Wait(UnixTime(99)), "there is nothing to ask");
    }

    #[test]
    fn the_authority_is_asked_neither_too_often_nor_too_rarely() {
        let check = |seconds, expected| {
            let again = ask_again(UnixTime(0), Duration::from_secs(seconds));
            assert_eq!(again, UnixTime(expected), "{seconds}");
        };
        check(0, 60);
        check(21_600, 21_600);
        check(9_999_999, DAY);
    }
}
