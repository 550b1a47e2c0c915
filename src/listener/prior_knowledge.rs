//! Whether a client without TLS speaks HTTP/2, from its first bytes (RFC 9113, section 3.3).
//!
//! The bytes are looked at and stay in the socket, for whichever HTTP it is.
//!
//! Runs for every request.

use tokio::net::TcpStream;
use tokio::time::timeout;

use super::transport::HttpVersion;
use super::{ConnectionEnd, Settings};
use crate::net::peek_more;
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
    let (mut space, mut known) = ([0; PREFACE.len()], 0);
    loop {
        let Ok(peeked) = peek_more(socket, known, &mut space).await else {
            return HttpVersion::Http1;
        };
        match PREFACE.strip_prefix(space.get(..peeked).unwrap_or_default()) {
            Some([]) => return HttpVersion::Http2,
            Some(_) if peeked > known => known = peeked,
            Some(_) | None => return HttpVersion::Http1,
        }
    }
}

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
