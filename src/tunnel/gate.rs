//! Which of a direction's bytes may pass, and where a Close frame of ours may be put in.
//!
//! Nothing passes behind a Close frame, and nothing of ours is put inside a frame. What does not
//! pass is still followed, for it may be the answer to a Close frame that went the other way.
//!
//! Pure. Runs for every byte.

use super::Counts;
use super::frame::{Position, Scanner, Until};
use super::opening::{Opening, Outcome};
use crate::engineio::Timings;

/// Follows one direction's bytes and lets them pass or not.
#[derive(Debug)]
pub(super) struct Gate {
    scanner: Scanner,
    /// Reads the open packet on its way, and is gone when that is done.
    opening: Option<Box<Opening>>,
    passing: Passing,
}

/// Where a Close frame of ours may be put in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gap {
    /// Behind what has passed.
    Here,
    /// Behind the frame that is passing.
    Ahead,
    /// Nowhere: the stream cannot be followed, or a Close frame went before.
    Nowhere,
}

/// What may pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Passing {
    Everything,
    /// The current frame to its end, for a Close frame of ours is to follow it.
    Frame,
    /// Nothing: a Close frame of ours is to follow.
    Nothing,
    /// Nothing: a Close frame has passed or was put in.
    Closed,
}

impl Gate {
    /// Lets everything pass, and reads the open packet if there is an `opening`.
    pub(super) fn new(scanner: Scanner, opening: Option<Opening>) -> Self {
        Self { scanner, opening: opening.map(Box::new), passing: Passing::Everything }
    }

    /// Follows `chunk` and says how many of its bytes, from the first on, may pass.
    #[inline]
    pub(super) fn follow(&mut self, chunk: &[u8]) -> usize {
        if let Some(opening) = &mut self.opening {
            opening.push(chunk);
        }
        match self.passing {
            Passing::Everything => {
                let passed = self.scanner.scan(chunk, Until::Close);
                if self.close_seen().is_some() {
                    self.passing = Passing::Closed;
                }
                passed
            }
            Passing::Frame => self.follow_to_boundary(chunk),
            Passing::Nothing | Passing::Closed => {
                self.scanner.scan(chunk, Until::Close);
                0
            }
        }
    }

    /// Looks for the place of a Close frame of ours; from then on nothing passes that place.
    pub(super) fn find_gap(&mut self) -> Gap {
        match (self.passing, self.scanner.position()) {
            (Passing::Nothing, _) => Gap::Here,
            (Passing::Closed, _) => Gap::Nowhere,
            (Passing::Everything | Passing::Frame, Position::Boundary) => {
                self.passing = Passing::Nothing;
                Gap::Here
            }
            (Passing::Everything | Passing::Frame, Position::Frame) => {
                self.passing = Passing::Frame;
                Gap::Ahead
            }
            (Passing::Everything | Passing::Frame, Position::Closed(_) | Position::Lost(_)) => {
                Gap::Nowhere
            }
        }
    }

    /// Takes note that a Close frame of ours was put in.
    pub(super) fn close(&mut self) {
        debug_assert_eq!(self.passing, Passing::Nothing, "a frame only goes into a gap");
        self.passing = Passing::Closed;
    }

    /// Whether a Close frame of ours waits for a frame to end.
    pub(super) fn waits_for_gap(&self) -> bool {
        self.passing == Passing::Frame
    }

    /// Whether a Close frame has passed or was put in.
    pub(super) fn is_closed(&self) -> bool {
        self.passing == Passing::Closed
    }

    /// Whether what comes next may pass.
    #[inline]
    pub(super) fn is_open(&self) -> bool {
        match self.passing {
            Passing::Everything | Passing::Frame => true,
            Passing::Nothing | Passing::Closed => false,
        }
    }

    /// The code of the Close frame that came, if one came.
    #[inline]
    pub(super) fn close_seen(&self) -> Option<Option<u16>> {
        match self.scanner.position() {
            Position::Closed(code) => Some(code),
            Position::Boundary | Position::Frame | Position::Lost(_) => None,
        }
    }

    /// The open packet's timings, once.
    #[inline]
    pub(super) fn take_timings(&mut self) -> Option<Timings> {
        let timings = match self.opening.as_ref()?.outcome() {
            Outcome::Waits => return None,
            Outcome::Opened(timings) => Some(timings),
            Outcome::Unreadable => None,
        };
        self.opening = None;
        timings
    }

    /// What came.
    pub(super) fn counts(&self) -> Counts {
        self.scanner.counts()
    }

    fn follow_to_boundary(&mut self, chunk: &[u8]) -> usize {
        let passed = self.scanner.scan(chunk, Until::Boundary);
        self.passing = match self.scanner.position() {
            Position::Boundary => Passing::Nothing,
            Position::Closed(_) => Passing::Closed,
            Position::Frame | Position::Lost(_) => Passing::Frame,
        };
        self.scanner.scan(chunk.get(passed..).unwrap_or_default(), Until::Close);
        passed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tunnel::frame::{Compression, Sender};

    /// When a gap is looked for behind `before`, what is found, and what passes of `behind`?
    fn check(before: &[u8], gap: Gap, behind: &[u8], passed: usize) {
        let mut gate = Gate::new(Scanner::new(Sender::Node, Compression::Off), None);
        assert_eq!(gate.follow(before), before.len());
        assert_eq!(gate.find_gap(), gap, "behind {before:02x?}");
        assert_eq!(gate.find_gap(), gap, "behind {before:02x?}, asked again");
        assert_eq!(gate.follow(behind), passed, "{behind:02x?} behind {before:02x?}");
    }

    #[test]
    fn a_gap_is_found_between_two_frames_only() {
        check(b"", Gap::Here, b"\x81\x01a", 0);
        check(b"\x81\x01a", Gap::Here, b"\x81\x01a", 0);
        check(b"\x81", Gap::Ahead, b"\x01a\x81\x01a", 2);
        check(b"\x81\x01", Gap::Ahead, b"a\x81\x01a", 1);
        check(b"\x88", Gap::Ahead, b"\x00\x81\x01a", 1);
        check(b"\x88\x00", Gap::Nowhere, b"\x81\x01a", 0);
        check(b"HTTP", Gap::Nowhere, b"/1.1", 4);
    }

    #[test]
    fn the_answer_is_seen_among_what_does_not_pass() {
        for (before, behind) in [
            (&b"\x81\x00"[..], &b"\x81\x01a\x88\x02\x03\xe8"[..]),
            (b"\x81\x02a", b"b\x81\x01a\x88\x02\x03\xe8"),
        ] {
            let mut gate = Gate::new(Scanner::new(Sender::Node, Compression::Off), None);
            gate.follow(before);
            gate.find_gap();
            gate.follow(behind);
            assert_eq!(gate.close_seen(), Some(Some(1000)));
            assert!(!gate.is_closed(), "the node's Close frame has not passed");
            assert_eq!(gate.find_gap(), Gap::Here);
            gate.close();
            assert!(gate.is_closed());
        }
    }
}
