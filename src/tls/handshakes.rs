//! How many handshakes may be under way, and who has to leave when there are too many.
//!
//! A handshake costs memory and a signature, and its client has shown nothing yet. At the bound, the one
//! that has made no progress for longest is told to leave, once that is [`PATIENCE`]; until then new ones
//! wait, in the order of their arrival. So a client that opens many connections and is silent holds none for
//! long, and in a storm of honest clients each gets its turn.
//!
//! Progress is a whole flight of the client, not a byte: one byte a second would hold a handshake for
//! as long as its deadline allows.
//!
//! Runs for every request.

use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep_until, timeout_at};

use crate::Instant;

/// How long a handshake at the bound may make no progress.
pub(super) const PATIENCE: Duration = Duration::from_secs(1);

/// How long a client that waits lets another one leave before it tells the next.
const EVICTION_PAUSE: Duration = Duration::from_millis(100);

/// Bounds the handshakes of a listener. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Handshakes(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    free: Arc<Semaphore>,
    under_way: Mutex<UnderWay>,
}

/// The handshakes that were not told to leave.
#[derive(Debug, Default)]
struct UnderWay {
    /// By the time of their last progress.
    by_progress: BTreeMap<(Instant, u64), Arc<Eviction>>,
    next_id: u64,
}

/// Tells a handshake to leave.
#[derive(Debug, Default)]
struct Eviction(Mutex<(bool, Option<Waker>)>);

/// One handshake that is under way, until this is dropped.
#[derive(Debug)]
pub(crate) struct Handshake {
    shared: Arc<Shared>,
    key: (Instant, u64),
    eviction: Arc<Eviction>,
    _permit: OwnedSemaphorePermit,
}

/// Why a handshake has no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HandshakeStop {
    /// It took longer than `handshake_timeout`.
    TimedOut,
    /// It made no progress while others waited.
    Evicted,
    /// Its turn did not come within `handshake_timeout`.
    NoTurn,
}

impl Handshakes {
    /// At most `max` at the same time.
    pub(super) fn new(max: u32) -> Self {
        let free = Arc::new(Semaphore::new(max as usize));
        Self(Arc::new(Shared { free, under_way: Mutex::default() }))
    }

    /// How many are under way.
    #[cfg(test)]
    fn count(&self) -> usize {
        self.0.under_way().by_progress.len()
    }

    /// Waits for a turn, until `deadline` at most. Cancel safe: the turn goes to the next one.
    pub(super) async fn begin(&self, deadline: Instant) -> Result<Handshake, HandshakeStop> {
        let mut turn = pin!(self.0.free.clone().acquire_owned());
        let mut evicts_at = Instant::now();
        loop {
            let now = Instant::now();
            // The first poll is enough below the bound.
            let next = self.0.next_eviction().unwrap_or(now + PATIENCE).max(evicts_at);
            match timeout_at(next.min(deadline), turn.as_mut()).await {
                Ok(Ok(permit)) => return Ok(self.0.clone().register(permit)),
                Ok(Err(_closed)) => return Err(HandshakeStop::NoTurn),
                Err(_) if Instant::now() >= deadline => return Err(HandshakeStop::NoTurn),
                Err(_) => {
                    self.0.evict(Instant::now());
                    // One place is enough: it is free when the other task has run.
                    evicts_at = Instant::now() + EVICTION_PAUSE;
                }
            }
        }
    }
}

impl Shared {
    fn register(self: Arc<Self>, permit: OwnedSemaphorePermit) -> Handshake {
        let eviction = Arc::new(Eviction::default());
        let mut under_way = self.under_way();
        under_way.next_id += 1;
        let key = (Instant::now(), under_way.next_id);
        under_way.by_progress.insert(key, eviction.clone());
        drop(under_way);
        Handshake { shared: self, key, eviction, _permit: permit }
    }

    /// When the one that has made no progress for longest may be told to leave.
    fn next_eviction(&self) -> Option<Instant> {
        let under_way = self.under_way();
        let ((progress, _), _) = under_way.by_progress.first_key_value()?;
        Some(*progress + PATIENCE)
    }

    /// Tells the one that has made no progress for longest to leave, if it was patience enough at `now`.
    fn evict(&self, now: Instant) {
        let mut under_way = self.under_way();
        let Some(first) = under_way.by_progress.first_entry() else { return };
        if now.duration_since(first.key().0) >= PATIENCE {
            first.remove().tell();
        }
    }

