//! Which node takes a request, and what is known about each node.
//!
//! A new session gets a [`Lease`] on the node that the balance prefers, if need be after a wait
//! ([`Upstream::admit`]); a request of a session gets one on the session's node, whatever is known
//! against that node.
//!
//! Runs for every request.

pub(crate) mod settings;
mod endpoint;
mod node;
pub(crate) mod host;
mod mass_disconnect;
mod lease;
mod load;
mod load_index;
mod connect_failures;
mod availability;
pub(crate) mod reconnecting;
mod recent_exchanges;
mod backups;
mod balance;
mod least_loaded;
mod choice;
mod path_key;
pub(crate) mod rendezvous;
mod queue;
mod admission;
pub(crate) mod drain;
mod conversion;
pub(crate) mod health;
pub(crate) mod discovery;
#[cfg(test)]
pub(crate) mod tests;

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

pub(crate) use admission::Probe;
pub use admission::{AdmissionToken, QueueFull, QueuedHandshake, Wait};
pub(crate) use availability::DrainCause;
pub(crate) use drain::Draining;
pub use lease::Lease;
pub use node::Node;
pub(crate) use path_key::PathKey;
pub use settings::{Endpoint, NodeAddress, NodeSettings};
pub(crate) use settings::{RendezvousKey, Settings};

use crate::Instant;
use admission::{SharedState, is_tried};
use discovery::Discovery;
use least_loaded::LeastLoaded;
use rendezvous::Rendezvous;
use settings::Connections;

/// A named group of nodes.
#[derive(Debug)]
pub struct Upstream {
    settings: Settings,
    discovery: Option<Arc<Discovery>>,
    nodes: Box<[Arc<Node>]>,
    retired: Box<[Retired]>,
    rendezvous: Rendezvous,
    /// Whether some of its nodes are backups.
    has_backups: bool,
    least_loaded: LeastLoaded,
    shared: Arc<SharedState>,
}

/// The nodes that a request prefers.
#[derive(Clone, Debug, Default)]
pub struct NodePreference {
    /// These nodes before all others, in this order.
    pub order: Vec<Arc<Node>>,
    /// The key that `balance: rendezvous` hashes.
    pub key: Option<Box<[u8]>>,
}

/// A node that is no longer in the configuration. It gets no new session, and its sessions go on for a
/// while.
#[derive(Clone, Debug)]
pub struct Retired {
    /// The node.
    pub node: Arc<Node>,
    /// When its sessions are given up.
    pub until: Instant,
}

/// There is no node left to try.
#[derive(Debug, thiserror::Error)]
#[error("all nodes of upstream {upstream} were tried")]
pub struct NoNode {
    /// The upstream's name.
    pub upstream: Arc<str>,
}

impl Upstream {
    /// An upstream with these `settings`; if nodes are discovered, with those that are known by now. What
    /// is known about a node is `carried` over from the node of the same name, if that is at the same
    /// address; its weight may differ. A process of `carried` that is gone is retired, also if another
    /// process has its name now: its sessions have `drain.timeout`.
    ///
    /// The state of nodes does not change before [`Upstream::enact`].
    pub fn new(settings: &Settings, carried: Option<&Self>) -> Self {
        Self::without(&[], settings, carried)
    }

    /// As [`Upstream::new`], without these discovered nodes.
    pub fn without(left_out: &[Arc<str>], settings: &Settings, carried: Option<&Self>) -> Self {
        let now = Instant::now();
        let mut settings = settings.clone();
        let discover = settings.discover.as_ref();
        let discovery = discover.map(|discover| Discovery::new(&settings.name, discover, carried));
        if let Some(discovery) = &discovery {
            let is_in = |node: &&NodeSettings| !left_out.contains(&node.name);
            settings.nodes = discovery.nodes().iter().filter(is_in).cloned().collect();
        }
        let node_of = |node: &NodeSettings| match carried {
            Some(carried) => carried.successor(node, now),
            None => Arc::new(Node::new(node)),
        };
        let weighted = settings.nodes.iter().map(|node| (&*node.name, node.weight));
        let nodes: Box<[Arc<Node>]> = settings.nodes.iter().map(node_of).collect();
        let retire = |carried: &Self| carried.retire(&nodes, settings.drain.timeout, now);
        Self {
            retired: carried.map(retire).unwrap_or_default(),
            nodes,
            rendezvous: Rendezvous::new(weighted),
            has_backups: settings.nodes.iter().any(|node| node.backup),
            least_loaded: LeastLoaded::default(),
            shared: carried
                .map_or_else(|| Arc::new(SharedState::new(now)), |carried| carried.shared.clone()),
            discovery,
            settings,
        }
    }

