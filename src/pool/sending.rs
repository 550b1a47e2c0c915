//! A request to a node until the head of its answer has come.
//!
//! Every wait has a deadline, kept here: for a client that stops sending, for a node that stops reading,
//! and for a node that does not answer. A node may answer before it has the whole request; the answer
//! counts, and the rest of the request is sent while the answer is read.
//!
//! Runs for every request.

use std::error::Error;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderName, Method, Response, StatusCode};
use http_body::Body;
use pin_project_lite::pin_project;
use tokio::time::{Sleep, sleep_until};

use super::answer::AnswerBody;
use super::connection::Connection;
use super::upload::{Upload, UploadFault, WaitsFor};
use crate::Instant;
use crate::http1::{Head, HeadFault, HeadLimits, HeadParser, Parsed, RequestFraming, write_head};
use crate::net::NetStream;
use crate::tls::NodeTlsFault;

/// The head of a request as bytes. A clone is cheap, and the request's fields, slices of a buffer of
/// the client's connection, need not be kept for another attempt.
#[derive(Clone, Debug)]
pub(crate) struct OutboundHead {
    bytes: Bytes,
    /// The request's body, if it is in memory.
    body: Bytes,
    method: Method,
    framing: RequestFraming,
    expects_continue: bool,
}

impl OutboundHead {
    /// A request for `target` in origin form. Its framing fields are made from `framing` alone.
    pub(crate) fn new<'a>(
        method: &Method,
        target: &str,
        fields: impl Iterator<Item = (&'a HeaderName, &'a [u8])>,
        framing: RequestFraming,
    ) -> Self {
        let mut bytes = BytesMut::new();
        write_head(&mut bytes, method, target, fields, framing);
        // A poll is held for long, and keeps no more than its head is long.
        let (bytes, body) = (Bytes::copy_from_slice(&bytes), Bytes::new());
        Self { bytes, body, method: method.clone(), framing, expects_continue: false }
    }

    /// The same with `Expect: 100-continue` among the fields: the body waits for the node.
    pub(crate) fn expecting_continue(self) -> Self {
        Self { expects_continue: true, ..self }
    }

    /// The same with the whole body, which is as long as the framing says. Both leave by one call: a
    /// node that reads a segment at a time gets all of a small request, and is woken once.
    pub(crate) fn with_body(self, body: Bytes) -> Self {
        Self { body, ..self }
    }
}

/// How long client and node may take for a request, and how much the client may send.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SendLimits {
    /// How long the request may make no progress, by the client or by the node.
    pub upload: Duration,
    /// How long the node may take from the request's last byte to the head of its answer.
    pub response: Duration,
    /// How long the connection may be idle afterwards; zero closes it.
    pub idle: Duration,
    /// Whether the connection may be used again if its first request had a body.
    pub reuses_after_body: bool,
    /// The longest request body, in bytes.
    pub body_bytes_max: u64,
    /// The bounds of the answer's head.
    pub head_limits: HeadLimits,
}

/// What a node answered.
#[derive(Debug)]
pub(crate) enum Reply<B> {
    /// 101: the connection no longer speaks HTTP.
    Switched(Response<NodeSocket>),
    /// Any other answer.
    Answered(Response<AnswerBody<B>>),
}

/// A node's socket without HTTP.
#[derive(Debug)]
pub(crate) struct NodeSocket {
    /// The socket, and the TLS in it.
    pub stream: NetStream,
    /// Bytes that came after the 101; they come before what is read from the socket.
    pub read_ahead: Bytes,
    /// Whether the node had the whole request before it answered.
    pub has_whole_request: bool,
}

