//! Sessions that end although client and node are there.
//!
//! Pure. Runs at start, at reload, or on a timer.

use super::{Fault, Finding, Party, State, blame, finding, seconds, size};
use crate::doctor::gather::PATIENCE_MAX;
use crate::doctor::measured::{Cut, Delays, Idle, Limit, Watch};
use crate::doctor::observations::{Greeting, NodeFacts, Observations, SocketOutcome};

/// What ends sessions.
pub(super) fn findings(seen: &Observations) -> Vec<Finding> {
    let mut found = Vec::new();
    found.extend(cuts(seen));
    found.extend(blocked(seen));
    found.extend(payload(seen));
    found
}

pub(super) fn without_finding(seen: &Observations) -> (State, String) {
    let Some(open) = seen.trace.any_open() else {
        return (State::NotLooked, "there is no session".to_owned());
    };
    let Some(idle) = seen.idle.as_ref() else {
        return (State::Undecided, "idle sessions were not watched".to_owned());
    };
    if let Some(undecided) = unwatched(seen, idle) {
        return (State::Undecided, undecided);
    }
    let watched = [idle.polling.as_ref(), idle.websocket.as_ref()];
    let lived = watched.into_iter().flatten().map(|watch| watch.lived_ms).min().unwrap_or_default();
    let interval = open.ping_interval_ms.unwrap_or(25_000);
    match lived > interval {
        true => {
            let reason = format!(
                "idle sessions lived {}, longer than the heartbeat of {}",
                seconds(lived),
                seconds(interval)
            );
            (State::Sound, reason)
        }
        false => {
            let needed = interval / 1_000 + 5;
            let remedy = match needed <= PATIENCE_MAX.as_secs() {
                true => format!("use --patience {needed}"),
                false => "that is longer than --patience may be".to_owned(),
            };
            let reason = format!(
                "no session ended within {}, but the heartbeat comes after {}: {remedy}",
                seconds(lived),
                seconds(interval)
            );
            (State::Undecided, reason)
        }
    }
}

/// Why idle sessions say nothing, if so.
fn unwatched(seen: &Observations, idle: &Idle) -> Option<String> {
    let is_held_off = |watch: &Watch| watch.cut.as_ref().is_some_and(|cut| cut.status == Some(429));
    if let Some(Greeting::Refused { message }) = &seen.trace.connected {
        let is_cut =
            |watch: &Option<Watch>| watch.as_ref().is_some_and(|watch| watch.cut.is_some());
        if is_cut(&idle.polling) || is_cut(&idle.websocket) {
            return Some(format!(
                "the application refuses the doctor ({message}), and the server ends sessions that are in no \
                 namespace: give it what clients have, with --header or a query in the URL"
            ));
        }
    }
    if idle.polling.as_ref().is_some_and(is_held_off) {
        return Some(
            "polls of the doctor were held off (429): let it through the limit".to_owned(),
        );
    }
    let missing = match (&idle.polling, &idle.websocket) {
        (None, _) if seen.trace.open().is_some() => "polling",
        (_, None) if seen.trace.alone == Some(SocketOutcome::Works) => "WebSocket",
        _ => return None,
    };
    Some(format!("no session by {missing} opened to be left alone"))
}

/// One finding for both transports, by the one that was cut first.
fn cuts(seen: &Observations) -> Option<Finding> {
    let idle = seen.idle.as_ref()?;
    let interval = seen.trace.any_open()?.ping_interval_ms.unwrap_or(25_000);
    let polling =
        idle.polling.as_ref().and_then(|watch| Some(("polling", watch, watch.cut.as_ref()?)));
    let socket =
        idle.websocket.as_ref().and_then(|watch| Some(("WebSocket", watch, watch.cut.as_ref()?)));
    // Polls that reach other nodes end for that reason, which is named elsewhere; so do sessions whose pong
    // reached another one.
    let is_spread = super::transport::is_spread(seen);
    let polling =
        polling.filter(|_| !is_spread).filter(|(_, _, cut)| !matches!(cut.status, Some(400 | 429)));
    let (name, watch, cut) =
        polling.into_iter().chain(socket).min_by_key(|(_, watch, _)| watch.lived_ms)?;
    let both = polling.is_some() && socket.is_some();
    let which = if both {
        "sessions of both transports".to_owned()
    } else {
        format!("a session by {name}")
    };
    let by_server = (cut.in_order && cut.close_code != Some(GOING_AWAY)) || cut.status == Some(200);
    if by_server && matches!(seen.trace.connected, Some(Greeting::Refused { .. })) {
        // Servers do not keep sessions that are in no namespace.
        return None;
    }
    if by_server {
        let what =
            format!("the server ended {which} after {}: {}", seconds(watch.lived_ms), cut.detail);
        return Some(finding(seen, Fault::ClosedByServer, Party::Node, what));
    }
    if matches!(cut.status, Some(502 | 503)) {
        let what = format!("{which} ended after {}: {}", seconds(watch.lived_ms), cut.detail);
        return Some(finding(seen, Fault::NodesUnreachable, Party::Proxy, what));
    }
    let when = match cut.silent_ms.saturating_add(SLACK_MS) < watch.lived_ms {
        true if cut.silent_ms < SLACK_MS => {
            format!("{} after its begin, although messages passed", seconds(watch.lived_ms))
        }
        _ => format!("after {} of silence", seconds(cut.silent_ms)),
    };
    let what = format!(
        "{which} ended {when}: {}; the heartbeat comes every {}",
        cut.detail,
        seconds(interval)
    );
    let past = past(seen, |idle| watch_of(idle, name).and_then(|watch| watch.cut.as_ref()), cut);
    Some(finding(seen, Fault::IdleCut, blame(seen, past), what))
}

