//! Why a tunnel ended, who ended it, and what had passed.
//!
//! Pure. Runs at start, at reload, or on a timer.

use std::time::Duration;

use super::control::CloseMessage;
use super::inspection::{Evidence, LastFrames};
use crate::websocket::{Counts, FrameError};

/// The report of a tunnel at its end.
#[derive(Clone, Debug)]
pub struct Report {
    /// Why it ended: the first cause.
    pub end: End,
    /// What arrived from the client.
    pub from_client: Counts,
    /// What arrived from the node.
    pub from_node: Counts,
    /// The code of the Close frame by which a side ended it; else of the Close frame that we sent,
    /// to the client if it got one. `None` if there was none, or one without a code.
    pub close_code: Option<u16>,
    /// From the 101 to the end.
    pub duration: Duration,
    /// What it noted of its sides when the end began.
    pub(crate) evidence: Evidence,
    /// Its last frames.
    pub(crate) frames: LastFrames,
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
    /// Nothing arrived from either side for the idle timeout.
    Idle,
    /// No message that counts arrived from either side for the timeout of messages.
    IdleMessages,
    /// The tunnel reached its maximum age.
    MaxAge,
    /// What allowed the client to open it has expired, such as its token.
    Expired,
    /// This side, or its host, did not answer a Ping of ours.
    KeepaliveLost(Side),
    /// The client took next to nothing of what waited for it for too long.
    StalledClient,
    /// The node took next to nothing of what waited for it for a minute.
    StalledNode,
    /// The client sent a message that is longer than allowed.
    TooBig,
    /// The client sent more messages or control frames than allowed.
    TooFast,
    /// The client broke RFC 6455.
    BadFrame(FrameError),
    /// The process shuts down.
    Shutdown,
    /// The node is being drained.
    NodeDrained,
    /// The node had more tunnels than its share.
    Rebalanced,
    /// The operator ended this one.
    Ended,
}

/// One of a tunnel's two ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The side that asked for the upgrade.
    Client,
    /// The side that accepted it.
    Node,
}

/// What follows from an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EndFacts {
    /// The name in metrics and logs.
    pub(crate) label: &'static str,
    /// The party that ended the tunnel.
    pub(crate) who: Who,
    pub(crate) style: CloseStyle,
    /// The side that is gone: what the other side sends has no receiver.
    pub(crate) gone: Option<Side>,
    /// Our own Close frame for the client: none if the node's end is passed on unchanged.
    pub(crate) to_client: Option<CloseMessage>,
    /// Our own Close frame for the node, which always says that the client goes away.
    pub(crate) to_node: Option<CloseMessage>,
}

/// How a tunnel is closed once the cause of its end is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CloseStyle {
    /// A side closed: what it sent is passed on, and the other side may answer.
    PassedOn,
    /// We closed: both sides get a Close frame, each at the end of a frame, and may answer.
    Orderly,
    /// We closed because the client broke a rule: the node gets a Close frame immediately, the
    /// client when the node has sent its last message.
    Offence,
    /// We closed because a side is as good as gone: immediately, without waiting for a frame's end.
    AtOnce,
}

/// The party that ended a tunnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// The client, or the network on its side.
    Client,
    /// The node, or the network on its side.
    Node,
    /// The proxy, by a rule of the route or the upstream.
    Proxy,
    /// The operator, by a drain or a shutdown.
    Operator,
}

