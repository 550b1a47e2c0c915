//! Which bytes of one direction may pass, and where a frame of ours may be inserted.
//!
//! Nothing passes after a Close frame, nor from the first frame on that exceeds one of the client's
//! limits or breaks the protocol, and no frame of ours is inserted inside another one. What does
//! not pass is still followed, because it may be the answer to a Close frame in the other
//! direction. A node's bytes that are not frames pass: some nodes refuse a client with HTTP text
//! after their 101.
//!
//! Pure. Runs for every byte.

use std::time::Duration;

use super::End;
use super::readers::{FirstFrames, Readers};
use super::tap::Tap;
use crate::Instant;
use crate::websocket::{
    Breach, ControlSeen, Counts, Followed, PingPayload, Position, Scanner, Trail, Until,
};

/// Follows the bytes of one direction and decides which may pass.
#[derive(Debug)]
pub(super) struct Gate {
    scanner: Scanner,
    /// Read what passes; `None` if none does.
    readers: Option<Box<Readers>>,
    passing: Passing,
    /// What happens if the sender breaks the protocol.
    strictness: Strictness,
    offence: Option<End>,
}

/// What happens to a side that breaks RFC 6455.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Strictness {
    /// The tunnel ends.
    Strict,
    /// Its bytes pass, and are no longer followed.
    Lenient,
}

/// Where a frame of ours may be inserted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum InsertPoint {
    /// After what has passed.
    Here,
    /// After the frame that is passing.
    AfterFrame,
    /// Nowhere: the stream cannot be followed, or a Close frame went before.
    Nowhere,
}

/// What may pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Passing {
    Everything,
    /// Everything up to the next Close frame, which one of ours will replace.
    UpToClose,
    /// The current frame to its end, after which a Close frame of ours follows.
    Frame,
    /// Nothing: a Close frame of ours follows.
    Nothing,
    /// Nothing: a Close frame has passed or was inserted.
    Closed,
}

impl Gate {
    /// Lets everything pass, and reads the first frames if there is a reader for them.
    pub(super) fn new(
        scanner: Scanner,
        strictness: Strictness,
        first_frames: Option<FirstFrames>,
    ) -> Self {
        let readers = first_frames.map(|first| Box::new(Readers::new(first)));
        Self { scanner, readers, passing: Passing::Everything, strictness, offence: None }
    }

    /// Follows `chunk`, read at `now`, as far as `until` says, and returns which of its bytes may
    /// pass. If nothing was followed, the chunk is the beginning of a frame of which more has to
    /// arrive.
    #[inline]
    pub(super) fn follow(&mut self, chunk: &[u8], until: Until, now: Instant) -> Followed {
        let at_boundary = self.readers.is_some() && self.scanner.position() == Position::Boundary;
        let followed = match self.passing {
            Passing::Everything => {
                let followed = self.scanner.scan(chunk, until, now);
                if followed.passed + followed.dropped == chunk.len() && self.close_seen().is_none()
                {
                    followed
                } else {
                    self.on_stop(chunk, followed, now)
                }
            }
            Passing::UpToClose => self.follow_to_close(chunk, now),
            Passing::Frame => self.follow_to_boundary(chunk, now),
            Passing::Nothing | Passing::Closed => self.discard(chunk, now),
        };
        if self.readers.is_some() {
            self.read(chunk.split_at(followed.passed).0, at_boundary, now);
        }
        followed
    }

    /// Shows the frames that pass from now on to somebody.
    pub(super) fn watch(&mut self, tap: Tap) {
        self.readers.get_or_insert_default().add(tap);
    }

    /// From now on the sender's next Close frame does not pass: one of ours replaces it, or is
    /// inserted before it where [`find_insert_point`](Self::find_insert_point) finds a point.
    pub(super) fn await_close(&mut self) {
        match (self.passing, self.scanner.position()) {
            (Passing::Everything, Position::Boundary | Position::Frame) => {
                self.passing = Passing::UpToClose;
            }
            (
                Passing::Everything,
                Position::Closed(_) | Position::Unparsable(_) | Position::Unframed,
            )
            | (Passing::UpToClose | Passing::Frame | Passing::Nothing | Passing::Closed, _) => (),
        }
    }

