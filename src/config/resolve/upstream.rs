//! `upstreams:`
//!
//! Pure, but for the files of certificates. Runs at start, at reload, or on a timer.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::{address, affinity, balance, discover, health, node_tls, pacing};
use crate::config::UpstreamSettings;
use crate::config::file::File;
use crate::config::file::upstream::{self as keys, Node, Upstream};
use crate::config::named_files::NamedFiles;
use crate::form::section;
use crate::upstream::settings::Discover;
use crate::upstream::{Endpoint, NodeSettings, Settings};
use crate::yaml::{Diagnostic, KeyPath, RawScalar, Report, TextOr, units};

/// The upstreams, by name. One without a route is accepted: its route may come later.
pub(super) fn resolve(
    path: &KeyPath,
    file: &File,
    files: &mut NamedFiles,
    report: &mut Report<'_>,
) -> Vec<UpstreamSettings> {
    let written = file.upstreams.as_ref();
    if written.map_or_else(|| !all_routes_answer(file), BTreeMap::is_empty) {
        let diagnostic = Diagnostic::new("has no upstream");
        report
            .refuse(path, diagnostic.help("write upstreams: { chat: { nodes: [10.0.0.1:3000] } }"));
        return Vec::new();
    }
    let items = written
        .into_iter()
        .flatten()
        .map(|(name, item)| (path.key(name), item.as_ref().map(|upstream| (name, upstream))));
    let mut upstreams = Vec::new();
    for (path, (name, upstream)) in report.filled(items) {
        if report.is_full() {
            break;
        }
        if !is_name(name) {
            let diagnostic = Diagnostic::new("is not a valid upstream name");
            report.refuse_key(&path, None, diagnostic.help(NAME_HELP));
        }
        files.enter_file_of(&path, report);
        upstreams.push(one(name, &path, upstream, files, report));
    }
    upstreams
}

/// Whether every route answers without a node.
fn all_routes_answer(file: &File) -> bool {
    let routes = file.routes.as_deref().unwrap_or_default();
    !routes.is_empty()
        && routes.iter().flatten().all(|route| {
            let answers =
                route.files.is_some() || route.redirect.is_some() || route.respond.is_some();
            answers && route.upstream.is_none()
        })
}

fn one(
    name: &str,
    path: &KeyPath,
    upstream: &Upstream,
    files: &mut NamedFiles,
    report: &mut Report<'_>,
) -> UpstreamSettings {
    let affinity = affinity::resolve(&path.key("affinity"), upstream.affinity.as_ref(), report);
    let settings = Settings::new(name, nodes(path, upstream, report));
    let settings = section::read(path, Some(upstream), settings, report);
    let discover = discover(path, upstream, report);
    let at_tls = path.key("tls");
    let tls = node_tls::resolve(&at_tls, upstream.tls.as_ref(), discover.as_ref(), files, report);
    let is_unix = |node: &NodeSettings| matches!(node.address, Endpoint::Unix(_));
    if tls.is_some() && settings.nodes.iter().any(is_unix) {
        let diagnostic = Diagnostic::new("cannot be used with nodes on Unix sockets");
        report.refuse_key(
            &at_tls,
            None,
            diagnostic.help("remove it: nobody else reads a Unix socket"),
        );
    }
    let upstream = Settings {
        tls,
        discover,
        balance: balance::resolve(&path.key("balance"), upstream.balance.as_ref(), report),
        health: health::resolve(&path.key("health"), upstream.health.as_ref(), report),
        admission: pacing::admission(&path.key("admission"), upstream.admission.as_ref(), report),
        drain: pacing::drain(&path.key("drain"), upstream.drain.as_ref(), report),
        rebalance: pacing::rebalance(&path.key("rebalance"), upstream.rebalance.as_ref(), report),
        ..settings
    };
    UpstreamSettings { upstream, affinity }
}

fn discover(path: &KeyPath, upstream: &Upstream, report: &mut Report<'_>) -> Option<Discover> {
    let discover = upstream.discover.as_ref()?;
    let path = path.key("discover");
    if upstream.nodes.is_some() {
        let diagnostic = Diagnostic::new("cannot be combined with nodes");
        report.refuse_key(&path, None, diagnostic.help("remove one of the two"));
    }
    discover::resolve(&path, discover, report)
}

