//! The frames of an HTTP/2 connection, followed below h2 (RFC 9113, section 4.1).
//!
//! h2 bounds what a client may make it store. This bounds the frames that cost work and carry nothing,
//! and says what the connection is in the middle of, for its deadlines. It only refuses: h2 gets every
//! byte unchanged.
//!
//! Pure. Runs for every byte.

use std::num::NonZeroU32;

use crate::Instant;
use crate::rate::{Rate, TokenBucket};

/// Follows the frames of one client, however they are split into reads.
#[derive(Debug)]
pub(super) struct FrameGuard {
    /// How many bytes of the preface are to come.
    preface: u8,
    /// The head of the next frame, as far as it is here.
    head: [u8; HEAD_BYTES],
    head_filled: u8,
    /// How many bytes of the frame's payload are to come.
    payload: u32,
    /// The frame is a part of a header block that goes on behind it.
    in_header_block: bool,
    buckets: [TokenBucket; Costly::ALL.len()],
}

/// What a connection is in the middle of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// The preface (RFC 9113, section 3.4).
    Preface,
    /// Nothing: the next frame has not begun.
    Between,
    /// A header block: its HEADERS and CONTINUATION frames.
    HeaderBlock,
    /// Another frame.
    Frame,
}

/// Frames that a client may send only so often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Costly {
    /// Ends a request that we have begun to serve (CVE-2023-44487).
    Reset,
    /// Is answered.
    Ping,
    /// Is answered, and may change all windows.
    Settings,
    /// PRIORITY, frames of extensions, and those that a client has no use for.
    Other,
}

/// A client sends more frames of this kind than it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the client sends too many {} frames", .0.name())]
pub(crate) struct Flood(pub(super) Costly);

impl FrameGuard {
    /// For a connection of which no byte was read; `now` is no later than any time that is passed in.
    pub(super) fn new(now: Instant) -> Self {
        Self {
            preface: PREFACE_BYTES,
            head: [0; HEAD_BYTES],
            head_filled: 0,
            payload: 0,
            in_header_block: false,
            buckets: std::array::from_fn(|_| TokenBucket::new(now)),
        }
    }

    /// Follows the next `bytes`, and returns how many frames have begun in them.
    ///
    /// # Errors
    ///
    /// The client sends too many frames of one kind. `now` is called for such frames only.
    pub(super) fn follow(
        &mut self,
        mut bytes: &[u8],
        now: impl Fn() -> Instant,
    ) -> Result<u32, Flood> {
        let mut frames = 0;
        let of_preface = bytes.len().min(usize::from(self.preface));
        self.preface -= of_preface as u8;
        bytes = bytes.split_at(of_preface).1;
        loop {
            let of_payload = bytes.len().min(self.payload as usize);
            self.payload -= of_payload as u32;
            bytes = bytes.split_at(of_payload).1;
            if bytes.is_empty() {
                return Ok(frames);
            }
            let wanted = HEAD_BYTES - usize::from(self.head_filled);
            let (of_head, rest) = bytes.split_at(bytes.len().min(wanted));
            let space = self.head.iter_mut().skip(self.head_filled.into());
            space.zip(of_head).for_each(|(space, byte)| *space = *byte);
            self.head_filled += of_head.len() as u8;
            bytes = rest;
            if usize::from(self.head_filled) == HEAD_BYTES {
                frames += 1;
                self.begin_frame(&now)?;
            }
        }
    }

    /// What the connection is in the middle of.
    pub(super) fn stage(&self) -> Stage {
        let [_, _, _, kind, ..] = self.head;
        let is_kind_known = self.payload > 0 || self.head_filled > KIND_AT;
        let is_headers = is_kind_known && matches!(kind, HEADERS | CONTINUATION);
        if self.preface > 0 {
            Stage::Preface
        } else if self.in_header_block || is_headers {
            Stage::HeaderBlock
        } else if self.payload > 0 || self.head_filled > 0 {
            Stage::Frame
        } else {
            Stage::Between
        }
    }

    fn begin_frame(&mut self, now: impl Fn() -> Instant) -> Result<(), Flood> {
        let [high, middle, low, kind, flags, ..] = self.head;
        self.head_filled = 0;
        self.payload = u32::from_be_bytes([0, high, middle, low]);
        let ends_headers = flags & END_HEADERS != 0;
        let costly = match kind {
            DATA | WINDOW_UPDATE => return Ok(()),
            HEADERS | CONTINUATION => {
                self.in_header_block = !ends_headers;
                return Ok(());
            }
            RST_STREAM => Costly::Reset,
            SETTINGS => Costly::Settings,
            PING => Costly::Ping,
            _ => Costly::Other,
        };
        let taken = self.buckets[costly as usize].take(costly.rate(), now());
        taken.map_err(|_next| Flood(costly))
    }
}

