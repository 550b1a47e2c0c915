//! What a proxy sends to its nodes, by a node of the doctor's own.
//!
//! Pure. Runs at start, at reload, or on a timer.

use super::{Fault, Finding, Party, State, finding};
use crate::doctor::observations::Observations;

/// What nodes miss.
pub(super) fn findings(seen: &Observations) -> Vec<Finding> {
    let arrival = seen.arrival.as_ref().filter(|arrival| arrival.failed.is_none());
    let Some(arrival) = arrival else { return Vec::new() };
    let Some(polling) = &arrival.polling else {
        let what =
            format!("nothing arrived at {}: does the proxy send this URL there?", arrival.listened);
        return vec![finding(seen, Fault::NodeUnreachable, Party::Proxy, what)];
    };
    let mut found = Vec::new();
    let mut add = |fault, what| found.push(finding(seen, fault, Party::Proxy, what));
    let upgrade = arrival.websocket.as_ref().map(|arrived| arrived.field("upgrade"));
    match upgrade {
        None => add(Fault::UpgradeLost, "the handshake of a WebSocket does not arrive".to_owned()),
        Some(Some(value)) if value.eq_ignore_ascii_case("websocket") => (),
        Some(value) => {
            let value = value.unwrap_or("missing");
            add(
                Fault::UpgradeLost,
                format!("in the handshake of a WebSocket, `Upgrade` is {value}"),
            );
        }
    }
    let is_missing = |name: &&&str| polling.field(name).is_none();
    let missing: Vec<&str> = FORWARDED.iter().filter(is_missing).copied().collect();
    if !missing.is_empty() && polling.field("forwarded").is_none() {
        let what = format!("nodes do not get {}", missing.join(" and "));
        add(Fault::ForwardedMissing, what);
    }
    let host = polling.field("host").unwrap_or("missing");
    if !host.eq_ignore_ascii_case(&arrival.host_sent) {
        let what = format!("`Host` is {host} at nodes, and {} at the client", arrival.host_sent);
        add(Fault::HostChanged, what);
    }
    if path(&polling.target) != path(&arrival.target_sent) {
        let (at_node, sent) = (path(&polling.target), path(&arrival.target_sent));
        add(
            Fault::PathChanged,
            format!("the path is {at_node} at nodes, and {sent} at the client"),
        );
    }
    if arrival.streams == Some(false) {
        let what = "a response arrives only when it is complete".to_owned();
        add(Fault::ResponsesBuffered, what);
    }
    found
}

/// The state of each symptom, of which a node of the doctor's own shows nothing.
pub(super) fn without_finding(seen: &Observations) -> (State, String) {
    let arrival = seen.arrival.as_ref();
    match arrival.and_then(|arrival| Some((&arrival.listened, arrival.failed.as_ref()?))) {
        Some((address, why)) => {
            (State::Undecided, format!("nobody can listen at {address}: {why}"))
        }
        None => (State::NotLooked, "only what arrives at a node was looked at".to_owned()),
    }
}

fn path(target: &str) -> &str {
    target.split('?').next().unwrap_or_default()
}

const FORWARDED: [&str; 2] = ["x-forwarded-for", "x-forwarded-proto"];
