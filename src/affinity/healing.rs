//! How much self-healing may cost: a share of the requests, and one search for each lost sid.
//!
//! To heal is to ask node after node for a session that is not remembered. A stranger with invented
//! sids must not turn one request into five.
//!
//! Pure. Runs for every request.

use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::table::{Table, TableLimits};
use crate::Instant;
use crate::engineio::Sid;

/// Which nodes to ask for a session that neither a tag nor the table knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SearchScope {
    /// No node: recently none knew it.
    NoNode,
    /// One node, because the share of searches is used up: it may be the right one, and if not, its
    /// refusal costs no more than any request.
    OneNode,
    /// Node after node.
    AllNodes,
}

/// The state of one upstream, for all workers.
#[derive(Debug)]
pub(super) struct Healing {
    misses: Table<()>,
    /// The credit for searches: each request adds one, a search takes [`PRICE`].
    credit: AtomicU32,
    /// How many consecutive refusals were as late as those of `@socket.io/cluster-engine`.
    late_refusals: AtomicU32,
}

impl Default for Healing {
    fn default() -> Self {
        Self {
            misses: Table::new(MISSES),
            credit: AtomicU32::new(CREDIT_MAX),
            late_refusals: AtomicU32::new(0),
        }
    }
}

impl Healing {
    /// Counts a request of the upstream.
    pub(super) fn count_request(&self) {
        // Usually there is nothing to add, and then the workers do not write to shared memory.
        if self.credit.load(Ordering::Relaxed) < CREDIT_MAX {
            let earn = |credit: u32| (credit < CREDIT_MAX).then_some(credit + 1);
            // It fails if another worker has added the last one.
            _ = self.credit.fetch_update(Ordering::Relaxed, Ordering::Relaxed, earn);
        }
    }

    /// Which nodes to ask for `sid`. Asking all of them takes the price of one search.
    pub(super) fn search_scope(&self, sid: &Sid, now: Instant) -> SearchScope {
        let pay = |credit: u32| credit.checked_sub(PRICE);
        if self.misses.has(sid, now) {
            SearchScope::NoNode
        } else if self.credit.fetch_update(Ordering::Relaxed, Ordering::Relaxed, pay).is_ok() {
            SearchScope::AllNodes
        } else {
            SearchScope::OneNode
        }
    }

    /// Whether the refusal of `sid` by a node after this time counts for all nodes.
    ///
    /// `@socket.io/cluster-engine` asks the other nodes for a session of 20 characters and refuses
    /// it when none has answered for a second. Two such refusals in a row, without a quick one
    /// between them, distinguish it from a node that is slow for another reason.
    pub(super) fn refused_for_all(&self, sid: &Sid, after: Duration) -> bool {
        if sid.as_str().len() != CLUSTER_SID_BYTES || !LATE.contains(&after) {
            self.late_refusals.store(0, Ordering::Relaxed);
            return false;
        }
        self.late_refusals.fetch_add(1, Ordering::Relaxed) >= 1
    }

    /// Remembers that no node knows `sid`.
    pub(super) fn missed(&self, sid: &Sid, now: Instant) {
        self.misses.put(sid, (), now);
    }
}

/// When a node of `@socket.io/cluster-engine` refuses: it waits 1 s for the others.
const LATE: RangeInclusive<Duration> = Duration::from_millis(900)..=Duration::from_millis(1500);

/// It asks the others only for sids of this length.
const CLUSTER_SID_BYTES: usize = 20;

/// One of ten requests may be searched for.
const PRICE: u32 = 10;

/// 50 searches in a row: the sessions of a small server after a proxy's restart.
const CREDIT_MAX: u32 = 50 * PRICE;

/// A client whose session is lost opens a new one within 5 s; only a faulty one repeats its request
/// for longer. A full table has 64 × 2 × 512 buckets of 17 bytes: 1.1 MB.
const MISSES: TableLimits =
    TableLimits { lifetime: Duration::from_secs(30), generation_entries_max: 512 / 8 * 7 };

#[cfg(test)]
mod tests {
    use super::*;

    fn sid(number: u32) -> Sid {
        Sid::new(&format!("sid-{number}")).expect("a sid")
    }

    /// How many of 1000 strangers in a row are healed.
    fn healed(healing: &Healing, now: Instant) -> usize {
        (0..1000)
            .filter(|number| healing.search_scope(&sid(*number), now) == SearchScope::AllNodes)
            .count()
    }

    #[test]
    fn one_request_in_ten_is_healed_after_a_burst() {
        let now = Instant::now();
        let healing = Healing::default();
        assert_eq!(healed(&healing, now), 50);
        assert_eq!(healed(&healing, now), 0);
        // check(requests that pass, healings that they allow)
        let check = |requests: usize, expected: usize| {
            (0..requests).for_each(|_| healing.count_request());
            assert_eq!(healed(&healing, now), expected, "{requests}");
        };
        check(9, 0);
        check(1, 1);
        check(205, 20);
        check(5, 1);
        check(100_000, 50);
    }

    #[test]
    fn two_late_refusals_in_a_row_speak_for_all_nodes() {
        let healing = Healing::default();
        let cluster = Sid::new("lv_VI97HAXpY6yYWAAAC").expect("a sid");
        let refused = |millis| healing.refused_for_all(&cluster, Duration::from_millis(millis));
        assert!(!refused(1000));
        assert!(refused(1100));
        assert!(refused(900));
        assert!(!refused(5), "a quick one is of another kind");
        assert!(!refused(1000));
        assert!(!refused(2000), "and so is a very slow one");
        assert!(!refused(1000));
        assert!(!healing.refused_for_all(&sid(1), Duration::from_secs(1)), "not of 20 characters");
    }

    #[test]
    fn a_miss_is_not_sought_again_for_a_while() {
        let now = Instant::now();
        let healing = Healing::default();
        healing.missed(&sid(1), now);
        assert_eq!(
            healing.search_scope(&sid(1), now + Duration::from_secs(29)),
            SearchScope::NoNode
        );
        assert_eq!(healing.search_scope(&sid(2), now), SearchScope::AllNodes);
        assert_eq!(
            healing.search_scope(&sid(1), now + Duration::from_secs(61)),
            SearchScope::AllNodes
        );
    }
}
