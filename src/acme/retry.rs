//! How long after a failure the next attempt is.
//!
//! An authority counts what fails: Let's Encrypt allows five failed validations of a name in an hour,
//! and suspends names that fail for months. So the waits grow, by how likely time alone mends the cause.
//!
//! Pure. Runs at start, at reload, or on a timer.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Why there is no certificate, as far as the next attempt is concerned.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Cause {
    /// A file cannot be read or written.
    Local,
    /// The authority does not answer, or says that it is not well.
    Unreachable,
    /// The authority wants fewer orders.
    RateLimited,
    /// The authority could not see that the name is ours.
    Unproven,
    /// What the authority issued does not work.
    Unfit,
    /// The authority refuses the name, the account or the request. Only a person can change that.
    Refused,
}

impl Cause {
    /// The first wait, the factor of each further one, and the longest.
    fn backoff(self) -> (Duration, u32, Duration) {
        const DAY: Duration = Duration::from_hours(24);
        match self {
            Self::Local => (Duration::from_mins(1), 1, Duration::from_mins(1)),
            Self::Unreachable => (Duration::from_mins(1), 2, Duration::from_hours(1)),
            // Five attempts within the first hour, and 16 within the first week.
            Self::Unproven => (Duration::from_mins(1), 3, Duration::from_hours(12)),
            Self::RateLimited | Self::Unfit => (Duration::from_hours(1), 2, DAY),
            Self::Refused => (DAY, 1, DAY),
        }
    }
}

/// The wait after so many consecutive `failures`, of which the last had this `cause`. `luck` is a
/// random number from 0 to 1, so that proxies that failed together do not return together.
pub(super) fn wait(
    cause: Cause,
    failures: u32,
    retry_after: Option<Duration>,
    luck: f64,
) -> Duration {
    let (first, factor, longest) = cause.backoff();
    let growth = factor.saturating_pow(failures.saturating_sub(1));
    let wait = first.saturating_mul(growth).min(longest);
    let asked = retry_after.unwrap_or_default().min(RETRY_AFTER_MAX);
    let wait = wait.max(asked);
    wait + wait.mul_f64(JITTER * luck.clamp(0.0, 1.0))
}

/// The share by which a wait may be longer. It is never shorter than what the authority asks for.
const JITTER: f64 = 0.25;

/// The longest `Retry-After` that is respected. The windows of rate limits are a week.
const RETRY_AFTER_MAX: Duration = Duration::from_hours(24 * 7);

#[cfg(test)]
mod tests {
    use super::*;

    fn waits(cause: Cause, luck: f64) -> Vec<u64> {
        (1..=6).map(|failures| wait(cause, failures, None, luck).as_secs() / 60).collect()
    }

    #[test]
    fn waits_grow_up_to_a_bound() {
        assert_eq!(waits(Cause::Unreachable, 0.0), [1, 2, 4, 8, 16, 32]);
        assert_eq!(waits(Cause::Unproven, 0.0), [1, 3, 9, 27, 81, 243]);
        assert_eq!(waits(Cause::Unfit, 0.0), [60, 120, 240, 480, 960, 1440]);
        let longest = wait(Cause::Unproven, u32::MAX, None, 1.0);
        assert_eq!(longest, Duration::from_hours(15), "with its jitter");
    }

    #[test]
    fn what_only_a_person_can_change_is_tried_once_a_day() {
        assert_eq!(waits(Cause::Refused, 0.0), [1440; 6]);
    }

    #[test]
    fn a_name_has_at_most_five_failed_validations_in_an_hour() {
        let attempts = waits(Cause::Unproven, 0.0).into_iter().scan(0, |at, wait| {
            *at += wait;
            Some(*at)
        });
        let repeated = attempts.filter(|at| *at < 60).count();
        assert!(repeated < 5, "{repeated} after the first");
    }

    #[test]
    fn the_authority_is_never_asked_earlier_than_it_says() {
        let check = |retry_after, luck, expected| {
            let hours = Duration::from_hours(retry_after);
            let wait = wait(Cause::Unreachable, 1, Some(hours), luck);
            assert_eq!(wait, Duration::from_hours(expected), "{retry_after}");
        };
        check(4, 0.0, 4);
        check(4, 1.0, 5);
        check(1000, 0.0, 24 * 7);
    }
}
