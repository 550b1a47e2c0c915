//! What the guard passes, hyper reads as the same requests.

use std::convert::Infallible;
use std::sync::Mutex;

use bytes::Bytes;
use http::header::{CONNECTION, UPGRADE};
use http::{Method, Request, Response};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use tokio::io::{AsyncWriteExt as _, duplex};

use crate::listener::head_guard::{HeadGuard, Stage};

/// Method, target and body of a request. The body is `None` if it is not complete.
type Read = (String, String, Option<Vec<u8>>);

/// The requests that the guard sees in `input`, which it is fed byte by byte, up to a fault or to the
/// first that may become a tunnel.
fn read_by_guard(input: &[u8]) -> Vec<Read> {
    let mut guard = HeadGuard::default();
    let (mut requests, mut head, mut body) = (Vec::new(), Vec::new(), Vec::new());
    let mut heads = 0;
    for byte in input {
        let before = guard.stage();
        if guard.inspect(&[*byte]).is_err() {
            break;
        }
        match before {
            Stage::Between | Stage::Head => head.push(*byte),
            Stage::Body => body.push(*byte),
            Stage::Tunnel => break,
        }
        if guard.heads() != heads {
            heads = guard.heads();
            requests.push(head_of(&std::mem::take(&mut head)));
        }
        if guard.stage() == Stage::Between
            && guard.heads() > 0
            && let Some((_, _, content)) = requests.last_mut()
            && content.is_none()
        {
            *content = Some(content_of(&std::mem::take(&mut body)));
        }
    }
    requests
}

fn head_of(head: &[u8]) -> Read {
    let line = head.split(|byte| *byte == b'\n').find(|line| line.len() > 1).unwrap();
    let line = String::from_utf8_lossy(line).into_owned();
    let mut parts = line.split(' ');
    (parts.next().unwrap().to_owned(), parts.next().unwrap().to_owned(), None)
}

/// The content of a body that the guard has passed: it is chunked if it ends as chunks do and begins
/// as one does, which no other body of this test can.
fn content_of(body: &[u8]) -> Vec<u8> {
    if !body.ends_with(b"\r\n\r\n") {
        return body.to_vec();
    }
    let (mut content, mut rest) = (Vec::new(), body);
    while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
        let line = String::from_utf8_lossy(&rest[..end]).into_owned();
        let digits = line.split(|char: char| !char.is_ascii_hexdigit()).next().unwrap();
        let size = usize::from_str_radix(digits, 16).unwrap();
        if size == 0 {
            break;
        }
        content.extend_from_slice(&rest[end + 1..end + 1 + size]);
        rest = &rest[end + 1 + size + 2..];
    }
    content
}

/// The requests that hyper reads without the guard.
fn read_by_hyper(input: &[u8]) -> Vec<Read> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let (mut ours, theirs) = duplex(input.len() + 64 * 1024);
    let requests = Mutex::new(Vec::new());
    runtime.block_on(async {
        ours.write_all(input).await.unwrap();
        ours.shutdown().await.unwrap();
        let service = service_fn(async |request: Request<Incoming>| {
            let (head, body) = request.into_parts();
            let body = body.collect().await.ok().map(|body| body.to_bytes().to_vec());
            // As the service of a connection does, see `Served`.
            let closes = head.method == Method::CONNECT || head.headers.contains_key(UPGRADE);
            let read = (head.method.to_string(), head.uri.to_string(), body);
            requests.lock().unwrap().push(read);
            let response = Response::builder();
            let response = if closes { response.header(CONNECTION, "close") } else { response };
            Ok::<_, Infallible>(response.body(Empty::<Bytes>::new()).unwrap())
        });
        let server =
            http1::Builder::new().half_close(true).serve_connection(TokioIo::new(theirs), service);
        // It refuses what it does not understand, and more than the guard.
        let _ = server.await;
    });
    requests.into_inner().unwrap()
}

fn line(choices: &'static [&'static str]) -> impl Strategy<Value = String> {
    select(choices).prop_map(str::to_owned)
}

/// A request of which each part is right most of the time.
fn request() -> impl Strategy<Value = Vec<u8>> {
    let first = prop_oneof![
        6 => line(&["GET /a HTTP/1.1\r\n", "POST /b?c HTTP/1.1\r\n", "OPTIONS * HTTP/1.1\r\n"]),
        1 => line(FIRST_LINES),
    ];
    let host = prop_oneof![8 => line(&["Host: a\r\n"]), 1 => line(&["", "Host: a\r\nHost: b\r\n"])];
    let field =
        prop_oneof![4 => line(&["X: y\r\n", "Connection: keep-alive\r\n"]), 1 => line(FIELDS)];
    let fields = vec(field, 0..3).prop_map(|fields| fields.concat());
    let framing = prop_oneof![
        2 => line(&["\r\n"]),
        2 => line(&["Content-Length: 3\r\n\r\nabc", "Content-Length: 0\r\n\r\n"]),
        2 => line(&["Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"]),
        3 => line(FRAMINGS),
    ];
    (first, host, fields, framing)
        .prop_map(|(first, host, fields, framing)| [first, host, fields, framing].concat().into())
}

