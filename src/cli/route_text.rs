//! What would become of a request, for people.
//!
//! Pure. Runs at start, at reload, or on a timer.

use crate::exchange::preview::Preview;

/// The whole text: one line for each fact, behind the name of what it is about.
pub(super) fn text(shown: &Preview) -> String {
    let mut lines = Lines::default();
    let asked = &shown.request;
    let host = if asked.host.is_empty() { "no host" } else { &asked.host };
    lines.say(
        "request",
        &format!("{} {} for {host}, from {}", asked.method, asked.path, asked.client),
    );
    if let Some(purpose) = &asked.purpose {
        lines.say("", purpose);
    }
    if let Some(listener) = &shown.listener {
        lines.say("listener", listener);
    }
    match &shown.route {
        Some(route) => {
            lines.say("route", &format!("{} {}", route.host, route.path));
            if route.target != "upstream" {
                lines.say("target", &route.target);
            }
            if let Some(upstream) = &route.upstream {
                lines.say("upstream", upstream);
            }
        }
        None if shown.has_no_route() => lines.say("route", "none"),
        None => (),
    }
    for rule in &shown.access {
        lines.say("access", &format!("{}: {}", rule.rule, rule.verdict));
    }
    if let Some(answer) = &shown.answer {
        let name = if shown.is_refused() { "refused" } else { "answered" };
        lines.say(name, &format!("{} {}: {}", answer.status, answer.label, answer.reason));
    }
    way(shown, &mut lines);
    changes(shown, &mut lines);
    for other in &shown.others {
        lines.say("not", &format!("{} {}: {}", other.host, other.path, other.reason));
    }
    if shown.others_left_out > 0 {
        lines.say("not", &format!("and {} more", shown.others_left_out));
    }
    for note in &shown.notes {
        lines.say("note", note);
    }
    lines.text
}

/// The session and the nodes.
fn way(shown: &Preview, lines: &mut Lines) {
    if let Some(session) = &shown.affinity {
        lines.say("affinity", &format!("{}: {}", session.rule, session.sentence));
    }
    for node in &shown.nodes {
        let likely = match (node.is_likely, shown.live) {
            (true, _) => "may get it",
            (false, true) => "not now",
            (false, false) => "if no other can",
        };
        let state = match shown.live {
            true => format!(
                " ({}, {} WebSockets, {} pending requests)",
                node.state, node.tunnels, node.exchanges
            ),
            false => String::new(),
        };
        lines.say("node", &format!("{}{state}: {likely}", node.name));
    }
}

/// What is changed on the way there and back.
fn changes(shown: &Preview, lines: &mut Lines) {
    let changes = &shown.changes;
    if let Some(target) = &changes.target {
        lines.say("path", &format!("the node gets {target}"));
    }
    for [name, value] in &changes.set {
        lines.say("to node", &format!("+ {name}: {value}"));
    }
    for name in &changes.removed {
        lines.say("to node", &format!("- {name}"));
    }
    for [name, value] in &changes.response_set {
        lines.say("to client", &format!("+ {name}: {value}"));
    }
    for name in &changes.response_removed {
        lines.say("to client", &format!("- {name}"));
    }
    if let Some(cors) = &changes.cors {
        lines.say("cors", cors);
    }
}

#[derive(Default)]
struct Lines {
    text: String,
    last: &'static str,
}

impl Lines {
    /// Adds a line; the name stands before the first of several lines.
    fn say(&mut self, name: &'static str, fact: &str) {
        let shown = if name == self.last { "" } else { name };
        // A URL, a field or a name may have control characters, such as escape sequences.
        let fact: String = fact.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        self.text.push_str(&format!("{shown:<NAME_WIDTH$}{fact}\n"));
        if !name.is_empty() {
            self.last = name;
        }
    }
}

const NAME_WIDTH: usize = 11;
