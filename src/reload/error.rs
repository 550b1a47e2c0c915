//! Why a reload fails.
//!
//! Runs at start, at reload, or on a timer.

use tokio::task::JoinError;

use crate::config::Problems;
use crate::listener::BindError;
use crate::logging::error_chain;
use crate::snapshot::SnapshotError;

/// Why a reload changed nothing.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// The file has problems.
    #[error("{0}")]
    Problems(Problems),
    /// A new address cannot be listened on. An address that overlaps with one in use counts as taken,
    /// such as `0.0.0.0:80` while `127.0.0.1:80` is in use, even if the latter is to be removed: this
    /// needs a restart.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// Two nodes have the same tag, or a file of keys cannot be used.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// The code that reads the file panicked.
    #[error("reading the configuration failed")]
    Broken(#[source] JoinError),
    /// The configuration came from a pipe or from standard input.
    #[error(
        "the configuration came from a pipe, which can be read once only: restart to change it"
    )]
    ReadOnce,
    /// The process shuts down and no longer changes its configuration.
    #[error("the process is stopping")]
    Stopping,
}

impl ReloadError {
    /// The error and its sources on one line, for a log.
    pub fn on_one_line(&self) -> String {
        match self {
            Self::Problems(problems) => problems.on_one_line(),
            Self::Bind(_)
            | Self::Snapshot(_)
            | Self::Broken(_)
            | Self::ReadOnce
            | Self::Stopping => error_chain(self).split_whitespace().collect::<Vec<_>>().join(" "),
        }
    }

    /// How many problems the file has. `None` if the file is not the reason.
    pub(super) fn problems(&self) -> Option<usize> {
        match self {
            Self::Problems(problems) => Some(problems.iter().count()),
            Self::Bind(_)
            | Self::Snapshot(_)
            | Self::Broken(_)
            | Self::ReadOnce
            | Self::Stopping => None,
        }
    }
}