    /// What is left of `carried` when it is removed from the configuration: its nodes, all of them
    /// retired. `None` if none of them has sessions.
    pub fn leaving(carried: &Self) -> Option<Self> {
        let mut settings = carried.settings.clone();
        settings.nodes.clear();
        settings.discover = None;
        let leaving = Self::new(&settings, Some(carried));
        (!leaving.retired.is_empty()).then_some(leaving)
    }

    /// Puts this upstream in force: sets which nodes drain, and converts state that depends on settings
    /// that changed.
    pub fn enact(&self, now: Instant) {
        self.convert_state(now);
        for node in &self.nodes {
            node.set_drain(DrainCause::Configured, node.is_configured_to_drain(), now);
            node.set_drain(DrainCause::Left, false, now);
        }
        for retired in &self.retired {
            retired.node.set_drain(DrainCause::Left, true, now);
        }
    }

    /// Where its nodes come from, if they are discovered.
    pub fn discovery(&self) -> Option<&Arc<Discovery>> {
        self.discovery.as_ref()
    }

    /// Its settings, with the nodes that were discovered.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Its key in the configuration.
    pub fn name(&self) -> &Arc<str> {
        &self.settings.name
    }

    /// All its nodes, in the order of the configuration.
    pub fn nodes(&self) -> &[Arc<Node>] {
        &self.nodes
    }

    /// The nodes that were removed, the last one first; their time may be over.
    pub fn retired(&self) -> &[Retired] {
        &self.retired
    }

    /// The removed nodes that are still in use: their time is not over, or they have tunnels or exchanges.
    pub fn retired_in_use(&self, now: Instant) -> impl Iterator<Item = &Arc<Node>> {
        let is_in_use = move |retired: &&Retired| {
            now < retired.until || retired.node.tunnels() > 0 || retired.node.exchanges() > 0
        };
        self.retired.iter().filter(is_in_use).map(|retired| &retired.node)
    }

    /// All nodes, the retired ones too.
    pub fn all_nodes(&self) -> impl Iterator<Item = &Arc<Node>> + Clone {
        self.nodes.iter().chain(self.retired.iter().map(|retired| &retired.node))
    }

    /// The node of that name.
    pub fn node(&self, name: &str) -> Option<&Arc<Node>> {
        self.nodes.iter().find(|node| **node.name() == *name)
    }

    /// Whether sessions share connections to `node`.
    pub fn shares_connections(&self, node: &Node) -> bool {
        match self.settings.connections {
            Connections::Auto => !node.is_several_processes(),
            Connections::Shared => true,
            Connections::PerSession => false,
        }
    }

    /// Whether a request of a session that a node refused may be repeated on a connection of its own, to
    /// find out whether several processes answer at the node's address.
    pub fn may_be_several_processes(&self) -> bool {
        // Also once it is known: requests of other sessions may be on their way to a wrong process.
        self.settings.connections == Connections::Auto
    }

