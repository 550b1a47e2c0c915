//! Who waits for a new session: in the order of their coming, and only so many.
//!
//! The first has its turn and tries until it succeeds or gives up; then comes the next. Whoever is
//! dropped has left the queue.
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
    /// Held for one look-up, and only by those who wait.
    line: Mutex<Line>,
}

#[derive(Debug, Default)]
struct Line {
    waiting: BTreeMap<Ticket, Option<Waker>>,
    next_number: u64,
}

/// A place in the line: who came earlier is before who came later.
type Ticket = (Instant, u64);

/// A place in the queue; to drop it is to leave.
#[derive(Debug)]
pub(super) struct Waiting {
    queue: Arc<Queue>,
    ticket: Ticket,
}

impl Queue {
    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.length.load(Ordering::Relaxed)
    }

    /// A place for one who came at `arrived`, before all who came later; `None` if `max` wait
    /// already.
    pub(super) fn enter(self: &Arc<Self>, arrived: Instant, max: usize) -> Option<Waiting> {
        let line = self.line();
        (line.waiting.len() < max).then(|| self.place(line, arrived))
    }

    /// As [`Queue::enter`], however many wait.
    pub(super) fn enter_anyway(self: &Arc<Self>, arrived: Instant) -> Waiting {
        self.place(self.line(), arrived)
    }

    fn place(self: &Arc<Self>, mut line: MutexGuard<'_, Line>, arrived: Instant) -> Waiting {
        let ticket = (arrived, line.next_number);
        line.next_number += 1;
        line.waiting.insert(ticket, None);
        self.length.store(line.waiting.len(), Ordering::Relaxed);
        drop(line);
        Waiting { queue: self.clone(), ticket }
    }

    fn line(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    /// Waits for the turn: all who came earlier have left. Nothing is lost if the future is dropped.
    pub(super) async fn turn(&self) {
        poll_fn(|cx| {
            let mut line = self.queue.line();
            if line.waiting.first_key_value().is_none_or(|(first, _)| *first == self.ticket) {
                return Poll::Ready(());
            }
            if let Some(waker) = line.waiting.get_mut(&self.ticket) {
                *waker = Some(cx.waker().clone());
            }
            Poll::Pending
        })
        .await;
    }

    /// Whether somebody who came earlier has come back to the queue.
    pub(super) fn has_turn(&self) -> bool {
        let line = self.queue.line();
        line.waiting.first_key_value().is_none_or(|(first, _)| *first == self.ticket)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let mut line = self.queue.line();
        line.waiting.remove(&self.ticket);
        self.queue.length.store(line.waiting.len(), Ordering::Relaxed);
        let next = line.waiting.first_entry().and_then(|mut next| next.get_mut().take());
        drop(line);
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

    fn has_turn(waiting: &Waiting) -> bool {
        let future = pin!(waiting.turn());
        let is_ready = future.poll(&mut Context::from_waker(Waker::noop())).is_ready();
        assert_eq!(is_ready, waiting.has_turn());
        is_ready
    }

    #[test]
    fn who_came_first_comes_first() {
        let queue = Arc::new(Queue::default());
        let now = Instant::now();
        let second = queue.enter(now, 9).unwrap();
        let third = queue.enter(now, 9).unwrap();
        assert!(has_turn(&second));
        let first = queue.enter(now - Duration::from_millis(1), 9).unwrap();
        assert!(has_turn(&first), "it came earlier, and comes back");
        assert!(!has_turn(&second));
        drop(first);
        assert!(has_turn(&second) && !has_turn(&third));
        drop(second);
        assert!(has_turn(&third));
    }

    #[test]
    fn the_queue_has_a_bound_and_those_who_leave_make_room() {
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
