//! HTTP/2 on a client's connection (RFC 9113), with WebSockets in its streams (RFC 8441).
//!
//! h2 is used directly, without hyper: hyper copies each message of an upgraded stream into a box for a
//! task of its own, says that it is written when that task has it, and hides the bounds of h2.
//!
//! - `wire`: what h2 reads and writes; `frame_guard`: what of it is refused
//! - `limits`: what a connection may make us hold
//! - `stream`: one request; `request`: what it must be; `response`: what the client gets
//! - `progress`: what the deadlines need to know
//!
//! No GOAWAY is sent while a tunnel is open: Firefox ends all its WebSockets then. A reload sends none
//! either. When the shutdown begins, a connection without tunnels gets one, and closes after its last
//! response; one with tunnels gets it when they are over.
//!
//! Runs for every request.

mod frame_guard;
pub(crate) mod internal;
mod limits;
mod progress;
mod request;
mod response;
mod stream;
mod wire;

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use h2::Reason;
use h2::server::{Connection, Handshake};
use pin_project_lite::pin_project;
use tokio::time::timeout;

pub(crate) use frame_guard::Flood;
use progress::Progress;
use stream::Shared;
use wire::Wire;

use super::deadlines::Deadlines;
use super::idle::Idle;
use super::phase_timer::PhaseTimer;
use super::progress::Phase;
use super::served::ClientService;
use super::transport::Transport;
use super::{ConnectionEnd, Settings};
use crate::Instant;
use crate::net::socket::set_unacknowledged_max;
use crate::net::{ConnectionPermit, NetStream};
use crate::shutdown::{Notifier, Registration, ShutdownWatch};
use crate::tasks::Tasks;

/// Where the streams of a connection are served.
#[derive(Debug)]
pub(super) struct StreamService<S> {
    pub(super) service: S,
    /// Each stream is one of these tasks.
    pub(super) tasks: Tasks,
}

/// Speaks HTTP/2 on `transport` until the connection closes.
pub(super) fn serve<S: ClientService>(
    transport: Transport,
    settings: &Arc<Settings>,
    permit: ConnectionPermit,
    streams: StreamService<S>,
    shutdown: &ShutdownWatch,
) -> Serving<S> {
    let Transport { stream, client, http: _ } = transport;
    // The host of a client may be gone while a tunnel waits for nothing else to be sent.
    if let Some(socket) = stream.tcp() {
        set_unacknowledged_max(socket, UNACKNOWLEDGED_MAX);
    }
    let progress = Arc::<Progress>::default();
    let notifier: Weak<Progress> = Arc::downgrade(&progress);
    let wire = Wire::new(stream, progress.clone(), Instant::now());
    let handshake = limits::h2(settings).handshake(wire);
    let settings = settings.clone();
    Serving {
        timer: PhaseTimer::new(Deadlines::new(&settings)),
        shutdown: shutdown.register(notifier as Weak<dyn Notifier>),
        shared: Arc::new(Shared { client, settings, progress, permit }),
        streams,
        state: State::Handshake { handshake },
        is_shutting_down: false,
        is_going_away: false,
    }
}

type Http2 = Connection<Wire<NetStream>, Bytes>;

pin_project! {
    /// The future of [`serve`].
    pub(super) struct Serving<S: ClientService> {
        shared: Arc<Shared>,
        streams: StreamService<S>,
        state: State,
        shutdown: Registration,
        is_shutting_down: bool,
        // A GOAWAY was sent.
        is_going_away: bool,
        #[pin]
        timer: PhaseTimer,
    }
}

enum State {
    /// Until the preface is here.
    Handshake {
        handshake: Handshake<Wire<NetStream>, Bytes>,
    },
    Open {
        http2: Http2,
    },
    /// The last frames are written.
    Closing {
        closing: Pin<Box<dyn Future<Output = ConnectionEnd> + Send>>,
    },
    Over,
}

impl<S: ClientService> Future for Serving<S> {
    type Output = ConnectionEnd;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<ConnectionEnd> {
        self.shared.progress.set_task(cx.waker());
        self.as_mut().note_shutdown();
        loop {
            let this = self.as_mut().project();
            let progress = &this.shared.progress;
            let stop = match this.state {
                State::Handshake { handshake } => match Pin::new(handshake).poll(cx) {
                    Poll::Ready(Ok(http2)) => {
                        *this.state = State::Open { http2 };
                        continue;
                    }
                    Poll::Ready(Err(error)) => Stop::Ended(end_of(error, progress)),
                    Poll::Pending => ready!(self.as_mut().poll_timer(cx)),
                },
                State::Open { .. } => ready!(self.as_mut().poll_open(cx)),
                State::Closing { closing } => return closing.as_mut().poll(cx),
                State::Over => return Poll::Pending,
            };
            if let Some(end) = self.as_mut().stop(stop) {
                return Poll::Ready(end);
            }
        }
    }
}

