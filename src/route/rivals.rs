//! Why a request does not take the other routes.
//!
//! Pure. Runs at start, at reload, or on a timer.

use std::sync::Arc;

use super::{HostPattern, PathPattern, Route, RouteTable, lower_case};

/// Why a request does not take a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Miss {
    /// The route serves it too, but another one has a more specific host.
    LessSpecificHost,
    /// The same with the path.
    LessSpecificPath,
    /// It serves the host and another path.
    Path,
    /// The same, and the path would match with a slash at its end.
    PathWithoutSlash,
    /// It serves another host.
    Host,
    /// The same: only names below this one.
    HostIsNotBelow,
}

impl Miss {
    /// What is said to an operator.
    pub(crate) fn sentence(self) -> &'static str {
        match self {
            Self::LessSpecificHost => "matches, but its host is less specific",
            Self::LessSpecificPath => "matches, but its path is less specific",
            Self::Path => "the path does not match",
            Self::PathWithoutSlash => "the path does not match: it has no slash at its end",
            Self::Host => "the host does not match",
            Self::HostIsNotBelow => "the host does not match: only names below it do",
        }
    }
}

impl RouteTable {
    /// All routes but the one that [`RouteTable::find`] finds, with why it is not them: first those that
    /// match, then those of the host.
    pub(crate) fn rivals(&self, host: &str, path: &str) -> Vec<(&Arc<Route>, Miss)> {
        let host = lower_case(host);
        let chosen = self.find(&host, path);
        let others = self.iter().filter(|route| chosen.is_none_or(|one| !Arc::ptr_eq(one, route)));
        let mut rivals: Vec<_> =
            others.map(|route| (route, miss(route, chosen, &host, path))).collect();
        rivals.sort_by_cached_key(|(route, miss)| (*miss, route.label.clone()));
        rivals
    }
}

fn miss(route: &Route, chosen: Option<&Arc<Route>>, host: &str, path: &str) -> Miss {
    let is_host = route.host.matches(host);
    match (is_host, route.path.matches(path)) {
        (true, true) if chosen.is_some_and(|chosen| chosen.host == route.host) => {
            Miss::LessSpecificPath
        }
        (true, true) => Miss::LessSpecificHost,
        (true, false) if lacks_slash(&route.path, path) => Miss::PathWithoutSlash,
        (true, false) => Miss::Path,
        (false, _) if is_above(&route.host, host) => Miss::HostIsNotBelow,
        (false, _) => Miss::Host,
    }
}

fn lacks_slash(pattern: &PathPattern, path: &str) -> bool {
    pattern.matches(&format!("{path}/"))
}

fn is_above(pattern: &HostPattern, host: &str) -> bool {
    match pattern {
        HostPattern::Below(suffix) => suffix.strip_prefix('.') == Some(host),
        HostPattern::Any | HostPattern::Exact(_) => false,
    }
}
