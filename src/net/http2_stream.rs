//! A stream of a client's HTTP/2 connection as a stream of bytes (RFC 8441, section 5).
//!
//! Flow control is the back-pressure. Bytes that were read give their part of the window back, and no
//! others: a client whose bytes nobody reads stops when the window is used up. A write takes what the
//! client's window allows. END_STREAM is what FIN is for a socket, RST_STREAM is what RST is.
//!
//! Runs for every byte.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes, BytesMut};
use h2::{Reason, RecvStream, SendStream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The connection that a stream belongs to. It counts the stream until this is dropped.
pub(crate) trait StreamOwner: Send {
    /// Whether the client's socket takes no bytes at the moment.
    fn is_write_blocked(&self) -> bool;
}

/// The client's side of a tunnel over HTTP/2. Dropped, it resets what has not ended.
pub(crate) struct Http2Stream {
    /// `None` after [`Http2Stream::poll_reset`].
    halves: Option<Halves>,
    /// What was taken from `received` and not read. Its part of the window is not given back yet.
    unread: BytesMut,
    /// The client's window took nothing at the last write.
    is_window_closed: bool,
    is_resetting: bool,
    owner: Box<dyn StreamOwner>,
}

/// h2 resets the stream when both are dropped.
struct Halves {
    received: RecvStream,
    sent: SendStream<Bytes>,
}

impl Http2Stream {
    /// The stream with these halves, after the head of its response was sent.
    pub(crate) fn new(
        received: RecvStream,
        sent: SendStream<Bytes>,
        owner: Box<dyn StreamOwner>,
    ) -> Self {
        let halves = Some(Halves { received, sent });
        let (unread, is_window_closed, is_resetting) = (BytesMut::new(), false, false);
        Self { halves, unread, is_window_closed, is_resetting, owner }
    }

    /// Whether bytes may be waiting for the client: its window or its socket takes none.
    pub(crate) fn has_unsent(&self) -> bool {
        self.is_window_closed || self.owner.is_write_blocked()
    }

    /// Moves what has arrived into a buffer of its own, at most the window of the stream. For a stream
    /// that is not read at the moment: h2 keeps each frame, however small, as a slice of a buffer of 8
    /// KiB, and ends the connection, with all its streams, when there are many of them.
    pub(crate) fn collect(&mut self, cx: &mut Context<'_>) {
        let Some(halves) = &mut self.halves else { return };
        // The end and errors are reported again to the next read.
        while let Poll::Ready(Some(Ok(bytes))) = halves.received.poll_data(cx) {
            self.unread.extend_from_slice(&bytes);
        }
    }

    /// Resets the stream with CANCEL, behind what was written. Reads and writes then fail. Pending as long
    /// as the client's socket takes nothing; nothing wakes the task then.
    pub(crate) fn poll_reset(&mut self, cx: &Context<'_>) -> Poll<()> {
        // A reset discards what the connection's task has not sent yet. That task was woken by the last
        // write, and runs before this one does again.
        let is_first = !std::mem::replace(&mut self.is_resetting, true);
        if is_first {
            cx.waker().wake_by_ref();
        }
        if is_first || self.owner.is_write_blocked() {
            return Poll::Pending;
        }
        self.halves = None;
        Poll::Ready(())
    }

    fn read_collected(&mut self, buffer: &mut ReadBuf<'_>) {
        let length = self.unread.len().min(buffer.remaining());
        buffer.put_slice(self.unread.split_at(length).0);
        self.unread.advance(length);
        if self.unread.is_empty() {
            // An idle tunnel owns no buffer.
            self.unread = BytesMut::new();
        }
    }
}

impl AsyncRead for Http2Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let before = buffer.filled().len();
        this.read_collected(buffer);
        let Some(halves) = &mut this.halves else { return Poll::Ready(Err(reset(Reason::CANCEL))) };
        // A frame is often one message of a few bytes: several are one read.
        let end = loop {
            if buffer.remaining() == 0 {
                break Poll::Ready(Ok(()));
            }
            match halves.received.poll_data(cx) {
                Poll::Ready(Some(Ok(bytes))) => {
                    let (fits, rest) = bytes.split_at(bytes.len().min(buffer.remaining()));
                    buffer.put_slice(fits);
                    this.unread.extend_from_slice(rest);
                }
                Poll::Ready(Some(Err(error))) => break Poll::Ready(Err(io_error(error))),
                Poll::Ready(None) => break Poll::Ready(Ok(())),
                Poll::Pending => break Poll::Pending,
            }
        };
        let read = buffer.filled().len() - before;
        if read == 0 {
            return end;
        }
        // Fails only if the stream is over: then no window matters.
        let _ = halves.received.flow_control().release_capacity(read);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Http2Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        let Some(Halves { sent, .. }) = &mut this.halves else {
            return Poll::Ready(Err(reset(Reason::CANCEL)));
        };
        sent.reserve_capacity(bytes.len());
        let mut capacity = sent.capacity();
        if capacity == 0 {
            this.is_window_closed = true;
            capacity = match ready!(sent.poll_capacity(cx)) {
                Some(granted) => granted.map_err(io_error)?,
                None => return Poll::Ready(Err(reset_or_lost(sent, cx))),
            };
        }
        this.is_window_closed = false;
        let taken = bytes.get(..capacity.min(bytes.len())).unwrap_or_default();
        sent.send_data(Bytes::copy_from_slice(taken), false).map_err(io_error)?;
        Poll::Ready(Ok(taken.len()))
    }

    /// What was written is in the client's window, and the connection's task sends it.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(halves) = &mut self.halves else { return Poll::Ready(Err(reset(Reason::CANCEL))) };
        Poll::Ready(halves.sent.send_data(Bytes::new(), true).map_err(io_error))
    }
}

/// Why a stream has no capacity and never will.
fn reset_or_lost(sent: &mut SendStream<Bytes>, cx: &mut Context<'_>) -> io::Error {
    match sent.poll_reset(cx) {
        Poll::Ready(Ok(reason)) => reset(reason),
        Poll::Ready(Err(error)) => io_error(error),
        Poll::Pending => io::ErrorKind::BrokenPipe.into(),
    }
}

/// An error as a socket would report it. The connection's own error says more, for example that its
/// host acknowledges nothing.
fn io_error(error: h2::Error) -> io::Error {
    match error.get_io() {
        Some(source) => io::Error::new(source.kind(), error),
        None => match error.reason() {
            Some(reason) => reset(reason),
            None => io::Error::new(io::ErrorKind::BrokenPipe, error),
        },
    }
}

fn reset(reason: Reason) -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionReset, format!("the stream was reset: {reason}"))
}

impl fmt::Debug for Http2Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http2Stream").field("unread", &self.unread.len()).finish_non_exhaustive()
    }
}
