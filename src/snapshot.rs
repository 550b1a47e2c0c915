//! Everything that routing needs: immutable, and replaced as a whole.
//!
//! An exchange keeps one snapshot until it ends. A tunnel keeps its lease and its limits and drops the
//! snapshot, so that an old tunnel does not hold an old configuration. The state of a node (its load, its
//! failures, the results of its handshakes) is in the nodes, which are carried from one snapshot to the
//! next.
//!
//! Runs for every request.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tracing::error;

use crate::Instant;
use crate::access::{Access, ClientLimits, ClientRates, FileFault};
use crate::affinity::{self, Affinity, TagClash};
use crate::insight::{EndedSessions, Insight};
use crate::maintenance;
use crate::metrics::{RouteCounts, WhenUsed};
use crate::route::{
    self, HostPattern, PathPattern, Policy, Route, RouteTable, Target, TargetSettings,
    UpstreamRoute,
};
use crate::site::{ErrorPages, Files};
use crate::telemetry::{self, SpanQueue, Tracing};
use crate::tls::Challenges;
use crate::upstream::{self, DrainCause, Upstream};

/// Everything that routing needs.
#[derive(Debug)]
pub struct Snapshot {
    /// The routes of requests.
    pub routes: RouteTable,
    /// The counts of requests without a route.
    pub unrouted: WhenUsed<RouteCounts>,
    /// The sessions that ended last; carried over.
    pub(crate) ended: Arc<EndedSessions>,
    /// The proofs for the authority that issues our certificates.
    pub(crate) challenges: Option<Challenges>,
    /// Pages for errors of requests without a route.
    pub(crate) error_pages: Option<ErrorPages>,
    /// What is done for the traces of requests.
    pub(crate) tracing: Tracing,
    /// The spans that wait to be exported, also if none are.
    pub(crate) spans: Arc<SpanQueue>,
    /// What each client network may do; `None`: anything.
    pub(crate) client_rates: Option<Arc<ClientRates>>,
    upstreams: BTreeMap<Arc<str>, Group>,
    /// Upstreams that left the configuration, until their nodes are empty.
    left: BTreeMap<Arc<str>, Group>,
}

/// An upstream and the affinity of its sessions.
#[derive(Clone, Debug)]
struct Group {
    upstream: Arc<Upstream>,
    affinity: Arc<Affinity>,
}

