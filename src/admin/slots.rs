//! The limit for connections to the admin listener, and which of them is closed for a new one.
//!
//! Probes and operators share the listener with anyone who reaches it. So a connection never waits for
//! others to end: when all slots are in use, the connection that has been idle longest is closed,
//! preferably one that never sent a request.
//!
//! Runs at start, at reload, or on a timer.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, oneshot};
use tokio::time::sleep_until;

use crate::Instant;

/// The slots for connections. Clones share them.
#[derive(Clone, Debug)]
pub(super) struct Slots(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    max: usize,
    used: Mutex<Vec<UsedSlot>>,
    left: Notify,
}

#[derive(Debug)]
struct UsedSlot {
    number: u64,
    /// When the connection was accepted, or when its last request began or was answered.
    since: Instant,
    has_sent_request: bool,
    /// Requests that are not answered, and streams that go on.
    open_requests: u32,
    /// Dropped when the connection is to be closed.
    _keep: oneshot::Sender<()>,
}

/// The slot of one connection, which is free again on drop.
#[derive(Debug)]
pub(super) struct Slot {
    slots: Slots,
    number: u64,
    keep: oneshot::Receiver<()>,
}

/// Records the requests of a connection.
#[derive(Clone, Debug)]
pub(super) struct Requests {
    slots: Slots,
    number: u64,
}

/// A request that is not answered, or whose answer goes on.
#[derive(Debug)]
#[must_use = "dropping it ends the request"]
pub(super) struct OpenRequest(Requests);

impl Slots {
    /// `max` free slots.
    pub(super) fn new(max: usize) -> Self {
        let (used, left) = (Mutex::default(), Notify::new());
        Self(Arc::new(Shared { max, used, left }))
    }

    /// Takes a slot. If none is free, another connection loses its slot. If all others are too recent for
    /// that, waits at most [`IDLE_MIN`], or [`REQUEST_MIN`] if all are in requests. Cancel safe.
    pub(super) async fn take(&self) -> Slot {
        loop {
            let now = Instant::now();
            let due = match self.vacate(now) {
                Ok(()) => return self.occupy(now),
                Err(due) => due,
            };
            tokio::select! {
                () = sleep_until(due) => (),
                () = self.0.left.notified() => (),
            }
        }
    }

    /// Makes sure that a slot is free, or returns when one can be.
    fn vacate(&self, now: Instant) -> Result<(), Instant> {
        let mut used = self.used();
        if used.len() < self.0.max {
            return Ok(());
        }
        // While silent connections have most of the slots, one that has sent a request keeps its slot.
        // Otherwise a new connection would delay the next one while others are idle.
        let silent = used.iter().filter(|slot| !slot.has_sent_request).count();
        let is_silence_only = 2 * silent > self.0.max;
        let eligible = |slot: &&UsedSlot| !(is_silence_only && slot.has_sent_request);
        let due = used.iter().enumerate().filter(|(_, slot)| eligible(slot) && slot.due() <= now);
        let first =
            due.min_by_key(|(_, slot)| (slot.is_in_request(), slot.has_sent_request, slot.since));
        match (first, used.iter().filter(eligible).map(UsedSlot::due).min()) {
            (Some((index, _)), _) => _ = used.swap_remove(index),
            (None, Some(due)) => return Err(due),
            (None, None) => (),
        }
        Ok(())
    }

    fn occupy(&self, now: Instant) -> Slot {
        let mut used = self.used();
        let number = used.iter().map(|slot| slot.number).max().map_or(0, |number| number + 1);
        let (sender, keep) = oneshot::channel();
        used.push(UsedSlot {
            number,
            since: now,
            has_sent_request: false,
            open_requests: 0,
            _keep: sender,
        });
        Slot { slots: self.clone(), number, keep }
    }

    fn used(&self) -> MutexGuard<'_, Vec<UsedSlot>> {
        // No code under the lock panics.
        self.0.used.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl UsedSlot {
    fn is_in_request(&self) -> bool {
        self.open_requests > 0
    }

    /// When the connection may be closed for a new one.
    fn due(&self) -> Instant {
        self.since + if self.is_in_request() { REQUEST_MIN } else { IDLE_MIN }
    }
}

impl Slot {
    /// Records the requests of the connection.
    pub(super) fn requests(&self) -> Requests {
        Requests { slots: self.slots.clone(), number: self.number }
    }

