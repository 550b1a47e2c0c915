//! Self-healing: a session that no tag and no table knows is asked for at one node after the
//! other, as long as the answers prove that a node did nothing.
//!
//! It covers sessions that another balancer opened, a table that was lost, and servers that hide
//! their handshakes from us. Misses are remembered and the share of such requests is bounded, or
//! strangers could make us ask every node for each of theirs.
//!
//! Runs for every request.

use std::sync::Arc;

use bytes::Bytes;
use http::request;
use http_body::Body as _;
use http_body_util::{BodyExt, LengthLimitError, Limited};

use super::asking::Asking;
use super::candidates::{Candidates, Preference};
use super::forward::{self, Answer};
use super::upgrade::{self, Handshake, Outcome};
use super::{ExchangeError, Request, RequestBody};
use crate::Instant;
use crate::affinity::Search;
use crate::engineio::{Sid, is_unknown_sid};
use crate::metrics::AffinityOutcome;
use crate::upstream::Node;

/// Asks for the session `sid` at one node after the other, and learns where it lives.
pub(super) async fn ask_around(
    asking: &Asking<'_>,
    (sid, order): (&Sid, Vec<Arc<Node>>),
    request: &mut Request,
) -> Result<Answer, ExchangeError> {
    let mut candidates = candidates(asking, order);
    match search(asking, sid) {
        Search::Nobody => return Err(ExchangeError::SessionGone),
        Search::One => return forward::forward(asking, request, &mut candidates).await,
        // What is too long to be kept for a second node is sent to the first alone.
        Search::Around if request.body().size_hint().lower() > buffered_bytes_max(asking) => {
            asking.route.counts.affinity.count(AffinityOutcome::Unknown);
            return forward::forward(asking, request, &mut candidates).await;
        }
        Search::Around => (),
    }
    let (head, body) = buffered(asking, request).await?;
    let mut round = Round::new(asking, sid);
    while round.goes_on() {
        let mut again = Request::from_parts(head.clone(), RequestBody::whole(body.clone()));
        // The candidates remember who was asked.
        let answer = forward::forward(asking, &mut again, &mut candidates).await;
        if let Some(found) = round.judge(answer).await? {
            return Ok(found);
        }
        candidates.refused();
    }
    round.missed()
}

/// As [`ask_around`], for a WebSocket handshake.
pub(super) async fn ask_around_for_upgrade(
    asking: &Asking<'_>,
    (sid, order): (&Sid, Vec<Arc<Node>>),
    handshake: &Handshake,
    head: &request::Parts,
) -> Result<Outcome, ExchangeError> {
    let mut candidates = candidates(asking, order);
    match search(asking, sid) {
        Search::Nobody => return Err(ExchangeError::SessionGone),
        Search::One => return upgrade::forward(asking, handshake, head, &mut candidates).await,
        Search::Around => (),
    }
    let mut round = Round::new(asking, sid);
    while round.goes_on() {
        let answer = match upgrade::forward(asking, handshake, head, &mut candidates).await {
            Ok(Outcome::Refused(answer)) => Ok(answer),
            Ok(Outcome::Switched(switched)) => {
                round.found_at(switched.lease.node());
                return Ok(Outcome::Switched(switched));
            }
            Err(error) => Err(error),
        };
        if let Some(found) = round.judge(answer).await? {
            return Ok(Outcome::Refused(found));
        }
        candidates.refused();
    }
    round.missed().map(Outcome::Refused)
}

/// The nodes that may have the session: those of `order` one after the other, or if it is empty,
/// whichever can answer.
fn candidates(asking: &Asking<'_>, order: Vec<Arc<Node>>) -> Candidates {
    if order.is_empty() {
        Candidates::any(asking.route.clone(), Preference::default())
    } else {
        Candidates::in_order(asking.route.clone(), order)
    }
}

/// Whom to ask. Where the answer will tell nothing new, this is all there is to count.
fn search(asking: &Asking<'_>, sid: &Sid) -> Search {
    let search = asking.route.affinity.search(sid, Instant::now());
    match search {
        Search::Nobody | Search::One => {
            asking.route.counts.affinity.count(AffinityOutcome::Unknown)
        }
        Search::Around => (),
    }
    search
}

/// One round of asking for a session.
struct Round<'a> {
    asking: &'a Asking<'a>,
    sid: &'a Sid,
    /// The last refusal, which the client gets if nobody knows the session.
    refusal: Option<Answer>,
    /// What ended the round before every node was asked.
    error: Option<ExchangeError>,
}

