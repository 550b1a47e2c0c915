//! Whether new clients should come to this proxy.
//!
//! `/ready` fails only for reasons of this process. All proxies have the same nodes: if failing nodes
//! made `/ready` fail, all proxies would leave the load balancer at the same time, and the remaining
//! sessions would lose their way to their nodes.
//!
//! Runs at start, at reload, or on a timer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::model;
use super::state::AdminState;
use crate::Instant;
use crate::readiness::Stage;
use crate::reload::Reloader;
use crate::snapshot::Snapshot;
use crate::upstream::health::settings::Check;
use crate::upstream::{Node, Upstream};

/// Whether new clients should come here, and what is wrong.
#[derive(Debug, Default)]
pub(super) struct Verdict {
    /// Why not.
    reasons: Vec<String>,
    /// What the operator should look at, although another proxy would serve no better.
    warnings: Vec<String>,
    /// Whether the connection limit is the only reason: the process is healthy, and a restart would
    /// disconnect all clients.
    is_only_full: bool,
}

/// What a request of `/ready` asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Question {
    /// Whether this proxy works.
    Proxy,
    /// Whether this proxy works and any upstream has a node that takes new sessions.
    Nodes,
}

impl Question {
    /// The question of a request with this query: `nodes` asks about the nodes too.
    pub(super) fn from_query(query: Option<&str>) -> Self {
        let mut parameters = query.unwrap_or_default().split('&');
        match parameters.any(|parameter| parameter.split('=').next() == Some("nodes")) {
            true => Self::Nodes,
            false => Self::Proxy,
        }
    }
}

impl Verdict {
    pub(super) fn is_ready(&self) -> bool {
        self.reasons.is_empty()
    }

    /// Whether the process works, whether or not it has capacity for more clients.
    pub(super) fn is_healthy(&self) -> bool {
        self.is_ready() || self.is_only_full
    }

    pub(super) fn into_answer(self) -> model::Ready {
        let ready = self.is_ready();
        model::Ready { ready, reasons: self.reasons, warnings: self.warnings }
    }
}

/// The state of this process, and of its nodes if `question` includes them.
pub(super) fn readiness(state: &AdminState, question: Question) -> Verdict {
    let snapshot = state.current.load();
    let now = Instant::now();
    let mut ready = Verdict { reasons: own_reasons(state), ..Verdict::default() };
    ready.reasons.extend(state.first_answers.missing(&snapshot, now));
    let limit = state.control.connection_limit();
    if limit.is_reached() {
        ready.is_only_full = ready.reasons.is_empty();
        ready.reasons.push(format!("all {} allowed connections are open", limit.max()));
    }

    let upstreams = snapshot.upstreams().count();
    let closed: Vec<String> = snapshot
        .upstreams()
        .filter(|upstream| open_nodes(upstream, now) == 0)
        .map(|upstream| match upstream.nodes() {
            [] => format!("no node of upstream {} was found yet", upstream.name()),
            _ => format!("no node of upstream {} takes new sessions", upstream.name()),
        })
        .collect();
    match question {
        Question::Nodes if closed.len() == upstreams => ready.reasons.extend(closed),
        Question::Nodes | Question::Proxy => ready.warnings.extend(closed),
    }
    ready.warnings.extend(snapshot.upstreams().filter_map(lookups_fail));
    let last = state.reloader.as_ref().and_then(Reloader::last);
    if let Some(failure) = last.and_then(|last| last.outcome.err()) {
        ready.warnings.push(format!("the last reload failed: {}", failure.on_one_line()));
    }
    ready
}

/// The reasons of this process itself.
pub(super) fn own_reasons(state: &AdminState) -> Vec<String> {
    let mut reasons = Vec::new();
    match state.readiness.stage() {
        Stage::Ready => (),
        Stage::Starting => reasons.push("the process is starting".to_owned()),
        Stage::Stopping => reasons.push("the process is stopping".to_owned()),
    }
    let lost = state.control.lost_listeners();
    reasons.extend(lost.map(|address| format!("the listener on {address} no longer accepts")));
    reasons
}

/// Whether each upstream had an answer from one of its nodes since the start.
///
/// A proxy that has just started does not know whether it reaches its nodes. It waits for one answer of
/// each upstream, at most [`FirstAnswers::WAIT`], and never again: later, all proxies see the same state
/// of the nodes.
#[derive(Debug)]
pub(crate) struct FirstAnswers {
    until: Instant,
    is_over: AtomicBool,
}

