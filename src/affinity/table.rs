//! Values by sid, for a limited time and in limited number.
//!
//! A table has two generations: an entry that is put or renewed is young. When the lifetime is over
//! or there are too many young entries, they become old and the old ones are forgotten. So an entry
//! lives for one to two lifetimes after its last use, nothing has to be swept, and no time is
//! stored for each entry. Sids are stored as keyed digests: small, all of one size, and not secret.
//!
//! Pure: the locks are held for one lookup. Runs for every request.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::Instant;
use crate::engineio::Sid;

/// Values by sid, for all workers.
#[derive(Debug)]
pub(super) struct Table<V> {
    shards: Box<[Mutex<Shard<V>>]>,
    hashers: [RandomState; 2],
    bounds: TableLimits,
}

/// How much a table stores, and for how long.
#[derive(Clone, Copy, Debug)]
pub(super) struct TableLimits {
    /// An unused entry lives at least this long, if the table is not full, and at most twice as
    /// long.
    pub(super) lifetime: Duration,
    /// The most entries of one generation of one of the [`SHARDS`](Self::SHARDS).
    pub(super) generation_entries_max: usize,
}

impl TableLimits {
    /// Many locks, so that workers seldom wait for each other.
    pub(super) const SHARDS: usize = 64;
}

impl<V: Clone> Table<V> {
    /// An empty table; it allocates only as it fills.
    pub(super) fn new(bounds: TableLimits) -> Self {
        Self {
            shards: (0..TableLimits::SHARDS).map(|_| Mutex::new(Shard::new())).collect(),
            hashers: [RandomState::new(), RandomState::new()],
            bounds,
        }
    }

    /// Stores `value`, and replaces an earlier one.
    pub(super) fn put(&self, sid: &Sid, value: V, now: Instant) {
        let digest = self.digest(sid);
        self.shard(digest, now).put(digest, value, self.bounds);
    }

    /// The value of `sid`, whose lifetime restarts.
    pub(super) fn renew(&self, sid: &Sid, now: Instant) -> Option<V> {
        let digest = self.digest(sid);
        let mut shard = self.shard(digest, now);
        if let Some(value) = shard.young.get(&digest) {
            return Some(value.clone());
        }
        let value = shard.old.remove(&digest)?;
        shard.put(digest, value.clone(), self.bounds);
        Some(value)
    }

    /// Whether `sid` is stored. This does not extend its lifetime.
    pub(super) fn has(&self, sid: &Sid, now: Instant) -> bool {
        let digest = self.digest(sid);
        let shard = self.shard(digest, now);
        shard.young.contains_key(&digest) || shard.old.contains_key(&digest)
    }

    fn digest(&self, sid: &Sid) -> SidDigest {
        self.hashers.each_ref().map(|hasher| hasher.hash_one(sid.as_str()))
    }

    /// The shard of `digest`, as it is at `now`.
    fn shard(&self, digest: SidDigest, now: Instant) -> MutexGuard<'_, Shard<V>> {
        let index = (digest[0] % TableLimits::SHARDS as u64) as usize;
        // Each change of a shard is whole or harmless, so a panic elsewhere spoils nothing.
        let mut shard = self.shards[index].lock().unwrap_or_else(PoisonError::into_inner);
        shard.age(now, self.bounds.lifetime);
        shard
    }
}

/// With 128 bits under two random keys, two sids never have the same, and nobody can aim at one
/// shard.
type SidDigest = [u64; 2];

#[derive(Debug)]
struct Shard<V> {
    young: HashMap<SidDigest, V>,
    old: HashMap<SidDigest, V>,
    /// Since when the young are young; `None` before the first use.
    since: Option<Instant>,
}

impl<V> Shard<V> {
    fn new() -> Self {
        Self { young: HashMap::new(), old: HashMap::new(), since: None }
    }

    fn age(&mut self, now: Instant, lifetime: Duration) {
        let age = now.saturating_duration_since(*self.since.get_or_insert(now));
        if age >= lifetime {
            self.turn(now);
        }
        if age >= lifetime * 2 {
            self.old = HashMap::new();
        }
    }

