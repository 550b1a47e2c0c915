//! How Socket.IO's clients come back: the delays of its JavaScript client. Pure.

use std::time::Duration;

/// How long a client waits before its next handshake, if so many have failed since it lost its
/// session: 1 s doubled each time, half of it more or less, and 5 s at most. From the fifth on there
/// is no chance left in it: the limit comes after the jitter.
pub(super) fn delay(failed: u32, mut random: impl FnMut() -> f64) -> Duration {
    let exact = FIRST.as_secs_f64() * f64::from(1_u32 << failed.min(DOUBLINGS_MAX));
    let jittered = exact * (1.0 + JITTER * (2.0 * random() - 1.0));
    Duration::from_secs_f64(jittered).min(LAST)
}

/// How long a client waits for the answer to its handshake before it gives it up.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

const FIRST: Duration = Duration::from_secs(1);
const LAST: Duration = Duration::from_secs(5);
const JITTER: f64 = 0.5;
const DOUBLINGS_MAX: u32 = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_and_lose_their_jitter() {
        let check = |failed, least, most| {
            assert_eq!(delay(failed, || 0.0), Duration::from_millis(least));
            assert_eq!(delay(failed, || 1.0), Duration::from_millis(most));
        };
        check(0, 500, 1_500);
        check(1, 1_000, 3_000);
        check(2, 2_000, 5_000);
        check(3, 4_000, 5_000);
        check(4, 5_000, 5_000);
        check(99, 5_000, 5_000);
    }
}