    /// Whether a Close frame of ours waits to replace the sender's.
    pub(super) fn awaits_close(&self) -> bool {
        self.passing == Passing::UpToClose
    }

    /// Looks for the insert point of a Close frame of ours; from then on nothing passes beyond it.
    pub(super) fn find_insert_point(&mut self) -> InsertPoint {
        let (insert_point, passing) = match (self.passing, self.scanner.position()) {
            (Passing::Nothing, _) => (InsertPoint::Here, Passing::Nothing),
            (Passing::Everything | Passing::UpToClose | Passing::Frame, Position::Boundary) => {
                (InsertPoint::Here, Passing::Nothing)
            }
            (Passing::Everything | Passing::UpToClose | Passing::Frame, Position::Frame) => {
                (InsertPoint::AfterFrame, Passing::Frame)
            }
            (passing @ Passing::Closed, _)
            | (
                passing @ (Passing::Everything | Passing::UpToClose | Passing::Frame),
                Position::Closed(_) | Position::Unparsable(_) | Position::Unframed,
            ) => (InsertPoint::Nowhere, passing),
        };
        self.passing = passing;
        insert_point
    }

    /// Where a frame of ours may be inserted that does not end the stream.
    pub(super) fn insert_point(&self) -> InsertPoint {
        match (self.passing, self.scanner.position()) {
            (Passing::Everything, Position::Boundary) => InsertPoint::Here,
            (Passing::Everything, Position::Frame) => InsertPoint::AfterFrame,
            (
                Passing::Everything,
                Position::Closed(_) | Position::Unparsable(_) | Position::Unframed,
            )
            | (Passing::UpToClose | Passing::Frame | Passing::Nothing | Passing::Closed, _) => {
                InsertPoint::Nowhere
            }
        }
    }

    /// A Close frame of ours was inserted.
    pub(super) fn set_closed(&mut self) {
        debug_assert_eq!(self.passing, Passing::Nothing, "no insert point was found before");
        self.passing = Passing::Closed;
    }

    /// The stream has ended inside a head. Returns whether the beginning of the head may pass;
    /// nothing of ours is inserted after it.
    pub(super) fn end_inside_head(&mut self) -> bool {
        let passes = self.passing == Passing::Everything;
        if passes {
            self.passing = Passing::Closed;
        }
        passes
    }

    /// Whether a Close frame of ours waits for an insert point.
    pub(super) fn awaits_insert_point(&self) -> bool {
        match self.passing {
            Passing::UpToClose | Passing::Frame => true,
            Passing::Everything | Passing::Nothing | Passing::Closed => false,
        }
    }

    /// Whether a Close frame has passed or was inserted.
    pub(super) fn is_closed(&self) -> bool {
        self.passing == Passing::Closed
    }

    /// Whether the next bytes may pass.
    #[inline]
    pub(super) fn is_open(&self) -> bool {
        match self.passing {
            Passing::Everything | Passing::UpToClose | Passing::Frame => true,
            Passing::Nothing | Passing::Closed => false,
        }
    }

    /// The code of the sender's Close frame, if it has arrived.
    #[inline]
    pub(super) fn close_seen(&self) -> Option<Option<u16>> {
        match self.scanner.position() {
            Position::Closed(code) => Some(code),
            Position::Boundary | Position::Frame | Position::Unparsable(_) | Position::Unframed => {
                None
            }
        }
    }

    /// How the sender exceeded a limit or broke the protocol, after which nothing passes.
    #[inline]
    pub(super) fn offence(&self) -> Option<End> {
        self.offence
    }

    /// Whether no Close frame can be found any more.
    pub(super) fn is_unparsable(&self) -> bool {
        matches!(self.scanner.position(), Position::Unparsable(_) | Position::Unframed)
    }

