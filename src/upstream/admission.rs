//! Admission of new sessions: the rates, the queue, and the probes of nodes that failed.
//!
//! While no node can take a session, or while a rate is used up, a handshake waits for its turn. One
//! handshake at a time probes whether a failed node is back, so that it is asked by one client and not
//! by all.
//!
//! Runs for every request.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::backups::BackupsInUse;
use super::lease::Lease;
use super::node::Node;
use super::queue::{Queue, QueueEntry};
use super::reconnecting::Reconnecting;
use super::settings::Settings;
use super::{NodePreference, Upstream};
use crate::Instant;
use crate::rate::{Rate, TokenBucket};

/// What an upstream hands over to the next one at a reload.
#[derive(Debug)]
pub(super) struct SharedState {
    pub(super) bucket: TokenBucket,
    /// How far the round of `round-robin` is.
    pub(super) round: AtomicU64,
    queue: Arc<Queue>,
    /// A handshake probes whether a node is back.
    probe: Arc<AtomicBool>,
    /// Tunnels of nodes that drain that were told to end recently, for `closes_per_second`.
    pub(super) closes: TokenBucket,
    reconnecting: Mutex<Reconnecting>,
    /// Held while a node is ejected, so that two failures at once do not eject two nodes.
    ejecting: Mutex<()>,
    pub(super) backups_in_use: BackupsInUse,
    /// The settings that the state here and in the nodes was written with; `None` at first.
    in_force: Mutex<Option<Settings>>,
}

impl SharedState {
    pub(super) fn new(base: Instant) -> Self {
        Self {
            bucket: TokenBucket::new(base),
            round: AtomicU64::new(0),
            queue: Arc::default(),
            probe: Arc::default(),
            closes: TokenBucket::new(base),
            reconnecting: Mutex::default(),
            ejecting: Mutex::default(),
            backups_in_use: BackupsInUse::default(),
            in_force: Mutex::default(),
        }
    }

    /// The settings that came into force last.
    pub(super) fn in_force(&self) -> MutexGuard<'_, Option<Settings>> {
        self.in_force.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The right to eject one node, for one decision.
    pub(super) fn ejecting(&self) -> MutexGuard<'_, ()> {
        self.ejecting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why a new session is not admitted now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// No node can take it.
    ForNode,
    /// A rate is used up until then.
    ForTurn(Instant),
}

/// Whether a handshake has taken its token of the rates: one is enough, however many nodes it is sent
/// to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AdmissionToken {
    /// It takes a token when it gets a node.
    Due,
    /// It has taken one.
    Taken,
}

/// The queue is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueFull;

/// A handshake in an upstream's queue; dropping it leaves the queue. It outlives reloads, as the queue
/// does.
#[derive(Debug)]
pub struct QueuedHandshake(QueueEntry);

/// The right to probe whether a node is back; dropping it leaves it to other handshakes.
#[derive(Debug)]
pub struct Probe(Arc<AtomicBool>);

impl Upstream {
    /// The bucket of `drain.closes_per_second`.
    pub(crate) fn closes(&self) -> &TokenBucket {
        &self.shared.closes
    }

    /// The state of rebalancing. Only rebalancing takes the lock.
    pub(crate) fn reconnecting(&self) -> MutexGuard<'_, Reconnecting> {
        self.shared.reconnecting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A lease for a new session, on none of `tried`, within the rates, if no other handshake waits.
    ///
    /// # Errors
    ///
    /// Why it must wait.
    pub fn admit(
        &self,
        preference: &NodePreference,
        tried: &[Arc<Node>],
        token: AdmissionToken,
        now: Instant,
    ) -> Result<Lease, Wait> {
        if self.shared.queue.len() > 0 {
            return Err(Wait::ForTurn(now));
        }
        self.admit_first(preference, tried, token, now)
    }

    /// As [`Upstream::admit`], for the first handshake in the queue.
    ///
    /// # Errors
    ///
    /// Why it must wait.
    pub fn admit_first(
        &self,
        preference: &NodePreference,
        tried: &[Arc<Node>],
        token: AdmissionToken,
        now: Instant,
    ) -> Result<Lease, Wait> {
        let tier = self.tier(tried, now);
        if token == AdmissionToken::Taken {
            let may = |node: &Node| self.is_open(node, now) && !is_tried(tried, node);
            return self.choose((preference, tier), now, may).map(Lease::new).ok_or(Wait::ForNode);
        }
        let admission = &self.settings.admission;
        if let Some(rate) = admission.rate {
            let next = self.shared.bucket.next(rate);
            if next > now {
                return Err(Wait::ForTurn(next));
            }
        }
        let has_turn =
            |node: &Node| admission.node_rate.is_none_or(|rate| node.bucket().next(rate) <= now);
        let chosen = self.choose((preference, tier), now, |node| {
            self.is_open(node, now) && !is_tried(tried, node) && has_turn(node)
        });
        let Some(node) = chosen else { return Err(self.wait_for_node_rate(tried, now)) };
        self.take(&node, now)?;
        Ok(Lease::new(node))
    }

