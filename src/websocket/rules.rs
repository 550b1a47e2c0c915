//! What a frame may not be in its direction, at its position in the stream (RFC 6455, section 5),
//! and which Pongs are for us. If the 101 agreed on unknown extensions, what they may change is not
//! checked.
//!
//! Pure. Runs for every byte.

use super::error::FrameError;
use super::extensions::Extensions;
use super::head::{Head, Opcode};
use super::scanner::{CONTROL_PAYLOAD_MAX, Scanner};
use super::stream::{PingPayload, Sender};

/// Whether a Close frame's code may be sent.
pub(super) enum CloseCode {
    /// It has not arrived yet.
    Incomplete,
    /// It may be sent, or there is none.
    Fits,
}

impl Scanner {
    /// Checks that `head` is allowed here.
    ///
    /// # Errors
    /// The rule that it breaks.
    pub(super) fn check(&self, head: &Head) -> Result<(), FrameError> {
        match (self.sender, head.mask.is_some()) {
            // An intermediary that lets unmasked frames through can be made to carry a forged
            // HTTP request (RFC 6455, section 10.3).
            (Sender::Client, false) => return Err(FrameError::Unmasked),
            (Sender::Node, true) => return Err(FrameError::Masked),
            (Sender::Client, true) | (Sender::Node, false) => (),
        }
        let is_known = match self.extensions {
            Extensions::None | Extensions::Deflate => true,
            Extensions::Other => false,
        };
        let starts_message = matches!(head.opcode, Opcode::Text | Opcode::Binary);
        let deflated = self.extensions == Extensions::Deflate && starts_message;
        if is_known && (head.rsv2_or_rsv3 || (head.rsv1 && !deflated)) {
            return Err(FrameError::ReservedBit);
        }
        match head.opcode {
            Opcode::Close | Opcode::Ping | Opcode::Pong if !head.fin => {
                Err(FrameError::FragmentedControl)
            }
            Opcode::Close | Opcode::Ping | Opcode::Pong
                if head.payload_bytes > CONTROL_PAYLOAD_MAX =>
            {
                Err(FrameError::LongControl)
            }
            Opcode::Close if head.payload_bytes == 1 => Err(FrameError::ShortClose),
            Opcode::Continuation if is_known && !self.in_message => {
                Err(FrameError::StrayContinuation)
            }
            Opcode::Text | Opcode::Binary if is_known && self.in_message => {
                Err(FrameError::Interleaved)
            }
            Opcode::Close
            | Opcode::Ping
            | Opcode::Pong
            | Opcode::Continuation
            | Opcode::Text
            | Opcode::Binary
            | Opcode::Reserved => Ok(()),
        }
    }

    /// Checks the code of a client's Close frame, with which `chunk` begins. A node's is not
    /// checked.
    ///
    /// # Errors
    /// [`FrameError::CloseCode`]: it must not be sent.
    pub(super) fn check_close_code(
        &self,
        head: &Head,
        chunk: &[u8],
    ) -> Result<CloseCode, FrameError> {
        let (Sender::Client, Some([first, second, ..])) = (self.sender, head.mask) else {
            return Ok(CloseCode::Fits);
        };
        if head.payload_bytes == 0 || self.extensions == Extensions::Other {
            return Ok(CloseCode::Fits);
        }
        match chunk.get(head.head_bytes..) {
            Some([high, low, ..]) => match u16::from_be_bytes([high ^ first, low ^ second]) {
                ..=999 | 1004..=1006 | 1015 | 5000.. => Err(FrameError::CloseCode),
                1000..=1003 | 1007..=1014 | 1016..=4999 => Ok(CloseCode::Fits),
            },
            Some(_) | None => Ok(CloseCode::Incomplete),
        }
    }
}

/// The length of a Pong that carries `own`, the payload of our Pings (RFC 6455, section 5.5.3):
/// `Some(None)` if it carries something else, `None` if that cannot be decided yet.
pub(super) fn own_pong(own: PingPayload, head: &Head, chunk: &[u8]) -> Option<Option<usize>> {
    if own.len() as u64 != head.payload_bytes {
        return Some(None);
    }
    let length = head.head_bytes + own.len();
    let payload = chunk.get(head.head_bytes..length)?;
    let mask = head.mask.unwrap_or_default();
    let unmasked = payload.iter().zip(mask.iter().cycle()).map(|(byte, key)| byte ^ key);
    Some(unmasked.eq(own).then_some(length))
}
