//! What became of each directive: none is dropped without a word.
//!
//! Pure. Runs at start, at reload, or on a timer.

use std::collections::BTreeSet;

use super::not_needed;
use crate::nginx::{Directive, Position};
use crate::nginx::{Finding, Level};

/// The directives that were seen to, and what there is to say of them.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    seen: BTreeSet<Position>,
    pub(super) findings: Vec<Finding>,
}

impl Ledger {
    /// The new file says what `directive` says.
    pub(super) fn carried(&mut self, directive: &Directive) {
        self.seen.insert(directive.at.clone());
    }

    /// Whether `directive` was seen to.
    pub(super) fn is_seen(&self, directive: &Directive) -> bool {
        self.seen.contains(&directive.at)
    }

    /// The same for what is in its block.
    pub(super) fn carried_whole(&mut self, directive: &Directive) {
        self.carried(directive);
        for child in directive.children() {
            self.carried_whole(child);
        }
    }

    /// The new file does not say what `directive` says.
    pub(super) fn by_hand(
        &mut self,
        id: &'static str,
        directive: &Directive,
        why: &str,
        remedy: &str,
    ) {
        let what = format!("{}: {why}", directive.shown());
        self.say(Level::ByHand, id, directive, (what, remedy));
    }

    /// The new file says what `directive` says in another way.
    pub(super) fn note(
        &mut self,
        id: &'static str,
        directive: &Directive,
        what: &str,
        remedy: &str,
    ) {
        let what = format!("{}: {what}", directive.shown());
        self.say(Level::Note, id, directive, (what, remedy));
    }

    fn say(&mut self, level: Level, id: &'static str, directive: &Directive, said: (String, &str)) {
        let (what, remedy) = said;
        self.carried_whole(directive);
        self.add(Finding::new(level, id, Some(&directive.at), what, remedy));
    }

    /// A finding that is there once.
    pub(super) fn add(&mut self, finding: Finding) {
        if self.findings.len() < FINDINGS_MAX && !self.findings.contains(&finding) {
            self.findings.push(finding);
        }
    }

    /// Says what becomes of all that was not seen to.
    pub(super) fn close(&mut self, directives: &[Directive]) {
        for directive in directives {
            if self.seen.contains(&directive.at) {
                self.close(directive.children());
                continue;
            }
            let is_container =
                matches!(&*directive.name, "http" | "server" | "location" | "upstream");
            if is_container && directive.block.is_some() {
                self.close(directive.children());
            } else if directive.name == "proxy_redirect" && directive.arguments.len() == 2 {
                let what = "Location without a host, or with that of the client or of the node, leads to the client's path; others stay";
                self.note("proxy-redirect", directive, what, "");
            } else if let Some(why) = not_needed(directive) {
                self.carried_whole(directive);
                let (what, at) = (directive.name.clone(), Some(&directive.at));
                self.add(Finding::new(Level::NotNeeded, "not-needed", at, what, why));
            } else {
                self.by_hand(
                    "not-carried",
                    directive,
                    "is not carried over",
                    "see whether it matters to clients",
                );
            }
        }
    }
}

/// Why nothing is needed for `directive`; `None` if something may be.
fn not_needed(directive: &Directive) -> Option<&'static str> {
    // Attributes may be added to cookies with the path.
    let is_path = |text: &str| text.starts_with('/') && !text.contains(';');
    if directive.name == "proxy_cookie_path" && !directive.texts().all(is_path) {
        return None;
    }
    let is_off = directive.argument(0) == Some("off") && directive.arguments.len() == 1;
    not_needed::why(&directive.name).or_else(|| is_off.then_some("it is off"))
}

/// More than anyone reads; each takes a few hundred bytes.
const FINDINGS_MAX: usize = 5000;
