//! WebSocket by hand: handshakes and frames as bytes.

use std::net::SocketAddr;
use std::time::Duration;

use base64::Engine as _;
use sha1::Digest as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::http::{Client, Response};

/// The key of the example in RFC 6455, section 1.3.
pub const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

/// The fields of a browser's handshake.
pub const UPGRADE: [&str; 4] = [
    "Connection: keep-alive, Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
];

/// `Sec-WebSocket-Accept` for `key`.
pub fn accept(key: &str) -> String {
    let digest =
        sha1::Sha1::new().chain_update(key).chain_update("258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    base64::engine::general_purpose::STANDARD.encode(digest.finalize())
}

/// The head of a 101.
pub fn switching(accept: &str) -> String {
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\n\r\n"
    )
}

/// Connects and asks for an upgrade, with more fields.
pub async fn ask(address: SocketAddr, target: &str, fields: &[&str]) -> (Client, Response) {
    let mut client = Client::connect(address).await;
    let fields = [&UPGRADE[..], fields].concat();
    client.send(super::http::request("GET", target, &fields, "")).await;
    let response = client.response().await;
    (client, response)
}

/// Connects and upgrades; panics if that is refused.
pub async fn open(address: SocketAddr, target: &str) -> Client {
    let (client, response) = ask(address, target, &[]).await;
    assert_eq!(response.status(), 101, "{response:?}");
    client
}

/// A frame: an opcode with its payload, the way that a client sends it (masked) or a node.
pub fn frame(opcode: u8, payload: &[u8], mask: Option<[u8; 4]>) -> Vec<u8> {
    let masked = if mask.is_some() { 0x80 } else { 0 };
    let mut bytes = vec![0x80 | opcode];
    match payload.len() {
        length @ 0..=125 => bytes.push(masked | length as u8),
        length @ 126..=0xffff => {
            bytes.push(masked | 126);
            bytes.extend((length as u16).to_be_bytes());
        }
        length => {
            bytes.push(masked | 127);
            bytes.extend((length as u64).to_be_bytes());
        }
    }
    let key = mask.unwrap_or_default();
    bytes.extend(mask.into_iter().flatten());
    bytes.extend(payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
    bytes
}

/// A text frame from a client.
pub fn text(payload: &str) -> Vec<u8> {
    frame(1, payload.as_bytes(), Some([1, 2, 3, 4]))
}

/// A Close frame from a client.
pub fn close(code: u16) -> Vec<u8> {
    frame(8, &code.to_be_bytes(), Some([5, 6, 7, 8]))
}

impl Client {
    /// The next frame: opcode and unmasked payload. `None` at the end.
    pub async fn frame(&mut self) -> Option<(u8, Vec<u8>)> {
        self.frame_within(Duration::from_secs(20)).await
    }

    /// As [`Client::frame`], for what takes longer.
    pub async fn frame_within(&mut self, patience: Duration) -> Option<(u8, Vec<u8>)> {
        let read = read_frame(&mut self.stream, &mut self.buffer);
        tokio::time::timeout(patience, read).await.expect("a frame")
    }
}

/// Sends every data frame back unmasked, answers a Close with the same Close, then leaves.
pub async fn echo(mut stream: TcpStream, mut buffer: Vec<u8>) {
    while let Some((opcode, payload)) = read_frame(&mut stream, &mut buffer).await {
        if stream.write_all(&frame(opcode, &payload, None)).await.is_err() || opcode == 8 {
            return;
        }
    }
}

async fn read_frame(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<(u8, Vec<u8>)> {
    loop {
        if let Some((opcode, payload, length)) = parse(buffer) {
            buffer.drain(..length);
            return Some((opcode, payload));
        }
        match stream.read_buf(buffer).await {
            Ok(0) | Err(_) => return None,
            Ok(_) => (),
        }
    }
}

/// Opcode, payload and whole length of the first frame, if all of it is there.
fn parse(bytes: &[u8]) -> Option<(u8, Vec<u8>, usize)> {
    let (first, second) = (*bytes.first()?, *bytes.get(1)?);
    let (length, mut at) = match second & 0x7f {
        126 => (u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?) as usize, 4),
        127 => (u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?) as usize, 10),
        short => (short as usize, 2),
    };
    let key = if second & 0x80 != 0 {
        at += 4;
        bytes.get(at - 4..at)?
    } else {
        &[0; 4]
    };
    let payload = bytes.get(at..at + length)?;
    let payload = payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key).collect();
    Some((first & 0x0f, payload, at + length))
}
