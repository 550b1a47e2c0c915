//! HTTP/1 on a client's connection, until it closes or becomes a tunnel.
//!
//! hyper speaks HTTP. Around it are the [guard](super::head_guard), the deadlines for a client that
//! keeps the proxy waiting, and the orderly close. hyper's own timer is off: its one value would be both
//! the time for a head and the time between requests.
//!
//! Runs for every request.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, ready};

use http::StatusCode;
use hyper::server::conn::http1::{self, Parts};
use hyper_util::rt::TokioIo;
use pin_project_lite::pin_project;

use super::close::{close, refuse};
use super::deadlines::Deadlines;
use super::guarded::{Guarded, Unguarded};
use super::head_guard::HeadLimits;
use super::idle::Idle;
use super::phase_timer::PhaseTimer;
use super::progress::{Phase, Progress, Truncation};
use super::served::{ClientService, Served};
use super::transport::Transport;
use super::{ConnectionEnd, Settings};
use crate::Instant;
use crate::net::socket::reset_on_close;
use crate::net::{ConnectionPermit, NetStream, RawSocket, SocketOptions};
use crate::shutdown::{Notifier, Registration, ShutdownWatch};

/// Speaks HTTP/1 on `transport` until the connection closes or becomes a tunnel, which gets `permit`.
pub(super) fn serve<S: ClientService>(
    transport: Transport,
    settings: &Settings,
    permit: ConnectionPermit,
    service: S,
    shutdown: &ShutdownWatch,
) -> Serving<S> {
    let Transport { stream, client, http: _ } = transport;
    let progress = Arc::new(Progress::new(settings.keep_alive_requests));
    let notifier: Weak<Progress> = Arc::downgrade(&progress);
    let guarded = Guarded::new(stream, settings.head, progress.clone(), permit);
    let served = Served { service, client, progress: progress.clone() };
    Serving {
        connection: Some(http(settings.head).serve_connection(TokioIo::new(guarded), served)),
        progress,
        shutdown: shutdown.register(notifier as Weak<dyn Notifier>),
        is_shutting_down: false,
        timer: PhaseTimer::new(Deadlines::new(settings)),
        closing: None,
    }
}

type Connection<S> = http1::Connection<TokioIo<Guarded<NetStream>>, Served<S>>;

pin_project! {
    /// The future of [`serve`]. An async block would hold the connection twice.
    pub(super) struct Serving<S: ClientService> {
        connection: Option<Connection<S>>,
        progress: Arc<Progress>,
        shutdown: Registration,
        is_shutting_down: bool,
        #[pin]
        timer: PhaseTimer,
        // Boxed because it is short: otherwise each connection would hold memory for it.
        closing: Option<Closing>,
    }
}

/// A last answer, if one is due, and the close.
type Closing = Pin<Box<dyn Future<Output = ConnectionEnd> + Send>>;

impl<S: ClientService> Future for Serving<S> {
    type Output = ConnectionEnd;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<ConnectionEnd> {
        if self.connection.is_some() {
            let stop = ready!(self.as_mut().poll_http(cx));
            if let Some(end) = self.as_mut().end_http(stop) {
                return Poll::Ready(end);
            }
        }
        match self.project().closing {
            Some(closing) => closing.as_mut().poll(cx),
            None => Poll::Pending,
        }
    }
}

impl<S: ClientService> Serving<S> {
    /// What closes it while it is idle.
    pub(super) fn as_idle(&self) -> Weak<dyn Idle> {
        let progress: Weak<Progress> = Arc::downgrade(&self.progress);
        progress
    }

