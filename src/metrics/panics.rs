//! The panics of this process.
//!
//! Runs at start, at reload, or on a timer.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

static PANICS: AtomicU64 = AtomicU64::new(0);

/// Counts a panic: for the hook, which is of the process.
pub(crate) fn count_panic() {
    PANICS.fetch_add(1, Relaxed);
}

/// How many there were. 0 in programs that have a hook of their own.
pub(crate) fn panics() -> u64 {
    PANICS.load(Relaxed)
}
