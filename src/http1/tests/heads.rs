//! Heads of answers.

use std::time::Duration;

use super::*;

/// Reads `head` in all ways; the result of the first, which the others must share.
#[track_caller]
fn read(head: &[u8], method: &Method) -> Result<Read, HeadFault> {
    let limits = HeadLimits::default();
    let whole = read_head(&[head], method, limits);
    for reads in ways_to_read(head) {
        let pieces = read_head(&reads, method, limits);
        assert_eq!(shown(&pieces), shown(&whole), "{}", head.escape_ascii());
    }
    whole
}

fn shown(read: &Result<Read, HeadFault>) -> String {
    format!("{read:?}")
}

#[track_caller]
fn head(text: &str) -> Head {
    let read = read(text.as_bytes(), &Method::GET);
    read.unwrap_or_else(|fault| panic!("{text}: {fault}")).head.expect("it is whole")
}

#[track_caller]
fn refused(text: &str, fault: &HeadFault) {
    match read(text.as_bytes(), &Method::GET) {
        Err(found) => assert_eq!(found, *fault, "{text}"),
        Ok(read) => panic!("{text}: {read:?}"),
    }
}

/// `lines` of an answer's head, with status 200.
fn answer(lines: &str) -> String {
    let lines: String = lines.lines().map(|line| format!("{line}\r\n")).collect();
    format!("HTTP/1.1 200 OK\r\n{lines}\r\n")
}

fn lines(headers: &HeaderMap) -> Vec<String> {
    let line = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
        format!("{name}: {}", value.as_bytes().escape_ascii())
    };
    headers.iter().map(line).collect()
}

#[test]
fn a_head_is_read_and_what_follows_is_left() {
    let text =
        b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nX-A:b\r\nContent-Length: 5\r\n\r\nhello";
    let read = read_head(&[text], &Method::GET, HeadLimits::default()).unwrap();
    let head = read.head.unwrap();
    assert_eq!(head.status, 200);
    assert_eq!(lines(&head.headers), ["content-type: text/plain", "x-a: b", "content-length: 5"]);
    assert_eq!(head.framing, BodyFraming::Length(5));
    assert!(head.persistence.is_reusable);
    assert_eq!(read.rest, b"hello");
}

#[test]
fn values_are_not_copied() {
    let mut buffer = BytesMut::from(&b"HTTP/1.1 200 OK\r\nX-A: value\r\n\r\n"[..]);
    let memory = buffer.as_ptr_range();
    let parsed = HeadParser::new(HeadLimits::default()).parse(&mut buffer, &Method::GET);
    let Ok(Parsed::Head(head)) = parsed else { panic!("{parsed:?}") };
    assert!(memory.contains(&head.headers["x-a"].as_bytes().as_ptr()));
}

#[test]
fn a_status_line_may_be_sloppy() {
    for line in
        ["HTTP/1.1 404", "HTTP/1.1 404 ", "HTTP/1.1  404  Not  Found", "HTTP/1.1 404 \u{fc}"]
    {
        assert_eq!(head(&format!("{line}\r\n\r\n")).status, 404, "{line}");
    }
    assert_eq!(head("HTTP/1.1 999 Odd\r\n\r\n").status, 999);
    assert_eq!(head("\r\n\r\nHTTP/1.1 404 Not Found\r\n\r\n").status, 404);
}

#[test]
fn a_broken_status_line_is_refused() {
    let check = |line: &str, fault: &HeadFault| refused(&format!("{line}\r\n\r\n"), fault);
    check("HTTP/2.0 200 OK", &HeadFault::Version);
    check("HTTP/1.2 200 OK", &HeadFault::Version);
    check("http/1.1 200 OK", &HeadFault::Version);
    check(" HTTP/1.1 200 OK", &HeadFault::Version);
    check("HTTP/1.1200 OK", &HeadFault::Version);
    check("SSH-2.0-OpenSSH_9.6", &HeadFault::Version);
    check("HTTP/1.1 20 OK", &HeadFault::StatusLine);
    check("HTTP/1.1 2000 OK", &HeadFault::StatusLine);
    check("HTTP/1.1 +20 OK", &HeadFault::StatusLine);
    check("HTTP/1.1 099 OK", &HeadFault::StatusCode(99));
    check("HTTP/1.1 200 O\0K", &HeadFault::StatusLine);
    check("HTTP/1.1 200 O\rK", &HeadFault::StatusLine);
}

#[test]
fn another_protocol_is_refused_before_its_line_ends() {
    for banner in ["SSH-2.0-OpenSSH_9.6", "\x15\x03\x03\0\x02\x02\x46", "220 mail ESMTP", "x"] {
        let read = read_head(&[banner.as_bytes()], &Method::GET, HeadLimits::default());
        assert_eq!(read.unwrap_err(), HeadFault::Version, "{banner}");
    }
}

