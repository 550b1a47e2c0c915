//! `/sessions`: the open sessions, those that ended last, and all that is known of one of them.
//!
//! Runs at start, at reload, or on a timer.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use super::model;
use super::session_filter::SessionFilter;
use super::state::AdminState;
use super::timeline::{of_ended, of_open, of_polling};
use super::views::unix_seconds;
use crate::Instant;
use crate::insight::{EndedSession, PollingSession, Summary};
use crate::snapshot::Snapshot;
use crate::tunnel::{Identity, LastFrames, OpenTunnel, SessionId, Side};
use crate::upstream::Node;

/// The sessions that fit `filter`.
pub(super) fn list(state: &AdminState, filter: &SessionFilter) -> model::Sessions {
    let snapshot = state.current.load();
    let now = Instant::now();
    let (mut matching, mut sessions) = (0, Vec::new());
    let mut add = |session: model::Session| {
        if filter.fits(&session) {
            matching += 1;
            sessions.push(session);
            // So the memory does not grow with the number of sessions.
            if sessions.len() > 2 * filter.limit() + SPARE {
                filter.select(&mut sessions);
            }
        }
    };
    let mut upgrading = HashSet::new();
    for node in nodes(&snapshot) {
        node.roster().visit(|tunnel| {
            let of = tunnel.identity();
            if of.upgrade.as_ref().is_some_and(|upgrade| upgrade.upgraded_after().is_none()) {
                upgrading.insert(of.id);
            }
            add(open(tunnel, node, now));
        });
    }
    visit_polling(&snapshot, now, |polling, route, upstream| {
        // Until its upgrade is complete, a session polls and has a WebSocket: it is listed once.
        if !upgrading.contains(&polling.id) {
            add(self::polling(polling, (route, upstream), now));
        }
    });
    filter.select(&mut sessions);
    let ended = snapshot.ended.last();
    let ended =
        ended.iter().map(|ended| self::ended(ended)).filter(|one| filter.fits(&one.session));
    let ended = ended.take(filter.limit()).collect();
    model::Sessions { matching, shown: sessions.len(), sessions, ended }
}

/// All that is known of the session with this id, `None` if there is none.
pub(super) async fn detail(state: &AdminState, id: SessionId) -> Option<model::SessionDetail> {
    let snapshot = state.current.load();
    let now = Instant::now();
    if let Some((tunnel, node)) = find(&snapshot, id) {
        // A tunnel answers at its next poll; one that has just ended does not.
        let inspection = timeout(INSPECTION_MAX, tunnel.inspect()).await.ok().and_then(Result::ok);
        return Some(model::SessionDetail {
            session: Some(open(&tunnel, &node, now)),
            ended: None,
            timeline: of_open(tunnel.identity(), &node, inspection.as_ref(), now),
            packets: inspection.map(|seen| packets(&seen.frames, now)).unwrap_or_default(),
        });
    }
    let mut detail = None;
    visit_polling(&snapshot, now, |polling, route, upstream| {
        if polling.id == id {
            detail = Some(model::SessionDetail {
                session: Some(self::polling(polling, (route, upstream), now)),
                timeline: of_polling(polling, now),
                ..model::SessionDetail::default()
            });
        }
    });
    detail.or_else(|| {
        let ended = snapshot.ended.find(id)?;
        let ago = ended.at.elapsed().unwrap_or_default();
        Some(model::SessionDetail {
            session: None,
            ended: Some(self::ended(&ended)),
            timeline: of_ended(&ended, now),
            packets: packets(&ended.report.frames, now.checked_sub(ago).unwrap_or(now)),
        })
    })
}

/// The open tunnel with this id, and its node.
pub(super) fn find(snapshot: &Snapshot, id: SessionId) -> Option<(OpenTunnel, Arc<Node>)> {
    let found = |node: &Arc<Node>| Some((node.roster().find(id)?, node.clone()));
    nodes(snapshot).find_map(found)
}

/// Whether the session with this id polls.
pub(super) fn is_polling(snapshot: &Snapshot, id: SessionId) -> bool {
    let mut is_polling = false;
    visit_polling(snapshot, Instant::now(), |polling, _, _| is_polling |= polling.id == id);
    is_polling
}

