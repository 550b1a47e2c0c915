//! Our own frames: the Close that tells a side why its tunnel ends, and the Ping that asks whether
//! it is there (RFC 6455, sections 5.5.1 and 5.5.2).
//!
//! Pure. Runs at start, at reload, or on a timer.

use super::frame::PingPayload;
use super::{End, Side};

/// Why a side's tunnel ends, in a Close frame's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Farewell {
    pub(super) code: u16,
    /// At most 123 bytes.
    reason: &'static str,
}

impl Farewell {
    /// What the client gets at an `end` of ours; nothing if a side ended the tunnel, whose own end
    /// is passed on as it was, or if the client is gone.
    ///
    /// What is not the client's fault has a code after which client libraries reconnect: 1011 is
    /// fatal to graphql-ws, 1014 a protocol error to others, and 1000 final to nearly all.
    pub(super) fn to_client(end: End) -> Option<Self> {
        match end {
            End::ClientClosed(_)
            | End::NodeClosed(_)
            | End::ClientLeft
            | End::NodeLeft
            | End::ClientReset
            | End::NodeReset
            | End::StalledClient => None,
            End::KeepaliveLost(Side::Node) | End::StalledNode => {
                Some(Self::new(SERVICE_RESTART, "node lost"))
            }
            End::Idle | End::IdleMessages => Some(Self::new(GOING_AWAY, "idle")),
            End::MaxAge => Some(Self::new(GOING_AWAY, "max age")),
            End::KeepaliveLost(Side::Client) => Some(Self::new(GOING_AWAY, "keepalive lost")),
            End::TooBig => Some(Self::new(MESSAGE_TOO_BIG, "message too big")),
            End::TooFast => Some(Self::new(POLICY_VIOLATION, "too fast")),
            End::BadFrame(_) => Some(Self::new(PROTOCOL_ERROR, "bad frame")),
            End::Drained => Some(Self::new(SERVICE_RESTART, "drained")),
            End::NodeDrained => Some(Self::new(SERVICE_RESTART, "node drained")),
            End::Rebalanced => Some(Self::new(SERVICE_RESTART, "rebalanced")),
        }
    }

    /// What the node gets at an `end` of ours; nothing if a side ended the tunnel, or if the node
    /// is gone. Whatever the end, to the node a client goes away.
    pub(super) fn to_node(end: End) -> Option<Self> {
        match end {
            End::ClientClosed(_)
            | End::NodeClosed(_)
            | End::ClientLeft
            | End::NodeLeft
            | End::ClientReset
            | End::NodeReset
            | End::StalledNode => None,
            End::KeepaliveLost(Side::Client) => Some(Self::new(GOING_AWAY, "client lost")),
            End::Idle | End::IdleMessages => Some(Self::new(GOING_AWAY, "idle")),
            End::MaxAge => Some(Self::new(GOING_AWAY, "max age")),
            End::KeepaliveLost(Side::Node) => Some(Self::new(GOING_AWAY, "keepalive lost")),
            End::StalledClient => Some(Self::new(GOING_AWAY, "client stalled")),
            End::TooBig => Some(Self::new(GOING_AWAY, "client's message too big")),
            End::TooFast => Some(Self::new(GOING_AWAY, "client too fast")),
            End::BadFrame(_) => Some(Self::new(GOING_AWAY, "client's bad frame")),
            End::Drained => Some(Self::new(GOING_AWAY, "drained")),
            End::NodeDrained => Some(Self::new(GOING_AWAY, "node drained")),
            End::Rebalanced => Some(Self::new(GOING_AWAY, "rebalanced")),
        }
    }

    /// The Close frame as a server sends it.
    pub(super) fn unmasked(self) -> Vec<u8> {
        unmasked(FIN_CLOSE, &self.payload())
    }

    /// The Close frame as a client sends it.
    pub(super) fn masked(self, mask: [u8; 4]) -> Vec<u8> {
        masked(FIN_CLOSE, &self.payload(), mask)
    }

    const fn new(code: u16, reason: &'static str) -> Self {
        assert!(reason.len() <= REASON_BYTES_MAX, "a control frame holds 125 bytes");
        Self { code, reason }
    }

    fn payload(self) -> Vec<u8> {
        [&self.code.to_be_bytes(), self.reason.as_bytes()].concat()
    }
}

