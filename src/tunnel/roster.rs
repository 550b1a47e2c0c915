//! The open tunnels of one node: how long each has been quiet, and how it is told to end.
//!
//! A tunnel has an entry on a roster until it drops its [`RosterGuard`]. The list has a lock, which
//! a tunnel takes when it begins and when it ends, and [`Roster::dismiss`] while it looks over all
//! entries. A tunnel that passes bytes only stores the time.
//!
//! Runs for every byte.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::roster_entry::{RosterEntry, RosterGuard};
use super::{End, Identity, OpenTunnel, SessionId};
use crate::Instant;
use crate::clock::Epoch;
use crate::lag::NodeLag;

/// The open tunnels of a node, whichever worker they are on.
#[derive(Debug)]
pub struct Roster {
    epoch: Epoch,
    entered: AtomicU64,
    lag: Arc<NodeLag>,
    list: Mutex<List>,
}

/// Why a tunnel is told to end although nothing is wrong with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dismissal {
    /// Its node is to be emptied.
    NodeDrained,
    /// Its node has more tunnels than its share.
    Rebalanced,
    /// The operator ended this one.
    Ended,
}

#[derive(Debug, Default)]
struct List {
    /// Each entry is at its own index.
    entries: Vec<Arc<RosterEntry>>,
    /// How many of them were told to end.
    dismissed: usize,
}

impl Roster {
    /// Without tunnels; `base` is no later than any time that is ever passed in.
    pub fn new(base: Instant) -> Arc<Self> {
        Arc::new(Self {
            epoch: Epoch::new(base),
            entered: AtomicU64::new(0),
            lag: Arc::new(NodeLag::new(base)),
            list: Mutex::default(),
        })
    }

    /// Adds the tunnel of `identity`, which begins now.
    pub fn enter(self: &Arc<Self>, identity: Arc<Identity>) -> RosterGuard {
        let active_at = self.millis(identity.began);
        let mut list = self.list();
        let entry = Arc::new(RosterEntry::new(list.entries.len(), active_at, identity));
        list.entries.push(entry.clone());
        drop(list);
        self.entered.fetch_add(1, Ordering::Relaxed);
        RosterGuard::new(self.clone(), entry)
    }

    /// How late the node answers.
    pub(crate) fn lag(&self) -> &Arc<NodeLag> {
        &self.lag
    }

    /// How many tunnels were ever added.
    pub fn entered(&self) -> u64 {
        self.entered.load(Ordering::Relaxed)
    }

    /// How many tunnels are open and were not told to end.
    pub fn staying(&self) -> usize {
        let list = self.list();
        list.entries.len().saturating_sub(list.dismissed)
    }

    /// How many tunnels are open.
    pub fn present(&self) -> usize {
        self.list().entries.len()
    }

    /// Tells up to `count` tunnels to end and returns their number: those that have been quiet for
    /// longest first, and none that has been active since `quiet_since`.
    pub fn dismiss(
        &self,
        dismissal: Dismissal,
        count: usize,
        quiet_since: Option<Instant>,
    ) -> usize {
        if count == 0 {
            return 0;
        }
        let latest = quiet_since.map_or(u64::MAX, |since| self.millis(since));
        let chosen = self.list().dismiss(dismissal, count, latest);
        for entry in &chosen {
            entry.notify();
        }
        chosen.len()
    }

    /// Shows all open tunnels to `visit`, in no order. It locks the list for some at a time, so that tunnels
    /// can begin and end meanwhile: one of these may be left out.
    pub(crate) fn visit(self: &Arc<Self>, mut visit: impl FnMut(&OpenTunnel)) {
        let mut begin = 0;
        loop {
            let some: Vec<_> =
                self.list().entries.iter().skip(begin).take(VISIT_AT_ONCE).cloned().collect();
            if some.is_empty() {
                return;
            }
            begin += some.len();
            for entry in some {
                visit(&OpenTunnel::new(self.clone(), entry));
            }
        }
    }

    /// The open tunnel with this id.
    pub(crate) fn find(self: &Arc<Self>, id: SessionId) -> Option<OpenTunnel> {
        let found = self.list().entries.iter().find(|entry| entry.identity().id == id).cloned();
        found.map(|entry| OpenTunnel::new(self.clone(), entry))
    }

    /// Tells one tunnel to end, unless it was told before.
    pub(super) fn end(&self, entry: &RosterEntry) {
        let mut list = self.list();
        if entry.dismissal().is_none() {
            entry.dismiss(Dismissal::Ended);
            list.dismissed += 1;
        }
        drop(list);
        entry.notify();
    }

    /// The time at so many milliseconds from the base.
    pub(super) fn instant(&self, millis: u64) -> Instant {
        self.epoch.instant(millis)
    }

    /// Removes the entry of a tunnel that has ended.
    pub(super) fn remove(&self, entry: &RosterEntry) {
        self.list().remove(entry);
    }

    /// Milliseconds from the base to `now`.
    #[inline]
    pub(super) fn millis(&self, now: Instant) -> u64 {
        self.epoch.millis(now)
    }