    fn put(&mut self, digest: SidDigest, value: V, bounds: TableLimits) {
        let is_full = self.young.len() >= bounds.generation_entries_max;
        if is_full && !self.young.contains_key(&digest) {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(digest, value);
    }

    fn turn(&mut self, now: Instant) {
        self.old = std::mem::take(&mut self.young);
        self.since = Some(now);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BOUNDS: TableLimits =
        TableLimits { lifetime: Duration::from_secs(10), generation_entries_max: 3 };

    fn sid(number: usize) -> Sid {
        Sid::new(&format!("sid-{number}")).expect("a sid")
    }

    fn entries(table: &Table<usize>) -> usize {
        let count = |shard: &Mutex<Shard<usize>>| {
            let shard = shard.lock().expect("no panic");
            shard.young.len() + shard.old.len()
        };
        table.shards.iter().map(count).sum()
    }

    #[test]
    fn an_entry_is_forgotten_one_to_two_lifetimes_after_its_last_use() {
        let start = Instant::now();
        // check(when it is renewed, when it is asked for, whether it is known), in seconds.
        let check = |renewed: &[u64], view: u64, expected: bool| {
            let table = Table::new(BOUNDS);
            let at = |seconds| start + Duration::from_secs(seconds);
            table.put(&sid(1), 7, at(0));
            for seconds in renewed {
                assert_eq!(table.renew(&sid(1), at(*seconds)), Some(7));
            }
            assert_eq!(table.has(&sid(1), at(view)), expected, "{renewed:?} {view}");
            assert_eq!(table.renew(&sid(1), at(view)).is_some(), expected, "{renewed:?} {view}");
        };
        check(&[], 0, true);
        check(&[], 19, true);
        check(&[], 20, false);
        check(&[], 9999, false);
        check(&[9], 19, true);
        check(&[10], 20, true);
        check(&[10, 20, 30, 40], 59, true);
        check(&[10, 20, 30, 40], 60, false);
    }

    #[test]
    fn to_ask_does_not_renew() {
        let start = Instant::now();
        let table = Table::new(BOUNDS);
        table.put(&sid(1), (), start);
        assert!(table.has(&sid(1), start + BOUNDS.lifetime));
        assert!(!table.has(&sid(1), start + BOUNDS.lifetime * 2));
    }

    #[test]
    fn the_last_value_counts() {
        let start = Instant::now();
        let table = Table::new(BOUNDS);
        table.put(&sid(1), 1, start);
        table.put(&sid(1), 2, start + BOUNDS.lifetime);
        assert_eq!(table.renew(&sid(1), start + BOUNDS.lifetime), Some(2));
        assert_eq!(table.renew(&sid(2), start), None);
    }

    #[test]
    fn a_full_table_forgets_the_oldest_and_keeps_what_is_used() {
        let start = Instant::now();
        let table = Table::new(BOUNDS);
        table.put(&sid(0), 0, start);
        for number in 1..10_000 {
            table.put(&sid(number), number, start);
            assert_eq!(table.renew(&sid(0), start), Some(0), "{number}");
            assert_eq!(table.renew(&sid(number), start), Some(number));
        }
        let most = TableLimits::SHARDS * BOUNDS.generation_entries_max * 2;
        assert!((most / 2..=most).contains(&entries(&table)), "{}", entries(&table));
        assert_eq!(table.renew(&sid(1), start), None);
    }

    proptest! {
        #[test]
        fn what_is_used_is_remembered_and_bounds_hold(
            uses in prop::collection::vec((0..400_usize, 0..4_u64), 1..400),
        ) {
            let table = Table::new(BOUNDS);
            let mut now = Instant::now();
            for (number, seconds) in uses {
                now += Duration::from_secs(seconds);
                table.put(&sid(number), number, now);
                prop_assert!(table.has(&sid(number), now + BOUNDS.lifetime));
                prop_assert!(entries(&table) <= TableLimits::SHARDS * BOUNDS.generation_entries_max * 2);
            }
        }
    }
}
