//! What a request of a route gets, and what holds for the route whatever that is.
//!
//! Runs for every request.

use std::ops::Deref;
use std::sync::Arc;

use http::HeaderMap;
use http::header::{COOKIE, ORIGIN};
use tracing::warn;

use super::changes::Changes;
use super::pattern::{HostPattern, PathPattern};
use super::redirect::Redirect;
use super::rewrite::PathRewrite;
use super::settings::{Limits, PageRules};
use crate::access::{self, Access};
use crate::affinity::Affinity;
use crate::engineio::Timings;
use crate::insight::Insight;
use crate::metrics::{RouteCounts, WhenUsed};
use crate::site::{Compression, Files, Respond};
use crate::tunnel;
use crate::upstream::Upstream;

/// What a request gets.
#[derive(Debug)]
pub(crate) enum Target {
    /// The response of a node.
    Upstream(Arc<UpstreamRoute>),
    /// A file of a directory, or if there is none, the response of a node.
    Files(Files, Option<Arc<UpstreamRoute>>),
    /// A redirect.
    Redirect(Redirect),
    /// A response that the configuration holds.
    Respond(Respond),
}

/// What holds for a route, whatever its target is.
#[derive(Debug)]
pub struct Policy {
    /// The hosts.
    pub host: HostPattern,
    /// The paths.
    pub path: PathPattern,
    /// Its name in metrics and lists: host and path.
    pub label: Arc<str>,
    /// The rules for its clients. `None` if every client may use it.
    pub(crate) access: Option<Arc<Access>>,
    /// How its target's paths differ from those of clients.
    pub(crate) rewrite: Option<Arc<PathRewrite>>,
    /// Which fields it changes.
    pub(crate) changes: Option<Arc<Changes>>,
    /// Pages for errors.
    pub(crate) error_pages: Option<Arc<PageRules>>,
    /// Which responses are compressed.
    pub(crate) compression: Option<Arc<Compression>>,
    /// The counts of its exchanges and tunnels; carried over to the next route with the same host
    /// and path.
    pub counts: WhenUsed<RouteCounts>,
}

impl Policy {
    /// Counts a WebSocket handshake for `host()` with cookies that a page of another host makes, if no
    /// rule says which pages may. Logs the first one.
    pub(crate) fn note_foreign_origin<'h>(
        &self,
        headers: &HeaderMap,
        host: impl FnOnce() -> &'h str,
    ) {
        let names_origins = self.access.as_ref().is_some_and(|access| access.names_origins());
        if !names_origins
            && headers.contains_key(COOKIE)
            && access::is_foreign(headers, host())
            && self.counts.foreign_origins.inc() == 0
        {
            let origin = headers.get(ORIGIN).map(|origin| origin.as_bytes().escape_ascii());
            warn!(
                host = %self.host, path = %self.path, origin = origin.map(tracing::field::display),
                "a page of another origin opens a WebSocket with this host's cookies: if only some \
                 pages may, write origins: [same-host, https://app.example.com], else origins: [any]"
            );
        }
    }
}

/// A route whose requests go to an upstream.
#[derive(Debug)]
pub struct UpstreamRoute {
    /// What holds for the route whatever its target is.
    pub policy: Arc<Policy>,
    /// The upstream whose nodes answer.
    pub upstream: Arc<Upstream>,
    /// How its sessions return to their node.
    pub affinity: Arc<Affinity>,
    /// Timeouts and sizes.
    pub limits: Limits,
    /// The limits of its tunnels.
    pub tunnel: tunnel::Limits,
    /// What becomes of its sessions that begin in polling; carried over in the same way as the counts.
    pub insight: Arc<Insight>,
    /// This route with the upstreams and affinities that it had before reloads changed them, the
    /// latest first. Its older sessions are found by these, and no new ones begin there.
    pub earlier: Box<[Arc<Self>]>,
}

impl Deref for UpstreamRoute {
    type Target = Policy;

    fn deref(&self) -> &Policy {
        &self.policy
    }
}

impl UpstreamRoute {
    /// Counts a session whose heartbeat is longer than the route's idle timeout, which cuts it
    /// although both sides are alive. Logs the first one.
    pub fn note_heartbeat(&self, timings: &Timings) {
        let tunnel::IdleTimeout::After(idle_timeout) = self.tunnel.idle_timeout else { return };
        let contradicts = idle_timeout < timings.heartbeat();
        if contradicts && self.counts.tunnels.idle_contradictions.inc() == 0 {
            warn!(
                host = %self.host, path = %self.path,
                idle_timeout_seconds = idle_timeout.as_secs_f64(),
                ping_interval_seconds = timings.ping_interval.as_secs_f64(),
                ping_timeout_seconds = timings.ping_timeout.as_secs_f64(),
                "idle_timeout is shorter than the heartbeat of its sessions: write auto"
            );
        }
    }
}
