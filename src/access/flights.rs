//! Requests with the same credentials that arrive while the first of them is being checked wait for its
//! result.
//!
//! A page that reconnects sends several requests at once; one check is enough for them. A client that
//! leaves while its request is checked hands the check to the next that waits.
//!
//! Runs for every request.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::OnceCell;

use super::grant::Fields;
use super::grant_cache::CredentialKey;
use super::refusal::Refusal;

/// What a check found.
pub(super) type Checked = Result<Fields, Refusal>;

/// The checks that are under way. There is an entry for each, and none stays behind.
#[derive(Default)]
pub(super) struct Flights(Mutex<HashMap<CredentialKey, Arc<OnceCell<Checked>>>>);

/// A request that waits for a check, or makes it.
struct Passenger<'a> {
    flights: &'a Flights,
    key: CredentialKey,
    cell: Arc<OnceCell<Checked>>,
}

impl Flights {
    /// The result of the check of `key` that is under way, else of `check`.
    pub(super) async fn join(
        &self,
        key: CredentialKey,
        check: impl Future<Output = Checked>,
    ) -> Checked {
        let cell = self.cells().entry(key).or_default().clone();
        let passenger = Passenger { flights: self, key, cell };
        passenger.cell.get_or_init(|| check).await.clone()
    }

    /// How many checks are under way.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.cells().len()
    }

    fn cells(&self) -> MutexGuard<'_, HashMap<CredentialKey, Arc<OnceCell<Checked>>>> {
        // Each change of the map is whole, so a panic elsewhere spoils nothing.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request that arrives after the result needs a check of its own: the client may have logged in.
impl Drop for Passenger<'_> {
    fn drop(&mut self) {
        let mut cells = self.flights.cells();
        let is_last = Arc::strong_count(&self.cell) == 2;
        let is_same = cells.get(&self.key).is_some_and(|cell| Arc::ptr_eq(cell, &self.cell));
        if is_same && (is_last || self.cell.initialized()) {
            cells.remove(&self.key);
        }
    }
}

impl fmt::Debug for Flights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Flights").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use futures_util::FutureExt as _;
    use futures_util::future::join_all;

    use super::super::grant_cache::GrantCache;
    use super::*;

    #[tokio::test]
    async fn one_check_is_made_for_all_that_wait_and_nothing_stays_behind() {
        let (flights, checks) = (Flights::default(), AtomicUsize::new(0));
        let key = GrantCache::new(Duration::ZERO).key().finish();
        let check = || async {
            checks.fetch_add(1, Ordering::Relaxed);
            tokio::task::yield_now().await;
            Err(Refusal::Address)
        };
        let results = join_all((0..9).map(|_| flights.join(key, check()))).await;
        assert!(results.iter().all(|result| *result == Err(Refusal::Address)));
        assert_eq!(checks.load(Ordering::Relaxed), 1);
        assert!(flights.cells().is_empty());
        flights.join(key, check()).await.unwrap_err();
        assert_eq!(checks.load(Ordering::Relaxed), 2, "a result is not kept");
    }

    #[tokio::test]
    async fn a_client_that_leaves_hands_the_check_to_the_next() {
        let flights = Flights::default();
        let key = GrantCache::new(Duration::ZERO).key().finish();
        let mut leaving = Box::pin(flights.join(key, pending()));
        assert!(leaving.as_mut().now_or_never().is_none());
        let mut next = Box::pin(flights.join(key, async { Ok(Vec::new()) }));
        assert!(next.as_mut().now_or_never().is_none());
        drop(leaving);
        assert_eq!(next.await, Ok(Vec::new()));
        assert!(flights.cells().is_empty());
    }
}