/// Whether nodes cut as early past the proxy.
fn past(seen: &Observations, of: impl Fn(&Idle) -> Option<&Cut>, cut: &Cut) -> Option<bool> {
    let watched = seen.nodes.iter().filter_map(|node| node.idle.as_ref()).collect::<Vec<_>>();
    let alike = |found: &Cut| found.silent_ms <= cut.silent_ms.saturating_add(SLACK_MS);
    (!watched.is_empty()).then(|| watched.into_iter().filter_map(of).any(alike))
}

fn watch_of<'a>(idle: &'a Idle, name: &str) -> Option<&'a Watch> {
    if name == "polling" { idle.polling.as_ref() } else { idle.websocket.as_ref() }
}

/// A server that does not answer for seconds.
pub(super) fn blocked(seen: &Observations) -> Option<Finding> {
    let stalls =
        |delays: &Delays| delays.stalls >= STALLS_MIN || delays.longest_ms >= STALL_LONG_MS;
    let at_nodes = |node: &&NodeFacts| node.delays.as_ref().is_some_and(stalls);
    let node = seen.nodes.iter().find(at_nodes);
    let through = seen.delays.as_ref().filter(|delays| stalls(delays));
    let late = seen.idle.as_ref().map_or(0, |idle| {
        let watches = [idle.polling.as_ref(), idle.websocket.as_ref()];
        let late = |watch: Option<&Watch>| {
            watch.filter(|w| w.cut.is_none()).map_or(0, |w| w.heartbeat_late_ms)
        };
        // A heartbeat can be late by polling alone, where it has to wait for the next poll.
        watches.map(late).into_iter().min().unwrap_or_default()
    });
    let what = match (node.and_then(|node| Some((node, node.delays.as_ref()?))), through) {
        (Some((node, delays)), _) => format!(
            "{} did not answer for up to {} ({} of {} times for about a second or longer)",
            node.name,
            seconds(delays.longest_ms),
            delays.stalls,
            delays.samples
        ),
        (None, Some(delays)) => format!(
            "the server did not answer for up to {} ({} of {} times for about a second or longer; median {} ms)",
            seconds(delays.longest_ms),
            delays.stalls,
            delays.samples,
            delays.median_ms
        ),
        (None, None) if late >= STALL_LONG_MS => {
            format!("heartbeats of the server came up to {} late", seconds(late))
        }
        (None, None) => return None,
    };
    let asked_nodes = seen.nodes.iter().any(|node| node.delays.is_some());
    let whose = match (node.is_some(), asked_nodes) {
        (true, _) | (false, false) => Party::Node,
        (false, true) => Party::ProxyOrNode,
    };
    Some(finding(seen, Fault::EventLoopBlocked, whose, what))
}

fn payload(seen: &Observations) -> Option<Finding> {
    let payload = seen.payload.as_ref()?;
    let ways = [
        ("polling to the server", &payload.up_polling),
        ("WebSocket to the server", &payload.up_websocket),
        ("polling to the client", &payload.down_polling),
        ("WebSocket to the client", &payload.down_websocket),
    ];
    // A limit below the smallest size that is tried is another fault.
    let limited = |limit: &&Limit| limit.refused.is_some() && limit.passed > 0;
    let (way, limit) =
        ways.into_iter().find_map(|(way, limit)| Some((way, limit.as_ref().filter(limited)?)))?;
    let allowed = payload.announced.map_or_else(String::new, |bytes| {
        format!(", although the server announces {}", size(bytes))
    });
    let what = format!(
        "a message of {} by {way} does not pass ({}), one of {} does{allowed}",
        size(limit.refused.unwrap_or_default()),
        limit.how,
        size(limit.passed)
    );
    let whose =
        if payload.announced.is_some() { blame(seen, Some(false)) } else { Party::ProxyOrNode };
    Some(finding(seen, Fault::PayloadLimit, whose, what))
}

/// The Close code of a proxy that ends a WebSocket (RFC 6455, section 7.4.1).
const GOING_AWAY: u16 = 1001;

/// Two times that differ by less are alike.
const SLACK_MS: u64 = 1_500;

/// One long answer may be an accident of the network.
const STALLS_MIN: u32 = 2;

const STALL_LONG_MS: u64 = 3_000;
