//! The codec at its edges: each example whole, byte by byte and cut in two at every place.

mod against_client;
mod against_server;
mod bodies;
mod heads;
mod requests;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Method};

use super::{BodyDecoder, BodyFault, BodyFraming, Coding, Decoded, Head, HeadFault};
use super::{HeadLimits, HeadParser, Parsed};

/// Reads that together are `bytes`: all at once, one by one, and two at every cut.
fn ways_to_read(bytes: &[u8]) -> Vec<Vec<&[u8]>> {
    let mut ways = vec![vec![bytes], bytes.chunks(1).collect()];
    ways.extend((1..bytes.len()).map(|cut| {
        let (first, second) = bytes.split_at(cut);
        vec![first, second]
    }));
    ways
}

/// What became of an answer's head.
#[derive(Debug)]
struct Read {
    /// The statuses of interim heads.
    interim: Vec<u16>,
    /// None: the bytes end before it does.
    head: Option<Head>,
    /// What came behind it.
    rest: Vec<u8>,
}

fn read_head(reads: &[&[u8]], method: &Method, limits: HeadLimits) -> Result<Read, HeadFault> {
    let mut parser = HeadParser::new(limits);
    let mut buffer = BytesMut::new();
    let mut interim = Vec::new();
    let mut head = None;
    for read in reads {
        buffer.extend_from_slice(read);
        while head.is_none() {
            match parser.parse(&mut buffer, method)? {
                Parsed::NeedMore => break,
                Parsed::Interim(status) => interim.push(status.as_u16()),
                Parsed::Head(found) => head = Some(found),
            }
        }
    }
    Ok(Read { interim, head, rest: buffer.to_vec() })
}

/// A body that was read to its end or to that of the bytes.
#[derive(Debug, Default, PartialEq, Eq)]
struct Body {
    data: Vec<u8>,
    trailers: Option<HeaderMap>,
    has_ended: bool,
    rest: Vec<u8>,
}

fn read_body(reads: &[&[u8]], framing: BodyFraming) -> Result<Body, BodyFault> {
    let mut decoder = BodyDecoder::new(framing);
    let mut buffer = BytesMut::new();
    let mut body = Body::default();
    for read in reads {
        buffer.extend_from_slice(read);
        while !body.has_ended {
            match decoder.decode(&mut buffer)? {
                Decoded::NeedMore => break,
                Decoded::Data(data) => {
                    assert_ne!(data, Bytes::new());
                    body.data.extend_from_slice(&data);
                }
                Decoded::End(trailers) => {
                    body.trailers = trailers;
                    body.has_ended = true;
                    assert!(decoder.is_end());
                }
            }
        }
    }
    if !body.has_ended {
        decoder.at_eof()?;
    }
    body.rest = buffer.to_vec();
    Ok(body)
}
