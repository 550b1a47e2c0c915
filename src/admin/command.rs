//! Commands to drain a node or to end its drain.
//!
//! Runs at start, at reload, or on a timer.

use std::sync::Arc;

use http::StatusCode;
use percent_encoding::percent_decode_str;

use super::model::{NodeCommandResult, Refusal};
use super::views;
use crate::Instant;
use crate::snapshot::Snapshot;
use crate::upstream::{DrainCause, Node, Upstream};

/// A command for one node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NodeCommand {
    /// The node gets no new sessions, and its tunnels are closed.
    Drain,
    /// The node gets new sessions again, unless it drains for another reason too.
    Undrain,
}

/// Carries out `command` on the node that `written` means: its name, or `UPSTREAM/NAME`,
/// percent-encoded. The command holds for this process, as long as it knows the node.
///
/// # Errors
///
/// The status and the refusal if `written` does not mean exactly one node.
pub(super) fn run(
    command: NodeCommand,
    snapshot: &Snapshot,
    written: &str,
    now: Instant,
) -> Result<NodeCommandResult, (StatusCode, Refusal)> {
    let Ok(name) = percent_decode_str(written).decode_utf8() else {
        return Err((StatusCode::BAD_REQUEST, Refusal::new("the node's name is not UTF-8")));
    };
    let found = find(snapshot, &name);
    let (upstream, node) = match found.as_slice() {
        [one] => one,
        [] => {
            let known = all(snapshot).map(|(upstream, node)| full_name(upstream, node)).collect();
            let error = format!("there is no node `{name}`");
            return Err((StatusCode::NOT_FOUND, refusal(error, known)));
        }
        several => {
            let names: Vec<String> =
                several.iter().map(|(upstream, node)| full_name(upstream, node)).collect();
            let error = format!("several nodes are called `{name}`: write {}", names.join(" or "));
            return Err((StatusCode::CONFLICT, refusal(error, names)));
        }
    };
    let changed = node.set_drain(DrainCause::Ordered, command == NodeCommand::Drain, now);
    let node = views::node(upstream, node, now);
    Ok(NodeCommandResult { upstream: upstream.name().to_string(), node, changed })
}

fn refusal(error: String, nodes: Vec<String>) -> Refusal {
    Refusal { nodes: Some(nodes), ..Refusal::new(error) }
}

/// The nodes that `name` means: the one with this full name, otherwise those with this own name. A node
/// that left the configuration drains already, and its name may be used again: it is meant only if no
/// other node is.
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