const FIRST_LINES: &[&str] = &[
    "GET /a HTTP/1.0\r\n",
    "GET /a HTTP/1.1\n",
    "\r\nGET /a HTTP/1.1\r\n",
    "\r\n\r\nGET /a HTTP/1.1\r\n",
    "GET  /a HTTP/1.1\r\n",
    "GET /a\tHTTP/1.1\r\n",
    "GET /a b HTTP/1.1\r\n",
    "GET /a HTTP/1.1 \r\n",
    "GET /a HTTP/1.2\r\n",
    "GET /a HTTP/2.0\r\n",
    "GET /a\r\n",
    "get /a HTTP/1.1\r\n",
    " GET /a HTTP/1.1\r\n",
    "HEAD http://a/b HTTP/1.1\r\n",
    "CONNECT a:1 HTTP/1.1\r\n",
];

const FIELDS: &[&str] = &[
    "X : y\r\n",
    " X: y\r\n",
    "X: y\r\n z\r\n",
    "X\r\n",
    ": y\r\n",
    "X: y\n",
    "X: a\rb\r\n",
    "X: a\0b\r\n",
    "Upgrade: websocket\r\n",
    "Connection: close\r\n",
    "Content-Length: 1\r\n",
    "Transfer-Encoding: chunked\r\n",
    "Transfer_Encoding: chunked\r\n",
    "Expect: 100-continue\r\n",
];

const FRAMINGS: &[&str] = &[
    "Content-Length: +3\r\n\r\nabc",
    "Content-Length: 3, 3\r\n\r\nabc",
    "Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
    "Content-Length: 3\r\nContent-Length: 30\r\n\r\nabc",
    "Content-Length: 03\r\n\r\nabc",
    "Content-Length: \t3 \r\n\r\nabc",
    "Content-Length:\r\n\r\n",
    "Content-Length: 0x3\r\n\r\nabc",
    "Content-Length: 18446744073709551619\r\n\r\nabc",
    "Content-Length: 3\n\nabc",
    "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    "Transfer-Encoding: gzip, chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    "Transfer-Encoding: chunked, identity\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    "Transfer-Encoding: \x0bchunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    "Transfer-Encoding: CHUNKED\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    "Transfer-Encoding: chunked\r\n\r\n3;x=\"y\"\r\nabc\r\n0\r\n\r\n",
    "Transfer-Encoding: chunked\r\n\r\n3 ; x\r\nabc\r\n00\r\nT: u\r\n\r\n",
    "Transfer-Encoding: chunked\r\n\r\n03\r\nabc\r\n0\r\nContent-Length: 9\r\n\r\n",
    "Transfer-Encoding: chunked\r\n\r\n3\nabc\r\n0\r\n\r\n",
    "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\n0\r\n\r\n",
    "Transfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n",
    "Transfer-Encoding: chunked\r\n\r\n0x3\r\nabc\r\n0\r\n\r\n",
    "Transfer-Encoding: chunked\r\n\r\n3 \r\nabc\r\n0\r\n\r\n",
    "Transfer-Encoding: chunked\r\n\r\n3;\nabc\r\n0\r\n\r\n",
    "Transfer-Encoding: chunked\r\n\r\n0\r\nT: u\r\n v\r\n\r\n",
    "Transfer-Encoding: chunked\r\n\r\n0\r\n\n",
    "Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n",
    "Transfer-Encoding: chunked\r\n\r\n\r\n0\r\n\r\n",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    /// hyper may refuse more than the guard; it must not see another request, or another body.
    #[test]
    fn hyper_reads_the_requests_that_the_guard_has_seen(requests in vec(request(), 1..4)) {
        let input = requests.concat();
        let mut guard = HeadGuard::default();
        let clean = guard.inspect(&input).map_or_else(|refusal| refusal.clean, |()| input.len());
        let passed = &input[..clean];
        let (seen, read) = (read_by_guard(passed), read_by_hyper(passed));
        prop_assert!(read.len() <= seen.len(), "{:?} {:?}", read, passed.escape_ascii().to_string());
        for (read, seen) in read.iter().zip(&seen) {
            prop_assert_eq!((&read.0, &read.1), (&seen.0, &seen.1));
            // A body that is not complete, or a request that may become a tunnel, is not compared.
            if let (Some(read), Some(seen)) = (&read.2, &seen.2) {
                prop_assert_eq!(read, seen, "{}", passed.escape_ascii());
            }
        }
    }
}
