//! The stream that hyper reads from: a client's stream behind the guard.
//!
//! hyper gets the client's bytes up to the line with a fault, so that nothing from that line on can
//! become a request. The bytes are unchanged, except those of queries that the guard wants encoded;
//! encoded bytes that do not fit into hyper's buffer are carried over to its next read. A fault in a
//! head looks to hyper like a client that sends no more; the connection refuses it after the requests
//! before it are answered. A fault in a body is a read error, with the [`Fault`] as its source.
//!
//! An answer that hyper writes while no request is open is a refusal of its own, without an
//! explanation. It is discarded, and the connection writes a better one instead.
//!
//! While hyper does not read, this stream checks whether the client has left: hyper flushes whenever it
//! is polled.
//!
//! Runs for every byte.

use std::io::{self, IoSlice};
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::StatusCode;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::head_guard::{Fault, HeadGuard, HeadLimits, Refusal, Stage, encode};
use super::presence::{Presence, Unread};
use super::progress::Progress;
use crate::net::ConnectionPermit;

/// A client's stream behind a [`HeadGuard`].
#[derive(Debug)]
pub(super) struct Guarded<S> {
    stream: S,
    guard: HeadGuard,
    /// Encoded bytes that hyper has not read: at most two more for each byte of its last read.
    carry: Bytes,
    /// The status of hyper's own refusal.
    refusal: Option<StatusCode>,
    progress: Arc<Progress>,
    permit: ConnectionPermit,
}

/// The parts of a connection without HTTP.
#[derive(Debug)]
pub(super) struct Unguarded<S> {
    pub(super) stream: S,
    pub(super) permit: ConnectionPermit,
    /// Bytes that were read from the stream and not by hyper.
    pub(super) carry: Bytes,
}

impl<S> Guarded<S> {
    /// Guards `stream` from its first byte on, and reports to `progress`.
    pub(super) fn new(
        stream: S,
        limits: HeadLimits,
        progress: Arc<Progress>,
        permit: ConnectionPermit,
    ) -> Self {
        let (guard, carry) = (HeadGuard::new(limits), Bytes::new());
        Self { stream, guard, carry, refusal: None, progress, permit }
    }

    /// The fault for which the client is refused.
    pub(super) fn fault(&self) -> Option<Fault> {
        self.guard.fault()
    }

    /// The status with which hyper refused a request that the guard had passed.
    pub(super) fn refusal(&self) -> Option<StatusCode> {
        self.refusal
    }

    /// The stream, its permit, and the bytes that hyper has not read.
    pub(super) fn into_inner(self) -> Unguarded<S> {
        Unguarded { stream: self.stream, permit: self.permit, carry: self.carry }
    }

    /// Gives hyper the first `clean` bytes behind `before`, encoded where the guard wants it, as far as
    /// they fit.
    fn pass(&mut self, buffer: &mut ReadBuf<'_>, before: usize, clean: usize) {
        let offsets = self.guard.to_encode();
        let offsets = offsets.get(..offsets.partition_point(|offset| *offset < clean));
        let Some(offsets @ [_, ..]) = offsets else {
            return buffer.set_filled(before + clean);
        };
        let passed = buffer.filled().get(before..before + clean).unwrap_or_default();
        self.carry = encode(passed, offsets).into();
        buffer.set_filled(before);
        self.pass_carry(buffer);
    }

    fn pass_carry(&mut self, buffer: &mut ReadBuf<'_>) {
        let length = buffer.remaining().min(self.carry.len());
        buffer.put_slice(&self.carry.split_to(length));
        if self.carry.is_empty() {
            self.carry = Bytes::new();
        }
    }

    /// Discards the answer `bytes` of hyper if no request is open that it could answer.
    fn discard_refusal(&mut self, bytes: &[u8]) -> bool {
        if self.refusal.is_none() && self.progress.is_answering() {
            return false;
        }
        let status = bytes.get(STATUS_RANGE).and_then(|status| StatusCode::from_bytes(status).ok());
        self.refusal = self.refusal.or(status).or(Some(StatusCode::BAD_REQUEST));
        true
    }