impl End {
    /// The name in metrics and logs.
    pub fn label(self) -> &'static str {
        self.facts().label
    }

    /// The party that ended it.
    pub fn who(self) -> Who {
        self.facts().who
    }

    /// Which rule of RFC 6455 the client broke, if that ended it.
    pub fn fault(self) -> Option<FrameError> {
        if let Self::BadFrame(error) = self { Some(error) } else { None }
    }

    /// The code of the Close frame by which a side ended the tunnel.
    pub(super) fn received_code(self) -> Option<u16> {
        if let Self::ClientClosed(code) | Self::NodeClosed(code) = self { code } else { None }
    }

    /// All that follows from each end, in one table.
    ///
    /// What is not the client's fault has a code after which client libraries reconnect: 1011 is
    /// fatal to graphql-ws, 1014 a protocol error to others, and 1000 final to nearly all.
    pub(crate) fn facts(self) -> EndFacts {
        use Side::{Client, Node};
        match self {
            Self::ClientClosed(_) => passed_on("client_closed", Client),
            Self::NodeClosed(_) => passed_on("node_closed", Node),
            Self::ClientLeft => passed_on("client_left", Client).gone(Client),
            Self::NodeLeft => passed_on("node_left", Node).gone(Node),
            Self::ClientReset => passed_on("client_reset", Client).gone(Client),
            Self::NodeReset => passed_on("node_reset", Node).gone(Node),
            Self::Idle => orderly("idle", Who::Proxy, GOING_AWAY, "idle"),
            Self::IdleMessages => orderly("idle_messages", Who::Proxy, GOING_AWAY, "idle"),
            Self::MaxAge => orderly("max_age", Who::Proxy, GOING_AWAY, "max age"),
            Self::Expired => orderly("expired", Who::Proxy, GOING_AWAY, "token expired"),
            Self::KeepaliveLost(Client) => at_once("keepalive_lost", Client)
                .to_client(GOING_AWAY, "keepalive lost")
                .to_node("client lost"),
            Self::KeepaliveLost(Node) => at_once("keepalive_lost", Node)
                .to_client(SERVICE_RESTART, "node lost")
                .to_node("keepalive lost"),
            Self::StalledClient => at_once("stalled_client", Client).to_node("client stalled"),
            Self::StalledNode => {
                at_once("stalled_node", Node).to_client(SERVICE_RESTART, "node lost")
            }
            Self::TooBig => offence("too_big")
                .to_client(MESSAGE_TOO_BIG, "message too big")
                .to_node("client's message too big"),
            Self::TooFast => offence("too_fast")
                .to_client(POLICY_VIOLATION, "too fast")
                .to_node("client too fast"),
            Self::BadFrame(_) => offence("bad_frame")
                .to_client(PROTOCOL_ERROR, "bad frame")
                .to_node("client's bad frame"),
            Self::Shutdown => orderly("drained", Who::Operator, SERVICE_RESTART, "drained"),
            Self::NodeDrained => {
                orderly("node_drained", Who::Operator, SERVICE_RESTART, "node drained")
            }
            Self::Rebalanced => orderly("rebalanced", Who::Proxy, SERVICE_RESTART, "rebalanced"),
            Self::Ended => orderly("ended", Who::Operator, GOING_AWAY, "ended by the operator"),
        }
    }
}

impl EndFacts {
    /// Our own Close frame for `side`.
    pub(super) fn close_to(&self, side: Side) -> Option<CloseMessage> {
        match side {
            Side::Client => self.to_client,
            Side::Node => self.to_node,
        }
    }

    const fn new(label: &'static str, who: Who, style: CloseStyle) -> Self {
        Self { label, who, style, gone: None, to_client: None, to_node: None }
    }

    const fn gone(self, side: Side) -> Self {
        Self { gone: Some(side), ..self }
    }

    const fn to_client(self, code: u16, reason: &'static str) -> Self {
        Self { to_client: Some(CloseMessage::new(code, reason)), ..self }
    }

    const fn to_node(self, reason: &'static str) -> Self {
        Self { to_node: Some(CloseMessage::new(GOING_AWAY, reason)), ..self }
    }
}

const fn passed_on(label: &'static str, by: Side) -> EndFacts {
    EndFacts::new(label, by.who(), CloseStyle::PassedOn)
}

const fn orderly(label: &'static str, who: Who, code: u16, reason: &'static str) -> EndFacts {
    EndFacts::new(label, who, CloseStyle::Orderly).to_client(code, reason).to_node(reason)
}

const fn offence(label: &'static str) -> EndFacts {
    EndFacts::new(label, Who::Client, CloseStyle::Offence)
}

const fn at_once(label: &'static str, gone: Side) -> EndFacts {
    EndFacts::new(label, gone.who(), CloseStyle::AtOnce).gone(gone)
}