/// Why there is no snapshot.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// Two nodes cannot be told apart by their tags.
    #[error(transparent)]
    TagClash(#[from] TagClash),
    /// A file of keys cannot be used.
    #[error(transparent)]
    File(#[from] FileFault),
}

impl Snapshot {
    /// Builds a snapshot that takes over nodes, learned sessions, timings and counts from `carried`, the
    /// snapshot before it.
    ///
    /// # Errors
    ///
    /// Two nodes of an upstream have the same tag, or a file of keys cannot be used.
    ///
    /// # Panics
    ///
    /// A route names an upstream that is not in `upstreams`; the configuration has excluded it.
    pub fn build(
        upstreams: &[(upstream::Settings, affinity::Settings)],
        routes: &[route::Settings],
        carried: Option<&Self>,
    ) -> Result<Self, SnapshotError> {
        let mut groups = BTreeMap::new();
        for (settings, affinity) in upstreams {
            let former = carried.and_then(|snapshot| snapshot.former(&settings.name));
            let group = build_group((settings, affinity), former)?;
            if let (None, Some(carried)) = (former, carried) {
                carried.keep_orders(&group.upstream, upstreams.iter().map(|next| &*next.0.name));
            }
            groups.insert(settings.name.clone(), group);
        }
        let former = carried.iter().flat_map(|snapshot| snapshot.routes.iter());
        let former: Former<'_> =
            former.map(|route| ((&route.host, &route.path), &**route)).collect();
        let left = carried.map(|snapshot| snapshot.leaving(&groups)).unwrap_or_default();
        let group = |name: &str| groups.get(name).or_else(|| left.get(name));
        let routes =
            routes.iter().map(|settings| build_route(settings, group, &former).map(Arc::new));
        Ok(Self {
            routes: RouteTable::new(routes.collect::<Result<_, _>>()?),
            challenges: None,
            error_pages: None,
            client_rates: None,
            tracing: Tracing::default(),
            spans: carried.map(|snapshot| snapshot.spans.clone()).unwrap_or_default(),
            unrouted: carried.map(|snapshot| snapshot.unrouted.clone()).unwrap_or_default(),
            ended: carried.map(|snapshot| snapshot.ended.clone()).unwrap_or_default(),
            left,
            upstreams: groups,
        })
    }

    /// The same, with these proofs for the authority that issues our certificates.
    pub(crate) fn with_challenges(self, challenges: Option<Challenges>) -> Self {
        Self { challenges, ..self }
    }

    /// The same with traces as configured.
    pub(crate) fn with_tracing(self, settings: &telemetry::Settings) -> Self {
        let spans = settings.otlp.as_ref().map(|_| self.spans.clone());
        Self { tracing: Tracing { sample: settings.sample, spans }, ..self }
    }

    /// The same with these pages for errors of requests without a route.
    pub(crate) fn with_error_pages(self, pages: &ErrorPages) -> Self {
        Self { error_pages: (!pages.is_empty()).then(|| pages.clone()), ..self }
    }

    /// The same with limits for each client network; the counts of `carried` go on if they are the same.
    pub(crate) fn with_client_limits(self, limits: ClientLimits, carried: Option<&Self>) -> Self {
        let former = carried.and_then(|snapshot| snapshot.client_rates.clone());
        let client_rates = former
            .filter(|rates| rates.limits() == limits)
            .or_else(|| ClientRates::new(limits, Instant::now()).map(Arc::new));
        Self { client_rates, ..self }
    }

    /// The group of that name, also if it left the configuration.
    fn former(&self, name: &str) -> Option<&Group> {
        self.upstreams.get(name).or_else(|| self.left.get(name))
    }

    /// Drains the nodes of `new` that were ordered to drain in an upstream that is not among `next`: an
    /// upstream that is renamed has the same processes, and an operator is about to stop one of them.
    fn keep_orders<'a>(&self, new: &Upstream, next: impl Iterator<Item = &'a str> + Clone) {
        let is_next = |upstream: &Upstream| next.clone().any(|name| *name == **upstream.name());
        let gone = self.all_upstreams().filter(|upstream| !is_next(upstream));
        for former in gone.flat_map(|upstream| upstream.nodes()) {
            let same = new.node(former.name()).filter(|node| node.address() == former.address());
            let is_ordered = former.drain_causes().any(|cause| cause == DrainCause::Ordered);
            if let Some(node) = same.filter(|_| is_ordered) {
                node.set_drain(DrainCause::Ordered, true, Instant::now());
            }
        }
    }

    /// The upstreams that are not in `next` and still have sessions.
    fn leaving(&self, next: &BTreeMap<Arc<str>, Group>) -> BTreeMap<Arc<str>, Group> {
        let all = self.left.iter().chain(&self.upstreams);
        let gone = all.filter(|(name, _)| !next.contains_key(*name));
        let leaving = gone.filter_map(|(name, group)| {
            let upstream = Arc::new(Upstream::leaving(&group.upstream)?);
            Some((name.clone(), Group { upstream, affinity: group.affinity.clone() }))
        });
        leaving.collect()
    }

    /// Judges the sessions of all routes that have ended.
    pub fn sweep(&self, now: Instant) {
        for route in self.routes.iter().filter_map(|route| route.upstream()) {
            route.insight.sweep(now);
        }
    }

    /// Empties nodes that drain, rebalances tunnels where that is configured, and reads the files of keys
    /// and users again. How long until the next call, at most a second.
    pub fn maintain(&self, now: Instant) -> Duration {
        for access in self.routes.iter().filter_map(|route| route.access.as_ref()) {
            access.follow_files(now);
        }
        let next = self.all_upstreams().map(|upstream| maintenance::tick(upstream, now));
        next.fold(MAINTAIN_EVERY, Duration::min)
    }

    /// Applies this snapshot to the state of the nodes.
    pub(crate) fn enact(&self, now: Instant) {
        for upstream in self.all_upstreams() {
            upstream.enact(now);
        }
    }

    /// The upstream of that name.
    pub fn upstream(&self, name: &str) -> Option<&Arc<Upstream>> {
        self.upstreams.get(name).map(|group| &group.upstream)
    }

    /// All upstreams, then those that left the configuration and still have sessions.
    pub fn all_upstreams(&self) -> impl Iterator<Item = &Arc<Upstream>> {
        self.upstreams.values().chain(self.left.values()).map(|group| &group.upstream)
    }

    /// All upstreams, by name.
    pub fn upstreams(&self) -> impl Iterator<Item = &Arc<Upstream>> {
        self.upstreams.values().map(|group| &group.upstream)
    }
}

