//! The endpoints about sessions: lists, time lines, ends and handshakes as they come, and the command to end
//! one.
//!
//! Runs at start, at reload, or on a timer.

use http::StatusCode;

use super::answer::{Answer, events, json, refuse};
use super::model::SessionEnded;
use super::query::parameters;
use super::session_filter::SessionFilter;
use super::sessions;
use super::state::AdminState;
use super::tail::{self, TailFilter};
use super::watch::{self, Watch};
use crate::tunnel::SessionId;

/// `/sessions`.
pub(super) fn list(state: &AdminState, query: Option<&str>) -> Answer {
    match SessionFilter::parse(query) {
        Ok(filter) => json(StatusCode::OK, &sessions::list(state, &filter)),
        Err(sentence) => refuse(StatusCode::BAD_REQUEST, sentence),
    }
}

/// `/sessions/{id}`.
pub(super) async fn detail(state: &AdminState, id: &str) -> Answer {
    let Ok(id) = id.parse::<SessionId>() else { return unknown(id) };
    match sessions::detail(state, id).await {
        Some(detail) => json(StatusCode::OK, &detail),
        None => unknown(&id.to_string()),
    }
}

/// `/sessions/{id}/end`.
pub(super) fn end(state: &AdminState, id: &str) -> Answer {
    let Ok(parsed) = id.parse::<SessionId>() else { return unknown(id) };
    let snapshot = state.current.load();
    if let Some((tunnel, _)) = sessions::find(&snapshot, parsed) {
        tunnel.end();
        return json(StatusCode::OK, &SessionEnded { id: parsed.to_string(), ended: true });
    }
    match sessions::is_polling(&snapshot, parsed) {
        true => refuse(
            StatusCode::CONFLICT,
            "this session polls: only its server can end it, by socket.disconnect(true)",
        ),
        false => unknown(id),
    }
}

/// `/sessions/{id}/watch`.
pub(super) fn watch(state: &AdminState, id: &str, query: Option<&str>) -> Answer {
    let Ok(parsed) = id.parse::<SessionId>() else { return unknown(id) };
    let snapshot = state.current.load();
    let Some((tunnel, _)) = sessions::find(&snapshot, parsed) else {
        return match sessions::is_polling(&snapshot, parsed) {
            true => refuse(StatusCode::CONFLICT, "this session polls: it has no frames"),
            false => unknown(id),
        };
    };
    if tunnel.identity().transport != "websocket" {
        return refuse(
            StatusCode::CONFLICT,
            "this is another protocol than WebSocket: it has no frames",
        );
    }
    let watch = Watch {
        id: parsed,
        has_heartbeat: tunnel.identity().has_heartbeat,
        with_payload: shows_payload(query),
    };
    let ended = snapshot.ended.clone();
    events(&state.streams, "frames", |sender| {
        let frames = tunnel.watch();
        state.tasks.spawn(async move { watch::follow(watch, frames, &ended, sender).await });
    })
}

/// Whether a watch is to show payloads, which is for operators alone.
pub(super) fn shows_payload(query: Option<&str>) -> bool {
    parameters(query).any(|(name, _)| name == "payload")
}

/// `/tail`.
pub(super) fn tail(state: &AdminState, query: Option<&str>) -> Answer {
    let filter = match TailFilter::parse(query) {
        Ok(filter) => filter,
        Err(sentence) => return refuse(StatusCode::BAD_REQUEST, sentence),
    };
    let ended = state.current.load().ended.clone();
    events(&state.streams, "events", |sender| {
        state.tasks.spawn(async move { tail::follow(&ended, filter, sender).await });
    })
}

fn unknown(id: &str) -> Answer {
    let id: String = id.chars().filter(char::is_ascii_alphanumeric).take(16).collect();
    let sentence =
        format!("there is no session `{id}`: it ended long ago, or its id is of another process");
    refuse(StatusCode::NOT_FOUND, sentence)
}
