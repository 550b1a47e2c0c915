//! Requests that RFC 9113 calls malformed: by h2 or by us, none reaches the service.

use super::raw::*;
use super::*;

#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    /// A response of this status; from its HPACK, without decoding it.
    Answered(Vec<u8>),
    Reset(u32),
    GoneAway(u32),
}

const PROTOCOL_ERROR: u32 = 1;
const COMPRESSION_ERROR: u32 = 9;

/// What comes of a request with these fields behind the pseudo-header fields of a GET.
async fn outcome(fields: &[(&str, &str)], flags: u8) -> (Outcome, usize) {
    let server = Server::start_http2().await;
    let mut stream = server.send(&frame(HEADERS, flags, 1, &block(fields))).await;
    let found = next_of(&mut stream, &[HEADERS, RST_STREAM, GOAWAY]).await.unwrap();
    let outcome = match found.kind {
        HEADERS => Outcome::Answered(found.payload),
        RST_STREAM => Outcome::Reset(found.code()),
        _ => Outcome::GoneAway(found.code()),
    };
    (outcome, server.requests())
}

const GET: [(&str, &str); 4] =
    [(":method", "GET"), (":scheme", "http"), (":authority", "a"), (":path", "/")];

/// 200 and 400 in HPACK's static table.
const OK: u8 = 0x88;
const BAD_REQUEST: u8 = 0x8c;

#[tokio::test]
async fn a_request_as_it_should_be_is_answered() {
    let (found, requests) = outcome(&GET, END_HEADERS | END_STREAM).await;
    assert!(matches!(&found, Outcome::Answered(block) if block[0] == OK), "{found:?}");
    assert_eq!(requests, 1);
}

#[tokio::test]
async fn h2_resets_a_stream_whose_head_is_malformed() {
    let without = |name: &str| GET.into_iter().filter(|(found, _)| *found != name).collect();
    let with = |field: (&'static str, &'static str)| [&GET[..], &[field]].concat();
    let heads: Vec<Vec<(&str, &str)>> = vec![
        without(":method"),
        without(":scheme"),
        with((":path", "/again")),
        with((":status", "200")),
        with(("connection", "close")),
        with(("connection", "upgrade")),
        with(("keep-alive", "timeout=5")),
        with(("proxy-connection", "close")),
        with(("transfer-encoding", "chunked")),
        with(("upgrade", "websocket")),
        with(("te", "gzip")),
        with((":protocol", "websocket")),
        with(("content-length", "1")),
        with(("content-length", "x")),
        [&[("x", "before")], &GET[..]].concat(),
        [&GET[..3], &[(":path", "")]].concat(),
        [&GET[..2], &[(":authority", "a b"), (":path", "/")]].concat(),
        [&[(":method", "CONNECT")], &GET[1..]].concat(),
        vec![(":method", "CONNECT"), (":authority", "a"), (":protocol", "websocket")],
    ];
    for head in heads {
        let (found, requests) = outcome(&head, END_HEADERS | END_STREAM).await;
        assert_eq!(found, Outcome::Reset(PROTOCOL_ERROR), "{head:?}");
        assert_eq!(requests, 0, "{head:?}");
    }
}

#[tokio::test]
async fn a_name_that_is_none_ends_the_connection() {
    for name in ["Upper", "a b", "", "a:b", "x\0"] {
        let head = [&GET[..], &[(name, "x")]].concat();
        let (found, requests) = outcome(&head, END_HEADERS | END_STREAM).await;
        let Outcome::GoneAway(code) = found else { panic!("{name:?}: {found:?}") };
        assert!([PROTOCOL_ERROR, COMPRESSION_ERROR].contains(&code), "{name:?}: {code}");
        assert_eq!(requests, 0, "{name:?}");
    }
}

