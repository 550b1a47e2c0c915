//! One session that began in polling: what was observed of it, and the verdict.
//!
//! Pure. Runs for every request.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::Settings;
use crate::Instant;
use crate::engineio::{SessionBounds, Sid};
use crate::tunnel::{SessionId, UpgradeProgress, UpgradeStep};

/// A session as far as it was observed.
#[derive(Debug)]
pub(super) struct Session {
    id: SessionId,
    /// The sid in the form for logs.
    shown: Box<str>,
    node: Arc<str>,
    client: IpAddr,
    opened_at: Instant,
    /// The last poll or post.
    polled_at: Instant,
    /// When it was opened, or last tried to upgrade.
    tried_at: Instant,
    silence_max: Duration,
    attempt: Attempt,
}

/// A session that polls, as it is now.
#[derive(Clone, Debug)]
pub(crate) struct PollingSession {
    /// Names it to operators.
    pub(crate) id: SessionId,
    /// The sid in the form for logs.
    pub(crate) shown: String,
    /// The node that opened it.
    pub(crate) node: Arc<str>,
    /// The client that opened it.
    pub(crate) client: IpAddr,
    /// When it was opened.
    pub(crate) opened_at: Instant,
    /// The last poll or post.
    pub(crate) polled_at: Instant,
    /// When it was opened, or last tried to upgrade.
    pub(crate) tried_at: Instant,
    /// Why it is stuck, if it is.
    pub(crate) stuck: Option<Verdict>,
}

