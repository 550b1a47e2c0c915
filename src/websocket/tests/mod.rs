//! The scanner against a reference model, each input split at each byte.

mod model;

use proptest::collection::vec;
use proptest::prelude::*;

use self::model::model;
use super::*;
use crate::Instant;

/// What is known of a stream at its end: where it stands, frames, messages, control frames.
type Outcome = (Position, u64, u64, u64);

/// A scanner, and what it has not followed yet.
struct Follower {
    scanner: Scanner,
    held: Vec<u8>,
    passed: Vec<u8>,
}

impl Follower {
    fn new(sender: Sender, extensions: Extensions) -> Self {
        let scanner = Scanner::new(sender, extensions, None);
        Self { scanner, held: Vec::new(), passed: Vec::new() }
    }

    fn over(sender: Sender, extensions: Extensions, stream: &[u8]) -> Self {
        let mut follower = Self::new(sender, extensions);
        follower.push(stream);
        follower
    }

    fn push(&mut self, chunk: &[u8]) {
        self.held.extend(chunk);
        loop {
            let Followed { passed, dropped } =
                self.scanner.scan(&self.held, Until::Close, Instant::now());
            self.passed.extend(self.held.drain(..passed));
            self.held.drain(..dropped);
            if passed + dropped == 0 {
                break;
            }
        }
        let is_within = matches!(self.scanner.position(), Position::Boundary | Position::Frame);
        assert!(!is_within || self.held.len() < 14, "{:02x?} are held", self.held);
    }

    fn seen(&self) -> Outcome {
        let Counts { frames, messages, control_frames, .. } = self.scanner.counts();
        let position = match self.scanner.position() {
            Position::Boundary if !self.held.is_empty() => Position::Frame,
            position => position,
        };
        (position, frames.into(), messages, control_frames.into())
    }
}

/// What is seen of `stream`, whole, byte by byte, and split at every byte?
fn check(sender: Sender, extensions: Extensions, stream: &[u8], expected: Outcome) {
    let whole = Follower::over(sender, extensions, stream);
    assert_eq!(whole.seen(), expected, "{stream:02x?}");
    assert_eq!(model(sender, extensions, stream), expected, "model of {stream:02x?}");

    for i in 0..=stream.len() {
        let (first, second) = stream.split_at(i);
        let mut follower = Follower::over(sender, extensions, first);
        follower.push(second);
        assert_eq!(follower.seen(), expected, "{stream:02x?} split at {i}");
    }
    let mut follower = Follower::new(sender, extensions);
    stream.iter().for_each(|byte| follower.push(&[*byte]));
    assert_eq!(follower.seen(), expected, "{stream:02x?} byte by byte");
}

/// A frame as `sender` sends it, its length in the shortest form.
fn frame(sender: Sender, first: u8, payload: &[u8]) -> Vec<u8> {
    let mask_bit = if sender == Sender::Client { 0x80 } else { 0 };
    let mut frame = match payload.len() {
        length @ ..126 => vec![first, mask_bit | length as u8],
        length @ 126..65_536 => {
            [&[first, mask_bit | 126], &(length as u16).to_be_bytes()[..]].concat()
        }
        length => [&[first, mask_bit | 127], &(length as u64).to_be_bytes()[..]].concat(),
    };
    let mask = if sender == Sender::Client { vec![0x11, 0x22, 0x33, 0x44] } else { vec![] };
    frame.extend(&mask);
    frame.extend(payload.iter().enumerate().map(|(i, b)| b ^ mask.get(i % 4).unwrap_or(&0)));
    frame
}

#[test]
fn frames_are_found_however_the_stream_is_split() {
    for sender in [Sender::Client, Sender::Node] {
        let check = |frames: &[(u8, usize)], expected| {
            let frames =
                frames.iter().map(|(first, length)| frame(sender, *first, &vec![7; *length]));
            check(sender, Extensions::None, &frames.collect::<Vec<_>>().concat(), expected);
        };
        let boundary = Position::Boundary;
        check(&[], (boundary, 0, 0, 0));
        check(&[(0x81, 0)], (boundary, 1, 1, 0));
        check(&[(0x81, 5), (0x82, 125)], (boundary, 2, 2, 0));
        check(&[(0x82, 126)], (boundary, 1, 1, 0));
        check(&[(0x82, 300), (0x81, 1)], (boundary, 2, 2, 0));
        check(&[(0x01, 3), (0x00, 0), (0x80, 3)], (boundary, 3, 1, 0));
        check(&[(0x01, 3), (0x89, 125), (0x80, 3), (0x8a, 0)], (boundary, 4, 1, 2));
        check(&[(0x81, 4), (0x88, 0)], (Position::Closed(None), 2, 1, 1));
        check(&[(0x88, 2), (0x81, 4)], (Position::Closed(Some(0x0707)), 1, 0, 1));
        check(&[(0x88, 125)], (Position::Closed(Some(0x0707)), 1, 0, 1));
    }
}