    /// How long the session may be silent by its open packet; only once.
    #[inline]
    pub(super) fn take_silence_max(&mut self) -> Option<Duration> {
        let readers = self.readers.as_deref_mut()?;
        let silence_max = readers.take_silence_max();
        if readers.are_done() {
            self.readers = None;
        }
        silence_max
    }

    /// What arrived.
    pub(super) fn counts(&self) -> Counts {
        self.scanner.counts()
    }

    /// How many of the messages were Engine.IO's ping or pong.
    pub(super) fn heartbeats(&self) -> u32 {
        self.scanner.heartbeats()
    }

    /// The last frames of a busy sender.
    pub(super) fn trail(&self) -> Option<&Trail> {
        self.scanner.trail()
    }

    /// Frees the memory of the last frames if they are old.
    pub(super) fn forget_stale_frames(&mut self, now: Instant) {
        self.scanner.forget_stale_frames(now);
    }

    /// Which control frames arrived since the last call.
    pub(super) fn take_control_seen(&mut self) -> ControlSeen {
        self.scanner.take_control_seen()
    }

    /// How many Pings arrived since the last call.
    #[inline]
    pub(super) fn take_pings(&mut self) -> u16 {
        self.scanner.take_pings()
    }

    /// The next `pings` Pongs are answers, and cost the sender nothing.
    #[cold]
    pub(super) fn expect_pongs(&mut self, pings: u16) {
        self.scanner.expect_pongs(pings);
    }

    /// From now on, Pongs with this payload do not pass.
    pub(super) fn drop_pongs(&mut self, payload: PingPayload) {
        self.scanner.drop_pongs(payload);
    }

    /// Lets the readers read what passes, and frees them when all are done.
    #[cold]
    fn read(&mut self, passing: &[u8], at_boundary: bool, now: Instant) {
        let readers = self.readers.as_deref_mut();
        if readers.is_some_and(|readers| readers.read(passing, at_boundary, now)) {
            self.readers = None;
        }
    }

    /// Handles a chunk that was not followed completely, or that ends with a Close frame.
    #[cold]
    fn on_stop(&mut self, chunk: &[u8], mut followed: Followed, now: Instant) -> Followed {
        let behind = chunk.get(followed.passed + followed.dropped..).unwrap_or_default();
        if self.close_seen().is_some() {
            self.passing = Passing::Closed;
            followed.dropped += self.discard(behind, now).dropped;
        } else if let (Strictness::Strict, Some(offence)) = (self.strictness, self.find_offence()) {
            self.offence = Some(offence);
            self.passing = Passing::Nothing;
            followed.dropped += self.discard(behind, now).dropped;
        } else if self.is_unparsable() {
            followed.passed += self.scanner.scan(behind, Until::Close, now).passed;
        }
        followed
    }

    fn find_offence(&self) -> Option<End> {
        match (self.scanner.breach(), self.scanner.position()) {
            (Some(Breach::TooBig), _) => Some(End::TooBig),
            (Some(Breach::TooFast), _) => Some(End::TooFast),
            (None, Position::Unparsable(error)) => Some(End::BadFrame(error)),
            (
                None,
                Position::Boundary | Position::Frame | Position::Closed(_) | Position::Unframed,
            ) => None,
        }
    }

    /// Lets frame after frame pass, up to a Close frame or a broken one. A Close frame that had
    /// begun before passes, because there is no insert point before it.
    fn follow_to_close(&mut self, chunk: &[u8], now: Instant) -> Followed {
        let mut passed = 0;
        while self.awaits_close() {
            let rest = chunk.get(passed..).unwrap_or_default();
            if self.scanner.is_before_close(rest) {
                self.passing = Passing::Nothing;
                break;
            }
            let followed = self.scanner.scan(rest, Until::Boundary, now);
            passed += followed.passed;
            match self.scanner.position() {
                Position::Closed(_) => self.passing = Passing::Closed,
                Position::Unparsable(_) | Position::Unframed => self.passing = Passing::Nothing,
                Position::Boundary | Position::Frame
                    if followed.passed == 0 || followed.dropped > 0 =>
                {
                    return Followed { passed, ..followed };
                }
                Position::Boundary | Position::Frame => (),
            }
        }
        let behind = chunk.get(passed..).unwrap_or_default();
        Followed { passed, dropped: self.discard(behind, now).dropped }
    }

