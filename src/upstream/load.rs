//! The load of a node.
//!
//! A proxy never sees a polling session end, so sessions are not counted: nothing here has to
//! expire. What was counted in is counted out by the lease that did it.
//!
//! Pure. Runs for every request.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use crate::Instant;

/// The load of a node: open tunnels, pending exchanges and recently answered handshakes.
#[derive(Debug)]
pub(super) struct Load {
    exchanges: AtomicU32,
    tunnels: AtomicU32,
    handshakes: DecayingCount,
}

impl Load {
    /// No load; `base` is no later than any time that is ever passed in.
    pub(super) fn new(base: Instant) -> Self {
        Self {
            exchanges: AtomicU32::new(0),
            tunnels: AtomicU32::new(0),
            handshakes: DecayingCount::new(base),
        }
    }

    /// An exchange begins.
    pub(super) fn enter_exchange(&self) {
        self.exchanges.fetch_add(1, Ordering::Relaxed);
    }

    /// An exchange ends. Each call follows one of [`Load::enter_exchange`].
    pub(super) fn leave_exchange(&self) {
        self.exchanges.fetch_sub(1, Ordering::Relaxed);
    }

    /// A tunnel begins.
    pub(super) fn enter_tunnel(&self) {
        self.tunnels.fetch_add(1, Ordering::Relaxed);
    }

    /// A tunnel ends. Each call follows one of [`Load::enter_tunnel`].
    pub(super) fn leave_tunnel(&self) {
        self.tunnels.fetch_sub(1, Ordering::Relaxed);
    }

    /// The node opened a session.
    pub(super) fn handshake_answered(&self, now: Instant) {
        self.handshakes.add(now);
    }

    /// How many exchanges wait for the end of their answer.
    pub(super) fn exchanges(&self) -> u32 {
        self.exchanges.load(Ordering::Relaxed)
    }

    /// How many tunnels are open.
    pub(super) fn tunnels(&self) -> u32 {
        self.tunnels.load(Ordering::Relaxed)
    }

    /// The handshakes that were answered in the last [`MEMORY`], which fade. Finite and not negative.
    pub(super) fn handshakes_at(&self, now: Instant) -> f64 {
        self.handshakes.at(now)
    }

    /// Its sessions, each counted once: what is pending and open, or the handshakes of the last seconds
    /// if these are more, as in a storm before anything else is seen of the sessions. The sum of both
    /// would count a client twice for some seconds: one that reconnects would find its node over its
    /// bound because of its own handshake. Finite and not negative.
    pub(super) fn sessions_at(&self, now: Instant) -> f64 {
        let present = f64::from(self.exchanges()) + f64::from(self.tunnels());
        present.max(self.handshakes.at(now))
    }

    /// The sum of all three; finite and not negative.
    pub(super) fn at(&self, now: Instant) -> f64 {
        f64::from(self.exchanges()) + f64::from(self.tunnels()) + self.handshakes.at(now)
    }
}

/// A count of events that decays exponentially: at a steady rate it is the number of events in the last
/// [`MEMORY`].
///
/// One word, so that workers share it without a lock: the tick of the last event in the upper
/// half, the count at that tick as an `f32` in the lower.
#[derive(Debug)]
struct DecayingCount {
    base: Instant,
    word: AtomicU64,
}

/// How long a handshake weighs on its node: about the time that a client takes from it to its
/// first events, of which the proxy sees nothing that it could count.
const MEMORY: Duration = Duration::from_secs(5);

/// The time step: short compared with [`MEMORY`], and 32 bits of it last eight years.
const TICK: Duration = Duration::from_millis(1000 / 16);

impl DecayingCount {
    fn new(base: Instant) -> Self {
        Self { base, word: AtomicU64::new(0) }
    }

    fn add(&self, now: Instant) {
        let now = self.tick(now);
        let grow = |word| {
            let (then, _) = unpack(word);
            // Another worker's clock may have been read later and stored first.
            Some(pack(now.max(then), count_at(word, now) + 1.0))
        };
        // Never fails, for `grow` always has a new value.
        let _ = self.word.fetch_update(Ordering::Relaxed, Ordering::Relaxed, grow);
    }

    fn at(&self, now: Instant) -> f64 {
        f64::from(count_at(self.word.load(Ordering::Relaxed), self.tick(now)))
    }

    fn tick(&self, now: Instant) -> u32 {
        let ticks = now.saturating_duration_since(self.base).as_millis() / TICK.as_millis();
        u32::try_from(ticks).unwrap_or(u32::MAX)
    }
}

fn count_at(word: u64, now: u32) -> f32 {
    let (then, count) = unpack(word);
    if count == 0.0 {
        return 0.0;
    }
    count * (-(TICK * now.saturating_sub(then)).div_duration_f32(MEMORY)).exp()
}

fn pack(tick: u32, count: f32) -> u64 {
    u64::from(tick) << 32 | u64::from(count.to_bits())
}

fn unpack(word: u64) -> (u32, f32) {
    ((word >> 32) as u32, f32::from_bits(word as u32))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_load_is_what_is_pending_and_open() {
        let base = Instant::now();
        let load = Load::new(base);
        load.enter_exchange();
        load.enter_exchange();
        load.enter_tunnel();
        assert_eq!(load.at(base), 3.0);

        load.leave_exchange();
        load.leave_exchange();
        load.leave_tunnel();
        assert_eq!(load.at(base), 0.0);
    }

    /// Adds one event at each of `events`, in milliseconds, and looks at `now`.
    fn check(events: &[u64], now: u64, expected: f64) {
        let base = Instant::now();
        let at = |millis| base + Duration::from_millis(millis);
        let recent = DecayingCount::new(base);
        for &event in events {
            recent.add(at(event));
        }
        let count = recent.at(at(now));
        assert!((count - expected).abs() <= expected * 0.02, "{count} is not about {expected}");
    }

    #[test]
    fn events_fade_away() {
        check(&[], 10_000, 0.0);
        check(&[0], 0, 1.0);
        check(&[0], 5_000, (-1.0_f64).exp());
        check(&[0, 0, 5_000], 5_000, 1.0 + 2.0 * (-1.0_f64).exp());
        // Beyond the last tick.
        check(&[0], 10 * 365 * 24 * 3600 * 1000, 0.0);
    }

    #[test]
    fn a_steady_rate_counts_for_five_seconds() {
        let twenty_a_second: Vec<u64> = (0..1200).map(|event| event * 50).collect();
        check(&twenty_a_second, 60_000, 100.0);
    }

    #[test]
    fn a_clock_that_was_read_earlier_does_no_harm() {
        check(&[10_000, 9_000], 10_000, 2.0);
        check(&[10_000], 9_000, 1.0);
    }
}
