//! What the process does about nodes on its own, by timers: it checks their health, looks up which
//! exist, empties those that drain and rebalances tunnels.
//!
//! All state is in `upstream`, so that it outlives reloads; this room has the tasks and the decisions.
//!
//! Runs at start, at reload, or on a timer.

pub(crate) mod discovery;
mod drain;
pub(crate) mod health_checks;
mod rebalance;

use std::time::Duration;

use crate::Instant;
use crate::pool::resolve;
use crate::upstream::Upstream;

/// Advances the drains of `upstream`, rebalances its tunnels, repeats failed lookups of host names, and
/// logs whether backups are in use.
/// How long until the next call, at most a second.
pub(crate) fn tick(upstream: &Upstream, now: Instant) -> Duration {
    for node in upstream.all_nodes() {
        resolve::retry(node.host());
    }
    let next = drain::advance(upstream, now);
    upstream.follow_backups(now);
    rebalance::advance(upstream, now);
    match upstream.settings().rebalance {
        Some(_) => next.min(rebalance::sample_pause()),
        None => next,
    }
}
