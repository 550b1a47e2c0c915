//! How long a client may keep us waiting.
//!
//! Pure. Runs for every request.

use std::time::Duration;

use super::Settings;
use super::progress::Phase;
use crate::Instant;

/// The patience of one connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deadlines {
    header_timeout: Duration,
    keep_alive_timeout: Duration,
    drained_at: Option<Instant>,
}

impl Deadlines {
    /// As the operator says.
    pub(super) fn of(settings: &Settings) -> Self {
        Self {
            header_timeout: settings.header_timeout,
            keep_alive_timeout: settings.keep_alive_timeout,
            drained_at: None,
        }
    }

    /// A drain begins at `now`: what is idle is closed after [`LAST_REQUEST_TIMEOUT`].
    pub(super) fn drain(&mut self, now: Instant) {
        self.drained_at = Some(now);
    }

    /// When a connection that is in `phase` since `since` has waited long enough; `None` where it
    /// does not wait for the client. A new connection has the time of one that is kept alive:
    /// browsers connect before they have a request.
    pub(super) fn due(&self, phase: Phase, since: Instant) -> Option<Instant> {
        match phase {
            Phase::Idle => {
                let kept = since + self.keep_alive_timeout;
                let drained = self.drained_at.map(|begun| since.max(begun) + LAST_REQUEST_TIMEOUT);
                Some(drained.map_or(kept, |drained| drained.min(kept)))
            }
            Phase::Head => Some(since + self.header_timeout),
            Phase::Body | Phase::Clogged => Some(since + STALL_TIMEOUT),
            Phase::Exchange | Phase::Refused | Phase::Early => None,
        }
    }
}

/// How long a client may go without sending a byte of its body that is waited for, or without
/// taking a byte of its answer. nginx's value for both.
const STALL_TIMEOUT: Duration = Duration::from_secs(60);

/// How long an idle connection may still bring a request after a drain began. A session that polls
/// is between two polls for a moment only: its next one may be on its way, and a connection that is
/// closed under it can cost the session.
const LAST_REQUEST_TIMEOUT: Duration = Duration::from_secs(1);
