//! Builds the answers of the endpoints from the state of the process.
//!
//! Runs at start, at reload, or on a timer.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::Value;

use super::model;
use super::readiness::{Question, open_nodes, readiness};
use super::state::AdminState;
use crate::Instant;
use crate::acme::NameStatus;
use crate::config::{InForce, Problem};
use crate::insight::Summary;
use crate::lag::LagSummary;
use crate::logging::error_chain;
use crate::metrics::Process;
use crate::reload::{ReloadError, Reloader};
use crate::snapshot::Snapshot;
use crate::tls::date_remark;
use crate::upstream::discovery::Discovery;
use crate::upstream::settings::Source;
use crate::upstream::{DrainCause, Draining, Node, Upstream};

/// Whether the last connect to a node succeeded, or there was none.
pub(super) fn is_reachable(node: &Arc<Node>) -> bool {
    node.failed_at().is_none()
}

/// `/status`.
pub(super) fn status(state: &AdminState) -> model::Status {
    let process = Process::now();
    let readiness = readiness(state, Question::Proxy);
    let counts = state.control.counts();
    let snapshot = state.current.load();
    let now = Instant::now();
    snapshot.sweep(now);
    let processes = || snapshot.all_upstreams().flat_map(|upstream| upstream.all_nodes());
    model::Status {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        pid: std::process::id(),
        since: seconds(state.since),
        uptime_seconds: state.since.elapsed().unwrap_or_default().as_secs(),
        healthy: readiness.is_healthy(),
        readiness: readiness.into_answer(),
        connections: model::Connections {
            open: counts.open.open(),
            max: state.control.connection_limit().max(),
            by_worker: state.control.connections().collect(),
        },
        tunnels: processes().map(|node| u64::from(node.tunnels())).sum(),
        exchanges: processes().map(|node| u64::from(node.exchanges())).sum(),
        upgrades: upgrades(&snapshot),
        nodes: model::NodeTotals {
            all: snapshot.upstreams().map(|upstream| upstream.nodes().len()).sum(),
            open: snapshot.upstreams().map(|upstream| open_nodes(upstream, now)).sum(),
        },
        notes: notes(&snapshot, now).chain(certificate_notes(state)).collect(),
        listener_certificates: listener_certificates(state),
        certificate_orders: state.certificates.names().iter().map(certificate_order).collect(),
        memory_bytes: process.memory_bytes,
        descriptors: model::Descriptors { open: process.descriptors, max: process.descriptors_max },
        last_reload: last_reload(state),
    }
}

fn listener_certificates(state: &AdminState) -> Vec<model::ListenerCertificate> {
    let in_force = state.config.load();
    let mut shown = Vec::new();
    for listener in &in_force.config.listeners {
        let certificates = listener.tls.iter().flat_map(|tls| tls.certificates());
        shown.extend(certificates.map(|(_, certificate)| model::ListenerCertificate {
            listener: listener.bind.to_string(),
            name: certificate.name().to_owned(),
            expires_at: certificate.expires_at(),
            summary: certificate.to_string(),
        }));
    }
    shown
}

fn last_reload(state: &AdminState) -> Option<model::LastReload> {
    let last = state.reloader.as_ref().and_then(Reloader::last)?;
    let failure = last.outcome.err().map(|failure| error_chain(&*failure));
    Some(model::LastReload { at: seconds(last.at), failure })
}

fn certificate_order(name: &NameStatus) -> model::CertificateOrder {
    model::CertificateOrder {
        name: name.name.clone(),
        expires_at: name.expires.map(|time| time.0),
        next_order_at: name.next_order.map(|time| time.0),
        ordered_by_other: name.is_left_to_other,
        failures: name.failures,
        failure: name.failure.clone(),
    }
}

/// The remarks on certificates.
pub(super) fn certificate_notes(state: &AdminState) -> Vec<String> {
    let in_force = state.config.load();
    let now = i64::try_from(seconds(SystemTime::now())).unwrap_or(i64::MAX);
    in_force.config.certificates().filter_map(|shown| date_remark(shown, now)).collect()
}

/// The remarks on single nodes.
pub(super) fn notes(snapshot: &Snapshot, now: Instant) -> impl Iterator<Item = String> {
    let of_upstream = move |upstream: &Arc<Upstream>| {
        let note = |node: &Arc<Node>| {
            Some(format!("{} of {}: {}", node.name(), upstream.name(), upstream.note(node, now)?))
        };
        upstream.nodes().iter().filter_map(note).collect::<Vec<_>>()
    };
    snapshot.upstreams().flat_map(of_upstream)
}

/// How many sessions stayed in polling, and why most of them did.
pub(super) fn upgrades(snapshot: &Snapshot) -> model::Upgrades {
    let mut summary = Summary::default();
    for route in snapshot.routes.iter().filter_map(|route| route.upstream()) {
        summary.add(&route.insight);
    }
    let leading = summary.leading().map(|([outcome, cause], sessions)| model::StuckCause {
        outcome: outcome.to_owned(),
        cause: cause.to_owned(),
        sessions,
        hint: Summary::hint([outcome, cause]).to_owned(),
    });
    model::Upgrades { upgraded: summary.upgraded(), stuck: summary.stuck(), leading }
}

