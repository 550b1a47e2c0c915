//! Finds where the frames of one direction begin and end, in a byte stream that comes in chunks
//! (RFC 6455, section 5.2).
//!
//! A head is followed once it is whole: one that is split over chunks waits for its rest, so that
//! no byte of a refused frame has passed. Payload is skipped and never read, except for the two
//! bytes of a Close frame's code, the one byte of an Engine.IO heartbeat, and the Pongs that may
//! answer our own Pings.
//!
//! Pure. Runs for every byte.

use super::error::FrameError;
use super::extensions::Extensions;
use super::head::{Head, Opcode};
use super::limits::{Breach, SenderLimits};
use super::rules::{CloseCode, own_pong};
use super::stream::{ControlSeen, Counts, Followed, PingPayload, Position, Sender, Until};
use super::trail::Trail;
use crate::Instant;

/// Follows the frames of one direction.
#[derive(Clone, Debug)]
pub(crate) struct Scanner {
    pub(super) sender: Sender,
    pub(super) extensions: Extensions,
    state: State,
    /// A data frame without FIN has passed, and its message is not finished.
    pub(super) in_message: bool,
    control_seen: ControlSeen,
    counts: Counts,
    heartbeats: u32,
    /// Pings since the last [`take_pings`](Self::take_pings), saturating.
    pings: u16,
    /// `None` for a node, which has no limits.
    limits: Option<Box<SenderLimits>>,
    breach: Option<Breach>,
    own_ping: Option<PingPayload>,
    /// `None` while the sender is quiet.
    trail: Option<Box<Trail>>,
}

#[derive(Clone, Debug)]
enum State {
    Boundary,
    /// Inside a payload; `left` bytes, at least 1, have not arrived.
    Payload {
        left: u64,
        part: Part,
    },
    /// Inside a Close frame's payload; `left` bytes, at least 1, have not arrived.
    Close {
        left: u8,
        mask: [u8; 2],
        code: [Option<u8>; 2],
    },
    Closed(Option<u16>),
    Unparsable(FrameError),
    /// There are no frames.
    Unframed,
}

/// The role of a frame in its message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Control,
    Fragment,
    Last,
    /// A whole text message of one byte, masked with this byte.
    SingleByte(u8),
    /// A Close frame in the encoding of an unknown extension: its code cannot be read.
    Close,
}

/// What to do with the next bytes of a chunk.
enum Step {
    Follow(usize),
    Drop(usize),
    /// They cannot be followed yet, or never.
    Stop,
}

impl Scanner {
    /// At the beginning of a stream, directly after the 101.
    pub(crate) fn new(
        sender: Sender,
        extensions: Extensions,
        limits: Option<Box<SenderLimits>>,
    ) -> Self {
        Self {
            sender,
            extensions,
            state: State::Boundary,
            in_message: false,
            control_seen: ControlSeen::default(),
            counts: Counts::default(),
            heartbeats: 0,
            pings: 0,
            limits,
            breach: None,
            own_ping: None,
            trail: None,
        }
    }

    /// Counts the bytes of a stream of another protocol, of which there is nothing to follow.
    pub(crate) fn unframed(sender: Sender) -> Self {
        Self { state: State::Unframed, ..Self::new(sender, Extensions::None, None) }
    }

