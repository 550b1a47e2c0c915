//! Requests, as bytes.

use std::num::NonZeroUsize;

use bytes::BytesMut;
use http::{HeaderMap, HeaderName, HeaderValue, Method};

use crate::http1::spelling::write_name;
use crate::http1::{CHUNK_END, LAST_CHUNK, RequestFraming};
use crate::http1::{write_chunk_head, write_head};

fn lines(headers: &HeaderMap) -> impl Iterator<Item = (&HeaderName, &[u8])> {
    headers.iter().map(|(name, value)| (name, value.as_bytes()))
}

fn written(
    method: Method,
    target: &str,
    fields: &[(&str, &str)],
    framing: RequestFraming,
) -> String {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        headers.append(name, HeaderValue::from_str(value).unwrap());
    }
    let mut out = BytesMut::new();
    write_head(&mut out, &method, target, lines(&headers), framing);
    String::from_utf8(out.to_vec()).unwrap()
}

#[test]
fn a_head_is_written_in_its_order() {
    let fields =
        [("host", "chat.test"), ("accept", "*/*"), ("cookie", "a=b"), ("x-a", "b"), ("x-a", "")];
    assert_eq!(
        written(Method::GET, "/socket.io/?EIO=4", &fields, RequestFraming::None),
        "GET /socket.io/?EIO=4 HTTP/1.1\r\nHost: chat.test\r\nAccept: */*\r\nCookie: a=b\r\n\
         X-A: b\r\nX-A: \r\n\r\n",
    );
}

#[test]
fn the_framing_is_ours() {
    let fields = [("content-length", "7"), ("host", "a"), ("transfer-encoding", "gzip")];
    let check = |method: Method, framing: RequestFraming, line: &str| {
        let expected = format!("{method} / HTTP/1.1\r\nHost: a\r\n{line}\r\n");
        assert_eq!(written(method, "/", &fields, framing), expected);
    };
    check(Method::GET, RequestFraming::None, "");
    check(Method::DELETE, RequestFraming::None, "");
    check(Method::OPTIONS, RequestFraming::None, "");
    for method in [Method::POST, Method::PUT, Method::PATCH] {
        check(method, RequestFraming::None, "Content-Length: 0\r\n");
    }
    check(Method::GET, RequestFraming::Length(0), "Content-Length: 0\r\n");
    check(Method::POST, RequestFraming::Length(5), "Content-Length: 5\r\n");
    let longest = format!("Content-Length: {}\r\n", u64::MAX);
    check(Method::POST, RequestFraming::Length(u64::MAX), &longest);
    check(Method::POST, RequestFraming::Chunked, "Transfer-Encoding: chunked\r\n");
}

#[test]
fn a_target_is_written_in_origin_form() {
    for (target, expected) in
        [("/", "/"), ("*", "*"), ("?b", "/?b"), ("/a//b/%20?c?d", "/a//b/%20?c?d")]
    {
        let line = format!("GET {expected} HTTP/1.1\r\n\r\n");
        assert_eq!(written(Method::GET, target, &[], RequestFraming::None), line);
    }
}

#[test]
fn a_head_is_written_behind_what_is_there() {
    let mut out = BytesMut::from("before");
    let headers = HeaderMap::from_iter([(http::header::HOST, HeaderValue::from_static("a"))]);
    write_head(&mut out, &Method::GET, "/", lines(&headers), RequestFraming::None);
    assert_eq!(out, "beforeGET / HTTP/1.1\r\nHost: a\r\n\r\n");
}

#[test]
fn names_are_spelled_as_usual() {
    for name in [
        "A-IM",
        "Accept",
        "Accept-CH",
        "CDN-Cache-Control",
        "CDN-Loop",
        "Content-MD5",
        "Content-Type",
        "Cookie",
        "DNT",
        "DPoP",
        "DPoP-Nonce",
        "DPR",
        "ECT",
        "ETag",
        "Foo-Bar",
        "Host",
        "HTTP2-Settings",
        "IM",
        "Last-Event-ID",
        "MIME-Version",
        "Sec-CH-Prefers-Color-Scheme",
        "Sec-CH-UA",
        "Sec-CH-UA-Arch",
        "Sec-CH-UA-Full-Version-List",
        "Sec-CH-UA-Mobile",
        "Sec-CH-UA-Platform",
        "Sec-CH-UA-Platform-Version",
        "Sec-Fetch-Mode",
        "Sec-GPC",
        "Sec-WebSocket-Accept",
        "Sec-WebSocket-Extensions",
        "Sec-WebSocket-Key",
        "Sec-WebSocket-Protocol",
        "Sec-WebSocket-Version",
        "SOAPAction",
        "TE",
        "User-Agent",
        "WWW-Authenticate",
        "X",
        "X-Forwarded-For",
        "X-Real-IP",
        "X-Request-ID",
        "X-UA-Compatible",
        "X-User-Id",
        "X-XSS-Protection",
        "X--Y-",
        "-",
        "X_y-Z",
    ] {
        let mut out = BytesMut::from("-");
        write_name(&mut out, &HeaderName::from_bytes(name.as_bytes()).unwrap());
        assert_eq!(out, format!("-{name}"));
    }
}

#[test]
fn chunks_are_written() {
    let mut out = BytesMut::new();
    for data in ["hello", "0123456789abcdef"] {
        write_chunk_head(&mut out, NonZeroUsize::new(data.len()).unwrap());
        out.extend_from_slice(data.as_bytes());
        out.extend_from_slice(CHUNK_END);
    }
    out.extend_from_slice(LAST_CHUNK);
    assert_eq!(out, "5\r\nhello\r\n10\r\n0123456789abcdef\r\n0\r\n\r\n");
}
