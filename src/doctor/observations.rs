//! What the probes have seen, as plain facts: no opinion is in them.
//!
//! Pure. Runs at start, at reload, or on a timer.

use std::fmt;

use serde::Serialize;

use super::measured::{
    Arrival, Compression, Cors, Delays, Http2, Idle, Memory, Payload, Rooms, Stickiness,
    VersionAnswer,
};
use super::packets::Open;
use super::product::Product;
use super::road::{Failure, TlsFacts};
use super::socket::End;

/// All facts of a run. What was not looked at is `None` or empty.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Observations {
    /// The URL. `None` if only nodes were looked at.
    pub(crate) url: Option<String>,
    /// The version of the protocol that clients speak: 4, or 3 for Socket.IO 1 and 2.
    pub(crate) eio: u8,
    /// The origin of the pages, if the operator named it.
    pub(crate) origin: Option<String>,
    /// What answers, as far as it shows.
    pub(crate) product: Option<Product>,
    /// Whether the operator named the product.
    pub(crate) product_named: bool,
    /// Fields that name a program or a network.
    pub(crate) announced: Vec<(String, String)>,
    /// Step by step through the URL.
    pub(crate) trace: Trace,
    /// The same past the proxy, for each node.
    pub(crate) nodes: Vec<NodeFacts>,
    /// Other paths, if there is no session at the path of the URL.
    pub(crate) paths: Vec<PathTried>,
    /// Whether the requests of a session reach its node.
    pub(crate) stickiness: Option<Stickiness>,
    /// Sessions that were left alone.
    pub(crate) idle: Option<Idle>,
    /// How fast the node answers while nothing else happens.
    pub(crate) delays: Option<Delays>,
    /// The largest messages.
    pub(crate) payload: Option<Payload>,
    /// Which fields a page of another origin gets.
    pub(crate) cors: Option<Cors>,
    /// Compression of responses and messages.
    pub(crate) compression: Option<Compression>,
    /// HTTP/2. `None` without TLS.
    pub(crate) http2: Option<Http2>,
    /// Clients of the other version.
    pub(crate) other_version: Option<VersionAnswer>,
    /// What the proxy sends to a node.
    pub(crate) arrival: Option<Arrival>,
    /// Messages between nodes.
    pub(crate) rooms: Option<Rooms>,
    /// The memory of Sockeye.
    pub(crate) memory: Option<Memory>,
    /// Requests that were refused for a moment: 429, or 503 although sessions open.
    pub(crate) held_off: u32,
    /// Whether the run ended before all was looked at.
    pub(crate) cut_short: bool,
}

/// One way of a client, step by step.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Trace {
    /// In their order.
    pub(crate) steps: Vec<Step>,
    /// The addresses of the name.
    pub(crate) addresses: Vec<String>,
    /// `None` without TLS, or if there is no connection.
    pub(crate) tls: Option<TlsFacts>,
    /// The polling handshake. `None` if it was not reached.
    pub(crate) handshake: Option<Handshake>,
    /// The answer to the CONNECT. `None` if there was none.
    pub(crate) connected: Option<Greeting>,
    /// The upgrade from polling. `None` if it was not reached.
    pub(crate) upgrade: Option<SocketOutcome>,
    /// From the probe's answer to the end of the pending poll, in milliseconds.
    pub(crate) noop_ms: Option<u64>,
    /// A WebSocket without polling. `None` if it was not reached.
    pub(crate) alone: Option<SocketOutcome>,
    /// What the open packet by a WebSocket alone announces.
    pub(crate) alone_open: Option<Open>,
}

/// A step of a trace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Step {
    /// Its name.
    pub(crate) name: &'static str,
    /// How long it took, in milliseconds. `None` if it was left out.
    pub(crate) took_ms: Option<u64>,
    /// Whether it succeeded.
    pub(crate) ok: bool,
    /// What was seen, or why it failed.
    pub(crate) detail: String,
}

/// The polling handshake.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "outcome")]
pub(crate) enum Handshake {
    /// A session was opened.
    Opened {
        /// What it announces.
        open: Open,
        /// The name of a cookie that may bind the client to a node.
        cookie: Option<String>,
    },
    /// The answer is something else.
    Answered(Answered),
    /// There was none.
    Failed(Failure),
}

