//! How many bytes of request bodies a worker keeps in memory.
//!
//! Small bodies are read before a node is asked, and those of a session whose node is not known are
//! kept to be sent more than once. Each is bounded, and so are all together: what does not fit is
//! streamed instead.
//!
//! Runs for every request.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What is left of the bytes.
#[derive(Debug)]
pub(super) struct Budget(AtomicUsize);

/// Bytes that are taken from a budget, and given back on drop.
#[derive(Debug)]
pub(super) struct Reservation {
    budget: Arc<Budget>,
    bytes: usize,
}

impl Default for Budget {
    fn default() -> Self {
        Self(AtomicUsize::new(BYTES_MAX))
    }
}

impl Budget {
    /// Takes `bytes`; `None` if so many are not left.
    pub(super) fn reserve(self: &Arc<Self>, bytes: usize) -> Option<Reservation> {
        let take = |left: usize| left.checked_sub(bytes);
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).ok()?;
        Some(Reservation { budget: self.clone(), bytes })
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.budget.0.fetch_add(self.bytes, Ordering::Relaxed);
    }
}

/// For each worker, in bytes: 256 bodies of the largest size that is gathered.
const BYTES_MAX: usize = 16 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_lent_up_to_the_bound_and_given_back() {
        let budget = Arc::new(Budget::default());
        let most = budget.reserve(BYTES_MAX - 1).unwrap();
        assert!(budget.reserve(2).is_none());
        let last = budget.reserve(1).unwrap();
        drop(most);
        assert!(budget.reserve(BYTES_MAX - 1).is_some());
        drop(last);
        assert!(budget.reserve(BYTES_MAX).is_some());
    }
}
