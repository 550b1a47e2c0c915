//! The same answers read by hyper's client: what we accept it reads in the same way, and what
//! either refuses alone is on a short list.

use std::fmt;
use std::time::Duration;

use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

use super::*;

/// Bytes that a node may send.
#[derive(Clone)]
struct Answer(Vec<u8>);

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.escape_ascii())
    }
}

/// An answer as somebody understood it.
#[derive(Debug)]
struct Understood<F> {
    status: StatusCode,
    headers: HeaderMap,
    /// None: the body was broken.
    body: Result<(Vec<u8>, Option<HeaderMap>), F>,
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn hyper_reads_what_we_read(
        Answer(bytes) in answer(),
        method in select(vec![Method::GET, Method::HEAD, Method::POST]),
        cuts in vec(any::<prop::sample::Index>(), 0..4),
    ) {
        let ours = by_us(&cut(&bytes, &cuts), &method);
        let theirs = by_hyper(&bytes, &method);
        match (ours, theirs) {
            (Ok(ours), Some(theirs)) => {
                prop_assert_eq!(ours.status, theirs.status);
                prop_assert_eq!(fields(&ours.headers), fields(&theirs.headers));
                match (ours.body, theirs.body) {
                    _ if has_empty_last_coding(&theirs.headers) => (),
                    (Ok(ours), Ok(theirs)) => prop_assert_eq!(ours, theirs),
                    (Err(fault), Ok(_)) => prop_assert!(we_alone_refuse_body(fault), "{}", fault),
                    (Ok(_), Err(fault)) => prop_assert!(false, "hyper's client: {}", fault),
                    (Err(_), Err(_)) => (),
                }
            }
            (Ok(ours), None) => prop_assert!(hyper_alone_refuses(&bytes, &ours.headers), "{:?}", ours),
            (Err(Some(fault)), Some(theirs)) => {
                prop_assert!(we_alone_refuse(&fault), "{}: {:?}", fault, theirs);
            }
            (Err(None), Some(theirs)) => prop_assert!(false, "unfinished: {:?}", theirs),
            (Err(_), None) => (),
        }
    }
}

/// What we accept and hyper's client does not: more than one space behind the version, for which it
/// has a parser but no setting; and the two lengths that it has other uses for.
fn hyper_alone_refuses(answer: &[u8], headers: &HeaderMap) -> bool {
    let is_sloppy = answer
        .windows(11)
        .any(|bytes| bytes.starts_with(b"HTTP/1.") && bytes.get(8..10) == Some(b"  ".as_slice()));
    let length = headers.get(CONTENT_LENGTH).map(|length| length.to_str().unwrap().parse::<u64>());
    is_sloppy || length.is_some_and(|length| length.unwrap() > u64::MAX - 2)
}

/// For us as for RFC 9110, section 5.6.1, an empty member of a list is none; hyper's client reads
/// such a body until the node closes.
fn has_empty_last_coding(headers: &HeaderMap) -> bool {
    let last_line = headers.get_all(TRANSFER_ENCODING).iter().next_back();
    last_line.is_some_and(|codings| codings.is_empty() || codings.as_bytes().ends_with(b","))
}

/// What hyper's client accepts and we do not: it takes a LF alone for a line end, passes over lengths
/// that nothing depends on, has no bound on interim answers, and leaves transfer codings for its
/// caller to decode.
fn we_alone_refuse(fault: &HeadFault) -> bool {
    match fault {
        HeadFault::LineEnd
        | HeadFault::LengthsDiffer
        | HeadFault::LengthMalformed
        | HeadFault::TransferCoding(_)
        | HeadFault::TooManyInterim { .. } => true,
        HeadFault::Version
        | HeadFault::StatusLine
        | HeadFault::StatusCode(_)
        | HeadFault::FieldName
        | HeadFault::FieldValue
        | HeadFault::TooManyFields { .. }
        | HeadFault::TooLong { .. }
        | HeadFault::TransferEncodingInHttp10 => false,
    }
}