/// A session that has ended.
pub(super) fn ended(ended: &EndedSession) -> model::EndedSession {
    let report = &ended.report;
    let explanation = ended.explanation.as_ref();
    let [quiet_client, quiet_node] = report.evidence.quiet;
    model::EndedSession {
        session: model::Session {
            age_seconds: report.duration.as_secs_f64(),
            idle_seconds: quiet_client.min(quiet_node).as_secs_f64(),
            bytes_from_client: report.from_client.bytes,
            bytes_from_node: report.from_node.bytes,
            messages_from_client: report.from_client.messages,
            messages_from_node: report.from_node.messages,
            waiting: report.evidence.waiting.iter().any(Option::is_some),
            ..identity(&ended.identity, &ended.node)
        },
        ended_at: unix_seconds(ended.at),
        end: report.end.label().to_owned(),
        by: report.end.who().label().to_owned(),
        code: report.close_code,
        cause: explanation.map(|explained| explained.cause.label().to_owned()),
        explanation: explanation.map(|explained| explained.sentence.clone()),
    }
}

fn open(tunnel: &OpenTunnel, node: &Node, now: Instant) -> model::Session {
    let of = tunnel.identity();
    let [client, server] = tunnel.traffic();
    let quiet_since = tunnel.quiet_since();
    // Without frames a tunnel counts as busy all the time, so that nothing ends it before it must.
    let is_framed = of.transport == "websocket";
    model::Session {
        age_seconds: now.saturating_duration_since(of.began).as_secs_f64(),
        idle_seconds: quiet_since.map_or(0.0, |at| now.saturating_duration_since(at).as_secs_f64()),
        bytes_from_client: client.0,
        bytes_from_node: server.0,
        messages_from_client: client.1,
        messages_from_node: server.1,
        waiting: is_framed && quiet_since.is_none(),
        ..identity(of, node.name())
    }
}

fn identity(of: &Identity, node: &str) -> model::Session {
    model::Session {
        id: of.id.to_string(),
        session: of.session.as_deref().map(Into::into),
        client: of.client.to_string(),
        user: of.user.as_deref().map(Into::into),
        route: of.route.to_string(),
        upstream: of.upstream.to_string(),
        node: node.to_owned(),
        transport: of.transport.to_owned(),
        http: of.protocol.label().to_owned(),
        ..model::Session::default()
    }
}

fn polling(
    polling: &PollingSession,
    (route, upstream): (&str, &str),
    now: Instant,
) -> model::Session {
    let seconds = |at: Instant| now.saturating_duration_since(at).as_secs_f64();
    model::Session {
        id: polling.id.to_string(),
        session: Some(polling.shown.clone()),
        client: polling.client.to_string(),
        route: route.to_owned(),
        upstream: upstream.to_owned(),
        node: polling.node.to_string(),
        transport: "polling".to_owned(),
        age_seconds: seconds(polling.opened_at),
        idle_seconds: seconds(polling.polled_at),
        stuck: polling.stuck.map(|verdict| {
            let [outcome, cause] = verdict.labels();
            model::StuckCause {
                outcome: outcome.to_owned(),
                cause: cause.to_owned(),
                sessions: 1,
                hint: Summary::hint([outcome, cause]).to_owned(),
            }
        }),
        ..model::Session::default()
    }
}

fn packets(frames: &LastFrames, until: Instant) -> Vec<model::Packet> {
    let packet = |(side, frame): (Side, crate::websocket::PastFrame)| model::Packet {
        seconds_ago: until.saturating_duration_since(frame.at).as_secs_f64(),
        from: side.label().to_owned(),
        opcode: frame.opcode.label().to_owned(),
        bytes: frame.bytes,
    };
    frames.iter().map(packet).collect()
}

fn nodes(snapshot: &Snapshot) -> impl Iterator<Item = &Arc<Node>> {
    snapshot.all_upstreams().flat_map(|upstream| upstream.all_nodes())
}

/// Shows the sessions that poll, with the names of their route and upstream.
fn visit_polling(
    snapshot: &Snapshot,
    now: Instant,
    mut visit: impl FnMut(&PollingSession, &str, &str),
) {
    for route in snapshot.routes.iter().filter_map(|route| route.upstream()) {
        for session in route.insight.polling_sessions(now) {
            visit(&session, &route.label, route.upstream.name());
        }
    }
}

/// How long a tunnel may take to say what it knows: its worker is busy if it takes longer.
const INSPECTION_MAX: Duration = Duration::from_secs(1);

/// More than the limit is kept for a while, so that not each session is sorted in.
const SPARE: usize = 1000;
