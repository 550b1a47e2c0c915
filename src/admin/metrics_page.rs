//! `/metrics`: all counts, gathered on request.
//!
//! Runs at start, at reload, or on a timer.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::readiness::open_nodes;
use super::state::AdminState;
use super::tls_samples::tls_samples;
use super::views::{is_reachable, seconds};
use crate::Instant;
use crate::acme::{self, NameStatus};
use crate::lag::LagSummary;
use crate::logging;
use crate::metrics::table::{self, Kind, Metric};
use crate::metrics::{InFlightCount, Process, RouteCounts, TunnelCounts, WhenUsed, panics};
use crate::readiness::Stage;
use crate::reload::Reloader;
use crate::snapshot::Snapshot;
use crate::upstream::health::NodeState;
use crate::upstream::{Node, Upstream};

/// The exposition in the OpenMetrics text format.
pub(super) fn metrics_page(state: &AdminState) -> Result<String, fmt::Error> {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Page { series: gather(state) }));
    let mut page = String::new();
    text::encode(&mut page, &registry)?;
    Ok(page)
}

/// All series at one moment.
#[derive(Debug)]
struct Page {
    series: Vec<(Metric, Vec<Sample>)>,
}

/// The values of the labels, in the order of the metric's labels, and the value.
pub(super) type Sample = (Vec<String>, Value);

#[derive(Clone, Debug)]
pub(super) enum Value {
    Count(u64),
    Level(f64),
    Spread(Histogram),
}

impl Value {
    fn encode(&self, encoder: MetricEncoder<'_>) -> fmt::Result {
        match self {
            Self::Count(count) => ConstCounter::new(*count).encode(encoder),
            Self::Level(level) => ConstGauge::new(*level).encode(encoder),
            Self::Spread(histogram) => histogram.encode(encoder),
        }
    }
}

impl Collector for Page {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for (metric, samples) in &self.series {
            let name = metric.name.strip_suffix("_total").unwrap_or(metric.name);
            let kind = match metric.kind {
                Kind::Counter => MetricType::Counter,
                Kind::Gauge => MetricType::Gauge,
                Kind::Histogram => MetricType::Histogram,
            };
            let mut family = encoder.encode_descriptor(name, metric.help, None, kind)?;
            if metric.labels.is_empty() {
                if let Some((_, value)) = samples.first() {
                    value.encode(family)?;
                }
                continue;
            }
            for (values, value) in samples {
                let values = values.iter().map(String::as_str);
                let labels: Vec<(&str, &str)> = metric.labels.iter().copied().zip(values).collect();
                value.encode(family.encode_family(&labels.as_slice())?)?;
            }
        }
        Ok(())
    }
}

fn gather(state: &AdminState) -> Vec<(Metric, Vec<Sample>)> {
    let snapshot = state.current.load();
    snapshot.sweep(Instant::now());
    let routes = routes(&snapshot);
    let process = Process::now();
    table::ALL
        .into_iter()
        .map(|metric| {
            let samples = process_samples(metric, state, &process)
                .or_else(|| certificate_samples(metric, &state.certificates))
                .or_else(|| tls_samples(metric, state))
                .or_else(|| node_samples(metric, &snapshot))
                .or_else(|| upstream_samples(metric, &snapshot))
                .or_else(|| session_samples(metric, &snapshot))
                .unwrap_or_else(|| route_samples(metric, &routes));
            (metric, samples)
        })
        .collect()
}

/// The routes, sorted by label; last, requests without a route.
fn routes(snapshot: &Snapshot) -> Vec<(String, WhenUsed<RouteCounts>)> {
    let mut routes: Vec<_> = snapshot
        .routes
        .iter()
        .map(|route| (route.label.to_string(), route.counts.clone()))
        .collect();
    routes.sort_by(|one, other| one.0.cmp(&other.0));
    routes.push((UNROUTED.to_owned(), snapshot.unrouted.clone()));
    routes
}

