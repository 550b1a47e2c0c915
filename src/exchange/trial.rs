//! What the beginning of a session tells of the node where it was tried.
//!
//! Only handshakes are judged: a node that fails the requests of one session may be right to.
//!
//! Runs for every request.

use std::time::Duration;

use http::StatusCode;

use super::ExchangeError;
use super::asking::Asking;
use super::candidates::Candidates;
use crate::Instant;
use crate::upstream::{Lease, Node};

/// A handshake at a node, until it is known how it went. Dropped before that, its client has left:
/// the node is to blame if it had long enough.
#[derive(Debug)]
pub(super) struct Trial<'a>(Option<(&'a Asking<'a>, &'a Node, Instant)>);

impl<'a> Trial<'a> {
    /// A request that was just given `lease` by `candidates`; one that opens no session is not
    /// judged.
    pub(super) fn of(asking: &'a Asking<'a>, lease: &'a Lease, candidates: &Candidates) -> Self {
        let begun = candidates.opening_at();
        Self(begun.map(|begun| (asking, &**lease.node(), begun)))
    }

    /// The node answered.
    pub(super) fn answered(mut self, status: StatusCode) {
        let Some((asking, node, _)) = self.0.take() else { return };
        if status.is_server_error() {
            asking.handshake_failed(node);
        } else {
            asking.route.upstream.handshake_succeeded(node);
        }
    }

    /// There is no answer of the node's.
    pub(super) fn failed(mut self, error: &ExchangeError) {
        let Some((asking, node, _)) = self.0.take() else { return };
        match error {
            ExchangeError::Connect { .. }
            | ExchangeError::NodeBrokeOff { .. }
            | ExchangeError::ResponseTimeout { .. }
            | ExchangeError::BadSwitch { .. } => asking.handshake_failed(node),
            ExchangeError::BadHost
            | ExchangeError::BadTarget(_)
            | ExchangeError::ForwardProxying
            | ExchangeError::BadCall(_)
            | ExchangeError::BadUpgrade(_)
            | ExchangeError::NoRoute
            | ExchangeError::BodyStalled(_)
            | ExchangeError::BodyTooLarge(_)
            | ExchangeError::ClientGone
            | ExchangeError::SessionGone
            | ExchangeError::NoNode
            | ExchangeError::NotAdmitted(_)
            | ExchangeError::QueueFull
            | ExchangeError::Stopping
            | ExchangeError::NodeDead { .. }
            | ExchangeError::NodeDrained { .. }
            | ExchangeError::AnswerBrokeOff { .. } => (),
        }
    }
}

impl Drop for Trial<'_> {
    fn drop(&mut self) {
        let Some((asking, node, begun)) = self.0.take() else { return };
        if Instant::now().saturating_duration_since(begun) >= PATIENCE {
            asking.handshake_failed(node);
        }
    }
}

impl Asking<'_> {
    fn handshake_failed(&self, node: &Node) {
        self.route.upstream.handshake_failed(node, self.address, Instant::now());
    }
}

/// A node that is well answers a handshake within milliseconds, and clients give it up after 20 s:
/// of one that hangs there is no other sign.
const PATIENCE: Duration = Duration::from_secs(10);
