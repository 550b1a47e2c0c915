//! The guard judges a head alike however it is split.

use super::request_line::ENCODED_BYTES;
use proptest::prelude::*;

use super::*;

/// Inspects `input` in pieces that end at `cuts`: how many bytes were clean, and the guard.
fn inspect(input: &[u8], cuts: &[usize]) -> (usize, HeadGuard) {
    let (clean, _, guard) = pass(input, cuts);
    (clean, guard)
}

/// As [`inspect`], with what is passed on.
fn pass(input: &[u8], cuts: &[usize]) -> (usize, Vec<u8>, HeadGuard) {
    let mut guard = HeadGuard::default();
    let mut begin = 0;
    let mut passed = Vec::new();
    for end in cuts.iter().copied().chain([input.len()]) {
        let piece = input.get(begin..end).unwrap_or(&[]);
        let clean = guard.inspect(piece).map_or_else(|refusal| refusal.clean, |()| piece.len());
        let offsets = guard.to_encode().iter().copied().filter(|offset| *offset < clean);
        passed.extend(encode(&piece[..clean], &offsets.collect::<Vec<_>>()));
        begin += clean;
        if guard.fault().is_some() {
            break;
        }
    }
    (begin, passed, guard)
}

/// What the guard says of `input` however it is cut in two, and byte by byte.
fn check(input: &str, heads: u32, expected: Result<Stage, Fault>) {
    let input = input.as_bytes();
    let every_byte: Vec<usize> = (0..input.len()).collect();
    let halves = (0..=input.len()).map(|cut| vec![cut]);
    for cuts in halves.chain([every_byte]) {
        let (_, guard) = inspect(input, &cuts);
        let verdict = guard.fault().map_or_else(|| Ok(guard.stage()), Err);
        assert_eq!(verdict, expected, "{:?} cut at {cuts:?}", input.escape_ascii().to_string());
        assert_eq!(guard.heads(), heads, "{:?} cut at {cuts:?}", input.escape_ascii().to_string());
    }
}

fn check_faulty(input: &str, fault: Fault) {
    check(input, 0, Err(fault));
}

#[test]
fn whole_requests_pass() {
    check("GET / HTTP/1.1\r\nHost: a\r\n\r\n", 1, Ok(Stage::Between));
    check("GET / HTTP/1.0\r\n\r\n", 1, Ok(Stage::Between));
    check(
        "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET / HTTP/1.0\r\n\r\n",
        2,
        Ok(Stage::Between),
    );
    check(
        "POST / HTTP/1.1\r\nhOST:a\r\nX:\r\nContent-Length: \t 5 \r\n\r\nhello",
        1,
        Ok(Stage::Between),
    );
    check("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", 1, Ok(Stage::Between));
    check("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0003\r\n\r\nabc", 1, Ok(Stage::Between));
    check("GET / HTTP/1.1\r\nHost: a\r\nX: Transfer-Encoding: x\r\n\r\n", 1, Ok(Stage::Between));
}

#[test]
fn the_stage_tells_how_far_the_client_is() {
    check("", 0, Ok(Stage::Between));
    check("G", 0, Ok(Stage::Head));
    check("GET / HTTP/1.1\r\nHost: a\r\n", 0, Ok(Stage::Head));
    check("GET / HTTP/1.1\r\nHost: a\r\n\r", 0, Ok(Stage::Head));
    check("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n", 1, Ok(Stage::Body));
    check("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhell", 1, Ok(Stage::Body));
    check("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", 1, Ok(Stage::Body));
}

#[test]
fn one_empty_line_before_a_request_is_nothing_and_two_are_a_fault() {
    check("\r", 0, Ok(Stage::Between));
    check("\r\n", 0, Ok(Stage::Between));
    check("\r\n\r", 0, Ok(Stage::Between));
    check("\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n\r\nGET / HTTP/1.0\r\n\r\n", 2, Ok(Stage::Between));
    check_faulty("\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", Fault::BlankLines);
    check_faulty("\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", Fault::BareLineFeed);
}

#[test]
fn a_body_is_no_head() {
    let smuggled = "GET / HTTP/9\n\n";
    let length = smuggled.len();
    check(
        &format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n{smuggled}G"),
        1,
        Ok(Stage::Head),
    );
    check(
        &format!(
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n\
             {length:X}\r\n{smuggled}\r\n{length:x};a=\"b\"\r\n{smuggled}\r\n000\r\nTrailer: x\r\n\r\nG"
        ),
        1,
        Ok(Stage::Head),
    );
}