#[test]
fn a_line_that_ends_in_a_line_feed_alone_is_refused() {
    for text in [
        "HTTP/1.1 200 OK\nX-A: b\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX-A: b\nX-B: c\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX-A: b\n\r\n",
        "HTTP/1.1 200 OK\r\nX-A: b\r\n\n",
        "HTTP/1.1 200 OK\n\nbody",
        "HTTP/1.1 200 OK\r\nX-A: b\n c\r\n\r\n",
        "\nHTTP/1.1 200 OK\r\n\r\n",
        "\r\n\nHTTP/1.1 200 OK\r\n\r\n",
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nX-A: b\n\r\n",
        // Nothing behind it counts.
        "HTTP/1.1 200 OK\r\nX-A: b\nX B: \0\r\n\r\n",
    ] {
        refused(text, &HeadFault::LineEnd);
    }
    // What is wrong before it does.
    refused("HTTP/1.1 200 OK\r\nX A: b\nX-B: c\r\n\r\n", &HeadFault::FieldName);
    refused("HTTP/1.1 20 OK\nX-B: c\r\n\r\n", &HeadFault::StatusLine);
    // A body may have any bytes.
    assert_eq!(read(b"HTTP/1.1 200 OK\r\n\r\na\n\nb", &Method::GET).unwrap().rest, b"a\n\nb");
    let limits = HeadLimits { bytes_max: 20, ..HeadLimits::default() };
    for (text, fault) in [
        ("HTTP/1.1 200 OK\r\nX:\n\r\n", HeadFault::LineEnd),
        ("HTTP/1.1 200 OK\r\nX: \n\r\n", HeadFault::TooLong { max: 20 }),
    ] {
        for reads in ways_to_read(text.as_bytes()) {
            assert_eq!(read_head(&reads, &Method::GET, limits).unwrap_err(), fault, "{text:?}");
        }
    }
}

#[test]
fn white_space_around_names_and_values_goes() {
    let found = head(&answer("X-A : b\nX-B\t \t:\t c d \t\nX-C:\nX-D:   "));
    assert_eq!(lines(&found.headers), ["x-a: b", "x-b: c d", "x-c: ", "x-d: "]);
}

#[test]
fn a_folded_value_becomes_one_line() {
    let found = head(&answer("X-A: b\n c\n\td\nX-B:\n e\nX-C: f\n "));
    assert_eq!(lines(&found.headers), ["x-a: b   c  \\td", "x-b: e", "x-c: f"]);
    refused(&answer("Content-Length: 1\n 2"), &HeadFault::LengthMalformed);
    refused(&answer("Transfer-Encoding:\n chunked\nX-A: \0"), &HeadFault::FieldValue);
    assert_eq!(head(&answer("Transfer-Encoding:\n chunked")).framing, BodyFraming::Chunked);
}

#[test]
fn values_may_have_any_byte_but_control_characters() {
    let found = head(&answer("X-A: \u{fc}\t\"\\"));
    assert_eq!(found.headers["x-a"].as_bytes(), "\u{fc}\t\"\\".as_bytes());
    for byte in (0..0x20_u8).chain([0x7f]).filter(|byte| !matches!(byte, b'\t' | b'\n')) {
        refused(&answer(&format!("X-A: b{}c", char::from(byte))), &HeadFault::FieldValue);
    }
}

#[test]
fn broken_names_are_refused() {
    for line in ["X A: b", "X-A", ": b", "X\0A: b", "X(A): b", "\u{fc}: b", "X-A\rB: c", " X-A: b"]
    {
        refused(&answer(line), &HeadFault::FieldName);
    }
    refused("HTTP/1.1 200 OK\r\nX-A: b\r\n\rX\r\n\r\n", &HeadFault::LineEnd);
}

#[test]
fn two_hundred_fields_pass_and_one_more_does_not() {
    let cookies = |count: usize| answer(&"Set-Cookie: a=b\n".repeat(count));
    let found = read_head(&[cookies(200).as_bytes()], &Method::GET, HeadLimits::default()).unwrap();
    assert_eq!(found.head.unwrap().headers.get_all("set-cookie").iter().count(), 200);
    let fault = HeadFault::TooManyFields { max: 200 };
    for count in [201, 255, 256, 257, 1000] {
        let text = cookies(count);
        for reads in [vec![text.as_bytes()], text.as_bytes().chunks(7).collect()] {
            let read = read_head(&reads, &Method::GET, HeadLimits::default());
            assert_eq!(read.unwrap_err(), fault);
        }
    }
    assert_eq!(fault.to_string(), "the response has more than 200 fields");
}

