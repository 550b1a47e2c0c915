//! Whether a node has lost many of its tunnels at once, as one does that dies.
//!
//! Pure. Runs at start, at reload, or on a timer.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::Instant;

/// How many tunnels a node had when somebody last looked, and when it lost many.
///
/// One task writes it, others may read it at any time.
#[derive(Debug)]
pub(super) struct Pulse {
    base: Instant,
    present: AtomicU64,
    /// Milliseconds from `base`, and one more; zero means never.
    fell_at: AtomicU64,
}

impl Pulse {
    /// It has no tunnels; `base` is no later than any time that is ever passed in.
    pub(super) fn new(base: Instant) -> Self {
        Self { base, present: AtomicU64::new(0), fell_at: AtomicU64::new(0) }
    }

    /// It has so many tunnels `now`.
    pub(super) fn look(&self, present: u64, now: Instant) {
        let before = self.present.swap(present, Ordering::Relaxed);
        if before >= FEW && present <= before / 2 {
            let millis = now.saturating_duration_since(self.base).as_millis();
            let millis = u64::try_from(millis).unwrap_or(u64::MAX).saturating_add(1);
            self.fell_at.store(millis, Ordering::Relaxed);
        }
    }

    /// When it was seen that half of them were gone; `None` if they never were.
    pub(super) fn fell_at(&self) -> Option<Instant> {
        let millis = self.fell_at.load(Ordering::Relaxed).checked_sub(1)?;
        Some(self.base + Duration::from_millis(millis))
    }
}

/// Fewer may well leave together.
const FEW: u64 = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_falls_when_half_are_gone_from_one_look_to_the_next() {
        // check(how many at each second, the second at which it fell last)
        fn check(present: &[u64], expected: Option<u64>) {
            let base = Instant::now();
            let pulse = Pulse::new(base);
            let at = |second| base + Duration::from_secs(second);
            for (second, present) in (0..).zip(present) {
                pulse.look(*present, at(second));
            }
            assert_eq!(pulse.fell_at(), expected.map(at), "{present:?}");
        }
        check(&[], None);
        check(&[0, 100, 100], None);
        check(&[100, 80, 60, 40, 30], None);
        check(&[100, 50], Some(1));
        check(&[100, 0, 0, 10], Some(1));
        check(&[3, 0], None);
        check(&[4, 2], Some(1));
    }
}
