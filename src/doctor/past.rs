//! Past the proxy: each node alone, and nodes that know each other's sessions.
//!
//! Runs at start, at reload, or on a timer.

use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderValue};

use super::abilities;
use super::ask::{Ask, ask};
use super::gather::NodeTarget;
use super::observations::{ForeignSession, NodeFacts, Trace};
use super::road::{FailureKind, Road};
use super::session::Session;
use super::stickiness::stickiness;
use super::trace::{answered, trace};
use super::watch;
use crate::Instant;

/// A node as it can be reached, or why it cannot.
pub(super) struct Past {
    pub(super) facts: NodeFacts,
    pub(super) road: Option<Road>,
}

/// Takes the way of a client to a node, and looks whether it is one process.
pub(super) async fn past(node: &NodeTarget, eio: u8, fields: &HeaderMap<HeaderValue>) -> Past {
    let mut facts = NodeFacts { name: node.name.clone(), ..NodeFacts::default() };
    let road = match Road::find(node.target.clone(), fields.clone(), node.tls.clone()).await {
        Ok((road, _)) => road,
        Err(failure) => {
            facts.trace.fail("DNS", &failure);
            facts.trace.handshake = Some(super::observations::Handshake::Failed(failure));
            return Past { facts, road: None };
        }
    };
    facts.trace = trace(&road, eio, Trace::default()).await;
    if facts.trace.any_open().is_none() || facts.trace.is_too_old(eio) {
        return Past { facts, road: None };
    }
    if facts.trace.open().is_some() {
        facts.stickiness = Some(stickiness(&road, eio).await);
    }
    facts.clock_ahead_seconds = clock(&road, eio).await;
    let other = if eio == 3 { 4 } else { 3 };
    facts.other_version = abilities::other_version(&road, other).await;
    Past { facts, road: Some(road) }
}

/// What takes the patience of the operator.
pub(super) async fn watch(past: &mut Past, eio: u8, patience: Duration) {
    let Some(road) = &past.road else { return };
    let (idle, delays) =
        tokio::join!(watch::idle(road, eio, patience), watch::delays(road, eio, patience));
    past.facts.idle = Some(idle);
    past.facts.delays = delays;
}

/// Asks each node for a session of the one before it.
pub(super) async fn foreign_sessions(nodes: &mut [Past], eio: u8) {
    let answers: Vec<Option<ForeignSession>> = {
        let mut answers = Vec::new();
        for index in 0..nodes.len() {
            let before = nodes.get((index + nodes.len() - 1) % nodes.len());
            let pair = (before.and_then(|past| past.road.as_ref()), nodes.get(index));
            let (Some(owner), Some(Past { road: Some(road), .. })) = pair else {
                answers.push(None);
                continue;
            };
            let is_other = nodes.len() > 1 && owner.addresses() != road.addresses();
            answers.push(if is_other { foreign_session(owner, road, eio).await } else { None });
        }
        answers
    };
    for (past, answer) in nodes.iter_mut().zip(answers) {
        past.facts.foreign_session = answer;
    }
}

async fn foreign_session(owner: &Road, other: &Road, eio: u8) -> Option<ForeignSession> {
    let (session, _) = Session::open(owner, eio).await.ok()?;
    let target = other.target.engineio(eio, "polling", Some(&session.open.sid));
    let begun = Instant::now();
    let answer = ask(other, Ask::get(target).within(HELD)).await;
    let took = begun.elapsed();
    session.end().await;
    match answer {
        Ok(answer) if answer.status == 200 => Some(ForeignSession::Served),
        Ok(answer) if answered(&answer).code == Some(1) => Some(match took >= ASKED_OTHERS {
            true => ForeignSession::UnknownAfterAsking,
            false => ForeignSession::Unknown,
        }),
        Err(failure) if failure.kind == FailureKind::TimedOut => Some(ForeignSession::Served),
        Ok(_) | Err(_) => None,
    }
}

/// The clock of a server by its `Date`, in seconds before ours.
async fn clock(road: &Road, eio: u8) -> Option<i64> {
    let answer = ask(road, Ask::get(road.target.engineio(eio, "polling", None))).await.ok()?;
    let date = httpdate::parse_http_date(&answer.field("date")?).ok()?;
    let seconds = |time: SystemTime| {
        let since = time.duration_since(SystemTime::UNIX_EPOCH).ok()?;
        i64::try_from(since.as_secs()).ok()
    };
    Some(seconds(date)? - seconds(SystemTime::now())?)
}

/// A node with cluster-engine holds the poll, since there is nothing to send.
const HELD: Duration = Duration::from_secs(3);

/// cluster-engine waits a second for the others.
const ASKED_OTHERS: Duration = Duration::from_millis(900);