/// `/nodes`.
pub(super) fn nodes(snapshot: &Snapshot) -> model::Nodes {
    let now = Instant::now();
    let answer = |upstream: &Arc<Upstream>| model::Upstream {
        name: upstream.name().to_string(),
        discovery: upstream.discovery().map(|discovery| discovered(discovery)),
        nodes: upstream.nodes().iter().map(|found| node(upstream, found, now)).collect(),
        retired: upstream.retired_in_use(now).map(|found| node(upstream, found, now)).collect(),
    };
    let in_use = snapshot.all_upstreams().filter(|upstream| {
        let is_configured = snapshot.upstream(upstream.name()).is_some();
        is_configured || upstream.retired_in_use(now).next().is_some()
    });
    model::Nodes { upstreams: in_use.map(answer).collect() }
}

/// How an upstream's nodes are found, and the last results.
fn discovered(discovery: &Discovery) -> model::Discovery {
    let discover = discovery.discover();
    let (dns, srv) = match &discover.source {
        Source::Addresses(address) => (Some(address.to_string()), None),
        Source::Services(name) => (None, Some(name.to_string())),
    };
    let history = discovery.history();
    model::Discovery {
        dns,
        srv,
        server: discover.server.map(|server| server.to_string()),
        answered_at: history.answered_at.map(seconds),
        consecutive_failures: history.failures,
        failed_running: history.failures,
        last_failure: history.failure.map(|failure| model::LookupFailure {
            at: seconds(failure.at),
            reason: failure.reason.to_string(),
        }),
    }
}

/// One node.
pub(super) fn node(upstream: &Upstream, node: &Arc<Node>, now: Instant) -> model::Node {
    let state = upstream.state(node, now);
    let counts = node.counts();
    let seconds_ago = |at: Instant| now.saturating_duration_since(at).as_secs_f64();
    model::Node {
        name: node.name().to_string(),
        address: node.address().to_string(),
        weight: node.weight(),
        backup: node.is_backup(),
        state: state.label().to_owned(),
        reason: upstream.reason(node, state, now),
        note: upstream.note(node, now).map(Into::into),
        lag: node.lag().summary(now).map(lag),
        last_check: node.last_check().map(|last| model::LastCheck {
            asked: last.asked,
            seconds_ago: seconds_ago(last.at),
            result: last.result.to_owned(),
            reason: last.reason.map(Into::into),
        }),
        several_processes: node.is_several_processes(),
        reachable: is_reachable(node),
        failed_seconds_ago: node.failed_at().map(seconds_ago),
        draining: upstream.draining(node, now).map(|draining| drain(&draining, now)),
        load: node.load_at(now),
        tunnels: node.tunnels(),
        exchanges: node.exchanges(),
        handshakes: counts.handshakes_by_polling.get() + counts.handshakes_by_websocket.get(),
        connects_failed: counts.connects_failed.get(),
        ejections: counts.ejections.get(),
    }
}

fn lag(lag: LagSummary) -> model::Lag {
    let millis = |lag: Duration| lag.as_secs_f64() * 1000.0;
    model::Lag {
        p50_ms: millis(lag.p50),
        p99_ms: millis(lag.p99),
        max_ms: millis(lag.max),
        base_ms: millis(lag.base),
        samples: lag.samples,
    }
}

fn drain(draining: &Draining, now: Instant) -> model::Draining {
    let causes = draining.causes.iter().map(|cause| DrainCause::label(*cause).to_owned());
    let left = |until: Instant| until.saturating_duration_since(now).as_secs_f64();
    model::Draining {
        causes: causes.collect(),
        since_seconds: now.saturating_duration_since(draining.since).as_secs_f64(),
        closing_in_seconds: left(draining.closing_at),
        given_up_in_seconds: left(draining.until),
        empty: draining.is_empty,
    }
}

/// The configuration in force, and separately the keys that wait for a restart.
pub(super) fn config(in_force: &InForce) -> Result<Value, serde_json::Error> {
    let mut shown = serde_json::to_value(in_force.config.render())?;
    if !in_force.after_restart.is_empty()
        && let Value::Object(keys) = &mut shown
    {
        let waits = serde_json::to_value(in_force.after_restart.render())?;
        keys.insert("after_restart".to_owned(), waits);
    }
    Ok(shown)
}

/// The same as a file. The keys that wait for a restart are a comment at its end.
pub(super) fn config_as_yaml(in_force: &InForce) -> Result<String, serde_yaml::Error> {
    let mut text = serde_yaml::to_string(&in_force.config.render())?;
    if !in_force.after_restart.is_empty() {
        text.push_str("# After a restart:\n");
        let waits = serde_yaml::to_string(&in_force.after_restart.render())?;
        text.extend(waits.lines().map(|line| format!("# {line}\n")));
    }
    Ok(text)
}

/// Why a reload changed nothing.
pub(super) fn reload_failed(failure: &ReloadError) -> model::ReloadFailed {
    let problems = match failure {
        ReloadError::Problems(problems) => problems.iter().map(problem).collect(),
        ReloadError::Bind(_)
        | ReloadError::Snapshot(_)
        | ReloadError::Broken(_)
        | ReloadError::ReadOnce
        | ReloadError::Stopping => Vec::new(),
    };
    model::ReloadFailed { reloaded: false, error: error_chain(failure), problems }
}

fn problem(problem: &Problem) -> model::Problem {
    model::Problem {
        file: problem.file.clone(),
        path: problem.path.clone(),
        line: problem.span.map(|span| span.line),
        column: problem.span.map(|span| span.column),
        value: problem.value.clone(),
        what: problem.what.clone(),
        help: problem.help.clone(),
    }
}

/// Seconds since 1970, with milliseconds.
pub(super) fn unix_seconds(at: SystemTime) -> f64 {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    (since.as_millis() as f64) / 1000.0
}

/// Seconds since 1970.
pub(super) fn seconds(at: SystemTime) -> u64 {
    at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}
