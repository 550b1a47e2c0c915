//! The scanner against a reference model, each input split at each byte.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

/// What is known of a stream at its end: where it stands, frames, messages, control frames.
type Seen = (Position, u64, u64, u64);

fn seen(scanner: &Scanner) -> Seen {
    let Counts { frames, messages, control_frames, .. } = scanner.counts();
    (scanner.position(), frames, messages, control_frames)
}

fn scan_whole(sender: Sender, compression: Compression, stream: &[u8]) -> Scanner {
    let mut scanner = Scanner::new(sender, compression);
    scanner.scan(stream, Until::Close);
    scanner
}

/// What is seen of `stream`, whole, byte by byte, and split at every byte?
fn check(sender: Sender, compression: Compression, stream: &[u8], expected: Seen) {
    let whole = scan_whole(sender, compression, stream);
    assert_eq!(seen(&whole), expected, "{stream:02x?}");
    assert_eq!(model(sender, compression, stream), expected, "model of {stream:02x?}");

    for i in 0..=stream.len() {
        let (first, second) = stream.split_at(i);
        let mut scanner = scan_whole(sender, compression, first);
        scanner.scan(second, Until::Close);
        assert_eq!(seen(&scanner), expected, "{stream:02x?} split at {i}");
    }
    let mut scanner = Scanner::new(sender, compression);
    stream.iter().for_each(|byte| _ = scanner.scan(&[*byte], Until::Close));
    assert_eq!(seen(&scanner), expected, "{stream:02x?} byte by byte");
}

/// The same answer by other means: frame after frame, each from the whole rest of the stream.
fn model(sender: Sender, compression: Compression, stream: &[u8]) -> Seen {
    let (mut rest, mut frames, mut messages, mut controls) = (stream, 0, 0, 0);
    let mut in_message = false;
    loop {
        let checked = model_check(sender, compression, in_message, rest);
        let (first, payload, behind) = match checked.and_then(|()| model_frame(rest)) {
            Ok(frame) => frame,
            Err(position) => return (position, frames, messages, controls),
        };
        rest = behind;
        frames += 1;
        if first & 8 == 0 {
            in_message = first < 0x80;
            messages += u64::from(!in_message);
            continue;
        }
        controls += 1;
        if first == 0x88 {
            let code = payload.first_chunk().map(|code| u16::from_be_bytes(*code));
            return (Position::Closed(code), frames, messages, controls);
        }
    }
}

/// The first frame of `stream`: its first byte, its unmasked payload, and what is behind it.
fn model_frame(stream: &[u8]) -> Result<(u8, Vec<u8>, &[u8]), Position> {
    let (length, rest) = model_length(stream)?;
    let masked = stream[1] >= 0x80;
    let (mask, rest) = rest.split_at_checked(if masked { 4 } else { 0 }).ok_or(Position::Frame)?;
    let (payload, rest) = rest.split_at_checked(length as usize).ok_or(Position::Frame)?;
    let payload = payload.iter().enumerate();
    let payload = payload.map(|(i, byte)| if masked { byte ^ mask[i % 4] } else { *byte });
    Ok((stream[0], payload.collect(), rest))
}

/// The payload's length, and what is behind the length.
fn model_length(stream: &[u8]) -> Result<(u64, &[u8]), Position> {
    let (head, rest) = stream.split_at_checked(2).ok_or(Position::Frame)?;
    let (bytes, least) = match head[1] & 0x7f {
        126 => (2, 126),
        127 => (8, 65_536),
        short => return Ok((short.into(), rest)),
    };
    let (length, rest) = rest.split_at_checked(bytes).ok_or(Position::Frame)?;
    match length.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte)) {
        0x8000_0000_0000_0000.. => Err(Position::Lost(FrameError::HugeLength)),
        length if length < least => Err(Position::Lost(FrameError::LongLength)),
        length => Ok((length, rest)),
    }
}

/// Whether the frame that `stream` begins with may be there.
fn model_check(
    sender: Sender,
    compression: Compression,
    in_message: bool,
    stream: &[u8],
) -> Result<(), Position> {
    let [first, second, ..] = *stream else {
        return Err(if stream.is_empty() { Position::Boundary } else { Position::Frame });
    };
    let (opcode, masked) = (first & 0x0f, second >= 0x80);
    if matches!(opcode, 3..=7 | 11..) {
        return Err(Position::Lost(FrameError::ReservedOpcode));
    }
    let (length, rest) = model_length(stream)?;
    if masked && rest.len() < 4 {
        return Err(Position::Frame);
    }
    let (control, starts) = (opcode >= 8, opcode == 1 || opcode == 2);
    let reserved = match compression {
        Compression::Negotiated if starts => 0x30,
        Compression::Negotiated | Compression::Off => 0x70,
    };
    let rules = [
        (sender == Sender::Client && !masked, FrameError::Unmasked),
        (sender == Sender::Node && masked, FrameError::Masked),
        (first & reserved > 0, FrameError::ReservedBit),
        (control && first < 0x80, FrameError::FragmentedControl),
        (control && length > 125, FrameError::LongControl),
        (opcode == 8 && length == 1, FrameError::ShortClose),
        (opcode == 0 && !in_message, FrameError::StrayContinuation),
        (starts && in_message, FrameError::Interleaved),
    ];
    match rules.iter().find(|(is_broken, _)| *is_broken) {
        Some((_, error)) => Err(Position::Lost(*error)),
        None => Ok(()),
    }
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
            check(sender, Compression::Off, &frames.collect::<Vec<_>>().concat(), expected);
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
        let whole = scan_whole(Sender::Node, Compression::Off, &stream);
        assert_eq!(seen(&whole), (Position::Boundary, 1, 1, 0), "{length}");
        stream.pop();
        let cut = scan_whole(Sender::Node, Compression::Off, &stream);
        assert_eq!(seen(&cut), (Position::Frame, 0, 0, 0), "{length}");
    }
    let longest = [0x82, 127, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1];
    check(Sender::Node, Compression::Off, &longest, (Position::Frame, 0, 0, 0));
}

