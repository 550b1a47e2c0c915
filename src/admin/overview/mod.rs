//! `/overview`: how it is, at a glance. The page and `sockeye top` show it.
//!
//! Runs at start, at reload, or on a timer.

mod sentence;
mod warnings;

use std::cmp::Reverse;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::StatusCode;

use super::answer::{Answer, compact_json, refuse};
use super::history::{History, SERIES, Series};
use super::model::{
    EndCount, HistoryExcerpt, NodeGlance, OpenSessions, Overview, PastReload, ProcessGlance, Rates,
};
use super::recorder::Past;
use super::state::AdminState;
use super::{totals, views};
use crate::Instant;
use crate::config::Change;
use crate::logging::error_chain;
use crate::metrics::Process;
use crate::reload::{LastReload, Reloader};
use crate::snapshot::Snapshot;
use crate::upstream::{Node, Upstream};
use sentence::Facts;
use warnings::Warnings;

/// How it is now.
pub(super) fn overview(state: &AdminState, now: Instant) -> Overview {
    let snapshot = state.current.load();
    let [polling, stuck] = totals::polling(&snapshot, now);
    let past = state.recorder.past();
    let nodes = nodes(&snapshot, &past, now);
    let sessions = OpenSessions {
        websocket: nodes.iter().map(|node| node.sessions).sum(),
        polling: polling as u64,
        stuck: stuck as u64,
        stuck_cause: views::upgrades(&snapshot).leading.filter(|_| stuck > 0),
    };
    let (process, rates, ends) = (process(state, &past), rates(&past), ends(&past));
    let warnings = Warnings { state, snapshot: &snapshot, past: &past, now };
    let warnings = warnings.all(&nodes, &sessions, &process);
    drop(past);
    let reloads = state.reloader.as_ref().map(Reloader::recent).unwrap_or_default();
    let facts = Facts {
        own_reasons: super::readiness::own_reasons(state),
        closed_upstreams: warnings::closed_upstreams(&snapshot, now),
        nodes: &nodes,
        sessions: &sessions,
        warnings: &warnings,
    };
    let (level, sentence) = facts.verdict();
    Overview {
        sentence,
        level: level.label().to_owned(),
        at: views::unix_seconds(SystemTime::now()),
        process,
        sessions,
        rates,
        ends,
        nodes,
        reloads: past_reloads(&reloads),
        warnings,
    }
}

/// `/history`: the series and the time that the query names.
pub(super) fn history(state: &AdminState, query: Option<&str>) -> Answer {
    let (series, span) = match wanted(query.unwrap_or_default()) {
        Ok(wanted) => wanted,
        Err(sentence) => return refuse(StatusCode::BAD_REQUEST, sentence),
    };
    let excerpt = state.recorder.past().history.excerpt(&series, span);
    let age = Instant::now().saturating_duration_since(excerpt.begins);
    let names = series.iter().map(|series| series.name().to_owned());
    compact_json(&HistoryExcerpt {
        step_seconds: excerpt.step.as_secs(),
        begins_at: views::unix_seconds(SystemTime::now()) - age.as_secs_f64(),
        series: names.zip(excerpt.series).collect(),
    })
}

/// The series and the time of a query: by default all series of the last five minutes.
fn wanted(query: &str) -> Result<(Vec<Series>, Duration), String> {
    let (mut series, mut span) = (Series::ALL.to_vec(), Duration::from_mins(5));
    for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
        match parameter.split_once('=') {
            Some(("series", names)) => {
                series = names.split(',').map(named).collect::<Result<_, _>>()?;
                if series.len() > SERIES {
                    return Err(format!("there are {SERIES} series: name each of them once"));
                }
            }
            Some(("seconds", seconds)) => {
                let seconds = seconds.parse().ok().filter(|seconds| *seconds > 0);
                let seconds = seconds.ok_or("write seconds=N with a whole number above 0")?;
                span = Duration::from_secs(seconds).min(History::SPAN);
            }
            _ => return Err("write ?series=NAME,NAME&seconds=N".to_owned()),
        }
    }
    Ok((series, span))
}