/// A request without an answer.
#[derive(Debug)]
pub(crate) struct SendError<B> {
    /// Why.
    pub fault: SendFault,
    /// The body, if no byte of the request has left and none of the body was taken: the request may
    /// be sent again, whatever it is.
    pub unsent: Option<B>,
    /// The connection had carried a request before, and no byte of an answer came: the node most
    /// likely closed it before it saw the request (RFC 9112, section 9.3.1).
    pub is_stale: bool,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SendFault {
    /// The connection ended before the head of the answer was complete.
    #[error("the connection ended before the response was complete")]
    Lost(#[source] io::Error),
    /// The node refused our part of the TLS handshake, and so has not read the request.
    #[error("no TLS")]
    TlsRefused(#[source] NodeTlsFault),
    /// The node's answer is not HTTP/1.1.
    #[error("the response is not HTTP/1.1")]
    BadAnswer(#[source] HeadFault),
    /// The head of the answer did not come in time.
    #[error("no response within {0:?}")]
    Unanswered(Duration),
    /// The node did not read the request.
    #[error("the node read nothing of the request for {0:?}")]
    NodeStalled(Duration),
    /// The client stopped sending its body.
    #[error("the client sent nothing of its body for {0:?}")]
    ClientStalled(Duration),
    /// The client's body ended early or failed.
    #[error("the request's body failed")]
    ClientFailed(#[source] Box<dyn Error + Send + Sync>),
    /// The body is longer than this many bytes.
    #[error("the request's body is longer than {0} bytes")]
    BodyTooLarge(u64),
}

pin_project! {
    /// The future of [`Connection::send`].
    #[must_use = "futures do nothing unless they are polled"]
    pub(crate) struct Sending<B> {
        // Taken when the answer has come.
        exchange: Option<InFlight<B>>,
        limits: SendLimits,
        parser: HeadParser,
        method: Method,
        // What the deadline is for, and since when.
        phase: Phase,
        armed: Instant,
        #[pin]
        timer: Sleep,
    }
}

/// The parts of a request that waits for its answer.
#[derive(Debug)]
struct InFlight<B> {
    connection: Box<Connection>,
    upload: Upload<B>,
    /// Writing failed: the node may have answered before it closed.
    write_error: Option<io::Error>,
    /// A byte of an answer has come.
    has_begun: bool,
}

/// Which party is waited for, and how much had moved when the wait began.
#[derive(Clone, Copy, Debug)]
struct Phase {
    waits_for: WaitsFor,
    progress: (u64, u64),
    since: Instant,
}

impl<B: Body> Sending<B> {
    pub(super) fn new(
        mut connection: Box<Connection>,
        head: &OutboundHead,
        body: B,
        limits: SendLimits,
    ) -> Self {
        let framing = if head.body.is_empty() { head.framing } else { RequestFraming::None };
        let first = [head.bytes.clone(), head.body.clone()];
        let mut upload = Upload::new(first, framing, body, limits.body_bytes_max);
        if head.expects_continue {
            upload = upload.await_continue();
        }
        connection.began_with_body |= !connection.is_reused && head.framing != RequestFraming::None;
        let now = Instant::now();
        let phase = Phase { waits_for: upload.waits_for(), progress: (0, 0), since: now };
        let armed = now + limits.response.min(limits.upload);
        Self {
            exchange: Some(InFlight { connection, upload, write_error: None, has_begun: false }),
            parser: HeadParser::new(limits.head_limits),
            limits,
            method: head.method.clone(),
            phase,
            armed,
            timer: sleep_until(armed),
        }
    }
}

impl<B> Future for Sending<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    type Output = Result<Reply<B>, SendError<B>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            let outcome = match self.as_mut().poll_exchange(cx) {
                Poll::Ready(outcome) => outcome,
                Poll::Pending => match ready!(self.as_mut().poll_deadline(cx)) {
                    None => continue,
                    Some(fault) => Err(fault),
                },
            };
            let this = self.project();
            let exchange = this.exchange.take().expect("it is polled until it is ready, not on");
            return Poll::Ready(match outcome {
                Ok(head) => Ok(exchange.answered(head, this.limits)),
                Err(fault) => Err(exchange.failed(fault)),
            });
        }
    }
}

impl<B> Sending<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    /// Sends and reads what it can.
    fn poll_exchange(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<Head, SendFault>> {
        let this = self.project();
        let Some(exchange) = this.exchange.as_mut() else { return Poll::Pending };
        exchange.send(cx)?;
        loop {
            match this.parser.parse(&mut exchange.connection.received, this.method) {
                Ok(Parsed::Head(head)) => return Poll::Ready(Ok(head)),
                Ok(Parsed::Interim(status)) => {
                    if status == StatusCode::CONTINUE {
                        exchange.upload.go_on();
                        exchange.send(cx)?;
                    }
                    continue;
                }
                Ok(Parsed::NeedMore) => (),
                Err(fault) => return Poll::Ready(Err(SendFault::BadAnswer(fault))),
            }
            let read = ready!(exchange.connection.poll_fill(cx));
            let ended = || io::Error::from(io::ErrorKind::UnexpectedEof);
            let error = match read {
                Ok(0) => exchange.write_error.take().unwrap_or_else(ended),
                Ok(_) => {
                    exchange.has_begun = true;
                    continue;
                }
                Err(error) => error,
            };
            return Poll::Ready(Err(exchange.lost(error)));
        }
    }

    /// Ready when a deadline has passed; `None` if the request can go on.
    fn poll_deadline(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<SendFault>> {
        let mut this = self.project();
        let Some(exchange) = this.exchange.as_mut() else { return Poll::Pending };
        let waits_for = match exchange.write_error {
            None => exchange.upload.waits_for(),
            Some(_) => WaitsFor::Nobody,
        };
        let progress = exchange.upload.progress();
        if (waits_for, progress) != (this.phase.waits_for, this.phase.progress) {
            *this.phase = Phase { waits_for, progress, since: Instant::now() };
        }
        let timeout = match waits_for {
            WaitsFor::Client | WaitsFor::Node => this.limits.upload,
            WaitsFor::Continue => CONTINUE_AFTER,
            WaitsFor::Nobody => this.limits.response,
        };
        let due = this.phase.since + timeout;
        // The timer moves only if it would fire too late; one that fires too early is set again.
        if due < *this.armed {
            *this.armed = due;
            this.timer.as_mut().reset(due);
        }
        loop {
            ready!(this.timer.as_mut().poll(cx));
            if due <= *this.armed {
                break;
            }
            *this.armed = due;
            this.timer.as_mut().reset(due);
        }
        Poll::Ready(match waits_for {
            WaitsFor::Client => Some(SendFault::ClientStalled(timeout)),
            WaitsFor::Node => Some(SendFault::NodeStalled(timeout)),
            WaitsFor::Nobody => Some(SendFault::Unanswered(timeout)),
            WaitsFor::Continue => {
                exchange.upload.go_on();
                None
            }
        })
    }
}

impl<B> InFlight<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    fn send(&mut self, cx: &mut Context<'_>) -> Result<(), SendFault> {
        if self.write_error.is_some() {
            return Ok(());
        }
        match self.upload.poll(&mut self.connection.stream, cx) {
            Poll::Pending | Poll::Ready(Ok(())) => Ok(()),
            Poll::Ready(Err(UploadFault::Node(error))) => {
                self.write_error = Some(error);
                Ok(())
            }
            Poll::Ready(Err(UploadFault::Client(error))) => Err(SendFault::ClientFailed(error)),
            Poll::Ready(Err(UploadFault::TooLarge(max))) => Err(SendFault::BodyTooLarge(max)),
        }
    }

    fn answered(self, head: Head, limits: &SendLimits) -> Reply<B> {
        let Self { mut connection, upload, write_error, has_begun: _ } = self;
        let mut response = Response::new(());
        *response.status_mut() = head.status;
        *response.headers_mut() = head.headers;
        if head.status == StatusCode::SWITCHING_PROTOCOLS {
            let read_ahead = connection.received.split().freeze();
            let has_whole_request = upload.is_done() && write_error.is_none();
            let socket = NodeSocket { stream: connection.stream, read_ahead, has_whole_request };
            return Reply::Switched(response.map(|()| socket));
        }
        connection.idle_timeout = limits.idle;
        // A refusal may come from another process than the session's.
        if !head.status.is_success() {
            connection.session = None;
        }
        connection.keep_alive = head.persistence.timeout;
        let rest = Some(upload).filter(|_| write_error.is_none());
        let may_be_reused = head.persistence.is_reusable
            && write_error.is_none()
            && (limits.reuses_after_body || !connection.began_with_body);
        let answer = AnswerBody::new(connection, head.framing, may_be_reused, rest, limits.upload);
        Reply::Answered(response.map(|()| answer))
    }

    /// Why the connection ended with `error`.
    fn lost(&self, error: io::Error) -> SendFault {
        if self.connection.is_reused || self.has_begun {
            return SendFault::Lost(error);
        }
        match NodeTlsFault::of_refusal(error) {
            Ok(fault) => {
                self.connection.node.connect_refused();
                SendFault::TlsRefused(fault)
            }
            Err(error) => SendFault::Lost(error),
        }
    }

    fn failed(self, fault: SendFault) -> SendError<B> {
        let is_lost = matches!(fault, SendFault::Lost(_));
        let is_stale = is_lost && self.connection.is_reused && !self.has_begun;
        let unsent = self.upload.into_unsent();
        SendError { fault, unsent, is_stale }
    }
}

impl<B> Reply<B> {
    /// The status of the answer.
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::Switched(response) => response.status(),
            Self::Answered(response) => response.status(),
        }
    }
}

/// How long to wait for `100 Continue` before the body is sent anyway, as RFC 9110, section 10.1.1
/// allows.
const CONTINUE_AFTER: Duration = Duration::from_secs(1);
