//! Bodies of answers.

use super::*;

/// Reads `bytes` in all ways; the result of the first, which the others must share.
#[track_caller]
fn read(bytes: &[u8], framing: BodyFraming) -> Result<Body, BodyFault> {
    let whole = read_body(&[bytes], framing);
    for reads in ways_to_read(bytes) {
        assert_eq!(read_body(&reads, framing), whole, "{}", bytes.escape_ascii());
    }
    whole
}

#[track_caller]
fn chunks(text: &str, data: &str, rest: &str) {
    let body = read(text.as_bytes(), BodyFraming::Chunked).unwrap();
    let shown = |bytes: &[u8]| bytes.escape_ascii().to_string();
    assert_eq!(shown(&body.data), data, "{text}");
    assert_eq!(shown(&body.rest), rest, "{text}");
    assert!(body.has_ended);
}

#[track_caller]
fn refused(text: &str, fault: BodyFault) {
    assert_eq!(read(text.as_bytes(), BodyFraming::Chunked), Err(fault), "{text}");
}

#[test]
fn a_body_of_a_length_ends_there() {
    let body = read(b"hello, world", BodyFraming::Length(5)).unwrap();
    assert_eq!((body.data, body.rest), (b"hello".to_vec(), b", world".to_vec()));
    for framing in [BodyFraming::Length(0), BodyFraming::None] {
        let body = read(b"x", framing).unwrap();
        assert_eq!((body.data, body.rest, body.has_ended), (vec![], b"x".to_vec(), true));
    }
}

#[test]
fn a_body_that_ends_early_is_a_fault() {
    let fault = read(b"hel", BodyFraming::Length(5)).unwrap_err();
    assert_eq!(fault.to_string(), "the response's body ended early: 3 of 5 bytes");
    let whole = "5\r\nhello\r\n0\r\nX-A: b\r\n\r\n";
    for end in 0..whole.len() {
        refused(&whole[..end], BodyFault::EndedInChunks);
    }
    chunks(whole, "hello", "");
}

#[test]
fn a_body_until_close_ends_there() {
    let body = read(b"hello\r\n", BodyFraming::UntilClose).unwrap();
    assert_eq!((body.data, body.has_ended), (b"hello\r\n".to_vec(), false));
}

#[test]
fn the_last_byte_of_a_length_is_known_to_be_the_last() {
    let mut decoder = BodyDecoder::new(BodyFraming::Length(5));
    assert_eq!((decoder.remaining(), decoder.is_end()), (Some(5), false));
    let mut buffer = BytesMut::from("hel");
    assert_eq!(decoder.decode(&mut buffer), Ok(Decoded::Data("hel".into())));
    assert_eq!((decoder.remaining(), decoder.is_end()), (Some(2), false));
    assert_eq!(decoder.decode(&mut buffer), Ok(Decoded::NeedMore));
    buffer.extend_from_slice(b"lo!");
    assert_eq!(decoder.decode(&mut buffer), Ok(Decoded::Data("lo".into())));
    assert_eq!((decoder.remaining(), decoder.is_end()), (Some(0), true));
    for _ in 0..2 {
        assert_eq!(decoder.decode(&mut buffer), Ok(Decoded::End(None)));
    }
    assert_eq!(buffer, "!");
    assert_eq!(BodyDecoder::new(BodyFraming::Chunked).remaining(), None);
    assert_eq!(BodyDecoder::new(BodyFraming::UntilClose).remaining(), None);
    assert_eq!(BodyDecoder::new(BodyFraming::None).remaining(), Some(0));
}

#[test]
fn chunks_become_data_and_what_follows_is_left() {
    chunks("0\r\n\r\n", "", "");
    chunks("5\r\nhello\r\n0\r\n\r\nHTTP", "hello", "HTTP");
    chunks("5\r\nhello\r\n00002\r\n, \r\nA\r\n0123456789\r\n0\r\n\r\n", "hello, 0123456789", "");
    chunks("a\r\n0123456789\r\n0000000000000000\r\n\r\n", "0123456789", "");
    chunks("2\r\n\r\n\r\n0\r\n\r\n", "\\r\\n", "");
    chunks("1;a=b;c=\"d;\\\"\"\r\nx\r\n0 ; e\r\n\r\n", "x", "");
    chunks("1 \t\r\nx\r\n0\t\r\n\r\n", "x", "");
}