/// Hyper has no bound on zeros before a size, and does not look at the lines of trailer fields one
/// by one.
fn we_alone_refuse_body(fault: BodyFault) -> bool {
    match fault {
        BodyFault::ChunkSizeTooLong { .. } | BodyFault::Trailer => true,
        BodyFault::EndedEarly { .. }
        | BodyFault::EndedInChunks
        | BodyFault::ChunkSize
        | BodyFault::ChunkEnd
        | BodyFault::ExtensionsTooLong { .. }
        | BodyFault::TrailersTooLong { .. }
        | BodyFault::TooManyTrailers { .. } => false,
    }
}

/// The fields but those of the framing, by their names, with one space for any white space inside of
/// a value: a fold is not replaced by the same number of spaces.
fn fields(headers: &HeaderMap) -> Vec<(String, Vec<u8>)> {
    let is_space = |byte: &u8| matches!(byte, b' ' | b'\t');
    let words = |value: &[u8]| {
        let words: Vec<&[u8]> = value.split(is_space).filter(|word| !word.is_empty()).collect();
        words.join(&b' ')
    };
    let others =
        headers.iter().filter(|(name, _)| ![CONTENT_LENGTH, TRANSFER_ENCODING].contains(name));
    let mut fields: Vec<_> =
        others.map(|(name, value)| (name.to_string(), words(value.as_bytes()))).collect();
    fields.sort_by(|(a, _), (b, _)| a.cmp(b));
    fields
}

/// `None`: the bytes end before the head does.
fn by_us(reads: &[&[u8]], method: &Method) -> Result<Understood<BodyFault>, Option<HeadFault>> {
    let read = read_head(reads, method, HeadLimits::default()).map_err(Some)?;
    let head = read.head.ok_or(None)?;
    let body = read_body(&[&read.rest], head.framing);
    let body = body.map(|body| (body.data, body.trailers));
    Ok(Understood { status: head.status, headers: head.headers, body })
}

fn by_hyper(bytes: &[u8], method: &Method) -> Option<Understood<hyper::Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    let (ours, theirs) = duplex(bytes.len() + 1024);
    let request = Request::builder().method(method).uri("/").body(Empty::<Bytes>::new()).unwrap();
    let exchange = async {
        let (mut sender, connection) = http1::Builder::new()
            .allow_spaces_after_header_name_in_responses(true)
            .allow_obsolete_multiline_headers_in_responses(true)
            .max_headers(HeadLimits::default().fields_max)
            .handshake(TokioIo::new(ours))
            .await
            .unwrap();
        let understood = async {
            let response = sender.send_request(request).await.ok()?;
            Some(understood(response).await)
        };
        // The end of the connection tells the exchange what came of it.
        let (understood, _, ()) = tokio::join!(understood, connection, answer_with(theirs, bytes));
        understood
    };
    let time = Duration::from_secs(1);
    runtime.block_on(async { tokio::time::timeout(time, exchange).await }).expect("hyper waits")
}

async fn understood(response: http::Response<Incoming>) -> Understood<hyper::Error> {
    let (head, body) = response.into_parts();
    let body = body.collect().await.map(|body| {
        let trailers = body.trailers().cloned();
        (body.to_bytes().to_vec(), trailers)
    });
    Understood { status: head.status, headers: head.headers, body }
}

/// The node: it reads the request, answers and closes.
async fn answer_with(mut stream: DuplexStream, bytes: &[u8]) {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        request.push(stream.read_u8().await.unwrap());
    }
    // The side that has read enough closes first.
    _ = stream.write_all(bytes).await;
    _ = stream.shutdown().await;
}

fn cut<'a>(bytes: &'a [u8], cuts: &[prop::sample::Index]) -> Vec<&'a [u8]> {
    let mut places: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
    places.extend([0, bytes.len()]);
    places.sort_unstable();
    places.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect()
}

