//! How many bytes of request bodies a worker keeps in memory.
//!
//! Small bodies are read before a node is asked, and those of a session whose node is not known are
//! kept to be sent more than once. Each has a limit, and so have all together: what does not fit is
//! streamed.
//!
//! Runs for every request.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The bytes that are left.
#[derive(Debug)]
pub(super) struct Budget(AtomicUsize);

/// Bytes of a budget, returned on drop.
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
    /// Takes `bytes`; `None` if fewer are left.
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

/// For each worker, in bytes: 256 bodies of the largest size that is buffered.
const BYTES_MAX: usize = 16 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_reserved_up_to_the_limit_and_returned() {
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
