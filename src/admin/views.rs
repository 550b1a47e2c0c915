//! What the endpoints show, as JSON.
//!
//! Runs at start, at reload, or on a timer.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::readiness::{Question, open_nodes, ready};
use super::site::Site;
use crate::Instant;
use crate::config::{InForce, Problem};
use crate::insight::Summary;
use crate::metrics::Process;
use crate::reload::{ReloadError, Reloader};
use crate::snapshot::Snapshot;
use crate::upstream::discovery::Discovery;
use crate::upstream::settings::Source;
use crate::upstream::{DrainCause, Draining, Node, Upstream};

/// Whether the last connect to it succeeded, or there was none.
pub(super) fn is_reachable(node: &Arc<Node>) -> bool {
    node.failed_at().is_none()
}

/// The process at a glance.
pub(super) fn status(site: &Site) -> Value {
    let process = Process::now();
    let ready = ready(site, Question::Proxy);
    let counts = site.control.counts();
    let snapshot = site.current.load();
    let now = Instant::now();
    snapshot.sweep(now);
    let nodes = || snapshot.upstreams().flat_map(|upstream| upstream.nodes());
    let processes = || snapshot.all_upstreams().flat_map(|upstream| upstream.all_nodes());
    let last = site
        .reloader
        .as_ref()
        .and_then(Reloader::last)
        .map(|last| (last.at, last.outcome.err().map(|failure| failure.chain())))
        .map(|(at, failure)| json!({ "at": seconds(at), "failure": failure }));
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "pid": std::process::id(),
        "since": seconds(site.since),
        "uptime_seconds": site.since.elapsed().unwrap_or_default().as_secs(),
        "readiness": ready.show(),
        "healthy": ready.is_healthy(),
        "connections": {
            "open": counts.open.open(),
            "max": site.control.places().max(),
            "by_worker": site.control.connections().collect::<Vec<_>>(),
        },
        "tunnels": processes().map(|node| u64::from(node.tunnels())).sum::<u64>(),
        "exchanges": processes().map(|node| u64::from(node.exchanges())).sum::<u64>(),
        "upgrades": upgrades(&snapshot),
        "nodes": {
            "all": nodes().count(),
            "open": snapshot.upstreams().map(|upstream| open_nodes(upstream, now)).sum::<usize>(),
        },
        "notes": notes(&snapshot),
        "memory_bytes": process.memory_bytes,
        "descriptors": { "open": process.descriptors, "max": process.descriptors_max },
        "last_reload": last,
    })
}

/// What is to be known of single nodes.
fn notes(snapshot: &Snapshot) -> Vec<String> {
    let of_upstream = |upstream: &Arc<Upstream>| {
        let note = |node: &Arc<Node>| {
            Some(format!("{} of {}: {}", node.name(), upstream.name(), upstream.note(node)?))
        };
        upstream.nodes().iter().filter_map(note).collect::<Vec<_>>()
    };
    snapshot.upstreams().flat_map(of_upstream).collect()
}

/// How many sessions that began in polling are stuck there, and mostly why.
fn upgrades(snapshot: &Snapshot) -> Value {
    let mut summary = Summary::default();
    for route in snapshot.routes.iter() {
        summary.add(&route.insight);
    }
    let leading = summary.leading().map(|([outcome, cause], sessions)| {
        let hint = Summary::hint([outcome, cause]);
        json!({ "outcome": outcome, "cause": cause, "sessions": sessions, "hint": hint })
    });
    json!({ "upgraded": summary.upgraded(), "stuck": summary.stuck(), "leading": leading })
}

/// All upstreams with their nodes.
pub(super) fn nodes(snapshot: &Snapshot) -> Value {
    let now = Instant::now();
    let upstream = |upstream: &Arc<Upstream>| {
        let show = |found| node(upstream, found, now);
        let nodes: Vec<Value> = upstream.nodes().iter().map(show).collect();
        let retired: Vec<Value> = upstream.retired_in_use(now).map(show).collect();
        let discovery = upstream.discovery().map(|discovery| discovered(discovery));
        json!({
            "name": **upstream.name(),
            "discovery": discovery,
            "nodes": nodes,
            "retired": retired,
        })
    };
    let in_use = snapshot.all_upstreams().filter(|upstream| {
        let is_configured = snapshot.upstream(upstream.name()).is_some();
        is_configured || upstream.retired_in_use(now).next().is_some()
    });
    json!({ "upstreams": in_use.map(upstream).collect::<Vec<_>>() })
}

