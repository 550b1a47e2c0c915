//! Answers of the admin listener as text for people.
//!
//! Pure. Runs at start, at reload, or on a timer.

use std::fmt::Display;

use super::model::{
    CertificateOrder, Draining, Lag, Node, NodeCommandResult, Nodes, Reloaded, Status, Upgrades,
};
use crate::upstream::DrainCause;

/// `/nodes`: one line for each node.
pub(crate) fn nodes(answer: &Nodes) -> String {
    let mut rows = vec![TITLES.map(str::to_owned)];
    for upstream in &answer.upstreams {
        let mut all = upstream.nodes.iter().chain(&upstream.retired).peekable();
        if all.peek().is_none() {
            let mut row = TITLES.map(|_| "-".to_owned());
            row[0] = text(&upstream.name);
            rows.push(row);
        }
        for node in all {
            rows.push([
                text(&upstream.name),
                text(&node.name),
                text(&node.address),
                text(&node.state),
                node.tunnels.to_string(),
                node.exchanges.to_string(),
                node.handshakes.to_string(),
                format!("{:.1}", node.load),
                node.weight.to_string(),
                node.lag.map_or_else(|| "-".to_owned(), lag),
                reason(node),
            ]);
        }
    }
    table(&rows)
}

/// How late it answers, mostly and at worst.
fn lag(lag: Lag) -> String {
    format!("{:.0}/{:.0} ms", lag.p50_ms, lag.p99_ms)
}

/// Why it is in its state, and what else is to be known of it.
fn reason(node: &Node) -> String {
    let parts = [node.reason.as_deref(), node.note.as_deref()];
    let parts: Vec<String> = parts.into_iter().flatten().map(text).collect();
    parts.join("; ")
}

/// The nodes with that name in that upstream, those that left the configuration last.
pub(crate) fn find_nodes<'a>(answer: &'a Nodes, upstream: &str, name: &str) -> Vec<&'a Node> {
    let found = answer.upstreams.iter().filter(|found| found.name == upstream);
    let nodes = found.flat_map(|found| found.nodes.iter().chain(&found.retired));
    nodes.filter(|node| node.name == name).collect()
}

/// Whether a node is no longer in the configuration, or no longer found.
pub(crate) fn has_left(node: &Node) -> bool {
    let causes = node.draining.iter().flat_map(|draining| &draining.causes);
    causes.into_iter().any(|cause| cause == DrainCause::Left.label())
}

/// How far the drain of a node is, in one sentence.
pub(crate) fn draining(upstream: &str, node: &Node) -> String {
    let name = format!("{}/{}", text(upstream), text(&node.name));
    match &node.draining {
        None => format!("{name} takes new sessions"),
        Some(Draining { empty: true, .. }) => format!("{name} is empty"),
        Some(draining) => format!(
            "{name} drains ({}): tunnels {}, requests {}, {}",
            text(&draining.causes.join(", ")),
            node.tunnels,
            node.exchanges,
            next_step(draining)
        ),
    }
}

/// The state of a node after a command, in one sentence.
pub(crate) fn commanded(answer: &NodeCommandResult) -> String {
    draining(&answer.upstream, &answer.node)
}

fn next_step(draining: &Draining) -> String {
    let seconds = |left: f64| left.ceil() as u64;
    match (seconds(draining.closing_in_seconds), seconds(draining.given_up_in_seconds)) {
        (0, 0) => "its time is over".to_owned(),
        (0, left) => {
            format!("its tunnels are being closed, its time is over in {}", duration(left))
        }
        (closing, _) => format!("its tunnels are closed in {}", duration(closing)),
    }
}

const TITLES: [&str; 11] = [
    "UPSTREAM",
    "NODE",
    "ADDRESS",
    "STATE",
    "TUNNELS",
    "REQUESTS",
    "HANDSHAKES",
    "LOAD",
    "WEIGHT",
    "LAG",
    "REASON",
];

