//! Asks one node after the other until one has answered, or until no other node may be asked.
//!
//! A poll that is sent twice and a message that is delivered twice end a session, and a request
//! that crashes one node would crash the next one, too. So:
//!
//! * a request of which no byte was sent may go to another node, whatever it is;
//! * a request that was lost on a reused connection, before any byte of a response, was most likely
//!   never seen (RFC 9110, section 9.2.2): it is sent once more on a new connection, if it is safe,
//!   has no body and belongs to no session;
//! * a handshake without a body may be repeated once after a node has seen it, and a second node may
//!   be asked to find out whether the first one is at fault, see [`comparison`](super::comparison);
//! * nothing else is sent again. Any other response of a node is final.
//!
//! Runs for every request.

use std::mem;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use tokio::time::sleep;

use super::body::RequestBody;
use super::candidates::Candidates;
use super::comparison;
use super::context::Exchange;
use super::error::{ExchangeError, Retry};
use super::outbound::Outbound;
use super::outcome::{NodeResponse, Outcome};
use super::purpose::Purpose;
use super::unknown_session::is_unknown_session;
use super::verdict::HandshakeVerdict;
use crate::Instant;
use crate::pool::{ConnectError, Connection, Reply, SendError, SendFault, Sharing};
use crate::upstream::{Lease, Node};

/// A node's response head, and the lease on the node.
#[derive(Debug)]
pub(super) struct LeasedReply {
    pub(super) reply: Reply<RequestBody>,
    pub(super) lease: Lease,
    /// Whether it came on the connection that carried the session's last request: then it is the
    /// response of the session's process.
    pub(super) is_own: bool,
}

/// Why a node did not answer.
#[derive(Debug)]
pub(super) struct Failure {
    node: Arc<Node>,
    error: ExchangeError,
    /// The node has read no byte of the request, and its body is complete.
    is_unsent: bool,
}

/// Asks `candidates` one after the other, up to the first that answers.
pub(super) async fn ask(
    exchange: &Exchange<'_>,
    outbound: &mut Outbound,
    candidates: &mut Candidates,
) -> Result<LeasedReply, ExchangeError> {
    let mut verdict = HandshakeVerdict::new(exchange, candidates.opens_session());
    let mut last = ExchangeError::NoNode;
    // `let … else`: the scrutinee of a `while let` would take space in the future as long as its
    // body waits.
    loop {
        let Some(lease) = candidates.next().await? else { return Err(last) };
        let may_repeat = exchange.purpose.may_repeat() && outbound.may_be_resent();
        let asked = match may_repeat {
            // Boxed: a poll is pending for long, and its future would have space for all of it.
            true => {
                let compared = comparison::ask(exchange, outbound, lease, candidates, &mut verdict);
                Box::pin(compared).await
            }
            false => ask_node(exchange, outbound, lease).await,
        };
        let Failure { node, error, is_unsent } = match asked {
            Ok(answered) => {
                verdict.answered(answered.lease.node(), answered.reply.status());
                return Ok(answered);
            }
            Err(failure) => failure,
        };
        verdict.failed(&node, &error);
        let retry = error.facts().retry;
        match retry {
            Retry::Unsent => candidates.was_unreachable(&node),
            Retry::Once | Retry::Never => candidates.was_seen_by(&node),
        }
        match retry {
            Retry::Unsent if is_unsent => (),
            Retry::Once if is_unsent || may_repeat => (),
            Retry::Unsent | Retry::Once | Retry::Never => return Err(error),
        }
        last = error;
    }
}

/// The outcome of a request that was `answered` by its session's node, which is asked once more if it
/// refused the session and may be several processes. Each connection belongs to one process, which is
/// not the session's if another session has used the connection, or if it is new and the dispatcher
/// has not heard of the session yet. The refusal proves that the request had no effect.
pub(super) async fn ask_owner(
    exchange: &Exchange<'_>,
    outbound: &mut Outbound,
    answered: LeasedReply,
) -> Result<Outcome, ExchangeError> {
    let is_own = answered.is_own && !answered.lease.node().is_several_processes();
    let may_be_misdirected =
        !is_own && exchange.route.upstream.may_be_several_processes() && outbound.is_whole();
    match Outcome::new(answered) {
        // Boxed: few requests are refused.
        Outcome::Answered(mut refusal)
            if may_be_misdirected && refusal.status() == StatusCode::BAD_REQUEST =>
        {
            let asked = async {
                match is_unknown_session(exchange, &mut refusal).await? {
                    true => ask_again(exchange, outbound, refusal).await,
                    false => Ok(refusal),
                }
            };
            Ok(Outcome::Answered(Box::pin(asked).await?))
        }
        outcome => Ok(outcome),
    }
}