/// What the proxy sees of a session besides a 101.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Observation {
    /// A poll or a post.
    Polled,
    /// A request for the WebSocket.
    UpgradeRequested,
    /// A request for the WebSocket, but without `Upgrade: websocket`.
    UpgradeHeaderMissing,
    /// A node refused the upgrade, for this cause as metrics name it.
    RefusedByNode(&'static str),
    /// The proxy refused the upgrade, with this error as metrics name it.
    FailedInProxy(&'static str),
}

/// The latest attempt to upgrade.
#[derive(Debug)]
enum Attempt {
    None,
    Unanswered,
    HeaderMissing,
    RefusedByNode(&'static str),
    FailedInProxy(&'static str),
    Switched(Arc<UpgradeProgress>),
}

/// The result of a session, when nothing more is expected of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It uses its WebSocket, since this long after its handshake.
    Upgraded(Duration),
    /// It kept polling and never asked for a WebSocket.
    NeverRequested,
    /// It kept polling; its handshake came without `Upgrade: websocket`.
    UpgradeHeaderMissing,
    /// It kept polling; a node refused the upgrade, for this cause.
    RefusedByNode(&'static str),
    /// It kept polling; the upgrade failed with this error, or the client did not wait for the
    /// answer.
    FailedInProxy(&'static str),
    /// It kept polling; there was a 101 and no `2probe`.
    NoProbe,
    /// It kept polling; the node did not answer `2probe`.
    ProbeUnanswered,
    /// It kept polling; the client never sent `5`.
    Unfinished,
    /// There was a 101, and the frames after it are compressed.
    Unreadable,
    /// It left before its result could be known.
    Left,
    /// Too many sessions were followed already.
    NotFollowed,
}

impl Session {
    /// The session of a handshake that was answered at `now`.
    pub(super) fn new(
        sid: &Sid,
        silence_max: Option<Duration>,
        (node, client): (Arc<str>, IpAddr),
        now: Instant,
    ) -> Self {
        Self {
            id: SessionId::next(),
            client,
            shown: sid.to_string().into(),
            node,
            opened_at: now,
            polled_at: now,
            tried_at: now,
            silence_max: silence_max.unwrap_or(SessionBounds::POLL_UNKNOWN),
            attempt: Attempt::None,
        }
    }

    /// Names it to operators.
    pub(super) fn id(&self) -> SessionId {
        self.id
    }

    /// What it is now, if it polls.
    pub(super) fn polling(&self, settings: Settings) -> Option<PollingSession> {
        let is_upgraded = matches!(self.result(), Verdict::Upgraded(_));
        (!is_upgraded).then(|| PollingSession {
            id: self.id,
            shown: self.shown.to_string(),
            node: self.node.clone(),
            client: self.client,
            opened_at: self.opened_at,
            polled_at: self.polled_at,
            tried_at: self.tried_at,
            stuck: self.stuck(settings),
        })
    }

    /// Records an observation. After a 101, no failure replaces the attempt.
    pub(super) fn observe(&mut self, observation: Observation, now: Instant) {
        let attempt = match observation {
            Observation::Polled => {
                self.polled_at = now;
                return;
            }
            Observation::UpgradeRequested => Attempt::Unanswered,
            Observation::UpgradeHeaderMissing => Attempt::HeaderMissing,
            Observation::RefusedByNode(cause) => Attempt::RefusedByNode(cause),
            Observation::FailedInProxy(error) => Attempt::FailedInProxy(error),
        };
        match &self.attempt {
            Attempt::Switched(_) => (),
            Attempt::None
            | Attempt::Unanswered
            | Attempt::HeaderMissing
            | Attempt::RefusedByNode(_)
            | Attempt::FailedInProxy(_) => {
                self.attempt = attempt;
                self.tried_at = now;
            }
        }
    }

    /// Records a 101. Two of them share one `UpgradeProgress`: the furthest step counts.
    pub(super) fn upgrade_accepted(&mut self, now: Instant) -> Arc<UpgradeProgress> {
        self.tried_at = now;
        match &self.attempt {
            Attempt::Switched(progress) => progress.clone(),
            Attempt::None
            | Attempt::Unanswered
            | Attempt::HeaderMissing
            | Attempt::RefusedByNode(_)
            | Attempt::FailedInProxy(_) => {
                let progress = Arc::new(UpgradeProgress::new(self.opened_at));
                self.attempt = Attempt::Switched(progress.clone());
                progress
            }
        }
    }

    /// The verdict, if it is upgraded or nothing more is expected of it.
    pub(super) fn verdict(&self, settings: Settings, now: Instant) -> Option<Verdict> {
        let result = self.result();
        if matches!(result, Verdict::Upgraded(_)) {
            return Some(result);
        }
        let silence = now.saturating_duration_since(self.polled_at);
        if silence <= self.silence_max {
            return None;
        }
        let is_known = self.kept_polling(settings) || result == Verdict::Unreadable;
        Some(if is_known { result } else { Verdict::Left })
    }

    /// Why it is stuck, if it keeps polling although it should be upgraded by now.
    pub(super) fn stuck(&self, settings: Settings) -> Option<Verdict> {
        let result = self.result();
        let is_upgraded = matches!(result, Verdict::Upgraded(_));
        (self.kept_polling(settings) && !is_upgraded).then_some(result)
    }

    /// The sid in the form for logs.
    pub(super) fn shown(&self) -> &str {
        &self.shown
    }

    /// The node that opened it.
    pub(super) fn node(&self) -> &str {
        &self.node
    }

    /// How long ago it was opened.
    pub(super) fn age(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.opened_at)
    }

    /// Whether it still polled when an upgrade would have been completed or given up.
    fn kept_polling(&self, settings: Settings) -> bool {
        self.polled_at.saturating_duration_since(self.tried_at) >= settings.upgrade_max
    }

    fn result(&self) -> Verdict {
        let progress = match &self.attempt {
            Attempt::None => return Verdict::NeverRequested,
            Attempt::Unanswered => return Verdict::FailedInProxy("client_gone"),
            Attempt::HeaderMissing => return Verdict::UpgradeHeaderMissing,
            Attempt::RefusedByNode(cause) => return Verdict::RefusedByNode(cause),
            Attempt::FailedInProxy(error) => return Verdict::FailedInProxy(error),
            Attempt::Switched(progress) => progress,
        };
        match progress.step() {
            UpgradeStep::Switched => Verdict::NoProbe,
            UpgradeStep::Probed => Verdict::ProbeUnanswered,
            UpgradeStep::Answered => Verdict::Unfinished,
            UpgradeStep::Unreadable => Verdict::Unreadable,
            UpgradeStep::Upgraded => {
                Verdict::Upgraded(progress.upgraded_after().unwrap_or_default())
            }
        }
    }
}

impl Verdict {
    /// Outcome and cause, as metrics and logs name them.
    pub fn labels(self) -> [&'static str; 2] {
        match self {
            Self::Upgraded(_) => ["upgraded", "none"],
            Self::NeverRequested => ["never_tried", "none"],
            Self::UpgradeHeaderMissing => ["stripped", "none"],
            Self::RefusedByNode(cause) => ["refused", cause],
            Self::FailedInProxy(error) => ["failed", error],
            Self::NoProbe => ["no_probe", "none"],
            Self::ProbeUnanswered => ["probe_unanswered", "none"],
            Self::Unfinished => ["unfinished", "none"],
            Self::Unreadable => ["unreadable", "none"],
            Self::Left => ["left", "none"],
            Self::NotFollowed => ["unfollowed", "none"],
        }
    }

    /// How long the upgrade took, if there was one.
    pub(super) fn upgraded_after(self) -> Option<Duration> {
        match self {
            Self::Upgraded(after) => Some(after),
            Self::NeverRequested
            | Self::UpgradeHeaderMissing
            | Self::RefusedByNode(_)
            | Self::FailedInProxy(_)
            | Self::NoProbe
            | Self::ProbeUnanswered
            | Self::Unfinished
            | Self::Unreadable
            | Self::Left
            | Self::NotFollowed => None,
        }
    }
}
