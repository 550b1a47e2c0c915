//! `/sessions` and `/tail`: sessions that are open, and those that ended last.
//!
//! Pure. Runs at start, at reload, or on a timer.

use serde::{Deserialize, Serialize};

use super::StuckCause;

/// `/sessions`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct Sessions {
    /// How many open sessions fit the filters.
    pub matching: usize,
    /// How many of these are listed.
    pub shown: usize,
    /// The open sessions.
    pub sessions: Vec<Session>,
    /// Those that ended last and fit the filters, the latest first.
    pub ended: Vec<EndedSession>,
}

/// An open session.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct Session {
    /// Names it to operators, as long as the process lives.
    pub id: String,
    /// The first characters of the sid; `None` if it is none of Engine.IO.
    pub session: Option<String>,
    /// The client's address.
    pub client: String,
    /// The name of the client that the rules of the route found.
    pub user: Option<String>,
    /// Host and path of the route.
    pub route: String,
    /// The upstream.
    pub upstream: String,
    /// The node.
    pub node: String,
    /// `websocket`, `polling`, or `upgrade` for another protocol.
    pub transport: String,
    /// The HTTP of the handshake, `http1` or `http2`; empty if not known.
    pub http: String,
    /// The time since its handshake, or since the 101 of its WebSocket.
    pub age_seconds: f64,
    /// The time since the last bytes, or the last request.
    pub idle_seconds: f64,
    /// Bytes from the client, of its WebSocket alone.
    pub bytes_from_client: u64,
    /// Bytes from the node, of its WebSocket alone.
    pub bytes_from_node: u64,
    /// Messages from the client, of its WebSocket alone.
    pub messages_from_client: u64,
    /// Messages from the node, of its WebSocket alone.
    pub messages_from_node: u64,
    /// Whether bytes wait for one of its sides.
    pub waiting: bool,
    /// Why it is stuck in polling, if it is.
    pub stuck: Option<StuckCause>,
}

/// A session that ended.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct EndedSession {
    /// The session as it was at its end.
    #[serde(flatten)]
    pub session: Session,
    /// When it ended, in seconds since 1970.
    pub ended_at: f64,
    /// How it ended, as the log names it.
    pub end: String,
    /// The side that ended it: `client`, `node`, `proxy` or `operator`.
    pub by: String,
    /// The code of the Close frame.
    pub code: Option<u16>,
    /// Why, if it was abnormal and the cause can be seen.
    pub cause: Option<String>,
    /// What was seen of the cause.
    pub explanation: Option<String>,
}

/// `/sessions/{id}`: all that is known of one session.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct SessionDetail {
    /// The session, if it is open.
    pub session: Option<Session>,
    /// The session, if it has ended.
    pub ended: Option<EndedSession>,
    /// What happened, in this order.
    pub timeline: Vec<Moment>,
    /// Its last frames, the oldest first; none of a quiet session.
    pub packets: Vec<Packet>,
}

/// A moment of a session.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct Moment {
    /// The time, in seconds since 1970.
    pub at: f64,
    /// Seconds since the first moment.
    pub seconds: f64,
    /// What happened.
    pub what: String,
    /// What is to be said of it.
    pub detail: Option<String>,
}

/// A frame that has passed.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct Packet {
    /// How long ago; of an ended session, before its end.
    pub seconds_ago: f64,
    /// `client` or `node`.
    pub from: String,
    /// What it carries.
    pub opcode: String,
    /// The length of its payload.
    pub bytes: u32,
}

/// `/sessions/{id}/end`: a session that was told to end.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct SessionEnded {
    /// Its id.
    pub id: String,
    /// Always true.
    pub ended: bool,
}

/// `/tail`: the answer to a handshake.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct Handshake {
    /// When it was answered, in seconds since 1970.
    pub at: f64,
    /// The client's address.
    pub client: String,
    /// The path of the request.
    pub path: String,
    /// The node.
    pub node: String,
    /// `polling` or `websocket`.
    pub transport: String,
    /// The status of the response.
    pub status: u16,
    /// How long the client waited.
    pub millis: u64,
}

/// `/sessions/{id}/watch`: a frame that has passed.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct Frame {
    /// Seconds since the watch began.
    pub seconds: f64,
    /// `client` or `node`.
    pub from: String,
    /// What it carries.
    pub opcode: String,
    /// The length of its payload.
    pub bytes: u64,
    /// Whether its message is compressed.
    pub compressed: bool,
    /// The type of the packet of Engine.IO.
    pub engineio: Option<String>,
    /// The type of the packet of Socket.IO.
    pub socketio: Option<String>,
    /// Its namespace.
    pub namespace: Option<String>,
    /// The name of its event.
    pub event: Option<String>,
    /// Its payload without secrets, if that was asked for and can be shown.
    pub payload: Option<String>,
}

/// `/sessions/{id}/watch`: how the session ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct WatchEnded {
    /// How, as the log names it.
    pub end: String,
    /// The side that ended it: `client`, `node`, `proxy` or `operator`.
    pub by: String,
}
