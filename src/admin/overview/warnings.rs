//! What the operator should look at, each with what to do about it.
//!
//! Runs at start, at reload, or on a timer.

use super::sentence::counted;
use crate::Instant;
use crate::admin::history::Growth;
use crate::admin::model::{Advice, NodeGlance, OpenSessions, ProcessGlance};
use crate::admin::readiness::{lookups_fail, open_nodes, own_reasons};
use crate::admin::recorder::Past;
use crate::admin::state::AdminState;
use crate::admin::totals::FaultKind;
use crate::admin::views;
use crate::metrics::Process;
use crate::reload::Reloader;
use crate::snapshot::Snapshot;

/// Where warnings are found.
#[derive(Clone, Copy, Debug)]
pub(super) struct Warnings<'a> {
    pub(super) state: &'a AdminState,
    pub(super) snapshot: &'a Snapshot,
    pub(super) past: &'a Past,
    pub(super) now: Instant,
}

/// The upstreams of which no node takes new sessions.
pub(super) fn closed_upstreams(snapshot: &Snapshot, now: Instant) -> Vec<String> {
    let closed = snapshot.upstreams().filter(|upstream| open_nodes(upstream, now) == 0);
    closed.map(|upstream| upstream.name().to_string()).collect()
}

impl Warnings<'_> {
    /// All of them, the gravest first.
    pub(super) fn all(
        self,
        nodes: &[NodeGlance],
        sessions: &OpenSessions,
        process: &ProcessGlance,
    ) -> Vec<Advice> {
        let mut all = Vec::new();
        all.extend(own_reasons(self.state).into_iter().map(of_process));
        all.extend(closed_upstreams(self.snapshot, self.now).iter().map(|name| closed(name)));
        all.extend(of_nodes(nodes));
        all.extend(self.of_reload());
        all.extend(self.of_limits(sessions, process));
        all.extend(stuck(sessions));
        let lookups = self.snapshot.upstreams().filter_map(lookups_fail);
        all.extend(lookups.map(|text| advice(text, DNS)));
        all.extend(views::certificate_notes(self.state).into_iter().map(of_certificate));
        all.extend(views::notes(self.snapshot, self.now).map(of_note));
        all.extend(self.past.faults().filter_map(of_fault));
        all
    }

    fn of_reload(self) -> Option<Advice> {
        let last = self.state.reloader.as_ref().and_then(Reloader::last)?;
        let failure = last.outcome.err()?.on_one_line();
        Some(advice(
            format!("the last reload failed: {failure}"),
            "Correct the file. The earlier configuration stays in force until then.",
        ))
    }

    fn of_limits(self, sessions: &OpenSessions, process: &ProcessGlance) -> Vec<Advice> {
        let mut found = Vec::new();
        let taken = sessions.websocket.saturating_add_signed(process.connections);
        let max = process.connections_max as u64;
        if is_nearly(taken, max) {
            found.push(advice(
                format!("{taken} of {max} allowed connections are open"),
                "Raise max_connections and the limit of open files, or add a proxy.",
            ));
        }
        let resources = Process::now();
        if let (Some(open), Some(max)) = (resources.descriptors, resources.descriptors_max)
            && is_nearly(open, max)
        {
            found.push(advice(
                format!("{open} of {max} allowed files and sockets are open"),
                "Raise LimitNOFILE of the service, or ulimit -n.",
            ));
        }
        found
    }
}

/// Whether nine tenths are taken.
fn is_nearly(taken: u64, max: u64) -> bool {
    taken.saturating_mul(10) >= max.saturating_mul(9)
}

fn of_process(reason: String) -> Advice {
    let what_to_do = match reason.contains("listener") {
        true => "The log says why. Restart Sockeye when it suits: open sessions stay until then.",
        false => "New clients should go to another proxy meanwhile.",
    };
    advice(reason, what_to_do)
}

fn closed(upstream: &str) -> Advice {
    advice(
        format!("no node of upstream {upstream} takes new sessions"),
        "Start its nodes, or end their drain. The reason of each is in the list of nodes.",
    )
}

/// Those that are not as they should be; of many, the first.
fn of_nodes(nodes: &[NodeGlance]) -> Vec<Advice> {
    let faulty = nodes.iter().filter_map(|node| {
        let what_to_do = match &*node.state {
            "unreachable" | "dead" => {
                "Is the process running, at this address, and may Sockeye connect to it?"
            }
            "ejected" => "Handshakes of clients failed on it: see its log.",
            "unhealthy" => "Its health checks fail: see its log. Its open sessions stay on it.",
            "full" => "Add a node, or raise max_connections of the upstream.",
            _ => return None,
        };
        let reason = node.reason.as_ref().map(|reason| format!(" ({reason})"));
        let text = format!(
            "{} of {} is {}{}",
            node.name,
            node.upstream,
            node.state,
            reason.unwrap_or_default()
        );
        Some(advice(text, what_to_do))
    });
    let mut faulty: Vec<_> = faulty.collect();
    if faulty.len() > NODES_MAX {
        let more = counted(faulty.len() - NODES_MAX, "more node");
        faulty.truncate(NODES_MAX);
        faulty.push(advice(format!("{more} in such a state"), "See the list of nodes."));
    }
    faulty
}

