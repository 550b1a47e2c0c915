//! The counts and their names.
//!
//! [`table`] alone names and explains every metric. The counts belong to the things that they count: a
//! route has [`RouteCounts`], a node [`NodeCounts`], the listeners share [`Connections`]. The code that
//! counts holds them, so that counting is an atomic addition without a lookup. A route or node that
//! leaves the configuration takes its series along; one that stays keeps its totals through a reload.
//! Labels come from the program and the configuration, never from a client, so their number is bounded.
//!
//! Runs for every request.

mod auth;
mod in_flight;
mod labels;
mod metric;
mod panics;
mod process;
pub(crate) mod table;
mod when_used;

use std::sync::Arc;

use prometheus_client::metrics::counter::Counter;

pub(crate) use auth::AuthCounts;
pub(crate) use in_flight::{InFlightCount, InFlightGuard};
pub(crate) use labels::LabelCounts;
pub(crate) use panics::{count_panic, panics};
pub(crate) use process::Process;
pub(crate) use when_used::WhenUsed;

/// The counts of a route's exchanges and tunnels. Requests without a route have one too.
#[derive(Debug, Default)]
pub struct RouteCounts {
    /// Answers by the class of their status, of nodes and of the proxy.
    pub answers: ByProtocol<Answers>,
    /// Answers of the proxy, by error and by the side that caused it.
    pub errors: LabelCounts<2>,
    /// How the node of a session was found.
    pub affinity: AffinityCounts,
    /// Handshakes that waited for a node or for their turn.
    pub held: InFlightCount,
    /// WebSocket handshakes with cookies by pages of other hosts, where no rule names the origins.
    pub foreign_origins: Counter,
    /// How it was found out who clients are.
    pub auth: AuthCounts,
    /// WebSocket handshakes.
    pub upgrades_tried: Counter,
    /// How WebSocket handshakes ended, by outcome and cause.
    pub upgrades: LabelCounts<2>,
    /// The counts of its tunnels.
    pub tunnels: Arc<TunnelCounts>,
}

/// The counts of a route's tunnels.
#[derive(Debug, Default)]
pub struct TunnelCounts {
    /// Open tunnels.
    pub open: ByProtocol<InFlightCount>,
    /// Tunnels that ended, by end and by the side that caused it.
    pub ends: LabelCounts<2>,
    /// Sessions whose heartbeat is longer than their `idle_timeout`.
    pub idle_contradictions: Counter,
    /// Traffic from clients.
    pub from_clients: Traffic,
    /// Traffic from nodes.
    pub from_nodes: Traffic,
}

/// The HTTP that a client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1, or HTTP/1.0.
    Http1,
    /// HTTP/2.
    Http2,
}

impl Protocol {
    const ALL: [Self; 2] = [Self::Http1, Self::Http2];

    /// The protocol of a request of this version.
    pub fn of_version(version: http::Version) -> Self {
        if version == http::Version::HTTP_2 { Self::Http2 } else { Self::Http1 }
    }

    /// The label in metrics.
    pub fn label(self) -> &'static str {
        match self {
            Self::Http1 => "http1",
            Self::Http2 => "http2",
        }
    }
}

/// A count for each [`Protocol`].
#[derive(Debug, Default)]
pub struct ByProtocol<T>([T; Protocol::ALL.len()]);

impl<T> ByProtocol<T> {
    /// The count of `protocol`.
    pub fn of(&self, protocol: Protocol) -> &T {
        let [http1, http2] = &self.0;
        match protocol {
            Protocol::Http1 => http1,
            Protocol::Http2 => http2,
        }
    }

    /// Each protocol with its count.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &T)> {
        Protocol::ALL.into_iter().map(|protocol| (protocol.label(), self.of(protocol)))
    }
}

/// The traffic of one direction.
#[derive(Debug, Default)]
pub struct Traffic {
    /// Heads and payloads of frames.
    pub bytes: Counter,
    /// Data messages.
    pub messages: Counter,
}

/// The counts of a node. They live as long as the state of its process.
#[derive(Debug, Default)]
pub struct NodeCounts {
    /// Its answers, including 101.
    pub answers: Answers,
    /// Sessions that began with a poll.
    pub handshakes_by_polling: Counter,
    /// Sessions that began with a WebSocket.
    pub handshakes_by_websocket: Counter,
    /// Failed connects.
    pub connects_failed: Counter,
    /// Health checks, by result.
    pub checks: LabelCounts<1>,
    /// How often it was ejected.
    pub ejections: Counter,
    /// Its tunnels that ended, by end and by the side that caused it.
    pub ends: LabelCounts<2>,
    /// Its tunnels that ended abnormally, by cause.
    pub end_causes: LabelCounts<1>,
}

