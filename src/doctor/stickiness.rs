//! Whether all requests of a session reach its node, each on a connection of its own.
//!
//! Runs at start, at reload, or on a timer.

use std::time::Duration;

use super::ask::{Answer, Line, Switch};
use super::counters::processes_min;
use super::measured::{Reached, Stickiness};
use super::packets;
use super::road::{Failure, FailureKind, Road};
use super::session::Session;
use super::trace::answered;

/// Opens sessions one after the other, and sends requests of each: a POST, a poll, and an upgrade.
pub(super) async fn stickiness(road: &Road, eio: u8) -> Stickiness {
    let mut seen = Stickiness::default();
    let mut sids = Vec::new();
    for round in 0..SESSIONS {
        let Ok((session, _)) = Session::open(road, eio).await else {
            seen.handshakes_failed += 1;
            if seen.handshakes_failed > FAILED_MAX {
                break;
            }
            continue;
        };
        seen.sessions += 1;
        sids.push(session.open.sid.clone());
        let with_cookies = session.has_cookies() && round % 2 == 0;
        let session = if with_cookies { session } else { session.without_cookies() };
        let reached = match with_cookies {
            true => &mut seen.with_cookies,
            false => &mut seen.without_cookies,
        };
        apart(&session, reached).await;
        session.end().await;
    }
    for _ in 0..SESSIONS_ON_ONE {
        if together(road, eio, &mut seen.same_connection).await.is_none() {
            break;
        }
    }
    seen.processes_min = processes_min(sids.iter().map(String::as_str));
    seen
}

/// A packet that the next poll has the answer to: CONNECT, or in version 3 the heartbeat of the client.
fn answered_soon(eio: u8) -> String {
    if eio == 3 { "2".to_owned() } else { packets::connect(eio, "/", None) }
}

/// Requests on connections of their own.
async fn apart(session: &Session<'_>, reached: &mut Reached) {
    count(reached, &session.post(&answered_soon(session.eio)).await);
    let polled = session.poll(POLL_WITHIN).await;
    count(reached, &polled);
    // A poll that was given up ends the session.
    if session.open.offers_websocket && polled.is_ok() {
        match session.upgrade().await {
            Switch::Open(socket, _) => {
                reached.own += 1;
                socket.close().await;
            }
            Switch::Answered(answer) if answered(&answer).code == Some(1) => reached.other += 1,
            // Why an upgrade fails else is another question.
            Switch::Answered(_) | Switch::Failed(_) => (),
        }
    }
}

/// Requests on the connection of the handshake.
async fn together(road: &Road, eio: u8, reached: &mut Reached) -> Option<()> {
    let mut line = Line::open(road).await.ok()?;
    let (session, _) = Session::open_on(&mut line, road, eio).await.ok()?;
    let posted = line.ask(session.post_ask(&answered_soon(eio))).await;
    // A proxy may end connections after each answer; then there is nothing to compare.
    posted.as_ref().ok()?;
    count(reached, &posted);
    let polled = line.ask(session.poll_ask().within(POLL_WITHIN)).await;
    polled.as_ref().ok()?;
    count(reached, &polled);
    session.end().await;
    Some(())
}

fn count(reached: &mut Reached, outcome: &Result<Answer, Failure>) {
    match outcome {
        Ok(answer) if answer.status == 200 => reached.own += 1,
        Ok(answer) if answered(answer).code == Some(1) => reached.other += 1,
        // It was taken: a node that does not know a session answers at once.
        Err(Failure { kind: FailureKind::TimedOut, .. }) => reached.own += 1,
        Ok(_) | Err(_) => reached.failed += 1,
    }
}

/// With random routing to two nodes, three requests of each reach the right one by luck with a chance of
/// one in 2^24.
const SESSIONS: u32 = 8;

const SESSIONS_ON_ONE: u32 = 3;

/// So many handshakes in a row may fail.
const FAILED_MAX: u32 = 2;

/// The first poll has an answer.
const POLL_WITHIN: Duration = Duration::from_secs(3);
