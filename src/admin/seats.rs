//! How many connections the admin listener has, and which of them gives way to a new one.
//!
//! Probes and operators come in over the same listener as anybody who reaches it. So a connection
//! never waits for others to end: when all seats are taken, the one that has been idle longest is
//! closed, those first that never sent a request.
//!
//! Runs at start, at reload, or on a timer.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, oneshot};
use tokio::time::sleep_until;

use crate::Instant;

/// The seats of the connections. Clones share them.
#[derive(Clone, Debug)]
pub(super) struct Seats(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    max: usize,
    taken: Mutex<Vec<Taken>>,
    left: Notify,
}

#[derive(Debug)]
struct Taken {
    number: u64,
    /// When it was taken, or when its last request began or was answered.
    since: Instant,
    has_asked: bool,
    is_asking: bool,
    /// Tells its owner to leave by being dropped.
    _stay: oneshot::Sender<()>,
}

/// The seat of one connection, given back on drop.
#[derive(Debug)]
pub(super) struct Seat {
    seats: Seats,
    number: u64,
    stay: oneshot::Receiver<()>,
}

/// Notes the requests of a seat's connection.
#[derive(Clone, Debug)]
pub(super) struct Requests {
    seats: Seats,
    number: u64,
}

impl Seats {
    /// So many seats, all free.
    pub(super) fn new(max: usize) -> Self {
        let (taken, left) = (Mutex::default(), Notify::new());
        Self(Arc::new(Shared { max, taken, left }))
    }

    /// Takes a seat. If there is none, another connection loses its seat; if all others are too
    /// new for that, waits until one is not, for [`IDLE_MIN`] or, if all are within requests,
    /// [`ASKING_MIN`] at most. Nothing is lost if the future is dropped.
    pub(super) async fn take(&self) -> Seat {
        loop {
            let now = Instant::now();
            let due = match self.vacate(now) {
                Ok(()) => return self.sit(now),
                Err(due) => due,
            };
            tokio::select! {
                () = sleep_until(due) => (),
                () = self.0.left.notified() => (),
            }
        }
    }

    /// Makes sure that a seat is free, or tells when one can be.
    fn vacate(&self, now: Instant) -> Result<(), Instant> {
        let mut taken = self.taken();
        if taken.len() < self.0.max {
            return Ok(());
        }
        // Who has asked stays while silence holds most of the seats; else one that is new would hold
        // the next up while others are idle.
        let silent = taken.iter().filter(|seat| !seat.has_asked).count();
        let is_silence_only = 2 * silent > self.0.max;
        let eligible = |seat: &&Taken| !(is_silence_only && seat.has_asked);
        let due = taken.iter().enumerate().filter(|(_, seat)| eligible(seat) && seat.due() <= now);
        let first = due.min_by_key(|(_, seat)| (seat.is_asking, seat.has_asked, seat.since));
        match (first, taken.iter().filter(eligible).map(Taken::due).min()) {
            (Some((index, _)), _) => _ = taken.swap_remove(index),
            (None, Some(due)) => return Err(due),
            (None, None) => (),
        }
        Ok(())
    }

    fn sit(&self, now: Instant) -> Seat {
        let mut taken = self.taken();
        let number = taken.iter().map(|seat| seat.number).max().map_or(0, |number| number + 1);
        let (sender, stay) = oneshot::channel();
        let (has_asked, is_asking) = (false, false);
        taken.push(Taken { number, since: now, has_asked, is_asking, _stay: sender });
        Seat { seats: self.clone(), number, stay }
    }

    fn taken(&self) -> MutexGuard<'_, Vec<Taken>> {
        // Nothing that is done under the lock panics.
        self.0.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Taken {
    /// When it may have to give way.
    fn due(&self) -> Instant {
        self.since + if self.is_asking { ASKING_MIN } else { IDLE_MIN }
    }
}

impl Seat {
    /// Notes its requests.
    pub(super) fn requests(&self) -> Requests {
        Requests { seats: self.seats.clone(), number: self.number }
    }

