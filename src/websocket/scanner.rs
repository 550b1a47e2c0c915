//! Finds where the frames of one direction begin and end, in a byte stream that comes in chunks
//! (RFC 6455, section 5.2).
//!
//! A head is followed once it is whole: one that is split over chunks waits for its rest, so that no
//! byte of a refused frame has passed. Payload is skipped and never read, except for the two bytes of
//! a Close frame's code, the one byte of an Engine.IO heartbeat, and the Pongs that may answer our own
//! Pings.
//!
//! Pure. Runs for every byte.

use super::error::FrameError;
use super::extensions::Extensions;
use super::head::{Head, Opcode};
use super::limits::{Bounds, Breach};
use super::rules::{CloseCode, own_pong};
use super::stream::{ControlSeen, Counts, Followed, PingPayload, Position, Sender, Until};
use crate::Instant;

/// Follows the frames of one direction.
#[derive(Clone, Debug)]
pub(crate) struct Scanner {
    pub(super) sender: Sender,
    pub(super) extensions: Extensions,
    state: State,
    /// A data frame without FIN has passed and its message goes on.
    pub(super) in_message: bool,
    seen: ControlSeen,
    counts: Counts,
    heartbeats: u32,
    /// Pings since somebody asked, as far as they can be counted.
    pings: u16,
    /// A node may send what it likes.
    bounds: Option<Box<Bounds>>,
    breach: Option<Breach>,
    own_ping: Option<PingPayload>,
}

#[derive(Clone, Debug)]
enum State {
    Boundary,
    /// A payload of which `left` bytes are to come, at least 1.
    Payload {
        left: u64,
        part: Part,
    },
    /// A Close frame's payload of which `left` bytes are to come, at least 1.
    Close {
        left: u8,
        mask: [u8; 2],
        code: [Option<u8>; 2],
    },
    Closed(Option<u16>),
    Lost(FrameError),
}

/// What a frame is to its message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Control,
    Fragment,
    Last,
    /// A whole text message of one byte, masked with this one.
    Letter(u8),
    /// A Close frame of which only the sides know what is in it.
    Close,
}

/// What to do with the next bytes of a chunk.
enum Step {
    Follow(usize),
    Drop(usize),
    /// They cannot be followed: not yet, or not at all.
    Stop,
}

impl Scanner {
    /// At the beginning of a stream, right behind the 101.
    pub(crate) fn new(sender: Sender, extensions: Extensions, bounds: Option<Box<Bounds>>) -> Self {
        Self {
            sender,
            extensions,
            state: State::Boundary,
            in_message: false,
            seen: ControlSeen::default(),
            counts: Counts::default(),
            heartbeats: 0,
            pings: 0,
            bounds,
            breach: None,
            own_ping: None,
        }
    }

    /// Follows `chunk`, read at `now`, as far as `until` says.
    ///
    /// It stops before the head of a frame that is not whole, that breaks a bound
    /// ([`breach`](Self::breach)) or the protocol ([`Position::Lost`]). Asked again, it follows
    /// what breaks a bound, and takes all bytes behind what breaks the protocol for followed.
    pub(crate) fn scan(&mut self, chunk: &[u8], until: Until, now: Instant) -> Followed {
        let (mut rest, mut dropped) = (chunk, 0);
        while !rest.is_empty() {
            match self.scan_part(rest, now) {
                Step::Follow(taken) => rest = rest_of(rest, taken),
                Step::Drop(taken) => dropped = taken,
                Step::Stop => break,
            }
            if dropped > 0 || (until == Until::Boundary && self.is_at_boundary()) {
                break;
            }
        }
        let passed = chunk.len() - rest.len();
        self.counts.bytes += (passed + dropped) as u64;
        Followed { passed, dropped }
    }

