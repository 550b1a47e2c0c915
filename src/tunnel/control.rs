//! Our own frames: the Close frame that tells a side why its tunnel ends, and the Ping for a quiet
//! side (RFC 6455, sections 5.5.1 and 5.5.2).
//!
//! Pure. Runs at start, at reload, or on a timer.

use super::Side;
use crate::websocket::PingPayload;

/// The content of a Close frame of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CloseMessage {
    pub(crate) code: u16,
    /// At most 123 bytes.
    reason: &'static str,
}

impl CloseMessage {
    /// # Panics
    /// If `reason` has more than 123 bytes, the most that fits in a control frame with the code.
    pub(super) const fn new(code: u16, reason: &'static str) -> Self {
        assert!(reason.len() <= REASON_BYTES_MAX, "a control frame holds 125 bytes");
        Self { code, reason }
    }

    /// The Close frame as a server sends it.
    pub(super) fn unmasked(self) -> Vec<u8> {
        unmasked(FIN_CLOSE, &self.payload())
    }

    /// The Close frame as a client sends it.
    pub(super) fn masked(self, mask: [u8; 4]) -> Vec<u8> {
        masked(FIN_CLOSE, &self.payload(), mask)
    }

    fn payload(self) -> Vec<u8> {
        [&self.code.to_be_bytes(), self.reason.as_bytes()].concat()
    }
}

/// A Ping to `to`, as its other side sends it.
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

const FIN_CLOSE: u8 = 0x88;
const FIN_PING: u8 = 0x89;
const MASKED: u8 = 0x80;
const REASON_BYTES_MAX: usize = 123;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Instant;
    use crate::tunnel::End;
    use crate::websocket::{Extensions, Position, Scanner, Sender, Until};

    #[test]
    fn each_close_message_is_a_frame_that_our_own_scanner_takes() {
        for facts in End::all().map(End::facts) {
            if let Some(message) = facts.to_client {
                check(Sender::Node, &message.unmasked(), message.code);
            }
            if let Some(message) = facts.to_node {
                check(Sender::Client, &message.masked([1, 2, 3, 4]), message.code);
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
        let message = CloseMessage::new(1001, "idle");
        assert_eq!(message.unmasked(), b"\x88\x06\x03\xe9idle");
        assert_eq!(message.masked([0xff, 0, 0, 0]), b"\x88\x86\xff\0\0\0\xfc\xe9id\x93e");
        let payload = *b"12345678";
        assert_eq!(ping(Side::Client, payload, [1; 4]), b"\x89\x0812345678");
        assert_eq!(ping(Side::Node, payload, [0xff, 0, 0, 0])[..9], *b"\x89\x88\xff\0\0\0\xce23");
    }
}
