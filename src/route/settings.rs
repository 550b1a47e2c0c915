//! The settings of a route.
//!
//! Runs for every request.

use std::sync::Arc;
use std::time::Duration;

use super::changes::Changes;
use super::pattern::{HostPattern, PathPattern};
use super::redirect::Redirect;
use super::rewrite::PathRewrite;
use crate::engineio::SessionBounds;
use crate::site::{Compression, ErrorPages, FilesSettings, Respond};
use crate::{access, insight, tunnel};

/// Host and path -> target, with policy, as configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The hosts.
    pub host: HostPattern,
    /// The paths.
    pub path: PathPattern,
    /// Who may use it.
    pub(crate) access: access::Settings,
    /// How its target's paths differ from those of clients.
    pub(crate) rewrite: Option<Arc<PathRewrite>>,
    /// Which fields it changes.
    pub(crate) changes: Option<Arc<Changes>>,
    /// Pages for errors.
    pub(crate) error_pages: Option<Arc<PageRules>>,
    /// Which responses are compressed.
    pub(crate) compression: Option<Arc<Compression>>,
    /// What a request gets.
    pub(crate) target: TargetSettings,
}

/// The pages that are sent for errors.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct PageRules {
    /// The pages.
    pub(crate) pages: ErrorPages,
    /// Whether errors of nodes get them too.
    pub(crate) replaces_nodes: bool,
}

/// What a request gets, as configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TargetSettings {
    /// The response of a node.
    Upstream(UpstreamSettings),
    /// A file of a directory, or if there is none, the response of a node.
    Files(FilesSettings, Option<UpstreamSettings>),
    /// A redirect.
    Redirect(Redirect),
    /// A response that the configuration holds.
    Respond(Respond),
}

impl Settings {
    /// How its sessions that begin in polling are judged, if there can be any.
    pub fn insight_mut(&mut self) -> Option<&mut insight::Settings> {
        match &mut self.target {
            TargetSettings::Upstream(settings) => Some(&mut settings.insight),
            TargetSettings::Files(_, settings) => Some(&mut settings.as_mut()?.insight),
            TargetSettings::Redirect(_) | TargetSettings::Respond(_) => None,
        }
    }

    /// The same with the pages of `general` for errors that have no page of their own.
    pub(crate) fn with_pages(&self, general: &ErrorPages) -> Self {
        let own = self.error_pages.as_deref().cloned().unwrap_or_default();
        let rules = PageRules { pages: own.pages.over(general), ..own };
        Self { error_pages: Some(Arc::new(rules)), ..self.clone() }
    }
}

impl TargetSettings {
    /// The upstream that requests may go to.
    pub(crate) fn upstream(&self) -> Option<&UpstreamSettings> {
        match self {
            Self::Upstream(settings) => Some(settings),
            Self::Files(_, settings) => settings.as_ref(),
            Self::Redirect(_) | Self::Respond(_) => None,
        }
    }
}

/// A route's upstream, and what holds for the requests that go there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct UpstreamSettings {
    /// The upstream's name; one that exists.
    pub(crate) name: Arc<str>,
    /// Timeouts and sizes.
    pub(crate) limits: Limits,
    /// The limits of its tunnels.
    pub(crate) tunnel: tunnel::Limits,
    /// How its sessions that begin in polling are judged.
    pub(crate) insight: insight::Settings,
}

/// The limits of one exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How long a node may take from the request's end to the head of its response. `None` is
    /// `auto`: [`poll_timeout`](Self::poll_timeout) for polls, 2 min for other requests.
    pub response_timeout: Option<Duration>,
    /// How long a request may make no progress, by the client or by the node.
    pub request_body_timeout: Duration,
    /// How long the body of a response may be silent.
    pub response_body_timeout: Silence,
    /// The longest request body, in bytes. `None` is `auto`: the session's `maxPayload`, or else
    /// [`Limits::BODY_BYTES_MAX`].
    pub body_bytes_max: Option<u64>,
    /// Which protocols a client may ask for.
    pub upgrade: AllowedUpgrades,
}

/// Which protocols a client may ask for by `Upgrade`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AllowedUpgrades {
    /// WebSocket.
    WebSocket,
    /// Any protocol that is not HTTP.
    Any,
}

impl Limits {
    /// `body_max: auto` for requests without a session, and if the session's `maxPayload` is not
    /// known. Bodies are streamed, so it protects the node and not the proxy.
    pub const BODY_BYTES_MAX: u64 = 64 * 1024 * 1024;

    /// How long a node may take to answer a request that is not a poll or post of a session.
    pub fn request_timeout(&self) -> Duration {
        self.response_timeout.unwrap_or(REQUEST_TIMEOUT)
    }

