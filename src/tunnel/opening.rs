//! The open packet of a direct WebSocket session: the node's first frame, a text frame
//! (Engine.IO: the handshake of a session that begins with a WebSocket).
//!
//! Pure. Runs for every request.

use std::time::Duration;

use super::ReadOpen;
use crate::websocket::{Head, Opcode};

/// Waits for the node's first frame and reads it.
#[derive(Debug)]
pub(super) struct Opening {
    read: ReadOpen,
    /// The beginning of the stream, if the frame is split; never more than the frame may have.
    collected: Vec<u8>,
    outcome: Outcome,
}

/// What is known of the first frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It has not come completely.
    Waits,
    /// So long may the session be silent.
    Opened(Duration),
    /// It is no open packet, or one that cannot be read: fragmented, compressed, longer than
    /// 8 KiB.
    Unreadable,
}

impl Opening {
    /// Waits for a frame whose payload `read` understands.
    pub(super) fn new(read: ReadOpen) -> Self {
        Self { read, collected: Vec::new(), outcome: Outcome::Waits }
    }

    /// Takes the next bytes of the stream.
    pub(super) fn push(&mut self, chunk: &[u8]) {
        if self.outcome != Outcome::Waits {
            return;
        }
        if self.collected.is_empty() {
            self.outcome = outcome(chunk, &self.read);
        } else {
            self.collect(chunk);
            self.outcome = outcome(&self.collected, &self.read);
        }
        match self.outcome {
            Outcome::Waits if self.collected.is_empty() => self.collect(chunk),
            Outcome::Waits => (),
            Outcome::Opened(_) | Outcome::Unreadable => self.collected = Vec::new(),
        }
    }

    /// What is known by now.
    pub(super) fn outcome(&self) -> Outcome {
        self.outcome
    }

    fn collect(&mut self, chunk: &[u8]) {
        let room = FRAME_BYTES_MAX - self.collected.len();
        self.collected.extend(chunk.iter().take(room));
    }
}

fn outcome(stream: &[u8], read: &ReadOpen) -> Outcome {
    let head = match Head::read(stream) {
        Ok(Some(head)) => head,
        Ok(None) => return Outcome::Waits,
        Err(_) => return Outcome::Unreadable,
    };
    let plain = head.fin && !head.rsv1 && !head.rsv2_or_rsv3 && head.mask.is_none();
    if head.opcode != Opcode::Text || !plain || head.payload_bytes > PAYLOAD_BYTES_MAX {
        return Outcome::Unreadable;
    }
    match stream.get(head.head_bytes..head.head_bytes + head.payload_bytes as usize) {
        Some(payload) => (read.0)(payload).map_or(Outcome::Unreadable, Outcome::Opened),
        None => Outcome::Waits,
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
    const OPENED: Outcome = Outcome::Opened(SILENCE_MAX);

    /// Takes `0` and any number of `x` for an open packet.
    fn read() -> ReadOpen {
        ReadOpen(Box::new(|payload| {
            let rest = payload.strip_prefix(b"0")?;
            rest.iter().all(|byte| *byte == b'x').then_some(SILENCE_MAX)
        }))
    }

    /// However it is split in two, what does `stream` open?
    fn check(stream: &[u8], expected: Outcome) {
        for i in 0..=stream.len() {
            let mut opening = Opening::new(read());
            let (first, second) = stream.split_at(i);
            opening.push(first);
            opening.push(second);
            assert_eq!(opening.outcome(), expected, "{stream:02x?} split at {i}");
        }
        let mut opening = Opening::new(read());
        stream.iter().for_each(|byte| opening.push(&[*byte]));
        assert_eq!(opening.outcome(), expected, "{stream:02x?} byte by byte");
    }

    #[test]
    fn the_first_frame_is_read_however_it_is_split() {
        check(b"", Outcome::Waits);
        check(b"\x81\x03", Outcome::Waits);
        check(b"\x81\x030x", Outcome::Waits);
        check(b"\x81\x030xx", OPENED);
        check(b"\x81\x030xx\x81\x0240", OPENED);
        check(b"\x81\x0240\x81\x030xx", Outcome::Unreadable);
    }

    #[test]
    fn what_cannot_be_an_open_packet_is_left_alone() {
        check(b"\x82\x030xx", Outcome::Unreadable);
        check(b"\x01\x030xx", Outcome::Unreadable);
        check(b"\xc1\x030xx", Outcome::Unreadable);
        check(b"\x81\x83\x01\x02\x03\x040xx", Outcome::Unreadable);
        check(b"HTTP/1.1 400 Bad Request\r\n", Outcome::Unreadable);
        check(b"\x83\x00", Outcome::Unreadable);
    }

    #[test]
    fn the_longest_open_packet_is_read_and_a_longer_one_is_not() {
        let mut frame = vec![0x81, 126, 0x20, 0x00, b'0'];
        frame.resize(FRAME_BYTES_MAX, b'x');
        check(&frame, OPENED);
        check(b"\x81\x7e\x20\x010x", Outcome::Unreadable);
    }
}
