//! The share of sessions that are stuck in polling, and what to do about most of them.
//!
//! Pure. Runs at start, at reload, or on a timer.

use std::collections::BTreeMap;

use super::{Insight, Verdict};

/// The sessions of some routes since the start; those that are stuck now are among them.
#[derive(Debug, Default)]
pub(crate) struct Summary {
    upgraded: u64,
    stuck: BTreeMap<[&'static str; 2], u64>,
}

impl Summary {
    /// Adds a route's sessions.
    pub(crate) fn add(&mut self, insight: &Insight) {
        let now = insight.stuck().into_iter().map(|verdict| (verdict.labels(), 1));
        for (labels, count) in insight.verdicts().chain(now) {
            self.count(labels, count);
        }
    }

    /// How many used a WebSocket.
    pub(crate) fn upgraded(&self) -> u64 {
        self.upgraded
    }

    /// How many kept polling although they could have upgraded.
    pub(crate) fn stuck(&self) -> u64 {
        self.stuck.values().sum()
    }

    /// The most frequent outcome and cause of stuck sessions, and their number.
    pub(crate) fn leading(&self) -> Option<([&'static str; 2], u64)> {
        let most = self.stuck.iter().max_by_key(|(_, count)| **count);
        most.map(|(labels, count)| (*labels, *count))
    }

    /// What to do about sessions with this outcome and cause.
    pub(crate) fn hint([outcome, cause]: [&str; 2]) -> &'static str {
        match (outcome, cause) {
            ("never_tried", _) => {
                "clients are set to polling only, or an upgrade went to another proxy"
            }
            ("stripped", _) => {
                "a proxy before Sockeye takes Upgrade away: let it pass the field on, by HTTP/1.1"
            }
            ("refused", "400") => {
                "the node does not know the session: another balancer, before or behind Sockeye, \
                 splits sessions"
            }
            ("refused", "401" | "403") => "the node forbids the WebSocket: see its allowRequest",
            ("refused", _) => "the node answers no 101: see its log",
            ("failed", _) => "see this error in docs/troubleshooting.md",
            ("no_probe" | "unfinished", _) => {
                "frames of clients are lost: something before Sockeye holds them back"
            }
            ("probe_unanswered", _) => "the node is silent: is it what opened the session?",
            _ => "see docs/troubleshooting.md",
        }
    }

    fn count(&mut self, labels: [&'static str; 2], count: u64) {
        let [outcome, _] = labels;
        let [upgraded, _] = Verdict::Upgraded(std::time::Duration::ZERO).labels();
        let known_not = [Verdict::Left, Verdict::NotFollowed, Verdict::Unreadable];
        if outcome == upgraded {
            self.upgraded += count;
        } else if !known_not.iter().any(|verdict| verdict.labels() == labels) {
            *self.stuck.entry(labels).or_default() += count;
        }
    }
}
