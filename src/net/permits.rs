//! How many clients may be connected at the same time.
//!
//! Runs for every request.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

use super::client_network::ClientNetwork;
use super::network_counts::NetworkCounts;

/// Limits the number of clients. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct ConnectionLimit(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    max: AtomicUsize,
    used: AtomicUsize,
    freed: Notify,
    networks: NetworkCounts,
}

/// Counts one client against a [`ConnectionLimit`], against that of its listener, and against its worker,
/// until it is dropped. The default counts against nothing.
#[derive(Debug, Default)]
pub(crate) struct ConnectionPermit {
    limit: Option<ConnectionLimit>,
    network: Option<ClientNetwork>,
    listener: Option<ConnectionLimit>,
    worker: Option<Arc<AtomicUsize>>,
}

impl ConnectionLimit {
    /// A limit of `max` clients, none of which is connected.
    pub(crate) fn new(max: usize) -> Self {
        let (max, used) = (AtomicUsize::new(max), AtomicUsize::new(0));
        Self(Arc::new(Shared {
            max,
            used,
            freed: Notify::new(),
            networks: NetworkCounts::default(),
        }))
    }

    /// Changes the limit. Permits above a lower limit stay valid.
    pub(crate) fn set_max(&self, max: usize) {
        self.0.max.store(max, Ordering::Relaxed);
        self.0.freed.notify_waiters();
    }

    /// The limit.
    pub(crate) fn max(&self) -> usize {
        self.0.max.load(Ordering::Relaxed)
    }

    /// Whether there are as many clients as allowed.
    pub(crate) fn is_reached(&self) -> bool {
        self.0.used.load(Ordering::Relaxed) >= self.max()
    }

    /// Waits until the limit is not reached. Cancel safe.
    pub(crate) async fn below_max(&self) {
        loop {
            let mut freed = pin!(self.0.freed.notified());
            // Before the check: a permit that is dropped between the two must not be missed.
            freed.as_mut().enable();
            if !self.is_reached() {
                return;
            }
            freed.await;
        }
    }

    /// Issues a permit, also above the limit.
    pub(crate) fn issue(&self) -> ConnectionPermit {
        self.0.used.fetch_add(1, Ordering::Relaxed);
        let limit = Some(self.clone());
        ConnectionPermit { limit, network: None, listener: None, worker: None }
    }

    /// Issues a permit for a client at `address`, also above the limit of all clients.
    ///
    /// # Errors
    ///
    /// The client's network, if it has as many connections as it may have.
    pub(crate) fn issue_for(&self, address: IpAddr) -> Result<ConnectionPermit, ClientNetwork> {
        let network = self.0.networks.begin(address)?;
        let mut permit = self.issue();
        permit.network = network;
        Ok(permit)
    }

    /// Changes how many connections each client network may have; `None`: any number.
    pub(crate) fn set_network_max(&self, max: Option<NonZeroU32>) {
        self.0.networks.set_max(max.map_or(0, NonZeroU32::get));
    }

    /// How many connections were refused because their network had too many.
    pub(crate) fn refused(&self) -> u64 {
        self.0.networks.refused()
    }

    fn give_back(&self) {
        let used = self.0.used.fetch_sub(1, Ordering::Relaxed);
        if used >= self.max() {
            self.0.freed.notify_waiters();
        }
    }
}

impl ConnectionPermit {
    /// Counts another client of the same worker: a WebSocket that shares its connection with others.
    /// `None` if there are as many clients as allowed.
    pub(crate) fn another(&self) -> Option<Self> {
        if self.limits().any(ConnectionLimit::is_reached) {
            return None;
        }
        let mut another = self.limit.as_ref().map(ConnectionLimit::issue).unwrap_or_default();
        if let Some(listener) = &self.listener {
            another = another.of_listener(listener);
        }
        Some(match &self.worker {
            Some(worker) => another.for_worker(worker),
            None => another,
        })
    }

    /// Counts the client against the limit of its network, too: it is at `address`, which was not known
    /// when the permit was issued.
    ///
    /// # Errors
    ///
    /// The client's network, if it has as many connections as it may have.
    pub(crate) fn of_network(mut self, address: IpAddr) -> Result<Self, ClientNetwork> {
        debug_assert!(self.network.is_none(), "a client has one network");
        if let Some(limit) = &self.limit {
            self.network = limit.0.networks.begin(address)?;
        }
        Ok(self)
    }