    /// What an operator should know about `node`, in one sentence.
    pub fn note(&self, node: &Node, now: Instant) -> Option<Cow<'static, str>> {
        if let Some(blocked) = node.lag().summary(now).and_then(|lag| lag.blocked_for()) {
            let seconds = blocked.as_secs_f64();
            return Some(format!("event loop blocked for up to {seconds:.1} s").into());
        }
        (node.is_several_processes() && self.settings.connections == Connections::Auto)
            .then_some(SEVERAL_PROCESSES.into())
    }

    /// Notes that `node` refused a session on one connection and knew it on another.
    pub fn note_several_processes(&self, node: &Node) {
        if node.set_several_processes() {
            tracing::warn!(
                upstream = %self.name(), node = %node.name(), "{SEVERAL_PROCESSES}"
            );
        }
    }

    /// Whether enough consecutive connects to `node` failed that nothing should wait for it.
    pub fn is_dead(&self, node: &Node, now: Instant) -> bool {
        node.is_dead(self.settings.health.fail.get(), now)
    }

    /// When the sessions of `node` are given up; `None` if it does not drain.
    pub fn drained_at(&self, node: &Node) -> Option<Instant> {
        node.draining_since().map(|since| since + self.settings.drain.timeout)
    }

    /// A lease for a request that belongs to no session and does not wait: on the node where a new session
    /// would begin, whatever the rates, or on the node that it prefers most, if that is well. If no node is open, on one of the others: it may still be able to
    /// answer.
    ///
    /// # Errors
    ///
    /// All nodes are in `tried`.
    pub fn lease(
        &self,
        preference: &NodePreference,
        tried: &[Arc<Node>],
        now: Instant,
    ) -> Result<Lease, NoNode> {
        let tier = self.tier(tried, now);
        // What it prefers most may be where it has been before, which a full node is no reason to leave.
        let first = preference.order.first();
        if let Some(node) = first.filter(|node| self.is_well(node, now) && !is_tried(tried, node)) {
            return Ok(Lease::new(node.clone()));
        }
        let may = |node: &Node| self.is_open(node, now) && !is_tried(tried, node);
        self.choose((preference, tier), now, may)
            .or_else(|| self.last_resort(tried))
            .map(Lease::new)
            .ok_or_else(|| NoNode { upstream: self.name().clone() })
    }

    /// A lease for a request that is bound to `node`, one of this upstream's or a retired one, whatever is
    /// known against the node: its session lives there and nowhere else.
    pub fn lease_on(&self, node: &Arc<Node>) -> Lease {
        Lease::new(node.clone())
    }

    /// The node of `settings` in the upstream that follows this one: what is known of it is carried
    /// over, if it is the same process, also a retired one. Another process under its name starts
    /// slowly, and an order to drain the name holds for it too.
    fn successor(&self, settings: &NodeSettings, now: Instant) -> Arc<Node> {
        let mut of_name = self.all_nodes().filter(|node| *node.name() == settings.name);
        if let Some(node) = of_name.clone().find(|node| node.is_process_of(settings)) {
            return Node::carried(settings, node);
        }
        let former = of_name.next();
        let node =
            former.map_or_else(|| Node::new(settings), |former| former.replaced_by(settings));
        node.availability().begin_slow_start(now);
        let mut causes = former.into_iter().flat_map(|former| former.drain_causes());
        if causes.any(|cause| cause == DrainCause::Ordered) {
            node.set_drain(DrainCause::Ordered, true, now);
        }
        Arc::new(node)
    }

    /// The retired nodes of the upstream that follows this one and has these `nodes`.
    fn retire(&self, nodes: &[Arc<Node>], timeout: Duration, now: Instant) -> Box<[Retired]> {
        let until = |node: &Node| node.draining_since().map(|since| since + timeout);
        let fresh = self.nodes.iter().map(|node| {
            let until = until(node).unwrap_or(now + timeout);
            Retired { node: node.clone(), until }
        });
        let earlier = self.retired.iter().map(|retired| {
            let until = until(&retired.node).unwrap_or(retired.until);
            Retired { node: retired.node.clone(), until }
        });
        // A node that still has tunnels is yet to be emptied.
        let is_known = |retired: &Retired| {
            !nodes.iter().any(|node| node.identity() == retired.node.identity())
                && (now < retired.until || retired.node.roster().present() > 0)
        };
        fresh.chain(earlier).filter(is_known).take(RETIRED_MAX).collect()
    }

    /// Whether `node` may get a new session.
    fn is_open(&self, node: &Node, now: Instant) -> bool {
        self.is_well(node, now) && self.has_room(node)
    }

    /// Whether nothing but its number of connections keeps new sessions from `node`.
    pub(crate) fn is_well(&self, node: &Node, now: Instant) -> bool {
        node.availability().is_available(now)
            && !node.is_avoided(now)
            && !node.host().is_unresolved()
    }

    /// Whether it has fewer connections than `max_connections`.
    pub(crate) fn has_room(&self, node: &Node) -> bool {
        self.settings.max_connections.is_none_or(|max| self.taken(node) < max.get())
    }

    /// How many of its `max_connections` are taken.
    fn taken(&self, node: &Node) -> u32 {
        node.tunnels().saturating_add(node.exchanges())
    }

    /// A node even if none is open: preferably one that does not drain, and the one that failed first.
    fn last_resort(&self, tried: &[Arc<Node>]) -> Option<Arc<Node>> {
        let untried = self.nodes.iter().filter(|node| !is_tried(tried, node));
        untried.min_by_key(|node| (node.is_draining(), node.failed_at())).cloned()
    }
}

/// If more nodes are replaced within `drain.timeout`, the sessions of the first ones are lost.
const RETIRED_MAX: usize = 1000;

/// What the log, `/nodes` and `sockeye status` say of a node that several processes are.
const SEVERAL_PROCESSES: &str = "several processes answer at this address (PM2, node:cluster), so each \
    session has connections of its own: write connections: per_session";