    /// Where the stream stands.
    pub(crate) fn position(&self) -> Position {
        match self.state {
            State::Boundary => Position::Boundary,
            State::Payload { .. } | State::Close { .. } => Position::Frame,
            State::Closed(code) => Position::Closed(code),
            State::Lost(error) => Position::Lost(error),
        }
    }

    /// Whether `chunk`, which comes next, begins with a Close frame.
    pub(crate) fn is_before_close(&self, chunk: &[u8]) -> bool {
        self.is_at_boundary() && Head::is_close(chunk)
    }

    /// The bound that was broken, if one was.
    pub(crate) fn breach(&self) -> Option<Breach> {
        self.breach
    }

    /// What was followed so far; a frame counts when its last byte passed.
    pub(crate) fn counts(&self) -> Counts {
        self.counts
    }

    /// How many of the messages were Engine.IO's `2` or `3`, ping and pong. A compressed one
    /// cannot be told from others and is not among them.
    pub(crate) fn heartbeats(&self) -> u32 {
        self.heartbeats
    }

    /// Which control frames came since the last call.
    pub(crate) fn take_seen(&mut self) -> ControlSeen {
        std::mem::take(&mut self.seen)
    }

    /// How many Pings came since the last call.
    #[inline]
    pub(crate) fn take_pings(&mut self) -> u16 {
        std::mem::take(&mut self.pings)
    }

    /// The next `pings` Pongs are answers, and cost the sender nothing.
    pub(crate) fn ask_for_pongs(&mut self, pings: u16) {
        if let Some(bounds) = &mut self.bounds {
            bounds.ask_for_pongs(pings);
        }
    }

    /// From now on, Pongs with this payload are dropped.
    pub(crate) fn drop_pongs(&mut self, payload: PingPayload) {
        self.own_ping = Some(payload);
    }

    /// Nothing is too much from now on.
    pub(crate) fn lift_bounds(&mut self) {
        self.bounds = None;
    }

    fn is_at_boundary(&self) -> bool {
        matches!(self.state, State::Boundary)
    }

    /// Follows `chunk` to the end of a head or payload.
    fn scan_part(&mut self, chunk: &[u8], now: Instant) -> Step {
        match &mut self.state {
            State::Boundary => match self.read_head(chunk) {
                Ok(Some(head)) => self.begin(&head, chunk, now),
                Ok(None) => Step::Stop,
                Err(error) => self.lose(error),
            },
            State::Payload { left, part } => {
                let part = *part;
                let skipped = (*left).min(chunk.len() as u64);
                *left -= skipped;
                if *left == 0 {
                    self.end(part);
                }
                if let (Part::Letter(mask), Some(letter)) = (part, chunk.first()) {
                    let is_heartbeat = matches!(letter ^ mask, b'2' | b'3');
                    self.heartbeats = self.heartbeats.saturating_add(is_heartbeat.into());
                }
                Step::Follow(skipped as usize)
            }
            State::Close { .. } => self.scan_close(chunk),
            State::Closed(_) => Step::Stop,
            State::Lost(_) => Step::Follow(chunk.len()),
        }
    }

    fn read_head(&self, chunk: &[u8]) -> Result<Option<Head>, FrameError> {
        match self.extensions {
            Extensions::None | Extensions::Deflate => Head::read(chunk),
            Extensions::Other => Head::read_any(chunk),
        }
    }