#[test]
fn lengths_are_read_at_the_edges_of_their_forms() {
    for length in [125, 126, 127, 65_535, 65_536, 65_537] {
        let mut stream = frame(Sender::Node, 0x82, &vec![0; length]);
        let whole = Follower::over(Sender::Node, Extensions::None, &stream);
        assert_eq!(whole.seen(), (Position::Boundary, 1, 1, 0), "{length}");
        stream.pop();
        let cut = Follower::over(Sender::Node, Extensions::None, &stream);
        assert_eq!(cut.seen(), (Position::Frame, 0, 0, 0), "{length}");
    }
    let longest = [0x82, 127, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1];
    check(Sender::Node, Extensions::None, &longest, (Position::Frame, 0, 0, 0));
}

#[test]
fn each_way_to_break_the_protocol_has_its_name() {
    let lost = |sender, stream: &[u8], error| {
        check(sender, Extensions::None, stream, (Position::Unparsable(error), 0, 0, 0));
    };
    let client = |first, payload: &[u8]| frame(Sender::Client, first, payload);
    lost(Sender::Client, &[0x81, 1, b'a'], FrameError::Unmasked);
    lost(Sender::Node, &client(0x81, b"a"), FrameError::Masked);
    for opcode in [3, 4, 5, 6, 7, 11, 12, 13, 14, 15] {
        lost(Sender::Client, &client(0x80 | opcode, b"a"), FrameError::ReservedOpcode);
    }
    for bit in [0x10, 0x20, 0x40] {
        lost(Sender::Client, &client(0x81 | bit, b"a"), FrameError::ReservedBit);
    }
    for opcode in [8, 9, 10] {
        lost(Sender::Client, &client(0x80 | opcode, &[0; 126]), FrameError::LongControl);
        lost(Sender::Client, &client(opcode, b"ab"), FrameError::FragmentedControl);
    }
    lost(Sender::Client, &client(0x88, b"a"), FrameError::ShortClose);
    for code in [0_u16, 999, 1004, 1005, 1006, 1015, 5000, u16::MAX] {
        let close = [&code.to_be_bytes()[..], b"why"].concat();
        lost(Sender::Client, &client(0x88, &close), FrameError::CloseCode);
        let passes = (Position::Closed(Some(code)), 1, 0, 1);
        check(Sender::Node, Extensions::None, &frame(Sender::Node, 0x88, &close), passes);
    }
    for code in [1000_u16, 1003, 1007, 1014, 1016, 2999, 3000, 4999] {
        let passes = (Position::Closed(Some(code)), 1, 0, 1);
        let close = client(0x88, &code.to_be_bytes());
        check(Sender::Client, Extensions::None, &close, passes);
    }
    lost(Sender::Node, &[0x82, 126, 0, 125], FrameError::LongLength);
    lost(Sender::Node, &[0x82, 127, 0, 0, 0, 0, 0, 0, 0xff, 0xff], FrameError::LongLength);
    lost(Sender::Node, &[0x82, 127, 0x80, 0, 0, 0, 0, 0, 0, 0], FrameError::HugeLength);
    lost(Sender::Client, &client(0x80, b"a"), FrameError::StrayContinuation);
    lost(Sender::Node, b"HTTP/1.1 400 Bad Request\r\n\r\n", FrameError::ReservedBit);

    let twice = [client(0x01, b"a"), client(0x81, b"b")].concat();
    let expected = (Position::Unparsable(FrameError::Interleaved), 1, 0, 0);
    check(Sender::Client, Extensions::None, &twice, expected);
}

#[test]
fn compression_permits_rsv1_on_the_first_frame_of_a_message_only() {
    let check = |frames: &[(u8, &[u8])], expected| {
        let frames = frames.iter().map(|(first, payload)| frame(Sender::Node, *first, payload));
        check(Sender::Node, Extensions::Deflate, &frames.collect::<Vec<_>>().concat(), expected);
    };
    let lost = Position::Unparsable(FrameError::ReservedBit);
    check(&[(0xc1, b"a"), (0x42, b"b"), (0x80, b"c")], (Position::Boundary, 3, 2, 0));
    check(&[(0x42, b"b"), (0xc0, b"c")], (lost, 1, 0, 0));
    check(&[(0xc9, b"")], (lost, 0, 0, 0));
    check(&[(0xa1, b"")], (lost, 0, 0, 0));
}

