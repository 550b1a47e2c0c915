//! Counts that exist from their first use on: of 10,000 routes most may have no requests today.
//!
//! Pure. Runs for every request.

use std::ops::Deref;
use std::sync::{Arc, OnceLock};

/// Counts that clones share, made when they are first used.
#[derive(Debug)]
pub struct WhenUsed<T>(Arc<OnceLock<Box<T>>>);

impl<T> WhenUsed<T> {
    /// The counts, if they were used.
    pub fn used(&self) -> Option<&T> {
        self.0.get().map(|counts| &**counts)
    }
}

impl<T: Default> Deref for WhenUsed<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.0.get_or_init(Box::default)
    }
}

impl<T> Default for WhenUsed<T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<T> Clone for WhenUsed<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::RouteCounts;

    #[test]
    fn counts_that_are_not_used_do_not_exist() {
        let counts = WhenUsed::<RouteCounts>::default();
        let shared = counts.clone();
        assert!(counts.used().is_none());
        counts.upgrades_tried.inc();
        assert_eq!(shared.used().map(|used| used.upgrades_tried.get()), Some(1));
    }
}
