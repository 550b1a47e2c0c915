//! The route of a request, by its host and path.
//!
//! The most specific host wins, then the most specific path. A host whose paths do not match
//! leaves the request to the next less specific host, so that one route for every host can serve
//! what the named ones do not.
//!
//! Runs for every request.

mod changes;
mod cors;
mod field_rules;
mod path_regex;
mod pattern;
mod rewrite;
mod settings;
mod template;

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use http::HeaderMap;
use http::header::{COOKIE, ORIGIN};
use tracing::warn;

use crate::access::{self, Access};
use crate::affinity::Affinity;
use crate::engineio::Timings;
use crate::insight::Insight;
use crate::metrics::RouteCounts;
use crate::tunnel;
use crate::upstream::Upstream;

pub(crate) use changes::Changes;
pub(crate) use cors::Cors;
pub(crate) use field_rules::{
    Direction, FieldAction, FieldRules, FieldValues, check_value, field_name,
};
pub(crate) use path_regex::PathRegex;
pub(crate) use pattern::{HostPattern, PathPattern};
pub(crate) use rewrite::{PathPrefix, PathRewrite};
pub(crate) use settings::{Limits, Settings, Silence};
pub(crate) use template::{Template, Variables};

/// Host and path -> upstream, with policy.
#[derive(Debug)]
pub struct Route {
    /// The hosts.
    pub host: HostPattern,
    /// The paths.
    pub path: PathPattern,
    /// The upstream whose nodes answer.
    pub upstream: Arc<Upstream>,
    /// How its sessions return to their node.
    pub affinity: Arc<Affinity>,
    /// Who may use it; `None`: everybody.
    pub(crate) access: Option<Arc<Access>>,
    /// How its nodes' paths differ from those of clients.
    pub(crate) rewrite: Option<Arc<PathRewrite>>,
    /// Which fields it changes.
    pub(crate) changes: Option<Arc<Changes>>,
    /// Timeouts and sizes.
    pub limits: Limits,
    /// The limits of its tunnels.
    pub tunnel: tunnel::Limits,
    /// The counts of its exchanges and tunnels; carried over to the next route with the same host
    /// and path.
    pub counts: Arc<RouteCounts>,
    /// What becomes of its sessions that begin in polling; carried over in the same way.
    pub insight: Arc<Insight>,
    /// This route with the upstreams and affinities that it had before reloads changed them, the
    /// latest first. Its older sessions are found by these, and no new ones begin there.
    pub earlier: Box<[Arc<Self>]>,
}

impl Route {
    /// Its name in metrics: host and path.
    pub fn label(&self) -> String {
        format!("{}{}", self.host, self.path)
    }

    /// Counts a WebSocket handshake for `host()` with cookies that a page of another host makes, if no
    /// rule says which pages may. Logs the first one.
    pub(crate) fn note_foreign_origin<'h>(
        &self,
        headers: &HeaderMap,
        host: impl FnOnce() -> &'h str,
    ) {
        let names_origins = self.access.as_ref().is_some_and(|access| access.names_origins());
        if !names_origins
            && headers.contains_key(COOKIE)
            && access::is_foreign(headers, host())
            && self.counts.foreign_origins.inc() == 0
        {
            let origin = headers.get(ORIGIN).map(|origin| origin.as_bytes().escape_ascii());
            warn!(
                host = %self.host, path = %self.path, origin = origin.map(tracing::field::display),
                "a page of another origin opens a WebSocket with this host's cookies: if only some \
                 pages may, write origins: [same-host, https://app.example.com], else origins: [any]"
            );
        }
    }

    /// Counts a session whose heartbeat is longer than the route's idle timeout, which cuts it
    /// although both sides are alive. Logs the first one.
    pub fn note_heartbeat(&self, timings: &Timings) {
        let tunnel::IdleTimeout::After(idle_timeout) = self.tunnel.idle_timeout else { return };
        let contradicts = idle_timeout < timings.heartbeat();
        if contradicts && self.counts.tunnels.idle_contradictions.inc() == 0 {
            warn!(
                host = %self.host, path = %self.path,
                idle_timeout_seconds = idle_timeout.as_secs_f64(),
                ping_interval_seconds = timings.ping_interval.as_secs_f64(),
                ping_timeout_seconds = timings.ping_timeout.as_secs_f64(),
                "idle_timeout is shorter than the heartbeat of its sessions: write auto"
            );
        }
    }
}

/// All routes, in a form for fast lookups.
#[derive(Debug, Default)]
pub struct RouteTable {
    exact: HashMap<Box<str>, Paths>,
    /// From the longest suffix to the shortest.
    below: Vec<(HostPattern, Paths)>,
    any: Paths,
}

