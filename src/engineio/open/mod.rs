//! The open packet in the response to a handshake: found in every form, and rewritten in place.
//!
//! The JSON is parsed, never matched as text: servers order its keys differently, and applications
//! make their own sids. Anything that is not certainly an open packet is left unchanged.
//!
//! Pure. Runs for every request.

mod json;
mod script;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::ops::Range;

use super::sid::Sid;
use super::timings::Timings;

/// An open packet (`0{"sid":...}`), and its position in the head that was scanned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenPacket {
    /// The session that it opens.
    pub sid: Sid,
    /// The timings that the packet states; `None` without a heartbeat.
    pub timings: Option<Timings>,
    /// Whether `upgrades` lists `websocket`.
    pub offers_websocket: bool,
    /// How the packet is wrapped: this, and not the request's `EIO`, shows the node's version.
    pub form: Form,
    /// The position and the value of the packet's length; `0..0` without.
    length_at: Range<usize>,
    length: usize,
    /// The position of the quote that closes the sid.
    sid_end: usize,
}

/// How a response by polling wraps its packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Version 4: the packets as they are, 0x1e between them.
    V4,
    /// Version 3: before each packet its length in UTF-16 code units, and a colon.
    V3Text,
    /// Version 3 with a binary packet in the payload: 0, the length in bytes with one byte for
    /// each digit, 255, the packet.
    V3Binary,
}

/// The result of scanning the head of a response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scan {
    /// It may become an open packet: scan again with more of the body.
    NeedMore,
    /// No open packet, or one that cannot be parsed.
    NotOpen,
    /// The open packet.
    Open(OpenPacket),
}

impl OpenPacket {
    /// How much of a response is scanned, in bytes. Node's open packet has 118; this leaves space
    /// for the longest sid, escaped twice (7 bytes for each), and the keys that servers may add.
    pub const HEAD_BYTES_MAX: usize = 8192;

    /// Looks for an open packet at the start of the response to a handshake, of which `head` has
    /// arrived so far. Once `head` has [`HEAD_BYTES_MAX`](Self::HEAD_BYTES_MAX) bytes, the result
    /// is never [`Scan::NeedMore`]. When the body ends, `NeedMore` means `NotOpen`.
    pub fn scan(head: &[u8]) -> Scan {
        let head = head.get(..Self::HEAD_BYTES_MAX).unwrap_or(head);
        match Self::find(head) {
            Ok(open) => Scan::Open(open),
            Err(Unfound::Cut) if head.len() < Self::HEAD_BYTES_MAX => Scan::NeedMore,
            Err(Unfound::Cut | Unfound::Absent) => Scan::NotOpen,
        }
    }

    /// Parses the first text frame of a node on a WebSocket, which is the unwrapped packet in both
    /// versions; `None` if it is anything else.
    pub fn parse(packet: &[u8]) -> Option<Self> {
        let object = packet.strip_prefix(b"0").filter(|object| object.starts_with(b"{"))?;
        let found = json::read(object).ok().filter(|found| found.end == object.len())?;
        Some(Self {
            sid: found.sid,
            timings: found.timings,
            offers_websocket: found.offers_websocket,
            form: Form::V4,
            length_at: 0..0,
            length: 0,
            sid_end: found.sid_end + 1,
        })
    }

    /// `head`, in which this packet was found, with `tag` after the sid and the packet's length
    /// raised accordingly; everything else, before and after the packet, byte for byte.
    ///
    /// `tag` is ASCII that needs no escape in JSON; the caller ensures that sid and tag together
    /// are not longer than [`Sid::BYTES_MAX`].
    pub fn with_tag(&self, head: &[u8], tag: &str) -> Vec<u8> {
        debug_assert!(tag.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"\\".contains(&byte)));
        let parts = (
            head.get(..self.length_at.start),
            head.get(self.length_at.end..self.sid_end),
            head.get(self.sid_end..),
        );
        let (Some(before), Some(packet), Some(behind)) = parts else {
            debug_assert!(false, "not the head in which the packet was found");
            return head.to_vec();
        };

