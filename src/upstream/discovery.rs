//! Where the nodes of an upstream with `discover` come from, and what was last heard from there.
//!
//! A [`Discovery`] outlives reloads while its settings stay the same, and holds the last good answer,
//! from which [`Upstream::new`](super::Upstream::new) makes the nodes. `maintenance` looks nodes up. A
//! changed answer is only a [`Found`] at first: it counts once the server has accepted it and put a
//! new snapshot in force.
//!
//! Runs at start, at reload, or on a timer.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use tokio::sync::{Notify, oneshot, watch};
use tokio::time::timeout_at;

use super::settings::{Discover, NodeSettings};
use crate::Instant;
use crate::metrics::DiscoveryCounts;

/// Where an upstream's nodes come from, and what was last heard from there.
#[derive(Debug)]
pub struct Discovery {
    upstream: Arc<str>,
    discover: Discover,
    nodes: ArcSwap<Vec<NodeSettings>>,
    history: watch::Sender<History>,
    /// A request wants a lookup before it is due.
    requested: Notify,
    counts: Arc<DiscoveryCounts>,
}

/// The outcome of the lookups so far.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// When the last good answer came; `None` if there was none.
    pub answered_at: Option<SystemTime>,
    /// The last failure, whether or not a good answer followed.
    pub failure: Option<LookupFailure>,
    /// How many lookups have failed since the last good answer.
    pub failures: u32,
    stage: Stage,
    /// When the last lookup ended that a request had caused.
    refreshed: Option<Instant>,
}

/// A lookup without a usable answer.
#[derive(Clone, Debug)]
pub struct LookupFailure {
    /// When it ended.
    pub at: SystemTime,
    /// Why.
    pub reason: Arc<str>,
}

/// What the lookups do now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Nothing looks up, as in an embedder's server.
    #[default]
    Off,
    /// A lookup is under way, or its answer is not yet in force.
    Asking,
    /// The last lookup ended then, and its answer is in force.
    Idle(Instant),
}

/// Why there is a lookup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// It is due.
    Time,
    /// A request's session is not known.
    Request,
}

/// A changed answer that waits to be put in force. Dropping it says that this is done.
#[derive(Debug)]
pub(crate) struct Found {
    discovery: Arc<Discovery>,
    nodes: Vec<NodeSettings>,
    _done: oneshot::Sender<()>,
}

impl Found {
    /// These nodes, and a receiver that ends when they are in force: its sender is dropped then.
    pub(crate) fn new(
        discovery: Arc<Discovery>,
        nodes: Vec<NodeSettings>,
    ) -> (Self, oneshot::Receiver<()>) {
        let (done, in_force) = oneshot::channel();
        (Self { discovery, nodes, _done: done }, in_force)
    }

    /// The upstream's name.
    pub(crate) fn upstream(&self) -> &Arc<str> {
        &self.discovery.upstream
    }

    /// Makes the upstream have these nodes when it is built next.
    pub(crate) fn accept(&self) {
        self.discovery.nodes.store(Arc::new(self.nodes.clone()));
    }
}

impl Discovery {
    /// A discovery without an answer: the upstream begins with the nodes that `former` had, wherever
    /// they came from. If `former` has one with the same settings, that one.
    pub(crate) fn new(
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
            requested: Notify::new(),
            counts: carried.map(|carried| carried.counts.clone()).unwrap_or_default(),
        })
    }

    /// The name of the upstream.
    pub fn upstream(&self) -> &Arc<str> {
        &self.upstream
    }

    /// What is looked up.
    pub fn discover(&self) -> &Discover {
        &self.discover
    }

    /// The nodes of the last good answer that was accepted.
    pub fn nodes(&self) -> Arc<Vec<NodeSettings>> {
        self.nodes.load_full()
    }

    /// The outcome of the lookups so far.
    pub fn history(&self) -> History {
        self.history.borrow().clone()
    }

    /// Whether there was a good answer: if not, it is unknown which nodes exist.
    pub fn has_answered(&self) -> bool {
        self.history.borrow().answered_at.is_some()
    }

    /// How many lookups there were.
    pub fn counts(&self) -> &DiscoveryCounts {
        &self.counts
    }

    /// Requests a lookup and waits until its answer is in force, at most a second from `now`. All
    /// concurrent callers share one lookup, and its answer counts for a second.
    ///
    /// The lookup takes place even if the future is dropped.
    pub async fn refresh(&self, now: Instant) {
        let mut history = self.history.subscribe();
        let is_settled = |history: &History| match history.stage {
            Stage::Off => true,
            Stage::Asking => false,
            Stage::Idle(end) => now <= end || !history.may_refresh(now),
        };
        let stage = history.borrow().stage;
        if matches!(stage, Stage::Idle(_)) && !is_settled(&history.borrow()) {
            self.requested.notify_one();
        }
        // Neither error matters: there is no newer answer in time.
        let _ = timeout_at(now + REFRESH_MAX, history.wait_for(is_settled)).await;
    }

    /// Waits until a request wants a lookup and may cause one.
    pub(crate) async fn requested(&self) {
        loop {
            self.requested.notified().await;
            if self.history.borrow().may_refresh(Instant::now()) {
                return;
            }
        }
    }

    /// What the lookups do now.
    #[cfg(test)]
    pub(crate) fn stage(&self) -> Stage {
        self.history.borrow().stage
    }

    /// Sets what the lookups do now.
    pub(crate) fn enter(&self, stage: Stage) {
        self.history.send_modify(|history| history.stage = stage);
    }

    /// Notes that a lookup with this `cause` is over, its answer in force. When that was.
    pub(crate) fn settle(&self, cause: Cause) -> Instant {
        let end = Instant::now();
        self.history.send_modify(|history| {
            history.stage = Stage::Idle(end);
            if cause == Cause::Request {
                history.refreshed = Some(end);
            }
        });
        end
    }

    /// Notes a good answer.
    pub(crate) fn note_answer(&self) {
        self.history.send_modify(|history| {
            history.answered_at = Some(SystemTime::now());
            history.failures = 0;
        });
    }

    /// Notes a failed lookup. How many failed since the last good answer.
    pub(crate) fn note_failure(&self, reason: Arc<str>) -> u32 {
        let mut failures = 0;
        self.history.send_modify(|history| {
            history.failures = history.failures.saturating_add(1);
            failures = history.failures;
            history.failure = Some(LookupFailure { at: SystemTime::now(), reason });
        });
        failures
    }
}

impl History {
    /// Whether a request may cause a lookup at `now`.
    fn may_refresh(&self, now: Instant) -> bool {
        self.refreshed.is_none_or(|end| end + REFRESH_EVERY <= now)
    }
}

/// How often requests may cause a lookup: a client can invent session ids.
const REFRESH_EVERY: Duration = Duration::from_secs(1);

/// How long a request waits for a lookup.
const REFRESH_MAX: Duration = Duration::from_secs(1);