    /// Waits until another connection needs the slot. Cancel safe.
    pub(super) async fn lost(&mut self) {
        // Nothing is ever sent: the sender is dropped with the slot.
        let _ = (&mut self.keep).await;
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.slots.used().retain(|slot| slot.number != self.number);
        self.slots.0.left.notify_one();
    }
}

impl Requests {
    /// A request begins. It is open until the returned value is dropped.
    pub(super) fn begin(&self, now: Instant) -> OpenRequest {
        self.note(now, |open| open.saturating_add(1));
        OpenRequest(self.clone())
    }

    fn note(&self, now: Instant, change: impl FnOnce(u32) -> u32) {
        let mut used = self.slots.used();
        if let Some(slot) = used.iter_mut().find(|slot| slot.number == self.number) {
            (slot.since, slot.has_sent_request) = (now, true);
            slot.open_requests = change(slot.open_requests);
        }
    }
}

impl Drop for OpenRequest {
    fn drop(&mut self) {
        self.0.note(Instant::now(), |open| open.saturating_sub(1));
    }
}

/// A connection that is new, or was just answered, keeps its slot for this long: its request, or the rest
/// of its answer, is under way.
const IDLE_MIN: Duration = Duration::from_millis(50);

/// A connection in a request keeps its slot for this long: a reload may read from a slow disk, and the
/// client may be slow.
const REQUEST_MIN: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether the connection still has its slot.
    fn has_slot(slot: &mut Slot) -> bool {
        slot.keep.try_recv() == Err(oneshot::error::TryRecvError::Empty)
    }

    #[tokio::test(start_paused = true)]
    async fn the_connection_that_is_idle_longest_is_closed() {
        let slots = Slots::new(3);
        let mut held = Vec::new();
        for _ in 0..3 {
            held.push(slots.take().await);
            tokio::time::advance(IDLE_MIN).await;
        }
        // One in a request, one that sent a request before, and one that never did.
        let mut open = vec![held[0].requests().begin(Instant::now())];
        drop(held[1].requests().begin(Instant::now()));
        tokio::time::advance(IDLE_MIN).await;
        let mut check = async |expected: [bool; 3]| {
            held.push(slots.take().await);
            open.push(held.last().unwrap().requests().begin(Instant::now()));
            let stay: Vec<bool> = held.iter_mut().take(3).map(has_slot).collect();
            assert_eq!(stay, expected);
        };
        check([true, true, false]).await;
        check([true, false, false]).await;
        // All are in requests: the oldest one is closed after a while.
        check([false, false, false]).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_new_connection_does_not_delay_the_next_while_others_are_idle() {
        let slots = Slots::new(32);
        let mut held = Vec::new();
        let mut take = async || {
            let slot = slots.take().await;
            drop(slot.requests().begin(Instant::now()));
            held.push(slot);
        };
        for _ in 0..32 {
            take().await;
        }
        let begun = Instant::now();
        for _ in 0..320 {
            take().await;
        }
        assert_eq!(begun.elapsed(), 10 * IDLE_MIN, "each slot is reused every {IDLE_MIN:?}");

        tokio::time::advance(IDLE_MIN).await;
        let begun = Instant::now();
        let _silent = slots.take().await;
        take().await;
        assert_eq!(begun.elapsed(), Duration::ZERO, "the silent one has its moment");
    }

    #[tokio::test(start_paused = true)]
    async fn a_new_connection_has_a_moment_to_send_its_request() {
        let slots = Slots::new(1);
        let mut first = slots.take().await;
        let begun = Instant::now();
        let _second = slots.take().await;
        assert_eq!(begun.elapsed(), IDLE_MIN);
        assert!(!has_slot(&mut first));
    }

    #[tokio::test(start_paused = true)]
    async fn a_dropped_slot_is_free_immediately() {
        let slots = Slots::new(1);
        let first = slots.take().await;
        let begun = Instant::now();
        let leaves = async {
            tokio::time::sleep(IDLE_MIN / 2).await;
            drop(first);
        };
        let (_second, ()) = tokio::join!(slots.take(), leaves);
        assert!(begun.elapsed() < IDLE_MIN);
        assert_eq!(slots.used().len(), 1);
    }
}