/// Sends a request whose session was refused on a connection of the session's own.
async fn ask_again(
    exchange: &Exchange<'_>,
    outbound: &mut Outbound,
    refusal: NodeResponse,
) -> Result<NodeResponse, ExchangeError> {
    let node = refusal.lease.node().clone();
    let upstream = &exchange.route.upstream;
    let sharing = Sharing::Session(exchange.session_key);
    let owner = exchange.connect_options().owner();
    let connection = match exchange.shared.pool.take(&node, sharing, owner) {
        Some(connection) => connection,
        None => {
            sleep(DISPATCHER_LEARNS_WITHIN).await;
            open(exchange, &node).await.map_err(|failure| failure.error)?
        }
    };
    let sent = send(exchange, outbound, &node, connection).await;
    let reply = sent.map_err(|error| failure(&node, error).error)?;
    let lease = upstream.lease_on(&node);
    let Outcome::Answered(mut answer) = Outcome::new(LeasedReply { reply, lease, is_own: true })
    else {
        return Ok(refusal);
    };
    if answer.status().is_success() {
        upstream.note_several_processes(&node);
    } else if is_unknown_session(exchange, &mut answer).await? {
        return Ok(refusal);
    }
    Ok(answer)
}

/// Asks one node over an idle connection of the pool, or a new one.
pub(super) async fn ask_node(
    exchange: &Exchange<'_>,
    outbound: &mut Outbound,
    lease: Lease,
) -> Result<LeasedReply, Failure> {
    let node = lease.node();
    let sharing = exchange.sharing(node, outbound.is_whole());
    let owner = exchange.connect_options().owner();
    loop {
        let Some(connection) = exchange.shared.pool.take(node, sharing, owner) else { break };
        let is_own = connection.is_of(exchange.session_key);
        let error = match send(exchange, outbound, node, connection).await {
            Ok(reply) => return Ok(LeasedReply { reply, lease, is_own }),
            Err(error) => error,
        };
        match error {
            SendError { unsent: Some(body), .. } => outbound.body = body,
            // Another idle connection could be as old as this one.
            SendError { is_stale: true, .. }
                if exchange.session().is_none() && outbound.may_be_resent() =>
            {
                break;
            }
            error => return Err(failure(node, error)),
        }
    }
    let connection = open(exchange, node).await?;
    match send(exchange, outbound, node, connection).await {
        Ok(reply) => Ok(LeasedReply { reply, lease, is_own: false }),
        Err(SendError { fault, unsent: Some(body), is_stale }) => {
            outbound.body = body;
            let failed = failure(node, SendError { fault, unsent: None, is_stale });
            Err(Failure { is_unsent: true, ..failed })
        }
        // What is in memory can be sent to the next node.
        Err(error @ SendError { fault: SendFault::TlsRefused(_), .. }) => {
            Err(Failure { is_unsent: outbound.is_whole(), ..failure(node, error) })
        }
        Err(error) => Err(failure(node, error)),
    }
}

async fn open(exchange: &Exchange<'_>, node: &Arc<Node>) -> Result<Box<Connection>, Failure> {
    let options = exchange.connect_options();
    // Boxed: few requests need a new connection, and the future of each would have space for it.
    let opened = Box::pin(exchange.shared.pool.open(node, options)).await;
    opened.map_err(|source| Failure {
        node: node.clone(),
        error: match source.is_own_shortage() {
            true => ExchangeError::NoSocket(source),
            false => ExchangeError::Connect { node: node.name().clone(), source },
        },
        is_unsent: true,
    })
}

async fn send(
    exchange: &Exchange<'_>,
    outbound: &mut Outbound,
    node: &Node,
    mut connection: Box<Connection>,
) -> Result<Reply<RequestBody>, SendError<RequestBody>> {
    connection.set_session(exchange.session_key);
    let limits = exchange.send_limits();
    // Engine.IO answers a post by itself, so that its time is the event loop's, if no client is waited for.
    let shows_lag = exchange.purpose == Purpose::Post && outbound.is_whole();
    let began = shows_lag.then(Instant::now);
    let sent = connection.send(&outbound.head, mem::take(&mut outbound.body), limits).await;
    if let (Some(began), Ok(reply)) = (began, &sent)
        && reply.status() == StatusCode::OK
    {
        let now = Instant::now();
        node.lag().record(now.saturating_duration_since(began), now);
    }
    sent
}

fn failure(asked: &Arc<Node>, error: SendError<RequestBody>) -> Failure {
    let node = asked.name().clone();
    let error = match error.fault {
        SendFault::Lost(source) => ExchangeError::NodeBrokeOff { node, source },
        SendFault::TlsRefused(source) => {
            let source = ConnectError::Tls { node: node.clone(), source };
            ExchangeError::Connect { node, source }
        }
        SendFault::BadAnswer(source) => ExchangeError::BadAnswer { node, source },
        SendFault::Unanswered(after) => ExchangeError::ResponseTimeout { node, after },
        SendFault::NodeStalled(after) => ExchangeError::NodeNotReading { node, after },
        SendFault::ClientStalled(after) => ExchangeError::BodyStalled(after),
        SendFault::ClientFailed(_) => ExchangeError::ClientGone,
        SendFault::BodyTooLarge(max) => ExchangeError::BodyTooLarge(max),
    };
    Failure { node: asked.clone(), error, is_unsent: false }
}

/// A dispatcher hears of a session from the process that opened it, and sends a new connection to any
/// process until then.
const DISPATCHER_LEARNS_WITHIN: Duration = Duration::from_millis(100);