/// A response that was not the expected one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Answered {
    /// Its status.
    pub(crate) status: u16,
    /// Its `Location`.
    pub(crate) location: Option<String>,
    /// The error code of Engine.IO in its body.
    pub(crate) code: Option<u64>,
    /// The begin of its body.
    pub(crate) body: String,
}

/// The answer to the CONNECT to the main namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "outcome")]
pub(crate) enum Greeting {
    /// The client is connected.
    Connected,
    /// The application refuses it.
    Refused {
        /// Why.
        message: String,
    },
}

/// What became of a WebSocket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "outcome")]
pub(crate) enum SocketOutcome {
    /// Messages pass in both directions.
    Works,
    /// The handshake was answered by another response than 101.
    Answered(Answered),
    /// It opened, but messages did not pass.
    Mute {
        /// What was waited for.
        awaited: &'static str,
        /// What came instead.
        end: End,
    },
    /// The handshake had no response.
    Failed(Failure),
    /// The server does not offer it.
    NotOffered,
}

/// What was seen of one node past the proxy.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct NodeFacts {
    /// As the operator wrote it.
    pub(crate) name: String,
    /// Step by step.
    pub(crate) trace: Trace,
    /// Whether it is one process.
    pub(crate) stickiness: Option<Stickiness>,
    /// Sessions that were left alone.
    pub(crate) idle: Option<Idle>,
    /// How fast it answers.
    pub(crate) delays: Option<Delays>,
    /// Its clock before ours, in seconds, by its `Date`.
    pub(crate) clock_ahead_seconds: Option<i64>,
    /// Clients of the other version.
    pub(crate) other_version: Option<VersionAnswer>,
    /// Its answer to a session of another node.
    pub(crate) foreign_session: Option<ForeignSession>,
}

/// The answer of a node to a session of another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ForeignSession {
    /// It does not know it, and says so immediately: each node has its own sessions.
    Unknown,
    /// It serves it: `@socket.io/cluster-engine`.
    Served,
    /// It asks others for a second, in vain: cluster-engine that does not reach them.
    UnknownAfterAsking,
}

/// A path that was tried.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct PathTried {
    /// The path.
    pub(crate) path: String,
    /// Whether a session opens there.
    pub(crate) opens: bool,
}

impl Trace {
    /// The open packet of the polling handshake.
    pub(crate) fn open(&self) -> Option<&Open> {
        match self.handshake.as_ref()? {
            Handshake::Opened { open, .. } => Some(open),
            Handshake::Answered(_) | Handshake::Failed(_) => None,
        }
    }

    /// The open packet of any transport.
    pub(crate) fn any_open(&self) -> Option<&Open> {
        self.open().or(self.alone_open.as_ref())
    }

    /// Whether clients of version `eio` get sessions of an older server, with which they cannot speak.
    pub(crate) fn is_too_old(&self, eio: u8) -> bool {
        eio != 3 && self.open().is_some_and(|open| open.is_old)
    }

    /// Whether a client connects, upgrades and exchanges messages.
    pub(crate) fn is_whole(&self) -> bool {
        self.open().is_some()
            && self.upgrade == Some(SocketOutcome::Works)
            && self.alone == Some(SocketOutcome::Works)
    }
}

/// In one line, for people.
impl fmt::Display for Answered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "answered with {}", self.status)?;
        match (&self.location, self.body.is_empty()) {
            (Some(location), _) => write!(f, ", to {location}"),
            (None, false) => write!(f, ": {}", self.body),
            (None, true) => Ok(()),
        }
    }
}

/// In one line, for people.
impl fmt::Display for SocketOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Works => f.write_str("messages pass"),
            Self::Answered(answered) => answered.fmt(f),
            Self::Mute { awaited, end } => write!(f, "101, but {awaited} did not come: {end}"),
            Self::Failed(failure) => write!(f, "no answer: {}", failure.detail),
            Self::NotOffered => f.write_str("the server offers no WebSocket"),
        }
    }
}

/// In a few words, for people.
impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed { code: Some(code) } => write!(f, "closed with {code}"),
            Self::Closed { code: None } => f.write_str("closed without a code"),
            Self::Dropped { detail } if detail.is_empty() => {
                f.write_str("the connection was closed")
            }
            Self::Dropped { detail } => write!(f, "the connection failed: {detail}"),
            Self::Malformed { detail } => write!(f, "no WebSocket frame came: {detail}"),
            Self::Silent => f.write_str("silence"),
        }
    }
}
