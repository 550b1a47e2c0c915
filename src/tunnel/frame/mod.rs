//! Where the frames of one direction begin and end: a scanner of frame heads (RFC 6455, section
//! 5.2) over a byte stream that comes in chunks.
//!
//! What the scanner says depends on the bytes so far and not on how they were split. Payload is
//! skipped, never looked at, but for the two bytes of a Close frame's code.
//!
//! Pure. Runs for every byte.

mod head;
#[cfg(test)]
mod tests;

pub(super) use head::{Head, Opcode};

use head::HEAD_BYTES_MAX;

use super::Counts;

/// Follows the frames of one direction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Scanner {
    sender: Sender,
    compression: Compression,
    state: State,
    /// A data frame without FIN has passed and its message goes on.
    in_message: bool,
    counts: Counts,
}

/// Who sends what a scanner follows: clients mask, servers do not (RFC 6455, section 5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sender {
    /// Each frame must be masked.
    Client,
    /// No frame may be masked.
    Node,
}

/// Whether the 101 agreed on permessage-deflate (RFC 7692).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// No extension: RSV1 must be clear.
    Off,
    /// RSV1 may be set on the first frame of a message (RFC 7692, section 6).
    Negotiated,
}

/// How far [`Scanner::scan`] goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Until {
    /// To the chunk's end, or to the end of a Close frame: nothing may follow one.
    Close,
    /// To the end of the frame that the stream stands in.
    Boundary,
}

/// Where the stream stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Position {
    /// Between two frames: an own frame may be put in here.
    Boundary,
    /// Inside a frame.
    Frame,
    /// Behind a Close frame.
    Closed(Option<u16>),
    /// Nobody knows: the stream broke the protocol and is not followed any more.
    Lost(FrameError),
}

/// A way to break RFC 6455.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Section 5.1: a client must mask.
    #[error("unmasked frame from the client")]
    Unmasked,
    /// Section 5.1: a server must not mask.
    #[error("masked frame from the node")]
    Masked,
    /// Section 5.2: opcodes 3 to 7 and 11 to 15.
    #[error("reserved opcode")]
    ReservedOpcode,
    /// Section 5.2: a reserved bit that no extension gave a meaning.
    #[error("reserved bit set")]
    ReservedBit,
    /// Section 5.5: at most 125 bytes.
    #[error("control frame of more than 125 bytes")]
    LongControl,
    /// Section 5.5: control frames have FIN set.
    #[error("fragmented control frame")]
    FragmentedControl,
    /// Section 5.5.1: a Close frame's payload is empty or begins with a code of two bytes.
    #[error("close frame of one byte")]
    ShortClose,
    /// Section 5.2: the shortest form must be used.
    #[error("length not in its shortest form")]
    LongLength,
    /// Section 5.2: the highest bit of a 64-bit length is 0.
    #[error("length with the highest bit set")]
    HugeLength,
    /// Section 5.4: there is no message to continue.
    #[error("continuation without a start")]
    StrayContinuation,
    /// Section 5.4: a message's fragments come one after another.
    #[error("new message inside a fragmented one")]
    Interleaved,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    /// A head of which `len` bytes came; at 0 the stream stands at a boundary.
    Head {
        bytes: [u8; HEAD_BYTES_MAX],
        len: u8,
    },
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
}

impl Scanner {
    /// At the beginning of a stream, right behind the 101.
    pub(super) fn new(sender: Sender, compression: Compression) -> Self {
        let counts = Counts::default();
        Self { sender, compression, state: State::BOUNDARY, in_message: false, counts }
    }

    /// Follows `chunk` and says how many of its bytes were followed: all of them, unless what
    /// `until` names came before. A stream that breaks the protocol is [`Position::Lost`] from
    /// there on and all its bytes count as followed.
    pub(super) fn scan(&mut self, chunk: &[u8], until: Until) -> usize {
        let mut rest = chunk;
        while !rest.is_empty() && !matches!(self.state, State::Closed(_)) {
            rest = self.scan_part(rest);
            if until == Until::Boundary && self.position() == Position::Boundary {
                break;
            }
        }
        let followed = chunk.len() - rest.len();
        self.counts.bytes += followed as u64;
        followed
    }

    /// Where the stream stands.
    pub(super) fn position(&self) -> Position {
        match self.state {
            State::Head { len: 0, .. } => Position::Boundary,
            State::Head { .. } | State::Payload { .. } | State::Close { .. } => Position::Frame,
            State::Closed(code) => Position::Closed(code),
            State::Lost(error) => Position::Lost(error),
        }
    }

    /// What was followed so far; a frame counts when its last byte passed.
    pub(super) fn counts(&self) -> Counts {
        self.counts
    }

