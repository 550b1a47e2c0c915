//! A client of HTTP/2 that writes frames as it likes (RFC 9113), and reads what comes of them.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{ENOUGH, from_latin1};

/// What comes of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// A response of this status that is complete.
    Answered(u16),
    /// RST_STREAM.
    Reset,
    /// GOAWAY, or the end of the connection.
    Ended,
}

/// A connection.
pub(super) struct RawClient {
    stream: TcpStream,
}

impl RawClient {
    pub(super) async fn connect(address: SocketAddr) -> Self {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let preface = [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), frame(SETTINGS, 0, 0, b"")];
        stream.write_all(&preface.concat()).await.unwrap();
        Self { stream }
    }

    /// Sends `frames`, and waits for what comes of the request on stream `id`.
    pub(super) async fn ask(&mut self, id: u32, frames: &[u8]) -> Outcome {
        // The proxy may have ended the connection within them.
        let _ = self.stream.write_all(frames).await;
        timeout(ENOUGH, self.outcome(id)).await.expect("something comes of it")
    }

    async fn outcome(&mut self, id: u32) -> Outcome {
        let mut status = None;
        while let Some((kind, flags, stream, payload)) = self.read_frame().await {
            match kind {
                GOAWAY => return Outcome::Ended,
                RST_STREAM if stream == id => {
                    return status.map_or(Outcome::Reset, Outcome::Answered);
                }
                HEADERS if stream == id && status.is_none() => status = Some(status_of(&payload)),
                _ => (),
            }
            if let (HEADERS | DATA, Some(status)) = (kind, status)
                && stream == id
                && flags & END_STREAM != 0
            {
                return Outcome::Answered(status);
            }
        }
        Outcome::Ended
    }

    /// Type, flags, stream and payload; `None` at the end of the connection.
    async fn read_frame(&mut self) -> Option<(u8, u8, u32, Vec<u8>)> {
        let mut head = [0; 9];
        self.stream.read_exact(&mut head).await.ok()?;
        let [high, middle, low, kind, flags, id @ ..] = head;
        let mut payload = vec![0; u32::from_be_bytes([0, high, middle, low]) as usize];
        self.stream.read_exact(&mut payload).await.ok()?;
        Some((kind, flags, u32::from_be_bytes(id), payload))
    }
}

/// The status that a block of HPACK begins with: by the static table (RFC 7541, appendix A), or three
/// digits in Huffman coding.
fn status_of(block: &[u8]) -> u16 {
    match block {
        [0x88, ..] => 200,
        [0x8c, ..] => 400,
        [0x8d, ..] => 404,
        [0x48, 0x82, 0x6c, 0x01, ..] => 501,
        [0x48, 0x82, 0x6c, 0x02, ..] => 502,
        other => panic!("an unknown status: {:02x?}", &other[..other.len().min(8)]),
    }
}

pub(super) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let [.., high, middle, low] = payload.len().to_be_bytes();
    [&[high, middle, low, kind, flags], &stream.to_be_bytes()[..], payload].concat()
}

/// HEADERS with these fields as literals without indexing and without Huffman coding (RFC 7541, section
/// 6.2.2). Each character is a byte.
pub(super) fn headers(flags: u8, stream: u32, fields: &[(&str, &str)]) -> Vec<u8> {
    let text = |text: &str| {
        let bytes = from_latin1(text);
        let length = u8::try_from(bytes.len()).ok().filter(|length| *length < 127).unwrap();
        [&[length], &bytes[..]].concat()
    };
    let fields =
        fields.iter().flat_map(|(name, value)| [vec![0], text(name), text(value)].concat());
    frame(HEADERS, END_HEADERS | flags, stream, &fields.collect::<Vec<u8>>())
}

pub(super) fn data(flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    frame(DATA, flags, stream, payload)
}

pub(super) const END_STREAM: u8 = 1;
pub(super) const PADDED: u8 = 8;
const END_HEADERS: u8 = 4;
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
