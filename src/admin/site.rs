//! What the admin listener tells of and gives orders to.
//!
//! Runs at start, at reload, or on a timer.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::SystemTime;

use arc_swap::ArcSwap;

use crate::config::{Config, Problems};
use crate::drain::DrainWatch;
use crate::metrics::Reloads;
use crate::snapshot::Current;
use crate::workers::Control;

/// What the admin listener tells of and gives orders to.
pub struct Site {
    /// The snapshot in force.
    pub current: Arc<Current>,
    /// The configuration in force.
    pub config: Arc<ArcSwap<Config>>,
    /// The workers and their connections.
    pub control: Control,
    /// Begins when the process stops.
    pub stop: DrainWatch,
    /// How reloads went.
    pub reloads: Arc<Reloads>,
    /// Whom to ask for a reload; `None` where there is no file to read anew.
    pub reload: Option<Arc<dyn Reload>>,
    /// Since when it serves.
    pub since: SystemTime,
}

/// Who can put the configuration's file in force anew.
pub trait Reload: Send + Sync {
    /// Does so, and says what has changed, one line each; nothing perhaps.
    fn reload(&self) -> Reloading<'_>;

    /// The last reload, whoever asked for it; `None` if there was none.
    fn last(&self) -> Option<LastReload>;
}

/// A reload under way. To drop it may leave it to go on.
pub type Reloading<'a> =
    Pin<Box<dyn Future<Output = Result<Vec<String>, ReloadFailure>> + Send + 'a>>;

/// The last reload.
#[derive(Clone, Debug)]
pub struct LastReload {
    /// When it ended.
    pub at: SystemTime,
    /// Why all is as before, if so.
    pub failure: Option<String>,
}

/// Why a reload changed nothing.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ReloadFailure {
    /// The file is wrong.
    #[error("{0}")]
    Problems(Problems),
    /// The file is right but cannot be put in force: an address is taken, or two nodes cannot be
    /// told apart.
    #[error("{0}")]
    Conflict(String),
    /// The process stops.
    #[error("the process is stopping")]
    Stopping,
}

impl fmt::Debug for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Site").field("since", &self.since).finish_non_exhaustive()
    }
}
