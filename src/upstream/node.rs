//! One Socket.IO or WebSocket server process.
//!
//! What the operator says of a node never changes; what we see of it lives on through reloads, as
//! long as name and address stay.
//!
//! Runs for every request.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::bucket::Bucket;
use super::clearing::Progress;
use super::health::{LastCheck, Record};
use super::load::Load;
use super::pulse::Pulse;
use super::reach::Reach;
use super::resolve::Host;
use super::settings::{NodeAddress, NodeSettings};
use super::standing::{DrainCause, Standing};
use crate::Instant;
use crate::metrics::NodeCounts;
use crate::tunnel::Roster;

/// A node and what we know of it.
#[derive(Debug)]
pub struct Node {
    name: Arc<str>,
    address: NodeAddress,
    weight: u32,
    drain: bool,
    /// Several processes answer at its address. Kept with the name, whatever the address is.
    is_several: Arc<AtomicBool>,
    host: Arc<Host>,
    seen: Arc<Seen>,
}

/// What we see of the process itself.
#[derive(Debug)]
struct Seen {
    load: Load,
    reach: Reach,
    standing: Standing,
    health: Record,
    /// New sessions of late, for `node_handshakes_per_second`.
    bucket: Bucket,
    /// How far it is in the round of `round-robin`.
    stride: AtomicU64,
    counts: Arc<NodeCounts>,
    roster: Arc<Roster>,
    clearing: Progress,
    pulse: Pulse,
}

impl Seen {
    /// A process of which nothing is known yet; what it does is added to `counts`.
    fn new(counts: Arc<NodeCounts>) -> Self {
        let base = Instant::now();
        Self {
            load: Load::new(base),
            reach: Reach::new(base),
            standing: Standing::new(base),
            health: Record::default(),
            bucket: Bucket::new(base),
            stride: AtomicU64::new(0),
            counts,
            roster: Roster::new(base),
            clearing: Progress::new(base),
            pulse: Pulse::new(base),
        }
    }
}

impl Node {
    /// A node of which nothing is known yet.
    pub fn new(settings: &NodeSettings) -> Self {
        Self::of(settings, Arc::default(), Arc::new(Seen::new(Arc::default())))
    }

    /// The node of `settings`, which is the `carried` process: all that is known of it stays, whatever
    /// its weight and drain are now.
    pub(super) fn carried(settings: &NodeSettings, carried: &Arc<Self>) -> Arc<Self> {
        let is_same = carried.address == settings.address
            && (carried.weight, carried.drain) == (settings.weight, settings.drain);
        if is_same {
            return carried.clone();
        }
        let node = Self::of(settings, carried.is_several.clone(), carried.seen.clone());
        let host = match carried.address == settings.address {
            true => carried.host.clone(),
            false => Arc::new(Host::following(&settings.address, &carried.host)),
        };
        Arc::new(Self { host, ..node })
    }

    /// The node of `settings`, another process of this one's name. What is counted is counted by name.
    pub(super) fn succeeded(&self, settings: &NodeSettings) -> Self {
        let seen = Arc::new(Seen::new(self.seen.counts.clone()));
        Self::of(settings, self.is_several.clone(), seen)
    }

    /// Whether `settings`, which have this node's name, are of the process that it stands for: they
    /// have its address, or one of both has the address that DNS told for the name, and the other has
    /// the name alone.
    pub(super) fn is_process_of(&self, settings: &NodeSettings) -> bool {
        let is_by_name = |address: &NodeAddress| *self.name == *address.to_string();
        self.address == settings.address
            || (self.address.port == settings.address.port
                && is_by_name(&self.address) != is_by_name(&settings.address))
    }

    fn of(settings: &NodeSettings, is_several: Arc<AtomicBool>, seen: Arc<Seen>) -> Self {
        Self {
            name: settings.name.clone(),
            address: settings.address.clone(),
            weight: settings.weight,
            drain: settings.drain,
            is_several,
            host: Arc::new(Host::new(&settings.address)),
            seen,
        }
    }

    /// What affinity, logs and metrics call it.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Where it listens.
    pub fn address(&self) -> &NodeAddress {
        &self.address
    }

    /// Its share of new sessions beside the others' weights.
    pub fn weight(&self) -> u32 {
        self.weight
    }

    /// Whether it was seen that several processes answer at its address (PM2, `node:cluster`).
    pub fn is_several_processes(&self) -> bool {
        self.is_several.load(Ordering::Relaxed)
    }

