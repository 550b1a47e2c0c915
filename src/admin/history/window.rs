//! How much totals grew in the last minute and in the last quarter of an hour.
//!
//! Pure. Runs at start, at reload, or on a timer.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::Instant;

/// The growth of some totals, each known by a key. A key that is not seen any more is forgotten when
/// nothing of its growth is recent.
#[derive(Debug)]
pub(in crate::admin) struct LabelWindows<K> {
    begun: Instant,
    slot: u64,
    windows: BTreeMap<K, Window>,
    /// Keys that are new later grew from 0, but those of the first call had their totals before.
    is_first: bool,
}

/// How much a total grew.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::admin) struct Growth {
    pub(in crate::admin) last_minute: u64,
    pub(in crate::admin) last_15_minutes: u64,
}

#[derive(Debug)]
struct Window {
    last: u64,
    /// The growth in each slot of time.
    slots: [u32; SLOTS],
}

impl<K: Ord> LabelWindows<K> {
    /// Nothing is known at `now`.
    pub(in crate::admin) fn new(now: Instant) -> Self {
        Self { begun: now, slot: 0, windows: BTreeMap::new(), is_first: true }
    }

    /// Records the totals of this moment. Of several with the same key the sum counts.
    pub(in crate::admin) fn record(
        &mut self,
        totals: impl IntoIterator<Item = (K, u64)>,
        now: Instant,
    ) {
        let slot = now.saturating_duration_since(self.begun).as_secs() / SLOT.as_secs();
        let passed = slot.saturating_sub(self.slot).min(SLOTS as u64);
        self.slot = slot.max(self.slot);
        for window in self.windows.values_mut() {
            window.shift(passed as usize);
        }
        let mut sums = BTreeMap::<K, u64>::new();
        for (key, total) in totals {
            *sums.entry(key).or_default() += total;
        }
        self.windows.retain(|key, window| sums.contains_key(key) || !window.is_quiet());
        for (key, total) in sums {
            let is_known_total = self.is_first;
            let new = || Window { last: if is_known_total { total } else { 0 }, slots: [0; SLOTS] };
            self.windows.entry(key).or_insert_with(new).grow(total);
        }
        self.is_first = false;
    }

    /// All keys and their growth.
    pub(in crate::admin) fn iter(&self) -> impl Iterator<Item = (&K, Growth)> {
        self.windows.iter().map(|(key, window)| (key, window.growth()))
    }

    /// The growth of one.
    pub(in crate::admin) fn growth(&self, key: &K) -> Growth {
        self.windows.get(key).map(Window::growth).unwrap_or_default()
    }
}

impl Window {
    fn shift(&mut self, slots: usize) {
        self.slots.rotate_right(slots);
        self.slots[..slots].fill(0);
    }

    fn grow(&mut self, total: u64) {
        // A total that shrinks is another one, which begins from there.
        let grown = u32::try_from(total.saturating_sub(self.last)).unwrap_or(u32::MAX);
        self.last = total;
        let [current, ..] = &mut self.slots;
        *current = current.saturating_add(grown);
    }

    fn is_quiet(&self) -> bool {
        self.slots.iter().all(|grown| *grown == 0)
    }

    fn growth(&self) -> Growth {
        let sum = |slots: &[u32]| slots.iter().map(|grown| u64::from(*grown)).sum();
        let (minute, all) = (&self.slots[..SLOTS_OF_A_MINUTE], &self.slots[..]);
        Growth { last_minute: sum(minute), last_15_minutes: sum(all) }
    }
}

/// One slot more than a quarter of an hour has, since the current one has just begun.
const SLOTS: usize = 15 * 12 + 1;

/// The same for a minute.
const SLOTS_OF_A_MINUTE: usize = 12 + 1;

const SLOT: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    fn growth(last_minute: u64, last_15_minutes: u64) -> Growth {
        Growth { last_minute, last_15_minutes }
    }

    /// Records totals of one key at seconds, and compares the growth at the last.
    fn check(totals: &[(u64, u64)], expected: Growth) {
        let begun = Instant::now();
        let mut windows = LabelWindows::new(begun);
        for (second, total) in totals {
            windows.record([("a", *total)], begun + Duration::from_secs(*second));
        }
        assert_eq!(windows.growth(&"a"), expected, "{totals:?}");
    }

    #[test]
    fn growth_leaves_the_minute_and_then_the_quarter_of_an_hour() {
        check(&[(0, 7)], growth(0, 0));
        check(&[(0, 7), (1, 9)], growth(2, 2));
        check(&[(0, 7), (1, 9), (59, 10)], growth(3, 3));
        check(&[(0, 7), (1, 9), (66, 9)], growth(0, 2));
        check(&[(0, 7), (1, 9), (904, 9)], growth(0, 2));
        check(&[(0, 7), (1, 9), (906, 9)], growth(0, 0));
        check(&[(0, 7), (1, 9), (99_999, 12)], growth(3, 3));
    }

    #[test]
    fn a_total_that_shrinks_begins_again() {
        check(&[(0, 7), (1, 3), (2, 4)], growth(1, 1));
    }

    #[test]
    fn a_key_that_comes_later_grew_from_nothing_and_is_forgotten_when_it_is_quiet() {
        let begun = Instant::now();
        let mut windows = LabelWindows::new(begun);
        windows.record([("a", 5)], begun);
        windows.record([("a", 5), ("b", 2), ("b", 1)], begun + Duration::from_secs(1));
        let all: Vec<_> = windows.iter().collect();
        assert_eq!(all, [(&"a", growth(0, 0)), (&"b", growth(3, 3))]);
        windows.record([], begun + Duration::from_secs(2));
        assert_eq!(windows.iter().collect::<Vec<_>>(), [(&"b", growth(3, 3))]);
        windows.record([], begun + Duration::from_secs(2000));
        assert_eq!(windows.iter().count(), 0);
    }
}