    /// Speaks HTTP until there is a reason to stop.
    fn poll_http(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<HttpStop> {
        let mut this = self.project();
        let Some(connection) = this.connection else { return Poll::Pending };
        this.progress.set_task(cx.waker());
        if !*this.is_shutting_down && this.shutdown.deadline().is_some() {
            *this.is_shutting_down = true;
            this.progress.shut_down();
            this.timer.as_mut().shut_down(Instant::now());
        }
        if let Poll::Ready(result) = Pin::new(connection).poll(cx) {
            return Poll::Ready(HttpStop::Done(result));
        }
        match this.progress.phase() {
            Phase::Refused => Poll::Ready(HttpStop::Refused),
            Phase::AnsweredEarly => Poll::Ready(HttpStop::Done(Ok(()))),
            phase => {
                if phase == Phase::Idle && this.progress.idle_time().is_over() {
                    return Poll::Ready(HttpStop::Replaced);
                }
                let due = this.timer.as_mut().poll_due(phase, this.progress.steps(), cx);
                if phase == Phase::Idle {
                    this.progress.idle_time().begin(this.timer.since());
                }
                if due.is_pending() && this.progress.has_unread() {
                    this.timer.wake_soon(cx);
                }
                due.map(|()| HttpStop::TimedOut(phase))
            }
        }
    }

    /// Removes hyper. `None`: `closing` is to be polled.
    fn end_http(self: Pin<&mut Self>, stop: HttpStop) -> Option<ConnectionEnd> {
        let this = self.project();
        // Frees hyper's buffers before the close, which may take long.
        let Parts { io, read_buf, service, .. } = this.connection.take()?.into_parts();
        match (&stop, this.progress.take_receiver()) {
            (HttpStop::Done(Ok(())), Some(receiver)) => {
                let Unguarded { stream, permit, carry } = io.into_inner().into_inner();
                let read_ahead = match (read_buf.is_empty(), carry.is_empty()) {
                    // Even an empty slice keeps hyper's read buffer alive: 4 KiB for each idle tunnel.
                    (true, _) => carry,
                    (false, true) => read_buf,
                    (false, false) => [read_buf, carry].concat().into(),
                };
                let options = Some(SocketOptions::default());
                receiver(RawSocket { stream, read_ahead, permit, options });
                Some(ConnectionEnd::Upgraded)
            }
            _ => {
                let client = service.client.address;
                let (guarded, progress) = (io.into_inner(), this.progress.clone());
                *this.closing = Some(Box::pin(finish(guarded, stop, client, progress)));
                None
            }
        }
    }
}

/// Why hyper is no longer polled.
enum HttpStop {
    Done(hyper::Result<()>),
    Refused,
    TimedOut(Phase),
    /// It was idle, and a new client needs its place.
    Replaced,
}

/// Writes a last answer, if one is due, and closes.
async fn finish(
    guarded: Guarded<NetStream>,
    stop: HttpStop,
    client: SocketAddr,
    progress: Arc<Progress>,
) -> ConnectionEnd {
    let (fault, refusal) = (guarded.fault(), guarded.refusal());
    let Unguarded { mut stream, permit: _permit, .. } = guarded.into_inner();
    match (stop, fault) {
        (HttpStop::Done(Ok(())), _) => {
            if progress.phase() != Phase::Idle {
                close(&mut stream).await;
            }
            if progress.is_spent() { ConnectionEnd::Spent } else { ConnectionEnd::Closed }
        }
        (HttpStop::Done(Err(error)), _) => {
            match (refusal, progress.truncation()) {
                (Some(status), _) => {
                    let sentence = format!("the request cannot be read: {error}");
                    refuse(&mut stream, client, status, &sentence).await;
                }
                (None, Some(Truncation::Reset)) => {
                    if let Some(socket) = stream.tcp() {
                        reset_on_close(socket);
                    }
                }
                (None, Some(Truncation::Fin) | None) => close(&mut stream).await,
            }
            ConnectionEnd::Failed(error)
        }
        (HttpStop::Refused, Some(fault)) => {
            refuse(&mut stream, client, fault.status(), &fault.to_string()).await;
            ConnectionEnd::Refused(fault)
        }
        (HttpStop::TimedOut(Phase::Head), _) => {
            let sentence = "the head of the request took too long";
            refuse(&mut stream, client, StatusCode::REQUEST_TIMEOUT, sentence).await;
            ConnectionEnd::SlowHead
        }
        (HttpStop::TimedOut(Phase::Body | Phase::WriteBlocked), _) => ConnectionEnd::Stalled,
        (HttpStop::TimedOut(Phase::Idle), _) => ConnectionEnd::Idle,
        (HttpStop::Replaced, _) => ConnectionEnd::Replaced,
        (HttpStop::TimedOut(Phase::Exchange | Phase::Refused | Phase::AnsweredEarly), _)
        | (HttpStop::Refused, None) => {
            debug_assert!(false, "no deadline in these phases, and a refusal has a fault");
            ConnectionEnd::Closed
        }
    }
}

/// The settings of hyper.
///
/// * `half_close` is off: a client that closes its side has given up, as for Node.js, and its request is
///   dropped.
/// * A date is added if the node sent none (RFC 9110, section 6.6.1).
/// * Field names are spelled as usual, see [`spelling`](super::spelling).
/// * `writev` is off: a response of Engine.IO is copied behind its head, which costs less than a list of
///   both, and each piece of a longer one is written when it comes.
/// * The limits are never reached before those of the guard, whose refusals say more. A number of
///   fields other than hyper's default of 100 costs two allocations for each request: this is not
///   measurable, and changing the number only for the few heads that need it would cost more.
fn http(head: HeadLimits) -> http1::Builder {
    let mut http = http1::Builder::new();
    http.keep_alive(true)
        .half_close(false)
        .header_read_timeout(None)
        .auto_date_header(true)
        .title_case_headers(true)
        .writev(false)
        .max_headers(head.fields_max)
        .max_buf_size(head.bytes_max.saturating_add(BUFFER_BYTES_SPARE));
    http
}

/// How much more than a head hyper buffers, of a client's bytes and of an answer that the client does
/// not read: at least its first read.
const BUFFER_BYTES_SPARE: usize = 8 * 1024;