    /// How long a node may take to answer a poll or a post of a session with these bounds. A poll
    /// is answered when there are packets, at the latest by the heartbeat.
    pub fn poll_timeout(&self, bounds: Option<SessionBounds>) -> Duration {
        let silence_max = bounds.map_or(SessionBounds::POLL_UNKNOWN, SessionBounds::silence_max);
        let auto = silence_max.max(POLL_TIMEOUT_MIN);
        self.response_timeout.unwrap_or(auto)
    }

    /// The longest request body of a session with these bounds, or without a session, in bytes.
    pub fn upload_bytes_max(&self, bounds: Option<SessionBounds>) -> u64 {
        let payload_max = bounds.map_or(Self::BODY_BYTES_MAX, SessionBounds::payload_bytes_max);
        self.body_bytes_max.unwrap_or(payload_max)
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            response_timeout: None,
            request_body_timeout: Duration::from_secs(30),
            response_body_timeout: Silence::Auto,
            body_bytes_max: None,
            upgrade: AllowedUpgrades::WebSocket,
        }
    }
}

/// `response_timeout: auto` for requests that are not polls. Long polling of other protocols takes
/// up to 100 s (SignalR 90 s).
const REQUEST_TIMEOUT: Duration = Duration::from_mins(2);

/// The least that `auto` is for a poll.
const POLL_TIMEOUT_MIN: Duration = Duration::from_mins(1);

/// How long the body of a response may be silent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Silence {
    /// By the kind of the response, see [`Silence::max`].
    Auto,
    /// Without a limit.
    Off,
    /// This long.
    After(Duration),
}

impl Silence {
    /// The bound on an answer of this `Content-Type`, `has_length` if it says how long it is;
    /// `None` if there is none. Server-sent events may be silent for hours, and an answer without
    /// length may be a stream of another kind.
    pub fn max(self, content_type: Option<&[u8]>, has_length: bool) -> Option<Duration> {
        let is_events = || {
            content_type.is_some_and(|value| {
                let (media_type, _) = value.split_at(value.len().min(EVENTS.len()));
                media_type.eq_ignore_ascii_case(EVENTS)
            })
        };
        match self {
            Self::Off => None,
            Self::After(bound) => Some(bound),
            Self::Auto if is_events() => None,
            Self::Auto if has_length => Some(WITH_LENGTH),
            Self::Auto => Some(WITHOUT_LENGTH),
        }
    }
}

const EVENTS: &[u8] = b"text/event-stream";
const WITH_LENGTH: Duration = Duration::from_secs(30);
const WITHOUT_LENGTH: Duration = Duration::from_mins(10);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engineio::Timings;

    #[test]
    fn an_answer_may_be_as_silent_as_its_kind_is() {
        let auto = |content_type: &'static str, has_length| {
            Silence::Auto.max(Some(content_type.as_bytes()), has_length)
        };
        assert_eq!(auto("text/event-stream", false), None);
        assert_eq!(auto("Text/Event-Stream; charset=utf-8", false), None);
        assert_eq!(auto("text/plain", false), Some(WITHOUT_LENGTH));
        assert_eq!(auto("text/plain", true), Some(WITH_LENGTH));
        assert_eq!(Silence::Auto.max(None, true), Some(WITH_LENGTH));
        assert_eq!(Silence::Off.max(None, true), None);
        let second = Duration::from_secs(1);
        assert_eq!(Silence::After(second).max(Some(EVENTS), false), Some(second));
    }

    #[test]
    fn auto_is_what_the_session_said_and_no_guess_where_it_is_not_known() {
        let explicit = Limits {
            response_timeout: Some(Duration::from_secs(7)),
            body_bytes_max: Some(8),
            ..Limits::default()
        };
        // check(pingInterval, pingTimeout, maxPayload; seconds, bytes)
        let check = |told: Option<[u64; 3]>, seconds: u64, bytes: u64| {
            let bounds = told.map(|[interval, timeout, payload]| {
                SessionBounds::new(&Timings::from_millis(interval, timeout, payload))
            });
            let of = |limits: Limits| {
                (limits.poll_timeout(bounds).as_secs(), limits.upload_bytes_max(bounds))
            };
            assert_eq!(of(Limits::default()), (seconds, bytes), "{told:?}");
            assert_eq!(of(explicit), (7, 8), "{told:?}");
        };
        check(None, 120, 64 << 20);
        check(Some([300, 200, 5_000]), 60, 32 << 10);
        check(Some([25_000, 20_000, 1_000_000]), 60, 992 << 10);
        check(Some([60_000, 31_000, 500_000_000]), 96, 480 << 20);
        check(Some([7_200_000, 20_000, 1_000_000]), 7_296, 992 << 10);
        assert_eq!(Limits::default().request_timeout(), Duration::from_secs(120));
        assert_eq!(explicit.request_timeout(), Duration::from_secs(7));
    }
}
