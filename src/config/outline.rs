//! The contents of a configuration file as a list of objects, so that two files can be compared.
//!
//! It is built from the YAML tree and not from [`Config`](super::Config): changes are shown in the
//! operator's own words, and a new key needs no code here. A secret is compared and never shown.
//!
//! Pure. Runs at start, at reload, or on a timer.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;

use super::Config;
use crate::yaml::{KeyPath, is_secret};
use serde_yaml::{Mapping, Value};

/// The objects of a file: listeners, upstreams, nodes, routes and sections, each with its keys.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Outline(BTreeMap<Box<str>, Keys>, RuleFiles);

/// Where the files of access rules are: the same relative path may lead elsewhere in another file.
type RuleFiles = Vec<PathBuf>;

/// The differences between two configurations; empty if there are none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes(Vec<Change>);

/// One difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A new object: `node chat/n4`.
    Added(Box<str>),
    /// An object that was removed.
    Removed(Box<str>),
    /// A key of an object has another value.
    Changed {
        /// The object: `route /x`.
        thing: Box<str>,
        /// The key: `tunnel.idle_timeout`.
        key: Box<str>,
        /// The old value; `default` if there was none, and a placeholder for secrets.
        from: Box<str>,
        /// The new value.
        to: Box<str>,
    },
}

/// The values of one object, by key.
type Keys = BTreeMap<Box<str>, KeyValue>;

#[derive(Clone, PartialEq, Eq)]
struct KeyValue {
    text: Box<str>,
    is_secret: bool,
}

impl Outline {
    /// The outline of a tree that has the types of the file.
    pub(super) fn from_tree(tree: &Value) -> Self {
        let mut outline = Self::default();
        for (section, value) in entries(tree) {
            match (section.as_str(), value) {
                ("listeners", Value::Sequence(items)) => {
                    for item in items {
                        let bind = item.get("bind").map(shown).unwrap_or_default();
                        outline.add(format!("listener {bind}"), item, &["bind"]);
                    }
                }
                ("upstreams", _) => {
                    for (name, upstream) in entries(value) {
                        outline.add_upstream(&name, upstream);
                    }
                }
                ("routes", Value::Sequence(items)) => {
                    for item in items {
                        outline.add(format!("route {}", route_name(item)), item, &["host", "path"]);
                    }
                }
                _ => outline.add(section.clone(), value, &[]),
            }
        }
        outline
    }

    /// Adds the contents of the files of TLS, which may change although no key does.
    pub(super) fn with_files(mut self, config: &Config) -> Self {
        let listeners = config.listeners.iter();
        let listeners = listeners.map(|listener| (listener.bind.to_string(), &listener.tls));
        let admin = config.admin.iter().map(|admin| ("admin".to_owned(), &admin.tls));
        for (name, tls) in listeners.chain(admin) {
            let Some(tls) = tls else { continue };
            let mut keys = Keys::new();
            for (index, (_, certificate)) in tls.certificates().iter().enumerate() {
                add_file(&mut keys, &format!("certificates[{index}]"), certificate.to_string());
            }
            add_file(&mut keys, "other files", tls.other_files());
            self.insert(format!("TLS of {name}"), keys);
        }
        let upstreams = config.upstreams.iter().map(|group| &group.upstream);
        let nodes = upstreams.map(|upstream| (upstream.name.to_string(), &upstream.tls));
        let services = config.routes.iter().filter_map(|route| route.access.service());
        let services = services.map(|service| (service.url.host.to_string(), &service.tls));
        for (name, tls) in nodes.chain(services) {
            let Some(tls) = tls else { continue };
            let mut keys = Keys::new();
            if let Some(certificate) = tls.client_certificate() {
                add_file(&mut keys, "client certificate", certificate.to_string());
            }
            add_file(&mut keys, "authorities", tls.authorities());
            self.insert(format!("TLS to {name}"), keys);
        }
        let of_routes = config.routes.iter().filter_map(|route| {
            let name = format!("error pages of {}{}", route.host, route.path);
            Some((name, &route.error_pages.as_deref()?.pages))
        });
        let general = [("error pages".to_owned(), &config.error_pages)];
        for (name, pages) in of_routes.chain(general) {
            let mut keys = Keys::new();
            for (statuses, page) in pages.iter() {
                add_file(&mut keys, &statuses.to_string(), page.version());
            }
            self.insert(name, keys);
        }
        let rules = config.routes.iter().filter_map(|route| route.access.auth.as_ref());
        self.1 = rules.flat_map(|auth| auth.files()).cloned().collect();
        self.1.sort();
        self
    }