/// Why the connection is no longer served.
enum Stop {
    Ended(ConnectionEnd),
    TimedOut(Phase),
    /// It was idle, and a new client needs its place.
    Replaced,
}

impl<S: ClientService> Serving<S> {
    /// What closes it while it is idle.
    pub(super) fn as_idle(&self) -> Weak<dyn Idle> {
        let progress: Weak<Progress> = Arc::downgrade(&self.shared.progress);
        progress
    }

    fn note_shutdown(self: Pin<&mut Self>) {
        let this = self.project();
        if !*this.is_shutting_down && this.shutdown.deadline().is_some() {
            *this.is_shutting_down = true;
            this.timer.shut_down(Instant::now());
        }
    }

    /// Accepts requests and moves frames until there is a reason to stop.
    fn poll_open(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Stop> {
        let this = self.as_mut().project();
        let State::Open { http2 } = this.state else { return Poll::Pending };
        let progress = &this.shared.progress;
        loop {
            match http2.poll_accept(cx) {
                Poll::Ready(Some(Ok((request, respond)))) => {
                    let open = progress.open_stream();
                    // Boxed because a future is moved six times when it is spawned.
                    let (shared, service) = (this.shared.clone(), this.streams.service.clone());
                    let stream = stream::serve(shared, service, request, respond, open);
                    this.streams.tasks.spawn(Box::pin(stream));
                }
                Poll::Ready(Some(Err(error))) => {
                    return Poll::Ready(Stop::Ended(end_of(error, progress)));
                }
                Poll::Ready(None) => return Poll::Ready(Stop::Ended(ConnectionEnd::Closed)),
                Poll::Pending
                    if *this.is_shutting_down
                        && !*this.is_going_away
                        && !progress.has_tunnels() =>
                {
                    *this.is_going_away = true;
                    http2.graceful_shutdown();
                }
                Poll::Pending => break,
            }
        }
        self.poll_timer(cx)
    }

    fn poll_timer(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Stop> {
        let mut this = self.project();
        let progress = &this.shared.progress;
        let (phase, steps) = (progress.phase(), progress.steps());
        if phase == Phase::Idle && progress.idle_time().is_over() {
            return Poll::Ready(Stop::Replaced);
        }
        let due = this.timer.as_mut().poll_due(phase, steps, cx);
        if phase == Phase::Idle {
            progress.idle_time().begin(this.timer.since());
        }
        due.map(|()| Stop::TimedOut(phase))
    }

    /// Ends the connection. `None`: the state is to be polled.
    fn stop(self: Pin<&mut Self>, stop: Stop) -> Option<ConnectionEnd> {
        let state = self.project().state;
        let (end, reason) = match stop {
            Stop::Ended(end) => {
                *state = State::Over;
                return Some(end);
            }
            Stop::Replaced => (ConnectionEnd::Replaced, Reason::NO_ERROR),
            Stop::TimedOut(Phase::Head) => (ConnectionEnd::SlowHead, Reason::ENHANCE_YOUR_CALM),
            Stop::TimedOut(Phase::Body | Phase::WriteBlocked) => {
                (ConnectionEnd::Stalled, Reason::ENHANCE_YOUR_CALM)
            }
            Stop::TimedOut(
                Phase::Idle | Phase::Exchange | Phase::Refused | Phase::AnsweredEarly,
            ) => (ConnectionEnd::Idle, Reason::NO_ERROR),
        };
        let State::Open { mut http2 } = std::mem::replace(state, State::Over) else {
            return Some(end);
        };
        http2.abrupt_shutdown(reason);
        let closing = async move {
            // The client may read nothing, or go on sending.
            let _ = timeout(CLOSE_TIMEOUT, poll_fn(|cx| http2.poll_closed(cx))).await;
            end
        };
        *state = State::Closing { closing: Box::pin(closing) };
        None
    }
}

/// The end of a connection that h2 has given up. It has sent a GOAWAY, if one was due.
fn end_of(error: h2::Error, progress: &Progress) -> ConnectionEnd {
    match progress.flood() {
        Some(flood) => ConnectionEnd::Flooded(flood),
        None => ConnectionEnd::Http2Failed(error),
    }
}

/// How long the last frames may take to be written, and the client to close.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// How long the host of a client may acknowledge nothing: a little longer than any tunnel waits by
/// default for a client that takes nothing, so that the tunnel's end has its own name.
const UNACKNOWLEDGED_MAX: Duration = Duration::from_secs(130);