impl<'a> Round<'a> {
    fn new(asking: &'a Asking<'a>, sid: &'a Sid) -> Self {
        Self { asking, sid, refusal: None, error: None }
    }

    fn goes_on(&self) -> bool {
        self.error.is_none()
    }

    /// The answer of a node that has the session; `None` if this one has not.
    async fn judge(
        &mut self,
        answer: Result<Answer, ExchangeError>,
    ) -> Result<Option<Answer>, ExchangeError> {
        let answer = match answer {
            Ok(answer) => read_refusal(self.asking, answer).await?,
            Err(error) => {
                self.error = Some(error);
                return Ok(None);
            }
        };
        if is_unknown_sid(answer.head.status.as_u16(), &answer.read) {
            self.refusal = Some(answer);
            return Ok(None);
        }
        self.found_at(answer.lease.node());
        Ok(Some(answer))
    }

    fn found_at(&self, node: &Arc<Node>) {
        self.asking.route.counts.affinity.count(AffinityOutcome::Healed);
        self.asking.route.affinity.learn(self.sid, node, Instant::now());
    }

    /// What the client gets when no node has the session: the last refusal, or if there was none,
    /// what was wrong with the nodes.
    fn missed(self) -> Result<Answer, ExchangeError> {
        self.asking.route.counts.affinity.count(AffinityOutcome::Unknown);
        self.asking.route.affinity.missed(self.sid, Instant::now());
        self.refusal.ok_or(self.error.unwrap_or(ExchangeError::NoNode))
    }
}

/// The longest body that is kept, in bytes.
fn buffered_bytes_max(asking: &Asking<'_>) -> u64 {
    asking.route.limits.body_bytes_max.unwrap_or(BUFFERED_BYTES_MAX)
}

/// Reads the body of the request, so that it can be sent more than once.
async fn buffered(
    asking: &Asking<'_>,
    request: &mut Request,
) -> Result<(request::Parts, Bytes), ExchangeError> {
    let (head, mut body) = std::mem::take(request).into_parts();
    let max = buffered_bytes_max(asking);
    let upload = body.bound(Some(max), asking.route.limits.body_timeout);
    let read = Limited::new(body, usize::try_from(max).unwrap_or(usize::MAX)).collect().await;
    let body = match read {
        Ok(collected) => collected.to_bytes(),
        Err(error) if error.is::<LengthLimitError>() => {
            return Err(ExchangeError::BodyTooLarge(max));
        }
        Err(_) => {
            let cause = upload.and_then(|upload| upload.failure(&asking.route.limits, max));
            return Err(cause.unwrap_or(ExchangeError::ClientGone));
        }
    };
    Ok((head, body))
}

/// Reads the body of an answer that may be a refusal for an unknown session; any other answer is
/// passed on unread.
async fn read_refusal(asking: &Asking<'_>, mut answer: Answer) -> Result<Answer, ExchangeError> {
    let is_short = |length: Option<u64>| length.is_none_or(|length| length <= REFUSAL_BYTES_MAX);
    let Some(rest) = answer.rest.take_if(|rest| {
        answer.head.status.is_client_error() && is_short(hyper::body::Body::size_hint(rest).upper())
    }) else {
        return Ok(answer);
    };
    let read = Limited::new(rest, REFUSAL_BYTES_MAX as usize).collect();
    match tokio::time::timeout(asking.route.limits.body_timeout, read).await {
        Ok(Ok(collected)) => {
            answer.read = collected.to_bytes();
            Ok(answer)
        }
        Ok(Err(source)) => Err(answer_broke_off(&answer, std::io::Error::other(source))),
        Err(elapsed) => Err(answer_broke_off(&answer, elapsed.into())),
    }
}

fn answer_broke_off(answer: &Answer, source: std::io::Error) -> ExchangeError {
    ExchangeError::AnswerBrokeOff { node: answer.lease.node().name().clone(), source }
}

/// A refusal is a line of text or a small JSON object; what is longer and of unknown length is
/// none that could be told from others.
const REFUSAL_BYTES_MAX: u64 = 64 * 1024;

/// The longest body that is kept for being sent again where the operator set no `body_max`:
/// Socket.IO's default. A bound on our memory, and not on what a session may send.
const BUFFERED_BYTES_MAX: u64 = 1_000_000;
