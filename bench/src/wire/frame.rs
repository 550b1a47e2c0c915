//! WebSocket frames (RFC 6455, section 5.2), whole and without extensions.

use std::io;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};

use super::invalid;

/// A frame that was read, its payload unmasked.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) opcode: Opcode,
    pub(crate) payload: BytesMut,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Opcode {
    Text,
    Close,
}

/// Whether a frame is masked: a client's are, a node's are not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mask {
    Client,
    None,
}

/// Reads frames from a stream.
#[derive(Debug)]
pub(crate) struct FrameReader<S> {
    stream: S,
    buffer: BytesMut,
}

impl<S: AsyncRead + Unpin> FrameReader<S> {
    /// The frames of `stream`, of which `read_ahead` came before.
    pub(crate) fn new(stream: S, read_ahead: BytesMut) -> Self {
        Self { stream, buffer: read_ahead }
    }

    /// The next frame; `None` at the end of the stream. Nothing is lost if the future is dropped.
    pub(crate) async fn next(&mut self) -> io::Result<Option<Frame>> {
        loop {
            if let Some(frame) = take_frame(&mut self.buffer)? {
                return Ok(Some(frame));
            }
            self.buffer.reserve(READ_BYTES);
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Ok(None);
            }
        }
    }
}

/// Appends a frame with `payload` to `out`.
pub(crate) fn put_frame(out: &mut Vec<u8>, opcode: Opcode, payload: &[u8], mask: Mask) {
    out.push(match opcode {
        Opcode::Text => 0x81,
        Opcode::Close => 0x88,
    });
    let masked = match mask {
        Mask::Client => 0x80,
        Mask::None => 0,
    };
    match payload.len() {
        short @ 0..126 => out.push(masked | short as u8),
        medium @ 126..=0xffff => {
            out.push(masked | 126);
            out.extend((medium as u16).to_be_bytes());
        }
        long => {
            out.push(masked | 127);
            out.extend((long as u64).to_be_bytes());
        }
    }
    match mask {
        Mask::None => out.extend_from_slice(payload),
        Mask::Client => {
            out.extend(MASK);
            let start = out.len();
            out.extend_from_slice(payload);
            apply_mask(&mut out[start..], MASK);
        }
    }
}

/// Takes the frame that `buffer` begins with; `None` if it is not complete.
fn take_frame(buffer: &mut BytesMut) -> io::Result<Option<Frame>> {
    let [first, second, rest @ ..] = &buffer[..] else { return Ok(None) };
    let (length_bytes, length) = match (second & 0x7f, rest) {
        (126, [a, b, ..]) => (2, u64::from(u16::from_be_bytes([*a, *b]))),
        (127, rest) => match rest.first_chunk() {
            Some(length) => (8, u64::from_be_bytes(*length)),
            None => return Ok(None),
        },
        (126, _) => return Ok(None),
        (short, _) => (0, u64::from(short)),
    };
    if length > PAYLOAD_BYTES_MAX {
        return Err(invalid(format!("a frame of {length} bytes")));
    }
    let opcode = match first {
        0x81 => Opcode::Text,
        0x88 => Opcode::Close,
        other => return Err(invalid(format!("a frame that begins with {other:#04x}"))),
    };
    let is_masked = second & 0x80 != 0;
    let head_bytes = 2 + length_bytes + if is_masked { 4 } else { 0 };
    let payload_bytes = length as usize;
    if buffer.len() < head_bytes + payload_bytes {
        return Ok(None);
    }
    let mask = is_masked.then(|| buffer[2 + length_bytes..].first_chunk().copied()).flatten();
    buffer.advance(head_bytes);
    let mut payload = buffer.split_to(payload_bytes);
    if let Some(mask) = mask {
        apply_mask(&mut payload, mask);
    }
    Ok(Some(Frame { opcode, payload }))
}

fn apply_mask(bytes: &mut [u8], mask: [u8; 4]) {
    for four in bytes.chunks_mut(4) {
        for (byte, mask) in four.iter_mut().zip(mask) {
            *byte ^= mask;
        }
    }
}

/// One mask for all: no proxy here looks at it, and a compressing one would be told apart.
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// No scenario comes near.
const PAYLOAD_BYTES_MAX: u64 = 1 << 20;

const READ_BYTES: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn frames_are_read_as_they_were_put() {
        for length in [0, 1, 125, 126, 127, 0xffff, 0x1_0000] {
            for mask in [Mask::Client, Mask::None] {
                let payload: Vec<u8> = (0..length).map(|at| at as u8).collect();
                let mut bytes = Vec::new();
                put_frame(&mut bytes, Opcode::Text, &payload, mask);
                put_frame(&mut bytes, Opcode::Close, &[], mask);

                let (ahead, behind) = bytes.split_at(bytes.len() / 2);
                let mut reader = FrameReader::new(behind, BytesMut::from(ahead));
                let text = reader.next().await.unwrap().unwrap();
                assert_eq!((text.opcode, &text.payload[..]), (Opcode::Text, &payload[..]));
                assert_eq!(reader.next().await.unwrap().unwrap().opcode, Opcode::Close);
                assert_eq!(reader.next().await.unwrap(), None);
            }
        }
    }

    #[test]
    fn what_no_scenario_sends_is_an_error() {
        let check = |bytes: &[u8]| assert!(take_frame(&mut BytesMut::from(bytes)).is_err());
        check(&[0x01, 0x00]);
        check(&[0x82, 0x00]);
        check(&[0x81, 127, 1, 0, 0, 0, 0, 0, 0, 0]);
    }
}
