//! How many requests and new sessions each client network may begin in a second.
//!
//! A network that has not reached its rate for a second is the same as an unknown one. So the table
//! forgets the older half of its networks when it is full, and strangers with many networks can at
//! most give each other a burst.
//!
//! Runs for every request.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tracing::warn;

use super::refusal::{RateBound, Refusal};
use crate::Instant;
use crate::clock::{AtomicInstant, Epoch};
use crate::net::ClientNetwork;
use crate::rate::{Rate, TokenBucket};

/// What each client network may do. By default there are no bounds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ClientLimits {
    /// Connections at the same time.
    pub(crate) connections: Option<NonZeroU32>,
    /// New sessions each second.
    pub(crate) sessions_per_second: Option<NonZeroU32>,
    /// Requests each second.
    pub(crate) requests_per_second: Option<NonZeroU32>,
}

/// The rates of all networks.
#[derive(Debug)]
pub(crate) struct ClientRates {
    limits: ClientLimits,
    base: Instant,
    shards: Box<[Mutex<Shard>]>,
    hasher: RandomState,
    warned_at: AtomicInstant,
}

#[derive(Debug, Default)]
struct Shard {
    young: HashMap<ClientNetwork, Buckets>,
    old: HashMap<ClientNetwork, Buckets>,
}

#[derive(Debug)]
struct Buckets {
    requests: TokenBucket,
    sessions: TokenBucket,
}

impl ClientRates {
    /// The rates of `limits`, `None` if there are none.
    pub(crate) fn new(limits: ClientLimits, now: Instant) -> Option<Self> {
        let ClientLimits { sessions_per_second, requests_per_second, connections: _ } = limits;
        sessions_per_second.or(requests_per_second)?;
        let shards = (0..SHARDS).map(|_| Mutex::default()).collect();
        let warned_at = AtomicInstant::new(Epoch::new(now));
        Some(Self { limits, base: now, shards, hasher: RandomState::new(), warned_at })
    }

    /// The limits.
    pub(crate) fn limits(&self) -> ClientLimits {
        self.limits
    }

    /// Counts a request of a client at `address`.
    ///
    /// # Errors
    ///
    /// Its network has reached a rate.
    pub(crate) fn count(
        &self,
        address: IpAddr,
        opens_session: bool,
        now: Instant,
    ) -> Result<(), Refusal> {
        let network = ClientNetwork::new(address);
        let mut shard = self.shard(network);
        let buckets = shard.buckets(network, self.base);
        let requests = self
            .limits
            .requests_per_second
            .map(|rate| (RateBound::Requests, buckets.requests.take(every(rate), now)));
        let sessions = self
            .limits
            .sessions_per_second
            .filter(|_| opens_session)
            .map(|rate| (RateBound::Sessions, buckets.sessions.take(every(rate), now)));
        drop(shard);
        for (bound, taken) in requests.into_iter().chain(sessions) {
            if let Err(next) = taken {
                self.warn(network, bound, now);
                return Err(Refusal::TooFast(bound, next.saturating_duration_since(now)));
            }
        }
        Ok(())
    }

    /// Logs that a bound was reached, once a minute for all networks.
    fn warn(&self, network: ClientNetwork, bound: RateBound, now: Instant) {
        let last = self.warned_at.get();
        if last.is_none_or(|last| now.saturating_duration_since(last) >= WARN_EVERY) {
            self.warned_at.set(Some(now));
            warn!(%network, bound = bound.key(), "a client network has reached a limit");
        }
    }

    fn shard(&self, network: ClientNetwork) -> MutexGuard<'_, Shard> {
        let index = (self.hasher.hash_one(network) % SHARDS as u64) as usize;
        // Each change of a shard is whole, so a panic elsewhere spoils nothing.
        self.shards[index].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shard {
    fn buckets(&mut self, network: ClientNetwork, base: Instant) -> &Buckets {
        if !self.young.contains_key(&network) && self.young.len() >= GENERATION_NETWORKS_MAX {
            self.old = std::mem::take(&mut self.young);
        }
        let old = &mut self.old;
        self.young.entry(network).or_insert_with(|| {
            let new = || TokenBucket::new(base);
            old.remove(&network).unwrap_or_else(|| Buckets { requests: new(), sessions: new() })
        })
    }
}

/// So many each second, and as many at once.
fn every(per_second: NonZeroU32) -> Rate {
    Rate { per_second, burst: per_second }
}

/// Many locks, so that workers seldom wait for each other.
const SHARDS: usize = 64;

/// Networks of one generation of a shard: 131,072 networks in all, about 12 MiB.
const GENERATION_NETWORKS_MAX: usize = 1024;

const WARN_EVERY: Duration = Duration::from_mins(1);

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn rates(sessions: u32, requests: u32) -> ClientRates {
        let limits = ClientLimits {
            connections: None,
            sessions_per_second: NonZeroU32::new(sessions),
            requests_per_second: NonZeroU32::new(requests),
        };
        ClientRates::new(limits, Instant::now()).unwrap()
    }

    #[test]
    fn each_network_has_its_own_rates() {
        let rates = rates(1, 3);
        let now = rates.base;
        let [one, same, other]: [IpAddr; 3] =
            ["2001:db8::1", "2001:db8::2", "10.0.0.1"].map(|text| text.parse().unwrap());
        let check = |address: IpAddr, opens: bool, millis: u64, expected| {
            let found = rates.count(address, opens, now + Duration::from_millis(millis)).err();
            let bound = found.map(|refusal| match refusal {
                Refusal::TooFast(bound, _) => bound,
                other => panic!("{other:?}"),
            });
            assert_eq!(bound, expected, "{address} {opens} {millis}");
        };
        check(one, true, 0, None);
        check(same, true, 0, Some(RateBound::Sessions));
        check(one, false, 0, None);
        check(one, false, 0, Some(RateBound::Requests));
        check(other, true, 0, None);
        check(one, false, 400, None);
        check(one, true, 1100, None);
    }

    #[test]
    fn the_table_is_bounded_and_who_asks_all_the_time_stays_in_it() {
        let rates = rates(0, 1);
        let busy: IpAddr = [192, 0, 2, 1].into();
        rates.count(busy, false, rates.base).unwrap();
        for number in 0..400_000_u32 {
            let address = Ipv4Addr::from(0x0a00_0000 + number).into();
            let _ = rates.count(address, false, rates.base);
            if number % 100 == 0 {
                assert!(rates.count(busy, false, rates.base).is_err(), "{number}");
            }
        }
        let entries = |shard: &Mutex<Shard>| {
            let shard = shard.lock().unwrap();
            shard.young.len() + shard.old.len()
        };
        let count: usize = rates.shards.iter().map(entries).sum();
        assert!(count <= 2 * SHARDS * GENERATION_NETWORKS_MAX, "{count}");
    }

    #[test]
    fn without_a_rate_there_is_no_table() {
        assert!(ClientRates::new(ClientLimits::default(), Instant::now()).is_none());
    }
}
