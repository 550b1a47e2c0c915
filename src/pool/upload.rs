//! A request on its way to a node: its head, then its body as the client sends it.
//!
//! It knows which party it waits for, so that a client that stalls and a node that does not read each
//! have a deadline.
//!
//! Runs for every byte.

use std::error::Error;
use std::io::{self, IoSlice};
use std::num::NonZeroUsize;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes, BytesMut};
use http_body::Body;
use tokio::io::AsyncWrite as _;

use crate::http1::{CHUNK_END, LAST_CHUNK, RequestFraming, write_chunk_head};
use crate::net::NetStream;

/// A request that was not yet sent completely.
#[derive(Debug)]
pub(super) struct Upload<B> {
    outgoing: Outgoing,
    body: B,
    is_body_done: bool,
    framing: RequestFraming,
    /// How many more bytes of body may be sent.
    bytes_left: u64,
    bytes_max: u64,
    /// How many bytes the stream took, head included.
    written: u64,
    /// Whether all of them have left. With TLS the stream may take bytes that the socket does not.
    is_flushed: bool,
    /// How many bytes the client sent.
    taken: u64,
    /// The node has to send `100 Continue` before the body is sent.
    awaits_continue: bool,
}

/// Which party has to act next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WaitsFor {
    /// The client has to send more of its body.
    Client,
    /// The node has to read.
    Node,
    /// The node has to send `100 Continue`, or an answer.
    Continue,
    /// All was sent.
    Nobody,
}

/// Why a request was not sent completely.
#[derive(Debug)]
pub(super) enum UploadFault {
    /// The node's connection failed.
    Node(io::Error),
    /// The client's body failed, or is not as long as its head says.
    Client(Box<dyn Error + Send + Sync>),
    /// The body is longer than this many bytes.
    TooLarge(u64),
}

impl<B> Upload<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    /// Sends what it can. Ready when everything was sent.
    pub(super) fn poll(
        &mut self,
        stream: &mut NetStream,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), UploadFault>> {
        loop {
            while !self.outgoing.is_empty() {
                let sent = ready!(self.outgoing.poll_write(stream, cx));
                self.written += sent.map_err(UploadFault::Node)? as u64;
                self.is_flushed = false;
            }
            if !self.is_flushed {
                ready!(Pin::new(&mut *stream).poll_flush(cx)).map_err(UploadFault::Node)?;
                self.is_flushed = true;
            }
            if self.awaits_continue {
                return Poll::Pending;
            }
            if self.is_body_done {
                return Poll::Ready(Ok(()));
            }
            match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                Some(Ok(frame)) => {
                    // Trailers of a request are dropped: a node must not take them for fields.
                    let Ok(data) = frame.into_data() else { continue };
                    self.queue(data)?;
                }
                Some(Err(error)) => return Poll::Ready(Err(UploadFault::Client(error.into()))),
                None => self.finish()?,
            }
        }
    }

    fn queue(&mut self, data: Bytes) -> Result<(), UploadFault> {
        let length = data.len() as u64;
        self.taken += length;
        let left = self.bytes_left.checked_sub(length);
        self.bytes_left = left.ok_or(UploadFault::TooLarge(self.bytes_max))?;
        match &mut self.framing {
            RequestFraming::None if length > 0 => Err(wrong_length()),
            RequestFraming::None => Ok(()),
            RequestFraming::Length(left) => {
                *left = left.checked_sub(length).ok_or_else(wrong_length)?;
                self.outgoing.0 = [data, Bytes::new(), Bytes::new()];
                Ok(())
            }
            RequestFraming::Chunked => {
                // An empty chunk would be the last one.
                let mut head = BytesMut::new();
                if let Some(length) = NonZeroUsize::new(data.len()) {
                    write_chunk_head(&mut head, length);
                    self.outgoing.0 = [head.freeze(), data, Bytes::from_static(CHUNK_END)];
                }
                Ok(())
            }
        }
    }

    fn finish(&mut self) -> Result<(), UploadFault> {
        self.is_body_done = true;
        match self.framing {
            RequestFraming::None | RequestFraming::Length(0) => Ok(()),
            RequestFraming::Length(_) => Err(wrong_length()),
            RequestFraming::Chunked => {
                self.outgoing.0[0] = Bytes::from_static(LAST_CHUNK);
                Ok(())
            }
        }
    }
}

impl<B: Body> Upload<B> {
    /// A request that begins with the bytes `first`. What follows is `body`, of at most `bytes_max`
    /// bytes, in this `framing`.
    pub(super) fn new(first: [Bytes; 2], framing: RequestFraming, body: B, bytes_max: u64) -> Self {
        let [head, begin] = first;
        let outgoing = Outgoing([head, begin, Bytes::new()]);
        // A body of no bytes still has to be framed where its length is not known.
        let is_body_done = body.is_end_stream() && framing != RequestFraming::Chunked;
        Self {
            outgoing,
            body,
            is_body_done,
            framing,
            bytes_left: bytes_max,
            bytes_max,
            written: 0,
            is_flushed: true,
            taken: 0,
            awaits_continue: false,
        }
    }

    /// The body is held back until [`Upload::go_on`].
    pub(super) fn await_continue(mut self) -> Self {
        self.awaits_continue = !self.is_body_done;
        self
    }

    /// Sends the body from now on.
    pub(super) fn go_on(&mut self) {
        self.awaits_continue = false;
    }

    /// Whether everything was sent.
    pub(super) fn is_done(&self) -> bool {
        self.waits_for() == WaitsFor::Nobody
    }

    /// The party it waits for.
    pub(super) fn waits_for(&self) -> WaitsFor {
        if !self.outgoing.is_empty() || !self.is_flushed {
            WaitsFor::Node
        } else if self.awaits_continue {
            WaitsFor::Continue
        } else if self.is_body_done {
            WaitsFor::Nobody
        } else {
            WaitsFor::Client
        }
    }

    /// The progress so far: bytes sent to the node, and bytes received from the client.
    pub(super) fn progress(&self) -> (u64, u64) {
        (self.written, self.taken)
    }

    /// The body, if no byte of the request has left and none of the body was taken.
    pub(super) fn into_unsent(self) -> Option<B> {
        (self.written == 0 && self.taken == 0).then_some(self.body)
    }
}

fn wrong_length() -> UploadFault {
    UploadFault::Client("the request's body is not as long as its head says".into())
}

/// What waits for the socket, in its order.
#[derive(Debug)]
struct Outgoing([Bytes; 3]);

impl Outgoing {
    fn is_empty(&self) -> bool {
        self.0.iter().all(Bytes::is_empty)
    }

    fn poll_write(
        &mut self,
        stream: &mut NetStream,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let slices = self.0.each_ref().map(|bytes| IoSlice::new(bytes));
        let written = match &self.0 {
            // The usual case, for which the system has a cheaper call.
            [only, behind @ ..] if behind.iter().all(Bytes::is_empty) => {
                ready!(Pin::new(stream).poll_write(cx, only))?
            }
            _ => ready!(Pin::new(stream).poll_write_vectored(cx, &slices))?,
        };
        let mut left = written;
        for bytes in &mut self.0 {
            let part = left.min(bytes.len());
            bytes.advance(part);
            left -= part;
        }
        Poll::Ready(Ok(written))
    }
}
