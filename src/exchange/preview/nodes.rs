//! Where the session of a request is, and which nodes may get it.
//!
//! Runs at start, at reload, or on a timer.

use std::sync::Arc;

use super::model::{LikelyNode, Preview, Session};
use crate::Instant;
use crate::affinity::{Placement, Settings};
use crate::exchange::candidates::check_bound;
use crate::exchange::error::ExchangeError;
use crate::exchange::purpose::Purpose;
use crate::route::UpstreamRoute;
use crate::upstream::{Node, NodePreference};

/// How the session is found, and where it is.
pub(super) fn session(route: &UpstreamRoute, placement: &Placement) -> Session {
    let settings = route.affinity.settings();
    let (placement, sentence) = match placement {
        Placement::Anywhere => ("anywhere", "any node may get it".to_owned()),
        Placement::Preferred(_) => (
            "preferred",
            match settings {
                Settings::Cookie(cookie) => format!("the cookie {} names the node", cookie.name),
                Settings::Sid(_) | Settings::Rendezvous(_) | Settings::None => {
                    "the hash of the request gives the order of the nodes".to_owned()
                }
            },
        ),
        Placement::Bound { node, sid: Some(_), .. } => {
            ("bound", format!("the tag of the sid names {}", node.name()))
        }
        Placement::Bound { node, sid: None, .. } => (
            "bound",
            match settings {
                Settings::Cookie(cookie) => {
                    format!("the cookie {} names {}", cookie.name, node.name())
                }
                Settings::Sid(_) | Settings::Rendezvous(_) | Settings::None => {
                    format!("the table of sessions has it on {}", node.name())
                }
            },
        ),
        Placement::Gone { .. } => ("gone", "its node has left the upstream".to_owned()),
        Placement::Unknown { .. } => {
            let what = "the sid has no tag of this upstream: nodes are asked one after the other";
            ("unknown", what.to_owned())
        }
    };
    Session { rule: settings.label().to_owned(), placement: placement.to_owned(), sentence }
}

/// Shows the nodes that may get the request, the most likely first.
///
/// # Errors
///
/// The session's node gets no request any more.
pub(super) fn show(
    route: &UpstreamRoute,
    placement: &Placement,
    key: Option<Box<[u8]>>,
    purpose: Purpose,
    shown: &mut Preview,
) -> Result<(), ExchangeError> {
    let now = Instant::now();
    let upstream = &route.upstream;
    let order = match placement {
        Placement::Bound { node, .. } => {
            shown.nodes = vec![likely(route, node, true, now)];
            return check_bound(route, node, purpose);
        }
        Placement::Gone { .. } => return Err(ExchangeError::SessionGone),
        Placement::Preferred(order) | Placement::Unknown { order, .. } => order.clone(),
        Placement::Anywhere => Vec::new(),
    };
    let outlook = upstream.outlook(&NodePreference { order, key }, now);
    if outlook.is_empty() && upstream.discovery().is_some() {
        shown.notes.push("its nodes are found by DNS while a process runs".to_owned());
    }
    shown.nodes = outlook
        .iter()
        .take(NODES_MAX)
        .map(|(node, is_likely)| likely(route, node, *is_likely, now))
        .collect();
    shown.notes.extend(
        outlook
            .get(NODES_MAX)
            .map(|_| format!("{} more nodes are not shown", outlook.len() - NODES_MAX)),
    );
    Ok(())
}

fn likely(route: &UpstreamRoute, node: &Arc<Node>, is_likely: bool, now: Instant) -> LikelyNode {
    LikelyNode {
        name: node.name().to_string(),
        state: route.upstream.state(node, now).label().to_owned(),
        tunnels: node.tunnels(),
        exchanges: node.exchanges(),
        is_likely,
    }
}

/// More are counted only.
const NODES_MAX: usize = 100;
