//! Converts state that outlives a reload when other settings come into force.
//!
//! Some of it depends on a setting: the tokens that a bucket has given out, as a time; how far a slow
//! start is; a position in the round, by weights. With another setting it would mean something else, so
//! it is converted once, by comparison with the settings that were in force before.
//!
//! Runs at start, at reload, or on a timer.

use super::availability::DrainCause;
use super::balance::hold_to_step;
use super::settings::{Check, Settings};
use super::{Node, Upstream};
use crate::Instant;
use crate::rate::Rate;

impl Upstream {
    /// Converts what was written under the settings that were in force before these.
    pub(super) fn convert_state(&self, now: Instant) {
        let former = self.shared.in_force().replace(self.settings.clone());
        let Some(former) = former else { return };
        let (before, after) = (&former.admission, &self.settings.admission);
        if let Some(rate) = changed(before.rate, after.rate) {
            self.shared.bucket.convert(before.rate, rate, now);
        }
        let closes = [&former, &self.settings].map(|settings| settings.closing_rate());
        if closes[0] != closes[1] {
            self.shared.closes.convert(Some(closes[0]), closes[1], now);
        }
        for node in self.all_nodes() {
            if let Some(rate) = changed(before.node_rate, after.node_rate) {
                node.bucket().convert(before.node_rate, rate, now);
            }
            if former.slow_start != self.settings.slow_start {
                node.availability().convert_start(former.slow_start, self.settings.slow_start, now);
            }
            self.convert_health(node, &former, now);
        }
        for node in self.nodes() {
            hold_to_step(node.stride(), self.weight(node, now), &self.shared.round);
        }
    }

    /// Clears what checks or ejections found that are now switched off.
    fn convert_health(&self, node: &Node, former: &Settings, now: Instant) {
        let (before, after) = (&former.health, &self.settings.health);
        if before.eject_after.is_some() && after.eject_after.is_none() {
            if node.ejected_until(now).is_some() {
                node.availability().eject(now);
            }
            self.handshake_succeeded(node);
        }
        let can_ask = match &after.check {
            Check::Http(check) => check.drain.is_some(),
            Check::Off | Check::Tcp | Check::EngineIo(_) => false,
        };
        if !can_ask && node.drain_causes().any(|cause| cause == DrainCause::Asked) {
            node.set_drain(DrainCause::Asked, false, now);
        }
    }
}

/// The rate `after`, if it is another one than `before`.
fn changed(before: Option<Rate>, after: Option<Rate>) -> Option<Rate> {
    after.filter(|_| before != after)
}