#[test]
fn each_way_to_break_the_protocol_has_its_name() {
    let lost = |sender, stream: &[u8], error| {
        check(sender, Compression::Off, stream, (Position::Lost(error), 0, 0, 0));
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
    lost(Sender::Node, &[0x82, 126, 0, 125], FrameError::LongLength);
    lost(Sender::Node, &[0x82, 127, 0, 0, 0, 0, 0, 0, 0xff, 0xff], FrameError::LongLength);
    lost(Sender::Node, &[0x82, 127, 0x80, 0, 0, 0, 0, 0, 0, 0], FrameError::HugeLength);
    lost(Sender::Client, &client(0x80, b"a"), FrameError::StrayContinuation);
    lost(Sender::Node, b"HTTP/1.1 400 Bad Request\r\n\r\n", FrameError::ReservedBit);

    let twice = [client(0x01, b"a"), client(0x81, b"b")].concat();
    let expected = (Position::Lost(FrameError::Interleaved), 1, 0, 0);
    check(Sender::Client, Compression::Off, &twice, expected);
}

#[test]
fn compression_permits_rsv1_on_the_first_frame_of_a_message_only() {
    let check = |frames: &[(u8, &[u8])], expected| {
        let frames = frames.iter().map(|(first, payload)| frame(Sender::Node, *first, payload));
        check(
            Sender::Node,
            Compression::Negotiated,
            &frames.collect::<Vec<_>>().concat(),
            expected,
        );
    };
    let lost = Position::Lost(FrameError::ReservedBit);
    check(&[(0xc1, b"a"), (0x42, b"b"), (0x80, b"c")], (Position::Boundary, 3, 2, 0));
    check(&[(0x42, b"b"), (0xc0, b"c")], (lost, 1, 0, 0));
    check(&[(0xc9, b"")], (lost, 0, 0, 0));
    check(&[(0xa1, b"")], (lost, 0, 0, 0));
}

#[test]
fn a_scan_to_the_boundary_ends_with_the_frame_it_stands_in() {
    let stream =
        [frame(Sender::Node, 0x81, b"first"), frame(Sender::Node, 0x81, b"second")].concat();
    for i in 1..7 {
        let mut scanner = scan_whole(Sender::Node, Compression::Off, &stream[..i]);
        assert_eq!(scanner.scan(&stream[i..], Until::Boundary), 7 - i, "begun at {i}");
        assert_eq!(scanner.position(), Position::Boundary);
        assert_eq!(scanner.counts().bytes, 7);
    }
}

#[test]
fn nothing_is_followed_behind_a_close() {
    let close = frame(Sender::Node, 0x88, &1000_u16.to_be_bytes());
    let mut scanner = Scanner::new(Sender::Node, Compression::Off);
    assert_eq!(scanner.scan(&[&close[..], b"more"].concat(), Until::Close), close.len());
    assert_eq!(scanner.scan(b"more", Until::Close), 0);
    assert_eq!(scanner.counts().bytes, 4);
}

#[test]
fn a_lost_stream_still_counts_its_bytes() {
    let mut scanner = Scanner::new(Sender::Node, Compression::Off);
    assert_eq!(scanner.scan(b"HTTP/1.1", Until::Boundary), 8);
    assert_eq!(scanner.scan(b" 400", Until::Close), 4);
    assert_eq!(scanner.counts().bytes, 12);
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
            for compression in [Compression::Off, Compression::Negotiated] {
                let mut scanner = Scanner::new(sender, compression);
                let mut cuts: Vec<_> = cuts.iter().map(|cut| (*cut).min(stream.len())).collect();
                cuts.extend([0, stream.len()]);
                cuts.sort_unstable();
                for chunk in cuts.windows(2) {
                    scanner.scan(&stream[chunk[0]..chunk[1]], Until::Close);
                }
                prop_assert_eq!(seen(&scanner), model(sender, compression, &stream));
            }
        }
    }
}
