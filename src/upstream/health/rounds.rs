//! Checks every node when its time has come.
//!
//! One check at a time for each node: one that hangs is not joined by the next. What a check found
//! is kept with the node, so that a reload forgets nothing.
//!
//! Runs at start, at reload, or on a timer.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tracing::{info, warn};

use super::check::Visit;
use super::settings::{Check, Health};
use super::verdict::{Change, Outcome, Verdict};
use crate::Instant;
use crate::tasks::Tasks;
use crate::upstream::node::Node;
use crate::upstream::{DrainCause, Upstream};

/// Which nodes are checked, and when next.
#[derive(Debug, Default)]
pub struct Rounds {
    /// By [`Node::identity`].
    turns: HashMap<usize, Turn>,
    number: u64,
    tasks: Tasks,
}

/// When a node is checked next.
#[derive(Debug)]
struct Turn {
    due: Instant,
    /// Shared with a check that is under way.
    place: Arc<()>,
    /// The last round in which the node was listed.
    round: u64,
    /// Kept alive, so that no other gets its identity.
    _node: Arc<Node>,
}

impl Rounds {
    /// Begins the checks that are due at `now`, on the current runtime, and says when to come
    /// again: at the latest after a second, since `upstreams` may change. Dropping the rounds leaves
    /// checks that are under way to their deadline.
    pub fn begin_due<'a>(
        &mut self,
        upstreams: impl Iterator<Item = &'a Arc<Upstream>>,
        now: Instant,
    ) -> Instant {
        self.number += 1;
        let mut next = now + LOOK_EVERY;
        for upstream in upstreams {
            for node in upstream.nodes() {
                if upstream.settings().health.check == Check::Off {
                    node.forget_checks(now);
                } else {
                    next = next.min(self.begin_if_due(upstream, node, now));
                }
            }
        }
        self.turns.retain(|_, turn| turn.round == self.number);
        next
    }

    /// When it is due next.
    fn begin_if_due(
        &mut self,
        upstream: &Arc<Upstream>,
        node: &Arc<Node>,
        now: Instant,
    ) -> Instant {
        let every = upstream.settings().health.every;
        let turn = self.turns.entry(node.identity()).or_insert_with(|| Turn {
            due: now + every.min(FIRST_WITHIN).mul_f64(fastrand::f64()),
            place: Arc::default(),
            round: 0,
            _node: node.clone(),
        });
        turn.round = self.number;
        if turn.due <= now {
            if Arc::strong_count(&turn.place) == 1 {
                let place = turn.place.clone();
                self.tasks.spawn(check(upstream.clone(), node.clone(), place));
            }
            turn.due = now + every.mul_f64(fastrand::f64().mul_add(0.2, 0.9));
        }
        // A reload may have made it more often.
        turn.due = turn.due.min(now + every.mul_f64(1.1));
        turn.due
    }
}

/// One check, for as long as its `_place` is taken.
async fn check(upstream: Arc<Upstream>, node: Arc<Node>, _place: Arc<()>) {
    let mut visit = Visit::new(upstream.settings(), &node);
    let outcome = visit.ask().await;
    upstream.conclude(&node, &outcome, Instant::now());
    visit.leave().await;
}

impl Upstream {
    /// Draws the conclusions of a check of `node`.
    fn conclude(&self, node: &Node, outcome: &Outcome, now: Instant) {
        let health: &Health = &self.settings.health;
        node.counts().checks.count([outcome.label()]);
        node.health().set_last(health.check.describe(), outcome, now);
        let (upstream, name) = (self.name(), node.name());
        let change = node.health().verdict().weigh(outcome, health);
        match change {
            Some(Change::Fails(reason)) => {
                node.standing().set_failing(true, now);
                warn!(%upstream, node = %name, %reason, "node is unhealthy");
            }
            Some(Change::Recovers) => {
                node.standing().set_failing(false, now);
                info!(%upstream, node = %name, "node is healthy again");
            }
            None => (),
        }
        let asks = match outcome {
            Outcome::Drain => true,
            Outcome::Passed => false,
            Outcome::Failed(_) | Outcome::Skipped => return,
        };
        if node.set_drain(DrainCause::Asked, asks, now) {
            match asks {
                true => info!(%upstream, node = %name, "node asks to be drained"),
                false => info!(%upstream, node = %name, "node asks no more to be drained"),
            }
        }
    }
}

impl Node {
    /// Nobody checks it any more: what checks had found is not known any more.
    fn forget_checks(&self, now: Instant) {
        if self.is_failing() {
            *self.health().verdict() = Verdict::default();
            self.standing().set_failing(false, now);
        }
        if self.drain_causes().any(|cause| cause == DrainCause::Asked) {
            self.set_drain(DrainCause::Asked, false, now);
        }
    }
}

/// How soon a change of the configuration is seen.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The first checks are spread over this time, lest a start asks a thousand nodes at once.
const FIRST_WITHIN: Duration = Duration::from_secs(1);
