//! How long a client may keep the proxy waiting.
//!
//! Pure. Runs for every request.

use std::time::Duration;

use super::Settings;
use super::progress::Phase;
use crate::Instant;

/// The timeouts of one connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deadlines {
    header_timeout: Duration,
    keep_alive_timeout: Duration,
    shutdown_at: Option<Instant>,
}

impl Deadlines {
    /// The timeouts of `settings`.
    pub(super) fn new(settings: &Settings) -> Self {
        Self {
            header_timeout: settings.header_timeout,
            keep_alive_timeout: settings.keep_alive_timeout,
            shutdown_at: None,
        }
    }

    /// The shutdown begins at `now`: an idle connection closes after [`LAST_REQUEST_TIMEOUT`].
    pub(super) fn shut_down(&mut self, now: Instant) {
        self.shutdown_at = Some(now);
    }

    /// The deadline of a connection that is in `phase` since `since`. `None` if it does not wait for the
    /// client. A new connection has the keep-alive timeout: browsers connect before they have a
    /// request.
    pub(super) fn due(&self, phase: Phase, since: Instant) -> Option<Instant> {
        match phase {
            Phase::Idle => {
                let keep_alive = since + self.keep_alive_timeout;
                let last = self.shutdown_at.map(|begun| since.max(begun) + LAST_REQUEST_TIMEOUT);
                Some(last.map_or(keep_alive, |last| last.min(keep_alive)))
            }
            Phase::Head => Some(since + self.header_timeout),
            Phase::Body | Phase::WriteBlocked => Some(since + STALL_TIMEOUT),
            Phase::Exchange | Phase::Refused | Phase::AnsweredEarly => None,
        }
    }
}

/// How long a client may send no byte of a body that is awaited, or read no byte of its answer.
/// nginx's value for both.
const STALL_TIMEOUT: Duration = Duration::from_secs(60);

/// How long an idle connection may still send a request after the shutdown began. The next poll of a
/// session may be under way, and closing the connection under it can end the session.
pub(super) const LAST_REQUEST_TIMEOUT: Duration = Duration::from_secs(1);