#[tokio::test]
async fn a_value_with_a_line_end_reaches_nobody() {
    for value in ["a\rb", "a\nb", "a\0b", "\r\nx: y"] {
        let head = [&GET[..], &[("x", value)]].concat();
        let (found, requests) = outcome(&head, END_HEADERS | END_STREAM).await;
        assert!(!matches!(found, Outcome::Answered(_)), "{value:?}: {found:?}");
        assert_eq!(requests, 0, "{value:?}");
    }
}

#[tokio::test]
async fn what_h2_lets_through_is_refused_with_a_sentence() {
    let path = |path: &'static str| [&GET[..3], &[(":path", path)]].concat();
    let with = |field: (&'static str, &'static str)| [&GET[..], &[field]].concat();
    let heads: Vec<Vec<(&str, &str)>> = vec![
        with(("host", "b")),
        with(("x", " padded")),
        with(("x", "padded\t")),
        path("/\""),
        path("*"),
        path("?x"),
        [&[(":method", "GET"), (":scheme", "ftp")], &GET[2..]].concat(),
        [&GET[..2], &GET[3..]].concat(),
    ];
    for head in heads {
        let (found, requests) = outcome(&head, END_HEADERS | END_STREAM).await;
        let is_refused = matches!(&found, Outcome::Answered(block) if block[0] == BAD_REQUEST);
        assert!(is_refused, "{head:?}: {found:?}");
        assert_eq!(requests, 0, "{head:?}");
    }
}

#[tokio::test]
async fn a_path_that_begins_with_no_slash_reaches_nobody() {
    for path in ["a", "/<", "http://b/", "//b/../x y"] {
        let head = [&GET[..3], &[(":path", path)]].concat();
        let (found, requests) = outcome(&head, END_HEADERS | END_STREAM).await;
        let is_answered = matches!(&found, Outcome::Answered(block) if block[0] == OK);
        assert!(!is_answered, "{path}: {found:?}");
        assert_eq!(requests, 0, "{path}");
    }
}

#[tokio::test]
async fn a_body_of_another_length_than_declared_resets_its_stream() {
    for (length, body) in [("3", "four"), ("5", "four")] {
        let server = Server::start_http2().await;
        let head = [&[(":method", "POST")], &GET[1..], &[("content-length", length)]].concat();
        let frames = [
            frame(HEADERS, END_HEADERS, 1, &block(&head)),
            frame(DATA, END_STREAM, 1, body.as_bytes()),
        ];
        let mut stream = server.send(&frames.concat()).await;
        let found = next_of(&mut stream, &[RST_STREAM, GOAWAY]).await.unwrap();
        assert_eq!((found.kind, found.code()), (RST_STREAM, PROTOCOL_ERROR), "{length}");
    }
}

#[tokio::test]
async fn a_head_that_is_too_large_is_refused_and_the_connection_goes_on() {
    let server = Server::start_http2().await;
    let value = "v".repeat(120);
    let fields: Vec<_> = (0..560).map(|number| (format!("x{number}"), value.clone())).collect();
    let fields = fields.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let large = block(&GET.into_iter().chain(fields).collect::<Vec<_>>());
    let mut frames = Vec::new();
    let parts: Vec<_> = large.chunks(16_000).collect();
    for (number, part) in parts.iter().enumerate() {
        let kind = if number == 0 { HEADERS } else { CONTINUATION };
        let ends = if number + 1 == parts.len() { END_HEADERS } else { 0 };
        let end_stream = if number == 0 { END_STREAM } else { 0 };
        frames.extend(frame(kind, ends | end_stream, 1, part));
    }
    let mut stream = server.send(&[frames, get(3, "/a")].concat()).await;
    let mut answered = Vec::new();
    while answered.len() < 2 {
        let found = next_of(&mut stream, &[HEADERS, GOAWAY]).await.unwrap();
        assert_eq!(found.kind, HEADERS, "{found:?}");
        answered.push(found.stream);
    }
    assert_eq!((answered, server.requests()), (vec![1, 3], 1));
}