        // One byte more than the tag, for a length that grows by a digit.
        let mut tagged = Vec::with_capacity(head.len() + tag.len() + 1);
        tagged.extend_from_slice(before);
        let length = self.length + tag.len();
        match self.form {
            Form::V4 => (),
            Form::V3Text => tagged.extend(length.to_string().bytes()),
            Form::V3Binary => tagged.extend(length.to_string().bytes().map(|digit| digit - b'0')),
        }
        tagged.extend_from_slice(packet);
        tagged.extend_from_slice(tag.as_bytes());
        tagged.extend_from_slice(behind);
        tagged
    }

    fn find(head: &[u8]) -> Result<Self, Unfound> {
        let jsonp = head.first() == Some(&script::FIRST_BYTE);
        let text = if jsonp { script::read(head)? } else { Text::plain(head) };
        let prefix = Prefix::read(&text.bytes).map_err(|unfound| text.settle(unfound))?;

        let packet = text.bytes.get(prefix.end..).unwrap_or_default();
        after(packet, b"0{").map_err(|unfound| text.settle(unfound))?;
        let object_at = prefix.end + 1;
        let object = text.bytes.get(object_at..).unwrap_or_default();
        let found = json::read(object).map_err(|unfound| text.settle(unfound))?;

        let packet = packet.get(..=found.end).unwrap_or_default();
        if prefix.form.length_of(packet).is_some_and(|length| length != prefix.length) {
            return Err(Unfound::Absent);
        }
        Ok(Self {
            sid: found.sid,
            timings: found.timings,
            offers_websocket: found.offers_websocket,
            form: prefix.form,
            length_at: text.origin(prefix.digits.start)..text.origin(prefix.digits.end),
            length: prefix.length,
            sid_end: text.origin(object_at + found.sid_end),
        })
    }
}

/// Why there is no open packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unfound {
    /// The bytes end before this is clear.
    Cut,
    /// It is not one.
    Absent,
}

/// A payload without the script around it.
#[derive(Debug)]
struct Text<'a> {
    bytes: Cow<'a, [u8]>,
    /// For each byte, its position in the head; empty if the positions are the same.
    origins: Vec<usize>,
    /// Whether more may follow.
    is_cut: bool,
}

impl<'a> Text<'a> {
    fn plain(head: &'a [u8]) -> Self {
        Self { bytes: Cow::Borrowed(head), origins: Vec::new(), is_cut: true }
    }

    /// The position in the head of the byte at `at`.
    fn origin(&self, at: usize) -> usize {
        self.origins.get(at).copied().unwrap_or(at)
    }

    /// More bytes do not change the result for a complete text.
    fn settle(&self, unfound: Unfound) -> Unfound {
        if self.is_cut { unfound } else { Unfound::Absent }
    }
}

/// The part before the first packet.
struct Prefix {
    form: Form,
    digits: Range<usize>,
    length: usize,
    end: usize,
}

impl Prefix {
    fn read(text: &[u8]) -> Result<Self, Unfound> {
        match text.first() {
            None => Err(Unfound::Cut),
            Some(b'0') => Ok(Self { form: Form::V4, digits: 0..0, length: 0, end: 0 }),
            Some(b'1'..=b'9') => Self::read_length(text, Form::V3Text, 0),
            Some(0) => Self::read_length(text, Form::V3Binary, 1),
            Some(_) => Err(Unfound::Absent),
        }
    }

    fn read_length(text: &[u8], form: Form, start: usize) -> Result<Self, Unfound> {
        let (zero, terminator) = match form {
            Form::V4 | Form::V3Text => (b'0', b':'),
            Form::V3Binary => (0, 0xff),
        };
        let mut length = 0;
        for (at, &byte) in text.iter().enumerate().skip(start).take(LENGTH_DIGITS_MAX + 1) {
            if byte == terminator {
                return Ok(Self { form, digits: start..at, length, end: at + 1 });
            }
            let digit = byte.checked_sub(zero).filter(|digit| *digit <= 9);
            length = length * 10 + usize::from(digit.ok_or(Unfound::Absent)?);
        }
        let is_cut = text.len() - start <= LENGTH_DIGITS_MAX;
        Err(if is_cut { Unfound::Cut } else { Unfound::Absent })
    }
}

/// A packet within the head has at most four digits of length.
const LENGTH_DIGITS_MAX: usize = 4;

impl Form {
    /// The length that has to be before `packet`; `None` if there is none.
    fn length_of(self, packet: &[u8]) -> Option<usize> {
        match self {
            Self::V4 => None,
            Self::V3Text => {
                Some(String::from_utf8_lossy(packet).chars().map(char::len_utf16).sum())
            }
            Self::V3Binary => Some(packet.len()),
        }
    }
}

/// The rest of `bytes` after `expected` at their start.
fn after<'a>(bytes: &'a [u8], expected: &[u8]) -> Result<&'a [u8], Unfound> {
    let is_cut = expected.starts_with(bytes);
    bytes.strip_prefix(expected).ok_or(if is_cut { Unfound::Cut } else { Unfound::Absent })
}