#[test]
fn a_head_of_the_longest_length_passes_and_one_byte_more_does_not() {
    let limits = HeadLimits { bytes_max: 200, ..HeadLimits::default() };
    let text =
        |bytes: usize| answer(&format!("X-A: {}", "b".repeat(bytes - answer("X-A: ").len())));
    for behind in ["", "a body that is longer than the head by far".repeat(9).as_str()] {
        let passes = text(200) + behind;
        let fails = text(201) + behind;
        for cut in 1..200 {
            let (first, second) = passes.as_bytes().split_at(cut);
            assert!(read_head(&[first, second], &Method::GET, limits).unwrap().head.is_some());
            let (first, second) = fails.as_bytes().split_at(cut);
            let fault = read_head(&[first, second], &Method::GET, limits).unwrap_err();
            assert_eq!(fault, HeadFault::TooLong { max: 200 });
        }
    }
    let broken = format!("HTTP/1.1 200 OK\r\nX A: {}", "b".repeat(300));
    let fault = read_head(&[broken.as_bytes()], &Method::GET, limits).unwrap_err();
    assert_eq!(fault, HeadFault::FieldName);
}

#[test]
fn empty_lines_before_a_head_are_bounded() {
    let limits = HeadLimits { bytes_max: 100, ..HeadLimits::default() };
    let fault = read_head(&[&b"\r\n".repeat(51)], &Method::GET, limits).unwrap_err();
    assert_eq!(fault, HeadFault::TooLong { max: 100 });
}

#[test]
fn interim_answers_are_passed_over() {
    let text = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: a\r\nContent-Length: x\r\n\r\nHTTP/1.1 200 OK\r\nX-A: b\r\n\r\n";
    let read = read(text.as_bytes(), &Method::GET).unwrap();
    assert_eq!(read.interim, [100, 103]);
    assert_eq!(lines(&read.head.unwrap().headers), ["x-a: b"]);
    let endless = b"HTTP/1.1 102 Processing\r\n\r\n".repeat(101);
    let fault = read_head(&[&endless], &Method::GET, HeadLimits::default()).unwrap_err();
    assert_eq!(fault, HeadFault::TooManyInterim { max: 100 });
}

#[test]
fn a_101_is_final_and_what_follows_is_left() {
    let text = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nContent-Length: 3\r\nTransfer-Encoding: gzip\r\n\r\n\x01\x02";
    let read = read(text.as_bytes(), &Method::GET).unwrap();
    let head = read.head.unwrap();
    assert_eq!((head.status.as_u16(), head.framing), (101, BodyFraming::None));
    assert_eq!(lines(&head.headers), ["upgrade: websocket", "connection: Upgrade"]);
    assert!(!head.persistence.is_reusable);
    assert_eq!(read.rest, b"\x01\x02");
}

#[test]
fn the_end_of_a_body_is_found() {
    let check = |fields: &str, framing: BodyFraming, left: &[&str]| {
        let found = head(&answer(fields));
        assert_eq!(found.framing, framing, "{fields}");
        assert_eq!(lines(&found.headers), left, "{fields}");
    };
    check("", BodyFraming::UntilClose, &[]);
    check("Content-Length: 0", BodyFraming::Length(0), &["content-length: 0"]);
    check("Content-Length: 5, 5 ,5", BodyFraming::Length(5), &["content-length: 5"]);
    check("Content-Length: 005", BodyFraming::Length(5), &["content-length: 5"]);
    check("Content-Length: 00", BodyFraming::Length(0), &["content-length: 0"]);
    check(
        "Content-Length: 5\nA: b\nContent-Length: 05",
        BodyFraming::Length(5),
        &["content-length: 5", "a: b"],
    );
    check(
        "Content-Length: 18446744073709551615",
        BodyFraming::Length(u64::MAX),
        &["content-length: 18446744073709551615"],
    );
    check("Transfer-Encoding: chunked", BodyFraming::Chunked, &[]);
    check("Transfer-Encoding: Chunked\nContent-Length: 5", BodyFraming::Chunked, &[]);
    check("Content-Length: x\nTransfer-Encoding: , chunked ,", BodyFraming::Chunked, &[]);
    check("Transfer-Encoding: identity\nTransfer-Encoding: chunked", BodyFraming::Chunked, &[]);
    check("Transfer-Encoding: identity\nContent-Length: 5", BodyFraming::UntilClose, &[]);
    check("Transfer-Encoding:", BodyFraming::UntilClose, &[]);
}

