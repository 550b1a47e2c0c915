//! Why a tunnel ended, who ended it, and what had passed by then.
//!
//! Pure. Runs at start, at reload, or on a timer.

use std::time::Duration;

use super::frame::FrameError;

/// What a tunnel says when it is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    /// Why it ended: the first cause, whatever followed from it.
    pub end: End,
    /// What came from the client.
    pub from_client: Counts,
    /// What came from the node.
    pub from_node: Counts,
    /// The code of the side's Close frame that ended it; else of ours, the client's if it got one.
    /// `None` if there was none, or one without a code.
    pub close_code: Option<u16>,
    /// From the 101 to the end.
    pub duration: Duration,
}

/// What came from one side. Behind a Close frame, or once the stream is not WebSocket's any more
/// (see [`FrameError`](super::FrameError)), frames are not counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Bytes, heads and payloads.
    pub bytes: u64,
    /// Data messages, by their last frame.
    pub messages: u64,
    /// Frames of all kinds whose last byte has come; begins anew at 2^32.
    pub frames: u32,
    /// Pings, Pongs, Closes; begins anew at 2^32.
    pub control_frames: u32,
}

/// Why a tunnel ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The client sent a Close frame, with this code.
    ClientClosed(Option<u16>),
    /// The node sent a Close frame, with this code.
    NodeClosed(Option<u16>),
    /// The client's stream ended without a Close frame.
    ClientLeft,
    /// The node's stream ended without a Close frame.
    NodeLeft,
    /// The client's connection failed.
    ClientReset,
    /// The node's connection failed.
    NodeReset,
    /// Nothing came from either side for the idle timeout.
    Idle,
    /// No message that counts came from either side for the timeout of messages.
    IdleMessages,
    /// The tunnel was as old as tunnels may be.
    MaxAge,
    /// Nothing came from this side in spite of a Ping of ours.
    KeepaliveLost(Side),
    /// The client took none of what waited for it for too long.
    StalledClient,
    /// The node took none of what waited for it for a minute.
    StalledNode,
    /// The client began a message that is longer than allowed.
    TooBig,
    /// The client sent more messages or control frames than allowed.
    TooFast,
    /// The client broke RFC 6455.
    BadFrame(FrameError),
    /// The process is being drained.
    Drained,
    /// The node is being drained.
    NodeDrained,
    /// The node had more tunnels than its share.
    Rebalanced,
}

/// One of a tunnel's two ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Who asked for the upgrade.
    Client,
    /// Who granted it.
    Node,
}

/// How an end goes on once its cause is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Manner {
    /// A side began it: the other hears of it and may answer.
    Theirs,
    /// We began it: both hear of it, each at the end of a frame, and may answer.
    Ours,
    /// We began it since the client broke a rule: the node hears of it at once, the client when the
    /// node has said its last.
    Offence,
    /// We began it since a side is as good as gone: at once, without waiting for a frame's end.
    AtOnce,
}

/// Who ended a tunnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// The client, or the network on its side.
    Client,
    /// The node, or the network on its side.
    Node,
    /// The proxy, by a rule of the route or the upstream.
    Proxy,
    /// The operator, by a drain or a stop.
    Operator,
}

impl End {
    /// The name in metrics and logs.
    pub fn label(self) -> &'static str {
        self.facts().0
    }

    /// Who ended it.
    pub fn who(self) -> Who {
        self.facts().1
    }

    /// Which rule of RFC 6455 the client broke, if that ended it.
    pub fn fault(self) -> Option<FrameError> {
        if let Self::BadFrame(error) = self { Some(error) } else { None }
    }

    pub(super) fn manner(self) -> Manner {
        match self {
            Self::ClientClosed(_)
            | Self::NodeClosed(_)
            | Self::ClientLeft
            | Self::NodeLeft
            | Self::ClientReset
            | Self::NodeReset => Manner::Theirs,
            Self::Idle
            | Self::IdleMessages
            | Self::MaxAge
            | Self::Drained
            | Self::NodeDrained
            | Self::Rebalanced => Manner::Ours,
            Self::TooBig | Self::TooFast | Self::BadFrame(_) => Manner::Offence,
            Self::KeepaliveLost(_) | Self::StalledClient | Self::StalledNode => Manner::AtOnce,
        }
    }

    fn facts(self) -> (&'static str, Who) {
        match self {
            Self::ClientClosed(_) => ("client_closed", Who::Client),
            Self::NodeClosed(_) => ("node_closed", Who::Node),
            Self::ClientLeft => ("client_left", Who::Client),
            Self::NodeLeft => ("node_left", Who::Node),
            Self::ClientReset => ("client_reset", Who::Client),
            Self::NodeReset => ("node_reset", Who::Node),
            Self::Idle => ("idle", Who::Proxy),
            Self::IdleMessages => ("idle_messages", Who::Proxy),
            Self::MaxAge => ("max_age", Who::Proxy),
            Self::KeepaliveLost(Side::Client) => ("keepalive_lost", Who::Client),
            Self::KeepaliveLost(Side::Node) => ("keepalive_lost", Who::Node),
            Self::StalledClient => ("stalled_client", Who::Client),
            Self::StalledNode => ("stalled_node", Who::Node),
            Self::TooBig => ("too_big", Who::Client),
            Self::TooFast => ("too_fast", Who::Client),
            Self::BadFrame(_) => ("bad_frame", Who::Client),
            Self::Drained => ("drained", Who::Operator),
            Self::NodeDrained => ("node_drained", Who::Operator),
            Self::Rebalanced => ("rebalanced", Who::Proxy),
        }
    }
}

impl Who {
    /// The name in metrics and logs.
    pub fn label(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Node => "node",
            Self::Proxy => "proxy",
            Self::Operator => "operator",
        }
    }
}

impl Side {
    /// Both.
    pub(super) const ALL: [Self; 2] = [Self::Client, Self::Node];

    /// Who is at the other end.
    pub(super) fn other(self) -> Self {
        match self {
            Self::Client => Self::Node,
            Self::Node => Self::Client,
        }
    }
}