    /// Waits until another connection needs the seat. Nothing is lost if the future is dropped.
    pub(super) async fn lost(&mut self) {
        // Nothing is ever sent: the sender goes with the seat.
        let _ = (&mut self.stay).await;
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.seats.taken().retain(|seat| seat.number != self.number);
        self.seats.0.left.notify_one();
    }
}

impl Requests {
    /// A request has begun.
    pub(super) fn begin(&self, now: Instant) {
        self.note(now, true);
    }

    /// It is answered.
    pub(super) fn end(&self, now: Instant) {
        self.note(now, false);
    }

    fn note(&self, now: Instant, is_asking: bool) {
        let mut taken = self.seats.taken();
        if let Some(seat) = taken.iter_mut().find(|seat| seat.number == self.number) {
            (seat.since, seat.has_asked, seat.is_asking) = (now, true, is_asking);
        }
    }
}

/// A connection that has just come, or was just answered, has this long before it may have to give
/// way: its request, or the rest of its answer, is on the way.
const IDLE_MIN: Duration = Duration::from_millis(50);

/// Within a request it has this long: a reload that reads from a slow disk, a slow reader.
const ASKING_MIN: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether the connection is still wanted.
    fn stays(seat: &mut Seat) -> bool {
        seat.stay.try_recv() == Err(oneshot::error::TryRecvError::Empty)
    }

    #[tokio::test(start_paused = true)]
    async fn the_connection_that_is_idle_longest_gives_way() {
        let seats = Seats::new(3);
        let mut held = Vec::new();
        for _ in 0..3 {
            held.push(seats.take().await);
            tokio::time::advance(IDLE_MIN).await;
        }
        // One within a request, one that asked before, and one that never asked.
        held[0].requests().begin(Instant::now());
        held[1].requests().begin(Instant::now());
        held[1].requests().end(Instant::now());
        tokio::time::advance(IDLE_MIN).await;
        let mut check = async |expected: [bool; 3]| {
            held.push(seats.take().await);
            held.last().unwrap().requests().begin(Instant::now());
            let stay: Vec<bool> = held.iter_mut().take(3).map(stays).collect();
            assert_eq!(stay, expected);
        };
        check([true, true, false]).await;
        check([true, false, false]).await;
        // All are within requests: the oldest one gives way after a while.
        check([false, false, false]).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_new_connection_does_not_hold_up_the_next_while_others_are_idle() {
        let seats = Seats::new(32);
        let mut held = Vec::new();
        let mut take = async || {
            let seat = seats.take().await;
            seat.requests().begin(Instant::now());
            seat.requests().end(Instant::now());
            held.push(seat);
        };
        for _ in 0..32 {
            take().await;
        }
        let begun = Instant::now();
        for _ in 0..320 {
            take().await;
        }
        assert_eq!(begun.elapsed(), 10 * IDLE_MIN, "each seat changes hands every {IDLE_MIN:?}");

        tokio::time::advance(IDLE_MIN).await;
        let begun = Instant::now();
        let _silent = seats.take().await;
        take().await;
        assert_eq!(begun.elapsed(), Duration::ZERO, "the silent one has its moment");
    }

    #[tokio::test(start_paused = true)]
    async fn a_new_connection_has_a_moment_to_send_its_request() {
        let seats = Seats::new(1);
        let mut first = seats.take().await;
        let begun = Instant::now();
        let _second = seats.take().await;
        assert_eq!(begun.elapsed(), IDLE_MIN);
        assert!(!stays(&mut first));
    }

    #[tokio::test(start_paused = true)]
    async fn a_seat_that_is_given_back_is_free_at_once() {
        let seats = Seats::new(1);
        let first = seats.take().await;
        let begun = Instant::now();
        let leaves = async {
            tokio::time::sleep(IDLE_MIN / 2).await;
            drop(first);
        };
        let (_second, ()) = tokio::join!(seats.take(), leaves);
        assert!(begun.elapsed() < IDLE_MIN);
        assert_eq!(seats.taken().len(), 1);
    }
}
