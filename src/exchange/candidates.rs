//! Which nodes an exchange may ask, one after the other.
//!
//! Runs for every request.

use std::sync::Arc;

use super::hold::Opening;
use super::{ExchangeError, Proxy};
use crate::Instant;
use crate::route::Route;
use crate::upstream::{Lease, Node, Wish};

/// The nodes that may be asked, in order.
#[derive(Debug)]
pub(super) struct Candidates {
    choice: Choice,
    tried: Vec<Arc<Node>>,
}

/// Where a request may go.
#[derive(Debug)]
enum Choice {
    /// To whichever node can answer.
    Any(Arc<Route>, Preference),
    /// To a node that may have a new session, once there is one.
    Opening(Box<Opening>),
    /// To this one alone: it has the session.
    Bound(Arc<Route>, Arc<Node>, Errand),
    /// To one of these, for the first of them is likely to have the session.
    InOrder(Arc<Route>, Walk),
}

/// Nodes one of which may have a session.
#[derive(Debug)]
struct Walk {
    order: Vec<Arc<Node>>,
    /// Whether the node that was asked last has proved that it does not know the session. One that
    /// cannot be reached has not: another one would end the session by not knowing it.
    may_go_on: bool,
}

/// What a request of a session is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Errand {
    /// It brings what the client says.
    Post,
    /// It waits for what the node says, or asks for an upgrade.
    Other,
}

/// Which nodes a request would like: what it has of a [`Wish`].
#[derive(Debug, Default)]
pub(super) struct Preference {
    /// As [`Wish::order`].
    pub(super) order: Vec<Arc<Node>>,
    /// As [`Wish::key`].
    pub(super) key: Option<Box<[u8]>>,
}

impl Preference {
    pub(super) fn wish(&self) -> Wish<'_> {
        Wish { order: &self.order, key: self.key.as_deref() }
    }
}

impl Candidates {
    /// Whichever node can answer, at most [`TRIES_MAX`] of them.
    pub(super) fn any(route: Arc<Route>, preference: Preference) -> Self {
        Self { choice: Choice::Any(route, preference), tried: Vec::new() }
    }

    /// Nodes that may have a new session, for as long as its handshake may be held.
    pub(super) fn opening(route: Arc<Route>, preference: Preference, proxy: &Proxy) -> Self {
        let opening = Opening::new(route, preference, proxy, Instant::now());
        Self { choice: Choice::Opening(Box::new(opening)), tried: Vec::new() }
    }

    /// `node` alone.
    pub(super) fn bound(route: Arc<Route>, node: Arc<Node>, errand: Errand) -> Self {
        Self { choice: Choice::Bound(route, node, errand), tried: Vec::new() }
    }

    /// These nodes in this order, at most [`TRIES_MAX`] of them, and the next only after
    /// [`Candidates::refused`].
    pub(super) fn in_order(route: Arc<Route>, order: Vec<Arc<Node>>) -> Self {
        let walk = Walk { order, may_go_on: true };
        Self { choice: Choice::InOrder(route, walk), tried: Vec::new() }
    }

    /// The node that was found last does not know the session.
    pub(super) fn refused(&mut self) {
        match &mut self.choice {
            Choice::InOrder(_, walk) => walk.may_go_on = true,
            Choice::Any(..) | Choice::Opening(_) | Choice::Bound(..) => (),
        }
    }

    /// A place on the next node; `None` when there is no other to ask. If the future is dropped,
    /// the place is given back.
    ///
    /// # Errors
    ///
    /// The session cannot begin, or not any more in its time; or its node is no more to be asked.
    pub(super) async fn next(&mut self) -> Result<Option<Lease>, ExchangeError> {
        let lease = match &mut self.choice {
            Choice::Any(..) | Choice::InOrder(..) if self.tried.len() >= TRIES_MAX => {
                return Ok(None);
            }
            Choice::Any(route, preference) => {
                route.upstream.lease(preference.wish(), &self.tried, Instant::now()).ok()
            }
            Choice::Opening(opening) => opening.next(&mut self.tried).await?,
            Choice::Bound(..) if !self.tried.is_empty() => return Ok(None),
            Choice::Bound(route, node, errand) => Some(bound_lease(route, node, *errand)?),
            Choice::InOrder(route, walk) => walk.next(route, &self.tried)?,
        };
        self.tried.extend(lease.as_ref().map(|lease| lease.node().clone()));
        Ok(lease)
    }

    /// When the last node was found, if a session is to begin there.
    pub(super) fn opening_at(&self) -> Option<Instant> {
        match &self.choice {
            Choice::Opening(opening) => Some(opening.found_at()),
            Choice::Any(..) | Choice::Bound(..) | Choice::InOrder(..) => None,
        }
    }

    /// The route by which the last node was found: a newer one, perhaps, than the exchange began
    /// with.
    pub(super) fn into_route(self) -> Arc<Route> {
        match self.choice {
            Choice::Any(route, _) | Choice::Bound(route, ..) | Choice::InOrder(route, _) => route,
            Choice::Opening(opening) => opening.into_route(),
        }
    }
}

impl Walk {
    /// A place on the first node that is none of `tried` and that may have sessions, whatever else
    /// is known against it.
    fn next(&mut self, route: &Route, tried: &[Arc<Node>]) -> Result<Option<Lease>, ExchangeError> {
        if !std::mem::take(&mut self.may_go_on) {
            return Ok(None);
        }
        let untried =
            self.order.iter().filter(|node| !tried.iter().any(|one| Arc::ptr_eq(one, node)));
        let mut leases = untried.map(|node| bound_lease(route, node, Errand::Other));
        match leases.find(Result::is_ok) {
            Some(lease) => lease.map(Some),
            None if tried.is_empty() => Err(ExchangeError::NoNode),
            None => Ok(None),
        }
    }
}

/// A place on the node of a session, unless nothing can come of it.
///
/// A node whose time is over still gets what its clients post: their last word, which Socket.IO's
/// send when a poll is refused, ends the session there, so that another node can recover it.
fn bound_lease(route: &Route, node: &Arc<Node>, errand: Errand) -> Result<Lease, ExchangeError> {
    let (upstream, now) = (&route.upstream, Instant::now());
    if upstream.is_dead(node, now) {
        return Err(ExchangeError::NodeDead { node: node.name().clone() });
    }
    let is_over = upstream.drained_at(node).is_some_and(|end| end <= now);
    if is_over && errand == Errand::Other {
        return Err(ExchangeError::NodeDrained { node: node.name().clone() });
    }
    Ok(upstream.lease_on(node))
}

/// At most this many nodes are asked for one request: a request that fails on five nodes will
/// hardly be served by the sixth, and each try may cost a connect timeout.
const TRIES_MAX: usize = 5;
