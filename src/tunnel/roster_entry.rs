//! A tunnel's entry on the roster of its node: all that others see of the tunnel and can tell it.
//!
//! The entry has the time of the tunnel's last bytes and whether it was dismissed, and wakes its
//! task. It remembers that it was notified, so that a wake-up for bytes checks nothing else.
//!
//! Runs for every byte.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Wake, Waker};

use super::roster::{Dismissal, Roster};
use crate::Instant;
use crate::lag::NodeLag;
use crate::shutdown::{Notifier, TaskWaker};

/// Keeps a tunnel's entry on its roster until this is dropped.
#[derive(Debug)]
#[must_use = "dropping it removes the entry"]
pub struct RosterGuard {
    roster: Arc<Roster>,
    entry: Arc<RosterEntry>,
}

/// What the roster and the tunnel share: 40 bytes, which are 64 bytes of heap with the counts of
/// the `Arc`.
#[derive(Debug)]
pub(super) struct RosterEntry {
    /// Milliseconds from the roster's base to the last bytes; [`BUSY`] while bytes wait for a side.
    active_at: AtomicU64,
    /// The index in the list; changed only under the list's lock.
    index: AtomicU32,
    /// Zero, or a [`Dismissal`]; changed only under the list's lock.
    dismissal: AtomicU8,
    is_notified: AtomicBool,
    /// The task that runs the tunnel, once it runs.
    task: TaskWaker,
}

impl RosterGuard {
    pub(super) fn new(roster: Arc<Roster>, entry: Arc<RosterEntry>) -> Self {
        Self { roster, entry }
    }

    /// Bytes arrived, or all that waited for a side were taken.
    #[inline]
    pub(super) fn set_active(&self, now: Instant) {
        self.entry.active_at.store(self.roster.millis(now), Ordering::Relaxed);
    }

    /// Bytes wait for a side: until [`set_active`](Self::set_active) the tunnel counts as busy.
    pub(super) fn set_busy(&self) {
        self.entry.active_at.store(BUSY, Ordering::Relaxed);
    }

    /// Whether the tunnel counts as busy.
    #[inline]
    pub(super) fn is_busy(&self) -> bool {
        self.entry.active_at() == BUSY
    }

    /// How late the node answers.
    pub(super) fn lag(&self) -> &Arc<NodeLag> {
        self.roster.lag()
    }

    /// Why the tunnel has to end, if it was dismissed.
    pub(crate) fn dismissal(&self) -> Option<Dismissal> {
        self.entry.dismissal()
    }

    /// Notifications wake `task` from now on. The caller has to check afterwards for earlier ones.
    pub(super) fn set_waker(&self, task: &Waker) {
        self.entry.task.set_waker(task);
    }

    /// A waker that notifies the tunnel.
    pub(super) fn waker(&self) -> Waker {
        Waker::from(self.entry.clone())
    }

    /// The same, for a shutdown.
    pub(super) fn notifier(&self) -> Weak<dyn Notifier> {
        let entry: Weak<RosterEntry> = Arc::downgrade(&self.entry);
        entry
    }

    /// Whether the tunnel was notified since the last call.
    #[inline]
    pub(super) fn take_notified(&self) -> bool {
        let is_notified = &self.entry.is_notified;
        is_notified.load(Ordering::Relaxed) && is_notified.swap(false, Ordering::Acquire)
    }
}

impl Drop for RosterGuard {
    fn drop(&mut self) {
        self.roster.remove(&self.entry);
    }
}

impl RosterEntry {
    /// The entry at `index` of a tunnel that begins at `active_at`.
    pub(super) fn new(index: usize, active_at: u64) -> Self {
        let entry = Self {
            active_at: AtomicU64::new(active_at),
            index: AtomicU32::new(0),
            dismissal: AtomicU8::new(0),
            is_notified: AtomicBool::new(false),
            task: TaskWaker::default(),
        };
        entry.set_index(index);
        entry
    }

    pub(super) fn active_at(&self) -> u64 {
        self.active_at.load(Ordering::Relaxed)
    }

    pub(super) fn index(&self) -> usize {
        self.index.load(Ordering::Relaxed) as usize
    }

    /// A process has fewer descriptors than a `u32` has values.
    pub(super) fn set_index(&self, index: usize) {
        self.index.store(u32::try_from(index).unwrap_or(u32::MAX), Ordering::Relaxed);
    }

    pub(crate) fn dismissal(&self) -> Option<Dismissal> {
        Dismissal::from_code(self.dismissal.load(Ordering::Acquire))
    }

    /// Dismisses the tunnel, which sees it after [`notify`](Self::notify).
    pub(super) fn dismiss(&self, dismissal: Dismissal) {
        self.dismissal.store(dismissal.code(), Ordering::Release);
    }

    /// Wakes the tunnel's task.
    pub(super) fn notify(&self) {
        self.is_notified.store(true, Ordering::Release);
        self.task.wake();
    }
}

impl Wake for RosterEntry {
    fn wake(self: Arc<Self>) {
        self.notify();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.notify();
    }
}

impl Notifier for RosterEntry {
    fn wake(&self) {
        self.notify();
    }
}

/// Later than any time, so that busy tunnels are dismissed last.
const BUSY: u64 = u64::MAX;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_takes_64_bytes_of_heap() {
        // An allocator adds 8 bytes of its own, and rounds up to 16.
        let counts_of_the_arc = 2 * size_of::<usize>();
        assert!(counts_of_the_arc + size_of::<RosterEntry>() <= 56, "{}", size_of::<RosterEntry>());
    }
}