#[test]
fn a_body_without_one_meaning_is_refused() {
    let check = |fields: &str, fault: &HeadFault| refused(&answer(fields), fault);
    check("Content-Length: 5\nContent-Length: 6", &HeadFault::LengthsDiffer);
    check("Content-Length: 5, 6", &HeadFault::LengthsDiffer);
    for length in ["", "+5", "-5", "5 5", "0x5", "5,", "5,,5", "five", "5;", "18446744073709551616"]
    {
        check(&format!("Content-Length: {length}"), &HeadFault::LengthMalformed);
    }
    let coding = |name: &str| HeadFault::TransferCoding(Coding::new(name.as_bytes()));
    check("Transfer-Encoding: gzip, chunked", &coding("gzip"));
    check("Transfer-Encoding: gzip", &coding("gzip"));
    check("Transfer-Encoding: chunked, gzip", &coding("gzip"));
    check("Transfer-Encoding: chunked\nTransfer-Encoding: chunked", &coding("chunked"));
    check("Transfer-Encoding: chunked, identity", &coding("identity"));
    check("Transfer-Encoding: chunked;q=1", &coding("chunked;q=1"));
    check("Transfer-Encoding: xchunked", &coding("xchunked"));
    check("Transfer-Encoding: \u{0b}chunked", &HeadFault::FieldValue);
    refused(
        "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        &HeadFault::TransferEncodingInHttp10,
    );
}

#[test]
fn a_fault_names_the_coding_in_plain_letters() {
    let fault = HeadFault::TransferCoding(Coding::new("\u{fc}".repeat(100).as_bytes()));
    let text = fault.to_string();
    assert!(text.starts_with("the response has the transfer coding `\\xc3\\xbc"), "{text}");
    assert!(text.len() < 400, "{text}");
}

#[test]
fn some_answers_have_no_body() {
    let check = |method: Method, status: u16, fields: &str, left: &[&str]| {
        let text = answer(fields).replace("200", &status.to_string());
        let found = read(text.as_bytes(), &method).unwrap().head.unwrap();
        assert_eq!(found.framing, BodyFraming::None, "{method} {text}");
        assert_eq!(lines(&found.headers), left, "{method} {text}");
        assert!(found.persistence.is_reusable);
    };
    check(Method::HEAD, 200, "Content-Length: 5, 5", &["content-length: 5"]);
    check(Method::HEAD, 200, "Transfer-Encoding: chunked", &[]);
    check(Method::HEAD, 200, "", &[]);
    check(Method::GET, 304, "Content-Length: 5", &["content-length: 5"]);
    check(Method::GET, 304, "Transfer-Encoding: gzip, chunked", &[]);
    check(Method::GET, 204, "Content-Length: 0", &[]);
    check(Method::POST, 204, "Transfer-Encoding: chunked", &[]);
}

#[test]
fn a_connection_may_be_used_again_or_not() {
    let check = |version: &str, fields: &str, is_reusable: bool| {
        let text = answer(fields).replace("HTTP/1.1", version);
        assert_eq!(head(&text).persistence.is_reusable, is_reusable, "{text}");
    };
    check("HTTP/1.1", "Content-Length: 0", true);
    check("HTTP/1.1", "Content-Length: 0\nConnection: keep-alive", true);
    check("HTTP/1.1", "Content-Length: 0\nConnection: Close", false);
    check("HTTP/1.1", "Content-Length: 0\nConnection: x\nConnection: y , close", false);
    check("HTTP/1.1", "Content-Length: 0\nConnection: close\nConnection: keep-alive", false);
    check("HTTP/1.1", "Content-Length: 0\nConnection: closed", true);
    check("HTTP/1.1", "Connection: keep-alive", false);
    check("HTTP/1.1", "Transfer-Encoding: chunked", true);
    check("HTTP/1.1", "Transfer-Encoding: chunked\nContent-Length: 5", false);
    check("HTTP/1.0", "Content-Length: 0", false);
    check("HTTP/1.0", "Content-Length: 0\nConnection: Keep-Alive", true);
    check("HTTP/1.0", "Content-Length: 0\nConnection: keep-alive, close", false);
}

#[test]
fn the_time_that_a_node_keeps_a_connection_is_read() {
    let check = |fields: &str, seconds: Option<u64>| {
        let timeout = head(&answer(fields)).persistence.timeout;
        assert_eq!(timeout, seconds.map(Duration::from_secs), "{fields}");
    };
    check("Keep-Alive: timeout=5", Some(5));
    check("Keep-Alive: max=100, Timeout = 72", Some(72));
    check("Keep-Alive: max=100\nKeep-Alive: timeout=0", Some(0));
    check("", None);
    for value in
        ["timeout", "timeout=", "timeout=x", "timeout=-1", "timeout=4294967296", "timeouts=5"]
    {
        check(&format!("Keep-Alive: {value}"), None);
    }
}

#[test]
fn a_head_that_dribbles_is_not_read_again_and_again() {
    let text = answer(&format!("X-A: {}", "\u{fc}\t".repeat(20_000)));
    let bytes: Vec<&[u8]> = text.as_bytes().chunks(1).collect();
    let found = read_head(&bytes, &Method::GET, HeadLimits::default()).unwrap();
    assert!(found.head.is_some());
}
