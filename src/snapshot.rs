//! Everything that routing needs, immutable, and swapped as a whole.
//!
//! An exchange takes one snapshot and keeps it to its end; a tunnel keeps its lease and its limits
//! and lets the snapshot go, so that an old tunnel does not hold an old configuration. What a node
//! did (its load, its failures, what its handshakes told) lives in the nodes, which are carried
//! from one snapshot to the next.
//!
//! Runs for every request.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;

use crate::Instant;
use crate::affinity::{self, Affinity, TagClash};
use crate::insight::Insight;
use crate::metrics::RouteCounts;
use crate::route::{self, HostPattern, PathPattern, Route, RouteTable};
use crate::upstream::{self, Upstream};

/// Everything that routing needs.
#[derive(Debug)]
pub struct Snapshot {
    /// Which route a request takes.
    pub routes: RouteTable,
    /// What became of requests that no route serves.
    pub unrouted: Arc<RouteCounts>,
    upstreams: BTreeMap<Arc<str>, Group>,
}

/// An upstream and the affinity of its sessions.
#[derive(Clone, Debug)]
struct Group {
    upstream: Arc<Upstream>,
    affinity: Arc<Affinity>,
}

impl Snapshot {
    /// Builds a snapshot. `carried` is the one that it follows: nodes, learned sessions, timings
    /// and counts are taken over from it.
    ///
    /// # Errors
    ///
    /// Two nodes of an upstream have the same tag.
    ///
    /// # Panics
    ///
    /// A route names an upstream that is not in `upstreams`; the configuration has excluded it.
    pub fn build(
        upstreams: &[(upstream::Settings, affinity::Settings)],
        routes: &[route::Settings],
        carried: Option<&Self>,
    ) -> Result<Self, TagClash> {
        let mut groups = BTreeMap::new();
        for (settings, affinity) in upstreams {
            let former = carried.and_then(|snapshot| snapshot.upstreams.get(&settings.name));
            let upstream = Arc::new(Upstream::new(settings, former.map(|group| &*group.upstream)));
            let former = former.map(|group| &*group.affinity);
            let affinity = Arc::new(Affinity::new(affinity, &upstream, former)?);
            groups.insert(settings.name.clone(), Group { upstream, affinity });
        }
        let former = carried.iter().flat_map(|snapshot| snapshot.routes.iter());
        let former: Former<'_> =
            former.map(|route| ((&route.host, &route.path), &**route)).collect();
        let routes =
            routes.iter().map(|settings| Arc::new(build_route(settings, &groups, &former)));
        Ok(Self {
            routes: RouteTable::new(routes.collect()),
            unrouted: carried.map(|snapshot| snapshot.unrouted.clone()).unwrap_or_default(),
            upstreams: groups,
        })
    }

    /// Judges the sessions of all routes that were seen for the last time.
    pub fn sweep(&self, now: Instant) {
        for route in self.routes.iter() {
            route.insight.sweep(now);
        }
    }

    /// Empties nodes that drain, and evens out where that is wanted. How long until it should look
    /// again, a second at most.
    pub fn clear(&self, now: Instant) -> Duration {
        let next = self.upstreams().map(|upstream| upstream.clear(now));
        next.fold(CLEAR_EVERY, Duration::min)
    }

    /// Tells the nodes what follows for them from this snapshot, now that it is in force.
    fn enact(&self, now: Instant) {
        for upstream in self.upstreams() {
            upstream.enact(now);
        }
    }

    /// All upstreams, by name.
    pub fn upstreams(&self) -> impl Iterator<Item = &Arc<Upstream>> {
        self.upstreams.values().map(|group| &group.upstream)
    }
}

/// Routes by host and path.
type Former<'a> = HashMap<(&'a HostPattern, &'a PathPattern), &'a Route>;

fn build_route(
    settings: &route::Settings,
    groups: &BTreeMap<Arc<str>, Group>,
    former: &Former<'_>,
) -> Route {
    let former = former.get(&(&settings.host, &settings.path));
    let group = groups.get(&settings.upstream).expect("the configuration knows every upstream");
    Route {
        host: settings.host.clone(),
        path: settings.path.clone(),
        upstream: group.upstream.clone(),
        affinity: group.affinity.clone(),
        limits: settings.limits,
        tunnel: settings.tunnel,
        counts: former.map(|route| route.counts.clone()).unwrap_or_default(),
        insight: match former {
            Some(route) => route.insight.clone(),
            None => Arc::new(Insight::new(settings.insight)),
        },
    }
}

/// The snapshot that is in force: the one place where control plane and data plane meet.
#[derive(Debug)]
pub struct Current(ArcSwap<Snapshot>);

impl Current {
    /// Puts the first snapshot in force.
    pub fn new(snapshot: Snapshot) -> Self {
        snapshot.enact(Instant::now());
        Self(ArcSwap::from_pointee(snapshot))
    }

    /// The snapshot in force now.
    pub fn load(&self) -> Arc<Snapshot> {
        self.0.load_full()
    }

    /// Puts `snapshot` in force; exchanges under way keep the one they took.
    pub fn replace(&self, snapshot: Snapshot) {
        snapshot.enact(Instant::now());
        self.0.store(Arc::new(snapshot));
    }
}

/// How often somebody looks whether there is anything to clear.
const CLEAR_EVERY: Duration = Duration::from_secs(1);