fn named(name: &str) -> Result<Series, String> {
    let all = || Series::ALL.map(Series::name).join(", ");
    Series::from_name(name).ok_or_else(|| format!("there is no such series, only {}", all()))
}

fn process(state: &AdminState, past: &Past) -> ProcessGlance {
    let process = Process::now();
    ProcessGlance {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        uptime_seconds: state.since.elapsed().unwrap_or_default().as_secs(),
        memory_bytes: process.memory_bytes,
        cpu: process.cpu_seconds.map(|_| thousandths(past.recent(Series::Cpu))),
        connections: state.control.counts().open.open(),
        connections_max: state.control.connection_limit().max(),
    }
}

fn rates(past: &Past) -> Rates {
    let tenths = |series| (past.recent(series) * 10.0).round() / 10.0;
    Rates {
        new_sessions_per_minute: past.opened.iter().map(|(_, growth)| growth.last_minute).sum(),
        ends_per_minute: past.ends.iter().map(|(_, growth)| growth.last_minute).sum(),
        messages_from_client_per_second: tenths(Series::MessagesFromClients),
        messages_from_nodes_per_second: tenths(Series::MessagesFromNodes),
        bytes_from_clients_per_second: tenths(Series::BytesFromClients),
        bytes_from_nodes_per_second: tenths(Series::BytesFromNodes),
    }
}

fn thousandths(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

fn ends(past: &Past) -> Vec<EndCount> {
    let recent = past.ends.iter().filter(|(_, growth)| growth.last_15_minutes > 0);
    let count = |(labels, growth): (&[&'static str; 2], super::history::Growth)| EndCount {
        end: labels[0].to_owned(),
        by: labels[1].to_owned(),
        cause: None,
        last_minute: growth.last_minute,
        last_15_minutes: growth.last_15_minutes,
    };
    let mut ends: Vec<_> = recent.map(count).collect();
    ends.sort_by_key(|end| Reverse(end.last_15_minutes));
    ends
}

fn nodes(snapshot: &Snapshot, past: &Past, now: Instant) -> Vec<NodeGlance> {
    let glance = |upstream: &Arc<Upstream>, node: &Arc<Node>, retired: bool| {
        let shown = views::node(upstream, node, now);
        let key = (upstream.name().clone(), node.name().clone());
        NodeGlance {
            upstream: upstream.name().to_string(),
            name: shown.name,
            address: shown.address,
            state: shown.state,
            reason: shown.reason,
            retired,
            sessions: u64::from(shown.tunnels),
            lag: shown.lag,
            draining: shown.draining,
            new_sessions_per_minute: past.opened.growth(&key).last_minute,
        }
    };
    let of_upstream = |upstream: &Arc<Upstream>| {
        let current = upstream.nodes().iter().map(|node| glance(upstream, node, false));
        let retired = upstream.retired_in_use(now).map(|node| glance(upstream, node, true));
        current.chain(retired).collect::<Vec<_>>()
    };
    snapshot.all_upstreams().flat_map(of_upstream).collect()
}

fn past_reloads(recent: &VecDeque<LastReload>) -> Vec<PastReload> {
    let reload = |reload: &LastReload| {
        let (changes, failure) = match &reload.outcome {
            Ok(changes) => (changes.iter().map(Change::to_string).collect(), None),
            Err(failure) => (Vec::new(), Some(error_chain(&**failure))),
        };
        PastReload { at: views::unix_seconds(reload.at), ok: failure.is_none(), changes, failure }
    };
    recent.iter().rev().map(reload).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_names_series_and_a_time() {
        let check = |query: &str, series: usize, seconds: u64| {
            let (wanted, span) = wanted(query).unwrap();
            assert_eq!((wanted.len(), span.as_secs()), (series, seconds), "{query}");
        };
        check("", SERIES, 300);
        check("series=websockets,polling&seconds=60", 2, 60);
        check("seconds=999999999", SERIES, 86_400);
        for wrong in ["series=nothing", "seconds=0", "seconds=x", "a=b", "series"] {
            assert!(wanted(wrong).is_err(), "{wrong}");
        }
        let many = format!("series={}", ["polling"; SERIES + 1].join(","));
        assert!(wanted(&many).is_err());
    }
}
