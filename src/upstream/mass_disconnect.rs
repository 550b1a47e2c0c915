//! Whether a node lost many of its tunnels at once, as a node does that dies.
//!
//! Pure. Runs at start, at reload, or on a timer.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::Instant;
use crate::clock::{AtomicInstant, Epoch};

/// How many tunnels a node had at the last update, and when it lost many at once.
///
/// One task writes it, others may read it at any time.
#[derive(Debug)]
pub(crate) struct MassDisconnect {
    present: AtomicU64,
    at: AtomicInstant,
}

impl MassDisconnect {
    /// It has no tunnels; `base` is no later than any time that is ever passed in.
    pub(crate) fn new(base: Instant) -> Self {
        Self { present: AtomicU64::new(0), at: AtomicInstant::new(Epoch::new(base)) }
    }

    /// Notes that it has so many tunnels `now`.
    pub(crate) fn update(&self, present: u64, now: Instant) {
        let before = self.present.swap(present, Ordering::Relaxed);
        if before >= FEW && present <= before / 2 {
            self.at.set(Some(now));
        }
    }

    /// When half of them were gone from one update to the next; `None` if they never were.
    pub(crate) fn at(&self) -> Option<Instant> {
        self.at.get()
    }
}

/// Fewer may well end together by chance.
const FEW: u64 = 4;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn half_of_the_tunnels_gone_from_one_update_to_the_next_is_a_mass_disconnect() {
        // check(how many at each second, the second of the last mass disconnect)
        fn check(present: &[u64], expected: Option<u64>) {
            let base = Instant::now();
            let disconnect = MassDisconnect::new(base);
            let at = |second| base + Duration::from_secs(second);
            for (second, present) in (0..).zip(present) {
                disconnect.update(*present, at(second));
            }
            assert_eq!(disconnect.at(), expected.map(at), "{present:?}");
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