impl FirstAnswers {
    /// How long a proxy waits for them.
    pub(crate) const WAIT: Duration = Duration::from_secs(10);

    /// Begins to wait at `now`.
    pub(crate) fn new(now: Instant) -> Self {
        Self { until: now + Self::WAIT, is_over: AtomicBool::new(false) }
    }

    /// A sentence for each upstream without an answer, while the proxy waits.
    fn missing(&self, snapshot: &Snapshot, now: Instant) -> Vec<String> {
        if self.is_over.load(Ordering::Relaxed) {
            return Vec::new();
        }
        let waits = |upstream: &&Arc<Upstream>| now < self.until && !has_answered(upstream);
        let missing: Vec<String> = snapshot
            .upstreams()
            .filter(waits)
            .map(|upstream| format!("no node of upstream {} has answered yet", upstream.name()))
            .collect();
        self.is_over.store(missing.is_empty(), Ordering::Relaxed);
        missing
    }
}

/// Whether one of its nodes answered a check or a client, or its nodes are not checked.
fn has_answered(upstream: &Upstream) -> bool {
    let is_unchecked = upstream.settings().health.check == Check::Off;
    (is_unchecked && !upstream.nodes().is_empty())
        || upstream.nodes().iter().any(|node| {
            node.has_answered_a_check() || node.counts().answers.iter().any(|(_, count)| count > 0)
        })
}

/// How many nodes take new sessions.
pub(super) fn open_nodes(upstream: &Upstream, now: Instant) -> usize {
    let takes = |node: &&Arc<Node>| upstream.state(node, now).takes_sessions();
    upstream.nodes().iter().filter(takes).count()
}

/// A sentence if the lookups of its nodes fail.
pub(super) fn lookups_fail(upstream: &Arc<Upstream>) -> Option<String> {
    let history = upstream.discovery()?.history();
    let failure = history.failure.filter(|_| history.failures > 0)?;
    Some(format!("the nodes of upstream {} are not found: {}", upstream.name(), failure.reason))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::affinity;
    use crate::upstream::health::settings::Health;
    use crate::upstream::{NodeAddress, NodeSettings, Settings};

    fn snapshot(health: Health) -> Snapshot {
        let address = NodeAddress { host: "10.0.0.1".into(), port: 3000 };
        let mut settings = Settings::new("chat", vec![NodeSettings::new("n1", address)]);
        settings.health = health;
        Snapshot::build(&[(settings, affinity::Settings::default())], &[], None).unwrap()
    }

    #[test]
    fn a_proxy_waits_for_one_answer_of_each_upstream_and_for_ten_seconds_at_most() {
        let now = Instant::now();
        let (first, snapshot) = (FirstAnswers::new(now), snapshot(Health::default()));
        let missing = |after: u64| first.missing(&snapshot, now + Duration::from_secs(after));
        assert_eq!(missing(0), ["no node of upstream chat has answered yet"]);
        assert_eq!(missing(9).len(), 1);
        assert!(missing(10).is_empty());
        assert!(missing(0).is_empty(), "it waits only once");
    }

    #[test]
    fn a_check_that_could_not_be_made_is_no_answer_and_what_a_client_got_is() {
        let now = Instant::now();
        let check = |happens: fn(&Node), is_missing: bool| {
            let snapshot = snapshot(Health::default());
            let node = &snapshot.upstream("chat").unwrap().nodes()[0];
            happens(node);
            assert_eq!(FirstAnswers::new(now).missing(&snapshot, now).is_empty(), !is_missing);
        };
        check(|node| node.counts().checks.count(["skipped"]), true);
        check(|node| node.counts().checks.count(["failed"]), true);
        check(|node| node.counts().answers.count(http::StatusCode::OK), false);
        check(|_| (), true);
    }

    #[test]
    fn nodes_that_nobody_checks_are_not_waited_for() {
        let now = Instant::now();
        let snapshot = snapshot(Health { check: Check::Off, ..Health::default() });
        assert!(FirstAnswers::new(now).missing(&snapshot, now).is_empty());
    }

    #[test]
    fn a_query_asks_for_the_nodes_too() {
        let check =
            |query, question| assert_eq!(Question::from_query(query), question, "{query:?}");
        check(None, Question::Proxy);
        check(Some(""), Question::Proxy);
        check(Some("node"), Question::Proxy);
        check(Some("nodes"), Question::Nodes);
        check(Some("a=b&nodes=1"), Question::Nodes);
    }
}
