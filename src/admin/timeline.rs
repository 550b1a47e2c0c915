//! What happened in one session, moment by moment.
//!
//! Runs at start, at reload, or on a timer.

use std::time::{Duration, SystemTime};

use super::model::Moment;
use super::views::unix_seconds;
use crate::Instant;
use crate::insight::{EndedSession, PollingSession, Summary};
use crate::tunnel::{Evidence, Identity, Inspection, Side};
use crate::upstream::Node;

/// The moments of an open session with a WebSocket.
pub(super) fn of_open(
    of: &Identity,
    node: &Node,
    inspection: Option<&Inspection>,
    now: Instant,
) -> Vec<Moment> {
    let mut line = Line::new(now);
    line.add_beginning(of, node.name());
    if let Some(inspection) = inspection {
        line.add_evidence(&inspection.evidence, now);
    }
    line.finish()
}

/// The moments of a session that ended.
pub(super) fn of_ended(ended: &EndedSession, now: Instant) -> Vec<Moment> {
    let mut line = Line::new(now);
    line.add_beginning(&ended.identity, &ended.node);
    let ago = ended.at.elapsed().unwrap_or_default();
    let end = now.checked_sub(ago).unwrap_or(now);
    let report = &ended.report;
    line.add_evidence(&report.evidence, end);
    let code = report.close_code.map(|code| format!(", code {code}")).unwrap_or_default();
    let explained = ended.explanation.as_ref().map(|explained| format!(": {}", explained.sentence));
    let detail =
        format!("by the {}{code}{}", report.end.who().label(), explained.unwrap_or_default());
    line.add(end, format!("ended: {}", report.end.label()), Some(detail));
    line.finish()
}

/// The moments of a session that polls.
pub(super) fn of_polling(polling: &PollingSession, now: Instant) -> Vec<Moment> {
    let mut line = Line::new(now);
    line.add(polling.opened_at, OPENED, Some(format!("by node {}", polling.node)));
    if polling.tried_at > polling.opened_at {
        line.add(polling.tried_at, "tried to upgrade to a WebSocket", None);
    }
    if polling.polled_at > polling.opened_at {
        line.add(polling.polled_at, "last poll or post", None);
    }
    if let Some(verdict) = polling.stuck {
        let [outcome, cause] = verdict.labels();
        let detail = format!("{outcome}, {cause}: {}", Summary::hint([outcome, cause]));
        line.add(now, "stuck in polling", Some(detail));
    }
    line.finish()
}

/// Moments in the order of their times.
struct Line {
    now: (Instant, SystemTime),
    moments: Vec<(Instant, String, Option<String>)>,
}

impl Line {
    fn new(now: Instant) -> Self {
        Self { now: (now, SystemTime::now()), moments: Vec::new() }
    }

    fn add(&mut self, at: Instant, what: impl Into<String>, detail: Option<String>) {
        self.moments.push((at, what.into(), detail));
    }

    fn add_beginning(&mut self, of: &Identity, node: &str) {
        let switched = format!("101 from node {node}, request {}", of.request_id);
        self.add(of.began, format!("{} opened", of.transport), Some(switched));
        let Some(upgrade) = &of.upgrade else { return };
        self.add(upgrade.since(), OPENED, None);
        if let Some(after) = upgrade.upgraded_after() {
            self.add(upgrade.since() + after, "upgraded: the WebSocket replaces polling", None);
        }
    }

    /// What was seen until `end`.
    fn add_evidence(&mut self, seen: &Evidence, end: Instant) {
        let ago = |ago: Duration| end.checked_sub(ago).unwrap_or(end);
        for side in [Side::Client, Side::Node] {
            let (index, name) = (side as usize, side.label());
            self.add(ago(seen.quiet[index]), format!("last bytes from the {name}"), None);
            if let Some(heartbeat) = seen.heartbeat[index] {
                self.add(ago(heartbeat), format!("last heartbeat from the {name}"), None);
            }
            if let Some(waiting) = seen.waiting[index] {
                self.add(ago(waiting), format!("bytes began to wait for the {name}"), None);
            }
        }
    }

    fn finish(mut self) -> Vec<Moment> {
        self.moments.sort_by_key(|(at, _, _)| *at);
        let first = self.moments.first().map_or(self.now.0, |(at, _, _)| *at);
        let moment = |(at, what, detail): (Instant, String, Option<String>)| {
            let ago = self.now.0.saturating_duration_since(at);
            let wall = self.now.1.checked_sub(ago).unwrap_or(self.now.1);
            let seconds = at.saturating_duration_since(first).as_secs_f64();
            Moment { at: unix_seconds(wall), seconds, what, detail }
        };
        std::mem::take(&mut self.moments).into_iter().map(moment).collect()
    }
}

const OPENED: &str = "session opened by polling";
