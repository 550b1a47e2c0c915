//! How much self-healing may cost: a share of the requests, and each lost sid once.
//!
//! To heal is to ask node after node for a session that nobody remembers. A stranger who makes
//! sids up must not make five requests of one.
//!
//! Pure. Runs for every request.

use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::table::{Bounds, Table};
use crate::Instant;
use crate::engineio::Sid;

/// Whom to ask for a session that no tag and no table knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Search {
    /// No node: none knew it lately.
    Nobody,
    /// One node, for the share of searches is spent: it may be the right one, and if not, its
    /// refusal costs no more than any request.
    One,
    /// Node after node.
    Around,
}

/// The bookkeeping of one upstream, for all workers.
#[derive(Debug)]
pub(super) struct Healing {
    misses: Table<()>,
    /// What may be spent: each request adds one, a healing takes [`PRICE`].
    credit: AtomicU32,
    /// How many refusals in a row came as late as those of `@socket.io/cluster-engine`.
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
        // Mostly there is nothing to add, and then the workers do not write to what they share.
        if self.credit.load(Ordering::Relaxed) < CREDIT_MAX {
            let earn = |credit: u32| (credit < CREDIT_MAX).then_some(credit + 1);
            // It fails when another worker added the last that was wanting.
            _ = self.credit.fetch_update(Ordering::Relaxed, Ordering::Relaxed, earn);
        }
    }

    /// Whom to ask for `sid`. To ask around takes the price of one healing.
    pub(super) fn begin(&self, sid: &Sid, now: Instant) -> Search {
        let pay = |credit: u32| credit.checked_sub(PRICE);
        if self.misses.has(sid, now) {
            Search::Nobody
        } else if self.credit.fetch_update(Ordering::Relaxed, Ordering::Relaxed, pay).is_ok() {
            Search::Around
        } else {
            Search::One
        }
    }

    /// Whether a node that refused `sid` after this time speaks for all nodes.
    ///
    /// `@socket.io/cluster-engine` asks the other nodes for a session of 20 characters and refuses it
    /// when none has answered for a second. A node that is slow for another reason is told from it by
    /// two such refusals in a row, with no quick one between.
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

/// When a node of `@socket.io/cluster-engine` refuses, which waits for the others for 1 s.
const LATE: RangeInclusive<Duration> = Duration::from_millis(900)..=Duration::from_millis(1500);

/// It asks the others for sids of this length alone.
const CLUSTER_SID_BYTES: usize = 20;

/// Of ten requests one may be healed.
const PRICE: u32 = 10;

/// 50 healings in a row: the sessions of a small server after a proxy's restart.
const CREDIT_MAX: u32 = 50 * PRICE;

/// A client whose session is lost makes a new one within 5 s; only who does not care asks for
/// longer. Full, the table has 64 × 2 × 512 buckets of 17 bytes: 1.1 MB.
const MISSES: Bounds =
    Bounds { lifetime: Duration::from_secs(30), generation_entries_max: 512 / 8 * 7 };

#[cfg(test)]
mod tests {
    use super::*;

    fn sid(number: u32) -> Sid {
        Sid::new(&format!("sid-{number}")).expect("a sid")
    }

    /// How many of 1000 strangers in a row are healed.
    fn healed(healing: &Healing, now: Instant) -> usize {
        (0..1000).filter(|number| healing.begin(&sid(*number), now) == Search::Around).count()
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
        assert_eq!(healing.begin(&sid(1), now + Duration::from_secs(29)), Search::Nobody);
        assert_eq!(healing.begin(&sid(2), now), Search::Around);
        assert_eq!(healing.begin(&sid(1), now + Duration::from_secs(61)), Search::Around);
    }
}
