//! The bytes that a request line may contain, and those of its query that are to be encoded.
//!
//! Pure. Runs for every request.

use super::Fault;

/// The part of a request line that contains the next byte.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Part {
    #[default]
    Method,
    Path,
    Query,
    Version,
}

/// Follows the target of a request line, however the line is split into reads.
#[derive(Debug, Default)]
pub(super) struct Target {
    part: Part,
    /// How many bytes so far are to be encoded.
    encoded: usize,
}

impl Target {
    /// Takes the next bytes of the line, and calls `to_encode` with the offset of each one that is to be
    /// encoded.
    pub(super) fn follow(&mut self, mut bytes: &[u8], mut to_encode: impl FnMut(usize)) {
        let mut at = 0;
        while !bytes.is_empty() {
            let end = match self.part {
                Part::Method | Part::Query => memchr::memchr(b' ', bytes),
                Part::Path => memchr::memchr2(b' ', b'?', bytes),
                Part::Version => return,
            };
            let (here, behind) =
                bytes.split_at_checked(end.unwrap_or(bytes.len())).unwrap_or_default();
            if self.part == Part::Query {
                for offset in memchr::memchr3_iter(b'"', b'<', b'>', here) {
                    self.encoded += 1;
                    to_encode(at + offset);
                }
            }
            let Some((delimiter, rest)) = behind.split_first() else { return };
            self.part = match (self.part, *delimiter) {
                (Part::Method, _) => Part::Path,
                (Part::Path, b'?') => Part::Query,
                (Part::Path | Part::Query | Part::Version, _) => Part::Version,
            };
            at += here.len() + 1;
            bytes = rest;
        }
    }

    /// By how many bytes encoding makes the line longer.
    pub(super) fn added(&self) -> usize {
        self.encoded.saturating_mul(ENCODED_BYTES - 1)
    }
}

/// Checks the target of a complete request line for the bytes that hyper does not refuse: it reads a `#`
/// as the end of the target, and passes a `"` in a path.
pub(super) fn check(line: &[u8]) -> Result<(), Fault> {
    let mut words = line.split(|byte| *byte == b' ');
    let target = words.nth(1).unwrap_or_default();
    let path_end = memchr::memchr(b'?', target).unwrap_or(target.len());
    let path = target.get(..path_end).unwrap_or(target);
    if memchr::memchr(b'#', target).is_some() {
        Err(Fault::Fragment)
    } else if memchr::memchr3(b'"', b'<', b'>', path).is_some() {
        Err(Fault::PathByte)
    } else {
        Ok(())
    }
}

/// `bytes`, with those at `offsets`, which are in order, percent-encoded (RFC 3986, section 2.1).
pub fn encode(bytes: &[u8], offsets: &[usize]) -> Vec<u8> {
    let mut encoded = Vec::with_capacity(bytes.len() + offsets.len() * (ENCODED_BYTES - 1));
    let mut begin = 0;
    for offset in offsets {
        let Some(byte) = bytes.get(*offset) else { break };
        encoded.extend_from_slice(bytes.get(begin..*offset).unwrap_or_default());
        let digit = |digit: u8| b"0123456789ABCDEF"[usize::from(digit & 15)];
        encoded.extend_from_slice(&[b'%', digit(byte >> 4), digit(*byte)]);
        begin = offset + 1;
    }
    encoded.extend_from_slice(bytes.get(begin..).unwrap_or_default());
    encoded
}

/// The length of an encoded byte.
pub(crate) const ENCODED_BYTES: usize = 3;
