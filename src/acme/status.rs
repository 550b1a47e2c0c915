//! What an operator sees of each name.
//!
//! Runs at start, at reload, or on a timer.

use std::sync::Arc;

use arc_swap::ArcSwap;
use prometheus_client::metrics::counter::Counter;

use super::failure::Failure;
use super::unix_time::UnixTime;

/// The state of a name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct NameStatus {
    /// The name.
    pub(crate) name: String,
    /// When the certificate expires. `None`: there is none.
    pub(crate) expires: Option<UnixTime>,
    /// When the next order is.
    pub(crate) next_order: Option<UnixTime>,
    /// Whether another process orders now, which has the lock.
    pub(crate) is_left_to_other: bool,
    /// Orders that failed since the last one that succeeded.
    pub(crate) failures: u32,
    /// What went wrong last, and what to do about it.
    pub(crate) failure: Option<String>,
}

impl NameStatus {
    /// The state of a name whose files cannot be read.
    pub(super) fn lost(name: &str, failure: &Failure) -> Self {
        let failure = format!("{}: {}", failure.what, failure.advice);
        Self { name: name.to_owned(), failure: Some(failure), ..Self::default() }
    }
}

/// The states of all names, and counts. Clones share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Status {
    names: Arc<ArcSwap<Vec<NameStatus>>>,
    /// Orders that ended with a certificate.
    pub(crate) issued: Counter,
    /// Orders that failed.
    pub(crate) failed: Counter,
}

impl Status {
    /// The states, in the order of the configuration.
    pub(crate) fn names(&self) -> Arc<Vec<NameStatus>> {
        self.names.load_full()
    }

    pub(super) fn show(&self, names: Vec<NameStatus>) {
        self.names.store(Arc::new(names));
    }
}