    /// The differences from this outline to `next`.
    pub fn changes(&self, next: &Self) -> Changes {
        let added = next.0.keys().filter(|thing| !self.0.contains_key(*thing));
        let removed = self.0.keys().filter(|thing| !next.0.contains_key(*thing));
        let kept =
            self.0.iter().filter_map(|(thing, keys)| Some((thing, keys, next.0.get(thing)?)));
        let changed = kept.flat_map(|(thing, keys, next)| changed_keys(thing, keys, next));
        let added = added.cloned().map(Change::Added);
        let removed = removed.cloned().map(Change::Removed);
        let mut changes: Vec<Change> = added.chain(removed).chain(changed).collect();
        if changes.is_empty() && self.1 != next.1 {
            let told = |files: &RuleFiles| {
                let names: Vec<_> = files.iter().map(|file| file.display().to_string()).collect();
                names.join(" ").into()
            };
            let (from, to) = (told(&self.1), told(&next.1));
            let (thing, key) = ("access rules".into(), "files".into());
            changes.push(Change::Changed { thing, key, from, to });
        }
        Changes(changes)
    }

    fn add_upstream(&mut self, name: &str, upstream: &Value) {
        self.add(format!("upstream {name}"), upstream, &["nodes"]);
        let nodes = upstream.get("nodes").and_then(Value::as_sequence);
        for node in nodes.into_iter().flatten() {
            let node_name = node.get("name").or_else(|| node.get("address")).unwrap_or(node);
            self.add(format!("node {name}/{}", shown(node_name)), node, &["name"]);
        }
    }

    /// Adds an object with all keys of its map except `named`, which are part of its name.
    fn add(&mut self, thing: String, value: &Value, named: &[&str]) {
        let mut keys = Keys::new();
        for (key, value) in entries(value) {
            if !named.contains(&key.as_str()) {
                flatten(&KeyPath::root().key(&key), value, &mut keys);
            }
        }
        self.insert(thing, keys);
    }

    fn insert(&mut self, thing: String, keys: Keys) {
        // Several listeners may have port 0, for which the system chooses the port.
        let mut unique = thing.clone();
        for number in 2.. {
            if !self.0.contains_key(&*unique) {
                break;
            }
            unique = format!("{thing} ({number})");
        }
        self.0.insert(unique.into(), keys);
    }
}

impl Changes {
    /// Whether there is no difference.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// New objects first, then removed ones, then changed ones.
    pub fn iter(&self) -> impl Iterator<Item = &Change> {
        self.0.iter()
    }
}

impl fmt::Display for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, change) in self.0.iter().take(CHANGES_SHOWN_MAX).enumerate() {
            f.write_str(if index == 0 { "" } else { ", " })?;
            write!(f, "{change}")?;
        }
        match self.0.len().saturating_sub(CHANGES_SHOWN_MAX) {
            0 => Ok(()),
            more => write!(f, ", and {more} more"),
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Added(thing) => write!(f, "+{thing}"),
            Self::Removed(thing) => write!(f, "-{thing}"),
            Self::Changed { thing, key, from, to } => write!(f, "{thing} {key} {from} -> {to}"),
        }
    }
}

/// Only the keys: a value may be a secret.
impl fmt::Debug for Outline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys = |keys: &Keys| keys.keys().cloned().collect::<Vec<_>>();
        f.debug_map().entries(self.0.iter().map(|(thing, of)| (thing, keys(of)))).finish()
    }
}

fn add_file(keys: &mut Keys, key: &str, text: String) {
    keys.insert(key.into(), KeyValue { text: text.into(), is_secret: false });
}

fn changed_keys(thing: &str, from: &Keys, to: &Keys) -> Vec<Change> {
    let keys: BTreeSet<&str> = from.keys().chain(to.keys()).map(|key| &**key).collect();
    let differs = |key: &&str| from.get(*key) != to.get(*key);
    let changed = |key: &str| Change::Changed {
        thing: thing.into(),
        key: key.into(),
        from: told(from.get(key)),
        to: told(to.get(key)),
    };
    keys.into_iter().filter(differs).map(changed).collect()
}

fn told(written: Option<&KeyValue>) -> Box<str> {
    match written {
        None => "default".into(),
        Some(KeyValue { is_secret: true, .. }) => "(secret)".into(),
        Some(KeyValue { text, is_secret: false }) => text.clone(),
    }
}

fn flatten(path: &KeyPath, value: &Value, keys: &mut Keys) {
    match value {
        Value::Mapping(map) if !map.is_empty() => {
            for (key, value) in entries(value) {
                flatten(&path.key(&key), value, keys);
            }
        }
        _ => {
            let written = KeyValue { text: shown(value).into(), is_secret: is_secret(path) };
            keys.insert(path.to_string().into(), written);
        }
    }
}

fn route_name(route: &Value) -> String {
    let host = route.get("host").map(|host| format!("{} ", shown(host))).unwrap_or_default();
    let path = route.get("path");
    let exact = path.and_then(|path| path.get("exact"));
    let regex = path.and_then(|path| path.get("regex"));
    match (exact, regex, path) {
        (Some(exact), _, _) => format!("{host}= {}", shown(exact)),
        (None, Some(regex), _) => format!("{host}~ {}", shown(regex)),
        (None, None, Some(path)) => format!("{host}{}", shown(path)),
        (None, None, None) => format!("{host}/"),
    }
}