fn nodes(path: &KeyPath, upstream: &Upstream, report: &mut Report<'_>) -> Vec<NodeSettings> {
    let path = path.key("nodes");
    let written = upstream.nodes.as_deref().unwrap_or_default();
    if written.is_empty() && upstream.discover.is_none() {
        let diagnostic = Diagnostic::new("must have at least one node");
        report.refuse(&path, diagnostic.help("write nodes: [10.0.0.1:3000]"));
    }
    let items = written.iter().enumerate().map(|(i, item)| (path.index(i), item.as_ref()));
    let mut taken = Taken::default();
    let mut nodes = Vec::new();
    for (path, written) in report.filled(items) {
        if report.is_full() {
            break;
        }
        if let Some(node) = node(&path, written, report) {
            taken.take(&path, &node, report);
            nodes.push(node);
        }
    }
    if !nodes.is_empty() && nodes.iter().all(|node| node.backup) {
        let diagnostic = Diagnostic::new("has only backups");
        report.refuse_key(&path, None, diagnostic.help("remove backup: true from one of them"));
    }
    nodes
}

fn node(path: &KeyPath, node: &TextOr<Node>, report: &mut Report<'_>) -> Option<NodeSettings> {
    let node = match node {
        TextOr::Text(text) => {
            let address = report.optional(path, Some(text), address::endpoint)?;
            return Some(NodeSettings::new(text, address));
        }
        TextOr::Map(node) => node,
    };
    let weight = weight(&path.key("weight"), node.weight.as_ref(), report);
    let written = node.address.as_ref().map(RawScalar::as_str);
    let as_address = written.map(Arc::from);
    let name = report.read(&path.key("name"), node.name.as_deref(), as_address, |name| {
        let refused = || Diagnostic::new("is not a valid node name").help(NAME_HELP);
        is_name(name).then(|| Some(name.into())).ok_or_else(refused)
    });
    let example = "address: 10.0.0.1:3000";
    let address = report.require(&path.key("address"), written, example, address::endpoint)?;
    let (drain, backup) = (node.drain.unwrap_or(false), node.backup.unwrap_or(false));
    Some(NodeSettings { name: name?, address, weight, drain, backup })
}

fn weight(path: &KeyPath, written: Option<&RawScalar>, report: &mut Report<'_>) -> u32 {
    report.read(path, written.map(RawScalar::as_str), 1, |text| {
        let weight = units::whole(text).filter(|weight| keys::WEIGHT.contains(weight));
        weight.ok_or_else(|| Diagnostic::new("is not a weight").help("write 1 to 1000"))
    })
}

/// The names and addresses of the nodes of one upstream, and the node that has each.
#[derive(Default)]
struct Taken {
    names: HashMap<Box<str>, KeyPath>,
    addresses: HashMap<Endpoint, KeyPath>,
}

impl Taken {
    /// Refuses a name or address that another node already has.
    fn take(&mut self, path: &KeyPath, node: &NodeSettings, report: &mut Report<'_>) {
        let with_address = self.addresses.insert(node.address.clone(), path.clone());
        let with_name = self.names.insert((&*node.name).into(), path.clone());
        let (twin, what, help) = match (with_address, with_name) {
            (Some(twin), _) => (twin, "address", "remove one of the two"),
            (None, Some(twin)) => (twin, "name", "give each node a name of its own"),
            (None, None) => return,
        };
        let twin = report.locate(&twin);
        let diagnostic = Diagnostic::new(format!("has the same {what} as {twin}"));
        report.refuse(path, diagnostic.help(help));
    }
}

/// Names appear in logs, metrics and cookies: one short word.
fn is_name(name: &str) -> bool {
    let is_word =
        |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b':' | b'[' | b']');
    (1..=NAME_MAX).contains(&name.len()) && name.bytes().all(is_word)
}

const NAME_HELP: &str = "use at most 64 characters of a-z A-Z 0-9 - _ . :";
const NAME_MAX: usize = 64;