/// If two discovered nodes have the same tag, the later one is left out, because the operator cannot
/// rename it.
fn build_group(
    (settings, affinity): (&upstream::Settings, &affinity::Settings),
    former: Option<&Group>,
) -> Result<Group, TagClash> {
    let mut left_out: Vec<Arc<str>> = Vec::new();
    loop {
        let former_upstream = former.map(|group| &*group.upstream);
        let upstream = Arc::new(Upstream::without(&left_out, settings, former_upstream));
        let former_affinity = former.map(|group| &*group.affinity);
        match Affinity::new(affinity, &upstream, former_affinity) {
            Ok(affinity) => return Ok(Group { upstream, affinity: Arc::new(affinity) }),
            Err(clash) if upstream.discovery().is_none() => return Err(clash),
            Err(clash) => {
                let is_former =
                    |name: &str| former_upstream.is_some_and(|former| former.node(name).is_some());
                let first_is_newer = is_former(&clash.second) && !is_former(&clash.first);
                let newcomer = if first_is_newer { &clash.first } else { &clash.second };
                error!(upstream = %settings.name, node = %newcomer, %clash, "node ignored");
                left_out.push((&**newcomer).into());
            }
        }
    }
}

/// Routes by host and path.
type Former<'a> = HashMap<(&'a HostPattern, &'a PathPattern), &'a Route>;

fn build_route<'a>(
    settings: &route::Settings,
    group: impl Fn(&str) -> Option<&'a Group>,
    former: &Former<'_>,
) -> Result<Route, FileFault> {
    let former = former.get(&(&settings.host, &settings.path)).copied();
    let policy = Arc::new(Policy {
        host: settings.host.clone(),
        path: settings.path.clone(),
        label: format!("{}{}", settings.host, settings.path).into(),
        access: Access::new(&settings.access, former.and_then(|former| former.access.as_ref()))?,
        rewrite: settings.rewrite.clone(),
        changes: settings.changes.clone(),
        error_pages: settings.error_pages.clone(),
        compression: settings.compression.clone(),
        counts: former.map(|route| route.counts.clone()).unwrap_or_default(),
    });
    let former = former.and_then(|former| former.upstream()).map(|former| &**former);
    let to_upstream = |settings| Arc::new(upstream_route(settings, &policy, &group, former));
    let target = match &settings.target {
        TargetSettings::Upstream(settings) => Target::Upstream(to_upstream(settings)),
        TargetSettings::Files(files, settings) => {
            Target::Files(Files::new(files), settings.as_ref().map(to_upstream))
        }
        TargetSettings::Redirect(redirect) => Target::Redirect(redirect.clone()),
        TargetSettings::Respond(respond) => Target::Respond(respond.clone()),
    };
    Ok(Route { policy, target })
}

fn upstream_route<'a>(
    settings: &route::UpstreamSettings,
    policy: &Arc<Policy>,
    group: impl Fn(&str) -> Option<&'a Group>,
    former: Option<&UpstreamRoute>,
) -> UpstreamRoute {
    let Group { upstream, affinity } =
        group(&settings.name).expect("the configuration knows every upstream");
    let route = UpstreamRoute {
        policy: policy.clone(),
        upstream: upstream.clone(),
        affinity: affinity.clone(),
        limits: settings.limits,
        tunnel: settings.tunnel,
        insight: match former {
            Some(route) => route.insight.clone(),
            None => Arc::new(Insight::new(settings.insight)),
        },
        earlier: Box::default(),
    };
    let earlier = former.map(|former| earlier(&route, former, group)).unwrap_or_default();
    UpstreamRoute { earlier, ..route }
}

/// `route` with each upstream and affinity that may recognize sessions of `former` and that `route` itself
/// does not have, as far as there are nodes left.
fn earlier<'a>(
    route: &UpstreamRoute,
    former: &UpstreamRoute,
    group: impl Fn(&str) -> Option<&'a Group>,
) -> Box<[Arc<UpstreamRoute>]> {
    let rule = |route: &UpstreamRoute| {
        Some((route.upstream.name().clone(), route.affinity.settings().for_reading()?))
    };
    let mut known: Vec<_> = rule(route).into_iter().collect();
    let mut earlier = Vec::new();
    for former in [former].into_iter().chain(former.earlier.iter().map(|earlier| &**earlier)) {
        let Some((name, affinity)) = rule(former).filter(|rule| !known.contains(rule)) else {
            continue;
        };
        let Some(Group { upstream, affinity: current }) = group(&name) else { continue };
        let is_current = current.settings().for_reading().as_ref() == Some(&affinity);
        let affinity_of = match is_current {
            true => Some(current.clone()),
            // Nodes that only this rule cannot distinguish are not refused.
            false => Affinity::new(&affinity, upstream, Some(&former.affinity)).ok().map(Arc::new),
        };
        known.push((name, affinity));
        earlier.extend(affinity_of.map(|affinity| {
            let route = with_rule(route, upstream.clone(), affinity);
            Arc::new(route)
        }));
        if earlier.len() >= EARLIER_MAX {
            break;
        }
    }
    earlier.into()
}