/// A Ping as `to`'s other side sends it.
pub(super) fn ping(to: Side, payload: PingPayload, mask: [u8; 4]) -> Vec<u8> {
    match to {
        Side::Client => unmasked(FIN_PING, &payload),
        Side::Node => masked(FIN_PING, &payload, mask),
    }
}

/// A control frame, whose payload has at most 125 bytes.
fn unmasked(first: u8, payload: &[u8]) -> Vec<u8> {
    [&[first, payload.len() as u8], payload].concat()
}

fn masked(first: u8, payload: &[u8], mask: [u8; 4]) -> Vec<u8> {
    let mut frame = vec![first, MASKED | payload.len() as u8];
    frame.extend(mask);
    frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, key)| byte ^ key));
    frame
}

/// RFC 6455, section 7.4.1: an endpoint goes away.
const GOING_AWAY: u16 = 1001;
/// RFC 6455, section 7.4.1: a frame that must not be.
const PROTOCOL_ERROR: u16 = 1002;
/// RFC 6455, section 7.4.1: a policy has no code of its own.
const POLICY_VIOLATION: u16 = 1008;
/// RFC 6455, section 7.4.1: the message is too big to process.
const MESSAGE_TOO_BIG: u16 = 1009;
/// IANA's registry: the service restarts, reconnect.
const SERVICE_RESTART: u16 = 1012;

const FIN_CLOSE: u8 = 0x88;
const FIN_PING: u8 = 0x89;
const MASKED: u8 = 0x80;
const REASON_BYTES_MAX: usize = 123;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Instant;
    use crate::tunnel::FrameError;
    use crate::tunnel::frame::{Extensions, Position, Scanner, Sender, Until};

    #[test]
    fn an_end_that_a_side_made_gets_no_close_of_ours() {
        for end in [
            End::ClientClosed(None),
            End::ClientClosed(Some(4000)),
            End::NodeClosed(Some(1000)),
            End::ClientLeft,
            End::NodeLeft,
            End::ClientReset,
            End::NodeReset,
        ] {
            assert_eq!((Farewell::to_client(end), Farewell::to_node(end)), (None, None), "{end:?}");
        }
    }

    #[test]
    fn each_farewell_is_a_frame_that_our_own_scanner_takes() {
        let ends = [
            End::Idle,
            End::IdleMessages,
            End::MaxAge,
            End::KeepaliveLost(Side::Client),
            End::KeepaliveLost(Side::Node),
            End::StalledClient,
            End::StalledNode,
            End::TooBig,
            End::TooFast,
            End::BadFrame(FrameError::Unmasked),
            End::Drained,
            End::NodeDrained,
            End::Rebalanced,
        ];
        for end in ends {
            let (to_client, to_node) = (Farewell::to_client(end), Farewell::to_node(end));
            assert!(to_client.is_some() || to_node.is_some(), "nobody hears of {end:?}");
            if let Some(farewell) = to_client {
                check(Sender::Node, &farewell.unmasked(), farewell.code);
            }
            if let Some(farewell) = to_node {
                check(Sender::Client, &farewell.masked([1, 2, 3, 4]), farewell.code);
            }
        }
    }

    fn check(sender: Sender, frame: &[u8], code: u16) {
        let mut scanner = Scanner::new(sender, Extensions::None, None);
        assert_eq!(scanner.scan(frame, Until::Close, Instant::now()).passed, frame.len());
        assert_eq!(scanner.position(), Position::Closed(Some(code)), "{frame:02x?}");
    }

    #[test]
    fn the_bytes_are_those_of_the_rfc() {
        let farewell = Farewell::to_client(End::Idle).unwrap();
        assert_eq!(farewell.unmasked(), b"\x88\x06\x03\xe9idle");
        assert_eq!(farewell.masked([0xff, 0, 0, 0]), b"\x88\x86\xff\0\0\0\xfc\xe9id\x93e");
        let payload = *b"12345678";
        assert_eq!(ping(Side::Client, payload, [1; 4]), b"\x89\x0812345678");
        assert_eq!(ping(Side::Node, payload, [0xff, 0, 0, 0])[..9], *b"\x89\x88\xff\0\0\0\xce23");
    }
}
