//! How it is, in one sentence.
//!
//! Pure. Runs at start, at reload, or on a timer.

use crate::admin::model::{Advice, NodeGlance, OpenSessions};

/// What the sentence is about.
#[derive(Debug)]
pub(super) struct Facts<'a> {
    /// Why the process itself does not serve new clients.
    pub(super) own_reasons: Vec<String>,
    /// The upstreams of which no node takes new sessions.
    pub(super) closed_upstreams: Vec<String>,
    pub(super) nodes: &'a [NodeGlance],
    pub(super) sessions: &'a OpenSessions,
    pub(super) warnings: &'a [Advice],
}

/// Whether an operator should act.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Level {
    /// No.
    Ok,
    /// In the next hours.
    Warn,
    /// Now.
    Bad,
}

impl Level {
    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Bad => "bad",
        }
    }
}

impl Facts<'_> {
    /// The level, and a sentence that says why.
    pub(super) fn verdict(&self) -> (Level, String) {
        if let [first, ..] = self.own_reasons.as_slice() {
            return (Level::Bad, format!("{}; {}.", capitalised(first), self.open()));
        }
        if let [first, others @ ..] = self.closed_upstreams.as_slice() {
            let others = match others.len() {
                0 => String::new(),
                count => format!(" and {}", counted(count, "other upstream")),
            };
            return (Level::Bad, format!("No node of {first}{others} takes new sessions."));
        }
        let current = || self.nodes.iter().filter(|node| !node.retired);
        let closed: Vec<_> = current().filter(|node| is_faulty(node)).collect();
        if let [first, ..] = closed.as_slice() {
            let (all, reason) = (current().count(), reason(first));
            let (closed, open) = (closed.len(), self.open());
            let takes = if closed == 1 { "takes" } else { "take" };
            let nodes = format!("{closed} of {} {takes} no new sessions", counted(all, "node"));
            return (Level::Warn, format!("{nodes}: {} {reason}; {open}.", first.name));
        }
        if !self.warnings.is_empty() {
            let warnings = counted(self.warnings.len(), "warning");
            return (Level::Warn, format!("All nodes are fine, with {warnings}; {}.", self.open()));
        }
        let nodes = match current().count() {
            1 => "The node is fine".to_owned(),
            count => format!("All {count} nodes are fine"),
        };
        (Level::Ok, format!("{nodes}; {}.", self.open()))
    }

    fn open(&self) -> String {
        let open = self.sessions.websocket + self.sessions.polling;
        let is = if open == 1 { "is" } else { "are" };
        format!("{} {is} open", counted(open as usize, "session"))
    }
}

/// Whether a node takes no new sessions, although nobody asked for that.
fn is_faulty(node: &NodeGlance) -> bool {
    matches!(&*node.state, "unreachable" | "ejected" | "unhealthy" | "dead" | "full")
}

fn reason(node: &NodeGlance) -> String {
    match &node.reason {
        Some(reason) => format!("is {} ({reason})", node.state),
        None => format!("is {}", node.state),
    }
}

/// A number with its noun, and commas between thousands.
pub(super) fn counted(count: usize, noun: &str) -> String {
    let digits = count.to_string();
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    let plural = if count == 1 { "" } else { "s" };
    format!("{grouped} {noun}{plural}")
}

fn capitalised(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|first| first.to_uppercase().to_string());
    first.unwrap_or_default() + letters.as_str()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(name: &str, state: &str, reason: Option<&str>) -> NodeGlance {
        let (name, state) = (name.to_owned(), state.to_owned());
        NodeGlance { name, state, reason: reason.map(str::to_owned), ..NodeGlance::default() }
    }

    #[track_caller]
    fn check(change: impl FnOnce(&mut Facts<'_>), expected: (Level, &str)) {
        let sessions = OpenSessions { websocket: 1200, polling: 34, ..OpenSessions::default() };
        let nodes = [node("n1", "up", None), node("n2", "starting", None)];
        let mut facts = Facts {
            own_reasons: Vec::new(),
            closed_upstreams: Vec::new(),
            nodes: &nodes,
            sessions: &sessions,
            warnings: &[],
        };
        change(&mut facts);
        assert_eq!(facts.verdict(), (expected.0, expected.1.to_owned()));
    }

    #[test]
    fn the_gravest_fact_comes_first() {
        check(|_| (), (Level::Ok, "All 2 nodes are fine; 1,234 sessions are open."));
        let advice = vec![Advice::default()].leak();
        check(
            |facts| facts.warnings = advice,
            (Level::Warn, "All nodes are fine, with 1 warning; 1,234 sessions are open."),
        );
        let unhealthy = node("n2", "unhealthy", Some("it answered 503"));
        let nodes = vec![node("n1", "up", None), unhealthy].leak();
        check(
            |facts| facts.nodes = nodes,
            (
                Level::Warn,
                "1 of 2 nodes takes no new sessions: n2 is unhealthy (it answered 503); \
                 1,234 sessions are open.",
            ),
        );
        check(
            |facts| facts.closed_upstreams = vec!["chat".to_owned(), "shop".to_owned()],
            (Level::Bad, "No node of chat and 1 other upstream takes new sessions."),
        );
        check(
            |facts| facts.own_reasons = vec!["the process is stopping".to_owned()],
            (Level::Bad, "The process is stopping; 1,234 sessions are open."),
        );
    }

    #[test]
    fn a_drain_is_no_fault_and_one_node_is_one() {
        let nodes = vec![node("n1", "draining", None)].leak();
        check(
            |facts| facts.nodes = nodes,
            (Level::Ok, "The node is fine; 1,234 sessions are open."),
        );
        assert_eq!(counted(1, "node"), "1 node");
        assert_eq!(counted(1_234_567, "node"), "1,234,567 nodes");
        assert_eq!(counted(0, "node"), "0 nodes");
    }
}
