//! Orders to drain a node, or to drain it no longer: which node is meant, and what comes of it.
//!
//! Runs at start, at reload, or on a timer.

use std::sync::Arc;

use http::StatusCode;
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

use super::views;
use crate::Instant;
use crate::snapshot::Snapshot;
use crate::upstream::{DrainCause, Node, Upstream};

/// What is ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// It gets no new session, and is emptied.
    Drain,
    /// It gets new sessions again, if nothing else is against it.
    Undrain,
}

/// Gives `order` to the node that `written` means: its name, or `UPSTREAM/NAME`, percent-encoded.
/// Counts for this process, as long as the node is known.
pub(super) fn give(
    order: Order,
    snapshot: &Snapshot,
    written: &str,
    now: Instant,
) -> (StatusCode, Value) {
    let Ok(name) = percent_decode_str(written).decode_utf8() else {
        return (StatusCode::BAD_REQUEST, json!({ "error": "the node's name is not UTF-8" }));
    };
    let found = find(snapshot, &name);
    let (upstream, node) = match found.as_slice() {
        [one] => one,
        [] => {
            let known = all(snapshot).map(|(upstream, node)| full_name(upstream, node));
            let error = format!("there is no node `{name}`");
            let body = json!({ "error": error, "nodes": known.collect::<Vec<_>>() });
            return (StatusCode::NOT_FOUND, body);
        }
        several => {
            let names: Vec<String> =
                several.iter().map(|(upstream, node)| full_name(upstream, node)).collect();
            let error = format!("several nodes are called `{name}`: write {}", names.join(" or "));
            return (StatusCode::CONFLICT, json!({ "error": error, "nodes": names }));
        }
    };
    let changed = node.set_drain(DrainCause::Ordered, order == Order::Drain, now);
    let state = views::node(upstream, node, now);
    let body = json!({ "upstream": **upstream.name(), "node": state, "changed": changed });
    (StatusCode::OK, body)
}

/// The nodes that `name` means: by their full names, and if none has that one, by their own. One that
/// has left drains anyway, and its name may be another's now: it is meant only if no other is.
fn find<'a>(snapshot: &'a Snapshot, name: &str) -> Vec<(&'a Arc<Upstream>, &'a Arc<Node>)> {
    for is_current in [true, false] {
        let among = || {
            let is_among = move |(upstream, node): &(&Arc<Upstream>, &Arc<Node>)| {
                upstream.nodes().iter().any(|current| Arc::ptr_eq(current, node)) == is_current
            };
            all(snapshot).filter(is_among)
        };
        let full = among().find(|(upstream, node)| full_name(upstream, node) == name);
        let found: Vec<_> = match full {
            Some(one) => vec![one],
            None => among().filter(|(_, node)| **node.name() == *name).collect(),
        };
        if !found.is_empty() {
            return found;
        }
    }
    Vec::new()
}

fn all(snapshot: &Snapshot) -> impl Iterator<Item = (&Arc<Upstream>, &Arc<Node>)> {
    let upstreams = snapshot.all_upstreams();
    upstreams.flat_map(|upstream| upstream.all_nodes().map(move |node| (upstream, node)))
}

fn full_name(upstream: &Upstream, node: &Node) -> String {
    format!("{}/{}", upstream.name(), node.name())
}
