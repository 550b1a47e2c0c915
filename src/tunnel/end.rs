//! Why a tunnel ended, who ended it, and what had passed by then.
//!
//! Pure. Runs at start, at reload, or on a timer.

use std::time::Duration;

/// What a tunnel says when it is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    /// Why it ended: the first cause, whatever followed from it.
    pub end: End,
    /// What came from the client.
    pub from_client: Counts,
    /// What came from the node.
    pub from_node: Counts,
    /// The code of the first Close frame, be it a side's or ours; `None` if there was none, or
    /// one without a code.
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
    /// Frames of all kinds whose last byte has come.
    pub frames: u64,
    /// Data messages, by their last frame.
    pub messages: u64,
    /// Pings, Pongs, Closes.
    pub control_frames: u64,
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
    /// The node or the process is being drained.
    Drained,
}

/// Who ended a tunnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// The client, or the network on its side.
    Client,
    /// The node, or the network on its side.
    Node,
    /// The proxy, by a rule of the route.
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

    fn facts(self) -> (&'static str, Who) {
        match self {
            Self::ClientClosed(_) => ("client_closed", Who::Client),
            Self::NodeClosed(_) => ("node_closed", Who::Node),
            Self::ClientLeft => ("client_left", Who::Client),
            Self::NodeLeft => ("node_left", Who::Node),
            Self::ClientReset => ("client_reset", Who::Client),
            Self::NodeReset => ("node_reset", Who::Node),
            Self::Idle => ("idle", Who::Proxy),
            Self::Drained => ("drained", Who::Operator),
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