/// `route` with another upstream and affinity.
fn with_rule(
    route: &UpstreamRoute,
    upstream: Arc<Upstream>,
    affinity: Arc<Affinity>,
) -> UpstreamRoute {
    UpstreamRoute {
        policy: route.policy.clone(),
        upstream,
        affinity,
        limits: route.limits,
        tunnel: route.tunnel,
        insight: route.insight.clone(),
        earlier: Box::default(),
    }
}

/// Each rule costs a lookup. If the rule changes more often, the oldest sessions are lost.
const EARLIER_MAX: usize = 8;

/// The snapshot in force: the only link between control plane and data plane.
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

    /// Puts `snapshot` in force. Pending exchanges keep theirs.
    pub fn replace(&self, snapshot: Snapshot) {
        snapshot.enact(Instant::now());
        self.0.store(Arc::new(snapshot));
    }
}

/// How often nodes are maintained at least.
const MAINTAIN_EVERY: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::discovery::Found;
    use crate::upstream::settings::{Discover, Source};
    use crate::upstream::{NodeAddress, NodeSettings};

    /// Two names with the same tag under the key that is compiled in; one pair in 2^36 is such.
    const TWINS: [&str; 2] = ["10.0.212.170:3000", "10.3.82.159:3000"];

    fn nodes(names: &[&str]) -> Vec<NodeSettings> {
        let address = NodeAddress { host: "10.0.0.1".into(), port: 3000 };
        names.iter().map(|name| NodeSettings::new(name, address.clone())).collect()
    }

    fn build(
        settings: &upstream::Settings,
        carried: Option<&Snapshot>,
    ) -> Result<Snapshot, SnapshotError> {
        let affinity = affinity::Settings::default();
        Snapshot::build(&[(settings.clone(), affinity)], &[], carried)
    }

    fn names(snapshot: &Snapshot) -> Vec<&str> {
        let upstream = snapshot.upstream("chat").unwrap();
        upstream.nodes().iter().map(|node| &**node.name()).collect()
    }

    #[test]
    fn an_order_to_drain_holds_for_the_node_of_an_upstream_that_is_renamed() {
        // check(name of the upstream, names of its nodes, those that drain)
        let check = |name: &str, members: &[&str], draining: &[&str]| {
            let before = build(&upstream::Settings::new("chat", nodes(&["a", "b"])), None).unwrap();
            let a = &before.upstream("chat").unwrap().nodes()[0];
            a.set_drain(DrainCause::Ordered, true, Instant::now());
            let after = build(&upstream::Settings::new(name, nodes(members)), Some(&before));
            let after = after.unwrap();
            after.enact(Instant::now());
            let all = after.upstream(name).unwrap().nodes().iter();
            let drain: Vec<&str> =
                all.filter(|node| node.is_draining()).map(|node| &**node.name()).collect();
            assert_eq!(drain, draining, "{name} {members:?}");
        };
        check("chat", &["a", "b"], &["a"]);
        check("talk", &["a", "b", "c"], &["a"]);
        check("talk", &["b", "c"], &[]);
    }

    #[test]
    fn nodes_of_the_file_with_the_same_tag_are_refused() {
        assert!(build(&upstream::Settings::new("chat", nodes(&TWINS)), None).is_err());
    }

    #[test]
    fn of_discovered_nodes_with_the_same_tag_the_later_one_is_left_out() {
        let source = Source::Services("_chat._tcp.test".into());
        let discover = Discover { source, every: Discover::EVERY, server: None };
        let mut settings = upstream::Settings::new("chat", Vec::new());
        settings.discover = Some(discover);
        // check(what is found at first, what then, who is left)
        let check = |first: &[&str], then: &[&str], left: &[&str]| {
            let mut snapshot = build(&settings, None).unwrap();
            assert!(names(&snapshot).is_empty());
            for found in [first, then] {
                let discovery = snapshot.upstream("chat").unwrap().discovery().unwrap().clone();
                Found::new(discovery, nodes(found)).0.accept();
                snapshot = build(&settings, Some(&snapshot)).unwrap();
            }
            assert_eq!(names(&snapshot), left);
        };
        let [one, other] = TWINS;
        check(&[one], &[one, other, "x"], &[one, "x"]);
        check(&[other], &[one, other, "x"], &[other, "x"]);
        check(&[], &[one, other], &[one]);
        check(&[one], &[other], &[other]);
        check(&[one, other], &[other], &[other]);
    }
}