fn process_samples(metric: Metric, state: &AdminState, process: &Process) -> Option<Vec<Sample>> {
    let connections = state.control.counts();
    let level = |value: Option<f64>| value.map(|value| (Vec::new(), Value::Level(value)));
    let number = |value: Option<u64>| level(value.map(|value| value as f64));
    let truth = |value: bool| level(Some(f64::from(u8::from(value))));
    let one = |sample: Option<Sample>| sample.into_iter().collect();
    Some(match metric {
        table::CONNECTIONS => vec![(Vec::new(), Value::Count(connections.open.begun()))],
        table::CONNECTIONS_OPEN => one(level(Some(connections.open.open() as f64))),
        table::CONNECTIONS_MAX => one(number(Some(state.control.connection_limit().max() as u64))),
        table::CONNECTIONS_REFUSED => {
            vec![(Vec::new(), Value::Count(state.control.connection_limit().refused()))]
        }
        table::CONNECTION_ENDS => counts([], connections.ends.iter()),
        table::ACCEPT_PAUSES => counts([], connections.accept_pauses.iter()),
        table::WORKER_CONNECTIONS => {
            let taken = state.control.connections().enumerate();
            taken.map(|(i, n)| (vec![i.to_string()], Value::Level(n as f64))).collect()
        }
        table::RELOADS => {
            let done = state.reloader.as_ref().map(Reloader::counts);
            let succeeded = done.map_or(0, |done| done.succeeded.get());
            let failed = done.map_or(0, |done| done.failed.get());
            counts([], [(["succeeded"], succeeded), (["failed"], failed)])
        }
        table::RELOAD_FAILED => {
            let last = state.reloader.as_ref().and_then(Reloader::last);
            one(truth(last.is_some_and(|last| last.outcome.is_err())))
        }
        table::STOPPING => one(truth(state.readiness.stage() == Stage::Stopping)),
        table::LOG_LINES_LOST => vec![(Vec::new(), Value::Count(logging::lost_lines()))],
        table::SPANS => {
            let spans = &state.current.load().spans;
            counts([], [(["exported"], spans.exported.get()), (["lost"], spans.lost.get())])
        }
        table::PANICS => vec![(Vec::new(), Value::Count(panics()))],
        table::BUILD => vec![(vec![env!("CARGO_PKG_VERSION").to_owned()], Value::Level(1.0))],
        table::START_TIME => one(number(Some(seconds(state.since)))),
        table::MEMORY => one(number(process.memory_bytes)),
        table::DESCRIPTORS => one(number(process.descriptors)),
        table::DESCRIPTORS_MAX => one(number(process.descriptors_max)),
        _ => return None,
    })
}

fn certificate_samples(metric: Metric, certificates: &acme::Status) -> Option<Vec<Sample>> {
    let names = certificates.names();
    let levels = |level: fn(&NameStatus) -> Option<f64>| {
        let sample =
            |name: &NameStatus| Some((vec![name.name.clone()], Value::Level(level(name)?)));
        names.iter().filter_map(sample).collect()
    };
    Some(match metric {
        table::CERTIFICATE_ORDERS => {
            let failed = certificates.failed.get();
            counts([], [(["issued"], certificates.issued.get()), (["failed"], failed)])
        }
        table::CERTIFICATE_ORDER_FAILURES => levels(|name| Some(f64::from(name.failures))),
        table::CERTIFICATE_NEXT_ORDER => levels(|name| Some(name.next_order?.0 as f64)),
        _ => return None,
    })
}

