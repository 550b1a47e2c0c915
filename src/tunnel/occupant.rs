//! A tunnel's place on the roster of its node, and the bell that wakes it though no byte came.
//!
//! The place is all that others see of a tunnel: when its last bytes came, and what it is told. It
//! remembers that it has rung, so that a wake-up for bytes asks for nothing else.
//!
//! Runs for every byte.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Wake, Waker};

use super::roster::{Dismissal, Roster};
use crate::Instant;
use crate::shutdown::{Notifier, TaskWaker};

/// A tunnel's place on a roster, until this is dropped.
#[derive(Debug)]
#[must_use = "dropping it gives the place up"]
pub struct Occupant {
    roster: Arc<Roster>,
    place: Arc<Place>,
}

/// What the roster and the tunnel share: 40 bytes, which are 64 of the heap with the counts of the
/// `Arc`.
#[derive(Debug)]
pub(super) struct Place {
    /// Milliseconds from the roster's base to the last bytes; [`WAITING`] while some are kept.
    active_at: AtomicU64,
    /// Where it lies in the list; changed under the list's lock alone.
    index: AtomicU32,
    /// Zero, or a [`Dismissal`]; changed under the list's lock alone.
    dismissal: AtomicU8,
    has_rung: AtomicBool,
    /// What runs the tunnel, once it runs.
    task: TaskWaker,
}

impl Occupant {
    pub(super) fn new(roster: Arc<Roster>, place: Arc<Place>) -> Self {
        Self { roster, place }
    }

    /// Bytes came, or those that waited have moved on.
    #[inline]
    pub(super) fn note_active(&self, now: Instant) {
        self.place.active_at.store(self.roster.millis(now), Ordering::Relaxed);
    }

    /// Bytes wait for a side: until [`Occupant::note_active`] is called it counts as busy.
    pub(super) fn note_waiting(&self) {
        self.place.active_at.store(WAITING, Ordering::Relaxed);
    }

    /// Whether bytes waited for a side when somebody last looked.
    #[inline]
    pub(super) fn is_waiting(&self) -> bool {
        self.place.active_at() == WAITING
    }

    /// Why the tunnel is to end, if it is.
    pub(super) fn dismissal(&self) -> Option<Dismissal> {
        self.place.dismissal()
    }

    /// The bell wakes `task` from now on. Whoever calls this looks afterwards for what may have
    /// rung before.
    pub(super) fn hang_bell(&self, task: &Waker) {
        self.place.task.set_waker(task);
    }

    /// What rings the bell.
    pub(super) fn bell(&self) -> Waker {
        Waker::from(self.place.clone())
    }

    /// The bell, for a drain to ring.
    pub(super) fn notifier(&self) -> Weak<dyn Notifier> {
        let place: Weak<Place> = Arc::downgrade(&self.place);
        place
    }

    /// Whether the bell has rung since somebody last asked.
    #[inline]
    pub(super) fn take_rung(&self) -> bool {
        let has_rung = &self.place.has_rung;
        has_rung.load(Ordering::Relaxed) && has_rung.swap(false, Ordering::Acquire)
    }
}

impl Drop for Occupant {
    fn drop(&mut self) {
        self.roster.leave(&self.place);
    }
}

impl Place {
    /// The place at `index` of a tunnel that begins at `active_at`.
    pub(super) fn new(index: usize, active_at: u64) -> Self {
        let place = Self {
            active_at: AtomicU64::new(active_at),
            index: AtomicU32::new(0),
            dismissal: AtomicU8::new(0),
            has_rung: AtomicBool::new(false),
            task: TaskWaker::default(),
        };
        place.set_index(index);
        place
    }

    pub(super) fn active_at(&self) -> u64 {
        self.active_at.load(Ordering::Relaxed)
    }

    pub(super) fn index(&self) -> usize {
        self.index.load(Ordering::Relaxed) as usize
    }

    /// A process has fewer descriptors than there are numbers.
    pub(super) fn set_index(&self, index: usize) {
        self.index.store(u32::try_from(index).unwrap_or(u32::MAX), Ordering::Relaxed);
    }

    pub(super) fn dismissal(&self) -> Option<Dismissal> {
        Dismissal::of(self.dismissal.load(Ordering::Acquire))
    }

    /// Tells the tunnel to end, who hears of it when the bell [rings](Self::ring).
    pub(super) fn dismiss(&self, dismissal: Dismissal) {
        self.dismissal.store(dismissal.code(), Ordering::Release);
    }

    /// Wakes the tunnel.
    pub(super) fn notify(&self) {
        self.has_rung.store(true, Ordering::Release);
        self.task.wake();
    }
}

impl Wake for Place {
    fn wake(self: Arc<Self>) {
        self.notify();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.notify();
    }
}

impl Notifier for Place {
    fn wake(&self) {
        self.notify();
    }
}

/// Later than any time, so that who is busy comes last.
const WAITING: u64 = u64::MAX;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_takes_64_bytes_of_the_heap() {
        // An allocator adds 8 bytes of its own, and rounds up to 16.
        let counts_of_the_arc = 2 * size_of::<usize>();
        assert!(counts_of_the_arc + size_of::<Place>() <= 56, "{}", size_of::<Place>());
    }
}
