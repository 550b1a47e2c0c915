//! What is counted, under which names, and where the counts live.
//!
//! [`table`] names every metric and explains it; nothing else does. The counts themselves belong to
//! what they tell of: a route has [`RouteCounts`], a node [`NodeCounts`], the listeners share
//! [`Connections`]. Who counts holds them already, so that to count is to add to an atomic and
//! never to look a name up; what leaves the configuration takes its series along; what stays keeps
//! its totals through a reload. Labels are words of ours and of the configuration, never a
//! client's, so their number is bounded.
//!
//! Runs for every request.

mod open;
mod process;
pub mod table;
mod words;

use std::sync::Arc;

use prometheus_client::metrics::counter::Counter;

pub use open::{Open, OpenCount};
pub use process::Process;
pub use words::Words;

/// What a route's exchanges and tunnels did. Requests that no route serves have one too.
#[derive(Debug, Default)]
pub struct RouteCounts {
    /// By the class of the status, whoever said it.
    pub answers: Answers,
    /// Answers of our own: the error, whose doing it is.
    pub errors: Words<2>,
    /// What became of the question which node has the session.
    pub affinity: AffinityCounts,
    /// Handshakes that waited for a node or for their turn.
    pub held: OpenCount,
    /// WebSocket handshakes that were begun.
    pub upgrades_tried: Counter,
    /// How they ended: the outcome and its cause.
    pub upgrades: Words<2>,
    /// What its tunnels did.
    pub tunnels: Arc<TunnelCounts>,
}

/// What the tunnels of a route did.
#[derive(Debug, Default)]
pub struct TunnelCounts {
    /// Those that are open.
    pub open: OpenCount,
    /// Those that are over: the end, whose doing it was.
    pub ends: Words<2>,
    /// Sessions whose heartbeat is longer than their `idle_timeout`.
    pub idle_contradictions: Counter,
    /// What came from clients.
    pub from_clients: Traffic,
    /// What came from nodes.
    pub from_nodes: Traffic,
}

/// What passed one way.
#[derive(Debug, Default)]
pub struct Traffic {
    /// Heads and payloads of frames.
    pub bytes: Counter,
    /// Data messages.
    pub messages: Counter,
}

/// What a node did; lives as long as what is known of its process.
#[derive(Debug, Default)]
pub struct NodeCounts {
    /// Its answers, a 101 among them.
    pub answers: Answers,
    /// Sessions that it opened with a poll.
    pub handshakes_by_polling: Counter,
    /// Sessions that it opened with a WebSocket.
    pub handshakes_by_websocket: Counter,
    /// Connects that failed.
    pub connects_failed: Counter,
    /// Health checks, by what they found.
    pub checks: Words<1>,
    /// How often it was ejected.
    pub ejections: Counter,
}

/// The clients' connections of all listeners, until they end or become tunnels.
#[derive(Debug, Default)]
pub struct Connections {
    /// Those that are open.
    pub open: OpenCount,
    /// How those that are over ended.
    pub ends: Words<1>,
}

/// Reloads of the configuration.
#[derive(Debug, Default)]
pub struct Reloads {
    /// Those after which the file's configuration was in force.
    pub succeeded: Counter,
    /// Those that changed nothing, for something was wrong.
    pub failed: Counter,
}

/// Look-ups of an upstream's nodes.
#[derive(Debug, Default)]
pub struct DiscoveryCounts {
    /// Those that told another set of nodes than before.
    pub changed: Counter,
    /// Those that told the same again.
    pub unchanged: Counter,
    /// Those that told nothing, so that the nodes stayed as they were.
    pub failed: Counter,
}

/// Answers by the class of their status.
#[derive(Debug, Default)]
pub struct Answers([Counter; CLASSES.len()]);

/// The classes of a status; what is none of HTTP counts as the last.
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

/// What became of the question which node has a request's session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AffinityOutcome {
    /// The sid's tag names the node.
    Tag,
    /// The table knew it.
    Table,
    /// The cookie names the node.
    Cookie,
    /// The node of the request's property.
    Rendezvous,
    /// Asking around found it.
    Healed,
    /// It lived on a node that is no more.
    Gone,
    /// No node is known to have it.
    Unknown,
    /// There is no session, or none that the rule would know again: any node will do.
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

    /// The word for metrics.
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
