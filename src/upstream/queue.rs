//! The handshakes that wait for a node, in the order of their arrival and limited in number.
//!
//! The first tries until it succeeds or gives up; then it is the turn of the next. Dropping an entry
//! leaves the queue.
//!
//! Runs for every request.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

use crate::Instant;

/// A queue that all workers share.
#[derive(Debug, Default)]
pub(super) struct Queue {
    length: AtomicUsize,
    /// Locked for one lookup, and only by handshakes that wait.
    entries: Mutex<Entries>,
}

#[derive(Debug, Default)]
struct Entries {
    waiting: BTreeMap<Position, Option<Waker>>,
    next_number: u64,
}

/// The position of an entry: by its arrival, then by number.
type Position = (Instant, u64);

/// An entry in the queue; dropping it leaves the queue.
#[derive(Debug)]
pub(super) struct QueueEntry {
    queue: Arc<Queue>,
    position: Position,
}

impl Queue {
    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.length.load(Ordering::Relaxed)
    }

    /// An entry for a handshake that arrived at `arrived`, before all later ones; `None` if `max` wait
    /// already.
    pub(super) fn enter(self: &Arc<Self>, arrived: Instant, max: usize) -> Option<QueueEntry> {
        let entries = self.entries();
        (entries.waiting.len() < max).then(|| self.insert(entries, arrived))
    }

    /// As [`Queue::enter`], however many wait.
    pub(super) fn enter_over_limit(self: &Arc<Self>, arrived: Instant) -> QueueEntry {
        self.insert(self.entries(), arrived)
    }

    fn insert(
        self: &Arc<Self>,
        mut entries: MutexGuard<'_, Entries>,
        arrived: Instant,
    ) -> QueueEntry {
        let position = (arrived, entries.next_number);
        entries.next_number += 1;
        entries.waiting.insert(position, None);
        self.length.store(entries.waiting.len(), Ordering::Relaxed);
        drop(entries);
        QueueEntry { queue: self.clone(), position }
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl QueueEntry {
    /// Waits until all earlier entries have left. Nothing is lost if the future is dropped.
    pub(super) async fn turn(&self) {
        poll_fn(|cx| {
            let mut entries = self.queue.entries();
            if entries.waiting.first_key_value().is_none_or(|(first, _)| *first == self.position) {
                return Poll::Ready(());
            }
            if let Some(waker) = entries.waiting.get_mut(&self.position) {
                *waker = Some(cx.waker().clone());
            }
            Poll::Pending
        })
        .await;
    }

    /// Whether there is no earlier entry.
    pub(super) fn has_turn(&self) -> bool {
        let entries = self.queue.entries();
        entries.waiting.first_key_value().is_none_or(|(first, _)| *first == self.position)
    }
}

impl Drop for QueueEntry {
    fn drop(&mut self) {
        let mut entries = self.queue.entries();
        entries.waiting.remove(&self.position);
        self.queue.length.store(entries.waiting.len(), Ordering::Relaxed);
        let next = entries.waiting.first_entry().and_then(|mut next| next.get_mut().take());
        drop(entries);
        if let Some(next) = next {
            next.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::Context;
    use std::time::Duration;

    use super::*;

    fn has_turn(waiting: &QueueEntry) -> bool {
        let future = pin!(waiting.turn());
        let is_ready = future.poll(&mut Context::from_waker(Waker::noop())).is_ready();
        assert_eq!(is_ready, waiting.has_turn());
        is_ready
    }

    #[test]
    fn the_earliest_has_its_turn_first() {
        let queue = Arc::new(Queue::default());
        let now = Instant::now();
        let second = queue.enter(now, 9).unwrap();
        let third = queue.enter(now, 9).unwrap();
        assert!(has_turn(&second));
        let first = queue.enter(now - Duration::from_millis(1), 9).unwrap();
        assert!(has_turn(&first), "it arrived earlier, and returns");
        assert!(!has_turn(&second));
        drop(first);
        assert!(has_turn(&second) && !has_turn(&third));
        drop(second);
        assert!(has_turn(&third));
    }

    #[test]
    fn the_queue_has_a_bound_and_an_entry_that_leaves_makes_room() {
        let queue = Arc::new(Queue::default());
        let now = Instant::now();
        let first = queue.enter(now, 2).unwrap();
        let second = queue.enter(now, 2).unwrap();
        assert!(queue.enter(now, 2).is_none());
        assert_eq!(queue.len(), 2);
        drop(second);
        assert_eq!(queue.len(), 1);
        let third = queue.enter(now, 2).unwrap();
        drop(first);
        assert!(has_turn(&third));
        drop(third);
        assert_eq!(queue.len(), 0);
    }

    #[tokio::test]
    async fn the_next_is_woken() {
        let queue = Arc::new(Queue::default());
        let now = Instant::now();
        let first = queue.enter(now, 9).unwrap();
        let second = queue.enter(now, 9).unwrap();
        let leave = async {
            tokio::task::yield_now().await;
            drop(first);
        };
        tokio::join!(second.turn(), leave);
    }
}
