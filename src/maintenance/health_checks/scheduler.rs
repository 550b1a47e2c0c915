//! Starts the checks of every node when they are due.
//!
//! Each node has one check at a time: while one hangs, the next is skipped. What a check found is
//! kept with the node, so that a reload forgets nothing.
//!
//! Runs at start, at reload, or on a timer.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tracing::{info, warn};

use super::run::CheckRun;
use crate::Instant;
use crate::tasks::Tasks;
use crate::upstream::health::settings::Check;
use crate::upstream::health::{CheckOutcome, Verdict, VerdictChange};
use crate::upstream::{DrainCause, Node, Upstream};

/// Which nodes are checked, and when each is due.
#[derive(Debug, Default)]
pub(crate) struct CheckScheduler {
    /// By [`Node::identity`].
    schedules: HashMap<usize, Schedule>,
    /// Counts the passes over all nodes.
    pass: u64,
    tasks: Tasks,
}

/// When a node is checked next.
#[derive(Debug)]
struct Schedule {
    due: Instant,
    /// Shared with a check that is under way.
    running: Arc<()>,
    /// The last pass in which the node was listed.
    pass: u64,
    /// Kept alive, so that no other node gets its identity.
    _node: Arc<Node>,
}

impl CheckScheduler {
    /// Begins the checks that are due at `now`, on the current runtime, and returns when to call this
    /// again: after a second at the latest, since `upstreams` may change. Dropping the scheduler leaves
    /// checks that are under way to their deadline.
    pub(crate) fn begin_due<'a>(
        &mut self,
        upstreams: impl Iterator<Item = &'a Arc<Upstream>>,
        now: Instant,
    ) -> Instant {
        self.pass += 1;
        let mut next = now + LOOK_EVERY;
        for upstream in upstreams {
            for node in upstream.nodes() {
                if upstream.settings().health.check == Check::Off {
                    forget_checks(node, now);
                } else {
                    next = next.min(self.begin_if_due(upstream, node, now));
                }
            }
        }
        self.schedules.retain(|_, schedule| schedule.pass == self.pass);
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
        let schedule = self.schedules.entry(node.identity()).or_insert_with(|| Schedule {
            due: now + every.min(FIRST_WITHIN).mul_f64(fastrand::f64()),
            running: Arc::default(),
            pass: 0,
            _node: node.clone(),
        });
        schedule.pass = self.pass;
        if schedule.due <= now {
            if Arc::strong_count(&schedule.running) == 1 {
                let running = schedule.running.clone();
                self.tasks.spawn(check(upstream.clone(), node.clone(), running));
            }
            schedule.due = now + every.mul_f64(fastrand::f64().mul_add(0.2, 0.9));
        }
        // A reload may have made it more often.
        schedule.due = schedule.due.min(now + every.mul_f64(1.1));
        schedule.due
    }
}

/// One check, as long as its `_guard` is held.
async fn check(upstream: Arc<Upstream>, node: Arc<Node>, _guard: Arc<()>) {
    let mut run = CheckRun::new(upstream.settings(), &node);
    let outcome = run.ask().await;
    apply(&upstream, &node, &outcome, Instant::now());
    run.close_session().await;
}

/// Applies the outcome of a check of `node`.
fn apply(upstream: &Upstream, node: &Node, outcome: &CheckOutcome, now: Instant) {
    let health = &upstream.settings().health;
    node.counts().checks.count([outcome.label()]);
    node.health().set_last(health.check.describe(), outcome, now);
    let (upstream, name) = (upstream.name(), node.name());
    let change = node.health().verdict().weigh(outcome, health);
    match change {
        Some(VerdictChange::Fails(reason)) => {
            node.availability().set_failing(true, now);
            warn!(%upstream, node = %name, %reason, "node is unhealthy");
        }
        Some(VerdictChange::Recovers) => {
            node.availability().set_failing(false, now);
            info!(%upstream, node = %name, "node is healthy again");
        }
        None => (),
    }
    let asks = match outcome {
        CheckOutcome::Drain => true,
        CheckOutcome::Passed => false,
        CheckOutcome::Failed(_) | CheckOutcome::Skipped => return,
    };
    if node.set_drain(DrainCause::Asked, asks, now) {
        match asks {
            true => info!(%upstream, node = %name, "node requests its drain"),
            false => info!(%upstream, node = %name, "node no longer requests its drain"),
        }
    }
}

/// Forgets what checks had found about `node`, which is no longer checked.
fn forget_checks(node: &Node, now: Instant) {
    if node.is_failing() {
        *node.health().verdict() = Verdict::default();
        node.availability().set_failing(false, now);
    }
    if node.drain_causes().any(|cause| cause == DrainCause::Asked) {
        node.set_drain(DrainCause::Asked, false, now);
    }
}

/// How soon a change of the configuration is seen.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The first checks are spread over this time, so that a start does not ask a thousand nodes at once.
const FIRST_WITHIN: Duration = Duration::from_secs(1);
