//! How many clients may be connected at once, and their places.
//!
//! Runs for every request.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

/// The places for clients. Clones share them.
#[derive(Clone, Debug)]
pub struct Places(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    max: AtomicUsize,
    taken: AtomicUsize,
    given_back: Notify,
}

/// A client's place, among the others and among those of its worker: given back on drop. The
/// default is one that nobody counts.
#[derive(Debug, Default)]
pub struct Place {
    places: Option<Places>,
    worker: Option<Arc<AtomicUsize>>,
}

impl Places {
    /// So many places, all free.
    pub fn new(max: usize) -> Self {
        let (max, taken) = (AtomicUsize::new(max), AtomicUsize::new(0));
        Self(Arc::new(Shared { max, taken, given_back: Notify::new() }))
    }

    /// From now on there are so many. Nobody loses his place if they are fewer.
    pub fn set_max(&self, max: usize) {
        self.0.max.store(max, Ordering::Relaxed);
        self.0.given_back.notify_waiters();
    }

    /// How many there are.
    pub fn max(&self) -> usize {
        self.0.max.load(Ordering::Relaxed)
    }

    /// Whether one is free.
    pub fn are_free(&self) -> bool {
        self.0.taken.load(Ordering::Relaxed) < self.max()
    }

    /// Waits until one is free. Nothing is lost if the future is dropped.
    pub async fn freed(&self) {
        loop {
            let mut given_back = pin!(self.0.given_back.notified());
            // Before the look, or one that is given back between the two would be missed.
            given_back.as_mut().enable();
            if self.are_free() {
                return;
            }
            given_back.await;
        }
    }

    /// Takes a place, be it one too many.
    pub fn take(&self) -> Place {
        self.0.taken.fetch_add(1, Ordering::Relaxed);
        Place { places: Some(self.clone()), worker: None }
    }

    fn give_back(&self) {
        let taken = self.0.taken.fetch_sub(1, Ordering::Relaxed);
        if taken >= self.max() {
            self.0.given_back.notify_waiters();
        }
    }
}

impl Place {
    /// The same place, counted in `taken` too, which has those of a worker.
    pub fn at_worker(mut self, taken: &Arc<AtomicUsize>) -> Self {
        debug_assert!(self.worker.is_none(), "a client stays with its worker");
        taken.fetch_add(1, Ordering::Relaxed);
        self.worker = Some(taken.clone());
        self
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(taken) = &self.worker {
            taken.fetch_sub(1, Ordering::Relaxed);
        }
        if let Some(places) = &self.places {
            places.give_back();
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::poll;

    use super::*;

    #[tokio::test]
    async fn who_finds_no_place_waits_until_one_is_given_back_or_there_are_more() {
        let places = Places::new(2);
        places.freed().await;
        let (first, _second) = (places.take(), places.take());
        let mut freed = pin!(places.freed());
        let mut also_freed = pin!(places.freed());
        assert!(poll!(&mut freed).is_pending() && poll!(&mut also_freed).is_pending());
        drop(first);
        assert!(poll!(&mut freed).is_ready() && poll!(&mut also_freed).is_ready());

        let _third = places.take();
        let mut freed = pin!(places.freed());
        assert!(poll!(&mut freed).is_pending());
        places.set_max(3);
        assert!(poll!(&mut freed).is_ready());
    }

    #[test]
    fn nobody_loses_a_place_when_they_become_fewer() {
        let places = Places::new(3);
        let taken: Vec<Place> = (0..3).map(|_| places.take()).collect();
        places.set_max(1);
        assert!(!places.are_free());
        drop(taken);
        assert!(places.are_free());
    }

    #[test]
    fn a_place_is_counted_at_its_worker_too() {
        let (places, worker) = (Places::new(1), Arc::new(AtomicUsize::new(0)));
        let place = places.take().at_worker(&worker);
        assert_eq!(worker.load(Ordering::Relaxed), 1);
        drop(place);
        assert_eq!(worker.load(Ordering::Relaxed), 0);
    }
}
