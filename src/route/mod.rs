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
pub(crate) mod internal;
mod path_regex;
mod pattern;
mod redirect;
mod rewrite;
mod rivals;
mod settings;
mod target;
mod template;

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Deref;
use std::sync::Arc;

pub(crate) use changes::Changes;
pub(crate) use cors::Cors;
pub(crate) use field_rules::{
    Direction, FieldAction, FieldRules, FieldValues, check_value, field_name,
};
pub(crate) use path_regex::PathRegex;
pub(crate) use pattern::{HostPattern, PathPattern};
pub(crate) use redirect::Redirect;
pub(crate) use rewrite::{PathPrefix, PathRewrite};
pub(crate) use rivals::Miss;
pub(crate) use settings::{
    AllowedUpgrades, Limits, PageRules, Settings, Silence, TargetSettings, UpstreamSettings,
};
pub(crate) use target::{Policy, Target, UpstreamRoute};
pub(crate) use template::{Template, Variables};

/// Host and path -> target, with policy.
#[derive(Debug)]
pub struct Route {
    /// What holds whatever the target is.
    pub policy: Arc<Policy>,
    /// What a request gets.
    pub(crate) target: Target,
}

impl Deref for Route {
    type Target = Policy;

    fn deref(&self) -> &Policy {
        &self.policy
    }
}

impl Route {
    /// The upstream that requests may go to, with what holds for these.
    pub fn upstream(&self) -> Option<&Arc<UpstreamRoute>> {
        match &self.target {
            Target::Upstream(route) => Some(route),
            Target::Files(_, route) => route.as_ref(),
            Target::Redirect(_) | Target::Respond(_) => None,
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

    /// The route to an upstream with the host and path of `route`, which may be another table's.
    pub fn same(&self, route: &UpstreamRoute) -> Option<&Arc<UpstreamRoute>> {
        let is_same = |other: &Policy| (&other.host, &other.path) == (&route.host, &route.path);
        self.iter().find(|other| is_same(other))?.upstream()
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
    use crate::affinity::{self, Affinity};
    use crate::insight::{self, Insight};
    use crate::metrics::WhenUsed;
    use crate::tunnel;
    use crate::upstream::{self, Upstream};

    /// Finds among routes written as `host path`, `*` for any host and `=` before an exact path.
    fn check(routes: &[&str], host: &str, path: &str, expected: Option<&str>) {
        let table = RouteTable::new(routes.iter().map(|text| route(text)).collect());
        let found = table
            .find(host, path)
            .map(|route| route.upstream().unwrap().upstream.name().to_string());
        assert_eq!(found.as_deref(), expected, "{host} {path}");
    }

    fn route(text: &str) -> Arc<Route> {
        let (host, path) = text.split_once(' ').unwrap();
        let address = upstream::NodeAddress { host: "127.0.0.1".into(), port: 1 };
        let nodes = vec![upstream::NodeSettings::new("n1", address)];
        let settings = upstream::Settings::new(text, nodes);
        let upstream = Arc::new(Upstream::new(&settings, None));
        let affinity = Affinity::new(&affinity::Settings::None, &upstream, None).unwrap();
        let policy = Arc::new(Policy {
            host: match host.strip_prefix('*') {
                Some("") => HostPattern::Any,
                Some(suffix) => HostPattern::Below(suffix.into()),
                None => HostPattern::Exact(host.into()),
            },
            path: match path.strip_prefix('=') {
                Some(exact) => PathPattern::Exact(exact.into()),
                None => PathPattern::Prefix(path.into()),
            },
            label: format!("{host}{path}").into(),
            access: None,
            rewrite: None,
            changes: None,
            error_pages: None,
            compression: None,
            counts: WhenUsed::default(),
        });
        let target = Target::Upstream(Arc::new(UpstreamRoute {
            policy: policy.clone(),
            upstream,
            affinity: Arc::new(affinity),
            limits: Limits::default(),
            tunnel: tunnel::Limits::default(),
            insight: Arc::new(Insight::new(insight::Settings::default())),
            earlier: Box::default(),
        }));
        Arc::new(Route { policy, target })
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