/// The entries of a map; none if it is not a map.
fn entries(value: &Value) -> impl Iterator<Item = (String, &Value)> {
    let map: Option<&Mapping> = value.as_mapping();
    map.into_iter().flatten().map(|(key, value)| (shown(key), value))
}

/// A value on one line.
fn shown(value: &Value) -> String {
    match value {
        Value::Null => "none".to_owned(),
        Value::Bool(truth) => truth.to_string(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.escape_debug().to_string(),
        Value::Sequence(items) => {
            format!("[{}]", items.iter().map(shown).collect::<Vec<_>>().join(" "))
        }
        Value::Mapping(_) => {
            let entry = |(key, value)| format!("{key}: {}", shown(value));
            format!("{{{}}}", entries(value).map(entry).collect::<Vec<_>>().join(", "))
        }
        Value::Tagged(tagged) => shown(&tagged.value),
    }
}

/// More would not be read on one line.
const CHANGES_SHOWN_MAX: usize = 40;

#[cfg(test)]
mod tests {
    use super::*;

    fn outline(text: &str) -> Outline {
        Outline::from_tree(&serde_yaml::from_str(text).unwrap())
    }

    const BEFORE: &str = "
listeners: [{ bind: '0.0.0.0:80' }, { bind: '0.0.0.0:81', header_timeout: 5s }]
upstreams:
  chat:
    nodes: [10.0.0.1:3000, { address: 10.0.0.2:3000, name: n2 }]
    affinity: { sid: { keys: [0123456789abcdef] } }
routes:
  - { path: /x, upstream: chat, tunnel: { idle_timeout: 30s } }
  - { host: a.example, path: { exact: /h }, upstream: chat }
log: { level: info }
";

    /// The changes when `part` of [`BEFORE`] is replaced by `other`.
    fn check(part: &str, other: &str, expected: &str) {
        assert!(BEFORE.contains(part), "{part}");
        let changes = outline(BEFORE).changes(&outline(&BEFORE.replace(part, other)));
        assert_eq!(changes.to_string(), expected);
        assert_eq!(changes.is_empty(), expected.is_empty());
    }

    #[test]
    fn changes_are_described_in_the_words_of_the_file() {
        check("log:", "# more\nlog:", "");
        check("10.0.0.1:3000, ", "", "-node chat/10.0.0.1:3000");
        check("10.0.0.1:3000, ", "10.0.0.1:3000, n4:1, ", "+node chat/n4:1");
        check(
            "2:3000, name",
            "9:3000, name",
            "node chat/n2 address 10.0.0.2:3000 -> 10.0.0.9:3000",
        );
        check("n2 }", "n2, weight: 3 }", "node chat/n2 weight default -> 3");
        check("{ bind: '0.0.0.0:80' }, ", "", "-listener 0.0.0.0:80");
        check("0.0.0.0:80'", "[::]:80'", "+listener [::]:80, -listener 0.0.0.0:80");
        check(", header_timeout: 5s", "", "listener 0.0.0.0:81 header_timeout 5s -> default");
        check("30s", "45s", "route /x tunnel.idle_timeout 30s -> 45s");
        check("path: /x", "path: /y", "+route /y, -route /x");
        check(
            "exact: /h }, upstream: chat",
            "exact: /h }, upstream: b",
            "route a.example = /h upstream chat -> b",
        );
        check("level: info", "level: debug", "log level info -> debug");
        check("log:", "shutdown: { delay: 1s }\nlog:", "+shutdown");
    }

    #[test]
    fn a_secret_is_compared_and_not_shown() {
        check(
            "0123456789abcdef",
            "fedcba9876543210",
            "upstream chat affinity.sid.keys (secret) -> (secret)",
        );
        assert!(!format!("{:?}", outline(BEFORE)).contains("0123456789abcdef"));
    }

    #[test]
    fn objects_with_the_same_name_are_distinguished() {
        let two = outline("listeners: [{ bind: ':0' }, { bind: ':0' }]");
        let one = outline("listeners: [{ bind: ':0' }]");
        assert_eq!(two.changes(&one).to_string(), "-listener :0 (2)");
        assert!(two.changes(&two).is_empty());
    }

    #[test]
    fn a_line_has_an_end() {
        let routes = |count| {
            let routes: Vec<_> = (0..count).map(|n| format!("{{ path: /{n} }}")).collect();
            outline(&format!("routes: [{}]", routes.join(", ")))
        };
        let changes = routes(0).changes(&routes(50)).to_string();
        assert!(changes.ends_with(", and 10 more"), "{changes}");
    }
}