    /// Lets the rest of the current frame pass.
    fn follow_to_boundary(&mut self, chunk: &[u8], now: Instant) -> Followed {
        let followed = self.scanner.scan(chunk, Until::Boundary, now);
        self.passing = match self.scanner.position() {
            Position::Boundary => Passing::Nothing,
            Position::Closed(_) => Passing::Closed,
            Position::Frame | Position::Unparsable(_) | Position::Unframed => Passing::Frame,
        };
        followed
    }

    /// Follows without letting anything pass.
    fn discard(&mut self, chunk: &[u8], now: Instant) -> Followed {
        self.scanner.lift_limits();
        let mut rest = chunk;
        while !rest.is_empty() {
            let Followed { passed, dropped } = self.scanner.scan(rest, Until::Close, now);
            rest = rest.get(passed + dropped..).unwrap_or_default();
            match self.scanner.position() {
                Position::Closed(_) => rest = &[],
                Position::Boundary | Position::Frame if passed + dropped == 0 => break,
                Position::Boundary
                | Position::Frame
                | Position::Unparsable(_)
                | Position::Unframed => (),
            }
        }
        Followed { passed: 0, dropped: chunk.len() - rest.len() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::websocket::{Extensions, Sender, SenderLimits};

    fn gate(sender: Sender, strictness: Strictness) -> Gate {
        let now = Instant::now();
        let bounds = (sender == Sender::Client)
            .then(|| Box::new(SenderLimits::new(4, Some(3), Some(200), now)));
        Gate::new(Scanner::new(sender, Extensions::None, bounds), strictness, None)
    }

    /// How many bytes of `chunk` pass, when all is asked for?
    fn passed(gate: &mut Gate, chunk: &[u8]) -> usize {
        let (mut rest, mut passed) = (chunk, 0);
        loop {
            let followed = gate.follow(rest, Until::Close, Instant::now());
            passed += followed.passed;
            rest = &rest[followed.passed + followed.dropped..];
            if followed == Followed::default() || rest.is_empty() {
                return passed;
            }
        }
    }

    /// When a gap is looked for behind `before`, what is found, and what passes of `behind`?
    fn check(before: &[u8], insert_point: InsertPoint, behind: &[u8], expected: usize) {
        let mut gate = gate(Sender::Node, Strictness::Lenient);
        assert_eq!(passed(&mut gate, before), before.len());
        assert_eq!(gate.find_insert_point(), insert_point, "behind {before:02x?}");
        assert_eq!(gate.find_insert_point(), insert_point, "behind {before:02x?}, asked again");
        assert_eq!(passed(&mut gate, behind), expected, "{behind:02x?} behind {before:02x?}");
    }

    #[test]
    fn an_insert_point_is_between_two_frames_only() {
        check(b"", InsertPoint::Here, b"\x81\x01a", 0);
        check(b"\x81\x01a", InsertPoint::Here, b"\x81\x01a", 0);
        check(b"\x81\x01", InsertPoint::AfterFrame, b"a\x81\x01a", 1);
        check(b"\x81\x02a", InsertPoint::AfterFrame, b"b\x81", 1);
        check(b"\x88\x02\x03", InsertPoint::AfterFrame, b"\xe8\x81\x01a", 1);
        check(b"\x88\x00", InsertPoint::Nowhere, b"\x81\x01a", 0);
        check(b"HTTP", InsertPoint::Nowhere, b"/1.1", 4);
    }

    #[test]
    fn the_answer_is_seen_among_what_does_not_pass() {
        for (before, behind) in [
            (&b"\x81\x00"[..], &b"\x81\x01a\x88\x02\x03\xe8"[..]),
            (b"\x81\x02a", b"b\x81\x01a\x88\x02\x03\xe8"),
        ] {
            let mut gate = gate(Sender::Node, Strictness::Lenient);
            passed(&mut gate, before);
            gate.find_insert_point();
            passed(&mut gate, behind);
            assert_eq!(gate.close_seen(), Some(Some(1000)));
            assert!(!gate.is_closed(), "the node's Close frame has not passed");
            assert_eq!(gate.find_insert_point(), InsertPoint::Here);
            gate.set_closed();
            assert!(gate.is_closed());
        }
    }

    #[test]
    fn a_close_frame_that_ours_replaces_does_not_pass_and_frames_before_it_do() {
        let check = |before: &[u8], behind: &[u8], expected: usize, insert_point| {
            for i in 0..=behind.len() {
                let mut gate = gate(Sender::Node, Strictness::Lenient);
                passed(&mut gate, before);
                gate.await_close();
                let first = passed(&mut gate, &behind[..i]);
                let followed = gate.counts().bytes as usize - before.len();
                let second = passed(&mut gate, &behind[followed.min(i)..]);
                assert_eq!(first + second, expected, "{behind:02x?} split at {i}");
                assert_eq!(
                    gate.awaits_close(),
                    insert_point == InsertPoint::AfterFrame,
                    "{behind:02x?} split at {i}"
                );
                assert!(
                    gate.awaits_close() || gate.find_insert_point() == insert_point,
                    "{behind:02x?} at {i}"
                );
            }
        };
        check(b"", b"\x81\x01a\x89\x00\x82\x02bc", 9, InsertPoint::AfterFrame);
        check(b"", b"\x81\x01a\x88\x02\x03\xe8\x81\x01a", 3, InsertPoint::Here);
        check(b"\x01\x02a", b"b\x88\x00\x80\x01c", 1, InsertPoint::Here);
        check(b"\x01\x02a", b"b\x80\x01c\x88\x00", 4, InsertPoint::Here);
        check(b"\x88\x02\x03", b"\xe8\x81\x01a", 1, InsertPoint::Nowhere);
        check(b"", b"\x81\x01aHTTP/1.1 and more than a head", 3, InsertPoint::Here);
    }

    #[test]
    fn nothing_of_an_offending_frame_passes_however_it_is_split() {
        use crate::websocket::FrameError;
        let check = |stream: &[u8], expected: usize, offence| {
            for i in 0..=stream.len() {
                let mut gate = gate(Sender::Client, Strictness::Strict);
                let before = passed(&mut gate, &stream[..i]);
                let followed = gate.counts().bytes as usize;
                let behind = passed(&mut gate, &stream[followed.min(i)..]);
                assert_eq!(before + behind, expected, "{stream:02x?} split at {i}");
                assert_eq!(gate.offence(), offence, "{stream:02x?} split at {i}");
                let insert_point =
                    if offence.is_some() { InsertPoint::Here } else { InsertPoint::AfterFrame };
                assert!(expected == stream.len() || gate.find_insert_point() == insert_point);
            }
        };
        let message = b"\x81\x81\0\0\0\0a";
        let behind = |more: &[u8]| [&message[..], more, message].concat();
        check(&behind(b""), 14, None);
        check(&behind(b"\x81\x01a"), 7, Some(End::BadFrame(FrameError::Unmasked)));
        check(&behind(b"\x83\x80\0\0\0\0"), 7, Some(End::BadFrame(FrameError::ReservedOpcode)));
        check(&behind(b"\x81\x85\0\0\0\0abcde"), 7, Some(End::TooBig));
        check(&behind(b"\x01\x83\0\0\0\0abc\x80\x82\0\0\0\0de"), 16, Some(End::TooBig));
        check(&[&message[..]; 4].concat(), 21, Some(End::TooFast));
    }
}
