//! Counts of things that begin and end.
//!
//! Pure. Runs for every request.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;

/// How many have begun, and how many have not ended.
#[derive(Debug, Default)]
pub struct InFlightCount {
    begun: Counter,
    open: Gauge,
}

/// Counts as open until it is dropped.
#[derive(Debug)]
#[must_use = "dropping it ends it"]
pub struct InFlightGuard(Gauge);

impl InFlightCount {
    /// Counts one that begins.
    pub fn begin(&self) -> InFlightGuard {
        self.begun.inc();
        self.resume()
    }

    /// Counts one that has begun before, was closed, and is open again.
    pub fn resume(&self) -> InFlightGuard {
        self.open.inc();
        InFlightGuard(self.open.clone())
    }

    /// How many have begun.
    pub fn begun(&self) -> u64 {
        self.begun.get()
    }

    /// How many are open.
    pub fn open(&self) -> i64 {
        self.open.get()
    }
}

impl Drop for InFlightGuard {
    fn drop(&mut self) {
        self.0.dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dropped_guard_is_no_longer_open() {
        let count = InFlightCount::default();
        let (one, other) = (count.begin(), count.begin());
        drop(one);
        assert_eq!((count.begun(), count.open()), (2, 1));
        drop(other);
        assert_eq!((count.begun(), count.open()), (2, 0));
        let _again = count.resume();
        assert_eq!((count.begun(), count.open()), (2, 1));
    }
}
