//! Counts of what begins and ends.
//!
//! Pure. Runs for every request.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;

/// How many there were, and how many there are.
#[derive(Debug, Default)]
pub struct OpenCount {
    begun: Counter,
    open: Gauge,
}

/// One that is open, until this is dropped.
#[derive(Debug)]
#[must_use = "dropping it ends it"]
pub struct Open(Gauge);

impl OpenCount {
    /// One more begins.
    pub fn begin(&self) -> Open {
        self.begun.inc();
        self.resume()
    }

    /// One that had begun, and was not open meanwhile, is open again.
    pub fn resume(&self) -> Open {
        self.open.inc();
        Open(self.open.clone())
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

impl Drop for Open {
    fn drop(&mut self) {
        self.0.dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_dropped_is_open_no_more() {
        let count = OpenCount::default();
        let (one, other) = (count.begin(), count.begin());
        drop(one);
        assert_eq!((count.begun(), count.open()), (2, 1));
        drop(other);
        assert_eq!((count.begun(), count.open()), (2, 0));
        let _again = count.resume();
        assert_eq!((count.begun(), count.open()), (2, 1));
    }
}
