//! What all parts of the mixed load share: where the proxy is, whether it is over, and what they saw.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use tokio::time::{Interval, MissedTickBehavior, interval};

/// The load's own view of the run.
pub struct Stage {
    pub proxy: SocketAddr,
    pub admin: SocketAddr,
    over: AtomicBool,
    counts: Mutex<BTreeMap<&'static str, usize>>,
    faults: Mutex<Vec<String>>,
    /// Finished drains: the node, and when it was drained and undrained, in milliseconds since 1970.
    pub drains: Mutex<Vec<(&'static str, u64, u64)>>,
}

impl Stage {
    pub fn new(proxy: SocketAddr, admin: SocketAddr) -> Self {
        Self {
            proxy,
            admin,
            over: AtomicBool::new(false),
            counts: Mutex::default(),
            faults: Mutex::default(),
            drains: Mutex::default(),
        }
    }

    /// Turns at this pace until it is over.
    pub fn turns(&self, pace: Duration) -> Turns<'_> {
        let mut pace = interval(pace);
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Turns { stage: self, pace, count: 0 }
    }

    /// Lets each part of the load come to its end.
    pub fn finish(&self) {
        self.over.store(true, Relaxed);
    }

    /// Notes that something was done `count` times.
    pub fn count(&self, what: &'static str, count: usize) {
        *self.counts.lock().unwrap().entry(what).or_default() += count;
    }

    /// How often something was done.
    pub fn counted(&self, what: &str) -> usize {
        self.counts.lock().unwrap().get(what).copied().unwrap_or_default()
    }

    /// How often each thing was done.
    pub fn counts(&self) -> BTreeMap<&'static str, usize> {
        self.counts.lock().unwrap().clone()
    }

    /// Notes that something was not as it should be.
    pub fn fault(&self, words: String) {
        self.faults.lock().unwrap().push(words);
    }

    /// Counts `what` if it was as it should be, else notes a fault.
    pub fn expect(&self, what: &'static str, holds: bool, saw: impl FnOnce() -> String) {
        match holds {
            true => self.count(what, 1),
            false => self.fault(format!("{what}: {}", saw())),
        }
    }

    /// All that was not as it should be.
    pub fn faults(&self) -> Vec<String> {
        self.faults.lock().unwrap().clone()
    }
}

/// Turns at a pace; what takes longer than that delays the next.
pub struct Turns<'a> {
    stage: &'a Stage,
    pace: Interval,
    count: usize,
}

impl Turns<'_> {
    /// The number of the next turn, from 0; `None` when it is over.
    pub async fn next(&mut self) -> Option<usize> {
        self.pace.tick().await;
        let number = self.count;
        self.count += 1;
        (!self.stage.over.load(Relaxed)).then_some(number)
    }
}