/// `/status`: one line for each fact.
pub(crate) fn status(answer: &Status) -> String {
    let ready = &answer.readiness;
    let mut rows = vec![
        ["version".to_owned(), text(&answer.version)],
        ["pid".to_owned(), answer.pid.to_string()],
        ["up".to_owned(), duration(answer.uptime_seconds)],
        ["ready".to_owned(), if ready.ready { "yes" } else { "no" }.to_owned()],
    ];
    let remarks = ready.reasons.iter().chain(&ready.warnings).chain(&answer.notes);
    rows.extend(remarks.map(|sentence| ["!".to_owned(), text(sentence)]));
    let descriptors = &answer.descriptors;
    let open_nodes = format!("{} of {} take new sessions", answer.nodes.open, answer.nodes.all);
    let open_descriptors = format!("{} of {}", known(descriptors.open), known(descriptors.max));
    rows.extend([
        ["nodes".to_owned(), open_nodes],
        ["tunnels".to_owned(), answer.tunnels.to_string()],
        ["requests".to_owned(), answer.exchanges.to_string()],
        ["connections".to_owned(), answer.connections.open.to_string()],
        ["stuck".to_owned(), stuck(&answer.upgrades)],
    ]);
    let now = answer.since.saturating_add(answer.uptime_seconds);
    rows.extend(
        answer
            .listener_certificates
            .iter()
            .map(|certificate| ["certificate".to_owned(), text(&certificate.summary)]),
    );
    rows.extend(answer.certificate_orders.iter().map(|name| certificate_order(name, now)));
    rows.extend([
        ["memory".to_owned(), known(answer.memory_bytes.map(mebibytes))],
        ["descriptors".to_owned(), open_descriptors],
    ]);
    table(&rows)
}

/// A name whose certificate an authority issues, in one sentence.
fn certificate_order(order: &CertificateOrder, now: u64) -> [String; 2] {
    let left = |at: u64| duration(at.saturating_sub(now));
    let expiry = match order.expires_at {
        None => "no certificate".to_owned(),
        Some(at) if at <= now => "expired".to_owned(),
        Some(at) => format!("expires in {}", left(at)),
    };
    let next = match order.next_order_at {
        _ if order.ordered_by_other => ", another process orders".to_owned(),
        None => String::new(),
        Some(at) if at <= now => ", ordered now".to_owned(),
        Some(at) => format!(", ordered in {}", left(at)),
    };
    let failure = order.failure.as_ref().map(|failure| format!("; {}", text(failure)));
    let said = format!("{}: {expiry}{next}{}", text(&order.name), failure.unwrap_or_default());
    ["acme".to_owned(), said]
}

/// How many of the sessions that could upgrade did not, and why most of them did not.
fn stuck(upgrades: &Upgrades) -> String {
    let (stuck, all) = (upgrades.stuck, upgrades.stuck.saturating_add(upgrades.upgraded));
    let Some(leading) = upgrades.leading.as_ref().filter(|_| stuck > 0) else {
        return format!("none of {all} sessions polls on");
    };
    let percent = stuck as f64 * 100.0 / all as f64;
    let cause = match &*leading.cause {
        "" | "none" => text(&leading.outcome),
        cause => text(&format!("{} {cause}", leading.outcome)),
    };
    let hint = text(&leading.hint);
    format!("{percent:.0} % of {all} sessions still poll, mostly {cause}: {hint}")
}

/// `/reload`: what changed.
pub(crate) fn reload(answer: &Reloaded) -> String {
    let changes: Vec<String> = answer.changes.iter().map(|change| text(change)).collect();
    match changes.as_slice() {
        [] => "reloaded: no changes\n".to_owned(),
        changes => format!("reloaded:\n  {}\n", changes.join("\n  ")),
    }
}

/// Without control characters, which a terminal would interpret.
pub(super) fn text(shown: &str) -> String {
    shown.chars().filter(|c| *c == '\n' || !c.is_control()).collect()
}

