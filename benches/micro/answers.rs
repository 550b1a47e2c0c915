//! A node's answer parsed, next to what httparse alone takes, and a request written.

use bytes::BytesMut;
use divan::Bencher;
use divan::counter::BytesCount;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use sockeye::internal::{BodyDecoder, BodyFraming, Decoded, HeadLimits, HeadParser, Parsed};
use sockeye::internal::{RequestFraming, write_head};

#[divan::bench(args = ANSWERS)]
fn parse_head(bencher: Bencher<'_, '_>, answer: &Answer) {
    bencher
        .counter(BytesCount::new(answer.bytes.len()))
        .with_inputs(|| BytesMut::from(answer.bytes))
        .bench_local_values(|mut buffer| {
            let parsed = HeadParser::new(HeadLimits::default()).parse(&mut buffer, &Method::GET);
            assert!(matches!(parsed, Ok(Parsed::Head(_))));
            (parsed, buffer)
        });
}

#[divan::bench(args = ANSWERS)]
fn parse_head_by_httparse_alone(bencher: Bencher<'_, '_>, answer: &Answer) {
    bencher
        .counter(BytesCount::new(answer.bytes.len()))
        .with_inputs(|| BytesMut::from(answer.bytes))
        .bench_local_values(|buffer| {
            let mut lines = [httparse::EMPTY_HEADER; 64];
            let parsed = httparse::Response::new(&mut lines).parse(&buffer);
            assert!(parsed.is_ok_and(|parsed| parsed.is_complete()));
            buffer
        });
}

#[divan::bench]
fn decode_chunks(bencher: Bencher<'_, '_>) {
    let body = b"400\r\n".iter().chain(&[b'x'; 1024]).chain(b"\r\n").copied().collect::<Vec<u8>>();
    let body = [body.repeat(16), b"0\r\n\r\n".to_vec()].concat();
    bencher
        .counter(BytesCount::new(body.len()))
        .with_inputs(|| BytesMut::from(&body[..]))
        .bench_local_values(|mut buffer| {
            let mut decoder = BodyDecoder::new(BodyFraming::Chunked);
            while !matches!(decoder.decode(&mut buffer), Ok(Decoded::End(_)) | Err(_)) {}
            assert!(decoder.is_end());
            buffer
        });
}

fn lines(headers: &HeaderMap) -> impl Iterator<Item = (&HeaderName, &[u8])> {
    headers.iter().map(|(name, value)| (name, value.as_bytes()))
}

#[divan::bench]
fn write_the_head_of_a_poll(bencher: Bencher<'_, '_>) {
    let target = "/socket.io/?EIO=4&transport=polling&t=PqXz&sid=lv_VI97HAXpY6yYW";
    let fields = REQUEST_FIELDS
        .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
    let headers = HeaderMap::from_iter(fields);
    let mut out = BytesMut::with_capacity(4096);
    write_head(&mut out, &Method::GET, target, lines(&headers), RequestFraming::None);
    bencher.counter(BytesCount::new(out.len())).bench_local(|| {
        out.clear();
        let headers = divan::black_box(&headers);
        write_head(&mut out, &Method::GET, target, lines(headers), RequestFraming::None);
    });
}

#[derive(Clone, Copy)]
struct Answer {
    name: &'static str,
    bytes: &'static [u8],
}

impl std::fmt::Display for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

const ANSWERS: [Answer; 2] = [
    Answer {
        name: "a_poll",
        bytes: b"HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=UTF-8\r\n\
            Content-Length: 1\r\nCache-Control: no-store\r\n\
            Access-Control-Allow-Origin: *\r\nDate: Sat, 28 Nov 2026 19:00:00 GMT\r\n\
            Connection: keep-alive\r\nKeep-Alive: timeout=5\r\n\r\n2",
    },
    Answer {
        name: "a_101",
        bytes: b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
            Connection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
    },
];

/// As a browser and this proxy write them.
const REQUEST_FIELDS: [(&str, &str); 13] = [
    ("host", "chat.test"),
    ("user-agent", "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko)"),
    ("accept", "*/*"),
    ("origin", "https://chat.test"),
    ("referer", "https://chat.test/room/7"),
    ("accept-encoding", "gzip, deflate, br"),
    ("accept-language", "en-GB,en;q=0.9,de;q=0.8"),
    ("cookie", "theme=dark; consent=1"),
    ("x-request-id", "0123456789abcdef0123456789abcdef"),
    ("x-forwarded-for", "10.0.0.9"),
    ("x-forwarded-proto", "http"),
    ("x-forwarded-host", "chat.test"),
    ("forwarded", "for=10.0.0.9;host=\"chat.test\";proto=http"),
];
