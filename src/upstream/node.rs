//! One Socket.IO or WebSocket server process.
//!
//! A node's settings never change; what is observed of it outlives reloads, as long as name and address
//! stay the same.
//!
//! Runs for every request.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::availability::{Availability, DrainCause};
use super::connect_failures::ConnectFailures;
use super::drain::DrainProgress;
use super::health::{HealthRecord, LastCheck};
use super::host::Host;
use super::load::Load;
use super::mass_disconnect::MassDisconnect;
use super::recent_exchanges::RecentExchanges;
use super::settings::{Endpoint, NodeAddress, NodeSettings};
use crate::Instant;
use crate::lag::NodeLag;
use crate::metrics::NodeCounts;
use crate::rate::TokenBucket;
use crate::tunnel::Roster;

/// A node and what is known about it.
#[derive(Debug)]
pub struct Node {
    name: Arc<str>,
    address: Endpoint,
    weight: u32,
    drain: bool,
    backup: bool,
    /// Several processes answer at its address. Kept with the name, whatever the address is.
    is_several: Arc<AtomicBool>,
    host: Arc<Host>,
    observed: Arc<Observed>,
}

/// What is observed of the process itself.
#[derive(Debug)]
struct Observed {
    load: Load,
    connect_failures: ConnectFailures,
    availability: Availability,
    health: HealthRecord,
    /// Recent new sessions, for `node_handshakes_per_second`.
    bucket: TokenBucket,
    /// How far it is in the round of `round-robin`.
    stride: AtomicU64,
    counts: Arc<NodeCounts>,
    roster: Arc<Roster>,
    drain_progress: DrainProgress,
    mass_disconnect: MassDisconnect,
    recent_exchanges: RecentExchanges,
}

impl Observed {
    /// A process of which nothing is known yet; what it does is added to `counts`.
    fn new(counts: Arc<NodeCounts>) -> Self {
        let base = Instant::now();
        Self {
            load: Load::new(base),
            connect_failures: ConnectFailures::new(base),
            availability: Availability::new(base),
            health: HealthRecord::default(),
            bucket: TokenBucket::new(base),
            stride: AtomicU64::new(0),
            counts,
            roster: Roster::new(base),
            drain_progress: DrainProgress::new(base),
            mass_disconnect: MassDisconnect::new(base),
            recent_exchanges: RecentExchanges::default(),
        }
    }
}

impl Node {
    /// A node of which nothing is known yet.
    pub fn new(settings: &NodeSettings) -> Self {
        Self::from_parts(settings, Arc::default(), Arc::new(Observed::new(Arc::default())))
    }

    /// The node of `settings`, which is the `carried` process: all that is known of it stays, whatever
    /// its other settings are now.
    pub(super) fn carried(settings: &NodeSettings, carried: &Arc<Self>) -> Arc<Self> {
        let is_same = carried.address == settings.address
            && (carried.weight, carried.drain) == (settings.weight, settings.drain)
            && carried.backup == settings.backup;
        if is_same {
            return carried.clone();
        }
        let node = Self::from_parts(settings, carried.is_several.clone(), carried.observed.clone());
        let host = match carried.address == settings.address {
            true => carried.host.clone(),
            false => Arc::new(Host::following(&settings.address, &carried.host)),
        };
        Arc::new(Self { host, ..node })
    }

    /// The node of `settings`, another process with this one's name. Counts are kept by name.
    pub(super) fn replaced_by(&self, settings: &NodeSettings) -> Self {
        let observed = Arc::new(Observed::new(self.observed.counts.clone()));
        Self::from_parts(settings, self.is_several.clone(), observed)
    }

    /// Whether `settings`, which have this node's name, are of the process that it stands for: they
    /// have its address, or one of both has the address that DNS gave for the name, and the other has
    /// the name alone.
    pub(super) fn is_process_of(&self, settings: &NodeSettings) -> bool {
        if self.address == settings.address {
            return true;
        }
        let (Endpoint::Tcp(own), Endpoint::Tcp(theirs)) = (&self.address, &settings.address) else {
            return false;
        };
        let is_by_name = |address: &NodeAddress| *self.name == *address.to_string();
        own.port == theirs.port && is_by_name(own) != is_by_name(theirs)
    }

    fn from_parts(
        settings: &NodeSettings,
        is_several: Arc<AtomicBool>,
        observed: Arc<Observed>,
    ) -> Self {
        Self {
            name: settings.name.clone(),
            address: settings.address.clone(),
            weight: settings.weight,
            drain: settings.drain,
            backup: settings.backup,
            is_several,
            host: Arc::new(Host::at(&settings.address)),
            observed,
        }
    }

    /// What affinity, logs and metrics call it.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Where it listens.
    pub fn address(&self) -> &Endpoint {
        &self.address
    }

    /// Its share of new sessions relative to the weights of the other nodes.
    pub fn weight(&self) -> u32 {
        self.weight
    }

    /// Whether it gets new sessions only while no other node can take one.
    pub fn is_backup(&self) -> bool {
        self.backup
    }

    /// Whether it was observed that several processes answer at its address (PM2, `node:cluster`).
    pub fn is_several_processes(&self) -> bool {
        self.is_several.load(Ordering::Relaxed)
    }

    /// Remembers that several processes answer at its address. Whether that is new.
    pub(super) fn set_several_processes(&self) -> bool {
        !self.is_several.swap(true, Ordering::Relaxed)
    }

