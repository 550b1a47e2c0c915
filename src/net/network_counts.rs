//! How many connections each client network has.
//!
//! There is an entry for each network with a connection and no other, so that the limit of connections
//! bounds the memory.
//!
//! Runs for every request.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use tracing::warn;

use super::client_network::ClientNetwork;
use crate::Instant;

/// The connections of each network.
#[derive(Debug, Default)]
pub(super) struct NetworkCounts {
    /// The most that a network may have; 0 is any number.
    max: AtomicU32,
    open: Mutex<HashMap<ClientNetwork, u32>>,
    refused: Counter,
    /// When a refusal was logged last.
    logged_at: Mutex<Option<Instant>>,
}

impl NetworkCounts {
    /// Changes the limit. Connections that are open stay.
    pub(super) fn set_max(&self, max: u32) {
        self.max.store(max, Ordering::Relaxed);
    }

    /// Connections that were refused.
    pub(super) fn refused(&self) -> u64 {
        self.refused.get()
    }

    /// Counts a connection from `address`: `Ok(None)` if there is no limit.
    ///
    /// # Errors
    ///
    /// The network, if it has as many as it may have.
    pub(super) fn begin(&self, address: IpAddr) -> Result<Option<ClientNetwork>, ClientNetwork> {
        let max = self.max.load(Ordering::Relaxed);
        if max == 0 {
            return Ok(None);
        }
        let network = ClientNetwork::new(address);
        let mut open = self.open();
        let count = open.entry(network).or_default();
        if *count >= max {
            drop(open);
            self.refuse(network);
            return Err(network);
        }
        *count += 1;
        Ok(Some(network))
    }

    /// A connection that was counted has ended.
    pub(super) fn end(&self, network: ClientNetwork) {
        let mut open = self.open();
        if let Some(count) = open.get_mut(&network) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                open.remove(&network);
            }
        }
    }

    /// Counts a refusal, and logs one each minute.
    fn refuse(&self, network: ClientNetwork) {
        self.refused.inc();
        let mut logged_at = self.logged_at.lock().unwrap_or_else(PoisonError::into_inner);
        if logged_at.is_none_or(|logged_at| logged_at.elapsed() >= LOG_EVERY) {
            *logged_at = Some(Instant::now());
            warn!(
                %network,
                "connection refused: the network has as many as client_limits.connections allows"
            );
        }
    }

    fn open(&self) -> MutexGuard<'_, HashMap<ClientNetwork, u32>> {
        // Each change of the map is whole, so a panic elsewhere spoils nothing.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How often refusals are logged.
const LOG_EVERY: Duration = Duration::from_mins(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_network_has_its_own_bound_and_no_entry_is_left_behind() {
        let counts = NetworkCounts::default();
        let [one, same, other]: [IpAddr; 3] =
            ["2001:db8::1", "2001:db8::2", "10.0.0.1"].map(|text| text.parse().unwrap());
        assert_eq!(counts.begin(one), Ok(None), "there is no bound");
        counts.set_max(2);
        let first = counts.begin(one).unwrap().unwrap();
        let second = counts.begin(same).unwrap().unwrap();
        assert_eq!(counts.begin(one), Err(first));
        assert!(counts.begin(other).is_ok());
        assert_eq!(counts.refused(), 1);
        counts.end(second);
        assert!(counts.begin(same).is_ok());
        for network in [first, second, ClientNetwork::new(other)] {
            counts.end(network);
        }
        assert!(counts.open().is_empty());
    }
}
