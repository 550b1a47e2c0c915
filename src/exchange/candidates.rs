//! Which nodes an exchange may ask, one after the other.
//!
//! Runs for every request.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use super::context::Shared;
use super::error::ExchangeError;
use super::hold::HeldHandshake;
use super::purpose::Purpose;
use crate::Instant;
use crate::route::Route;
use crate::upstream::{Lease, Node, NodePreference};

/// The nodes that may be asked, in order.
#[derive(Debug)]
pub(super) struct Candidates {
    choice: Choice,
    /// Nodes to which nothing could be sent.
    unreachable: Vec<Arc<Node>>,
    /// Nodes that saw the request and did not answer it.
    seen_by: Vec<Arc<Node>>,
    tries_max: usize,
}

/// Where a request may go.
#[derive(Debug)]
enum Choice {
    /// To whichever node can answer.
    Any(Arc<Route>, NodePreference),
    /// To a node that may have a new session, once there is one.
    Opening(Box<HeldHandshake>),
    /// To this one alone: it has the session.
    Bound(Arc<Route>, Arc<Node>, Purpose),
    /// To one of these, for the first of them is likely to have the session.
    InOrder(Arc<Route>, SearchOrder),
}

/// Nodes one of which may have a session.
#[derive(Debug)]
struct SearchOrder {
    order: Vec<Arc<Node>>,
    /// Whether the node that was asked last has proved that it does not know the session. One that
    /// cannot be reached has not: another one would end the session by not knowing it.
    may_continue: bool,
}

impl Candidates {
    fn new(choice: Choice) -> Self {
        Self { choice, unreachable: Vec::new(), seen_by: Vec::new(), tries_max: TRIES_MAX }
    }

    /// Whichever node can answer, at most [`TRIES_MAX`] of them.
    pub(super) fn any(route: Arc<Route>, preference: NodePreference) -> Self {
        Self::new(Choice::Any(route, preference))
    }

    /// One node after the other, to find the node of a session. Those of `order`, if there are any,
    /// and the next of these only after [`Candidates::was_refused`].
    pub(super) fn search(route: Arc<Route>, order: Vec<Arc<Node>>) -> Self {
        let choice = if order.is_empty() {
            Choice::Any(route, NodePreference::default())
        } else {
            Choice::InOrder(route, SearchOrder { order, may_continue: true })
        };
        Self { tries_max: SEARCH_MAX, ..Self::new(choice) }
    }

    /// The node that was asked last does not know the session.
    pub(super) fn was_refused(&mut self) {
        match &mut self.choice {
            Choice::InOrder(_, order) => order.may_continue = true,
            Choice::Any(..) | Choice::Opening(_) | Choice::Bound(..) => (),
        }
    }

    /// Nodes that may have a new session, for as long as its handshake may be held.
    pub(super) fn for_new_session(
        route: Arc<Route>,
        preference: NodePreference,
        shared: &Shared,
    ) -> Self {
        let held = HeldHandshake::new(route, preference, shared, Instant::now());
        Self::new(Choice::Opening(Box::new(held)))
    }

    /// `node` alone.
    pub(super) fn bound(route: Arc<Route>, node: Arc<Node>, purpose: Purpose) -> Self {
        Self::new(Choice::Bound(route, node, purpose))
    }

    /// Whether a session is to begin on the nodes.
    pub(super) fn opens_session(&self) -> bool {
        matches!(self.choice, Choice::Opening(_))
    }

    /// Nothing could be sent to `node`.
    pub(super) fn was_unreachable(&mut self, node: &Arc<Node>) {
        self.unreachable.push(node.clone());
    }

    /// A node to which nothing could be sent.
    pub(super) fn unreachable(&self) -> Option<&Arc<Node>> {
        self.unreachable.last()
    }

    /// `node` has seen the request, and may have acted on it.
    pub(super) fn was_seen_by(&mut self, node: &Arc<Node>) {
        self.seen_by.push(node.clone());
    }