    /// Follows `chunk`, read at `now`, as far as `until` says.
    ///
    /// It stops before the head of a frame that is incomplete, exceeds a limit
    /// ([`breach`](Self::breach)) or breaks the protocol ([`Position::Unparsable`]). The next call
    /// follows a frame that exceeds a limit, and counts all bytes after a protocol error as
    /// followed.
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
            State::Unparsable(error) => Position::Unparsable(error),
            State::Unframed => Position::Unframed,
        }
    }

    /// Whether `chunk`, the next bytes, begins with a Close frame.
    pub(crate) fn is_before_close(&self, chunk: &[u8]) -> bool {
        self.is_at_boundary() && Head::is_close(chunk)
    }

    /// The limit that was exceeded, if any.
    pub(crate) fn breach(&self) -> Option<Breach> {
        self.breach
    }

    /// What was followed so far; a frame counts when its last byte has passed.
    pub(crate) fn counts(&self) -> Counts {
        self.counts
    }

    /// How many of the messages were Engine.IO's `2` or `3`, ping and pong. A compressed one is not
    /// recognized and not counted.
    pub(crate) fn heartbeats(&self) -> u32 {
        self.heartbeats
    }

    /// Which control frames came since the last call.
    pub(crate) fn take_control_seen(&mut self) -> ControlSeen {
        std::mem::take(&mut self.control_seen)
    }

    /// How many Pings came since the last call.
    #[inline]
    pub(crate) fn take_pings(&mut self) -> u16 {
        std::mem::take(&mut self.pings)
    }

    /// The next `pings` Pongs are answers, and cost the sender nothing.
    pub(crate) fn expect_pongs(&mut self, pings: u16) {
        if let Some(limits) = &mut self.limits {
            limits.expect_pongs(pings);
        }
    }

    /// From now on, Pongs with this payload are dropped.
    pub(crate) fn drop_pongs(&mut self, payload: PingPayload) {
        self.own_ping = Some(payload);
    }

    /// The last frames of a busy sender.
    pub(crate) fn trail(&self) -> Option<&Trail> {
        self.trail.as_deref()
    }

    /// Frees the memory of the last frames if they are old.
    pub(crate) fn forget_stale_frames(&mut self, now: Instant) {
        self.trail.take_if(|trail| trail.is_stale(now));
    }

    /// From now on there are no limits.
    pub(crate) fn lift_limits(&mut self) {
        self.limits = None;
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
                Err(error) => self.fail(error),
            },
            State::Payload { left, part } => {
                let part = *part;
                let skipped = (*left).min(chunk.len() as u64);
                *left -= skipped;
                if *left == 0 {
                    self.end(part);
                }
                if let (Part::SingleByte(mask), Some(byte)) = (part, chunk.first()) {
                    let is_heartbeat = matches!(byte ^ mask, b'2' | b'3');
                    self.heartbeats = self.heartbeats.saturating_add(is_heartbeat.into());
                }
                Step::Follow(skipped as usize)
            }
            State::Close { .. } => self.scan_close(chunk),
            State::Closed(_) => Step::Stop,
            State::Unparsable(_) | State::Unframed => Step::Follow(chunk.len()),
        }
    }

    fn read_head(&self, chunk: &[u8]) -> Result<Option<Head>, FrameError> {
        match self.extensions {
            Extensions::None | Extensions::Deflate => Head::read(chunk),
            Extensions::Other => Head::read_any(chunk),
        }
    }

    /// Follows `head`, with which `chunk` begins.
    fn begin(&mut self, head: &Head, chunk: &[u8], now: Instant) -> Step {
        if let Err(error) = self.check(head) {
            return self.fail(error);
        }
        if head.opcode == Opcode::Close {
            match self.check_close_code(head, chunk) {
                Ok(CloseCode::Incomplete) => return Step::Stop,
                Ok(CloseCode::Fits) => (),
                Err(error) => return self.fail(error),
            }
        }
        let own_pong = match (head.opcode, self.own_ping) {
            (Opcode::Pong, Some(own)) => match own_pong(own, head, chunk) {
                Some(own_pong) => own_pong,
                None => return Step::Stop,
            },
            _ => None,
        };
        if let (Some(limits), None) = (&mut self.limits, self.breach)
            && let Err(breach) = limits.admit(head, now)
        {
            self.breach = Some(breach);
            return Step::Stop;
        }
        if let Some(length) = own_pong {
            self.control_seen.own_pong = true;
            self.end(Part::Control);
            return Step::Drop(length);
        }
        let part = match head.opcode {
            Opcode::Close => {
                self.begin_close(head);
                return Step::Follow(head.head_bytes);
            }
            Opcode::Ping | Opcode::Pong => {
                self.control_seen.ping |= head.opcode == Opcode::Ping;
                self.pings = self.pings.saturating_add((head.opcode == Opcode::Ping).into());
                self.control_seen.pong |= head.opcode == Opcode::Pong;
                Part::Control
            }
            Opcode::Continuation | Opcode::Text | Opcode::Binary => {
                self.in_message = !head.fin;
                self.note(head, now);
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

    /// Notes a data frame for the autopsy of the tunnel's end, except heartbeats, and the few frames of a
    /// sender that is quiet.
    #[inline]
    fn note(&mut self, head: &Head, now: Instant) {
        if head.payload_bytes == 1 {
            return;
        }
        match &mut self.trail {
            Some(trail) => trail.note(head, now),
            None if self.counts.messages < QUIET_MESSAGES => (),
            None => self.trail.insert(Box::new(Trail::new(now))).note(head, now),
        }
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
            Part::Last | Part::SingleByte(_) => self.counts.messages += 1,
        }
    }

    fn close(&mut self, code: Option<u16>) {
        self.end(Part::Control);
        self.state = State::Closed(code);
    }

    /// Stops following the stream: it is not WebSocket any more.
    fn fail(&mut self, error: FrameError) -> Step {
        self.state = State::Unparsable(error);
        Step::Stop
    }
}

fn part_of(head: &Head) -> Part {
    let is_single_byte =
        head.payload_bytes == 1 && head.opcode == Opcode::Text && !head.rsv1 && !head.rsv2_or_rsv3;
    match (head.fin, is_single_byte) {
        (true, true) => Part::SingleByte(head.mask.map_or(0, |[first, ..]| first)),
        (true, false) => Part::Last,
        (false, _) => Part::Fragment,
    }
}

/// `chunk` after its first `taken` bytes, of which it never has fewer.
pub(super) fn rest_of(chunk: &[u8], taken: usize) -> &[u8] {
    chunk.get(taken..).unwrap_or_default()
}

/// A session that begins has a few messages, and may be quiet from then on.
const QUIET_MESSAGES: u64 = 4;

/// Longest payload of a control frame (RFC 6455, section 5.5).
pub(super) const CONTROL_PAYLOAD_MAX: u64 = 125;
