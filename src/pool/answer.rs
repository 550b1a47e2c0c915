//! The body of a node's answer, and the end of the request if the node answered early.
//!
//! Runs for every byte.

use std::error::Error;
use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::{Sleep, sleep};

use super::connection::{Connection, SessionKey};
use super::upload::{Upload, UploadFault, WaitsFor};
use crate::Instant;
use crate::http1::{BodyDecoder, BodyFault, BodyFraming, Decoded};

/// The body of a node's answer. Read to its end, it puts its connection back into the pool; dropped
/// before, it closes the connection.
pub(crate) struct AnswerBody<B> {
    decoder: BodyDecoder,
    /// Until it failed.
    connection: Option<Box<Connection>>,
    /// The end was read.
    is_whole: bool,
    may_be_reused: bool,
    /// What is left of the request. Boxed, because few nodes answer early.
    rest: Option<Box<RequestRest<B>>>,
    /// The rest of the request is longer than so many bytes and goes nowhere.
    too_large: Option<u64>,
}

/// What is left of a request that was answered early, and how long it may make no progress.
struct RequestRest<B> {
    upload: Upload<B>,
    progress: (u64, u64),
    timeout: Duration,
    timer: Pin<Box<Sleep>>,
}

/// Why an answer's body ended before its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AnswerBodyError {
    /// The connection failed.
    #[error("the connection to the node failed")]
    Lost(#[source] io::Error),
    /// The node's framing is wrong, or it closed within the body.
    #[error(transparent)]
    Framing(#[from] BodyFault),
    /// The rest of the client's request failed.
    #[error("the rest of the request failed")]
    Request(#[source] Box<dyn Error + Send + Sync>),
    /// The request's body is longer than this many bytes.
    #[error("the request's body is longer than {0} bytes")]
    RequestTooLarge(u64),
    /// The client stopped sending its body, and the node did not go on.
    #[error("the client sent nothing of its body for {0:?}")]
    RequestStalled(Duration),
}

impl<B> AnswerBody<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    /// The body that follows on `connection`, while `upload` goes on; it may make no progress for
    /// `timeout`.
    pub(super) fn new(
        connection: Box<Connection>,
        framing: BodyFraming,
        may_be_reused: bool,
        upload: Option<Upload<B>>,
        timeout: Duration,
    ) -> Self {
        let rest = upload.filter(|upload| !upload.is_done());
        let rest = rest.map(|upload| Box::new(RequestRest::new(upload, timeout)));
        let decoder = BodyDecoder::new(framing);
        let is_whole = decoder.is_end();
        let connection = Some(connection);
        Self { decoder, connection, is_whole, may_be_reused, rest, too_large: None }
    }

    fn poll_data(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<Frame<Bytes>>, AnswerBodyError>> {
        self.send_rest(cx)?;
        loop {
            let Some(connection) = self.connection.as_mut().filter(|_| !self.is_whole) else {
                return Poll::Ready(Ok(None));
            };
            match self.decoder.decode(&mut connection.received)? {
                Decoded::Data(data) => {
                    if let Some(rest) = &mut self.rest {
                        rest.restart_timer();
                    }
                    self.is_whole = self.decoder.is_end();
                    return Poll::Ready(Ok(Some(Frame::data(data))));
                }
                Decoded::End(trailers) => {
                    self.is_whole = true;
                    return Poll::Ready(Ok(trailers.map(Frame::trailers)));
                }
                Decoded::NeedMore => (),
            }
            let filled = connection.poll_fill(cx);
            // The node may wait forever for the rest.
            if let (Poll::Pending, Some(max)) = (&filled, self.too_large) {
                return Poll::Ready(Err(AnswerBodyError::RequestTooLarge(max)));
            }
            if ready!(filled).map_err(AnswerBodyError::Lost)? == 0 {
                self.decoder.at_eof()?;
                (self.is_whole, self.may_be_reused) = (true, false);
            }
        }
    }

    /// Sends what is left of the request. A node that stopped reading it may still answer.
    fn send_rest(&mut self, cx: &mut Context<'_>) -> Result<(), AnswerBodyError> {
        let (Some(rest), Some(connection)) = (&mut self.rest, &mut self.connection) else {
            return Ok(());
        };
        match rest.upload.poll(&mut connection.stream, cx) {
            Poll::Pending => match rest.poll_stalled(cx) {
                Poll::Pending => return Ok(()),
                Poll::Ready(WaitsFor::Client) => {
                    return Err(AnswerBodyError::RequestStalled(rest.timeout));
                }
                // A node that reads no more may still have much to answer.
                Poll::Ready(WaitsFor::Node | WaitsFor::Continue | WaitsFor::Nobody) => {
                    self.may_be_reused = false;
                }
            },
            Poll::Ready(Ok(())) => (),
            Poll::Ready(Err(UploadFault::Node(_))) => self.may_be_reused = false,
            Poll::Ready(Err(UploadFault::TooLarge(max))) => {
                (self.may_be_reused, self.too_large) = (false, Some(max));
            }
            Poll::Ready(Err(UploadFault::Client(error))) => {
                return Err(AnswerBodyError::Request(error));
            }
        }
        self.rest = None;
        Ok(())
    }
}

impl<B: Body> RequestRest<B> {
    fn new(upload: Upload<B>, timeout: Duration) -> Self {
        let progress = upload.progress();
        Self { upload, progress, timeout, timer: Box::pin(sleep(timeout)) }
    }

    fn restart_timer(&mut self) {
        self.timer.as_mut().reset(Instant::now() + self.timeout);
    }

    /// Ready with who is waited for when nothing has moved in either direction for the timeout.
    fn poll_stalled(&mut self, cx: &mut Context<'_>) -> Poll<WaitsFor> {
        let progress = self.upload.progress();
        if std::mem::replace(&mut self.progress, progress) != progress {
            self.restart_timer();
        }
        self.timer.as_mut().poll(cx).map(|()| self.upload.waits_for())
    }
}

impl<B> AnswerBody<B> {
    /// Sets the session that the connection belongs to, once the answer has named it.
    pub(crate) fn set_session(&mut self, session: SessionKey) {
        if let Some(connection) = &mut self.connection {
            connection.set_session(Some(session));
        }
    }
}

/// A connection with a rest in either direction is closed: what follows on it would be taken for
/// something else.
impl<B> Drop for AnswerBody<B> {
    fn drop(&mut self) {
        let may_be_reused = self.is_whole && self.may_be_reused && self.rest.is_none();
        let reusable =
            self.connection.take_if(|connection| may_be_reused && connection.received.is_empty());
        if let Some(connection) = reusable {
            connection.put_back();
        }
    }
}

impl<B> Body for AnswerBody<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    type Data = Bytes;
    type Error = AnswerBodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, AnswerBodyError>>> {
        let this = self.get_mut();
        let polled = ready!(this.poll_data(cx));
        if polled.is_err() {
            this.connection = None;
        }
        Poll::Ready(polled.transpose())
    }

    fn is_end_stream(&self) -> bool {
        self.is_whole || self.connection.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        match self.decoder.remaining() {
            Some(bytes) => SizeHint::with_exact(bytes),
            None => SizeHint::new(),
        }
    }
}

impl<B> fmt::Debug for AnswerBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AnswerBody").field("decoder", &self.decoder).finish_non_exhaustive()
    }
}