    /// The right to probe a node that failed recently; `None` while another handshake has it.
    pub fn probe(&self) -> Option<Probe> {
        let probe = &self.shared.probe;
        let was_free = !probe.swap(true, Ordering::Relaxed);
        was_free.then(|| Probe(probe.clone()))
    }

    /// A lease for a new session on a node that failed recently, in case it is back: on the one that
    /// failed first. `None` if all that are left fail their checks, drain or are full, or if a rate is
    /// used up.
    pub fn admit_on_avoided(
        &self,
        tried: &[Arc<Node>],
        token: AdmissionToken,
        now: Instant,
    ) -> Option<Lease> {
        let may = |node: &&Arc<Node>| {
            !is_tried(tried, node)
                && !node.is_draining()
                && !node.is_failing()
                && self.has_room(node)
        };
        let node = self.nodes.iter().filter(may).min_by_key(|node| node.failed_at())?;
        match token {
            AdmissionToken::Due => self.take(node, now).ok()?,
            AdmissionToken::Taken => (),
        }
        Some(Lease::new(node.clone()))
    }

    /// Puts a handshake that arrived at `arrived` into the queue.
    ///
    /// # Errors
    ///
    /// The queue is full.
    pub fn enqueue(&self, arrived: Instant) -> Result<QueuedHandshake, QueueFull> {
        let max = self.settings.admission.queue_max;
        self.shared.queue.enter(arrived, max).map(QueuedHandshake).ok_or(QueueFull)
    }

    /// As [`Upstream::enqueue`], for a handshake that was in the queue or had a node before, and whose
    /// node failed: later ones that filled the queue meanwhile are not to push it out.
    pub fn enqueue_again(&self, arrived: Instant) -> QueuedHandshake {
        QueuedHandshake(self.shared.queue.enter_over_limit(arrived))
    }

    /// How long a handshake may wait; zero means not at all.
    pub fn hold_max(&self) -> Duration {
        self.settings.admission.hold
    }

    /// How many handshakes wait.
    pub fn waiting(&self) -> usize {
        self.shared.queue.len()
    }

    /// Takes a token of the upstream's rate and one of the node's.
    fn take(&self, node: &Node, now: Instant) -> Result<(), Wait> {
        let admission = &self.settings.admission;
        let take = |bucket: &TokenBucket, rate: Option<Rate>| {
            rate.map_or(Ok(()), |rate| bucket.take(rate, now)).map_err(Wait::ForTurn)
        };
        take(&self.shared.bucket, admission.rate)?;
        take(node.bucket(), admission.node_rate).inspect_err(|_| {
            if let Some(rate) = admission.rate {
                self.shared.bucket.give_back(rate);
            }
        })
    }

    /// Whether no node is available, or their rate is used up.
    fn wait_for_node_rate(&self, tried: &[Arc<Node>], now: Instant) -> Wait {
        let Some(rate) = self.settings.admission.node_rate else { return Wait::ForNode };
        let tier = self.tier(tried, now);
        let is_open =
            |node: &Node| tier.has(node) && self.is_open(node, now) && !is_tried(tried, node);
        let open = self.nodes.iter().filter(|node| is_open(node));
        open.map(|node| node.bucket().next(rate)).min().map_or(Wait::ForNode, Wait::ForTurn)
    }
}

impl QueuedHandshake {
    /// Waits until all earlier handshakes have left. Nothing is lost if the future is dropped.
    pub async fn turn(&self) {
        self.0.turn().await;
    }

    /// Whether no earlier handshake waits.
    pub fn has_turn(&self) -> bool {
        self.0.has_turn()
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

/// Whether `node` is among those that were tried.
pub(super) fn is_tried(tried: &[Arc<Node>], node: &Node) -> bool {
    tried.iter().any(|tried| std::ptr::eq(&**tried, node))
}
