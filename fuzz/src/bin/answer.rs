//! The answers of nodes: however the bytes are cut into reads, the same head and the same body come
//! out of them or the same is wrong, and the fields of a head have one meaning.

#![no_main]

use bytes::BytesMut;
use fuzz::{pieces, single_bytes};
use http::header::{CONTENT_LENGTH, HeaderMap, TRANSFER_ENCODING};
use http::{Method, StatusCode};
use libfuzzer_sys::fuzz_target;
use sockeye::internal::{BodyDecoder, BodyFault, BodyFraming, Decoded, Head, HeadFault};
use sockeye::internal::{HeadLimits, HeadParser, Parsed, Persistence};

fuzz_target!(|bytes: &[u8]| {
    let Some((method, answer)) = bytes.split_first() else { return };
    let method = if method & 1 == 0 { Method::GET } else { Method::HEAD };
    let whole = read(&[answer], &method);
    for reads in [pieces(answer), single_bytes(answer)] {
        assert_eq!(read(&reads, &method), whole, "{}", answer.escape_ascii());
    }
});

/// All that the reads had in them.
#[derive(Debug, PartialEq, Eq)]
struct Answer {
    interim: Vec<StatusCode>,
    /// The inner one is none if the head is not finished.
    head: Result<Option<(StatusCode, HeaderMap, BodyFraming, Persistence)>, HeadFault>,
    data: Vec<u8>,
    /// The trailers of a body that has ended.
    end: Option<Result<Option<HeaderMap>, BodyFault>>,
    at_eof: Option<Result<(), BodyFault>>,
}

fn read(reads: &[&[u8]], method: &Method) -> Answer {
    let mut parser = HeadParser::new(LIMITS);
    let mut body = None;
    let mut buffer = BytesMut::new();
    let mut answer =
        Answer { interim: vec![], head: Ok(None), data: vec![], end: None, at_eof: None };
    for read in reads {
        buffer.extend_from_slice(read);
        while answer.head == Ok(None) {
            match parser.parse(&mut buffer, method) {
                Ok(Parsed::NeedMore) => break,
                Ok(Parsed::Interim(status)) => answer.interim.push(status),
                Ok(Parsed::Head(head)) => {
                    body = Some(BodyDecoder::new(head.framing));
                    answer.head = Ok(Some(checked(head)));
                }
                Err(fault) => answer.head = Err(fault),
            }
        }
        if let Some(body) = &mut body {
            answer.decode(body, &mut buffer);
        }
    }
    if answer.head == Ok(None)
        && let Err(fault) = HeadParser::new(LIMITS).parse(&mut buffer, method)
    {
        // Not every read is looked at for faults of an unfinished head.
        answer.head = Err(fault);
    }
    answer.at_eof = body.filter(|_| answer.end.is_none()).map(|body| body.at_eof());
    answer
}

impl Answer {
    fn decode(&mut self, body: &mut BodyDecoder, buffer: &mut BytesMut) {
        while self.end.is_none() {
            let remaining = body.remaining();
            match body.decode(buffer) {
                Ok(Decoded::NeedMore) => return,
                Ok(Decoded::Data(data)) => {
                    assert!(!data.is_empty());
                    let left = remaining.map(|remaining| remaining - data.len() as u64);
                    assert_eq!(body.remaining(), left);
                    self.data.extend_from_slice(&data);
                }
                Ok(Decoded::End(trailers)) => {
                    assert!(body.is_end());
                    self.end = Some(Ok(trailers));
                }
                Err(fault) => self.end = Some(Err(fault)),
            }
        }
    }
}

fn checked(head: Head) -> (StatusCode, HeaderMap, BodyFraming, Persistence) {
    let Head { status, headers, framing, persistence } = head;
    assert!(!headers.contains_key(TRANSFER_ENCODING));
    let lengths: Vec<_> = headers.get_all(CONTENT_LENGTH).iter().collect();
    match framing {
        BodyFraming::Length(bytes) => assert_eq!(lengths, [&bytes.to_string()]),
        BodyFraming::None => assert!(lengths.len() <= 1),
        BodyFraming::Chunked => assert!(lengths.is_empty()),
        BodyFraming::UntilClose => assert!(lengths.is_empty() && !persistence.is_reusable),
    }
    (status, headers, framing, persistence)
}

/// Small, so that they are reached in answers that are small too.
const LIMITS: HeadLimits = HeadLimits { bytes_max: 512, fields_max: 8 };