/// A few clients of any crowd have a firewall that lets no WebSocket through.
fn stuck(sessions: &OpenSessions) -> Option<Advice> {
    let open = sessions.websocket.saturating_add(sessions.polling);
    let cause = sessions.stuck_cause.as_ref()?;
    let is_many = sessions.stuck.saturating_mul(20) >= open;
    let text = match &*cause.cause {
        "" | "none" => format!("{} of {open} sessions are stuck in polling", sessions.stuck),
        why => format!(
            "{} of {open} sessions are stuck in polling, mostly {} ({why})",
            sessions.stuck, cause.outcome
        ),
    };
    is_many.then(|| advice(text, format!("Look here first: {}.", cause.hint)))
}

/// A remark on a node.
fn of_note(text: String) -> Advice {
    let what_to_do = if text.contains("event loop") { LAG } else { PROCESSES };
    advice(text, what_to_do)
}

fn of_certificate(text: String) -> Advice {
    advice(text, "Renew the certificate; its file is followed. See docs/tls.md.")
}

/// What happened in the last quarter of an hour.
fn of_fault((kind, growth): (FaultKind, Growth)) -> Option<Advice> {
    let count = growth.last_15_minutes;
    if count == 0 {
        return None;
    }
    let (what, what_to_do) = match kind {
        FaultKind::LogLinesLost => (
            format!("{} were lost", counted(count as usize, "log line")),
            "Standard error is not read fast enough: see who reads it, or log less.",
        ),
        FaultKind::Panicked => (
            format!("{} of Sockeye ended a connection", counted(count as usize, "fault")),
            "Please report it with its log line, which says where it happened.",
        ),
        FaultKind::IdleContradicted => (
            format!(
                "{} have a longer heartbeat than tunnel.idle_timeout",
                counted(count as usize, "session")
            ),
            "Set it above pingInterval and pingTimeout of the nodes, or leave it out.",
        ),
        FaultKind::ClientsWaited(why) => (
            format!("new clients had to wait {count} times, because of {}", why.replace('_', " ")),
            "Raise this limit, or find out in /metrics who holds the connections.",
        ),
        FaultKind::ForeignOrigin => (
            format!("pages of other hosts opened {}", counted(count as usize, "WebSocket")),
            "They sent cookies. Set origins of the route to let only your pages in: docs/access.md.",
        ),
    };
    Some(advice(format!("{what} in the last 15 minutes"), what_to_do))
}

fn advice(text: impl Into<String>, what_to_do: impl Into<String>) -> Advice {
    Advice { text: text.into(), what_to_do: what_to_do.into() }
}

/// More would hide what else is wrong.
const NODES_MAX: usize = 5;

const DNS: &str =
    "Check the name and the DNS server. The nodes that were found before stay in use.";

const LAG: &str = "Profile the node: something computes for so long that it answers nobody meanwhile. \
                   balance: least-lag sends it fewer new sessions.";

const PROCESSES: &str =
    "Nothing breaks. One port for each process of the node costs fewer connections.";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::model::StuckCause;

    #[test]
    fn a_few_stuck_sessions_are_no_warning() {
        let check = |stuck: u64, expected: bool| {
            let sessions = OpenSessions {
                websocket: 90,
                polling: 10,
                stuck,
                stuck_cause: Some(StuckCause { hint: "mend".to_owned(), ..StuckCause::default() }),
            };
            assert_eq!(super::stuck(&sessions).is_some(), expected, "{stuck}");
        };
        check(4, false);
        check(5, true);
    }

    #[test]
    fn of_many_faulty_nodes_some_are_named() {
        let node = |state: &str| NodeGlance { state: state.to_owned(), ..NodeGlance::default() };
        let nodes: Vec<_> = (0..9).map(|_| node("dead")).chain([node("up")]).collect();
        let shown = of_nodes(&nodes);
        assert_eq!(shown.len(), NODES_MAX + 1);
        assert_eq!(shown.last().unwrap().text, "4 more nodes in such a state");
        assert!(of_nodes(&[node("up"), node("draining"), node("starting")]).is_empty());
    }

    #[test]
    fn what_did_not_happen_lately_is_no_warning() {
        let growth = |last_15_minutes| Growth { last_minute: 0, last_15_minutes };
        assert!(of_fault((FaultKind::Panicked, growth(0))).is_none());
        let shown = of_fault((FaultKind::LogLinesLost, growth(1200))).unwrap();
        assert_eq!(shown.text, "1,200 log lines were lost in the last 15 minutes");
    }

    #[test]
    fn a_limit_is_near_from_nine_tenths_on() {
        assert!(is_nearly(9, 10) && is_nearly(u64::MAX, 1) && !is_nearly(8, 10));
    }
}