#[test]
fn nothing_is_looked_at_behind_an_upgrade() {
    let behind = "\0\n\r\r\n\r\nGET / HTTP/9";
    for head in [
        "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nuPGRADE: h2c\r\nContent-Length: 3\r\n\r\n",
        "CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n",
    ] {
        check(&format!("{head}{behind}"), 1, Ok(Stage::Tunnel));
    }
    check(
        "GET / HTTP/1.1\r\nHost: a\r\nUpgrade-Insecure-Requests: 1\r\n\r\n",
        1,
        Ok(Stage::Between),
    );
}

#[test]
fn faulty_lines_are_refused() {
    for (head, fault) in [
        ("GET / HTTP/1.1\nHost: a\r\n\r\n", Fault::BareLineFeed),
        ("GET / HTTP/1.1\r\nHost: a\n\r\n", Fault::BareLineFeed),
        ("GET / HTTP/1.1\r\nHost: a\r\n\n", Fault::BareLineFeed),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nX: a\rTransfer-Encoding: chunked\r\n\r\n",
            Fault::BareCarriageReturn,
        ),
        ("GET / HTTP/1.1\r\nHost: a\r\r\n\r\n", Fault::BareCarriageReturn),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n", Fault::Nul),
        ("GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n", Fault::Nul),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n", Fault::FoldedLine),
        ("GET / HTTP/1.1\r\n\tHost: a\r\n\r\n", Fault::FoldedLine),
        ("GET / HTTP/1.1\r\nHost : a\r\n\r\n", Fault::SpaceBeforeColon),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding\t: chunked\r\n\r\n",
            Fault::SpaceBeforeColon,
        ),
        ("GET / HTTP/1.1\r\nHost: a\r\nnonsense\r\n\r\n", Fault::NoField),
        ("GET / HTTP/1.1\r\nHost: a\r\n: x\r\n\r\n", Fault::NoField),
        ("GET /\r\n\r\n", Fault::Version),
        ("GET /#a HTTP/1.1\r\nHost: a\r\n\r\n", Fault::Fragment),
        ("GET /?a#b HTTP/1.1\r\nHost: a\r\n\r\n", Fault::Fragment),
        ("GET http://a/#?b HTTP/1.1\r\nHost: a\r\n\r\n", Fault::Fragment),
        ("GET /\"a HTTP/1.1\r\nHost: a\r\n\r\n", Fault::PathByte),
        ("GET /<a>?b HTTP/1.1\r\nHost: a\r\n\r\n", Fault::PathByte),
        ("GET / HTTP/0.9\r\n\r\n", Fault::Version),
        ("GET / HTTP/1.2\r\n\r\n", Fault::Version),
        ("GET / HTTP/1.1 \r\nHost: a\r\n\r\n", Fault::Version),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Fault::Version),
    ] {
        check_faulty(head, fault);
    }
}

#[test]
fn faulty_fields_are_refused() {
    for (fields, fault) in [
        ("", Fault::HostMissing),
        ("Host: a\r\nHost: a\r\n", Fault::HostRepeated),
        ("Host: a\r\nContent-Length: 5\r\nContent-Length: 5\r\n", Fault::LengthRepeated),
        ("Host: a\r\nContent-Length: 5\r\ncontent-length: 6\r\n", Fault::LengthRepeated),
        ("Host: a\r\nContent-Length: 5, 5\r\n", Fault::LengthInvalid),
        ("Host: a\r\nContent-Length: +5\r\n", Fault::LengthInvalid),
        ("Host: a\r\nContent-Length: -1\r\n", Fault::LengthInvalid),
        ("Host: a\r\nContent-Length: 0x5\r\n", Fault::LengthInvalid),
        ("Host: a\r\nContent-Length: 5\x0b\r\n", Fault::LengthInvalid),
        ("Host: a\r\nContent-Length: 5 5\r\n", Fault::LengthInvalid),
        ("Host: a\r\nContent-Length:\r\n", Fault::LengthInvalid),
        ("Host: a\r\nContent-Length: 9223372036854775808\r\n", Fault::LengthInvalid),
        ("Host: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n", Fault::LengthAndCoding),
        ("Host: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n", Fault::LengthAndCoding),
        ("Host: a\r\nContent-Length: 5\r\nTransfer-Encoding: x\r\n", Fault::LengthAndCoding),
        ("Host: a\r\nTransfer-Encoding: gzip, chunked\r\n", Fault::Coding),
        ("Host: a\r\nTransfer-Encoding: chunked, identity\r\n", Fault::Coding),
        ("Host: a\r\nTransfer-Encoding: chunked,\r\n", Fault::Coding),
        ("Host: a\r\nTransfer-Encoding: \x0bchunked\r\n", Fault::Coding),
        ("Host: a\r\nTransfer-Encoding: \"chunked\"\r\n", Fault::Coding),
        ("Host: a\r\nTransfer-Encoding: xchunked\r\n", Fault::Coding),
        ("Host: a\r\nTransfer-Encoding:\r\n", Fault::Coding),
        ("Host: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", Fault::Coding),
        (
            "Host: a\r\nUpgrade: websocket\r\nContent-Length: 1\r\nContent-Length: 1\r\n",
            Fault::LengthRepeated,
        ),
    ] {
        check_faulty(&format!("POST / HTTP/1.1\r\n{fields}\r\nhello"), fault);
    }
    check_faulty("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", Fault::CodingInHttp10);
}

