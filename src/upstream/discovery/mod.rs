//! Nodes that come and go by DNS.
//!
//! Each upstream with `discover` has one [`Discovery`]. It outlives reloads while the operator asks
//! for the same, and holds the last good answer, of which [`Upstream::new`](super::Upstream::new)
//! makes the nodes. [`Lookups`] runs them. A changed answer is no more than [`Found`]: it counts
//! once the server has accepted it and put a new snapshot in force.
//!
//! What DNS fails to say changes nothing: no answer, an empty one and an error leave the nodes as
//! they are.
//!
//! Runs at start, at reload, or on a timer.

mod answer;
mod changes;
mod dns;
mod lookups;
mod services;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::time::{sleep_until, timeout_at};
use tracing::{debug, info, warn};

use self::answer::{Answer, NODES_MAX, wait_after_answer, wait_after_failure};
use self::dns::LookupError;
use super::settings::{Discover, NodeSettings};
use crate::Instant;
use crate::metrics::DiscoveryCounts;
pub use changes::NodeChanges;
pub use lookups::Lookups;

/// Where an upstream's nodes come from, and what was last heard from there.
#[derive(Debug)]
pub struct Discovery {
    upstream: Arc<str>,
    discover: Discover,
    nodes: ArcSwap<Vec<NodeSettings>>,
    history: watch::Sender<History>,
    /// Somebody wants a look-up before it is due.
    asked: Notify,
    counts: Arc<DiscoveryCounts>,
}

/// What became of the look-ups so far.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// When the last good answer came; `None` if there was none.
    pub answered_at: Option<SystemTime>,
    /// The last failure, be it mended or not.
    pub failure: Option<LookupFailure>,
    /// How many look-ups have failed since the last good answer.
    pub failures: u32,
    stage: Stage,
    /// When the last look-up ended that a request has caused.
    refreshed: Option<Instant>,
}

/// A look-up that told nothing.
#[derive(Clone, Debug)]
pub struct LookupFailure {
    /// When it ended.
    pub at: SystemTime,
    /// Why.
    pub reason: Arc<str>,
}

/// What is going on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    /// Nobody looks up, as in an embedder's server.
    #[default]
    Off,
    /// A look-up is under way, or its answer is on the way into force.
    Asking,
    /// The last look-up ended then, and what it told is in force.
    Idle(Instant),
}

/// Why there is a look-up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cause {
    /// It is due.
    Time,
    /// A request's session is not known.
    Request,
}

/// A changed answer that waits to be put in force. To drop it is to say that this is done.
#[derive(Debug)]
pub struct Found {
    discovery: Arc<Discovery>,
    nodes: Vec<NodeSettings>,
    _done: oneshot::Sender<()>,
}

impl Found {
    /// These nodes, and what tells when they are in force: the other side of it is dropped.
    pub(crate) fn new(
        discovery: Arc<Discovery>,
        nodes: Vec<NodeSettings>,
    ) -> (Self, oneshot::Receiver<()>) {
        let (done, in_force) = oneshot::channel();
        (Self { discovery, nodes, _done: done }, in_force)
    }

    /// The upstream's name.
    pub fn upstream(&self) -> &Arc<str> {
        &self.discovery.upstream
    }

    /// From now on the upstream is built of these nodes.
    pub fn accept(&self) {
        self.discovery.nodes.store(Arc::new(self.nodes.clone()));
    }
}

impl Discovery {
    /// Nothing was asked for yet: the upstream begins with the nodes that `former` had, wherever
    /// they came from. If that asked for the same, it is the same.
    pub(super) fn of(
        upstream: &Arc<str>,
        discover: &Discover,
        former: Option<&super::Upstream>,
    ) -> Arc<Self> {
        let carried = former.and_then(|former| former.discovery.as_ref());
        if let Some(carried) = carried.filter(|carried| carried.discover == *discover) {
            return carried.clone();
        }
        let nodes = former.map(|former| former.settings.nodes.clone());
        Arc::new(Self {
            upstream: upstream.clone(),
            discover: discover.clone(),
            nodes: ArcSwap::from_pointee(nodes.unwrap_or_default()),
            history: watch::Sender::default(),
            asked: Notify::new(),
            counts: carried.map(|carried| carried.counts.clone()).unwrap_or_default(),
        })
    }

    /// What is asked for.
    pub fn discover(&self) -> &Discover {
        &self.discover
    }

    /// The nodes of the last good answer that was accepted.
    pub fn nodes(&self) -> Arc<Vec<NodeSettings>> {
        self.nodes.load_full()
    }

    /// What became of the look-ups so far.
    pub fn history(&self) -> History {
        self.history.borrow().clone()
    }

    /// Whether there was a good answer: if not, nobody can say which nodes there are.
    pub fn has_answered(&self) -> bool {
        self.history.borrow().answered_at.is_some()
    }

