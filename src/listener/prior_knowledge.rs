//! Whether a client without TLS speaks HTTP/2, from its first bytes (RFC 9113, section 3.3).
//!
//! The bytes are looked at and stay in the socket, for whichever HTTP it is.
//!
//! Runs for every request.

use std::sync::{Arc, Weak};

use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::timeout;

use super::idle::{Idle, IdleTime, OfListener};
use super::transport::HttpVersion;
use super::{ConnectionEnd, Settings};
use crate::Instant;
use crate::net::peek_more;
use crate::shutdown::{Notifier, ShutdownWatch};

/// A connection of which no byte has come. A new client may take its place.
#[derive(Debug, Default)]
struct Silent {
    idle: IdleTime,
    closes: Notify,
}

impl Idle for Silent {
    fn is_idle(&self) -> bool {
        true
    }

    fn idle_time(&self) -> &IdleTime {
        &self.idle
    }
}

impl Notifier for Silent {
    fn wake(&self) {
        self.closes.notify_one();
    }
}

/// Waits for the first bytes of a client, known to `idle` meanwhile. When the shutdown begins before, it is
/// left to HTTP/1, which ends it. Cancel safe.
///
/// # Errors
///
/// The client sent nothing for the keep-alive timeout, or until a new client needed its place, or a part of
/// the preface and no more.
pub(super) async fn detect(
    socket: &TcpStream,
    settings: &Settings,
    shutdown: &ShutdownWatch,
    idle: &OfListener,
) -> Result<HttpVersion, ConnectionEnd> {
    let mut shutdown = shutdown.clone();
    let silent = Arc::new(Silent::default());
    silent.idle.begin(Instant::now());
    let known: Weak<Silent> = Arc::downgrade(&silent);
    idle.add(known);
    tokio::select! {
        begun = timeout(settings.keep_alive_timeout, socket.readable()) => {
            // A socket that failed is left to HTTP/1, too.
            let _ready = begun.map_err(|_elapsed| ConnectionEnd::Idle)?;
        }
        () = silent.closes.notified() => return Err(ConnectionEnd::Replaced),
        _deadline = shutdown.begun() => return Ok(HttpVersion::Http1),
    }
    drop(silent);
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