#[test]
fn faulty_chunks_are_refused() {
    for (body, fault) in [
        ("\r\n", Fault::Chunk),
        ("g\r\n", Fault::Chunk),
        ("-1\r\n", Fault::Chunk),
        ("0x1\r\na\r\n", Fault::Chunk),
        ("1 \r\na\r\n", Fault::Chunk),
        ("1 1\r\na\r\n", Fault::Chunk),
        (" 1\r\na\r\n", Fault::Chunk),
        ("1;\ra\r\na\r\n", Fault::BareCarriageReturn),
        ("1\na\r\n", Fault::BareLineFeed),
        ("1;a\nb\r\na\r\n", Fault::BareLineFeed),
        ("1\r\nab\r\n", Fault::Chunk),
        ("1\r\na\n", Fault::BareLineFeed),
        ("1000000000000000\r\n", Fault::Chunk),
        ("0\r\n x: y\r\n\r\n", Fault::FoldedLine),
        ("0\r\nx\r\n\r\n", Fault::NoField),
        ("0\r\nx: y\n\r\n", Fault::BareLineFeed),
    ] {
        check(
            &format!("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{body}"),
            1,
            Err(fault),
        );
    }
}

#[test]
fn every_line_has_a_bound() {
    let fits = |input: String| assert_eq!(inspect(input.as_bytes(), &[]).1.fault(), None);
    let exceeds = |input: String, fault| {
        for cuts in [vec![], vec![100], (0..input.len()).collect()] {
            assert_eq!(inspect(input.as_bytes(), &cuts).1.fault(), Some(fault));
        }
    };
    let head = |value: usize| format!("GET / HTTP/1.0\r\nX: {}\r\n\r\n", "a".repeat(value));
    let room = HeadLimits::BYTES_MAX - head(0).len();
    fits(head(room));
    let too_large = Fault::HeadTooLarge(HeadLimits::BYTES_MAX);
    exceeds(head(room + 1), too_large);
    exceeds("a".repeat(HeadLimits::BYTES_MAX + 1), too_large);
    // As it is passed on.
    let query = |count: usize| format!("GET /?{} HTTP/1.0\r\n\r\n", "<".repeat(count));
    let room = (HeadLimits::BYTES_MAX - query(0).len()) / ENCODED_BYTES;
    fits(query(room));
    exceeds(query(room + 1), too_large);
    let fields = |count: usize| format!("GET / HTTP/1.0\r\n{}\r\n", "X: y\r\n".repeat(count));
    fits(fields(HeadLimits::FIELDS_MAX));
    exceeds(fields(HeadLimits::FIELDS_MAX + 1), Fault::TooManyFields(HeadLimits::FIELDS_MAX));

    let chunked = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    let chunk = |bytes: usize| format!("{chunked}1;{}\r\n", "a".repeat(bytes - 4));
    fits(chunk(CHUNK_LINE_BYTES_MAX));
    exceeds(chunk(CHUNK_LINE_BYTES_MAX + 1), Fault::ChunkLineTooLong);

    let trailers =
        |bytes: usize| format!("{chunked}0\r\na: b\r\nc:{}\r\n\r\n", "d".repeat(bytes - 12));
    fits(trailers(TRAILER_BYTES_MAX));
    exceeds(trailers(TRAILER_BYTES_MAX + 1), Fault::TrailersTooLarge);
}

