//! The reference model: the same answers as the scanner's by other means.

use super::Outcome;
use crate::websocket::{Extensions, FrameError, Position, Sender};

/// The same answer by other means: frame after frame, each from the whole rest of the stream.
pub(super) fn model(sender: Sender, extensions: Extensions, stream: &[u8]) -> Outcome {
    let (mut rest, mut frames, mut messages, mut controls) = (stream, 0, 0, 0);
    let mut in_message = false;
    loop {
        let checked = model_check(sender, extensions, in_message, rest);
        let (first, payload, behind) = match checked.and_then(|()| model_frame(rest)) {
            Ok(frame) => frame,
            Err(position) => return (position, frames, messages, controls),
        };
        rest = behind;
        frames += 1;
        if first & 8 == 0 {
            in_message = first < 0x80;
            messages += u64::from(!in_message);
            continue;
        }
        controls += 1;
        if first == 0x88 {
            let code = payload.first_chunk().map(|code| u16::from_be_bytes(*code));
            return (Position::Closed(code), frames, messages, controls);
        }
    }
}

/// The first frame of `stream`: its first byte, its unmasked payload, and what is behind it.
fn model_frame(stream: &[u8]) -> Result<(u8, Vec<u8>, &[u8]), Position> {
    let (length, rest) = model_length(stream)?;
    let masked = stream[1] >= 0x80;
    let (mask, rest) = rest.split_at_checked(if masked { 4 } else { 0 }).ok_or(Position::Frame)?;
    let (payload, rest) = rest.split_at_checked(length as usize).ok_or(Position::Frame)?;
    let payload = payload.iter().enumerate();
    let payload = payload.map(|(i, byte)| if masked { byte ^ mask[i % 4] } else { *byte });
    Ok((stream[0], payload.collect(), rest))
}

/// The payload's length, and what is behind the length.
fn model_length(stream: &[u8]) -> Result<(u64, &[u8]), Position> {
    let (head, rest) = stream.split_at_checked(2).ok_or(Position::Frame)?;
    let (bytes, least) = match head[1] & 0x7f {
        126 => (2, 126),
        127 => (8, 65_536),
        short => return Ok((short.into(), rest)),
    };
    let (length, rest) = rest.split_at_checked(bytes).ok_or(Position::Frame)?;
    match length.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte)) {
        0x8000_0000_0000_0000.. => Err(Position::Unparsable(FrameError::HugeLength)),
        length if length < least => Err(Position::Unparsable(FrameError::LongLength)),
        length => Ok((length, rest)),
    }
}

/// Whether the frame that `stream` begins with may be there.
fn model_check(
    sender: Sender,
    extensions: Extensions,
    in_message: bool,
    stream: &[u8],
) -> Result<(), Position> {
    let [first, second, ..] = *stream else {
        return Err(if stream.is_empty() { Position::Boundary } else { Position::Frame });
    };
    let (opcode, masked) = (first & 0x0f, second >= 0x80);
    if matches!(opcode, 3..=7 | 11..) {
        return Err(Position::Unparsable(FrameError::ReservedOpcode));
    }
    let (length, rest) = model_length(stream)?;
    if masked && rest.len() < 4 {
        return Err(Position::Frame);
    }
    let (control, starts) = (opcode >= 8, opcode == 1 || opcode == 2);
    let reserved = match extensions {
        Extensions::Deflate if starts => 0x30,
        Extensions::Deflate | Extensions::None | Extensions::Other => 0x70,
    };
    let rules = [
        (sender == Sender::Client && !masked, FrameError::Unmasked),
        (sender == Sender::Node && masked, FrameError::Masked),
        (first & reserved > 0, FrameError::ReservedBit),
        (control && first < 0x80, FrameError::FragmentedControl),
        (control && length > 125, FrameError::LongControl),
        (opcode == 8 && length == 1, FrameError::ShortClose),
        (opcode == 0 && !in_message, FrameError::StrayContinuation),
        (starts && in_message, FrameError::Interleaved),
    ];
    if let Some((_, error)) = rules.iter().find(|(is_broken, _)| *is_broken) {
        return Err(Position::Unparsable(*error));
    }
    if opcode != 8 || length == 0 || sender == Sender::Node {
        return Ok(());
    }
    let [a, b, _, _, high, low, ..] = *rest else { return Err(Position::Frame) };
    match u16::from_be_bytes([high ^ a, low ^ b]) {
        0..1000 | 1004 | 1005 | 1006 | 1015 | 5000.. => {
            Err(Position::Unparsable(FrameError::CloseCode))
        }
        _ => Ok(()),
    }
}
