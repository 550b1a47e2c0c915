//! Which server and which location serve a request (`ngx_http_core_find_location`).
//!
//! Pure. Runs at start, at reload, or on a timer.

use super::location::{Location, LocationKind};
use super::{LevelId, Model, Server};

/// What serves a request.
#[derive(Clone, Copy, Debug)]
pub struct Selection<'m> {
    /// The server.
    pub server: &'m Server,
    /// The location; `None`: the settings of the server hold.
    pub location: Option<&'m Location>,
    /// Whether nginx redirects to the same path with a slash, because a location that passes requests on has
    /// it.
    pub is_slash_missing: bool,
}

impl Selection<'_> {
    /// The settings that hold.
    pub fn level(&self) -> LevelId {
        self.location.map_or(self.server.level, |location| location.level)
    }
}

impl Model {
    /// What serves a request for `path`, which is decoded, at `host` and `port`. Without a port, the first
    /// server that has the name is asked.
    pub fn select(&self, port: Option<u16>, host: &str, path: &str) -> Option<Selection<'_>> {
        let server = self.server(port, host)?;
        let (location, is_slash_missing) = self.find(server, path);
        Some(Selection { server, location, is_slash_missing })
    }

    /// The server for `host`, which is in lower case, on `port`.
    pub fn server(&self, port: Option<u16>, host: &str) -> Option<&Server> {
        let listens = |server: &&Server| {
            port.is_none_or(|port| server.listens.iter().any(|listen| listen.port == port))
        };
        let mut best: Option<(&Server, (u8, usize))> = None;
        for server in self.servers.iter().filter(listens) {
            let rank = server.names.iter().filter_map(|name| name.rank(host)).max();
            if let Some(rank) = rank
                && best.is_none_or(|(_, known)| rank > known)
            {
                best = Some((server, rank));
            }
        }
        best.map(|(server, _)| server).or_else(|| self.default_server(port))
    }

    /// The server for all names that no server has.
    pub fn default_server(&self, port: Option<u16>) -> Option<&Server> {
        let is_there = |server: &&Server, is_default: bool| {
            server.listens.iter().any(|listen| {
                port.is_none_or(|port| listen.port == port) && (!is_default || listen.is_default)
            })
        };
        let mut servers = self.servers.iter();
        servers
            .find(|it| is_there(it, true))
            .or_else(|| self.servers.iter().find(|it| is_there(it, false)))
    }

    /// The location of `server` for `path`, and whether only a slash at its end is missing.
    pub fn find<'m>(&'m self, server: &'m Server, path: &str) -> (Option<&'m Location>, bool) {
        let (found, _, is_slash_missing) = self.find_in(&server.locations, path);
        (found, is_slash_missing)
    }

    /// The location, whether it was found for sure, and whether only a slash is missing.
    fn find_in<'m>(
        &'m self,
        locations: &'m [Location],
        path: &str,
    ) -> (Option<&'m Location>, bool, bool) {
        let exact =
            locations.iter().find(|it| it.kind == LocationKind::Exact && it.pattern == path);
        if exact.is_some() {
            return (exact, true, false);
        }
        let mut found = longest(locations, path);
        let slash = format!("{path}/");
        let is_slash_missing = locations.iter().any(|location| {
            is_prefix(location)
                && location.pattern == slash
                && self.redirects_without_slash(location)
        });
        if is_slash_missing {
            return (found, true, true);
        }
        let is_first = found.is_some_and(|location| location.kind == LocationKind::PrefixFirst);
        if let Some(location) = found {
            let (nested, is_final, is_slash_missing) = self.find_in(&location.nested, path);
            found = nested.or(found);
            if is_final {
                return (found, true, is_slash_missing);
            }
        }
        if !is_first {
            let matches = |location: &&Location| {
                location.regex.as_ref().is_some_and(|regex| regex.is_match(path))
            };
            if let Some(location) = locations.iter().find(matches) {
                let (nested, _, is_slash_missing) = self.find_in(&location.nested, path);
                return (nested.or(Some(location)), true, is_slash_missing);
            }
        }
        (found, false, false)
    }

    /// Whether requests for the path of `location` without its slash are redirected.
    fn redirects_without_slash(&self, location: &Location) -> bool {
        let passes = [
            "proxy_pass",
            "fastcgi_pass",
            "uwsgi_pass",
            "scgi_pass",
            "grpc_pass",
            "memcached_pass",
        ];
        self.own(location.level).iter().any(|directive| passes.contains(&&*directive.name))
    }
}

fn is_prefix(location: &Location) -> bool {
    matches!(location.kind, LocationKind::Prefix | LocationKind::PrefixFirst)
}

fn longest<'m>(locations: &'m [Location], path: &str) -> Option<&'m Location> {
    let matching = locations.iter().filter(|it| is_prefix(it) && path.starts_with(&it.pattern));
    matching.max_by_key(|location| location.pattern.len())
}