    /// How many exchanges wait for the end of its answer.
    pub fn exchanges(&self) -> u32 {
        self.observed.load.exchanges()
    }

    /// How many tunnels to it are open.
    pub fn tunnels(&self) -> u32 {
        self.observed.load.tunnels()
    }

    /// Whether its last connect failed so recently that new sessions should go elsewhere.
    pub fn is_avoided(&self, now: Instant) -> bool {
        self.observed.connect_failures.is_avoided(now)
    }

    /// When its last connect failed; `None` if it succeeded or there was none.
    pub fn failed_at(&self) -> Option<Instant> {
        self.observed.connect_failures.failed_at()
    }

    /// Whether the last `fail` connects failed, the last one recently, so that nothing should wait for it.
    pub fn is_dead(&self, fail: u32, now: Instant) -> bool {
        self.observed.connect_failures.is_dead(fail, now)
    }

    /// Whether it gets no new session because it is to be emptied.
    pub fn is_draining(&self) -> bool {
        self.observed.availability.is_draining()
    }

    /// Why it drains.
    pub fn drain_causes(&self) -> impl Iterator<Item = DrainCause> + use<> {
        self.observed.availability.drain_causes()
    }

    /// Since when it drains.
    pub fn draining_since(&self) -> Option<Instant> {
        self.observed.availability.draining_since()
    }

    /// Drains it for this cause, or for this cause no longer. Whether that changes anything.
    pub fn set_drain(&self, cause: DrainCause, drains: bool, now: Instant) -> bool {
        self.observed.availability.set_drain(cause, drains, now)
    }

    /// Whether its health checks fail.
    pub fn is_failing(&self) -> bool {
        self.observed.availability.is_failing()
    }

    /// Until when it is ejected; `None` if it is not.
    pub fn ejected_until(&self, now: Instant) -> Option<Instant> {
        self.observed.availability.ejected_until(now)
    }

    /// Open tunnels, pending exchanges and handshakes answered in the last 5 s, these fading, at
    /// `now`. Finite and not negative.
    pub fn load_at(&self, now: Instant) -> f64 {
        self.observed.load.at(now)
    }

    /// Handshakes answered in the last 5 s, fading, at `now`. Finite and not negative.
    pub(crate) fn handshakes_at(&self, now: Instant) -> f64 {
        self.observed.load.handshakes_at(now)
    }

    /// What it did, as metrics show it.
    pub fn counts(&self) -> &NodeCounts {
        &self.observed.counts
    }

    /// Its open tunnels, which can be told to end.
    pub fn roster(&self) -> &Arc<Roster> {
        &self.observed.roster
    }

    /// How late it answers.
    pub fn lag(&self) -> &NodeLag {
        self.observed.roster.lag()
    }

    /// Its last health check; `None` before the first.
    pub fn last_check(&self) -> Option<LastCheck> {
        self.observed.health.last()
    }

    /// Whether it ever answered a health check, whatever it answered.
    pub fn has_answered_a_check(&self) -> bool {
        self.observed.health.has_answered()
    }

    /// What balancing goes by.
    pub(super) fn load(&self) -> &Load {
        &self.observed.load
    }

    /// Whether it may get new sessions.
    pub(crate) fn availability(&self) -> &Availability {
        &self.observed.availability
    }

    /// What was found out about its health.
    pub(crate) fn health(&self) -> &HealthRecord {
        &self.observed.health
    }

    /// The bucket of its own rate of new sessions.
    pub(super) fn bucket(&self) -> &TokenBucket {
        &self.observed.bucket
    }

    /// How far its drain is.
    pub(crate) fn drain_progress(&self) -> &DrainProgress {
        &self.observed.drain_progress
    }

    /// Whether it lost many tunnels at once.
    pub(crate) fn mass_disconnect(&self) -> &MassDisconnect {
        &self.observed.mass_disconnect
    }

    /// How many exchanges were pending most of the last second.
    pub(crate) fn recent_exchanges(&self) -> &RecentExchanges {
        &self.observed.recent_exchanges
    }

    /// How far it is in the round.
    pub(super) fn stride(&self) -> &AtomicU64 {
        &self.observed.stride
    }

    /// Whether the configuration says that it drains.
    pub(super) fn is_configured_to_drain(&self) -> bool {
        self.drain
    }

    /// Notes a successful connect. After more than one failure the node starts slowly.
    pub(crate) fn connected(&self) {
        let now = Instant::now();
        if self.observed.connect_failures.connected(now) > 1 {
            self.observed.availability.begin_slow_start(now);
        }
    }

    /// Notes that it accepted a connection and then refused to serve us on it.
    pub(crate) fn connect_refused(&self) {
        let now = Instant::now();
        self.connect_failures().failed(now, now);
        self.counts().connects_failed.inc();
    }

    /// Its recent failed connects.
    pub(crate) fn connect_failures(&self) -> &ConnectFailures {
        &self.observed.connect_failures
    }

    /// Its socket addresses.
    pub(crate) fn host(&self) -> &Host {
        &self.host
    }

    /// Tells processes apart: alike for two nodes exactly if the one was carried over to the
    /// other. Means nothing once both are dropped.
    pub(crate) fn identity(&self) -> usize {
        Arc::as_ptr(&self.observed).addr()
    }
}
