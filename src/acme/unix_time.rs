//! Wall-clock time as certificates and files have it.
//!
//! Pure. Runs at start, at reload, or on a timer.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Whole seconds since 1970.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(transparent)]
pub(crate) struct UnixTime(pub(crate) u64);

impl UnixTime {
    /// A time as certificates have it; what is before 1970 is 1970.
    pub(super) fn from_signed(seconds: i64) -> Self {
        Self(u64::try_from(seconds).unwrap_or_default())
    }

    /// So much later.
    pub(super) fn after(self, wait: Duration) -> Self {
        Self(self.0.saturating_add(wait.as_secs()))
    }

    /// The time from `earlier` to this, zero if it is later.
    pub(super) fn since(self, earlier: Self) -> Duration {
        Duration::from_secs(self.0.saturating_sub(earlier.0))
    }
}