    fn under_way(&self) -> MutexGuard<'_, UnderWay> {
        // No code under the lock panics.
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Eviction {
    fn tell(&self) {
        let mut state = self.state();
        state.0 = true;
        let waker = state.1.take();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn revoke(&self) {
        self.state().0 = false;
    }

    /// Whether the handshake was told to leave. If not, `waker` is woken when it is.
    fn is_told(&self, waker: &Waker) -> bool {
        let mut state = self.state();
        if !state.0 && !state.1.as_ref().is_some_and(|known| known.will_wake(waker)) {
            state.1 = Some(waker.clone());
        }
        state.0
    }

    fn state(&self) -> MutexGuard<'_, (bool, Option<Waker>)> {
        // No code under the lock panics.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Handshake {
    /// Polls `step` until it is done, until `deadline`, or until the handshake has to leave.
    pub(super) async fn run<F: Future + Unpin>(
        &self,
        mut step: F,
        deadline: Instant,
    ) -> Result<F::Output, HandshakeStop> {
        let mut timer = pin!(sleep_until(deadline));
        poll_fn(|cx| {
            // First: what the client has sent counts, though this thread had no time to read it.
            if let Poll::Ready(output) = Pin::new(&mut step).poll(cx) {
                return Poll::Ready(Ok(output));
            }
            if self.eviction.is_told(cx.waker()) {
                return Poll::Ready(Err(HandshakeStop::Evicted));
            }
            timer.as_mut().poll(cx).map(|()| Err(HandshakeStop::TimedOut))
        })
        .await
    }

    /// A flight of the client has arrived: moves behind those whose last progress was earlier, and stays
    /// if it was told to leave.
    pub(super) fn progress(&mut self) {
        let mut under_way = self.shared.under_way();
        under_way.by_progress.remove(&self.key);
        self.key.0 = Instant::now();
        self.eviction.revoke();
        under_way.by_progress.insert(self.key, self.eviction.clone());
    }
}

impl Drop for Handshake {
    fn drop(&mut self) {
        self.shared.under_way().by_progress.remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use futures_util::poll;
    use tokio::time::advance;

    use super::*;

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(10)
    }

    /// A handshake that never ends.
    fn silent() -> Pin<Box<dyn Future<Output = ()>>> {
        Box::pin(pending())
    }

    #[tokio::test(start_paused = true)]
    async fn below_the_bound_nobody_waits_or_leaves_before_the_deadline() {
        let handshakes = Handshakes::new(2);
        let first = handshakes.begin(soon()).await.unwrap();
        let begun = Instant::now();
        assert_eq!(first.run(silent(), soon()).await, Err(HandshakeStop::TimedOut));
        assert_eq!(begun.elapsed(), Duration::from_secs(10));
        drop(first);
        assert_eq!(handshakes.count(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn at_the_bound_the_one_without_progress_leaves_after_a_second() {
        let handshakes = Handshakes::new(2);
        let old = handshakes.begin(soon()).await.unwrap();
        advance(Duration::from_millis(500)).await;
        let young = handshakes.begin(soon()).await.unwrap();
        let mut young = Box::pin(young.run(silent(), soon()));
        assert!(poll!(&mut young).is_pending());

        let begun = Instant::now();
        let old = async move { old.run(silent(), soon()).await };
        let (stop, new) = tokio::join!(old, handshakes.begin(soon()));
        assert_eq!(stop, Err(HandshakeStop::Evicted));
        assert!(new.is_ok());
        assert_eq!(begun.elapsed(), Duration::from_millis(500));
        assert!(poll!(&mut young).is_pending());
    }

    #[tokio::test(start_paused = true)]
    async fn a_flight_of_the_client_is_progress() {
        let handshakes = Handshakes::new(1);
        let mut handshake = handshakes.begin(soon()).await.unwrap();
        advance(Duration::from_millis(900)).await;
        handshake.progress();

        let begun = Instant::now();
        let running = async move { handshake.run(silent(), soon()).await };
        let (stop, next) = tokio::join!(running, handshakes.begin(soon()));
        assert_eq!(stop, Err(HandshakeStop::Evicted));
        assert!(next.is_ok());
        assert_eq!(begun.elapsed(), PATIENCE, "counted from its progress");
    }

    #[tokio::test(start_paused = true)]
    async fn who_was_told_to_leave_and_has_sent_a_flight_meanwhile_stays() {
        let handshakes = Handshakes::new(1);
        let mut handshake = handshakes.begin(soon()).await.unwrap();
        advance(PATIENCE).await;
        handshakes.0.evict(Instant::now());
        assert_eq!(handshakes.count(), 0);
        assert_eq!(handshake.run(Box::pin(async { 7 }), soon()).await, Ok(7));
        handshake.progress();
        assert_eq!(handshakes.count(), 1);
        let mut next = Box::pin(handshake.run(silent(), soon()));
        assert!(poll!(&mut next).is_pending());
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_for_a_turn_has_an_end_and_keeps_the_order() {
        let handshakes = Handshakes::new(1);
        let first = handshakes.begin(soon()).await.unwrap();
        // It is polled by nobody, so that it does not leave.
        let begun = Instant::now();
        let late = handshakes.begin(soon()).await;
        assert_eq!(late.unwrap_err(), HandshakeStop::NoTurn);
        assert_eq!(begun.elapsed(), Duration::from_secs(10));

        let mut second = Box::pin(handshakes.begin(soon()));
        let mut third = Box::pin(handshakes.begin(soon()));
        assert!(poll!(&mut second).is_pending() && poll!(&mut third).is_pending());
        drop(first);
        assert!(poll!(&mut third).is_pending());
        assert!(poll!(&mut second).is_ready());
    }

    #[tokio::test(start_paused = true)]
    async fn a_storm_of_silent_connections_lets_honest_ones_through() {
        let handshakes = Handshakes::new(10);
        let attack = |_| async {
            while let Ok(handshake) = handshakes.begin(soon()).await {
                if handshake.run(silent(), soon()).await == Err(HandshakeStop::TimedOut) {
                    break;
                }
            }
        };
        let attackers = futures_util::future::join_all((0..50).map(attack));
        let honest = async {
            advance(Duration::from_millis(1)).await;
            let begun = Instant::now();
            let handshake = handshakes.begin(soon()).await.unwrap();
            let done = handshake.run(Box::pin(async { 7 }), soon()).await;
            assert_eq!(done, Ok(7));
            begun.elapsed()
        };
        let waited = tokio::select! {
            _ = attackers => panic!("they never end"),
            waited = honest => waited,
        };
        assert!(waited <= PATIENCE * 6, "{waited:?}");
    }
}
