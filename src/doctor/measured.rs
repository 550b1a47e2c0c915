//! What single probes have measured, as plain facts.
//!
//! Pure. Runs at start, at reload, or on a timer.

use serde::Serialize;

/// Requests of sessions on new connections.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Stickiness {
    /// Sessions that were opened.
    pub(crate) sessions: u32,
    /// Handshakes that failed.
    pub(crate) handshakes_failed: u32,
    /// Requests of sessions with the cookies of the handshake.
    pub(crate) with_cookies: Reached,
    /// Requests of sessions without cookies, as clients on Node.js send them.
    pub(crate) without_cookies: Reached,
    /// Requests on the connection of the handshake.
    pub(crate) same_connection: Reached,
    /// How many processes made the session ids, at least. `None` if they do not show it.
    pub(crate) processes_min: Option<usize>,
}

/// Where the requests of sessions arrived.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Reached {
    /// At the node of the session.
    pub(crate) own: u32,
    /// At a node that does not know the session.
    pub(crate) other: u32,
    /// Nowhere, or refused for other reasons.
    pub(crate) failed: u32,
}

/// Sessions that were left alone but for their heartbeat.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Idle {
    /// How long was watched at most, in milliseconds.
    pub(crate) patience_ms: u64,
    /// By polling.
    pub(crate) polling: Option<Watch>,
    /// By WebSocket.
    pub(crate) websocket: Option<Watch>,
}

/// How long an idle session lived.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Watch {
    /// From its begin, in milliseconds.
    pub(crate) lived_ms: u64,
    /// How it ended. `None` if it lived on.
    pub(crate) cut: Option<Cut>,
    /// Heartbeats that came.
    pub(crate) heartbeats: u32,
    /// The longest that a heartbeat was late, in milliseconds.
    pub(crate) heartbeat_late_ms: u64,
}

/// How an idle session ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Cut {
    /// From the last byte in any direction to the end, in milliseconds.
    pub(crate) silent_ms: u64,
    /// The status of the answer to a poll, if there was one.
    pub(crate) status: Option<u16>,
    /// The Close code, if there was one.
    pub(crate) close_code: Option<u16>,
    /// Whether it ended by a Close frame, so in order.
    pub(crate) in_order: bool,
    /// In words.
    pub(crate) detail: String,
}

/// Answers of the server to a small message, by a WebSocket.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Delays {
    /// How many were measured.
    pub(crate) samples: u32,
    /// The median, in milliseconds.
    pub(crate) median_ms: u64,
    /// The longest, in milliseconds.
    pub(crate) longest_ms: u64,
    /// How many took about a second or longer.
    pub(crate) stalls: u32,
}

/// The largest messages that pass.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Payload {
    /// What the server announces, in bytes.
    pub(crate) announced: Option<u64>,
    /// What was asked for, in bytes.
    pub(crate) tried: u64,
    /// To the server, by polling.
    pub(crate) up_polling: Option<Limit>,
    /// To the server, by WebSocket.
    pub(crate) up_websocket: Option<Limit>,
    /// To the client, by polling.
    pub(crate) down_polling: Option<Limit>,
    /// To the client, by WebSocket.
    pub(crate) down_websocket: Option<Limit>,
}

/// Where a limit is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Limit {
    /// The largest that passed, in bytes.
    pub(crate) passed: u64,
    /// The smallest that did not, in bytes.
    pub(crate) refused: Option<u64>,
    /// What came instead.
    pub(crate) how: String,
}

/// Which fields a page of another origin gets.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Cors {
    /// The origin that was sent.
    pub(crate) asked: String,
    /// Each `Access-Control-Allow-Origin` of the response to a handshake.
    pub(crate) allow_origin: Vec<String>,
    /// Each `Access-Control-Allow-Credentials`.
    pub(crate) allow_credentials: Vec<String>,
    /// The status of the handshake.
    pub(crate) status: u16,
    /// The status of the preflight request.
    pub(crate) preflight: Option<u16>,
}

/// Compression.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Compression {
    /// `Content-Encoding` of a handshake to a client that takes gzip.
    pub(crate) handshake: Option<String>,
    /// `Content-Encoding` of a long response.
    pub(crate) long_response: Option<String>,
    /// Whether permessage-deflate was agreed on.
    pub(crate) permessage_deflate: bool,
}

