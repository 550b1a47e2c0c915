//! A tunnel's entry on the roster of its node: all that others see of the tunnel and can tell it.
//!
//! The entry has the time of the tunnel's last bytes and whether it was dismissed, and wakes its
//! task. It remembers that it was notified, so that a wake-up for bytes checks nothing else.
//!
//! Runs for every byte.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Wake, Waker};

use super::Identity;
use super::inspection::Orders;
use super::roster::{Dismissal, Roster};
use super::vitals::Vitals;
use crate::Instant;
use crate::lag::NodeLag;
use crate::shutdown::{Notifier, TaskWaker};
use crate::websocket::Counts;

/// Keeps a tunnel's entry on its roster until this is dropped.
#[derive(Debug)]
#[must_use = "dropping it removes the entry"]
pub struct RosterGuard {
    roster: Arc<Roster>,
    entry: Arc<RosterEntry>,
}

/// What the roster and the tunnel share: 136 bytes, which are 160 bytes of heap with the counts of
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
    /// What arrived from the client and from the node, as the tunnel stored it last.
    traffic: [Traffic; 2],
    vitals: Vitals,
    identity: Arc<Identity>,
    /// What the tunnel is asked for, taken when it was notified.
    orders: Mutex<Option<Box<Orders>>>,
    /// The task that runs the tunnel, once it runs.
    task: TaskWaker,
}

/// What arrived from one side.
#[derive(Debug, Default)]
struct Traffic {
    bytes: AtomicU64,
    messages: AtomicU64,
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

    /// Stores what arrived from both sides, for lists.
    #[inline]
    pub(super) fn set_traffic(&self, from_client: Counts, from_node: Counts) {
        let [client, node] = &self.entry.traffic;
        client.set(from_client);
        node.set(from_node);
    }

    /// What the tunnel notes of its sides.
    #[inline]
    pub(super) fn vitals(&self) -> &Vitals {
        &self.entry.vitals
    }

    /// What others asked the tunnel for since the last call.
    pub(super) fn take_orders(&self) -> Option<Box<Orders>> {
        self.entry.orders().take()
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
    pub(super) fn new(index: usize, active_at: u64, identity: Arc<Identity>) -> Self {
        let entry = Self {
            active_at: AtomicU64::new(active_at),
            index: AtomicU32::new(0),
            dismissal: AtomicU8::new(0),
            is_notified: AtomicBool::new(false),
            traffic: <[Traffic; 2]>::default(),
            vitals: Vitals::default(),
            identity,
            orders: Mutex::default(),
            task: TaskWaker::default(),
        };
        entry.set_index(index);
        entry
    }

    pub(super) fn active_at(&self) -> u64 {
        self.active_at.load(Ordering::Relaxed)
    }

    /// When the last bytes arrived, in milliseconds from the roster's base; `None` while bytes wait for a
    /// side.
    pub(super) fn quiet_since(&self) -> Option<u64> {
        Some(self.active_at()).filter(|at| *at != BUSY)
    }

    pub(super) fn identity(&self) -> &Arc<Identity> {
        &self.identity
    }

    /// What arrived from the client and from the node: bytes and messages.
    pub(super) fn traffic(&self) -> [(u64, u64); 2] {
        self.traffic.each_ref().map(Traffic::get)
    }

    /// Asks the tunnel for something, and wakes it.
    pub(super) fn order(&self, order: impl FnOnce(&mut Orders)) {
        order(self.orders().get_or_insert_default());
        self.notify();
    }

    fn orders(&self) -> MutexGuard<'_, Option<Box<Orders>>> {
        // No code under the lock panics half-way.
        self.orders.lock().unwrap_or_else(PoisonError::into_inner)
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

impl Traffic {
    #[inline]
    fn set(&self, counts: Counts) {
        self.bytes.store(counts.bytes, Ordering::Relaxed);
        self.messages.store(counts.messages, Ordering::Relaxed);
    }

    fn get(&self) -> (u64, u64) {
        (self.bytes.load(Ordering::Relaxed), self.messages.load(Ordering::Relaxed))
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
    fn an_entry_takes_160_bytes_of_heap() {
        // An allocator adds 8 bytes of its own, and rounds up to 16.
        let counts_of_the_arc = 2 * size_of::<usize>();
        assert!(
            counts_of_the_arc + size_of::<RosterEntry>() <= 152,
            "{}",
            size_of::<RosterEntry>()
        );
    }
}