fn node_samples(metric: Metric, snapshot: &Snapshot) -> Option<Vec<Sample>> {
    let now = Instant::now();
    let of_node = |upstream: &Upstream, node: &Arc<Node>| {
        let own: [&str; 2] = [upstream.name(), node.name()];
        let count = |count| counts(own, [([], count)]);
        let level = |level: f64| vec![(own.map(str::to_owned).to_vec(), Value::Level(level))];
        let did = node.counts();
        Some(match metric {
            table::NODE_ANSWERS => counts(own, did.answers.iter().map(|(class, n)| ([class], n))),
            table::NODE_HANDSHAKES => {
                let polling = (["polling"], did.handshakes_by_polling.get());
                counts(own, [polling, (["websocket"], did.handshakes_by_websocket.get())])
            }
            table::NODE_CONNECTS_FAILED => count(did.connects_failed.get()),
            table::NODE_REACHABLE => level(f64::from(u8::from(is_reachable(node)))),
            table::NODE_STATE => states(own, upstream.state(node, now)),
            table::NODE_CHECKS => counts(own, did.checks.iter()),
            table::NODE_EJECTIONS => count(did.ejections.get()),
            table::NODE_END_CAUSES => counts(own, did.end_causes.iter()),
            table::NODE_EXCHANGES_OPEN => {
                level(sum(upstream, node, |node| node.exchanges().into()))
            }
            table::NODE_TUNNELS_OPEN => level(sum(upstream, node, |node| node.tunnels().into())),
            table::NODE_TUNNEL_ENDS => counts(own, did.ends.iter()),
            table::NODE_LAG => lag(own, node.lag().summary(now)),
            table::NODE_LOAD => level(sum(upstream, node, |node| node.load_at(now))),
            _ => return None,
        })
    };
    let mut samples = Vec::new();
    for upstream in snapshot.all_upstreams() {
        let mut names: HashSet<&str> = HashSet::new();
        for node in upstream.nodes().iter().chain(upstream.retired_in_use(now)) {
            if names.insert(node.name()) {
                samples.extend(of_node(upstream, node)?);
            }
        }
    }
    Some(samples)
}

/// The quantiles of a node's lag; none without answers that show it.
fn lag(own: [&str; 2], summary: Option<LagSummary>) -> Vec<Sample> {
    let Some(LagSummary { p50, p99, max, .. }) = summary else { return Vec::new() };
    let quantiles = [("0.5", p50), ("0.99", p99), ("1", max)].into_iter();
    let sample = |(quantile, lag): (&str, Duration)| {
        let labels = own.into_iter().chain([quantile]).map(str::to_owned).collect();
        (labels, Value::Level(lag.as_secs_f64()))
    };
    quantiles.map(sample).collect()
}

/// The sum over all processes with the name of `node`.
fn sum(upstream: &Upstream, node: &Arc<Node>, of: impl Fn(&Node) -> f64) -> f64 {
    let retired = upstream.retired().iter().map(|retired| &retired.node);
    let others = retired.filter(|other| other.name() == node.name() && !Arc::ptr_eq(other, node));
    of(node) + others.map(|other| of(other)).sum::<f64>()
}

fn upstream_samples(metric: Metric, snapshot: &Snapshot) -> Option<Vec<Sample>> {
    let now = Instant::now();
    let open = |upstream: &Arc<Upstream>| {
        let open = open_nodes(upstream, now) as f64;
        (vec![upstream.name().to_string()], Value::Level(open))
    };
    let backups = |upstream: &Arc<Upstream>| {
        let in_use = f64::from(u8::from(upstream.needs_backups(now)));
        (vec![upstream.name().to_string()], Value::Level(in_use))
    };
    let looked_up = |upstream: &Arc<Upstream>| {
        let did = upstream.discovery()?.counts();
        let outcomes = [
            (["changed"], did.changed.get()),
            (["unchanged"], did.unchanged.get()),
            (["failed"], did.failed.get()),
        ];
        Some(counts([&**upstream.name()], outcomes))
    };
    Some(match metric {
        table::UPSTREAM_NODES_OPEN => snapshot.upstreams().map(open).collect(),
        table::UPSTREAM_BACKUPS_IN_USE => snapshot.upstreams().map(backups).collect(),
        table::DISCOVERY => snapshot.upstreams().filter_map(looked_up).flatten().collect(),
        _ => return None,
    })
}

fn session_samples(metric: Metric, snapshot: &Snapshot) -> Option<Vec<Sample>> {
    let mut samples = Vec::new();
    for route in snapshot.routes.iter().filter_map(|route| route.upstream()) {
        let (label, insight) = (route.label.to_string(), &route.insight);
        let one = |value| vec![(vec![label.clone()], value)];
        samples.extend(match metric {
            table::POLLING_SESSIONS => counts([label.as_str()], insight.verdicts()),
            table::POLLING_SESSIONS_OPEN => one(Value::Level(insight.polling() as f64)),
            table::POLLING_SESSIONS_STUCK => one(Value::Level(insight.stuck().len() as f64)),
            table::UPGRADE_DURATION => one(Value::Spread(insight.durations())),
            _ => return None,
        });
    }
    Some(samples)
}

