//! Finds the node of a session that no tag and no table knows, by asking one node after the other.
//!
//! It covers sessions that another balancer opened, a table that was lost, and servers whose
//! handshakes cannot be read. A session counts as unknown only when every node has refused it.
//! Misses are remembered and the share of searches is limited; otherwise anyone could make the
//! proxy ask every node for each request.
//!
//! The next node is asked only if the one before cannot have taken a message: it refused the
//! session, no byte was sent to it, or the request is a poll or an upgrade, which have no effect on
//! a node without the session.
//!
//! Runs for every request.

use std::sync::Arc;
use std::time::Duration;

use super::attempt::{self, LeasedReply};
use super::candidates::Candidates;
use super::context::Exchange;
use super::error::{ExchangeError, Retry};
use super::outbound::Outbound;
use super::outcome::{NodeResponse, Outcome};
use super::purpose::Purpose;
use super::unknown_session::is_unknown_session;
use crate::Instant;
use crate::affinity::SearchScope;
use crate::engineio::Sid;
use crate::metrics::AffinityOutcome;
use crate::upstream::Node;

/// Searches the session `sid`, and learns where it is.
pub(super) async fn find(
    exchange: &Exchange<'_>,
    (sid, order): (&Sid, Vec<Arc<Node>>),
    outbound: &mut Outbound,
) -> Result<Outcome, ExchangeError> {
    let mut candidates = Candidates::search(exchange.route.clone(), order);
    match search_scope(exchange, sid) {
        SearchScope::NoNode => return Err(ExchangeError::SessionUnknown),
        SearchScope::OneNode => {
            let answered = attempt::ask(exchange, outbound, &mut candidates).await?;
            return Ok(Outcome::new(answered));
        }
        SearchScope::AllNodes => (),
    }
    let mut search = SessionSearch { exchange, sid, refused: 0, refusal: None, missing: None };
    loop {
        let began = Instant::now();
        let asked = attempt::ask(exchange, outbound, &mut candidates).await;
        if let Some(found) = search.judge(asked, began, &mut candidates).await? {
            return Ok(found);
        }
        if !outbound.is_whole() {
            return search.ends_after_one();
        }
    }
}

/// Which nodes to ask. If the response cannot show where the session is, the outcome is counted
/// here.
fn search_scope(exchange: &Exchange<'_>, sid: &Sid) -> SearchScope {
    let scope = match exchange.purpose.finds_session() {
        true => exchange.route.affinity.search(sid, Instant::now()),
        false => SearchScope::OneNode,
    };
    match scope {
        SearchScope::NoNode | SearchScope::OneNode => {
            exchange.route.counts.affinity.count(AffinityOutcome::Unknown);
        }
        SearchScope::AllNodes => (),
    }
    scope
}

/// One search, node after node.
struct SessionSearch<'a> {
    exchange: &'a Exchange<'a>,
    sid: &'a Sid,
    /// How many nodes have refused the session.
    refused: usize,
    /// The last refusal, which the client gets if no node knows the session.
    refusal: Option<NodeResponse>,
    /// Why a node could not be asked.
    missing: Option<ExchangeError>,
}

impl SessionSearch<'_> {
    /// What the client gets; `None` if the next node has to be asked.
    async fn judge(
        &mut self,
        asked: Result<LeasedReply, ExchangeError>,
        began: Instant,
        candidates: &mut Candidates,
    ) -> Result<Option<Outcome>, ExchangeError> {
        let answered = match asked {
            Ok(answered) => answered,
            // There is no other node.
            Err(ExchangeError::NoNode) => return self.ends(candidates).map(Some),
            Err(error) if self.continues_after(&error) => {
                self.missing = Some(error);
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        let node = answered.lease.node().clone();
        candidates.was_seen_by(&node);
        let mut answer = match Outcome::new(answered) {
            Outcome::Answered(answer) => answer,
            switched => return Ok(Some(self.found(&node, switched))),
        };
        match is_unknown_session(self.exchange, &mut answer).await {
            Ok(true) => {
                candidates.was_refused();
                Ok(self.refused_after(began.elapsed(), answer))
            }
            Ok(false) if answer.status().is_success() => {
                Ok(Some(self.found(&node, Outcome::Answered(answer))))
            }
            // It may be the session's node, which cannot answer now.
            Ok(false) if answer.status().is_server_error() && !self.is_post() => {
                self.missing =
                    Some(ExchangeError::SearchIncomplete { node: Some(node.name().clone()) });
                Ok(None)
            }
            // Any other response says nothing about the session, and is for the client.
            Ok(false) => Ok(Some(Outcome::Answered(answer))),
            Err(error) if !self.is_post() => {
                self.missing = Some(error);
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Whether another node may be asked after this one has failed.
    fn continues_after(&self, error: &ExchangeError) -> bool {
        let facts = error.facts();
        facts.against_node && (facts.retry == Retry::Unsent || !self.is_post())
    }

    /// Whether the request has an effect on the session that must not happen twice.
    fn is_post(&self) -> bool {
        self.exchange.purpose == Purpose::Post
    }

    fn found(&self, node: &Arc<Node>, outcome: Outcome) -> Outcome {
        self.exchange.route.counts.affinity.count(AffinityOutcome::Healed);
        self.exchange.route.affinity.learn(self.sid, node, Instant::now());
        outcome
    }

    /// A node of `@socket.io/cluster-engine` asks the others before it refuses: its refusal counts
    /// for all, and asking each of them again would take a second.
    fn refused_after(&mut self, after: Duration, answer: NodeResponse) -> Option<Outcome> {
        if self.exchange.route.affinity.refused_for_all(self.sid, after) {
            self.exchange.route.counts.affinity.count(AffinityOutcome::Unknown);
            return Some(Outcome::Answered(answer));
        }
        self.refused += 1;
        self.refusal = Some(answer);
        None
    }

    /// The request could be sent only once, because its body is too long to be kept.
    fn ends_after_one(self) -> Result<Outcome, ExchangeError> {
        let is_only = self.exchange.route.upstream.nodes().len() == 1;
        match (self.refusal, self.missing) {
            (Some(refusal), _) if is_only => Ok(Outcome::Answered(refusal)),
            (_, Some(error)) => Err(error),
            (_, None) => Err(ExchangeError::SearchIncomplete { node: None }),
        }
    }

    /// Every node that can be asked was asked.
    fn ends(&mut self, candidates: &Candidates) -> Result<Outcome, ExchangeError> {
        let affinity = &self.exchange.route.affinity;
        self.exchange.route.counts.affinity.count(AffinityOutcome::Unknown);
        let is_complete = self.refused >= self.exchange.route.upstream.nodes().len();
        match (self.refusal.take(), self.missing.take()) {
            (Some(refusal), _) if is_complete => {
                affinity.missed(self.sid, Instant::now());
                Ok(Outcome::Answered(refusal))
            }
            (_, Some(error)) => Err(error),
            (Some(_), None) => {
                let node = candidates.unreachable().map(|node| node.name().clone());
                Err(ExchangeError::SearchIncomplete { node })
            }
            (None, None) => Err(ExchangeError::NoNode),
        }
    }
}