#[test]
fn what_a_query_should_not_hold_is_passed_on_encoded() {
    for (target, expected) in [
        (r#"/a?x={"y":"<z>"}"#, "/a?x={%22y%22:%22%3Cz%3E%22}"),
        (r#"http://a/?">?"#, "http://a/?%22%3E?"),
        ("/a?x=%22|^`\\", "/a?x=%22|^`\\"),
        ("/a", "/a"),
    ] {
        let rest = "HTTP/1.1\r\nHost: a\r\nX: \"<>?\r\nContent-Length: 4\r\n\r\n?\"<>";
        let input = format!("\r\nPOST {target} {rest}GET {target} {rest}");
        let expected = format!("\r\nPOST {expected} {rest}GET {expected} {rest}");
        let every_byte: Vec<usize> = (0..input.len()).collect();
        for cuts in (0..=input.len()).map(|cut| vec![cut]).chain([every_byte]) {
            let (_, passed, guard) = pass(input.as_bytes(), &cuts);
            assert_eq!(String::from_utf8_lossy(&passed), expected, "cut at {cuts:?}");
            assert_eq!((guard.fault(), guard.heads()), (None, 2));
        }
    }
}

#[test]
fn the_end_of_a_faulty_head_is_never_clean() {
    let good = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    let faulty = "GET / HTTP/1.1\r\nX: y\r\n\r\n";
    let input = format!("{good}{faulty}{good}");
    for cut in 0..=input.len() {
        let (clean, guard) = inspect(input.as_bytes(), &[cut]);
        assert_eq!(guard.fault(), Some(Fault::HostMissing));
        assert!((good.len()..good.len() + faulty.len()).contains(&clean), "{clean}");
    }
}

#[test]
fn an_idle_guard_owns_nothing() {
    let (_, guard) = inspect(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", &[5, 20]);
    assert_eq!(guard.partial.capacity(), 0);
}

/// Pieces that lead deep into the guard's states more often than random bytes do.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        Just(b"GET / HTTP/1.1\r\nHost: a\r\n".to_vec()),
        Just(b"POST / HTTP/1.0\r\n".to_vec()),
        Just(b"GET /?\"<>".to_vec()),
        Just(b" HTTP/1.1\r\n".to_vec()),
        Just(b"Content-Length: 3\r\n".to_vec()),
        Just(b"Transfer-Encoding: chunked\r\n".to_vec()),
        Just(b"Upgrade: websocket\r\n".to_vec()),
        Just(b"\r\n".to_vec()),
        Just(b"3\r\nabc\r\n".to_vec()),
        Just(b"0\r\n\r\n".to_vec()),
        Just(b"\n".to_vec()),
        Just(b"X : y\r\n".to_vec()),
        prop::collection::vec(any::<u8>(), 0..6),
    ]
}

/// A request that is in order, as a client may write it.
fn request() -> impl Strategy<Value = Vec<u8>> {
    let body = prop::collection::vec(any::<u8>(), 0..40);
    let chunks = prop::collection::vec(prop::collection::vec(any::<u8>(), 1..20), 0..4);
    prop_oneof![
        body.prop_map(|body| {
            let head =
                format!("POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", body.len());
            [head.into_bytes(), body].concat()
        }),
        chunks.prop_map(|chunks| {
            let mut all =
                b"POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
            for chunk in chunks {
                all.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
                all.extend_from_slice(&chunk);
                all.extend_from_slice(b"\r\n");
            }
            all.extend_from_slice(b"0\r\n\r\n");
            all
        }),
    ]
}

fn cuts() -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(0..300_usize, 0..8)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn the_verdict_does_not_depend_on_the_cuts(
        pieces in prop::collection::vec(piece(), 0..12),
        mut cuts in cuts(),
    ) {
        let input = pieces.concat();
        cuts.retain(|cut| *cut <= input.len());
        cuts.sort_unstable();
        let (clean, passed, whole) = pass(&input, &[]);
        let (clean_cut, passed_cut, cut) = pass(&input, &cuts);
        prop_assert_eq!(cut.fault(), whole.fault());
        prop_assert_eq!(cut.stage(), whole.stage());
        prop_assert_eq!(cut.heads(), whole.heads());
        // Pieces of the faulty line may have passed before its end was there; its end never has.
        prop_assert!(clean <= clean_cut);
        prop_assert!(!input[clean..clean_cut].contains(&b'\n'));
        prop_assert!(passed_cut.starts_with(&passed));
        // What is passed on is passed on as it is.
        let (_, again, _) = pass(&passed, &[]);
        prop_assert_eq!(again, passed);
    }

    #[test]
    fn requests_in_order_are_never_refused(
        requests in prop::collection::vec(request(), 0..5),
        mut cuts in cuts(),
    ) {
        let input = requests.concat();
        cuts.retain(|cut| *cut <= input.len());
        cuts.sort_unstable();
        let (clean, guard) = inspect(&input, &cuts);
        prop_assert_eq!(guard.fault(), None);
        prop_assert_eq!(clean, input.len());
        prop_assert_eq!(guard.heads() as usize, requests.len());
        prop_assert_eq!(guard.stage(), Stage::Between);
    }
}
