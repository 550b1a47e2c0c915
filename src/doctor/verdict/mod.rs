//! From facts to opinions: what is wrong, whose fault it is, and what to change.
//!
//! - `connect`: no session at all; `transport`: no WebSocket; `drops`: sessions that end
//! - `rooms`: messages between nodes; `memory`: what the admin listener of Sockeye says
//! - `nodes`: what differs between them; `arrival`: what the proxy sends to them
//! - `remedy`: what to change, by fault; `products`: the settings of each product
//!
//! Pure. Runs at start, at reload, or on a timer.

mod arrival;
mod connect;
mod drops;
mod fault;
mod memory;
mod nodes;
mod products;
mod remedy;
mod rooms;
#[cfg(test)]
mod tests;
mod transport;

use serde::Serialize;

pub(crate) use fault::Fault;

use super::observations::Observations;
use super::product::Product;

/// All opinions on a run.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Diagnosis {
    /// One for each symptom, in the order of [`SYMPTOMS`].
    pub(crate) verdicts: Vec<Verdict>,
    /// What is wrong, the worst first.
    pub(crate) findings: Vec<Finding>,
}

/// What operators of Socket.IO see.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Symptom {
    /// Clients do not connect at all.
    NoSession,
    /// Clients stay in polling.
    StuckInPolling,
    /// Clients are disconnected again and again.
    Drops,
    /// Messages to rooms do not arrive.
    RoomMessagesLost,
    /// The memory of the proxy or of a node grows.
    MemoryGrows,
}

/// The opinion on a symptom.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Verdict {
    /// The symptom.
    pub(crate) symptom: Symptom,
    /// Whether this set-up has it.
    pub(crate) state: State,
    /// Why, in a sentence.
    pub(crate) reason: String,
}

/// Whether a set-up has a symptom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum State {
    /// No.
    Sound,
    /// Yes.
    Broken,
    /// Under a condition that the finding names.
    AtRisk,
    /// It was to be seen, and was not.
    Undecided,
    /// It cannot be seen without more arguments.
    NotLooked,
}

/// Something that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Finding {
    /// What it is.
    pub(crate) fault: Fault,
    /// How bad it is.
    pub(crate) level: Level,
    /// What it leads to.
    pub(crate) symptoms: Vec<Symptom>,
    /// What was seen, in a sentence.
    pub(crate) what: String,
    /// Whose fault it is.
    pub(crate) whose: Party,
    /// What to change.
    pub(crate) change: String,
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Level {
    /// Clients suffer.
    Breaks,
    /// Clients suffer under a condition.
    BreaksWhen,
    /// Something is not as it is expected.
    Hint,
}

/// Who can change something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Party {
    /// The proxy, or what else is between client and node.
    Proxy,
    /// The server, or its process.
    Node,
    /// It is not clear whether the proxy or the node.
    ProxyOrNode,
    /// The network or its names.
    Network,
    /// The one who runs the doctor, or the client.
    Client,
}

/// All opinions on these facts.
pub(crate) fn diagnose(seen: &Observations) -> Diagnosis {
    let rules = [
        connect::findings,
        transport::findings,
        drops::findings,
        rooms::findings,
        memory::findings,
        nodes::findings,
        arrival::findings,
    ];
    let mut findings: Vec<Finding> = rules.iter().flat_map(|rule| rule(seen)).collect();
    findings.sort_by_key(|finding| finding.level);
    let verdicts = SYMPTOMS.into_iter().map(|symptom| verdict(symptom, seen, &findings)).collect();
    Diagnosis { verdicts, findings }
}

impl Diagnosis {
    /// Whether clients suffer, always or under a condition.
    pub(crate) fn is_broken(&self) -> bool {
        self.findings.iter().any(|finding| finding.level != Level::Hint)
    }

    /// Whether something was to be seen, and was not.
    pub(crate) fn is_undecided(&self) -> bool {
        self.verdicts.iter().any(|verdict| verdict.state == State::Undecided)
    }
}

impl Symptom {
    /// Whether a node can have it by itself.
    fn is_of_nodes(self) -> bool {
        match self {
            Self::NoSession | Self::StuckInPolling | Self::Drops => true,
            Self::RoomMessagesLost | Self::MemoryGrows => false,
        }
    }
}

/// In the order in which they are shown.
pub(crate) const SYMPTOMS: [Symptom; 5] = [
    Symptom::NoSession,
    Symptom::StuckInPolling,
    Symptom::Drops,
    Symptom::RoomMessagesLost,
    Symptom::MemoryGrows,
];

fn verdict(symptom: Symptom, seen: &Observations, findings: &[Finding]) -> Verdict {
    let mut found = findings.iter().filter(|finding| finding.symptoms.contains(&symptom));
    let worst = found.next().filter(|finding| finding.level != Level::Hint);
    let (state, reason) = match worst {
        Some(Finding { level: Level::Breaks, what, .. }) => (State::Broken, what.clone()),
        Some(Finding { what, .. }) => (State::AtRisk, what.clone()),
        None if seen.arrival.is_some() && seen.trace.handshake.is_none() => {
            arrival::without_finding(seen)
        }
        None if seen.url.is_none() && symptom.is_of_nodes() => nodes::without_finding(seen),
        None => match symptom {
            Symptom::NoSession => connect::without_finding(seen),
            Symptom::StuckInPolling => transport::without_finding(seen),
            Symptom::Drops => drops::without_finding(seen),
            Symptom::RoomMessagesLost => rooms::without_finding(seen),
            Symptom::MemoryGrows => memory::without_finding(seen),
        },
    };
    Verdict { symptom, state, reason }
}

/// Who is at fault if something fails through the proxy, and whether it `fails_at_node` too, where that is
/// known.
fn blame(seen: &Observations, fails_at_node: Option<bool>) -> Party {
    match (fails_at_node, seen.product) {
        (Some(true), _) | (None, Some(Product::Node)) => Party::Node,
        (Some(false), _) | (None, Some(_)) => Party::Proxy,
        (None, None) => Party::ProxyOrNode,
    }
}

/// A finding, with what to change by the product that was seen.
fn finding(seen: &Observations, fault: Fault, whose: Party, what: String) -> Finding {
    let (level, symptoms) = fault.facts();
    let change = remedy::change(fault, whose, seen.product);
    Finding { fault, level, symptoms: symptoms.to_vec(), what, whose, change }
}

/// `milliseconds` in seconds, for a sentence.
fn seconds(milliseconds: u64) -> String {
    match milliseconds {
        short @ ..10_000 => format!("{}.{} s", short / 1_000, short % 1_000 / 100),
        long => format!("{} s", long.saturating_add(500) / 1_000),
    }
}

/// `bytes`, for a sentence.
fn size(bytes: u64) -> String {
    match bytes {
        small @ ..2_048 => format!("{small} bytes"),
        middle @ ..2_000_000 => format!("{} KB", middle / 1_000),
        large => format!("{} MB", large / 1_000_000),
    }
}
