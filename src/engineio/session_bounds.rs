//! The bounds of one session, as its own handshake stated them.
//!
//! Each bound is one of 512 steps, so that both fit into the three characters of a sid's tag and
//! into an entry of the affinity's table. A step is `(32 + m) << e`, with 5 bits for `m` and 4 bits
//! for `e`: 32 at least, 63 << 15 at most, and neighbours differ by at most 1/32. Silence counts in
//! seconds (32 s to 23.9 days), payloads in KiB (32 KiB to 1.97 GiB).
//!
//! Invariant: a bound is rounded up, never down, so that a session never gets less than its node
//! allows. The exception is a value above the highest step: the longest timer of Node.js is 24.9
//! days. A client can forge a tag, so the range is also the most that a forged one can claim. It
//! gains nothing: any byte in either direction extends the silence, TCP keepalive detects a host
//! that is gone, a body is streamed and never collected, and the node has its own limits.
//!
//! Pure. Runs for every request.

use std::time::Duration;

use super::timings::Timings;

/// How long a session may be silent, and how long its polling payloads may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionBounds {
    silence: Step,
    payload: Step,
}

impl SessionBounds {
    /// The bits of a [`code`](Self::code).
    pub const CODE_BITS: u32 = 2 * Step::BITS;

    /// How long a poll may take if the bounds of its session are not known: few servers have a
    /// longer heartbeat.
    pub const POLL_UNKNOWN: Duration = Duration::from_secs(120);

    /// The bounds of a session whose open packet has these timings.
    pub fn new(timings: &Timings) -> Self {
        let silence = timings.silence_max();
        let seconds = silence.as_secs() + u64::from(silence.subsec_nanos() > 0);
        Self {
            silence: Step::at_least(seconds),
            payload: Step::at_least(timings.payload_bytes_max.div_ceil(KIB)),
        }
    }

    /// The bounds of a code, of which the lowest [`CODE_BITS`](Self::CODE_BITS) count: each of them
    /// is valid.
    pub fn from_code(code: u32) -> Self {
        Self { silence: Step::from_bits(code >> Step::BITS), payload: Step::from_bits(code) }
    }

    /// Both bounds in [`CODE_BITS`](Self::CODE_BITS) bits, the same in every release: silence in
    /// the higher half.
    pub fn code(self) -> u32 {
        u32::from(self.silence.0) << Step::BITS | u32::from(self.payload.0)
    }

    /// At least [`Timings::silence_max`] of the session's open packet; 32 s to 23.9 days.
    pub fn silence_max(self) -> Duration {
        Duration::from_secs(self.silence.value())
    }

    /// At least [`Timings::payload_bytes_max`] of the session's open packet, in bytes; 32 KiB to
    /// 1.97 GiB.
    pub fn payload_bytes_max(self) -> u64 {
        self.payload.value() * KIB
    }
}

/// One of 512 values on a scale that is nearly logarithmic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Step(u16);

impl Step {
    const BITS: u32 = 9;
    const MANTISSA_BITS: u32 = 5;
    const MANTISSA: u64 = 1 << Self::MANTISSA_BITS;
    const MAX: Self = Self((1 << Self::BITS) - 1);

    /// The lowest step that is not below `value`, or the highest of all.
    fn at_least(value: u64) -> Self {
        let value = value.max(Self::MANTISSA);
        let exponent = value.ilog2() - Self::MANTISSA_BITS;
        // Rounding up may reach the double: then this is the first step of the next exponent.
        let above = value.div_ceil(1 << exponent) - Self::MANTISSA;
        let step = (u64::from(exponent) << Self::MANTISSA_BITS) + above;
        u16::try_from(step).map_or(Self::MAX, |step| Self(step.min(Self::MAX.0)))
    }

    fn from_bits(bits: u32) -> Self {
        Self((bits & u32::from(Self::MAX.0)) as u16)
    }

    fn value(self) -> u64 {
        let (exponent, mantissa) =
            (self.0 >> Self::MANTISSA_BITS, u64::from(self.0) % Self::MANTISSA);
        (Self::MANTISSA + mantissa) << exponent
    }
}

const KIB: u64 = 1024;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn timings(silence: Duration, payload_bytes_max: u64) -> Timings {
        let margin = Timings::from_millis(0, 0, 0).silence_max();
        let ping_interval = silence.saturating_sub(margin);
        Timings { ping_interval, payload_bytes_max, ..Timings::from_millis(0, 0, 0) }
    }

    #[test]
    fn bounds_are_rounded_up_and_have_ends() {
        let check = |told: Timings, silence: u64, payload: u64| {
            let bounds = SessionBounds::new(&told);
            let found = (bounds.silence_max().as_secs(), bounds.payload_bytes_max());
            assert_eq!(found, (silence, payload), "{told:?}");
        };
        check(Timings::from_millis(25_000, 20_000, 1_000_000), 50, 992 * 1024);
        check(Timings::from_millis(300, 300, 5_000), 32, 32 * 1024);
        check(Timings::from_millis(60_001, 0, 32 * 1024), 66, 32 * 1024);
        check(Timings::from_millis(7_200_000, 20_000, 100_000_000), 7_296, 96 << 20);
        check(Timings::from_millis(59_000, 0, 63 * 1024 + 1), 64, 64 * 1024);
        let most = Duration::from_secs(63 << 15);
        check(timings(most, u64::MAX), 63 << 15, 63 << 25);
        check(timings(most * 2, (63 << 25) + 1), 63 << 15, 63 << 25);
    }

    #[test]
    fn each_step_is_the_lowest_that_is_not_below_its_value() {
        let mut before = 31;
        for bits in 0..=u32::from(Step::MAX.0) {
            let step = Step::from_bits(bits);
            assert!(step.value() > before && step.value() - before <= step.value() / 33 + 1);
            assert_eq!(Step::at_least(step.value()), step);
            assert_eq!(Step::at_least(before + 1), step);
            before = step.value();
        }
        assert_eq!(Step::at_least(u64::MAX), Step::MAX);
    }

    #[test]
    fn a_code_is_the_same_in_every_release() {
        let check = |told: Timings, code: u32| {
            assert_eq!(SessionBounds::new(&told).code(), code, "{told:?}");
        };
        check(Timings::from_millis(25_000, 20_000, 1_000_000), 0o22_236);
        check(Timings::from_millis(0, 0, 0), 0);
        check(timings(Duration::from_secs(1 << 30), u64::MAX), (1 << 18) - 1);
    }

    proptest! {
        #[test]
        fn a_code_is_read_back(code in 0..1_u32 << SessionBounds::CODE_BITS) {
            let bounds = SessionBounds::from_code(code);
            prop_assert_eq!(bounds.code(), code);
            let told = timings(bounds.silence_max(), bounds.payload_bytes_max());
            prop_assert_eq!(SessionBounds::new(&told), bounds);
        }

        #[test]
        fn no_session_is_held_to_less_than_it_was_told(
            interval in 0..1_000_000_000_u64, timeout in 0..1_000_000_000_u64,
            payload in 0..2_000_000_000_u64,
        ) {
            let told = Timings::from_millis(interval, timeout, payload);
            let bounds = SessionBounds::new(&told);
            prop_assert!(bounds.silence_max() >= told.silence_max());
            prop_assert!(bounds.payload_bytes_max() >= told.payload_bytes_max);
        }
    }
}
