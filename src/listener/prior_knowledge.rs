//! Whether a client without TLS speaks HTTP/2, from its first bytes (RFC 9113, section 3.3).
//!
//! The bytes are looked at and stay in the socket, for whichever HTTP it is.
//!
//! Runs for every request.

use std::io;

use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::transport::HttpVersion;
use super::{ConnectionEnd, Settings};
use crate::shutdown::ShutdownWatch;

/// Waits for the first bytes of a client. When the shutdown begins before, it is left to HTTP/1, which
/// ends it. Cancel safe.
///
/// # Errors
///
/// The client sent nothing for the keep-alive timeout, or a part of the preface and no more.
pub(super) async fn detect(
    socket: &TcpStream,
    settings: &Settings,
    shutdown: &ShutdownWatch,
) -> Result<HttpVersion, ConnectionEnd> {
    let mut shutdown = shutdown.clone();
    tokio::select! {
        begun = timeout(settings.keep_alive_timeout, socket.readable()) => {
            // A socket that failed is left to HTTP/1, too.
            let _ready = begun.map_err(|_elapsed| ConnectionEnd::Idle)?;
        }
        _deadline = shutdown.begun() => return Ok(HttpVersion::Http1),
    }
    tokio::select! {
        found = timeout(settings.header_timeout, version(socket)) => {
            found.map_err(|_elapsed| ConnectionEnd::SlowHead)
        }
        _deadline = shutdown.begun() => Ok(HttpVersion::Http1),
    }
}

async fn version(socket: &TcpStream) -> HttpVersion {
    loop {
        let Ok(ready) = socket.ready(Interest::READABLE).await else { return HttpVersion::Http1 };
        let mut space = [0; PREFACE.len()];
        let peeked = socket.peek(&mut space).await.unwrap_or_default();
        match PREFACE.strip_prefix(space.get(..peeked).unwrap_or_default()) {
            Some([]) => return HttpVersion::Http2,
            Some(_) if peeked > 0 && !ready.is_read_closed() => wait_for_more(socket),
            Some(_) | None => return HttpVersion::Http1,
        }
    }
}

/// Makes the socket unready until more bytes arrive, although it has some.
fn wait_for_more(socket: &TcpStream) {
    let unready = || Err::<(), _>(io::ErrorKind::WouldBlock.into());
    // The error is the one that was made up.
    let _ = socket.try_io(Interest::READABLE, unready);
}

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
