//! One session that began in polling: what was seen of it, and what is to be made of that.
//!
//! Pure. Runs for every request.

use std::sync::Arc;
use std::time::Duration;

use super::Settings;
use crate::Instant;
use crate::engineio::{SessionBounds, Sid};
use crate::tunnel::{UpgradeStep, UpgradeProgress};

/// A session as far as it was seen.
#[derive(Debug)]
pub(super) struct Session {
    /// The sid as it may be shown.
    shown: Box<str>,
    node: Arc<str>,
    opened_at: Instant,
    /// The last poll or post.
    polled_at: Instant,
    /// When it was opened, or tried to upgrade for the last time.
    tried_at: Instant,
    silence_max: Duration,
    attempt: Attempt,
}

/// What is seen of a session besides a 101.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sight {
    /// A poll or a post.
    Polled,
    /// It asks for the WebSocket.
    Tried,
    /// It asks for the WebSocket, but without `Upgrade: websocket`.
    Stripped,
    /// A node said no, for this cause as metrics have it.
    Refused(&'static str),
    /// The proxy said no, by this error as metrics have it.
    Failed(&'static str),
}

/// What became of the upgrade.
#[derive(Debug)]
enum Attempt {
    Never,
    Unanswered,
    Stripped,
    Refused(&'static str),
    Failed(&'static str),
    Switched(Arc<UpgradeProgress>),
}

/// What is to be said of a session at its last sight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It lives on its WebSocket, since so long after its handshake.
    Upgraded(Duration),
    /// It polled on and never asked for a WebSocket.
    NeverTried,
    /// It polled on; its handshake came without `Upgrade: websocket`.
    Stripped,
    /// It polled on; a node refused, for this cause.
    Refused(&'static str),
    /// It polled on; we refused by this error, or the client did not wait for the answer.
    Failed(&'static str),
    /// It polled on; there was a 101 and no `2probe`.
    NoProbe,
    /// It polled on; the node did not answer `2probe`.
    ProbeUnanswered,
    /// It polled on; the client never sent `5`.
    Unfinished,
    /// There was a 101, and what was said behind it is compressed.
    Unreadable,
    /// It was gone before it could be known.
    Left,
    /// Too many sessions were followed already.
    Unfollowed,
}

impl Session {
    /// The session of a handshake that was answered at `now`.
    pub(super) fn new(
        sid: &Sid,
        silence_max: Option<Duration>,
        node: Arc<str>,
        now: Instant,
    ) -> Self {
        Self {
            shown: sid.to_string().into(),
            node,
            opened_at: now,
            polled_at: now,
            tried_at: now,
            silence_max: silence_max.unwrap_or(SessionBounds::POLL_UNKNOWN),
            attempt: Attempt::Never,
        }
    }

    /// Takes note of what was seen. After a 101 nothing worse can be said of the upgrade.
    pub(super) fn saw(&mut self, sight: Sight, now: Instant) {
        let attempt = match sight {
            Sight::Polled => {
                self.polled_at = now;
                return;
            }
            Sight::Tried => Attempt::Unanswered,
            Sight::Stripped => Attempt::Stripped,
            Sight::Refused(cause) => Attempt::Refused(cause),
            Sight::Failed(error) => Attempt::Failed(error),
        };
        match &self.attempt {
            Attempt::Switched(_) => (),
            Attempt::Never
            | Attempt::Unanswered
            | Attempt::Stripped
            | Attempt::Refused(_)
            | Attempt::Failed(_) => {
                self.attempt = attempt;
                self.tried_at = now;
            }
        }
    }

    /// Takes note of a 101. Two of them tell the same `UpgradeProgress`: who gets furthest counts.
    pub(super) fn switched(&mut self, now: Instant) -> Arc<UpgradeProgress> {
        self.tried_at = now;
        match &self.attempt {
            Attempt::Switched(upgrading) => upgrading.clone(),
            Attempt::Never
            | Attempt::Unanswered
            | Attempt::Stripped
            | Attempt::Refused(_)
            | Attempt::Failed(_) => {
                let upgrading = Arc::new(UpgradeProgress::new(self.opened_at));
                self.attempt = Attempt::Switched(upgrading.clone());
                upgrading
            }
        }
    }

    /// What is to be said of it, if it is upgraded or will not be seen again.
    pub(super) fn verdict(&self, settings: Settings, now: Instant) -> Option<Verdict> {
        let finding = self.finding();
        if matches!(finding, Verdict::Upgraded(_)) {
            return Some(finding);
        }
        let silence = now.saturating_duration_since(self.polled_at);
        if silence <= self.silence_max {
            return None;
        }
        let is_known = self.has_polled_on(settings) || finding == Verdict::Unreadable;
        Some(if is_known { finding } else { Verdict::Left })
    }

    /// What keeps it back, if it polls on though it should be upgraded by now.
    pub(super) fn stuck(&self, settings: Settings) -> Option<Verdict> {
        let finding = self.finding();
        let is_upgraded = matches!(finding, Verdict::Upgraded(_));
        (self.has_polled_on(settings) && !is_upgraded).then_some(finding)
    }

    /// The sid as it may be shown.
    pub(super) fn shown(&self) -> &str {
        &self.shown
    }

    /// Which node opened it.
    pub(super) fn node(&self) -> &str {
        &self.node
    }

    /// How long ago it was opened.
    pub(super) fn age(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.opened_at)
    }

    /// Whether it still polled when an upgrade would have been done or given up.
    fn has_polled_on(&self, settings: Settings) -> bool {
        self.polled_at.saturating_duration_since(self.tried_at) >= settings.upgrade_max
    }

    fn finding(&self) -> Verdict {
        let upgrading = match &self.attempt {
            Attempt::Never => return Verdict::NeverTried,
            Attempt::Unanswered => return Verdict::Failed("client_gone"),
            Attempt::Stripped => return Verdict::Stripped,
            Attempt::Refused(cause) => return Verdict::Refused(cause),
            Attempt::Failed(error) => return Verdict::Failed(error),
            Attempt::Switched(upgrading) => upgrading,
        };
        match upgrading.step() {
            UpgradeStep::Switched => Verdict::NoProbe,
            UpgradeStep::Probed => Verdict::ProbeUnanswered,
            UpgradeStep::Answered => Verdict::Unfinished,
            UpgradeStep::Unreadable => Verdict::Unreadable,
            UpgradeStep::Upgraded => {
                Verdict::Upgraded(upgrading.upgraded_after().unwrap_or_default())
            }
        }
    }
}

impl Verdict {
    /// Outcome and cause, as metrics and logs have them.
    pub fn words(self) -> [&'static str; 2] {
        match self {
            Self::Upgraded(_) => ["upgraded", "none"],
            Self::NeverTried => ["never_tried", "none"],
            Self::Stripped => ["stripped", "none"],
            Self::Refused(cause) => ["refused", cause],
            Self::Failed(error) => ["failed", error],
            Self::NoProbe => ["no_probe", "none"],
            Self::ProbeUnanswered => ["probe_unanswered", "none"],
            Self::Unfinished => ["unfinished", "none"],
            Self::Unreadable => ["unreadable", "none"],
            Self::Left => ["left", "none"],
            Self::Unfollowed => ["unfollowed", "none"],
        }
    }

    /// How long the upgrade took, if there was one.
    pub(super) fn upgraded_after(self) -> Option<Duration> {
        match self {
            Self::Upgraded(after) => Some(after),
            Self::NeverTried
            | Self::Stripped
            | Self::Refused(_)
            | Self::Failed(_)
            | Self::NoProbe
            | Self::ProbeUnanswered
            | Self::Unfinished
            | Self::Unreadable
            | Self::Left
            | Self::Unfollowed => None,
        }
    }
}