/// HTTP/2.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Http2 {
    /// Whether the server chose it.
    pub(crate) chosen: bool,
    /// The status of a polling handshake.
    pub(crate) handshake: Option<u16>,
    /// Whether the server announces extended CONNECT (RFC 8441).
    pub(crate) extended_connect: bool,
    /// The status of a WebSocket by extended CONNECT, if it is announced.
    pub(crate) websocket: Option<u16>,
    /// What went wrong.
    pub(crate) fault: Option<String>,
}

/// The answer to a client of the other version of the protocol.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct VersionAnswer {
    /// The version that was asked for.
    pub(crate) eio: u8,
    /// Whether a session was opened.
    pub(crate) opens: bool,
    /// The error code of Engine.IO.
    pub(crate) code: Option<u64>,
}

/// What arrived at a node of the doctor's own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Arrival {
    /// Where it listened.
    pub(crate) listened: String,
    /// Why it could not listen.
    pub(crate) failed: Option<String>,
    /// The handshake. `None`: it did not arrive.
    pub(crate) polling: Option<Arrived>,
    /// The WebSocket handshake. `None`: it did not arrive.
    pub(crate) websocket: Option<Arrived>,
    /// Whether the first part of a slow response came before its last; `None` if that was not tried.
    pub(crate) streams: Option<bool>,
    /// What the doctor's client sent as `Host`.
    pub(crate) host_sent: String,
    /// The path and query that it sent.
    pub(crate) target_sent: String,
}

/// A request at a node of the doctor's own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Arrived {
    /// `HTTP/1.0` or `HTTP/1.1`.
    pub(crate) version: String,
    /// Path and query.
    pub(crate) target: String,
    /// All fields in their order, with lower-case names; values are cut.
    pub(crate) fields: Vec<(String, String)>,
}

impl Arrived {
    /// The value of a field.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }
}

/// Messages in a room, between nodes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Rooms {
    /// Why it could not be tried.
    pub(crate) failed: Option<String>,
    /// The names of the nodes.
    pub(crate) nodes: Vec<String>,
    /// Each pair.
    pub(crate) pairs: Vec<RoomPair>,
}

/// Messages from a client on one node to a client on another or the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct RoomPair {
    /// The index of the sender's node.
    pub(crate) from: usize,
    /// The index of the receiver's node.
    pub(crate) to: usize,
    /// Messages that were sent.
    pub(crate) sent: u32,
    /// Those of them that arrived, each counted once.
    pub(crate) arrived: u32,
    /// Those that arrived more than once.
    pub(crate) doubled: u32,
    /// The median time on the way, in milliseconds.
    pub(crate) median_ms: Option<u64>,
}

/// The memory of Sockeye, from its admin listener.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Memory {
    /// Why it could not be asked.
    pub(crate) failed: Option<String>,
    /// Memory in use at the begin and at the end, in bytes.
    pub(crate) bytes: Option<(u64, u64)>,
    /// Tunnels at the begin and at the end.
    pub(crate) tunnels: (u64, u64),
    /// How long was between them, in milliseconds.
    pub(crate) between_ms: u64,
}

impl Memory {
    /// A first look.
    pub(crate) fn first(looked: Result<(Option<u64>, u64), String>) -> Self {
        match looked {
            Ok((bytes, tunnels)) => {
                let bytes = bytes.map(|bytes| (bytes, bytes));
                Self { bytes, tunnels: (tunnels, tunnels), ..Self::default() }
            }
            Err(failed) => Self { failed: Some(failed), ..Self::default() },
        }
    }

    /// The second look, `between_ms` later.
    pub(crate) fn second(&mut self, looked: Result<(Option<u64>, u64), String>, between_ms: u64) {
        self.between_ms = between_ms;
        match looked {
            Ok((bytes, tunnels)) => {
                self.bytes = self.bytes.zip(bytes).map(|((before, _), after)| (before, after));
                self.tunnels.1 = tunnels;
            }
            Err(failed) => self.failed = Some(failed),
        }
    }
}