fn route_samples(metric: Metric, routes: &[(String, WhenUsed<RouteCounts>)]) -> Vec<Sample> {
    let none = RouteCounts::default();
    let of_route = |(route, did): &(String, WhenUsed<RouteCounts>)| {
        let (own, did) = ([route.as_str()], did.used().unwrap_or(&none));
        match metric {
            table::EXCHANGES => {
                let classes = did.answers.iter().flat_map(|(protocol, answers)| {
                    answers.iter().map(move |(class, n)| ([protocol, class], n))
                });
                counts(own, classes)
            }
            table::EXCHANGE_ERRORS => counts(own, did.errors.iter()),
            table::AFFINITY => counts(own, did.affinity.iter().map(|(word, n)| ([word], n))),
            table::HANDSHAKES_HELD => counts(own, [([], did.held.begun())]),
            table::HANDSHAKES_HELD_OPEN => {
                vec![(own.map(str::to_owned).to_vec(), Value::Level(did.held.open() as f64))]
            }
            table::UPGRADES_TRIED => counts(own, [([], did.upgrades_tried.get())]),
            table::UPGRADES => counts(own, did.upgrades.iter()),
            table::FOREIGN_ORIGINS => counts(own, [([], did.foreign_origins.get())]),
            table::AUTH_REQUESTS => counts(own, did.auth.requests.iter()),
            table::AUTH_REMEMBERED => counts(own, [([], did.auth.remembered.get())]),
            table::PASSWORD_CHECKS => counts(own, did.auth.passwords.iter()),
            _ => tunnel_samples(metric, own, &did.tunnels),
        }
    };
    routes.iter().flat_map(of_route).collect()
}

fn tunnel_samples(metric: Metric, own: [&str; 1], did: &TunnelCounts) -> Vec<Sample> {
    let both = |client: u64, node: u64| counts(own, [(["client"], client), (["node"], node)]);
    match metric {
        table::TUNNELS => {
            counts(own, did.open.iter().map(|(protocol, open)| ([protocol], open.begun())))
        }
        table::TUNNELS_OPEN => {
            let level = |(protocol, open): (&str, &InFlightCount)| {
                let labels = own.into_iter().chain([protocol]).map(str::to_owned).collect();
                (labels, Value::Level(open.open() as f64))
            };
            did.open.iter().map(level).collect()
        }
        table::TUNNEL_ENDS => counts(own, did.ends.iter()),
        table::IDLE_CONTRADICTIONS => counts(own, [([], did.idle_contradictions.get())]),
        table::TUNNEL_BYTES => both(did.from_clients.bytes.get(), did.from_nodes.bytes.get()),
        table::TUNNEL_MESSAGES => {
            both(did.from_clients.messages.get(), did.from_nodes.messages.get())
        }
        _ => {
            debug_assert!(false, "{} is gathered nowhere", metric.name);
            Vec::new()
        }
    }
}

/// A level for each state: 1 for the current one, otherwise 0.
fn states(own: [&str; 2], holds: NodeState) -> Vec<Sample> {
    let sample = |state: NodeState| {
        let labels = own.into_iter().chain([state.label()]).map(str::to_owned).collect();
        (labels, Value::Level(f64::from(u8::from(state == holds))))
    };
    NodeState::ALL.map(sample).into()
}

/// Counts with the labels `own`, by further labels.
pub(super) fn counts<'a, const N: usize, const M: usize>(
    own: [&str; N],
    counted: impl IntoIterator<Item = ([&'a str; M], u64)>,
) -> Vec<Sample> {
    let sample = |(words, count): ([&str; M], u64)| {
        let labels = own.iter().chain(&words).map(|label| (*label).to_owned()).collect();
        (labels, Value::Count(count))
    };
    counted.into_iter().map(sample).collect()
}

/// The label of requests without a route.
const UNROUTED: &str = "none";
