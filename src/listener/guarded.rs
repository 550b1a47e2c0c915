//! The stream that hyper reads from: a client's, with the guard before it.
//!
//! hyper gets the client's bytes up to the line with a fault, and nothing behind: so nothing from
//! that line on can become a request. They are unchanged, but for those of queries that the guard
//! wants encoded; what hyper has no room for then is carried over to its next read. A fault in a head looks to hyper like a client
//! that says no more, and the connection answers it when the requests before are answered. A
//! fault in a body is a read error, which whoever reads that body gets with the [`Fault`] as its
//! source.
//!
//! An answer that hyper writes while no request is open is a refusal of its own, without a word.
//! It goes nowhere: the connection writes a better one in its place.
//!
//! While hyper does not read, it is looked here whether the client is still there: hyper flushes
//! whenever it is polled.
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
use crate::client::Place;

/// A client's stream behind a [`HeadGuard`].
#[derive(Debug)]
pub(super) struct Guarded<S> {
    stream: S,
    guard: HeadGuard,
    /// What was encoded and not read by hyper: at most two bytes more for each that it read last.
    carry: Bytes,
    /// hyper's own refusal.
    refusal: Option<StatusCode>,
    progress: Arc<Progress>,
    place: Place,
}

/// What a connection is made of, without HTTP.
#[derive(Debug)]
pub(super) struct Unguarded<S> {
    pub(super) stream: S,
    pub(super) place: Place,
    /// What was read from the stream and not by hyper.
    pub(super) carry: Bytes,
}

impl<S> Guarded<S> {
    /// `stream` from its first byte on; what happens on it is told to `progress`.
    pub(super) fn new(
        stream: S,
        limits: HeadLimits,
        progress: Arc<Progress>,
        place: Place,
    ) -> Self {
        let (guard, carry) = (HeadGuard::new(limits), Bytes::new());
        Self { stream, guard, carry, refusal: None, progress, place }
    }

    /// What the client was refused for.
    pub(super) fn fault(&self) -> Option<Fault> {
        self.guard.fault()
    }

    /// The status by which hyper refused a request that the guard let pass.
    pub(super) fn refusal(&self) -> Option<StatusCode> {
        self.refusal
    }

    /// The stream, its place on the worker, and what hyper has not read of it.
    pub(super) fn into_inner(self) -> Unguarded<S> {
        Unguarded { stream: self.stream, place: self.place, carry: self.carry }
    }

    /// Gives hyper of the first `clean` bytes behind `before` what it has room for, with those
    /// encoded that the guard says.
    fn pass(&mut self, buffer: &mut ReadBuf<'_>, before: usize, clean: usize) {
        let places = self.guard.to_encode();
        let places = places.get(..places.partition_point(|place| *place < clean));
        let Some(places @ [_, ..]) = places else {
            return buffer.set_filled(before + clean);
        };
        let passed = buffer.filled().get(before..before + clean).unwrap_or_default();
        self.carry = encode(passed, places).into();
        buffer.set_filled(before);
        self.pass_carry(buffer);
    }

    fn pass_carry(&mut self, buffer: &mut ReadBuf<'_>) {
        let room = buffer.remaining().min(self.carry.len());
        buffer.put_slice(&self.carry.split_to(room));
        if self.carry.is_empty() {
            self.carry = Bytes::new();
        }
    }

    /// Takes hyper's answer `bytes` away if no request is open that it could answer.
    fn take_refusal(&mut self, bytes: &[u8]) -> bool {
        if self.refusal.is_none() && self.progress.is_answering() {
            return false;
        }
        let said = bytes.get(STATUS_AT).and_then(|status| StatusCode::from_bytes(status).ok());
        self.refusal = self.refusal.or(said).or(Some(StatusCode::BAD_REQUEST));
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
            this.progress.starved(false);
            this.pass_carry(buffer);
            return Poll::Ready(Ok(()));
        }
        if let Some(fault) = this.guard.fault() {
            return this.refuse(fault);
        }
        let before = buffer.filled().len();
        let read = Pin::new(&mut this.stream).poll_read(cx, buffer);
        // Where nothing was read hyper knows what a look at the stream would tell.
        this.progress.starved(buffer.filled().len() == before);
        ready!(read)?;

        let inspected = this.guard.inspect(buffer.filled().get(before..).unwrap_or(&[]));
        this.progress.inspected(&this.guard);
        match inspected {
            Ok(()) => {
                let read = buffer.filled().len() - before;
                this.pass(buffer, before, read);
                Poll::Ready(Ok(()))
            }
            // To give hyper no byte would mean the end of the stream.
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
                self.progress.clogged();
                self.check_presence(cx)?;
            }
        }
        written
    }

    /// Fails if the client has left while hyper does not read. To read would tell that too: where
    /// hyper waits for the client's bytes, nothing is done.
    fn check_presence(&self, cx: &mut Context<'_>) -> io::Result<()> {
        let unread = match self.progress.is_starved() {
            true => Poll::Pending,
            false => self.stream.poll_unread(cx),
        };
        self.progress.leaves_unread(unread.is_ready());
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
        if self.take_refusal(bytes) {
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
        if self.take_refusal(slices.first().map_or(&[], |first| &**first)) {
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
            // Our answer is still to come.
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// Where the status stands in an answer, behind `HTTP/1.1 `.
const STATUS_AT: Range<usize> = 9..12;

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

    use super::super::progress::Phase;
    use super::*;

    const HEAD: &[u8] = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n";

    /// A client, whose side takes and holds `room` bytes, and what hyper would have.
    fn guarded(room: usize) -> (DuplexStream, Guarded<DuplexStream>, Arc<Progress>) {
        let (client, stream) = duplex(room);
        let progress = Arc::<Progress>::default();
        let limits = HeadLimits::default();
        (client, Guarded::new(stream, limits, progress.clone(), Place::default()), progress)
    }

    /// Reads once, and says for what the connection waits then.
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
        assert_eq!(progress.steps(), steps, "a dribble earns no new patience");
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
    async fn a_client_that_takes_nothing_clogs_until_it_takes_something() {
        let (mut client, mut guarded, progress) = guarded(4);
        drop(progress.open());
        let mut write = Box::pin(guarded.write_all(b"answer"));
        assert!(poll_fn(|cx| Poll::Ready(write.as_mut().poll(cx).is_pending())).await);
        assert_eq!(progress.phase(), Phase::Clogged);
        client.read_exact(&mut [0; 4]).await.unwrap();
        write.await.unwrap();
        assert_ne!(progress.phase(), Phase::Clogged);
    }

    #[tokio::test]
    async fn what_is_encoded_and_finds_no_room_is_carried_over() {
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
    async fn an_answer_without_a_request_goes_nowhere() {
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
    async fn hyper_gets_what_is_before_a_fault_and_nothing_more() {
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
