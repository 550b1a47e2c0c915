//! All that the doctor can find, with how bad each is and what it leads to.
//!
//! Pure. Runs at start, at reload, or on a timer.

use serde::Serialize;

use super::Level::{self, Breaks, BreaksWhen, Hint};
use super::Symptom::{self, Drops, MemoryGrows, NoSession, RoomMessagesLost, StuckInPolling};

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Fault {
    /// The host name has no address.
    NameUnknown,
    /// Nobody accepts connections.
    NoConnection,
    /// The TLS handshake fails.
    TlsFails,
    /// There is no Engine.IO at the path.
    WrongPath,
    /// Something else than Engine.IO answers.
    NotEngineIo,
    /// The proxy has no node that answers.
    NodesUnreachable,
    /// The client is refused.
    ClientRefused,
    /// The client is sent to another URL.
    Redirected,
    /// Clients of Socket.IO 1 and 2 are refused.
    OldClientsRefused,
    /// The server is older than its clients.
    OldServer,
    /// A page of the origin may not read responses.
    CorsMissing,
    /// The fields for pages of other origins are there twice.
    CorsTwice,
    /// `Upgrade` does not reach the node.
    UpgradeLost,
    /// The WebSocket handshake is refused.
    UpgradeRefused,
    /// A WebSocket opens, and messages do not pass.
    WebsocketMute,
    /// The server offers no polling.
    PollingNotOffered,
    /// The server offers no WebSocket.
    WebsocketNotOffered,
    /// Responses to polls are held back.
    PollsHeldBack,
    /// Requests of a session reach other nodes.
    NotSticky,
    /// One address of a node is several processes.
    SeveralProcesses,
    /// Something ends idle sessions before their heartbeat.
    IdleCut,
    /// The server ends sessions.
    ClosedByServer,
    /// The node does not answer for a second and longer.
    EventLoopBlocked,
    /// Messages that the server allows do not pass.
    PayloadLimit,
    /// Nodes announce different timings.
    TimingsDiffer,
    /// Nodes announce different payloads.
    PayloadsDiffer,
    /// Clocks of nodes differ.
    ClocksDiffer,
    /// A node does not answer past the proxy.
    NodeUnreachable,
    /// Nodes with cluster-engine do not reach each other.
    ClusterEngineApart,
    /// Nodes do not share messages.
    AdapterMissing,
    /// Nodes share messages in groups.
    AdapterSplit,
    /// Messages between nodes take long.
    AdapterSlow,
    /// Some messages do not arrive, or twice.
    RoomMessagesLost,
    /// Memory grows, and the number of clients does not.
    MemoryGrows,
    /// The proxy does not say who the client is.
    ForwardedMissing,
    /// The proxy changes `Host`.
    HostChanged,
    /// The proxy changes the path.
    PathChanged,
    /// The proxy holds responses until they are complete.
    ResponsesBuffered,
    /// HTTP/2 is announced and does not work.
    Http2Broken,
}

impl Fault {
    /// How bad it is, and what it leads to.
    pub(super) fn facts(self) -> (Level, &'static [Symptom]) {
        match self {
            Self::NameUnknown
            | Self::NoConnection
            | Self::TlsFails
            | Self::WrongPath
            | Self::NotEngineIo
            | Self::ClientRefused
            | Self::Redirected
            | Self::OldClientsRefused
            | Self::OldServer
            | Self::CorsMissing
            | Self::CorsTwice
            | Self::Http2Broken => (Breaks, &[NoSession]),
            Self::UpgradeLost
            | Self::UpgradeRefused
            | Self::WebsocketMute
            | Self::WebsocketNotOffered => (Breaks, &[StuckInPolling]),
            Self::PollsHeldBack => (BreaksWhen, &[StuckInPolling, Drops]),
            Self::NotSticky | Self::SeveralProcesses => (Breaks, &[StuckInPolling, Drops]),
            Self::ClusterEngineApart => (Breaks, &[StuckInPolling, Drops]),
            Self::IdleCut | Self::ClosedByServer => (Breaks, &[Drops]),
            Self::EventLoopBlocked | Self::PayloadLimit => (BreaksWhen, &[Drops]),
            Self::NodesUnreachable => (Breaks, &[NoSession, Drops]),
            Self::NodeUnreachable => (BreaksWhen, &[NoSession]),
            Self::AdapterMissing | Self::AdapterSplit | Self::RoomMessagesLost => {
                (Breaks, &[RoomMessagesLost])
            }
            Self::AdapterSlow => (BreaksWhen, &[RoomMessagesLost]),
            Self::MemoryGrows => (BreaksWhen, &[MemoryGrows]),
            // Clients with transports: ["websocket"] need none.
            Self::PollingNotOffered
            | Self::TimingsDiffer
            | Self::PayloadsDiffer
            | Self::ClocksDiffer
            | Self::ForwardedMissing
            | Self::HostChanged
            | Self::PathChanged
            | Self::ResponsesBuffered => (Hint, &[]),
        }
    }
}