#[test]
fn frames_of_unknown_extensions_are_followed_by_their_lengths() {
    for sender in [Sender::Client, Sender::Node] {
        let frames = [
            (0xc1, 5),
            (0xf1, 0),
            (0x80, 3),
            (0x01, 3),
            (0x42, 3),
            (0x33, 200),
            (0xcb, 70_000),
            (0xf9, 2),
        ];
        let frames = frames.map(|(first, length)| frame(sender, first, &vec![7; length])).concat();
        let mut follower = Follower::over(sender, Extensions::Other, &frames);
        assert_eq!(follower.passed, frames);
        assert_eq!(follower.scanner.position(), Position::Boundary);
        assert_eq!(follower.scanner.counts().frames, 8);
        follower.push(&frame(sender, 0xb8, b"\x03\xed"));
        assert_eq!(follower.scanner.position(), Position::Closed(None), "nobody knows the code");
    }
    let lost = |sender, stream: &[u8], error| {
        let follower = Follower::over(sender, Extensions::Other, stream);
        assert_eq!(follower.scanner.position(), Position::Unparsable(error));
    };
    lost(Sender::Client, &frame(Sender::Node, 0xc1, b"a"), FrameError::Unmasked);
    lost(Sender::Node, &frame(Sender::Node, 0xc9, &[0; 126]), FrameError::LongControl);
    lost(Sender::Node, &[0xc2, 126, 0, 125], FrameError::LongLength);
}

#[test]
fn a_scan_to_the_boundary_ends_with_the_frame_it_stands_in() {
    let stream =
        [frame(Sender::Node, 0x81, b"first"), frame(Sender::Node, 0x81, b"second")].concat();
    for i in 2..7 {
        let mut follower = Follower::over(Sender::Node, Extensions::None, &stream[..i]);
        let followed = follower.scanner.scan(&stream[i..], Until::Boundary, Instant::now());
        assert_eq!(followed, Followed { passed: 7 - i, dropped: 0 }, "begun at {i}");
        assert_eq!(follower.scanner.position(), Position::Boundary);
        assert_eq!(follower.scanner.counts().bytes, 7);
    }
}

#[test]
fn nothing_is_followed_behind_a_close() {
    let close = frame(Sender::Node, 0x88, &1000_u16.to_be_bytes());
    let stream = [&close[..], b"more"].concat();
    let mut follower = Follower::over(Sender::Node, Extensions::None, &stream);
    follower.push(b"and more");
    assert_eq!(follower.passed, close);
    assert_eq!(follower.scanner.counts().bytes, 4);
}

#[test]
fn a_lost_stream_still_counts_its_bytes() {
    let mut follower = Follower::over(Sender::Node, Extensions::None, b"HTTP/1.1");
    follower.push(b" 400");
    assert_eq!(follower.scanner.counts().bytes, 12);
}

#[test]
fn a_pong_of_ours_is_dropped_and_all_others_pass_however_they_are_split() {
    const OURS: PingPayload = *b"12345678";
    for sender in [Sender::Client, Sender::Node] {
        let own = frame(sender, 0x8a, &OURS);
        let others = [
            frame(sender, 0x8a, b""),
            frame(sender, 0x8a, b"12345679"),
            frame(sender, 0x89, &OURS),
            frame(sender, 0x8a, &[7; 125]),
            frame(sender, 0x81, &OURS),
        ];
        let around = |pongs: &[u8]| {
            let each = others.iter().map(|other| [other, pongs].concat());
            [pongs, &each.collect::<Vec<_>>().concat()].concat()
        };
        let (stream, expected) = (around(&own), around(&[]));
        for i in 0..=stream.len() {
            let mut follower = Follower::new(sender, Extensions::None);
            follower.scanner.drop_pongs(OURS);
            follower.push(&stream[..i]);
            follower.push(&stream[i..]);
            assert_eq!(follower.passed, expected, "split at {i}");
            assert_eq!(follower.scanner.counts().bytes, stream.len() as u64);
            assert_eq!(
                follower.scanner.take_control_seen(),
                ControlSeen { ping: true, pong: true, own_pong: true }
            );
            assert_eq!(follower.scanner.take_control_seen(), ControlSeen::default());
        }
        let untouched = Follower::over(sender, Extensions::None, &stream);
        assert_eq!(untouched.passed, stream, "none was asked for");
    }
}

