//! Attacks by sockets and HTTP/1.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::interval;

use super::Stranger;
use crate::support::request;
use crate::support::websocket::UPGRADE;

/// A byte of a head now and then.
pub async fn slow_head(stranger: Stranger) {
    drip(stranger, "GET / HTTP/1.1\r\nHost: test\r\nX: ").await;
}

/// A byte of a body now and then.
pub async fn slow_body(stranger: Stranger) {
    drip(stranger, "POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 1000000\r\n\r\n").await;
}

/// Asks for a megabyte after the other and reads nothing.
pub async fn slow_reader(mut stranger: Stranger) {
    while stranger.stream.write_all(request("GET", "/large", &[], "").as_bytes()).await.is_ok() {
        stranger.sent(1);
    }
    stranger.ended();
}

/// One request, and then nothing.
pub async fn idle(mut stranger: Stranger) {
    let _ = stranger.stream.write_all(request("GET", "/", &[], "").as_bytes()).await;
    until_end(&stranger).await;
}

/// Connects and resets.
pub async fn leave(stranger: Stranger) {
    stranger.sent(1);
    tokio::task::yield_now().await;
}

/// Bytes that mean nothing.
pub async fn garbage(mut stranger: Stranger) {
    let noise: Vec<u8> = (0..NOISE_BYTES).map(|_| any_byte()).collect();
    let _ = stranger.stream.write_all(&noise).await;
    stranger.sent(noise.len());
    until_end(&stranger).await;
}

/// The first half of a ClientHello.
pub async fn half_hello(mut stranger: Stranger) {
    // A handshake record of 512 bytes with a ClientHello of TLS 1.2 (RFC 8446, section 4.1.2).
    let mut hello = vec![0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3];
    hello.extend([7; 200]);
    let _ = stranger.stream.write_all(&hello).await;
    stranger.sent(1);
    until_end(&stranger).await;
}

/// A handshake of a WebSocket, and a reset before or behind its 101.
pub async fn aborted(mut stranger: Stranger) {
    let handshake = request("GET", "/socket.io/?EIO=4&transport=websocket", &UPGRADE, "");
    let _ = stranger.stream.write_all(handshake.as_bytes()).await;
    stranger.sent(1);
    if any_byte().is_multiple_of(2) {
        let _ = stranger.stream.read(&mut [0; 512]).await;
    }
}

/// Requests one behind the other, as fast as they are taken.
pub async fn requests(mut stranger: Stranger) {
    let burst = request("GET", "/", &[], "").repeat(BURST);
    let mut answers = vec![0; 64 * 1024];
    for _ in 0..BURSTS {
        if stranger.stream.write_all(burst.as_bytes()).await.is_err() {
            return stranger.ended();
        }
        stranger.sent(BURST);
        let mut bytes = 0;
        // The shortest answer is longer than this.
        while bytes < BURST * 40 {
            match stranger.stream.read(&mut answers).await {
                Ok(0) | Err(_) => return stranger.ended(),
                Ok(read) => bytes += read,
            }
        }
        stranger.answered(BURST);
    }
}

/// Sends `begin`, then a byte now and then, until the proxy has enough of it.
async fn drip(mut stranger: Stranger, begin: &str) {
    if stranger.stream.write_all(begin.as_bytes()).await.is_err() {
        return stranger.ended();
    }
    let mut pace = interval(Duration::from_millis(100));
    let mut buffer = [0; 512];
    loop {
        tokio::select! {
            _ = pace.tick() => {
                if stranger.stream.write_all(b"x").await.is_err() {
                    return stranger.ended();
                }
                stranger.sent(1);
            }
            () = until_closed(&mut buffer, &stranger.stream) => return stranger.ended(),
        }
    }
}

async fn until_closed(buffer: &mut [u8], stream: &TcpStream) {
    loop {
        if stream.readable().await.is_err() {
            return;
        }
        match stream.try_read(buffer) {
            Ok(0) => return,
            Err(error) if error.kind() != std::io::ErrorKind::WouldBlock => return,
            Ok(_) | Err(_) => (),
        }
    }
}

pub async fn until_end(stranger: &Stranger) {
    until_closed(&mut [0; 512], &stranger.stream).await;
    stranger.ended();
}

/// A byte that nobody foresees.
pub fn any_byte() -> u8 {
    use std::hash::BuildHasher as _;
    std::hash::RandomState::new().hash_one(0) as u8
}

const NOISE_BYTES: usize = 2000;
const BURST: usize = 50;
const BURSTS: usize = 20;
