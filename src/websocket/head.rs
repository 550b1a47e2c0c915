//! The head of a frame (RFC 6455, section 5.2).
//!
//! Only an unreadable head is an error here; whether a frame is allowed at its position in the
//! stream is decided in `rules`.
//!
//! Pure. Runs for every byte.

use super::error::FrameError;

/// A frame without its payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) fin: bool,
    pub(crate) rsv1: bool,
    pub(crate) rsv2_or_rsv3: bool,
    pub(crate) opcode: Opcode,
    pub(crate) mask: Option<[u8; 4]>,
    /// At most 2^63 - 1.
    pub(crate) payload_bytes: u64,
    /// How long the head itself is: 2 to 14.
    pub(crate) head_bytes: usize,
}

/// What a frame carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Opcode {
    Continuation,
    Text,
    Binary,
    Close,
    Ping,
    Pong,
    /// Reserved for extensions: 3 to 7 and 11 to 15.
    Reserved,
}

impl Head {
    /// Whether `bytes` begin with the head of a Close frame, by its first byte.
    pub(crate) fn is_close(bytes: &[u8]) -> bool {
        bytes.first().map(|first| Opcode::from_bits(first & 0x0f)) == Some(Opcode::Close)
    }

    /// Reads the head that `bytes` begins with, of a frame that needs no extension; `None` if it is
    /// not complete.
    #[inline]
    pub(crate) fn read(bytes: &[u8]) -> Result<Option<Self>, FrameError> {
        let [first, _, ..] = bytes else { return Ok(None) };
        if Opcode::from_bits(first & 0x0f) == Opcode::Reserved {
            return Err(FrameError::ReservedOpcode);
        }
        Self::read_any(bytes)
    }

    /// Reads the head that `bytes` begins with, whatever its opcode; `None` if it is not complete.
    #[inline]
    pub(crate) fn read_any(bytes: &[u8]) -> Result<Option<Self>, FrameError> {
        let [first, second, rest @ ..] = bytes else { return Ok(None) };
        let opcode = Opcode::from_bits(first & 0x0f);
        let (payload_bytes, rest) = match second & 0x7f {
            126 => {
                let Some((length, rest)) = rest.split_first_chunk() else { return Ok(None) };
                (checked_length(u16::from_be_bytes(*length).into(), 126)?, rest)
            }
            127 => {
                let Some((length, rest)) = rest.split_first_chunk() else { return Ok(None) };
                (checked_length(u64::from_be_bytes(*length), 1 << 16)?, rest)
            }
            length => (u64::from(length), rest),
        };
        let (mask, rest) = if second & 0x80 == 0 {
            (None, rest)
        } else {
            let Some((mask, rest)) = rest.split_first_chunk() else { return Ok(None) };
            (Some(*mask), rest)
        };
        Ok(Some(Self {
            fin: first & 0x80 != 0,
            rsv1: first & 0x40 != 0,
            rsv2_or_rsv3: first & 0x30 != 0,
            opcode,
            mask,
            payload_bytes,
            head_bytes: bytes.len() - rest.len(),
        }))
    }
}

impl Opcode {
    /// The name in answers.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Continuation => "continuation",
            Self::Text => "text",
            Self::Binary => "binary",
            Self::Close => "close",
            Self::Ping => "ping",
            Self::Pong => "pong",
            Self::Reserved => "reserved",
        }
    }

    fn from_bits(bits: u8) -> Self {
        match bits {
            0x0 => Self::Continuation,
            0x1 => Self::Text,
            0x2 => Self::Binary,
            0x8 => Self::Close,
            0x9 => Self::Ping,
            0xa => Self::Pong,
            _ => Self::Reserved,
        }
    }
}

/// Checks a length in a form that is meant for lengths of `least` and more.
fn checked_length(length: u64, least: u64) -> Result<u64, FrameError> {
    if length >> 63 == 1 {
        return Err(FrameError::HugeLength);
    }
    if length < least { Err(FrameError::LongLength) } else { Ok(length) }
}
