//! A client's connections.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::Options;
use super::http2::Http2;
use super::stream::{ReadHalf, WriteHalf, dial};
use crate::wire::{Frame, FrameReader, Mask, Opcode, invalid, put_frame, read_head};

/// A WebSocket whose session is open.
#[derive(Debug)]
pub(super) struct Socket {
    pub(super) reader: FrameReader<ReadHalf>,
    pub(super) writer: WriteHalf,
}

impl Socket {
    /// Connects as client number `index`, upgrades, and reads the open packet. `query` is added
    /// to the session's.
    pub(super) async fn open(options: &Options, index: usize, query: &str) -> io::Result<Self> {
        timeout(OPEN_TIMEOUT, open(options, index, query, None))
            .await
            .map_err(|_| invalid("no open packet in 10 s"))?
    }

    /// Sends a message and reads the one that comes next.
    pub(super) async fn ask(&mut self, message: &[u8]) -> io::Result<BytesMut> {
        send(&mut self.writer, Opcode::Text, message).await?;
        self.receive().await
    }

    /// Closes as RFC 6455 says, and waits for the node's Close and for the end.
    pub(super) async fn close(mut self) -> io::Result<()> {
        send(&mut self.writer, Opcode::Close, &NORMAL_CLOSURE).await?;
        match self.reader.next().await? {
            Some(Frame { opcode: Opcode::Close, .. }) => (),
            Some(Frame { opcode: Opcode::Text, .. }) => return Err(invalid("more than was asked")),
            None => return Err(invalid("no Close in answer to ours")),
        }
        match self.reader.next().await? {
            None => Ok(()),
            Some(_) => Err(invalid("a frame behind a Close")),
        }
    }

    async fn receive(&mut self) -> io::Result<BytesMut> {
        match self.reader.next().await? {
            Some(Frame { opcode: Opcode::Text, payload }) => Ok(payload),
            Some(Frame { opcode: Opcode::Close, .. }) | None => Err(invalid("closed too early")),
        }
    }
}

/// Opens as many as the options say, [`OPENING_MAX`] at a time.
pub(super) async fn open_all(
    options: &Arc<Options>,
    query: &'static str,
) -> io::Result<Vec<Socket>> {
    let mut opening = JoinSet::new();
    let mut http2 = None;
    let mut sockets = Vec::with_capacity(options.connections());
    for index in 0..options.connections() {
        if opening.len() >= OPENING_MAX
            && let Some(opened) = opening.join_next().await
        {
            sockets.push(opened??);
        }
        if options.http2_streams.is_some_and(|streams| index % usize::from(streams) == 0) {
            http2 = Some(Http2::connect(options, index).await?);
        }
        let (options, http2) = (options.clone(), http2.clone());
        opening.spawn(async move {
            let opened = timeout(OPEN_TIMEOUT, open(&options, index, query, http2));
            opened.await.map_err(|_| invalid("no open packet in 10 s"))?
        });
    }
    while let Some(opened) = opening.join_next().await {
        sockets.push(opened??);
    }
    Ok(sockets)
}

/// A connection of client number `index` to its target, from one of 64 addresses: proxies that
/// balance by address have something to go by, and ports do not run out.
pub(super) async fn connect(options: &Options, index: usize) -> io::Result<TcpStream> {
    let target = options.targets.iter().cycle().nth(index % options.targets.len());
    let target = *target.ok_or_else(|| invalid("no target"))?;
    let socket = TcpSocket::new_v4()?;
    if target.ip().is_loopback() {
        let source = Ipv4Addr::new(127, 0, 0, 2 + (index % 64) as u8);
        socket.bind(SocketAddr::from((source, 0)))?;
    }
    let stream = socket.connect(target).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Sends a frame.
pub(super) async fn send(writer: &mut WriteHalf, opcode: Opcode, payload: &[u8]) -> io::Result<()> {
    let mut frame = Vec::with_capacity(payload.len() + 14);
    put_frame(&mut frame, opcode, payload, Mask::Client);
    writer.write_all(&frame).await?;
    writer.flush().await
}

/// Sends a Close on each. The sockets stay open for what comes until their readers are dropped:
/// some proxies end a tunnel at once when a client has said that it sends no more.
pub(super) async fn close_all(writers: Vec<WriteHalf>) -> io::Result<()> {
    for mut writer in writers {
        send(&mut writer, Opcode::Close, &NORMAL_CLOSURE).await?;
        writer.forget();
    }
    Ok(())
}

async fn open(
    options: &Options,
    index: usize,
    query: &str,
    http2: Option<Http2>,
) -> io::Result<Socket> {
    let target = format!("/socket.io/?EIO=4&transport=websocket{query}");
    let (reader, writer, read_ahead) = match http2 {
        Some(http2) => {
            let (reader, writer) = http2.websocket(&target).await?;
            (reader, writer, BytesMut::new())
        }
        None => upgrade(options, index, &target).await?,
    };
    let mut socket = Socket { reader: FrameReader::new(reader, read_ahead), writer };
    let packet = socket.receive().await?;
    if !packet.starts_with(b"0{") {
        return Err(invalid("the first message is no open packet"));
    }
    Ok(socket)
}

/// A connection that was upgraded, and what came behind its 101.
async fn upgrade(
    options: &Options,
    index: usize,
    target: &str,
) -> io::Result<(ReadHalf, WriteHalf, BytesMut)> {
    let (mut reader, mut writer) = dial(options, index).await?;
    let request = format!(
        "GET {target} HTTP/1.1\r\nHost: bench.test\r\n\
         Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    writer.write_all(request.as_bytes()).await?;
    writer.flush().await?;
    let mut read_ahead = BytesMut::new();
    let head = read_head(&mut reader, &mut read_ahead).await?;
    let head = head.ok_or_else(|| invalid("closed instead of an answer"))?;
    if !head.first_line().starts_with("HTTP/1.1 101") {
        return Err(invalid(format!("instead of a 101: {}", head.first_line())));
    }
    Ok((reader, writer, read_ahead))
}

/// Code 1000 (RFC 6455, section 7.4.1).
const NORMAL_CLOSURE: [u8; 2] = 1000_u16.to_be_bytes();

/// Above, a node's accept queue would be what is measured.
const OPENING_MAX: usize = 32;

const OPEN_TIMEOUT: Duration = Duration::from_secs(10);
