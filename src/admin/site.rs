//! What the admin listener tells of and gives orders to.
//!
//! Runs at start, at reload, or on a timer.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use arc_swap::ArcSwap;

use super::readiness::FirstAnswers;
use crate::config::InForce;
use crate::readiness::Readiness;
use crate::reload::Reloader;
use crate::snapshot::Current;
use crate::workers::Control;

/// What the admin listener tells of and gives orders to.
pub struct Site {
    /// The snapshot in force.
    pub current: Arc<Current>,
    /// The configuration in force.
    pub config: Arc<ArcSwap<InForce>>,
    /// The workers and their connections.
    pub control: Control,
    /// Whether new clients are wanted.
    pub readiness: Readiness,
    /// Whether each upstream had an answer since the start.
    pub first_answers: FirstAnswers,
    /// Whom to ask for a reload; `None` where there is no file to read anew.
    pub reloader: Option<Reloader>,
    /// Since when it serves.
    pub since: SystemTime,
}

impl fmt::Debug for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Site").field("since", &self.since).finish_non_exhaustive()
    }
}
