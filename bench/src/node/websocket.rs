//! A session that is a WebSocket: what comes is sent back, and pushes go out between.

use std::io;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::BytesMut;
use sha1::{Digest, Sha1};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedWriteHalf;

use super::{Request, open_packet};
use crate::clock::{self, Ticks};
use crate::load::message;
use crate::wire::{FrameReader, Head, Mask, Opcode, invalid, put_frame};

/// Answers the upgrade and lives the WebSocket's life.
pub(super) async fn run(
    mut stream: TcpStream,
    read_ahead: BytesMut,
    head: &Head,
    request: &Request<'_>,
) -> io::Result<()> {
    let key = head.field("sec-websocket-key").ok_or_else(|| invalid("no key"))?;
    stream.write_all(&switching(key)).await?;
    let (reader, mut writer) = stream.into_split();
    let mut reader = FrameReader::new(reader, read_ahead);
    let mut pushes = Pushes::of(request)?;
    let mut out = Vec::new();
    loop {
        out.clear();
        tokio::select! {
            frame = reader.next() => {
                let Some(frame) = frame? else { return Ok(()) };
                put_frame(&mut out, frame.opcode, &frame.payload, Mask::None);
                writer.write_all(&out).await?;
                if frame.opcode == Opcode::Close {
                    return writer.shutdown().await;
                }
            }
            due = pushes.next() => push(&mut writer, &mut out, due?).await?,
        }
    }
}

/// The 101 and the packet that opens the session, in one write as real nodes do.
fn switching(key: &str) -> Vec<u8> {
    let accept = STANDARD.encode(Sha1::new().chain_update(key).chain_update(GUID).finalize());
    let head = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\n\r\n"
    );
    let mut bytes = head.into_bytes();
    // Its sid is never sent to anyone again.
    put_frame(&mut bytes, Opcode::Text, open_packet("websocket").as_bytes(), Mask::None);
    bytes
}

async fn push(writer: &mut OwnedWriteHalf, out: &mut Vec<u8>, due: u64) -> io::Result<()> {
    put_frame(out, Opcode::Text, &message(due, PUSH_BYTES), Mask::None);
    writer.write_all(out).await
}

/// When pushes are due: at multiples of the period on the clock that all nodes share.
#[derive(Debug)]
struct Pushes(Option<Ticks>);

impl Pushes {
    fn of(request: &Request<'_>) -> io::Result<Self> {
        let per_second = request.parameter("push").and_then(|rate| rate.parse::<u32>().ok());
        let Some(per_second) = per_second.filter(|rate| (1..=1000).contains(rate)) else {
            return Ok(Self(None));
        };
        let period = Duration::from_secs(1) / per_second;
        let nanoseconds = u64::from(period.subsec_nanos()) + period.as_secs() * 1_000_000_000;
        let first = (clock::now() / nanoseconds + 1) * nanoseconds;
        Ok(Self(Some(Ticks::new(first, period)?)))
    }

    async fn next(&mut self) -> io::Result<u64> {
        match &mut self.0 {
            Some(ticks) => ticks.next().await,
            None => std::future::pending().await,
        }
    }
}

/// RFC 6455, section 1.3.
const GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

const PUSH_BYTES: usize = 128;