/// RFC 6455, section 7.4.1: an endpoint goes away.
const GOING_AWAY: u16 = 1001;
/// RFC 6455, section 7.4.1: a frame that is not allowed.
const PROTOCOL_ERROR: u16 = 1002;
/// RFC 6455, section 7.4.1: a policy without its own code is violated.
const POLICY_VIOLATION: u16 = 1008;
/// RFC 6455, section 7.4.1: the message is too big to process.
const MESSAGE_TOO_BIG: u16 = 1009;
/// IANA's registry: the service restarts, reconnect.
const SERVICE_RESTART: u16 = 1012;

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

    /// The name in answers.
    pub(crate) fn label(self) -> &'static str {
        self.who().label()
    }

    /// The opposite side.
    pub(super) fn other(self) -> Self {
        match self {
            Self::Client => Self::Node,
            Self::Node => Self::Client,
        }
    }

    const fn who(self) -> Who {
        match self {
            Self::Client => Who::Client,
            Self::Node => Who::Node,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::iter::successors;

    use super::*;

    impl End {
        /// One of each kind.
        pub(crate) fn all() -> impl Iterator<Item = Self> {
            successors(Some(Self::ClientClosed(None)), |end| end.next())
        }

        fn next(self) -> Option<Self> {
            Some(match self {
                Self::ClientClosed(_) => Self::NodeClosed(None),
                Self::NodeClosed(_) => Self::ClientLeft,
                Self::ClientLeft => Self::NodeLeft,
                Self::NodeLeft => Self::ClientReset,
                Self::ClientReset => Self::NodeReset,
                Self::NodeReset => Self::Idle,
                Self::Idle => Self::IdleMessages,
                Self::IdleMessages => Self::MaxAge,
                Self::MaxAge => Self::Expired,
                Self::Expired => Self::KeepaliveLost(Side::Client),
                Self::KeepaliveLost(Side::Client) => Self::KeepaliveLost(Side::Node),
                Self::KeepaliveLost(Side::Node) => Self::StalledClient,
                Self::StalledClient => Self::StalledNode,
                Self::StalledNode => Self::TooBig,
                Self::TooBig => Self::TooFast,
                Self::TooFast => Self::BadFrame(FrameError::Unmasked),
                Self::BadFrame(_) => Self::Shutdown,
                Self::Shutdown => Self::NodeDrained,
                Self::NodeDrained => Self::Rebalanced,
                Self::Rebalanced => Self::Ended,
                Self::Ended => return None,
            })
        }
    }

    #[test]
    fn an_end_that_a_side_made_gets_no_close_of_ours_and_every_other_tells_somebody() {
        for end in End::all() {
            let facts = end.facts();
            let is_told = facts.to_client.is_some() || facts.to_node.is_some();
            assert_eq!(is_told, facts.style != CloseStyle::PassedOn, "{end:?}");
        }
    }

    #[test]
    fn who_ended_a_tunnel_and_the_label_name_each_end() {
        let mut names: Vec<_> = End::all().map(|end| (end.label(), end.who().label())).collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count, "{names:?}");
    }

    #[test]
    fn only_codes_that_may_be_sent_and_that_client_libraries_survive_are_sent() {
        for end in End::all() {
            let facts = end.facts();
            let code = |message: Option<CloseMessage>| message.map(|message| message.code);
            assert!(matches!(code(facts.to_node), None | Some(GOING_AWAY)), "{end:?}");
            let is_fault_of_client = facts.style == CloseStyle::Offence;
            let reconnects =
                matches!(code(facts.to_client), None | Some(GOING_AWAY | SERVICE_RESTART));
            assert_ne!(reconnects, is_fault_of_client, "{end:?}");
        }
    }

    #[test]
    fn a_side_that_is_gone_is_to_blame() {
        for end in End::all() {
            let facts = end.facts();
            if let Some(gone) = facts.gone {
                assert_eq!(facts.who, gone.who(), "{end:?}");
            }
        }
    }
}