    /// Steps behind `head`, which `chunk` begins with.
    fn begin(&mut self, head: &Head, chunk: &[u8], now: Instant) -> Step {
        if let Err(error) = self.check(head) {
            return self.lose(error);
        }
        if head.opcode == Opcode::Close {
            match self.check_close_code(head, chunk) {
                Ok(CloseCode::Incomplete) => return Step::Stop,
                Ok(CloseCode::Fits) => (),
                Err(error) => return self.lose(error),
            }
        }
        let own_pong = match (head.opcode, self.own_ping) {
            (Opcode::Pong, Some(own)) => match own_pong(own, head, chunk) {
                Some(own_pong) => own_pong,
                None => return Step::Stop,
            },
            _ => None,
        };
        if let (Some(bounds), None) = (&mut self.bounds, self.breach)
            && let Err(breach) = bounds.admit(head, now)
        {
            self.breach = Some(breach);
            return Step::Stop;
        }
        if let Some(length) = own_pong {
            self.end(Part::Control);
            return Step::Drop(length);
        }
        let part = match head.opcode {
            Opcode::Close => {
                self.begin_close(head);
                return Step::Follow(head.head_bytes);
            }
            Opcode::Ping | Opcode::Pong => {
                self.seen.ping |= head.opcode == Opcode::Ping;
                self.pings = self.pings.saturating_add((head.opcode == Opcode::Ping).into());
                self.seen.pong |= head.opcode == Opcode::Pong;
                Part::Control
            }
            Opcode::Continuation | Opcode::Text | Opcode::Binary => {
                self.in_message = !head.fin;
                part_of(head)
            }
            Opcode::Reserved => Part::Fragment,
        };
        match head.payload_bytes {
            0 => self.end(part),
            left => self.state = State::Payload { left, part },
        }
        Step::Follow(head.head_bytes)
    }

    fn begin_close(&mut self, head: &Head) {
        let [first, second, ..] = head.mask.unwrap_or_default();
        let left = head.payload_bytes.min(CONTROL_PAYLOAD_MAX) as u8;
        match (left, head.rsv1 || head.rsv2_or_rsv3) {
            (0, _) => self.close(None),
            (_, true) => self.state = State::Payload { left: left.into(), part: Part::Close },
            (_, false) => {
                self.state = State::Close { left, mask: [first, second], code: [None; 2] };
            }
        }
    }

    fn scan_close(&mut self, chunk: &[u8]) -> Step {
        let State::Close { left, mask, code } = &mut self.state else { return Step::Stop };
        let taken = chunk.len().min(usize::from(*left));
        for byte in chunk.iter().take(taken) {
            match code {
                [None, _] => *code = [Some(byte ^ mask[0]), None],
                [Some(high), None] => *code = [Some(*high), Some(byte ^ mask[1])],
                [Some(_), Some(_)] => break,
            }
        }
        *left -= taken as u8;
        if let (0, [Some(high), Some(low)]) = (*left, *code) {
            self.close(Some(u16::from_be_bytes([high, low])));
        }
        Step::Follow(taken)
    }

    fn end(&mut self, part: Part) {
        self.state = State::Boundary;
        if part == Part::Close {
            self.state = State::Closed(None);
        }
        self.counts.frames = self.counts.frames.wrapping_add(1);
        match part {
            Part::Control | Part::Close => {
                self.counts.control_frames = self.counts.control_frames.wrapping_add(1);
            }
            Part::Fragment => (),
            Part::Last | Part::Letter(_) => self.counts.messages += 1,
        }
    }

    fn close(&mut self, code: Option<u16>) {
        self.end(Part::Control);
        self.state = State::Closed(code);
    }

    /// Gives the stream up.
    fn lose(&mut self, error: FrameError) -> Step {
        self.state = State::Lost(error);
        Step::Stop
    }
}

fn part_of(head: &Head) -> Part {
    let is_letter =
        head.payload_bytes == 1 && head.opcode == Opcode::Text && !head.rsv1 && !head.rsv2_or_rsv3;
    match (head.fin, is_letter) {
        (true, true) => Part::Letter(head.mask.map_or(0, |[first, ..]| first)),
        (true, false) => Part::Last,
        (false, _) => Part::Fragment,
    }
}

/// `chunk` behind its first `taken` bytes, which are never more than it has.
pub(super) fn rest_of(chunk: &[u8], taken: usize) -> &[u8] {
    chunk.get(taken..).unwrap_or_default()
}

/// Longest payload of a control frame (RFC 6455, section 5.5).
pub(super) const CONTROL_PAYLOAD_MAX: u64 = 125;