impl Costly {
    const ALL: [Self; 4] = [Self::Reset, Self::Ping, Self::Settings, Self::Other];

    fn name(self) -> &'static str {
        match self {
            Self::Reset => "RST_STREAM",
            Self::Ping => "PING",
            Self::Settings => "SETTINGS",
            Self::Other => "PRIORITY or unknown",
        }
    }

    /// A browser that leaves a page resets all its requests at once. nghttp2's rate for resets.
    fn rate(self) -> Rate {
        let (burst, per_second) = match self {
            Self::Reset => (1000, 33),
            Self::Ping | Self::Other => (1000, 100),
            Self::Settings => (100, 10),
        };
        let number = |number| NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN);
        Rate { per_second: number(per_second), burst: number(burst) }
    }
}

/// `PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n`.
const PREFACE_BYTES: u8 = 24;
/// Length, type, flags and stream.
const HEAD_BYTES: usize = 9;
/// Where the type is in a frame's head.
const KIND_AT: u8 = 3;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;
const END_HEADERS: u8 = 4;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
        let [.., high, middle, low] = payload.len().to_be_bytes();
        [&[high, middle, low, kind, flags, 0, 0, 0, 1], payload].concat()
    }

    #[test]
    fn the_stage_is_what_the_last_byte_left_open() {
        let headers = frame(HEADERS, 0, b"block");
        let continuation = frame(CONTINUATION, END_HEADERS, b"block");
        let data = frame(DATA, 0, b"data");
        let now = Instant::now();
        // Whatever the reads are.
        for step in [1, 2, 7, 1000] {
            let mut guard = FrameGuard::new(now);
            let mut check = |bytes: &[u8], expected| {
                for part in bytes.chunks(step) {
                    guard.follow(part, || now).unwrap();
                }
                assert_eq!(guard.stage(), expected, "{bytes:?} in steps of {step}");
            };
            check(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r", Stage::Preface);
            check(b"\n", Stage::Between);
            check(&data[..3], Stage::Frame);
            check(&data[3..9], Stage::Frame);
            check(&data[9..], Stage::Between);
            check(&headers[..4], Stage::HeaderBlock);
            check(&headers[4..11], Stage::HeaderBlock);
            check(&headers[11..], Stage::HeaderBlock);
            check(&continuation[..1], Stage::HeaderBlock);
            check(&continuation[1..9], Stage::HeaderBlock);
            check(&continuation[9..], Stage::Between);
            check(&frame(SETTINGS, 0, b""), Stage::Between);
        }
    }

    #[test]
    fn frames_are_counted_where_their_heads_end() {
        let now = Instant::now();
        let mut guard = FrameGuard::new(now);
        let preface = [0; PREFACE_BYTES as usize];
        let frames = [frame(DATA, 0, b""), frame(DATA, 0, b"x"), frame(DATA, 0, b"")].concat();
        let bytes = [&preface[..], &frames].concat();
        assert_eq!(guard.follow(&bytes[..bytes.len() - 1], || now), Ok(2));
        assert_eq!(guard.follow(&bytes[bytes.len() - 1..], || now), Ok(1));
    }

    #[test]
    fn frames_that_cost_work_are_bounded_and_others_are_not() {
        let floods = |kind: u8, count: usize, seconds_between: u64| {
            let begin = Instant::now();
            let mut guard = FrameGuard::new(begin);
            guard.follow(&[0; PREFACE_BYTES as usize], || begin).unwrap();
            let bytes = frame(kind, END_HEADERS, b"12345678");
            let at = |number: usize| begin + Duration::from_secs(seconds_between) * number as u32;
            (0..count).map(|number| guard.follow(&bytes, || at(number))).find_map(Result::err)
        };
        for kind in [DATA, HEADERS, CONTINUATION, WINDOW_UPDATE] {
            assert_eq!(floods(kind, 20_000, 0), None, "{kind}");
        }
        assert_eq!(floods(RST_STREAM, 1000, 0), None);
        assert_eq!(floods(RST_STREAM, 10_000, 0), Some(Flood(Costly::Reset)));
        assert_eq!(floods(PING, 1001, 0), Some(Flood(Costly::Ping)));
        assert_eq!(floods(SETTINGS, 101, 0), Some(Flood(Costly::Settings)));
        for unknown in [2, 5, 7, 10, 0x10, 255] {
            assert_eq!(floods(unknown, 1001, 0), Some(Flood(Costly::Other)), "{unknown}");
        }
        for kind in [RST_STREAM, PING, SETTINGS, 2] {
            assert_eq!(floods(kind, 10_000, 1), None, "one each second, for hours");
        }
    }
}
