//! What nginx does with a configuration: servers, locations, and the settings that hold in each.
//!
//! Pure. Runs at start, at reload, or on a timer.

mod build;
mod fold;
mod listen;
mod location;
mod regex;
mod select;
#[cfg(test)]
mod tests;
mod units;
mod upstream;

use super::finding::Finding;
use super::tree::{Directive, Position};
pub(crate) use fold::{Part, parts};
pub use listen::{Listen, ServerName};
pub use location::{Location, LocationKind};
pub use regex::PathRegex;
pub(crate) use regex::rust_of;
pub use select::Selection;
pub use units::{size, time};
pub use upstream::{Method, Upstream, UpstreamServer};

/// A configuration as nginx understands it.
#[derive(Clone, Debug, Default)]
pub struct Model {
    /// Blocks whose settings are inherited. The first is that of `http`.
    pub levels: Vec<Level>,
    /// The servers, in the order of the file.
    pub servers: Vec<Server>,
    /// The upstreams, in the order of the file.
    pub upstreams: Vec<Upstream>,
    /// The maps, in the order of the file.
    pub maps: Vec<Map>,
    /// Blocks outside of `http`: `stream`, `mail`, `events`.
    pub outside: Vec<Directive>,
    /// Whether the file is a part of one: it has no `server`.
    pub is_snippet: bool,
    /// What was wrong.
    pub findings: Vec<Finding>,
}

/// The number of a [`Level`] in its [`Model`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LevelId(pub usize);

/// A block with settings.
#[derive(Clone, Debug, Default)]
pub struct Level {
    /// The block around it.
    pub parent: Option<LevelId>,
    /// Its own directives, without servers, locations, upstreams and maps.
    pub own: Vec<Directive>,
}

/// A `server`.
#[derive(Clone, Debug)]
pub struct Server {
    /// Its settings.
    pub level: LevelId,
    /// Where it listens; at least one.
    pub listens: Vec<Listen>,
    /// Its names, in the order of the file.
    pub names: Vec<ServerName>,
    /// Its locations, in the order of the file.
    pub locations: Vec<Location>,
    /// Where it is written.
    pub at: Position,
}

/// A `map`.
#[derive(Clone, Debug)]
pub struct Map {
    /// What is looked up: `$http_upgrade`.
    pub source: String,
    /// The variable that it sets, without `$`.
    pub variable: String,
    /// The keys and their values, without `default`.
    pub entries: Vec<(String, String)>,
    /// The value for all other keys.
    pub default: Option<String>,
    /// The directive.
    pub directive: Directive,
}

impl Model {
    /// The model of `directives`, which were read from a file.
    pub fn new(directives: &[Directive]) -> Self {
        build::build(directives)
    }

    /// The settings of `http`.
    pub const HTTP: LevelId = LevelId(0);

    /// The directives that are written in `level` itself.
    pub fn own(&self, level: LevelId) -> &[Directive] {
        self.levels.get(level.0).map(|level| &*level.own).unwrap_or_default()
    }

    /// The directive `name` that holds in `level`: its own, or that of the nearest block around it.
    pub fn effective(&self, level: LevelId, name: &str) -> Option<&Directive> {
        self.effective_all(level, name).first().copied()
    }

    /// All directives `name` that hold in `level`. As with `proxy_set_header`, a block that has one inherits
    /// none.
    pub fn effective_all(&self, level: LevelId, name: &str) -> Vec<&Directive> {
        let found = self.chain(level).find_map(|level| {
            let own: Vec<&Directive> =
                self.own(level).iter().filter(|it| it.name == name).collect();
            (!own.is_empty()).then_some(own)
        });
        found.unwrap_or_default()
    }

    /// The first argument of the directive `name` that holds in `level`.
    pub fn value(&self, level: LevelId, name: &str) -> Option<&str> {
        self.effective(level, name)?.argument(0)
    }

    /// `level` and the blocks around it, from the inside.
    pub fn chain(&self, level: LevelId) -> impl Iterator<Item = LevelId> {
        std::iter::successors(Some(level), |level| self.levels.get(level.0)?.parent)
    }

    /// The upstream of this name.
    pub fn upstream(&self, name: &str) -> Option<&Upstream> {
        self.upstreams.iter().find(|upstream| upstream.name == name)
    }

    /// The map that sets `variable`, which is written without `$`.
    pub fn map(&self, variable: &str) -> Option<&Map> {
        self.maps.iter().find(|map| map.variable == variable)
    }
}

impl Level {
    /// Its own directive `name`.
    pub fn one(&self, name: &str) -> Option<&Directive> {
        self.own.iter().find(|directive| directive.name == name)
    }
}

impl Server {
    /// Its named location.
    pub fn named(&self, name: &str) -> Option<&Location> {
        self.locations.iter().find(|location| {
            location.kind == LocationKind::Named
                && location.pattern.strip_prefix('@') == name.strip_prefix('@')
        })
    }

    /// All locations, also the nested ones, each after the one around it.
    pub fn all_locations(&self) -> Vec<&Location> {
        fn collect<'l>(locations: &'l [Location], found: &mut Vec<&'l Location>) {
            for location in locations {
                found.push(location);
                collect(&location.nested, found);
            }
        }
        let mut found = Vec::new();
        collect(&self.locations, &mut found);
        found
    }
}