#[test]
fn data_of_a_chunk_does_not_wait_for_the_rest() {
    let mut decoder = BodyDecoder::new(BodyFraming::Chunked);
    let mut buffer = BytesMut::from("ffffffffffffffff\r\nhel");
    assert_eq!(decoder.decode(&mut buffer), Ok(Decoded::Data("hel".into())));
    assert_eq!(decoder.decode(&mut buffer), Ok(Decoded::NeedMore));
    buffer.extend_from_slice(b"l");
    assert_eq!(decoder.decode(&mut buffer), Ok(Decoded::Data("l".into())));
    assert!(!decoder.is_end());
}

#[test]
fn broken_sizes_are_refused() {
    for text in ["\r\n", " 5\r\n", ";\r\n", "g\r\n", "-1\r\n", "+1\r\n", "0x1\r\n", "5\n", "5\rx"] {
        refused(text, BodyFault::ChunkSize);
    }
    for text in ["5 5\r\n", "5 \n", "5;a\n", "5;a\rb", "1\r\nx\r\n\r\n"] {
        refused(text, BodyFault::ChunkSize);
    }
    for text in ["00000000000000001\r\n", "fffffffffffffffff\r\n", "0".repeat(99).as_str()] {
        refused(text, BodyFault::ChunkSizeTooLong { max: 16 });
    }
}

#[test]
fn a_chunk_ends_where_its_size_says() {
    for text in ["5\r\nhello!\r\n", "5\r\nhello\n", "5\r\nhell\r\n0\r\n\r\n", "1\r\nx\rx"] {
        refused(text, BodyFault::ChunkEnd);
    }
}

#[test]
fn extensions_are_bounded_over_the_whole_body() {
    let fault = BodyFault::ExtensionsTooLong { max: 16 * 1024 };
    let text = |extensions: &str| format!("1{extensions}\r\nx\r\n");
    let in_one = |bytes: usize| text(&format!(";{}", "a".repeat(bytes - 1))) + "0\r\n\r\n";
    let check = |text: &str, expected: Result<(), BodyFault>| {
        for reads in [vec![text.as_bytes()], text.as_bytes().chunks(1).collect()] {
            assert_eq!(read_body(&reads, BodyFraming::Chunked).map(|_| ()), expected);
        }
    };
    check(&in_one(16 * 1024), Ok(()));
    check(&in_one(16 * 1024 + 1), Err(fault));
    check(&(text(";abc").repeat(4 * 1024) + "0\r\n\r\n"), Ok(()));
    check(&(text(";abc").repeat(4 * 1024) + "0;\r\n\r\n"), Err(fault));
    check(&(text("    ").repeat(4 * 1024) + "0 \r\n\r\n"), Err(fault));
}

#[test]
fn trailer_fields_come_with_the_end() {
    let body = read(b"0\r\nX-A: b\r\nX-B:c\r\nX-A: d\r\n\r\nrest", BodyFraming::Chunked).unwrap();
    let trailers = body.trailers.unwrap();
    assert_eq!(trailers.get_all("x-a").iter().collect::<Vec<_>>(), ["b", "d"]);
    assert_eq!(trailers["x-b"], "c");
    assert_eq!(body.rest, b"rest");
}

#[test]
fn broken_trailer_fields_are_refused() {
    for text in
        ["X-A", "X A: b", "X-A : b", "X-A: b\r\n c", "X-A: \0", "X-A: b\rc", ": b", " X-A: b"]
    {
        refused(&format!("0\r\n{text}\r\n\r\n"), BodyFault::Trailer);
    }
    for text in ["0\r\n\n", "0\r\nX-A: b\n\r\n", "0\r\nX-A: b\r\n\n", "0\r\n\rx\r\n\r\n"] {
        refused(text, BodyFault::Trailer);
    }
}

#[test]
fn trailer_fields_are_bounded() {
    let check = |trailers: &str, expected: Result<(), BodyFault>| {
        let text = format!("0\r\n{trailers}\r\n");
        for reads in [vec![text.as_bytes()], text.as_bytes().chunks(1).collect()] {
            assert_eq!(read_body(&reads, BodyFraming::Chunked).map(|_| ()), expected);
        }
    };
    check(&"A: b\r\n".repeat(64), Ok(()));
    check(&"A: b\r\n".repeat(65), Err(BodyFault::TooManyTrailers { max: 64 }));
    let most = 16 * 1024;
    let of_bytes = |bytes: usize| format!("A: {}\r\n", "b".repeat(bytes - "A: \r\n\r\n".len()));
    check(&of_bytes(most), Ok(()));
    check(&of_bytes(most + 1), Err(BodyFault::TrailersTooLong { max: most }));
    check(&of_bytes(most + 2), Err(BodyFault::TrailersTooLong { max: most }));
    check(&of_bytes(most * 2), Err(BodyFault::TrailersTooLong { max: most }));
}
