//! Reads whole frames with the beginning of their payload, for those who watch a session. It begins at a
//! frame boundary of a stream that the scanner has passed.
//!
//! Pure. Runs for every byte.

use super::head::Head;

/// Collects frames from a stream that comes in chunks.
#[derive(Debug)]
pub(crate) struct FrameReader {
    payload_bytes_max: usize,
    /// The beginning of a head that is split; at most 14 bytes.
    partial_head: Vec<u8>,
    frame: Option<Unfinished>,
    is_lost: bool,
}

/// A frame, with the beginning of its payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ReadFrame {
    pub(crate) head: Head,
    /// Without the mask, and at most as long as the reader collects.
    pub(crate) payload: Vec<u8>,
}

#[derive(Debug)]
struct Unfinished {
    frame: ReadFrame,
    /// Bytes of the payload that have not come.
    left: u64,
}

impl FrameReader {
    /// At a frame boundary; collects at most so much of each payload.
    pub(crate) fn new(payload_bytes_max: usize) -> Self {
        Self { payload_bytes_max, partial_head: Vec::new(), frame: None, is_lost: false }
    }

    /// Takes the next bytes, and shows each frame that they complete.
    pub(crate) fn push(&mut self, mut bytes: &[u8], mut on_frame: impl FnMut(ReadFrame)) {
        while !bytes.is_empty() && !self.is_lost {
            bytes = match &mut self.frame {
                Some(unfinished) => unfinished.take(bytes, self.payload_bytes_max),
                None => self.read_head(bytes),
            };
            if let Some(Unfinished { frame, .. }) = self.frame.take_if(|frame| frame.left == 0) {
                on_frame(frame);
            }
        }
    }

    /// Reads a head, of which a part may have come before, and returns what is behind it.
    fn read_head<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let before = self.partial_head.len();
        self.partial_head.extend(bytes.iter().take(HEAD_BYTES_MAX - before));
        match Head::read_any(&self.partial_head) {
            Ok(None) => &[],
            Ok(Some(head)) => {
                self.partial_head.clear();
                let frame = ReadFrame { head, payload: Vec::new() };
                self.frame = Some(Unfinished { frame, left: head.payload_bytes });
                bytes.get(head.head_bytes.saturating_sub(before)..).unwrap_or_default()
            }
            Err(_) => {
                self.is_lost = true;
                &[]
            }
        }
    }
}

impl Unfinished {
    /// Takes what belongs to the frame, and returns the rest.
    fn take<'a>(&mut self, bytes: &'a [u8], payload_bytes_max: usize) -> &'a [u8] {
        let length = usize::try_from(self.left).unwrap_or(usize::MAX).min(bytes.len());
        let (own, rest) = bytes.split_at(length);
        self.left -= length as u64;
        let ReadFrame { head, payload } = &mut self.frame;
        let mask = head.mask.unwrap_or_default();
        for byte in own.iter().take(payload_bytes_max.saturating_sub(payload.len())) {
            payload.push(byte ^ mask[payload.len() % 4]);
        }
        rest
    }
}

/// Two bytes, eight of a length, four of a mask.
const HEAD_BYTES_MAX: usize = 14;

#[cfg(test)]
mod tests {
    use super::*;

    /// The payloads of the frames in `stream`, however it is split in two.
    fn check(stream: &[u8], expected: &[&[u8]]) {
        for i in 0..=stream.len() {
            let mut reader = FrameReader::new(4);
            let mut payloads = Vec::new();
            for part in [&stream[..i], &stream[i..]] {
                reader.push(part, |frame| payloads.push(frame.payload));
            }
            assert_eq!(payloads, expected, "{stream:02x?} split at {i}");
        }
    }

    #[test]
    fn frames_are_read_however_they_are_split() {
        check(b"", &[]);
        check(b"\x81\x02ab", &[b"ab"]);
        check(b"\x81\x02ab\x81\x00\x82\x01c", &[b"ab", b"", b"c"]);
        check(b"\x81\x82\x01\x02\x03\x04``", &[b"ab"]);
        check(b"\x81\x06abcdef\x89\x01p", &[b"abcd", b"p"]);
        check(b"\x81\x03ab", &[]);
    }

    #[test]
    fn nothing_is_read_behind_what_is_no_frame() {
        check(b"\x81\x01a\x81\x7e\x00\x01a\x81\x01b", &[b"a"]);
    }
}