#[test]
fn heartbeats_of_engineio_are_told_from_messages_however_they_are_split() {
    let check = |first: u8, payload: &[u8], expected: u32| {
        for sender in [Sender::Client, Sender::Node] {
            let stream = frame(sender, first, payload);
            for i in 0..=stream.len() {
                let mut follower = Follower::over(sender, Extensions::Deflate, &stream[..i]);
                follower.push(&stream[i..]);
                assert_eq!(follower.scanner.heartbeats(), expected, "{first:x} {payload:?}");
            }
        }
    };
    check(0x81, b"2", 1);
    check(0x81, b"3", 1);
    check(0x81, b"6", 0);
    check(0x81, b"42", 0);
    check(0x82, b"2", 0);
    check(0x01, b"2", 0);
    check(0xc1, b"2", 0);
    check(0x8a, b"2", 0);
}

#[test]
fn a_bound_stops_before_the_frame_that_breaks_it_and_what_follows_can_be_followed() {
    let check = |frames: &[(u8, usize)], passed: usize, breach| {
        let frames = frames
            .iter()
            .map(|(first, length)| frame(Sender::Client, *first, &vec![7; *length]))
            .collect::<Vec<_>>();
        let (stream, now) = (frames.concat(), Instant::now());
        for i in 0..=stream.len() {
            let bounds = Box::new(SenderLimits::new(9, Some(3), Some(200), now));
            let mut scanner = Scanner::new(Sender::Client, Extensions::None, Some(bounds));
            let first = scanner.scan(&stream[..i], Until::Close, now).passed;
            let second = match scanner.breach() {
                Some(_) => 0,
                None => scanner.scan(&stream[first..], Until::Close, now).passed,
            };
            let expected = frames[..passed].concat().len();
            assert_eq!((first + second, scanner.breach()), (expected, breach), "split at {i}");
            let rest = scanner.scan(&stream[expected..], Until::Close, now).passed;
            assert_eq!(expected + rest, stream.len());
        }
    };
    check(&[(0x81, 9), (0x82, 9)], 2, None);
    check(&[(0x81, 9), (0x82, 10), (0x81, 1)], 1, Some(Breach::TooBig));
    check(&[(0x01, 5), (0x00, 4), (0x80, 0)], 3, None);
    check(&[(0x01, 5), (0x89, 100), (0x00, 4), (0x80, 1)], 3, Some(Breach::TooBig));
    check(&[(0x81, 9); 4], 3, Some(Breach::TooFast));
    check(&[(0x89, 0); 201], 200, Some(Breach::TooFast));
    check(&[&[(0x01, 0)][..], &[(0x00, 0); 201]].concat(), 201, Some(Breach::TooFast));
}

/// Bytes that are likely to be frames: mostly right, at times not.
fn streams() -> impl Strategy<Value = Vec<u8>> {
    let senders = prop_oneof![Just(Sender::Client), Just(Sender::Node)];
    let firsts = prop_oneof![
        8 => prop::sample::select(vec![0x81, 0x82, 0x01, 0x00, 0x80, 0x89, 0x8a, 0xc1, 0x88]),
        1 => any::<u8>(),
    ];
    let payloads = prop_oneof![vec(any::<u8>(), 0..8), vec(any::<u8>(), 120..135)];
    let frames = (senders, vec((firsts, payloads), 0..12)).prop_map(|(sender, frames)| {
        let frames = frames.iter().map(|(first, payload)| frame(sender, *first, payload));
        frames.collect::<Vec<_>>().concat()
    });
    prop_oneof![4 => frames, 1 => vec(any::<u8>(), 0..40)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn the_scanner_agrees_with_the_model(stream in streams(), cuts in vec(0_usize..400, 0..10)) {
        for sender in [Sender::Client, Sender::Node] {
            for extensions in [Extensions::None, Extensions::Deflate] {
                let mut follower = Follower::new(sender, extensions);
                let mut cuts: Vec<_> = cuts.iter().map(|cut| (*cut).min(stream.len())).collect();
                cuts.extend([0, stream.len()]);
                cuts.sort_unstable();
                for chunk in cuts.windows(2) {
                    follower.push(&stream[chunk[0]..chunk[1]]);
                }
                prop_assert_eq!(follower.seen(), model(sender, extensions, &stream));
            }
        }
    }
}
