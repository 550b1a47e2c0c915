//! What differs between nodes, and nodes that clients would not reach.
//!
//! Pure. Runs at start, at reload, or on a timer.

use std::collections::BTreeMap;

use super::{Fault, Finding, Party, State, finding, seconds};
use crate::doctor::observations::{
    ForeignSession, Greeting, Handshake, NodeFacts, Observations, SocketOutcome,
};
use crate::doctor::packets::Open;

/// What is wrong with single nodes, or between them.
pub(super) fn findings(seen: &Observations) -> Vec<Finding> {
    let mut found: Vec<Finding> =
        seen.nodes.iter().filter_map(|node| unreachable(seen, node)).collect();
    let timings = |open: &Open| {
        let both = (open.ping_interval_ms, open.ping_timeout_ms);
        format!("{} and {} ms", both.0.unwrap_or_default(), both.1.unwrap_or_default())
    };
    if let Some(list) = differing(seen, timings) {
        let what = format!("pingInterval and pingTimeout differ: {list}");
        found.push(finding(seen, Fault::TimingsDiffer, Party::Node, what));
    }
    let payload = |open: &Open| {
        open.payload_bytes_max.map_or_else(|| "not announced".to_owned(), |bytes| bytes.to_string())
    };
    if let Some(list) = differing(seen, payload) {
        let what = format!("maxHttpBufferSize differs: {list}");
        found.push(finding(seen, Fault::PayloadsDiffer, Party::Node, what));
    }
    if seen.url.is_none() {
        found.extend(seen.nodes.iter().flat_map(|node| alone(seen, node)));
    }
    found.extend(clocks(seen));
    found.extend(foreign(seen));
    found
}

fn unreachable(seen: &Observations, node: &NodeFacts) -> Option<Finding> {
    if node.trace.any_open().is_some() && !node.trace.is_too_old(seen.eio) {
        return None;
    }
    let why = match node.trace.handshake.as_ref()? {
        Handshake::Opened { .. } => {
            "it speaks the protocol of Socket.IO 1 and 2 (EIO=3), whatever clients ask for"
                .to_owned()
        }
        Handshake::Answered(answered) => format!("the handshake is {answered}"),
        Handshake::Failed(failure) => failure.detail.clone(),
    };
    if node.trace.is_too_old(seen.eio) {
        return Some(finding(seen, Fault::OldServer, Party::Node, format!("{}: {why}", node.name)));
    }
    let what = format!("{} opens no session: {why}", node.name);
    Some(finding(seen, Fault::NodeUnreachable, Party::Node, what))
}

/// What is wrong with a node by itself: through a URL, other rules compare it with the way through the proxy.
fn alone(seen: &Observations, node: &NodeFacts) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut add = |fault, what| found.push(finding(seen, fault, Party::Node, what));
    let name = &node.name;
    let sockets =
        [("upgrade", &node.trace.upgrade), ("WebSocket without polling", &node.trace.alone)];
    let failing = sockets.into_iter().filter_map(|(way, outcome)| Some((way, outcome.as_ref()?)));
    let failing = failing.filter(|(_, outcome)| **outcome != SocketOutcome::Works);
    if let Some((way, outcome)) = failing.take(usize::from(node.trace.open().is_some())).next() {
        let fault = match outcome {
            SocketOutcome::NotOffered => Fault::WebsocketNotOffered,
            SocketOutcome::Mute { .. } => Fault::WebsocketMute,
            SocketOutcome::Works | SocketOutcome::Answered(_) | SocketOutcome::Failed(_) => {
                Fault::UpgradeRefused
            }
        };
        add(fault, format!("{name}: {way}: {outcome}"));
    }
    if let Some(idle) = &node.idle {
        let watches = [idle.polling.as_ref(), idle.websocket.as_ref()];
        if let Some(cut) = watches.into_iter().flatten().find_map(|watch| watch.cut.as_ref()) {
            let what =
                format!("{name}: a session ended after {}: {}", seconds(cut.silent_ms), cut.detail);
            let is_refused = matches!(node.trace.connected, Some(Greeting::Refused { .. }));
            // Servers do not keep sessions that are in no namespace.
            if !(is_refused && (cut.in_order || cut.status == Some(200))) {
                add(if cut.in_order { Fault::ClosedByServer } else { Fault::IdleCut }, what);
            }
        }
    }
    found
}

/// The state of a symptom that no node shows.
pub(super) fn without_finding(seen: &Observations) -> (State, String) {
    match seen.nodes.len() {
        0 => (State::Undecided, "there is no node".to_owned()),
        1 => (State::Sound, "not at this node".to_owned()),
        count => (State::Sound, format!("not at any of {count} nodes, each by itself")),
    }
}

/// The values with their nodes, if there are several.
fn differing(seen: &Observations, value: impl Fn(&Open) -> String) -> Option<String> {
    let mut values = BTreeMap::<String, Vec<&str>>::new();
    for node in &seen.nodes {
        if let Some(open) = node.trace.open() {
            values.entry(value(open)).or_default().push(&node.name);
        }
    }
    let shown = |(value, nodes): (&String, &Vec<&str>)| format!("{value} on {}", nodes.join(", "));
    (values.len() > 1).then(|| values.iter().map(shown).collect::<Vec<_>>().join("; "))
}

fn clocks(seen: &Observations) -> Option<Finding> {
    let clocks = || seen.nodes.iter().filter_map(|node| Some((node.clock_ahead_seconds?, node)));
    let first = clocks().min_by_key(|(ahead, _)| *ahead)?;
    let last = clocks().max_by_key(|(ahead, _)| *ahead)?;
    let apart = last.0.saturating_sub(first.0);
    (apart >= APART_SECONDS).then(|| {
        let apart = u64::try_from(apart).unwrap_or_default().saturating_mul(1_000);
        let what = format!(
            "the clock of {} is {} ahead of that of {}",
            last.1.name,
            seconds(apart),
            first.1.name
        );
        finding(seen, Fault::ClocksDiffer, Party::Node, what)
    })
}

fn foreign(seen: &Observations) -> Option<Finding> {
    let apart =
        |node: &&NodeFacts| node.foreign_session == Some(ForeignSession::UnknownAfterAsking);
    let node = seen.nodes.iter().find(apart)?;
    let what = format!(
        "{} asked other nodes for a session of another one for a second, in vain: its cluster-engine does \
         not reach them",
        node.name
    );
    Some(finding(seen, Fault::ClusterEngineApart, Party::Node, what))
}

/// `Date` has whole seconds, and answers take time.
const APART_SECONDS: i64 = 5;