/// Where an upstream's nodes come from, and what was last heard from there.
fn discovered(discovery: &Discovery) -> Value {
    let discover = discovery.discover();
    let (dns, srv) = match &discover.source {
        Source::Addresses(address) => (Some(address.to_string()), None),
        Source::Services(name) => (None, Some(name)),
    };
    let history = discovery.history();
    let failure = history
        .failure
        .map(|failure| json!({ "at": seconds(failure.at), "reason": *failure.reason }));
    json!({
        "dns": dns,
        "srv": srv,
        "server": discover.server,
        "answered_at": history.answered_at.map(seconds),
        "failed_running": history.failures,
        "last_failure": failure,
    })
}

/// One of them.
pub(super) fn node(upstream: &Upstream, node: &Arc<Node>, now: Instant) -> Value {
    let state = upstream.state(node, now);
    let counts = node.counts();
    let failed = node.failed_at().map(|at| now.saturating_duration_since(at).as_secs_f64());
    json!({
        "name": **node.name(),
        "address": node.address().to_string(),
        "weight": node.weight(),
        "state": state.label(),
        "reason": upstream.reason(node, state, now),
        "note": upstream.note(node),
        "last_check": node.last_check().map(|last| json!({
            "asked": last.asked,
            "seconds_ago": now.saturating_duration_since(last.at).as_secs_f64(),
            "result": last.result,
            "reason": last.reason,
        })),
        "several_processes": node.is_several_processes(),
        "reachable": is_reachable(node),
        "failed_seconds_ago": failed,
        "draining": upstream.draining(node, now).map(|draining| show_drain(&draining, now)),
        "load": node.load_at(now),
        "tunnels": node.tunnels(),
        "exchanges": node.exchanges(),
        "handshakes": counts.handshakes_by_polling.get() + counts.handshakes_by_websocket.get(),
        "connects_failed": counts.connects_failed.get(),
        "ejections": counts.ejections.get(),
    })
}

fn show_drain(draining: &Draining, now: Instant) -> Value {
    let causes: Vec<&str> = draining.causes.iter().map(|cause| DrainCause::label(*cause)).collect();
    let left = |until: Instant| until.saturating_duration_since(now).as_secs_f64();
    json!({
        "causes": causes,
        "since_seconds": now.saturating_duration_since(draining.since).as_secs_f64(),
        "closing_in_seconds": left(draining.closing_at),
        "given_up_in_seconds": left(draining.until),
        "empty": draining.is_empty,
    })
}

/// The configuration in force, and apart from it what waits for a restart.
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

/// The same as a file: what waits for a restart is a comment at its end.
pub(super) fn config_as_yaml(in_force: &InForce) -> Result<String, serde_yaml::Error> {
    let mut text = serde_yaml::to_string(&in_force.config.render())?;
    if !in_force.after_restart.is_empty() {
        text.push_str("# After a restart:\n");
        let waits = serde_yaml::to_string(&in_force.after_restart.render())?;
        text.extend(waits.lines().map(|line| format!("# {line}\n")));
    }
    Ok(text)
}

/// Why a reload changed nothing: as text for people, and each problem by its parts.
pub(super) fn reload_failure(failure: &ReloadError) -> Value {
    let problems: Vec<Value> = match failure {
        ReloadError::Problems(problems) => problems.iter().map(problem).collect(),
        ReloadError::Bind(_)
        | ReloadError::TagClash(_)
        | ReloadError::Broken(_)
        | ReloadError::ReadOnce
        | ReloadError::Stopping => Vec::new(),
    };
    json!({ "reloaded": false, "error": failure.chain(), "problems": problems })
}

fn problem(problem: &Problem) -> Value {
    json!({
        "path": problem.path,
        "line": problem.span.map(|span| span.line),
        "column": problem.span.map(|span| span.column),
        "value": problem.value,
        "what": problem.what,
        "help": problem.help,
    })
}

/// Since 1970.
pub(super) fn seconds(at: SystemTime) -> u64 {
    at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}
