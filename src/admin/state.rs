//! What the endpoints show and control.
//!
//! Runs at start, at reload, or on a timer.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use arc_swap::ArcSwap;

use super::event_stream::EventStreams;
use super::readiness::FirstAnswers;
use super::recorder::Recorder;
use crate::acme;
use crate::config::InForce;
use crate::readiness::Readiness;
use crate::reload::Reloader;
use crate::snapshot::Current;
use crate::tasks::Tasks;
use crate::workers::Control;

/// What the endpoints of the admin listener show and control.
pub(crate) struct AdminState {
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
    /// Requests reloads. `None` if the server follows no file.
    pub reloader: Option<Reloader>,
    /// The certificates of the names that an authority issues them for.
    pub certificates: acme::Status,
    /// What happened since the start.
    pub recorder: Recorder,
    /// Streams of events.
    pub streams: EventStreams,
    /// What feeds the streams.
    pub tasks: Tasks,
    /// The start of the server.
    pub since: SystemTime,
}

impl fmt::Debug for AdminState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AdminState").field("since", &self.since).finish_non_exhaustive()
    }
}
