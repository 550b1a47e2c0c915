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
use crate::route::UpstreamRoute;
use crate::upstream::{Lease, Node, NodePreference};

/// The nodes that may be asked, in order.
#[derive(Debug)]
pub(super) struct Candidates {
    choice: Choice,
    /// Nodes to which no byte could be sent.
    unreachable: Vec<Arc<Node>>,
    /// Nodes that saw the request and did not answer.
    seen_by: Vec<Arc<Node>>,
    tries_max: usize,
}

/// Where a request may go.
#[derive(Debug)]
enum Choice {
    /// To any node that can answer.
    Any(Arc<UpstreamRoute>, NodePreference),
    /// To a node that takes a new session, as soon as there is one.
    Opening(Box<HeldHandshake>),
    /// To this node only: it has the session.
    Bound(Arc<UpstreamRoute>, Arc<Node>, Purpose),
    /// To these nodes in order: the first is the most likely to have the session.
    InOrder(Arc<UpstreamRoute>, SearchOrder),
}

/// The nodes that may have a session, in order.
#[derive(Debug)]
struct SearchOrder {
    order: Vec<Arc<Node>>,
    /// Whether the last node has proved that it does not know the session. An unreachable node has
    /// not: the refusal of another one would end the session.
    may_continue: bool,
}

impl Candidates {
    fn new(choice: Choice) -> Self {
        Self { choice, unreachable: Vec::new(), seen_by: Vec::new(), tries_max: TRIES_MAX }
    }

    /// Any nodes that can answer, at most [`TRIES_MAX`].
    pub(super) fn any(route: Arc<UpstreamRoute>, preference: NodePreference) -> Self {
        Self::new(Choice::Any(route, preference))
    }

    /// One node after the other, to find the node of a session: those of `order` if it is not
    /// empty, each after the first only after [`Candidates::was_refused`].
    pub(super) fn search(route: Arc<UpstreamRoute>, order: Vec<Arc<Node>>) -> Self {
        let choice = if order.is_empty() {
            Choice::Any(route, NodePreference::default())
        } else {
            Choice::InOrder(route, SearchOrder { order, may_continue: true })
        };
        Self { tries_max: SEARCH_MAX, ..Self::new(choice) }
    }

    /// The last node does not know the session.
    pub(super) fn was_refused(&mut self) {
        match &mut self.choice {
            Choice::InOrder(_, order) => order.may_continue = true,
            Choice::Any(..) | Choice::Opening(_) | Choice::Bound(..) => (),
        }
    }

    /// Nodes that take a new session, as long as its handshake may be held.
    pub(super) fn for_new_session(
        route: Arc<UpstreamRoute>,
        preference: NodePreference,
        shared: &Shared,
    ) -> Self {
        let held = HeldHandshake::new(route, preference, shared, Instant::now());
        Self::new(Choice::Opening(Box::new(held)))
    }

    /// Only `node`.
    pub(super) fn bound(route: Arc<UpstreamRoute>, node: Arc<Node>, purpose: Purpose) -> Self {
        Self::new(Choice::Bound(route, node, purpose))
    }

    /// Whether a session begins with the request.
    pub(super) fn opens_session(&self) -> bool {
        matches!(self.choice, Choice::Opening(_))
    }

    /// No byte could be sent to `node`.
    pub(super) fn was_unreachable(&mut self, node: &Arc<Node>) {
        self.unreachable.push(node.clone());
    }

    /// The last node to which no byte could be sent.
    pub(super) fn unreachable(&self) -> Option<&Arc<Node>> {
        self.unreachable.last()
    }

    /// `node` has seen the request, and may have acted on it.
    pub(super) fn was_seen_by(&mut self, node: &Arc<Node>) {
        self.seen_by.push(node.clone());
    }

    /// A lease on the next node; `None` if there is no other to ask. If the future is dropped, the
    /// lease is released.
    ///
    /// # Errors
    ///
    /// The session cannot begin now or within its time, or its node must not be asked any more.
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

    /// A lease on a second node for a handshake that `first` has seen, if there is one that takes new
    /// sessions and has not seen it.
    pub(super) fn second(&self, first: &Arc<Node>) -> Option<Lease> {
        let Choice::Opening(held) = &self.choice else { return None };
        if self.seen_by.len() + 1 >= SEEN_BY_MAX {
            return None;
        }
        held.another(&[&self.tried()[..], std::slice::from_ref(first)].concat())
    }

    /// The nodes that are not asked again. Without a failure this is empty and allocates nothing.
    fn tried(&self) -> Vec<Arc<Node>> {
        [&self.unreachable[..], &self.seen_by[..]].concat()
    }

    /// One more node for a handshake that a node has seen and not answered. It does not wait for
    /// more nodes: the request may make each of them end the connection.
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

    /// The route by which the last node was found. It may be newer than the one with which the
    /// exchange began.
    pub(super) fn into_route(self) -> Arc<UpstreamRoute> {
        match self.choice {
            Choice::Any(route, _) | Choice::Bound(route, ..) | Choice::InOrder(route, _) => route,
            Choice::Opening(held) => held.into_route(),
        }
    }
}

impl SearchOrder {
    /// A lease on the first node that is not in `tried` and may have sessions, whatever else is
    /// known against it.
    fn next(
        &mut self,
        route: &UpstreamRoute,
        tried: &[Arc<Node>],
    ) -> Result<Option<Lease>, ExchangeError> {
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

/// A lease on the node of a session, unless it is useless.
///
/// A drained node still gets posts: when a poll is refused, Socket.IO clients post a last packet,
/// which ends the session there, so that another node can recover it.
fn bound_lease(
    route: &UpstreamRoute,
    node: &Arc<Node>,
    purpose: Purpose,
) -> Result<Lease, ExchangeError> {
    check_bound(route, node, purpose)?;
    Ok(route.upstream.lease_on(node))
}

/// Checks that a request of a session on `node` is not useless.
pub(super) fn check_bound(
    route: &UpstreamRoute,
    node: &Arc<Node>,
    purpose: Purpose,
) -> Result<(), ExchangeError> {
    let (upstream, now) = (&route.upstream, Instant::now());
    if upstream.is_dead(node, now) {
        return Err(ExchangeError::NodeDead { node: node.name().clone() });
    }
    let is_drained = upstream.drained_at(node).is_some_and(|end| end <= now);
    if is_drained && purpose != Purpose::Post {
        return Err(ExchangeError::NodeDrained { node: node.name().clone() });
    }
    Ok(())
}

/// The most nodes that are asked for one request: one that fails on five nodes will hardly succeed
/// on the sixth, and each attempt may cost a connect timeout.
const TRIES_MAX: usize = 5;

/// The most nodes that are asked for one session whose node is not known.
const SEARCH_MAX: usize = 16;

/// How many nodes a handshake may reach.
const SEEN_BY_MAX: usize = 2;

/// The pause before the same node is asked again: a process that restarts immediately needs about
/// as long.
const PAUSE: Duration = Duration::from_millis(250);
