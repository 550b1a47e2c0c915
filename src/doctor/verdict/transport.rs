//! Clients that stay in polling, and sessions whose requests are spread over nodes.
//!
//! Pure. Runs at start, at reload, or on a timer.

use super::{Fault, Finding, Party, State, blame, finding};
use crate::doctor::measured::Stickiness;
use crate::doctor::observations::{Answered, NodeFacts, Observations, SocketOutcome};
use crate::doctor::product::Product;

/// What keeps sessions from a WebSocket, and requests from their node.
pub(super) fn findings(seen: &Observations) -> Vec<Finding> {
    let mut found: Vec<Finding> = several_processes(seen).collect();
    let sticky = not_sticky(seen);
    let is_spread = is_spread(seen);
    let upgrade = upgrade(seen).filter(|_| {
        // What lands on another node says nothing about upgrades, unless those fail alone too.
        !is_spread || seen.trace.alone.as_ref().is_some_and(|alone| *alone != SocketOutcome::Works)
    });
    found.extend(sticky);
    found.extend(upgrade);
    found.extend(held_back(seen));
    found
}

pub(super) fn without_finding(seen: &Observations) -> (State, String) {
    let sticky = seen.stickiness.as_ref();
    match (&seen.trace.upgrade, seen.trace.open()) {
        (Some(SocketOutcome::Works), _) if sticky.is_some_and(is_unseen) => {
            let why = match seen.held_off {
                0 => "too few sessions opened to see whether their requests reach one node"
                    .to_owned(),
                count => format!(
                    "too few sessions opened to see whether their requests reach one node: {count} requests of \
                     the doctor were held off (429 or 503), so let it through the limit"
                ),
            };
            (State::Undecided, why)
        }
        (Some(SocketOutcome::Works), _) => {
            (State::Sound, "sessions upgrade, and WebSockets open alone too".to_owned())
        }
        (_, None) if seen.trace.alone_open.is_some() => {
            (State::Sound, "WebSockets open, and polling is not offered".to_owned())
        }
        (_, None) => (State::NotLooked, "there is no session".to_owned()),
        _ => (State::Undecided, "the upgrade was not reached".to_owned()),
    }
}

fn upgrade(seen: &Observations) -> Option<Finding> {
    let (upgrade, alone) = (seen.trace.upgrade.as_ref()?, seen.trace.alone.as_ref());
    let failing = match (upgrade, alone) {
        (SocketOutcome::Works, None | Some(SocketOutcome::Works)) => return None,
        (SocketOutcome::Works, Some(alone)) => alone,
        (upgrade, _) => upgrade,
    };
    let past = past_the_proxy(seen);
    let whose = blame(seen, past);
    let both = alone.is_some_and(|alone| *alone != SocketOutcome::Works);
    let which = match (upgrade == &SocketOutcome::Works, both) {
        (true, _) => "a WebSocket without polling",
        (false, true) => "each WebSocket",
        (false, false) => "the upgrade from polling",
    };
    Some(match failing {
        SocketOutcome::Works => return None,
        // The doctor asks too often; what else fails by that is undecided.
        SocketOutcome::Answered(Answered { status: 429, .. }) => return None,
        SocketOutcome::NotOffered => {
            let what = "the server offers no WebSocket: `upgrades` is empty".to_owned();
            finding(seen, Fault::WebsocketNotOffered, Party::Node, what)
        }
        SocketOutcome::Answered(answered) if is_without_upgrade(answered) && both => {
            let what =
                format!("the handshake of {which} reaches the node without `Upgrade`: {answered}");
            let whose = if whose == Party::ProxyOrNode { Party::Proxy } else { whose };
            finding(seen, Fault::UpgradeLost, whose, what)
        }
        SocketOutcome::Answered(answered) => {
            let what = format!("the handshake of {which} is {answered}");
            finding(seen, Fault::UpgradeRefused, whose, what)
        }
        SocketOutcome::Failed(failure) => {
            let what = format!("the handshake of {which} has no answer: {}", failure.detail);
            finding(seen, Fault::UpgradeRefused, whose, what)
        }
        SocketOutcome::Mute { awaited, end } => {
            let what = format!("{which} opens, but {awaited} does not come: {end}");
            finding(seen, Fault::WebsocketMute, whose, what)
        }
    })
}