    /// Counts the client against the limit of its listener, too.
    pub(crate) fn of_listener(mut self, listener: &ConnectionLimit) -> Self {
        debug_assert!(self.listener.is_none(), "a client has one listener");
        listener.0.used.fetch_add(1, Ordering::Relaxed);
        self.listener = Some(listener.clone());
        self
    }

    fn limits(&self) -> impl Iterator<Item = &ConnectionLimit> {
        self.limit.iter().chain(&self.listener)
    }

    /// Counts the client in `connections`, those of its worker, too.
    pub(crate) fn for_worker(mut self, connections: &Arc<AtomicUsize>) -> Self {
        debug_assert!(self.worker.is_none(), "a client stays with its worker");
        connections.fetch_add(1, Ordering::Relaxed);
        self.worker = Some(connections.clone());
        self
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        if let Some(connections) = &self.worker {
            connections.fetch_sub(1, Ordering::Relaxed);
        }
        if let (Some(limit), Some(network)) = (&self.limit, self.network) {
            limit.0.networks.end(network);
        }
        self.limits().for_each(ConnectionLimit::give_back);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::poll;

    use super::*;

    #[tokio::test]
    async fn a_limit_that_is_reached_waits_for_a_dropped_permit_or_a_higher_limit() {
        let limit = ConnectionLimit::new(2);
        limit.below_max().await;
        let (first, _second) = (limit.issue(), limit.issue());
        let mut one = pin!(limit.below_max());
        let mut other = pin!(limit.below_max());
        assert!(poll!(&mut one).is_pending() && poll!(&mut other).is_pending());
        drop(first);
        assert!(poll!(&mut one).is_ready() && poll!(&mut other).is_ready());

        let _third = limit.issue();
        let mut waits = pin!(limit.below_max());
        assert!(poll!(&mut waits).is_pending());
        limit.set_max(3);
        assert!(poll!(&mut waits).is_ready());
    }

    #[test]
    fn permits_stay_valid_under_a_lower_limit() {
        let limit = ConnectionLimit::new(3);
        let permits: Vec<ConnectionPermit> = (0..3).map(|_| limit.issue()).collect();
        limit.set_max(1);
        assert!(limit.is_reached());
        drop(permits);
        assert!(!limit.is_reached());
    }

    #[test]
    fn another_client_of_a_connection_counts_like_the_first() {
        let (limit, worker) = (ConnectionLimit::new(2), Arc::new(AtomicUsize::new(0)));
        let permit = limit.issue().for_worker(&worker);
        let another = permit.another().unwrap();
        assert_eq!(worker.load(Ordering::Relaxed), 2);
        assert!(permit.another().is_none(), "the limit is reached");
        drop(another);
        assert_eq!(worker.load(Ordering::Relaxed), 1);
        assert!(permit.another().is_some());
        assert!(ConnectionPermit::default().another().is_some());
    }

    #[test]
    fn a_permit_counts_against_its_listener_too() {
        let (limit, listener) = (ConnectionLimit::new(9), ConnectionLimit::new(2));
        let permit = limit.issue().of_listener(&listener);
        let another = permit.another().unwrap();
        assert!(listener.is_reached() && permit.another().is_none());
        drop(another);
        assert!(!listener.is_reached() && permit.another().is_some());
    }

    #[test]
    fn a_client_that_is_known_late_counts_against_its_network() {
        let limit = ConnectionLimit::new(9);
        limit.set_network_max(NonZeroU32::new(1));
        let [client, other]: [IpAddr; 2] = ["192.0.2.1", "192.0.2.2"].map(|ip| ip.parse().unwrap());
        let first = limit.issue().of_network(client).unwrap();
        assert!(limit.issue().of_network(client).is_err());
        assert!(limit.issue_for(client).is_err(), "the same count");
        assert!(limit.issue().of_network(other).is_ok());
        drop(first);
        assert!(limit.issue().of_network(client).is_ok());
    }

    #[test]
    fn a_permit_counts_against_its_worker_too() {
        let (limit, worker) = (ConnectionLimit::new(1), Arc::new(AtomicUsize::new(0)));
        let permit = limit.issue().for_worker(&worker);
        assert_eq!(worker.load(Ordering::Relaxed), 1);
        drop(permit);
        assert_eq!(worker.load(Ordering::Relaxed), 0);
    }
}