    /// How many look-ups there were.
    pub fn counts(&self) -> &DiscoveryCounts {
        &self.counts
    }

    /// Looks up at once and waits until what is told is in force, at most a second from `now`. However
    /// many ask, they share one look-up, and what it told counts for a second.
    ///
    /// If the future is dropped, the look-up takes place all the same.
    pub async fn refresh(&self, now: Instant) {
        let mut history = self.history.subscribe();
        let is_settled = |history: &History| match history.stage {
            Stage::Off => true,
            Stage::Asking => false,
            Stage::Idle(end) => now <= end || !history.may_refresh(now),
        };
        let stage = history.borrow().stage;
        if matches!(stage, Stage::Idle(_)) && !is_settled(&history.borrow()) {
            self.asked.notify_one();
        }
        // In either error nobody tells more in time.
        let _ = timeout_at(now + REFRESH_MAX, history.wait_for(is_settled)).await;
    }

    /// Looks up whenever it is due, and has changed answers put in force by who receives them.
    /// Returns if nobody does.
    async fn run(self: &Arc<Self>, changed: mpsc::Sender<Found>) {
        let mut last = self.nodes();
        let mut cause = Cause::Time;
        loop {
            self.enter(Stage::Asking);
            let outcome = dns::look_up(&self.discover, &last).await;
            let wait = match outcome {
                Ok(answer) => {
                    let wait = wait_after_answer(answer.ttl, self.discover.every);
                    if !self.answered(answer, &mut last, &changed).await {
                        return;
                    }
                    wait
                }
                Err(error) => wait_after_failure(self.failed(&error), self.discover.every),
            };
            cause = self.rest(cause, wait).await;
        }
    }

    /// Has `answer` put in force, if it is another one than the `last`. Whether there is somebody
    /// who does that.
    async fn answered(
        self: &Arc<Self>,
        answer: Answer,
        last: &mut Arc<Vec<NodeSettings>>,
        changed: &mpsc::Sender<Found>,
    ) -> bool {
        let is_first = !self.has_answered();
        if answer.nodes == **last {
            self.counts.unchanged.inc();
        } else {
            self.counts.changed.inc();
            if answer.nodes.len() == NODES_MAX {
                warn!(upstream = %self.upstream, "DNS names {NODES_MAX} nodes or more: the rest is left out");
            }
            *last = Arc::new(answer.nodes.clone());
            let (found, in_force) = Found::new(self.clone(), answer.nodes);
            if changed.send(found).await.is_err() {
                return false;
            }
            // It is dropped, for that is how it is told.
            let _ = in_force.await;
        }
        let failures = self.history.borrow().failures;
        if failures > 0 {
            info!(upstream = %self.upstream, failures, "DNS answers again");
        } else if is_first {
            debug!(upstream = %self.upstream, nodes = last.len(), "DNS answers");
        }
        self.history.send_modify(|history| {
            history.answered_at = Some(SystemTime::now());
            history.failures = 0;
        });
        true
    }

    /// Notes a failure, and tells the operator of the first. How many there were running.
    fn failed(&self, error: &LookupError) -> u32 {
        self.counts.failed.inc();
        let failure = LookupFailure { at: SystemTime::now(), reason: error.to_string().into() };
        let mut failures = 0;
        self.history.send_modify(|history| {
            history.failures = history.failures.saturating_add(1);
            failures = history.failures;
            history.failure = Some(failure);
        });
        let (upstream, source) = (&self.upstream, self.discover.source.name());
        let nodes = self.nodes.load().len();
        if failures == 1 {
            warn!(%upstream, source, %error, nodes, "DNS tells no nodes; those that are known stay");
        } else {
            debug!(%upstream, source, %error, failures, "DNS still tells no nodes");
        }
        failures
    }

    fn enter(&self, stage: Stage) {
        self.history.send_modify(|history| history.stage = stage);
    }

    /// Rests after a look-up: for `wait`, or until a request causes the next.
    async fn rest(&self, cause: Cause, wait: Duration) -> Cause {
        let end = Instant::now();
        self.history.send_modify(|history| {
            history.stage = Stage::Idle(end);
            if cause == Cause::Request {
                history.refreshed = Some(end);
            }
        });
        loop {
            tokio::select! {
                () = sleep_until(end + wait) => return Cause::Time,
                () = self.asked.notified() => {
                    if self.history.borrow().may_refresh(Instant::now()) {
                        return Cause::Request;
                    }
                }
            }
        }
    }
}

impl History {
    /// Whether a request may cause a look-up at `now`.
    fn may_refresh(&self, now: Instant) -> bool {
        self.refreshed.is_none_or(|end| end + REFRESH_EVERY <= now)
    }
}

/// How often requests may cause a look-up: a stranger can make sids up.
const REFRESH_EVERY: Duration = Duration::from_secs(1);

/// How long a request waits for a look-up.
const REFRESH_MAX: Duration = Duration::from_secs(1);
