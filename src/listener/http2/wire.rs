//! The stream that h2 reads from and writes to: a client's stream behind the [frame
//! guard](super::frame_guard).
//!
//! After some frames it lets the streams run, which take what has arrived: h2 reads all that there is
//! before it returns, and ends a connection that holds many small frames.
//!
//! Runs for every byte.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::frame_guard::FrameGuard;
use super::progress::Progress;
use crate::Instant;

/// A client's stream below h2.
#[derive(Debug)]
pub(super) struct Wire<S> {
    stream: S,
    guard: FrameGuard,
    progress: Arc<Progress>,
    /// Frames and bytes since other tasks last ran.
    frames: u32,
    bytes: usize,
    /// How much was discarded behind our own FIN; `None` before it.
    discarded: Option<usize>,
}

impl<S> Wire<S> {
    /// Guards `stream` from its first byte on, and reports to `progress`.
    pub(super) fn new(stream: S, progress: Arc<Progress>, now: Instant) -> Self {
        let guard = FrameGuard::new(now);
        Self { stream, guard, progress, frames: 0, bytes: 0, discarded: None }
    }

    fn note_write<T>(&self, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        match written {
            Poll::Ready(_) => self.progress.wrote(),
            Poll::Pending => self.progress.write_blocked(),
        }
        written
    }

    fn begin_turn(&mut self) {
        (self.frames, self.bytes) = (0, 0);
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Wire<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.frames >= TURN_FRAMES || this.bytes >= TURN_BYTES {
            this.begin_turn();
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let before = buffer.filled().len();
        let read = Pin::new(&mut this.stream).poll_read(cx, buffer);
        if read.is_pending() {
            this.begin_turn();
        }
        ready!(read)?;
        let bytes = buffer.filled().get(before..).unwrap_or_default();
        this.frames += this.guard.follow(bytes, Instant::now).map_err(|flood| {
            this.progress.flooded(flood);
            io::Error::new(io::ErrorKind::InvalidData, flood)
        })?;
        this.bytes += bytes.len();
        this.progress.read(this.guard.stage());
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Wire<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.note_write(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.note_write(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        self.note_write(flushed)
    }

    /// Also discards what the client still sends, until it closes: closing a socket with unread bytes
    /// resets the connection, and the reset overtakes our GOAWAY. The connection bounds the time.
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.discarded.is_none() {
            ready!(Pin::new(&mut this.stream).poll_shutdown(cx))?;
        }
        let discarded = this.discarded.get_or_insert_default();
        let mut space = [0; 4096];
        while *discarded < DISCARDED_BYTES_MAX {
            let mut buffer = ReadBuf::new(&mut space);
            let read = ready!(Pin::new(&mut this.stream).poll_read(cx, &mut buffer));
            if read.is_err() || buffer.filled().is_empty() {
                break;
            }
            *discarded += buffer.filled().len();
        }
        Poll::Ready(Ok(()))
    }
}

/// So many frames are read in one turn, and those of one more read, of 8 KiB.
const TURN_FRAMES: u32 = 256;

/// So many bytes are read in one turn: as much as a tunnel reads at once.
const TURN_BYTES: usize = 64 * 1024;

/// So many bytes are discarded at the end of a connection: those that a client may have sent before it
/// has seen our GOAWAY.
const DISCARDED_BYTES_MAX: usize = 1024 * 1024;