    fn refuse(&self, fault: Fault) -> Poll<io::Result<()>> {
        match self.guard.stage() {
            Stage::Between | Stage::Head | Stage::Tunnel => Poll::Pending,
            Stage::Body => Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, fault))),
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Guarded<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if !this.carry.is_empty() {
            this.progress.set_awaits_bytes(false);
            this.pass_carry(buffer);
            return Poll::Ready(Ok(()));
        }
        if let Some(fault) = this.guard.fault() {
            return this.refuse(fault);
        }
        let before = buffer.filled().len();
        let read = Pin::new(&mut this.stream).poll_read(cx, buffer);
        // If nothing was read, hyper knows what a check of the stream would show.
        this.progress.set_awaits_bytes(buffer.filled().len() == before);
        ready!(read)?;

        let inspected = this.guard.inspect(buffer.filled().get(before..).unwrap_or(&[]));
        this.progress.inspected(&this.guard);
        match inspected {
            Ok(()) => {
                let read = buffer.filled().len() - before;
                this.pass(buffer, before, read);
                Poll::Ready(Ok(()))
            }
            // Zero bytes would mean the end of the stream to hyper.
            Err(Refusal { fault, clean: 0 }) => {
                buffer.set_filled(before);
                this.refuse(fault)
            }
            Err(Refusal { clean, .. }) => {
                this.pass(buffer, before, clean);
                Poll::Ready(Ok(()))
            }
        }
    }
}

impl<S: Presence> Guarded<S> {
    fn note_write(
        &self,
        written: Poll<io::Result<usize>>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        match written {
            Poll::Ready(_) => self.progress.wrote(),
            Poll::Pending => {
                self.progress.write_blocked();
                // A body that nobody takes is not read any more, even if hyper last waited for it.
                self.progress.set_awaits_bytes(false);
                self.check_presence(cx)?;
            }
        }
        written
    }

    /// Fails if the client has left while hyper does not read. While hyper waits for bytes, its own read
    /// shows it.
    fn check_presence(&self, cx: &mut Context<'_>) -> io::Result<()> {
        let unread = match self.progress.awaits_bytes() {
            true => Poll::Pending,
            false => self.stream.poll_unread(cx),
        };
        self.progress.set_unread(unread.is_ready());
        match unread {
            Poll::Ready(Unread::End) => Err(io::ErrorKind::ConnectionAborted.into()),
            Poll::Ready(Unread::Bytes) | Poll::Pending => Ok(()),
        }
    }
}