/// Whether requests of sessions reach several processes.
pub(super) fn is_spread(seen: &Observations) -> bool {
    not_sticky(seen).is_some() || several_processes(seen).next().is_some()
}

/// Whether stickiness could not be seen.
fn is_unseen(sticky: &Stickiness) -> bool {
    let requests = sticky.with_cookies.own + sticky.without_cookies.own;
    sticky.handshakes_failed > 0 && (sticky.sessions < SESSIONS_MIN || requests < SESSIONS_MIN)
}

/// What servers answer to `transport=websocket` without an `Upgrade`.
fn is_without_upgrade(answered: &Answered) -> bool {
    answered.status == 426 || (answered.status == 400 && matches!(answered.code, Some(3) | None))
}

/// Whether WebSockets fail past the proxy too.
fn past_the_proxy(seen: &Observations) -> Option<bool> {
    (!seen.nodes.is_empty()).then(|| seen.nodes.iter().all(|node| !node.trace.is_whole()))
}

fn not_sticky(seen: &Observations) -> Option<Finding> {
    let sticky = seen.stickiness.as_ref()?;
    let (with, without) = (sticky.with_cookies, sticky.without_cookies);
    let lost = with.other + without.other;
    // A session can end between two requests for other reasons.
    if lost < 2 || several_processes(seen).next().is_some() {
        return None;
    }
    let all = lost + with.own + without.own;
    let mut what =
        format!("{lost} of {all} requests of sessions reached a node that does not know them");
    if with.own + with.other > 0 && with.other == 0 {
        what += ": those without the cookie, as clients on Node.js send them";
    } else if sticky.same_connection.other == 0 && sticky.same_connection.own > 0 {
        what +=
            "; on the connection of the handshake all arrive, so whole connections are balanced";
    }
    if let Some(processes) = sticky.processes_min.filter(|processes| *processes > 1) {
        what += &format!("; at least {processes} processes answer");
    }
    let whose = match (seen.nodes.is_empty(), seen.product) {
        (true, Some(Product::Node)) => Party::Node,
        (true, None) => Party::ProxyOrNode,
        _ => Party::Proxy,
    };
    Some(finding(seen, Fault::NotSticky, whose, what))
}

/// Nodes that do not know their own sessions on new connections.
fn several_processes(seen: &Observations) -> impl Iterator<Item = Finding> + '_ {
    let loses = |sticky: &Stickiness| sticky.with_cookies.other + sticky.without_cookies.other >= 2;
    let several = move |node: &&NodeFacts| node.stickiness.as_ref().is_some_and(loses);
    seen.nodes.iter().filter(several).map(|node| {
        let what = format!(
            "{} does not know its own sessions on new connections: it is several processes behind one port",
            node.name
        );
        finding(seen, Fault::SeveralProcesses, Party::Node, what)
    })
}

fn held_back(seen: &Observations) -> Option<Finding> {
    let noop_ms = seen.trace.noop_ms.filter(|noop_ms| *noop_ms >= HELD_BACK_MS)?;
    if super::drops::blocked(seen).is_some() {
        // Then it is one of the answers that come late.
        return None;
    }
    let what = format!(
        "the end of a pending poll came {} late, so upgrades wait as long",
        super::seconds(noop_ms)
    );
    let held = |node: &NodeFacts| node.trace.noop_ms.is_some_and(|noop| noop >= HELD_BACK_MS);
    let past = (!seen.nodes.is_empty()).then(|| seen.nodes.iter().any(held));
    Some(finding(seen, Fault::PollsHeldBack, blame(seen, past), what))
}

/// Servers end a pending poll within 100 ms.
const HELD_BACK_MS: u64 = 3_000;

/// Fewer sessions may reach one node by luck.
const SESSIONS_MIN: u32 = 4;