    /// Remembers that several processes answer at its address. Whether that is new.
    pub(super) fn set_several_processes(&self) -> bool {
        !self.is_several.swap(true, Ordering::Relaxed)
    }

    /// How many exchanges wait for the end of its answer.
    pub fn exchanges(&self) -> u32 {
        self.seen.load.exchanges()
    }

    /// How many tunnels to it are open.
    pub fn tunnels(&self) -> u32 {
        self.seen.load.tunnels()
    }

    /// Whether its last connect failed so lately that new sessions should rather go elsewhere.
    pub fn is_avoided(&self, now: Instant) -> bool {
        self.seen.reach.is_avoided(now)
    }

    /// When its last connect failed; `None` if it succeeded or there was none.
    pub fn failed_at(&self) -> Option<Instant> {
        self.seen.reach.failed_at()
    }

    /// Whether connects failed `fail` times running and lately, so that nothing should wait for it.
    pub fn is_dead(&self, fail: u32, now: Instant) -> bool {
        self.seen.reach.is_dead(fail, now)
    }

    /// Whether it gets no new session because it is to be emptied.
    pub fn is_draining(&self) -> bool {
        self.seen.standing.is_draining()
    }

    /// Why it drains.
    pub fn drain_causes(&self) -> impl Iterator<Item = DrainCause> + use<> {
        self.seen.standing.drain_causes()
    }

    /// Since when it drains.
    pub fn draining_since(&self) -> Option<Instant> {
        self.seen.standing.draining_since()
    }

    /// Drains it for this cause, or for this cause no longer. Whether that changes anything.
    pub fn set_drain(&self, cause: DrainCause, drains: bool, now: Instant) -> bool {
        self.seen.standing.set_drain(cause, drains, now)
    }

    /// Whether its health checks fail.
    pub fn is_failing(&self) -> bool {
        self.seen.standing.is_failing()
    }

    /// Until when it is ejected; `None` if it is not.
    pub fn ejected_until(&self, now: Instant) -> Option<Instant> {
        self.seen.standing.ejected_until(now)
    }

    /// Open tunnels, pending exchanges and handshakes answered in the last 5 s, these fading, at
    /// `now`. Finite and not negative.
    pub fn load_at(&self, now: Instant) -> f64 {
        self.seen.load.at(now)
    }

    /// What it did, as metrics show it.
    pub fn counts(&self) -> &NodeCounts {
        &self.seen.counts
    }

    /// Its open tunnels, which can be told to end.
    pub fn roster(&self) -> &Arc<Roster> {
        &self.seen.roster
    }

    /// What it was asked last by a health check; `None` before the first.
    pub fn last_check(&self) -> Option<LastCheck> {
        self.seen.health.last()
    }

    /// Whether a check ever had an answer from it, be it one that is not as it must be.
    pub fn has_answered_a_check(&self) -> bool {
        self.seen.health.has_answered()
    }

    /// What balancing goes by.
    pub(super) fn load(&self) -> &Load {
        &self.seen.load
    }

    /// What is held against it.
    pub(super) fn standing(&self) -> &Standing {
        &self.seen.standing
    }

    /// What was found out of its health.
    pub(super) fn health(&self) -> &Record {
        &self.seen.health
    }

    /// Its own pace of new sessions.
    pub(super) fn bucket(&self) -> &Bucket {
        &self.seen.bucket
    }

    /// How far its clearing is.
    pub(super) fn clearing(&self) -> &Progress {
        &self.seen.clearing
    }

    /// Whether its tunnels end together.
    pub(super) fn pulse(&self) -> &Pulse {
        &self.seen.pulse
    }

    /// How far it is in the round.
    pub(super) fn stride(&self) -> &AtomicU64 {
        &self.seen.stride
    }

    /// Whether the configuration says that it drains.
    pub(super) fn is_configured_to_drain(&self) -> bool {
        self.drain
    }

    /// A connect succeeded. One that had failed more than once comes back slowly.
    pub(super) fn connected(&self) {
        let now = Instant::now();
        if self.seen.reach.connected(now) > 1 {
            self.seen.standing.rises(now);
        }
    }

    /// What connects to it tell.
    pub(super) fn reach(&self) -> &Reach {
        &self.seen.reach
    }

    /// Its socket addresses.
    pub(super) fn host(&self) -> &Host {
        &self.host
    }

    /// Tells processes apart: alike for two nodes exactly if the one was carried over to the
    /// other. Means nothing once both are dropped.
    pub(super) fn identity(&self) -> usize {
        Arc::as_ptr(&self.seen).addr()
    }
}