    /// Follows `chunk` to the end of a head or payload and gives back the rest.
    fn scan_part<'a>(&mut self, chunk: &'a [u8]) -> &'a [u8] {
        match &mut self.state {
            State::Head { len: 0, .. } => match Head::read(chunk) {
                Ok(Some(head)) => {
                    self.begin(&head);
                    rest_of(chunk, head.head_bytes)
                }
                Ok(None) => self.collect_head(chunk),
                Err(error) => self.lose(error),
            },
            State::Head { .. } => self.collect_head(chunk),
            State::Payload { left, part } => {
                let skipped = (*left).min(chunk.len() as u64);
                *left -= skipped;
                if *left == 0 {
                    let part = *part;
                    self.end(part);
                }
                rest_of(chunk, skipped as usize)
            }
            State::Close { .. } => self.scan_close(chunk),
            State::Closed(_) | State::Lost(_) => &[],
        }
    }

    /// Takes over the bytes of a head that is split over chunks.
    fn collect_head<'a>(&mut self, chunk: &'a [u8]) -> &'a [u8] {
        for (i, byte) in chunk.iter().enumerate() {
            let State::Head { bytes, len } = &mut self.state else { break };
            let Some(place) = bytes.get_mut(usize::from(*len)) else { break };
            *place = *byte;
            *len += 1;
            match Head::read(bytes.get(..usize::from(*len)).unwrap_or_default()) {
                Ok(None) => (),
                Ok(Some(head)) => {
                    self.begin(&head);
                    return rest_of(chunk, i + 1);
                }
                Err(error) => return self.lose(error),
            }
        }
        &[]
    }

    /// Steps behind `head`.
    fn begin(&mut self, head: &Head) {
        if let Err(error) = self.check(head) {
            self.lose(error);
            return;
        }
        let part = match head.opcode {
            Opcode::Close => {
                let [first, second, ..] = head.mask.unwrap_or_default();
                let left = head.payload_bytes.min(CONTROL_PAYLOAD_MAX) as u8;
                self.state = State::Close { left, mask: [first, second], code: [None; 2] };
                if left == 0 {
                    self.close(None);
                }
                return;
            }
            Opcode::Ping | Opcode::Pong => Part::Control,
            Opcode::Continuation | Opcode::Text | Opcode::Binary => {
                self.in_message = !head.fin;
                if head.fin { Part::Last } else { Part::Fragment }
            }
        };
        match head.payload_bytes {
            0 => self.end(part),
            left => self.state = State::Payload { left, part },
        }
    }

    /// What a head may not be in this direction, at this place.
    fn check(&self, head: &Head) -> Result<(), FrameError> {
        match (self.sender, head.mask.is_some()) {
            // An intermediary that lets unmasked frames through can be made to carry a forged
            // HTTP request (RFC 6455, section 10.3).
            (Sender::Client, false) => return Err(FrameError::Unmasked),
            (Sender::Node, true) => return Err(FrameError::Masked),
            (Sender::Client, true) | (Sender::Node, false) => (),
        }
        let starts_message = matches!(head.opcode, Opcode::Text | Opcode::Binary);
        let deflated = self.compression == Compression::Negotiated && starts_message;
        if head.rsv2_or_rsv3 || (head.rsv1 && !deflated) {
            return Err(FrameError::ReservedBit);
        }
        match head.opcode {
            Opcode::Close | Opcode::Ping | Opcode::Pong if !head.fin => {
                Err(FrameError::FragmentedControl)
            }
            Opcode::Close | Opcode::Ping | Opcode::Pong
                if head.payload_bytes > CONTROL_PAYLOAD_MAX =>
            {
                Err(FrameError::LongControl)
            }
            Opcode::Close if head.payload_bytes == 1 => Err(FrameError::ShortClose),
            Opcode::Continuation if !self.in_message => Err(FrameError::StrayContinuation),
            Opcode::Text | Opcode::Binary if self.in_message => Err(FrameError::Interleaved),
            Opcode::Close
            | Opcode::Ping
            | Opcode::Pong
            | Opcode::Continuation
            | Opcode::Text
            | Opcode::Binary => Ok(()),
        }
    }

    fn scan_close<'a>(&mut self, chunk: &'a [u8]) -> &'a [u8] {
        let State::Close { left, mask, code } = &mut self.state else { return &[] };
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
        rest_of(chunk, taken)
    }

    fn end(&mut self, part: Part) {
        self.state = State::BOUNDARY;
        self.counts.frames += 1;
        match part {
            Part::Control => self.counts.control_frames += 1,
            Part::Fragment => (),
            Part::Last => self.counts.messages += 1,
        }
    }

    fn close(&mut self, code: Option<u16>) {
        self.end(Part::Control);
        self.state = State::Closed(code);
    }

    /// Gives the stream up; what is left of the chunk is not looked at.
    fn lose(&mut self, error: FrameError) -> &'static [u8] {
        self.state = State::Lost(error);
        &[]
    }
}

/// Follows what a client sends, in `chunks` as they come. The scanner itself is the tunnel's own;
/// this is for benchmarks.
pub fn scan_client_frames<'a>(chunks: impl IntoIterator<Item = &'a [u8]>) -> Counts {
    let mut scanner = Scanner::new(Sender::Client, Compression::Off);
    for chunk in chunks {
        scanner.scan(chunk, Until::Close);
    }
    scanner.counts()
}

impl State {
    const BOUNDARY: Self = Self::Head { bytes: [0; HEAD_BYTES_MAX], len: 0 };
}

/// `chunk` behind its first `taken` bytes, which are never more than it has.
fn rest_of(chunk: &[u8], taken: usize) -> &[u8] {
    chunk.get(taken..).unwrap_or_default()
}

/// Longest payload of a control frame (RFC 6455, section 5.5).
const CONTROL_PAYLOAD_MAX: u64 = 125;
