//! The totals and levels that the history is made of, gathered from what counts them.
//!
//! Runs at start, at reload, or on a timer.

use std::sync::Arc;

use super::history::{SERIES, Series};
use super::readiness::open_nodes;
use super::state::AdminState;
use crate::Instant;
use crate::logging;
use crate::metrics::{Process, RouteCounts, panics};
use crate::snapshot::Snapshot;
use crate::upstream::{Node, Upstream};

/// All totals and levels at one moment.
#[derive(Debug, Default)]
pub(super) struct Totals {
    /// Those of the history.
    pub(super) series: [f64; SERIES],
    /// WebSockets that ended, by end and by who caused it.
    pub(super) ends: Vec<([&'static str; 2], u64)>,
    /// Sessions that each node opened.
    pub(super) opened: Vec<(NodeKey, u64)>,
    /// What should stay as it is.
    pub(super) faults: Vec<(FaultKind, u64)>,
}

/// The names of an upstream and of its node.
pub(super) type NodeKey = (Arc<str>, Arc<str>);

/// What operators are warned of when it happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum FaultKind {
    LogLinesLost,
    Panicked,
    IdleContradicted,
    ClientsWaited(&'static str),
    ForeignOrigin,
}

impl Totals {
    /// The totals now. `polling` are the sessions that began by polling, and those that are stuck.
    pub(super) fn gather(state: &AdminState, polling: [usize; 2], now: Instant) -> Self {
        let snapshot = state.current.load();
        let mut totals = Self::default();
        let [polling, stuck] = polling;
        totals.add(Series::Polling, polling as f64);
        totals.add(Series::Stuck, stuck as f64);
        for upstream in snapshot.all_upstreams() {
            totals.add_upstream(upstream, now);
        }
        let open = snapshot.upstreams().map(|upstream| open_nodes(upstream, now));
        totals.add(Series::NodesOpen, open.sum::<usize>() as f64);
        for route in snapshot.routes.iter() {
            totals.add_route(&route.counts);
        }
        totals.add_route(&snapshot.unrouted);
        totals.add_process(state);
        totals
    }

    fn add(&mut self, series: Series, value: f64) {
        self.series[series as usize] += value;
    }

    fn add_upstream(&mut self, upstream: &Upstream, now: Instant) {
        for node in upstream.all_nodes() {
            self.add(Series::Websockets, f64::from(node.tunnels()));
        }
        for node in upstream.nodes().iter().chain(upstream.retired_in_use(now)) {
            let opened = opened(node);
            self.add(Series::NewSessions, opened as f64);
            self.opened.push(((upstream.name().clone(), node.name().clone()), opened));
        }
    }

    fn add_route(&mut self, did: &RouteCounts) {
        let answers = did.answers.iter().flat_map(|(_, answers)| answers.iter());
        self.add(Series::Requests, answers.map(|(_, count)| count).sum::<u64>() as f64);
        self.add(Series::Errors, did.errors.total() as f64);
        self.add(Series::Held, did.held.open() as f64);
        let tunnels = &did.tunnels;
        let (client, node) = (&tunnels.from_clients, &tunnels.from_nodes);
        self.add(Series::MessagesFromClients, client.messages.get() as f64);
        self.add(Series::MessagesFromNodes, node.messages.get() as f64);
        self.add(Series::BytesFromClients, client.bytes.get() as f64);
        self.add(Series::BytesFromNodes, node.bytes.get() as f64);
        for (labels, count) in tunnels.ends.iter() {
            let [_, by] = labels;
            let series = match by {
                "client" => Series::EndsByClient,
                "node" => Series::EndsByNode,
                "operator" => Series::EndsByOperator,
                _ => Series::EndsByProxy,
            };
            self.add(series, count as f64);
            self.ends.push((labels, count));
        }
        self.faults.push((FaultKind::IdleContradicted, tunnels.idle_contradictions.get()));
        self.faults.push((FaultKind::ForeignOrigin, did.foreign_origins.get()));
    }

    fn add_process(&mut self, state: &AdminState) {
        let connections = state.control.counts();
        self.add(Series::Connections, connections.open.open() as f64);
        let process = Process::now();
        self.add(Series::Memory, process.memory_bytes.unwrap_or_default() as f64);
        self.add(Series::Descriptors, process.descriptors.unwrap_or_default() as f64);
        self.add(Series::Cpu, process.cpu_seconds.unwrap_or_default());
        self.faults.push((FaultKind::LogLinesLost, logging::lost_lines()));
        self.faults.push((FaultKind::Panicked, panics()));
        let pauses = connections.accept_pauses.iter();
        self.faults.extend(pauses.map(|([why], count)| (FaultKind::ClientsWaited(why), count)));
    }
}

/// Sessions that began by polling and are not upgraded, and those of them that are stuck. Those that have
/// ended are judged first.
pub(super) fn polling(snapshot: &Snapshot, now: Instant) -> [usize; 2] {
    snapshot.sweep(now);
    let routes = snapshot.routes.iter().filter_map(|route| route.upstream());
    routes.fold([0, 0], |[polling, stuck], route| {
        [polling + route.insight.polling(), stuck + route.insight.stuck().len()]
    })
}

fn opened(node: &Node) -> u64 {
    let counts = node.counts();
    counts.handshakes_by_polling.get() + counts.handshakes_by_websocket.get()
}