fn known(value: Option<impl Display>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}

fn mebibytes(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}

/// A time in its two largest units.
pub(crate) fn duration(seconds: u64) -> String {
    let (days, hours) = (seconds / 86400, seconds / 3600 % 24);
    let (minutes, seconds) = (seconds / 60 % 60, seconds % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m{seconds}s"),
        (0, ..) => format!("{hours}h{minutes}m"),
        (..) => format!("{days}d{hours}h"),
    }
}

/// Columns two spaces apart, as wide as their widest cell.
pub(super) fn table<const N: usize>(rows: &[[String; N]]) -> String {
    let mut widths = [0; N];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    let line = |row: &[String; N]| {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
        let line = cells.collect::<Vec<_>>().join("  ");
        format!("{}\n", line.trim_end())
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::super::model::{Ready, StuckCause, Upstream};
    use super::*;

    fn nodes_of(upstream: Upstream) -> Nodes {
        Nodes { upstreams: vec![Upstream { name: "chat".to_owned(), ..upstream }] }
    }

    #[test]
    fn nodes_stand_in_columns() {
        let first = Node {
            name: "n1".to_owned(),
            address: "10.0.0.1:3000".to_owned(),
            state: "unhealthy".to_owned(),
            reason: Some("it answered 503".to_owned()),
            tunnels: 12,
            exchanges: 3,
            handshakes: 40,
            load: 15.25,
            weight: 1,
            ..Node::default()
        };
        let second = Node {
            name: "n2".to_owned(),
            address: "10.0.0.2:3000".to_owned(),
            state: "up".to_owned(),
            tunnels: 1,
            handshakes: 9,
            load: 1.0,
            weight: 1,
            lag: Some(Lag { p50_ms: 2.4, p99_ms: 1800.0, ..Lag::default() }),
            note: Some("event loop blocked".to_owned()),
            ..Node::default()
        };
        let answer = nodes_of(Upstream { nodes: vec![first, second], ..Upstream::default() });
        let expected = "\
UPSTREAM  NODE  ADDRESS        STATE      TUNNELS  REQUESTS  HANDSHAKES  LOAD  WEIGHT  LAG        REASON
chat      n1    10.0.0.1:3000  unhealthy  12       3         40          15.2  1       -          it answered 503
chat      n2    10.0.0.2:3000  up         1        0         9           1.0   1       2/1800 ms  event loop blocked
";
        assert_eq!(nodes(&answer), expected);
        let none = nodes(&nodes_of(Upstream::default()));
        let mut cells = none.lines().nth(1).unwrap().split_whitespace();
        assert!(cells.next() == Some("chat") && cells.all(|cell| cell == "-"), "{none}");
    }

    #[test]
    fn a_draining_node_shows_why_it_drains_and_how_far_it_is() {
        let check = |draining: Option<Draining>, sentence: &str| {
            let node = Node {
                name: "n1".to_owned(),
                state: "drained".to_owned(),
                reason: Some("left, ordered".to_owned()),
                tunnels: 12,
                exchanges: 3,
                draining,
                ..Node::default()
            };
            assert_eq!(super::draining("chat", &node), sentence);
            let answer = nodes_of(Upstream { retired: vec![node], ..Upstream::default() });
            let row = nodes(&answer);
            assert!(row.contains(" drained ") && row.contains(" left, ordered"), "{row}");
            assert_eq!(find_nodes(&answer, "chat", "n1").len(), 1);
            assert!(find_nodes(&answer, "chat", "n2").is_empty());
        };
        let drain = |closing: f64, given_up: f64, is_empty: bool| {
            Some(Draining {
                causes: vec!["left".to_owned(), "ordered".to_owned()],
                since_seconds: 1.0,
                closing_in_seconds: closing,
                given_up_in_seconds: given_up,
                empty: is_empty,
            })
        };
        check(None, "chat/n1 takes new sessions");
        check(drain(0.0, 0.0, true), "chat/n1 is empty");
        let begins = "chat/n1 drains (left, ordered): tunnels 12, requests 3, ";
        let sentence = |next: &str| format!("{begins}{next}");
        check(drain(60.2, 99.0, false), &sentence("its tunnels are closed in 1m1s"));
        let closing = sentence("its tunnels are being closed, its time is over in 9s");
        check(drain(0.0, 9.0, false), &closing);
        check(drain(0.0, 0.0, false), &sentence("its time is over"));
    }

    #[test]
    fn status_shows_why_the_process_is_not_ready() {
        let reasons = vec!["the process\u{1b} is stopping".to_owned()];
        let readiness = Ready { ready: false, reasons, ..Ready::default() };
        let shown = status(&Status { readiness, uptime_seconds: 93784, ..Status::default() });
        assert!(
            shown.contains("ready        no\n!            the process is stopping\n"),
            "{shown}"
        );
        assert!(shown.contains("up           1d2h\n"), "{shown}");
        assert!(shown.contains("memory       -\n"), "{shown}");
    }

    #[test]
    fn status_shows_why_sessions_stay_in_polling() {
        let check = |upgrades: Upgrades, line: &str| {
            let shown = status(&Status { upgrades, ..Status::default() });
            assert!(shown.contains(&format!("stuck        {line}\n")), "{shown}");
        };
        let stuck = |cause: &str| Upgrades {
            stuck: 3,
            upgraded: 9,
            leading: Some(StuckCause {
                outcome: "refused".to_owned(),
                cause: cause.to_owned(),
                sessions: 2,
                hint: "mend".to_owned(),
            }),
        };
        let none = Upgrades { upgraded: 9, ..Upgrades::default() };
        check(none, "none of 9 sessions polls on");
        check(stuck("400"), "25 % of 12 sessions still poll, mostly refused 400: mend");
        check(stuck("none"), "25 % of 12 sessions still poll, mostly refused: mend");
    }

    #[test]
    fn status_shows_the_certificates_that_an_authority_issues() {
        let check = |order: CertificateOrder, line: &str| {
            let order = CertificateOrder { name: "a.example.com".to_owned(), ..order };
            let certificate_orders = vec![order];
            let status = Status { since: 1000, certificate_orders, ..Status::default() };
            let shown = super::status(&status);
            assert!(shown.contains(&format!("acme         a.example.com: {line}\n")), "{shown}");
        };
        let valid = CertificateOrder {
            expires_at: Some(1000 + 86400),
            next_order_at: Some(1000 + 3600),
            ..CertificateOrder::default()
        };
        check(valid.clone(), "expires in 1d0h, ordered in 1h0m");
        let failed = Some("no\u{1b} answer: look".to_owned());
        check(
            CertificateOrder { failure: failed, next_order_at: Some(1060), ..Default::default() },
            "no certificate, ordered in 1m0s; no answer: look",
        );
        let other = CertificateOrder { ordered_by_other: true, expires_at: Some(9), ..valid };
        check(other, "expired, another process orders");
        check(CertificateOrder::default(), "no certificate");
    }

    #[test]
    fn a_duration_has_its_two_largest_units() {
        let check = |seconds, shown: &str| assert_eq!(duration(seconds), shown);
        check(0, "0s");
        check(61, "1m1s");
        check(3600, "1h0m");
        check(200_000, "2d7h");
    }

    #[test]
    fn a_reload_shows_its_changes() {
        let check = |changes: &[&str], shown: &str| {
            let changes = changes.iter().map(|change| (*change).to_owned()).collect();
            assert_eq!(reload(&Reloaded { reloaded: true, changes }), shown);
        };
        check(&[], "reloaded: no changes\n");
        check(&["a", "b"], "reloaded:\n  a\n  b\n");
    }
}