impl<S: AsyncWrite + Presence + Unpin> AsyncWrite for Guarded<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.discard_refusal(bytes) {
            return Poll::Ready(Ok(bytes.len()));
        }
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.note_write(written, cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.discard_refusal(slices.first().map_or(&[], |first| &**first)) {
            return Poll::Ready(Ok(slices.iter().map(|slice| slice.len()).sum()));
        }
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.note_write(written, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.progress.flushed();
        self.check_presence(cx)?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.refusal.is_some() {
            // The connection still writes its own answer.
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// The bytes of the status in an answer, behind `HTTP/1.1 `.
const STATUS_RANGE: Range<usize> = 9..12;

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::num::NonZeroU32;

    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

    use super::super::progress::Phase;
    use super::*;

    const HEAD: &[u8] = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n";

    /// A client whose stream holds up to `capacity` bytes, and the guarded stream.
    fn guarded(capacity: usize) -> (DuplexStream, Guarded<DuplexStream>, Arc<Progress>) {
        let (client, stream) = duplex(capacity);
        let progress = Arc::new(Progress::new(NonZeroU32::MAX));
        let limits = HeadLimits::default();
        (
            client,
            Guarded::new(stream, limits, progress.clone(), ConnectionPermit::default()),
            progress,
        )
    }

    /// Reads once and returns the phase after it.
    async fn phase_after_read(guarded: &mut Guarded<DuplexStream>) -> Phase {
        let mut space = [0; 100];
        let mut buffer = ReadBuf::new(&mut space);
        poll_fn(|cx| {
            let _ready_or_not = Pin::new(&mut *guarded).poll_read(cx, &mut buffer);
            Poll::Ready(())
        })
        .await;
        guarded.progress.phase()
    }

    #[tokio::test]
    async fn the_phases_follow_a_request_from_its_head_to_its_flushed_answer() {
        let (mut client, mut guarded, progress) = guarded(100);
        assert_eq!(phase_after_read(&mut guarded).await, Phase::Idle);
        client.write_all(&HEAD[..10]).await.unwrap();
        assert_eq!(phase_after_read(&mut guarded).await, Phase::Head);
        let steps = progress.steps();
        client.write_all(&HEAD[10..20]).await.unwrap();
        assert_eq!(phase_after_read(&mut guarded).await, Phase::Head);
        assert_eq!(progress.steps(), steps, "some bytes of a head do not restart its deadline");
        client.write_all(&HEAD[20..]).await.unwrap();
        assert_eq!(phase_after_read(&mut guarded).await, Phase::Exchange);
        let open = progress.open();
        assert_eq!(phase_after_read(&mut guarded).await, Phase::Body);
        client.write_all(b"hi").await.unwrap();
        assert_eq!(phase_after_read(&mut guarded).await, Phase::Exchange);
        assert_ne!(progress.steps(), steps);

        guarded.write_all(b"answer").await.unwrap();
        assert_eq!(progress.phase(), Phase::Exchange);
        drop(open);
        assert_eq!(progress.phase(), Phase::Exchange);
        guarded.flush().await.unwrap();
        assert_eq!(progress.phase(), Phase::Idle);
    }

    #[tokio::test]
    async fn a_client_that_does_not_read_blocks_writes_until_it_reads() {
        let (mut client, mut guarded, progress) = guarded(4);
        drop(progress.open());
        let mut write = Box::pin(guarded.write_all(b"answer"));
        assert!(poll_fn(|cx| Poll::Ready(write.as_mut().poll(cx).is_pending())).await);
        assert_eq!(progress.phase(), Phase::WriteBlocked);
        client.read_exact(&mut [0; 4]).await.unwrap();
        write.await.unwrap();
        assert_ne!(progress.phase(), Phase::WriteBlocked);
    }

    #[tokio::test]
    async fn encoded_bytes_that_do_not_fit_are_carried_over() {
        let head = "GET /?\"<\"> HTTP/1.1\r\nHost: a\r\n\r\n";
        let expected = "GET /?%22%3C%22%3E HTTP/1.1\r\nHost: a\r\n\r\n";
        for room in [1, 5, 12, head.len(), 1000] {
            let (mut client, mut guarded, _progress) = guarded(1000);
            client.write_all(head.as_bytes()).await.unwrap();
            drop(client);
            let mut passed = Vec::new();
            let mut space = vec![0; room];
            loop {
                match guarded.read(&mut space).await.unwrap() {
                    0 => break,
                    length => passed.extend_from_slice(&space[..length]),
                }
                assert!(guarded.carry.len() <= 2 * room, "{} of {room}", guarded.carry.len());
            }
            assert_eq!(String::from_utf8(passed).unwrap(), expected);
        }
    }

    #[tokio::test]
    async fn an_answer_without_a_request_is_discarded() {
        let (mut client, mut guarded, progress) = guarded(1000);
        let open = progress.open();
        guarded.write_all(b"answer").await.unwrap();
        drop(open);
        guarded.write_all(b"'s end").await.unwrap();
        guarded.flush().await.unwrap();
        assert_eq!(guarded.refusal(), None);
        guarded.write_all(b"HTTP/1.1 414 URI Too Long\r\n\r\n").await.unwrap();
        assert_eq!(guarded.refusal(), Some(StatusCode::URI_TOO_LONG));
        drop(guarded);
        let mut written = String::new();
        client.read_to_string(&mut written).await.unwrap();
        assert_eq!(written, "answer's end");
    }

    #[tokio::test]
    async fn hyper_gets_the_bytes_before_a_fault_only() {
        let (mut client, mut guarded, progress) = guarded(1000);
        let refused = [HEAD, b"hi", b"GET / HTTP/1.1\r\nHost: a\n\r\n"].concat();
        client.write_all(&refused).await.unwrap();
        let mut passed = vec![0; 1000];
        let length = guarded.read(&mut passed).await.unwrap();
        assert_eq!(passed[..length], [HEAD, b"hi", b"GET / HTTP/1.1\r\n"].concat());
        assert_eq!(guarded.fault(), Some(Fault::BareLineFeed));
        assert_eq!(phase_after_read(&mut guarded).await, Phase::Exchange);
        drop(progress.open());
        guarded.flush().await.unwrap();
        assert_eq!(progress.phase(), Phase::Refused);
    }
}
