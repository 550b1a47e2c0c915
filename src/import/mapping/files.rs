//! `root`, `alias`, `index` and `expires` as `files` of a route.
//!
//! Pure. Runs at start, at reload, or on a timer.

use super::Mapper;
use super::fields::{added, from};
use super::paths::RoutePath;
use super::proxied::replaced;
use super::target::FileRules;
use super::yaml::{Entry, Yaml};
use crate::nginx::Directive;
use crate::nginx::{LevelId, Location, time};

impl Mapper<'_> {
    /// The keys of a route at `path` whose files are at `rules.root`; `None` if they cannot be said.
    pub(super) fn files(
        &mut self,
        location: Option<&Location>,
        path: &RoutePath,
        level: LevelId,
        rules: &FileRules<'_>,
    ) -> Option<Vec<Entry>> {
        let directive = rules.root;
        let mut root = self.directory(level, directive)?;
        let mut entries = Vec::new();
        let is_alias = directive.name == "alias";
        if is_alias {
            entries.extend(self.alias(location, path, &mut root, directive)?);
        }
        root.truncate(root.trim_end_matches('/').len());
        let shown = if root.is_empty() { "/" } else { &*root };
        let mut keys = vec![Entry::new("root", Yaml::text(shown), from(directive))];
        keys.extend(self.index(level));
        if let Some(fallback) = &rules.fallback {
            let prefix = location.filter(|_| is_alias).map_or("", |location| &location.pattern);
            keys.extend(self.fallback_page(directive, fallback, prefix.trim_end_matches('/')));
        }
        keys.extend(self.cache_control(level));
        let autoindex = self.model.effective(level, "autoindex");
        if let Some(autoindex) = autoindex.filter(|it| it.argument(0) == Some("on")) {
            let why = "directories are not listed";
            self.ledger.by_hand("autoindex", autoindex, why, "write an index.html");
        }
        entries.push(Entry::new("files", Yaml::Map(keys), ""));
        Some(entries)
    }

    /// The directory that `root` or `alias` names.
    fn directory(&mut self, level: LevelId, directive: &Directive) -> Option<String> {
        let written = directive.argument(0).unwrap_or_default();
        let root = self.model.fold(level, written).replace("${document_root}", "");
        if root.contains("${") || root.is_empty() {
            let why = "the directory depends on the request";
            let remedy = "write files: { root: ... } for each directory; until then, Sockeye answers 501 here";
            self.ledger.by_hand("root", directive, why, remedy);
            return None;
        }
        self.ledger.carried(directive);
        if root.starts_with('/') {
            return Some(root);
        }
        let what = "a relative directory is below /usr/share/nginx";
        self.ledger.note("root", directive, what, "check where nginx has it");
        Some(format!("/usr/share/nginx/{root}"))
    }

    /// `fallback` for the path `page`, of which `prefix` is not a part of the file's.
    fn fallback_page(&mut self, directive: &Directive, page: &str, prefix: &str) -> Option<Entry> {
        let below = page.strip_prefix(prefix).unwrap_or(page).trim_start_matches('/');
        let is_file = |segment: &str| !segment.is_empty() && !segment.starts_with('.');
        if below.split('/').all(is_file) {
            return Some(Entry::new("fallback", Yaml::text(below), "try_files"));
        }
        let why = "the page for other paths has no name";
        self.ledger.by_hand("try-files", directive, why, "write fallback");
        None
    }

    /// `strip_prefix` for an `alias`; the outer `None` if it cannot be said.
    fn alias(
        &mut self,
        location: Option<&Location>,
        path: &RoutePath,
        root: &mut String,
        directive: &Directive,
    ) -> Option<Option<Entry>> {
        let prefix = match path {
            RoutePath::Prefix(prefix) => prefix.clone(),
            RoutePath::Exact(exact) => {
                let (above, name) = exact.rsplit_once('/')?;
                let (directory, file) = root.rsplit_once('/').unwrap_or(("", root));
                if name != file {
                    let remedy = "rename the file as the path has it";
                    self.ledger.by_hand(
                        "alias",
                        directive,
                        "one path is a file of another name",
                        remedy,
                    );
                    return None;
                }
                let above = above.to_owned();
                *root = directory.to_owned();
                above
            }
            RoutePath::Regex(_) => {
                self.ledger.by_hand(
                    "alias",
                    directive,
                    "it depends on an expression",
                    "write a route for each prefix",
                );
                return None;
            }
        };
        let is_whole =
            location.is_none_or(|location| location.pattern.ends_with('/') == root.ends_with('/'));
        if matches!(path, RoutePath::Prefix(_)) && !is_whole {
            let what = "the location and the directory do not both end with a slash";
            self.ledger.note("alias", directive, what, "Sockeye joins them as if they did");
        }
        let strip = replaced(&prefix, "/").strip;
        Some(strip.map(|strip| Entry::new("strip_prefix", Yaml::text(strip), from(directive))))
    }

    fn index(&mut self, level: LevelId) -> Option<Entry> {
        let directive = self.model.effective(level, "index")?;
        self.ledger.carried(directive);
        let is_static = |name: &&str| {
            !name.contains(['/', '$']) && !name.starts_with('.') && !name.ends_with(".php")
        };
        let index = directive.texts().find(is_static)?;
        (index != "index.html").then(|| Entry::new("index", Yaml::text(index), from(directive)))
    }

    /// `cache_control` for `expires` and `add_header Cache-Control`.
    fn cache_control(&mut self, level: LevelId) -> Option<Entry> {
        let value = self.expires(level)?;
        let header = added(self.model, level, "Cache-Control");
        // Both are one field among response_headers.
        let is_there = header.and_then(|it| it.argument(1)).is_some_and(|it| !it.contains('$'));
        (!is_there).then(|| Entry::new("cache_control", Yaml::text(value), "expires"))
    }

    /// The `Cache-Control` that `expires` makes.
    pub(super) fn expires(&mut self, level: LevelId) -> Option<String> {
        let directive = self.model.effective(level, "expires")?;
        self.ledger.carried(directive);
        let text = directive.texts().last().unwrap_or_default();
        match text {
            "off" => None,
            "epoch" => Some("no-cache".to_owned()),
            "max" => Some("max-age=315360000".to_owned()),
            _ if text.starts_with('-') => Some("no-cache".to_owned()),
            _ => match time(text.trim_start_matches('+')) {
                Some(age) => Some(format!("max-age={}", age.as_secs())),
                None => {
                    self.ledger.by_hand(
                        "expires",
                        directive,
                        "the time is not a fixed one",
                        "write cache_control",
                    );
                    None
                }
            },
        }
    }
}
