//! Asks a second node when the first one does not answer a handshake, or answers that it cannot.
//!
//! A node that hangs or answers 503 may be ill, or the request may be one that no node can answer:
//! anyone can send such a request, as often and from as many addresses as they like. One node's
//! failure does not tell which it is. Only the same request on another node does, so nothing counts
//! against a node that was not compared. What a handshake opens in vain costs one heartbeat.
//!
//! Runs for every request.

use std::pin::pin;
use std::time::Duration;

use tokio::time::timeout;
use tracing::warn;

use super::attempt::{Failure, LeasedReply, ask_node};
use super::candidates::Candidates;
use super::context::Exchange;
use super::outbound::Outbound;
use super::verdict::HandshakeVerdict;
use crate::upstream::Lease;

/// Asks the node of `lease` for a handshake without a body, and a second one if the first is slow or
/// fails repeatedly.
pub(super) async fn ask(
    exchange: &Exchange<'_>,
    outbound: &mut Outbound,
    lease: Lease,
    candidates: &Candidates,
    verdict: &mut HandshakeVerdict<'_>,
) -> Result<LeasedReply, Failure> {
    let node = lease.node().clone();
    let mut again = outbound.again();
    let mut first = pin!(ask_node(exchange, outbound, lease));
    let late_after = LATE_AFTER.min(exchange.send_limits().response / 2);
    let Ok(asked) = timeout(late_after, &mut first).await else {
        let Some(lease) = candidates.second(&node) else { return first.await };
        warn!(
            upstream = %exchange.route.upstream.name(), node = %node.name(), after_ms = late_after.as_millis(),
            second = %lease.node().name(), "handshake was not answered, asking a second node"
        );
        let second = tokio::select! {
            biased;
            // Late is not lost: a slow server may need this long to authenticate a client.
            asked = &mut first => return asked,
            second = ask_node(exchange, &mut again, lease) => second,
        };
        return match second {
            Ok(second) if !second.reply.status().is_server_error() => {
                verdict.note_failure(&node);
                Ok(second)
            }
            Ok(_) | Err(_) => first.await,
        };
    };
    let asked = asked?;
    if !asked.reply.status().is_server_error() || !verdict.doubts(&node) {
        return Ok(asked);
    }
    let Some(lease) = candidates.second(&node) else { return Ok(asked) };
    match timeout(COMPARED_WITHIN, ask_node(exchange, &mut again, lease)).await {
        Ok(Ok(second)) if !second.reply.status().is_server_error() => {
            verdict.note_failure(&node);
            Ok(second)
        }
        _ => {
            verdict.clear_doubt(&node);
            Ok(asked)
        }
    }
}

/// A healthy node answers a handshake within milliseconds, and clients give up after 20 s.
const LATE_AFTER: Duration = Duration::from_secs(10);

/// How long an answer is kept back for a comparison.
const COMPARED_WITHIN: Duration = Duration::from_secs(2);