    fn list(&self) -> MutexGuard<'_, List> {
        // No code under the lock panics half-way.
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl List {
    /// Marks the entries that [`Roster::dismiss`] then notifies.
    fn dismiss(
        &mut self,
        dismissal: Dismissal,
        count: usize,
        latest: u64,
    ) -> Vec<Arc<RosterEntry>> {
        let staying = self.entries.iter().filter(|entry| entry.dismissal().is_none());
        let mut quiet: Vec<(u64, &Arc<RosterEntry>)> = staying
            .map(|entry| (entry.active_at(), entry))
            .filter(|(at, _)| *at <= latest)
            .collect();
        if count < quiet.len() {
            quiet.select_nth_unstable_by_key(count, |(at, _)| *at);
            quiet.truncate(count);
        }
        quiet.sort_unstable_by_key(|(at, _)| *at);
        let chosen: Vec<Arc<RosterEntry>> =
            quiet.into_iter().map(|(_, entry)| entry.clone()).collect();
        for entry in &chosen {
            entry.dismiss(dismissal);
        }
        self.dismissed += chosen.len();
        chosen
    }

    fn remove(&mut self, entry: &RosterEntry) {
        let index = entry.index();
        if index >= self.entries.len() {
            debug_assert!(false, "an entry is on the list until its guard is dropped");
            return;
        }
        self.entries.swap_remove(index);
        if let Some(moved) = self.entries.get(index) {
            moved.set_index(index);
        }
        if entry.dismissal().is_some() {
            self.dismissed -= 1;
        }
        // Frees what a reconnect storm needed, and does not reallocate at each removal.
        if self.entries.len() < self.entries.capacity() / 4 {
            self.entries.shrink_to(self.entries.len() * 2);
        }
    }
}

impl Dismissal {
    /// The end that it causes.
    pub(super) fn end(self) -> End {
        match self {
            Self::NodeDrained => End::NodeDrained,
            Self::Rebalanced => End::Rebalanced,
            Self::Ended => End::Ended,
        }
    }

    /// Never zero.
    pub(super) fn code(self) -> u8 {
        match self {
            Self::NodeDrained => 1,
            Self::Rebalanced => 2,
            Self::Ended => 3,
        }
    }

    /// The inverse of [`code`](Self::code); `None` for zero.
    pub(super) fn from_code(code: u8) -> Option<Self> {
        let all = [Self::NodeDrained, Self::Rebalanced, Self::Ended];
        all.into_iter().find(|dismissal| dismissal.code() == code)
    }
}

/// How many tunnels are shown while the list is locked.
const VISIT_AT_ONCE: usize = 512;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// One tunnel for each of `active`, the seconds at which its last bytes came.
    fn roster(active: &[u64]) -> (Arc<Roster>, Vec<RosterGuard>, Instant) {
        let base = Instant::now();
        let roster = Roster::new(base);
        let enter = |seconds: &u64| {
            let roster_guard = roster.enter(Identity::begun(base));
            roster_guard.set_active(base + Duration::from_secs(*seconds));
            roster_guard
        };
        let guards = active.iter().map(enter).collect();
        (roster, guards, base)
    }

    /// The indexes of the guards that were dismissed.
    fn dismissed(guards: &[RosterGuard]) -> Vec<usize> {
        let told = |(index, guard): (usize, &RosterGuard)| guard.dismissal().map(|_| index);
        guards.iter().enumerate().filter_map(told).collect()
    }

    #[test]
    fn those_that_were_quiet_for_longest_are_dismissed_first() {
        let (roster, guards, _) = roster(&[5, 1, 4, 2, 3]);
        let dismiss = |count| roster.dismiss(Dismissal::NodeDrained, count, None);
        assert_eq!(dismiss(2), 2);
        assert_eq!(dismissed(&guards), [1, 3]);
        assert_eq!(roster.staying(), 3);
        assert_eq!(dismiss(1), 1);
        assert_eq!(dismissed(&guards), [1, 3, 4]);
        assert_eq!(dismiss(9), 2, "no tunnel is told twice");
        assert_eq!(dismiss(9), 0);
        assert_eq!((roster.staying(), roster.present()), (0, 5));
    }

    #[test]
    fn a_tunnel_that_is_active_or_busy_is_not_dismissed() {
        let (roster, guards, base) = roster(&[5, 1, 4, 2, 3]);
        guards[1].set_busy();
        assert!(guards[1].is_busy());
        let since = Some(base + Duration::from_secs(3));
        assert_eq!(roster.dismiss(Dismissal::Rebalanced, 9, since), 2);
        assert_eq!(dismissed(&guards), [3, 4]);
        assert_eq!(guards[3].dismissal(), Some(Dismissal::Rebalanced));
        assert_eq!(roster.dismiss(Dismissal::NodeDrained, 2, None), 2);
        assert_eq!(dismissed(&guards), [0, 2, 3, 4], "busy tunnels are dismissed last");
    }

    #[test]
    fn no_entry_is_left_behind() {
        let base = Instant::now();
        let roster = Roster::new(base);
        let mut random = fastrand::Rng::with_seed(7);
        let mut guards: Vec<RosterGuard> =
            (0..1000).map(|_| roster.enter(Identity::begun(base))).collect();
        assert_eq!(roster.dismiss(Dismissal::NodeDrained, 300, None), 300);
        while !guards.is_empty() {
            drop(guards.swap_remove(random.usize(..guards.len())));
            assert_eq!(roster.present(), guards.len());
            let told = dismissed(&guards).len();
            assert_eq!(roster.staying(), guards.len() - told);
        }
        assert_eq!(roster.entered(), 1000);
        assert!(roster.list().entries.capacity() < 8, "the memory is freed");
    }

    #[test]
    fn tunnels_come_and_go_on_all_workers() {
        let base = Instant::now();
        let roster = Roster::new(base);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..2000 {
                        let pair = [
                            roster.enter(Identity::begun(base)),
                            roster.enter(Identity::begun(base)),
                        ];
                        roster.dismiss(Dismissal::Rebalanced, 1, None);
                        drop(pair);
                    }
                });
            }
        });
        assert_eq!((roster.present(), roster.staying(), roster.entered()), (0, 0, 16_000));
    }
}