/// The routes of one host, the most specific first.
type Paths = Vec<Arc<Route>>;

impl RouteTable {
    /// A table of `routes`, in any order; of two that are equally specific, the first wins.
    pub fn new(mut routes: Vec<Arc<Route>>) -> Self {
        routes.sort_by_key(|route| (route.host.precedence(), route.path.precedence()));
        let mut table = Self::default();
        for route in routes {
            match &route.host {
                HostPattern::Any => table.any.push(route),
                HostPattern::Exact(name) => {
                    table.exact.entry(name.clone()).or_default().push(route);
                }
                HostPattern::Below(_) => match table.below.last_mut() {
                    Some((host, paths)) if *host == route.host => paths.push(route),
                    Some(_) | None => table.below.push((route.host.clone(), vec![route])),
                },
            }
        }
        table
    }

    /// The route of a request for `path` at `host`, which has no port and any letter case.
    pub fn find(&self, host: &str, path: &str) -> Option<&Arc<Route>> {
        let host = lower_case(host);
        let exact = self.exact.get(&*host).into_iter();
        let below = self.below.iter().filter(|(pattern, _)| pattern.matches(&host));
        exact
            .chain(below.map(|(_, paths)| paths))
            .chain([&self.any])
            .find_map(|paths| paths.iter().find(|route| route.path.matches(path)))
    }

    /// The route with the host and path of `route`, which may be another table's.
    pub fn same(&self, route: &Route) -> Option<&Arc<Route>> {
        self.iter().find(|other| (&other.host, &other.path) == (&route.host, &route.path))
    }

    /// All routes, the most specific of each host first.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Route>> {
        let exact = self.exact.values();
        exact.chain(self.below.iter().map(|(_, paths)| paths)).chain([&self.any]).flatten()
    }
}

fn lower_case(host: &str) -> Cow<'_, str> {
    if host.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(host.to_ascii_lowercase())
    } else {
        Cow::Borrowed(host)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{affinity, upstream};

    /// Finds among routes written as `host path`, `*` for any host and `=` before an exact path.
    fn check(routes: &[&str], host: &str, path: &str, expected: Option<&str>) {
        let table = RouteTable::new(routes.iter().map(|text| route(text)).collect());
        let found = table.find(host, path).map(|route| route.upstream.name().to_string());
        assert_eq!(found.as_deref(), expected, "{host} {path}");
    }

    fn route(text: &str) -> Arc<Route> {
        let (host, path) = text.split_once(' ').unwrap();
        let address = upstream::NodeAddress { host: "127.0.0.1".into(), port: 1 };
        let nodes = vec![upstream::NodeSettings::new("n1", address)];
        let settings = upstream::Settings::new(text, nodes);
        let upstream = Arc::new(Upstream::new(&settings, None));
        let affinity = Affinity::new(&affinity::Settings::None, &upstream, None).unwrap();
        Arc::new(Route {
            host: match host.strip_prefix('*') {
                Some("") => HostPattern::Any,
                Some(suffix) => HostPattern::Below(suffix.into()),
                None => HostPattern::Exact(host.into()),
            },
            path: match path.strip_prefix('=') {
                Some(exact) => PathPattern::Exact(exact.into()),
                None => PathPattern::Prefix(path.into()),
            },
            upstream,
            affinity: Arc::new(affinity),
            access: None,
            rewrite: None,
            changes: None,
            limits: Limits::default(),
            tunnel: tunnel::Limits::default(),
            counts: Arc::default(),
            insight: Arc::new(Insight::new(crate::insight::Settings::default())),
            earlier: Box::default(),
        })
    }

    #[test]
    fn the_most_specific_host_wins_and_then_the_most_specific_path() {
        let routes =
            ["* /", "*.b.c /", "*.a.b.c /x/", "a.b.c /x/", "a.b.c =/x/y", "a.b.c /", "* /only"];
        check(&routes, "a.b.c", "/x/y", Some("a.b.c =/x/y"));
        check(&routes, "a.b.c", "/x/z", Some("a.b.c /x/"));
        check(&routes, "A.B.c", "/q", Some("a.b.c /"));
        check(&routes, "q.a.b.c", "/x/", Some("*.a.b.c /x/"));
        check(&routes, "other", "/only", Some("* /only"));
        check(&routes, "other", "/", Some("* /"));
    }

    #[test]
    fn a_host_whose_paths_do_not_match_leaves_the_request_to_the_next() {
        let routes = ["a.b /x/", "*.b /y/", "* /z/"];
        check(&routes, "a.b", "/y/", Some("*.b /y/"));
        check(&routes, "a.b", "/z/", Some("* /z/"));
        check(&routes, "a.b", "/nowhere", None);
    }
}
