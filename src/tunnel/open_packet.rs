//! The open packet of a direct WebSocket session: the node's first frame, a text frame
//! (Engine.IO: the handshake of a session that begins with a WebSocket).
//!
//! Pure. Runs for every request.

use std::time::Duration;

use super::ReadOpen;
use crate::websocket::{Head, Opcode};

/// Waits for the node's first frame and reads it.
#[derive(Debug)]
pub(super) struct OpenPacketReader {
    read: ReadOpen,
    /// The beginning of the stream, if the frame is split; at most the longest frame.
    collected: Vec<u8>,
    first_frame: FirstFrame,
}

/// The state of the first frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FirstFrame {
    /// It has not arrived completely.
    Incomplete,
    /// It is an open packet: the session may be silent for this long.
    Opened(Duration),
    /// It is not an open packet, or one that cannot be read: fragmented, compressed, longer than 8
    /// KiB.
    Unreadable,
}

impl OpenPacketReader {
    /// Waits for a frame, whose payload `read` parses.
    pub(super) fn new(read: ReadOpen) -> Self {
        Self { read, collected: Vec::new(), first_frame: FirstFrame::Incomplete }
    }

    /// Takes the next bytes of the stream.
    pub(super) fn push(&mut self, chunk: &[u8]) {
        if self.first_frame != FirstFrame::Incomplete {
            return;
        }
        if self.collected.is_empty() {
            self.first_frame = parse(chunk, &self.read);
        } else {
            self.collect(chunk);
            self.first_frame = parse(&self.collected, &self.read);
        }
        match self.first_frame {
            FirstFrame::Incomplete if self.collected.is_empty() => self.collect(chunk),
            FirstFrame::Incomplete => (),
            FirstFrame::Opened(_) | FirstFrame::Unreadable => self.collected = Vec::new(),
        }
    }

    /// What is known so far.
    pub(super) fn first_frame(&self) -> FirstFrame {
        self.first_frame
    }

    fn collect(&mut self, chunk: &[u8]) {
        let space = FRAME_BYTES_MAX - self.collected.len();
        self.collected.extend(chunk.iter().take(space));
    }
}

fn parse(stream: &[u8], read: &ReadOpen) -> FirstFrame {
    let head = match Head::read(stream) {
        Ok(Some(head)) => head,
        Ok(None) => return FirstFrame::Incomplete,
        Err(_) => return FirstFrame::Unreadable,
    };
    let plain = head.fin && !head.rsv1 && !head.rsv2_or_rsv3 && head.mask.is_none();
    if head.opcode != Opcode::Text || !plain || head.payload_bytes > PAYLOAD_BYTES_MAX {
        return FirstFrame::Unreadable;
    }
    match stream.get(head.head_bytes..head.head_bytes + head.payload_bytes as usize) {
        Some(payload) => (read.0)(payload).map_or(FirstFrame::Unreadable, FirstFrame::Opened),
        None => FirstFrame::Incomplete,
    }
}

/// An open packet has about 100 bytes; one with many `upgrades` and the longest sid, escaped, has
/// still less than this.
const PAYLOAD_BYTES_MAX: u64 = 8192;

/// The payload and a head without a mask, its length in 16 bits.
const FRAME_BYTES_MAX: usize = PAYLOAD_BYTES_MAX as usize + 4;

#[cfg(test)]
mod tests {
    use super::*;

    const SILENCE_MAX: Duration = Duration::from_secs(6);
    const OPENED: FirstFrame = FirstFrame::Opened(SILENCE_MAX);

    /// Takes `0` and any number of `x` for an open packet.
    fn read() -> ReadOpen {
        ReadOpen(Box::new(|payload| {
            let rest = payload.strip_prefix(b"0")?;
            rest.iter().all(|byte| *byte == b'x').then_some(SILENCE_MAX)
        }))
    }

    /// However it is split in two, what does `stream` open?
    fn check(stream: &[u8], expected: FirstFrame) {
        for i in 0..=stream.len() {
            let mut reader = OpenPacketReader::new(read());
            let (first, second) = stream.split_at(i);
            reader.push(first);
            reader.push(second);
            assert_eq!(reader.first_frame(), expected, "{stream:02x?} split at {i}");
        }
        let mut reader = OpenPacketReader::new(read());
        stream.iter().for_each(|byte| reader.push(&[*byte]));
        assert_eq!(reader.first_frame(), expected, "{stream:02x?} byte by byte");
    }

    #[test]
    fn the_first_frame_is_read_however_it_is_split() {
        check(b"", FirstFrame::Incomplete);
        check(b"\x81\x03", FirstFrame::Incomplete);
        check(b"\x81\x030x", FirstFrame::Incomplete);
        check(b"\x81\x030xx", OPENED);
        check(b"\x81\x030xx\x81\x0240", OPENED);
        check(b"\x81\x0240\x81\x030xx", FirstFrame::Unreadable);
    }

    #[test]
    fn what_cannot_be_an_open_packet_is_left_alone() {
        check(b"\x82\x030xx", FirstFrame::Unreadable);
        check(b"\x01\x030xx", FirstFrame::Unreadable);
        check(b"\xc1\x030xx", FirstFrame::Unreadable);
        check(b"\x81\x83\x01\x02\x03\x040xx", FirstFrame::Unreadable);
        check(b"HTTP/1.1 400 Bad Request\r\n", FirstFrame::Unreadable);
        check(b"\x83\x00", FirstFrame::Unreadable);
    }

    #[test]
    fn the_longest_open_packet_is_read_and_a_longer_one_is_not() {
        let mut frame = vec![0x81, 126, 0x20, 0x00, b'0'];
        frame.resize(FRAME_BYTES_MAX, b'x');
        check(&frame, OPENED);
        check(b"\x81\x7e\x20\x010x", FirstFrame::Unreadable);
    }
}