    /// A place on the next node; `None` when there is no other to ask. If the future is dropped,
    /// the place is given back.
    ///
    /// # Errors
    ///
    /// The session cannot begin, or not any more in its time; or its node is no more to be asked.
    pub(super) async fn next(&mut self) -> Result<Option<Lease>, ExchangeError> {
        let tried = self.tried();
        match &mut self.choice {
            Choice::Any(..) | Choice::Bound(..) | Choice::InOrder(..)
                if tried.len() >= self.tries_max =>
            {
                Ok(None)
            }
            Choice::Any(route, preference) => {
                Ok(route.upstream.lease(preference, &tried, Instant::now()).ok())
            }
            Choice::Bound(..) if !tried.is_empty() => Ok(None),
            Choice::InOrder(route, order) => order.next(route, &tried),
            Choice::Bound(route, node, purpose) => bound_lease(route, node, *purpose).map(Some),
            Choice::Opening(held) if self.seen_by.is_empty() => {
                held.next(&mut self.unreachable).await
            }
            Choice::Opening(_) => Ok(self.next_after_break_off().await),
        }
    }

    /// The nodes that are not asked again. Without a failure it is empty and allocates nothing.
    fn tried(&self) -> Vec<Arc<Node>> {
        [&self.unreachable[..], &self.seen_by[..]].concat()
    }

    /// One further node for a handshake that a node has seen and not answered. It does not wait for
    /// others: what makes one node end the connection may well do so with each of them.
    async fn next_after_break_off(&self) -> Option<Lease> {
        let Choice::Opening(held) = &self.choice else { return None };
        let tried = self.tried();
        if self.seen_by.len() >= SEEN_BY_MAX || tried.len() >= TRIES_MAX {
            return None;
        }
        if let Some(lease) = held.another(&tried) {
            return Some(lease);
        }
        let same = self.seen_by.first()?;
        sleep(PAUSE).await;
        Some(held.route().upstream.lease_on(same))
    }

    /// The route by which the last node was found: a newer one, perhaps, than the exchange began
    /// with.
    pub(super) fn into_route(self) -> Arc<Route> {
        match self.choice {
            Choice::Any(route, _) | Choice::Bound(route, ..) | Choice::InOrder(route, _) => route,
            Choice::Opening(held) => held.into_route(),
        }
    }
}

impl SearchOrder {
    /// A place on the first node that is none of `tried` and that may have sessions, whatever else
    /// is known against it.
    fn next(&mut self, route: &Route, tried: &[Arc<Node>]) -> Result<Option<Lease>, ExchangeError> {
        if !std::mem::take(&mut self.may_continue) {
            return Ok(None);
        }
        let untried =
            self.order.iter().filter(|node| !tried.iter().any(|one| Arc::ptr_eq(one, node)));
        let mut leases = untried.map(|node| bound_lease(route, node, Purpose::Poll));
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
fn bound_lease(route: &Route, node: &Arc<Node>, purpose: Purpose) -> Result<Lease, ExchangeError> {
    let (upstream, now) = (&route.upstream, Instant::now());
    if upstream.is_dead(node, now) {
        return Err(ExchangeError::NodeDead { node: node.name().clone() });
    }
    let is_over = upstream.drained_at(node).is_some_and(|end| end <= now);
    if is_over && purpose != Purpose::Post {
        return Err(ExchangeError::NodeDrained { node: node.name().clone() });
    }
    Ok(upstream.lease_on(node))
}

/// At most this many nodes are asked for one request: a request that fails on five nodes will
/// hardly be served by the sixth, and each try may cost a connect timeout.
const TRIES_MAX: usize = 5;

/// At most this many nodes are asked for one session whose node is not known.
const SEARCH_MAX: usize = 16;

/// At most this many times a handshake reaches a node.
const SEEN_BY_MAX: usize = 2;

/// Before the same node is asked again: a process that restarts at once needs about as long.
const PAUSE: Duration = Duration::from_millis(250);