/// Mostly an answer, some of them with a few bytes changed.
fn answer() -> impl Strategy<Value = Answer> {
    let interim = select(vec!["", "", "", "", "HTTP/1.1 100 Continue\r\n\r\n", "\r\n"]);
    let parts = (interim, status_line(), vec(field(), 0..8), line_end(), body());
    let whole = parts.prop_map(|(interim, status, fields, end, body)| {
        let head = format!("{interim}{status}{}{end}", fields.concat());
        [head.into_bytes(), body].concat()
    });
    let change = (any::<prop::sample::Index>(), 0..3, select(ODD_BYTES.to_vec()));
    let changes = prop_oneof![3 => Just(vec![]).boxed(), 2 => vec(change, 1..4).boxed()];
    (whole, changes).prop_map(|(mut bytes, changes)| {
        for (place, kind, byte) in changes {
            let place = place.index(bytes.len());
            match kind {
                0 => bytes.insert(place, byte),
                1 => bytes[place] = byte,
                _ => _ = bytes.remove(place),
            }
        }
        Answer(bytes)
    })
}

fn status_line() -> impl Strategy<Value = String> {
    let versions = vec!["HTTP/1.1", "HTTP/1.1", "HTTP/1.1", "HTTP/1.0"];
    let statuses =
        vec!["200", "200", "200", "101", "103", "204", "304", "404", "502", "700", "099", "20"];
    let reasons = vec![" OK", " OK", "", " ", "  Not  Found", " \u{fc}"];
    (
        select(versions),
        select(vec![" ", " ", " ", "  "]),
        select(statuses),
        select(reasons),
        line_end(),
    )
        .prop_map(|(version, space, status, reason, end)| {
            format!("{version}{space}{status}{reason}{end}")
        })
}

fn field() -> impl Strategy<Value = String> {
    let framing = select(FRAMING_FIELDS.to_vec()).prop_map(str::to_owned);
    let other = "[A-Za-z][A-Za-z0-9_-]{0,8}[ \t]{0,1}:[ \t]{0,2}[ -~\u{e9}]{0,12}([\r]{0,1}\n [a-z]{0,3}){0,1}";
    let field = prop_oneof![1 => framing, 2 => other];
    (field, line_end()).prop_map(|(field, end)| field + end)
}

fn line_end() -> impl Strategy<Value = &'static str> {
    select(vec!["\r\n", "\r\n", "\r\n", "\r\n", "\r\n", "\r\n", "\n"])
}

fn body() -> impl Strategy<Value = Vec<u8>> {
    let extension = || select(vec!["", "", "", "", ";a=b", " ", " ;x"]);
    let chunk = (vec(any::<u8>(), 1..20), select(vec!["", "0", "0000"]), extension());
    let chunk = chunk.prop_map(|(data, zeros, extension)| {
        [format!("{zeros}{:X}{extension}\r\n", data.len()).as_bytes(), &data, b"\r\n"].concat()
    });
    let trailers = select(vec!["", "", "X-A: b\r\n", "X-A: b\r\nX-B:\r\n", "X-A\r\n", "X-A: b\n"]);
    let chunks =
        (vec(chunk, 0..5), extension(), trailers).prop_map(|(chunks, extension, trailers)| {
            let end = format!("0{extension}\r\n{trailers}\r\n");
            [chunks.concat(), end.into_bytes()].concat()
        });
    prop_oneof![3 => chunks, 1 => vec(any::<u8>(), 0..40), 1 => Just(b"hello".to_vec())]
}

const FRAMING_FIELDS: [&str; 24] = [
    "Transfer-Encoding: chunked",
    "Transfer-Encoding: chunked",
    "Transfer-Encoding: chunked",
    "Transfer-Encoding: chunked",
    "transfer-encoding:CHUNKED",
    "Transfer-Encoding: gzip, chunked",
    "Transfer-Encoding: identity",
    "Transfer-Encoding: \tchunked ",
    "Transfer-Encoding: chunked,",
    "Transfer-Encoding:",
    "Content-Length: 5",
    "Content-Length: 5",
    "Content-Length: 5",
    "Content-Length: 05",
    "Content-Length: 5, 5",
    "Content-Length: 6",
    "Content-Length: 0",
    "Content-Length: +5",
    "Content-Length:",
    "Content-Length: 18446744073709551614",
    "Content-Length: 18446744073709551616",
    "Connection: close",
    "Connection: keep-alive",
    "Trailer: X-A",
];

/// What a parser may take for something else.
const ODD_BYTES: [u8; 16] = *b"\0\r\n\t ;:,0Af\x7f\x80\xff\x0b-";