/// The clients' connections of all listeners, until they close or become tunnels.
#[derive(Debug, Default)]
pub(crate) struct Connections {
    /// Open connections.
    pub open: InFlightCount,
    /// Ended connections, by end.
    pub ends: LabelCounts<1>,
    /// How often a listener began to let clients wait, by reason.
    pub accept_pauses: LabelCounts<1>,
    /// The TLS handshakes before HTTP.
    pub tls: TlsHandshakes,
}

/// TLS handshakes of clients.
#[derive(Debug, Default)]
pub(crate) struct TlsHandshakes {
    /// Handshakes under way, and those that wait for their turn.
    pub open: InFlightCount,
    /// Those of them that wait for their turn.
    pub waiting: InFlightCount,
    /// Complete ones, by version, and by whether the session was resumed.
    pub done: LabelCounts<2>,
    /// Failed ones, by reason.
    pub failed: LabelCounts<1>,
}

/// Reloads of the configuration.
#[derive(Debug, Default)]
pub struct Reloads {
    /// Reloads that put the file's configuration in force.
    pub succeeded: Counter,
    /// Reloads that failed and changed nothing.
    pub failed: Counter,
}

/// Lookups of an upstream's nodes.
#[derive(Debug, Default)]
pub struct DiscoveryCounts {
    /// Lookups that found other nodes than before.
    pub changed: Counter,
    /// Lookups that found the same nodes.
    pub unchanged: Counter,
    /// Lookups that failed, so that the nodes stayed.
    pub failed: Counter,
}

/// Answers by the class of their status.
#[derive(Debug, Default)]
pub struct Answers([Counter; CLASSES.len()]);

/// The classes of a status. A status outside of HTTP counts in the last one.
const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

impl Answers {
    /// Counts an answer with this status.
    pub fn count(&self, status: http::StatusCode) {
        let class = usize::from(status.as_u16() / 100).saturating_sub(1);
        let [.., last] = &self.0;
        self.0.get(class).unwrap_or(last).inc();
    }

    /// Each class with its count.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
        CLASSES.into_iter().zip(self.0.iter().map(Counter::get))
    }
}

/// How the node of a request's session was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AffinityOutcome {
    /// The tag of the sid names the node.
    Tag,
    /// The table has the session.
    Table,
    /// The cookie names the node.
    Cookie,
    /// The rendezvous hash of a property of the request.
    Rendezvous,
    /// A search over the nodes found the session.
    Healed,
    /// The session's node no longer exists.
    Gone,
    /// The node is unknown.
    Unknown,
    /// No session, or none that the rule recognizes: any node can serve the request.
    None,
}

impl AffinityOutcome {
    const ALL: [Self; 8] = [
        Self::Tag,
        Self::Table,
        Self::Cookie,
        Self::Rendezvous,
        Self::Healed,
        Self::Gone,
        Self::Unknown,
        Self::None,
    ];

    /// The label in metrics.
    pub fn label(self) -> &'static str {
        match self {
            Self::Tag => "tag",
            Self::Table => "table",
            Self::Cookie => "cookie",
            Self::Rendezvous => "rendezvous",
            Self::Healed => "healed",
            Self::Gone => "gone",
            Self::Unknown => "unknown",
            Self::None => "none",
        }
    }
}

/// Requests by [`AffinityOutcome`].
#[derive(Debug, Default)]
pub struct AffinityCounts([Counter; AffinityOutcome::ALL.len()]);

impl AffinityCounts {
    /// Counts a request with this outcome.
    pub fn count(&self, outcome: AffinityOutcome) {
        if let Some(counter) = self.0.get(outcome as usize) {
            counter.inc();
        }
    }

    /// Each outcome with its count.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let labels = AffinityOutcome::ALL.into_iter().map(AffinityOutcome::label);
        labels.zip(self.0.iter().map(Counter::get))
    }
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::*;

    #[test]
    fn each_status_counts_in_its_class() {
        let answers = Answers::default();
        for status in [101, 200, 204, 404, 503, 599, 700, 999] {
            answers.count(StatusCode::from_u16(status).unwrap());
        }
        let counts: Vec<_> = answers.iter().collect();
        assert_eq!(counts, [("1xx", 1), ("2xx", 2), ("3xx", 0), ("4xx", 1), ("5xx", 4)]);
    }

    #[test]
    fn each_outcome_of_affinity_has_a_count_of_its_own() {
        let counts = AffinityCounts::default();
        for (index, outcome) in AffinityOutcome::ALL.into_iter().enumerate() {
            for _ in 0..=index {
                counts.count(outcome);
            }
        }
        for (index, (label, count)) in counts.iter().enumerate() {
            assert_eq!((label, count), (AffinityOutcome::ALL[index].label(), index as u64 + 1));
        }
    }
}
