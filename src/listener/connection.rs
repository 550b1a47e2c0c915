//! One client's connection, from its first byte to its close or to a tunnel.
//!
//! hyper speaks HTTP; around it are the [guard](super::head_guard), the deadlines for a client
//! that keeps us waiting, and the orderly end. The timer of hyper stays off: its one value would
//! be both the time for a head and the time between requests.
//!
//! Runs for every request.

use std::future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::StatusCode;
use hyper::server::conn::http1::{self, Parts};
use hyper_util::rt::TokioIo;
use pin_project_lite::pin_project;
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep_until};

use super::deadlines::Deadlines;
use super::farewell::{close, refuse};
use super::guarded::{Guarded, Unguarded};
use super::head_guard::{Fault, HeadLimits};
use super::progress::{Cut, Phase, Progress};
use super::served::{ClientService, Served};
use super::{Accepted, Settings};
use crate::Instant;
use crate::client::{ClientInfo, RawSocket, Scheme, SocketOptions};
use crate::shutdown::{Notifier, Registration, ShutdownWatch};

/// Why a connection is no longer the listener's.
#[derive(Debug)]
pub enum ConnectionEnd {
    /// It became a tunnel, which has the socket now.
    Upgraded,
    /// Between requests: by the client, behind an answer that said so, or since a drain began.
    Closed,
    /// No request came within `keep_alive_timeout`, or in time after a drain began.
    Idle,
    /// A head was not complete within `header_timeout`; answered with 408.
    SlowHead,
    /// The client stopped sending a body, or taking an answer.
    Stalled,
    /// The guard refused a request; answered with 400 or 431.
    Refused(Fault),
    /// The socket could not be registered with this worker's runtime.
    Lost(io::Error),
    /// hyper refused a request (answered with 400, 414 or 431), the client went away within one, or
    /// the socket failed.
    Failed(hyper::Error),
}

impl ConnectionEnd {
    /// The name in metrics.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Upgraded => "upgraded",
            Self::Closed => "closed",
            Self::Idle => "idle",
            Self::SlowHead => "slow_head",
            Self::Stalled => "stalled",
            Self::Refused(_) => "refused",
            Self::Lost(_) => "lost",
            Self::Failed(_) => "failed",
        }
    }

    /// What was wrong, if anything was.
    pub fn reason(&self) -> Option<String> {
        match self {
            Self::Refused(fault) => Some(fault.to_string()),
            Self::Lost(error) => Some(error.to_string()),
            Self::Failed(error) => Some(error.to_string()),
            Self::Upgraded | Self::Closed | Self::Idle | Self::SlowHead | Self::Stalled => None,
        }
    }
}

/// Serves the requests of one connection until its end. `place` goes to the tunnel if one comes
/// of it.
///
/// When the drain begins, a busy connection closes behind its answer, which says so, and an idle
/// one has a second for a last request; to cut it at the drain's end is left to the task's owner.
/// If the future is dropped, the connection is closed and the answer that is on its way is cut.
///
/// # Panics
///
/// Outside of a tokio runtime with its timer enabled.
pub fn serve<S: ClientService>(
    accepted: Accepted,
    service: S,
    drain: &ShutdownWatch,
) -> impl Future<Output = ConnectionEnd> + Send + use<S> {
    let Accepted { stream, address, settings, place } = accepted;
    let progress = Arc::new(Progress::default());
    let bell: Weak<Progress> = Arc::downgrade(&progress);
    let alarm = drain.register(bell as Weak<dyn Notifier>);
    let clock = Clock::new(Deadlines::of(&settings));
    let (connection, last) = match TcpStream::from_std(stream) {
        Ok(stream) => {
            let guarded = Guarded::new(stream, settings.head, progress.clone(), place);
            let client = client_info(address, &settings);
            let served = Served { service, client, progress: progress.clone() };
            (Some(http(settings.head).serve_connection(TokioIo::new(guarded), served)), None)
        }
        Err(error) => {
            let lost: Last = Box::pin(future::ready(ConnectionEnd::Lost(error)));
            (None, Some(lost))
        }
    };
    Serving { connection, progress, alarm, is_draining: false, clock, last }
}

type Connection<S> = http1::Connection<TokioIo<Guarded<TcpStream>>, Served<S>>;

pin_project! {
    /// The future of [`serve`]. An async block would hold the connection twice.
    struct Serving<S: ClientService> {
        connection: Option<Connection<S>>,
        progress: Arc<Progress>,
        alarm: Registration,
        is_draining: bool,
        #[pin]
        clock: Clock,
        // Boxed, as what is soon over: each connection would hold its room.
        last: Option<Last>,
    }
}

/// The last words, and the close.
type Last = Pin<Box<dyn Future<Output = ConnectionEnd> + Send>>;

impl<S: ClientService> Future for Serving<S> {
    type Output = ConnectionEnd;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<ConnectionEnd> {
        if self.connection.is_some() {
            let why = ready!(self.as_mut().poll_http(cx));
            if let Some(end) = self.as_mut().end(why) {
                return Poll::Ready(end);
            }
        }
        match self.project().last {
            Some(last) => last.as_mut().poll(cx),
            None => Poll::Pending,
        }
    }
}

impl<S: ClientService> Serving<S> {
    /// Speaks HTTP until there is a reason not to.
    fn poll_http(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Why> {
        let mut this = self.project();
        let Some(connection) = this.connection else { return Poll::Pending };
        this.progress.serve_in(cx.waker());
        if !*this.is_draining && this.alarm.deadline().is_some() {
            *this.is_draining = true;
            this.progress.drain();
            this.clock.as_mut().drain(Instant::now());
        }
        if let Poll::Ready(result) = Pin::new(connection).poll(cx) {
            return Poll::Ready(Why::Over(result));
        }
        match this.progress.phase() {
            Phase::Refused => Poll::Ready(Why::Refused),
            Phase::Early => Poll::Ready(Why::Over(Ok(()))),
            phase => {
                let due = this.clock.as_mut().poll_due(phase, this.progress.steps(), cx);
                if due.is_pending() && this.progress.has_unread() {
                    this.clock.wake_soon(cx);
                }
                due.map(|()| Why::Waited(phase))
            }
        }
    }

    /// Takes hyper away. `None`: there are last words, which are to be polled.
    fn end(self: Pin<&mut Self>, why: Why) -> Option<ConnectionEnd> {
        let this = self.project();
        // hyper's buffers go at once, before the last words.
        let Parts { io, read_buf, service, .. } = this.connection.take()?.into_parts();
        match (&why, this.progress.heir()) {
            (Why::Over(Ok(())), Some(heir)) => {
                let Unguarded { stream, place, carry } = io.into_inner().into_inner();
                let read_ahead = match (read_buf.is_empty(), carry.is_empty()) {
                    // Even without bytes it keeps hyper's read buffer alive: 4 KiB for each idle
                    // tunnel.
                    (true, _) => carry,
                    (false, true) => read_buf,
                    (false, false) => [read_buf, carry].concat().into(),
                };
                let options = Some(SocketOptions::default());
                heir(RawSocket { stream, read_ahead, place, options });
                Some(ConnectionEnd::Upgraded)
            }
            _ => {
                let client = service.client.address;
                let (guarded, progress) = (io.into_inner(), this.progress.clone());
                *this.last = Some(Box::pin(part(guarded, why, client, progress)));
                None
            }
        }
    }
}

/// Why hyper is polled no more.
enum Why {
    Over(hyper::Result<()>),
    Refused,
    Waited(Phase),
}

/// Says what is left to say, and closes.
async fn part(
    guarded: Guarded<TcpStream>,
    why: Why,
    client: SocketAddr,
    progress: Arc<Progress>,
) -> ConnectionEnd {
    let (fault, refusal) = (guarded.fault(), guarded.refusal());
    let Unguarded { mut stream, place: _place, .. } = guarded.into_inner();
    match (why, fault) {
        (Why::Over(Ok(())), _) => {
            if progress.phase() != Phase::Idle {
                close(&mut stream).await;
            }
            ConnectionEnd::Closed
        }
        (Why::Over(Err(error)), _) => {
            match (refusal, progress.cut()) {
                (Some(status), _) => {
                    let sentence = format!("the request cannot be read: {error}");
                    refuse(&mut stream, client, status, &sentence).await;
                }
                // A socket that cannot be told to reset is closed, which is all that is left.
                (None, Some(Cut::Reset)) => _ = stream.set_zero_linger(),
                (None, Some(Cut::End) | None) => close(&mut stream).await,
            }
            ConnectionEnd::Failed(error)
        }
        (Why::Refused, Some(fault)) => {
            refuse(&mut stream, client, fault.status(), &fault.to_string()).await;
            ConnectionEnd::Refused(fault)
        }
        (Why::Waited(Phase::Head), _) => {
            let sentence = "the head of the request took too long";
            refuse(&mut stream, client, StatusCode::REQUEST_TIMEOUT, sentence).await;
            ConnectionEnd::SlowHead
        }
        (Why::Waited(Phase::Body | Phase::Clogged), _) => ConnectionEnd::Stalled,
        (Why::Waited(Phase::Idle), _) => ConnectionEnd::Idle,
        (Why::Waited(Phase::Exchange | Phase::Refused | Phase::Early), _)
        | (Why::Refused, None) => {
            debug_assert!(false, "no deadline in these phases, and a refusal has a fault");
            ConnectionEnd::Closed
        }
    }
}

/// What we ask of hyper.
///
/// * `half_close` off: a client that closes its side has given up, as for Node.js; its request
///   is dropped.
/// * A date is added where the node sent none (RFC 9110, section 6.6.1).
/// * Names of fields as they are usually written, see [`spelling`](super::spelling).
/// * Bounds that are never met before those of the guard, whose refusals say more. A number of
///   fields that is not hyper's default of 100 costs two allocations for each request: they are
///   not noticeable beside the rest, and to change the number for the few heads that need it would
///   cost more than they do.
fn http(head: HeadLimits) -> http1::Builder {
    let mut http = http1::Builder::new();
    http.keep_alive(true)
        .half_close(false)
        .header_read_timeout(None)
        .auto_date_header(true)
        .title_case_headers(true)
        .max_headers(head.fields_max)
        .max_buf_size(head.bytes_max.saturating_add(BUFFER_BYTES_SPARE));
    http
}

fn client_info(address: SocketAddr, settings: &Settings) -> ClientInfo {
    ClientInfo { address, scheme: Scheme::Http, trusted_proxies: settings.trusted_proxies.clone() }
}

pin_project! {
    /// Tells when the deadline of a phase has come. It re-arms its timer only if that would be
    /// too late; one that comes too early is set anew when it fires.
    struct Clock {
        deadlines: Deadlines,
        phase: Phase,
        steps: u32,
        since: Instant,
        armed: Instant,
        #[pin]
        timer: Sleep,
    }
}

impl Clock {
    fn new(deadlines: Deadlines) -> Self {
        let now = Instant::now();
        let armed = deadlines.due(Phase::Idle, now).unwrap_or(now);
        Self {
            deadlines,
            phase: Phase::Idle,
            steps: 0,
            since: now,
            armed,
            timer: sleep_until(armed),
        }
    }

    /// A drain begins at `now`.
    fn drain(self: Pin<&mut Self>, now: Instant) {
        self.project().deadlines.drain(now);
    }

    /// Ready if the connection is in `phase`, without a step, for as long as it may be.
    fn poll_due(self: Pin<&mut Self>, phase: Phase, steps: u32, cx: &mut Context<'_>) -> Poll<()> {
        let mut this = self.project();
        let moved = (*this.phase, *this.steps) != (phase, steps);
        (*this.phase, *this.steps) = (phase, steps);
        if moved && phase != Phase::Exchange {
            *this.since = Instant::now();
        }
        let Some(due) = this.deadlines.due(phase, *this.since) else { return Poll::Pending };
        if due < *this.armed {
            *this.armed = due;
            this.timer.as_mut().reset(due);
        }
        while this.timer.as_mut().poll(cx).is_ready() {
            if due <= *this.armed {
                return Poll::Ready(());
            }
            *this.armed = due;
            this.timer.as_mut().reset(due);
        }
        Poll::Pending
    }

    /// Wakes the task within [`LOOK_AFTER`], whatever else it waits for.
    fn wake_soon(self: Pin<&mut Self>, cx: &mut Context<'_>) {
        let mut this = self.project();
        let soon = Instant::now() + LOOK_AFTER;
        if soon < *this.armed {
            *this.armed = soon;
            this.timer.as_mut().reset(soon);
        }
        while this.timer.as_mut().poll(cx).is_ready() {
            *this.armed = soon;
            this.timer.as_mut().reset(soon);
        }
    }
}

/// How long a client that left can go unseen while bytes of its are unread, for nothing tells then.
const LOOK_AFTER: Duration = Duration::from_millis(500);

/// How much more than a head hyper buffers of a client's bytes, and of an answer before it waits for
/// the client: at least its first read.
const BUFFER_BYTES_SPARE: usize = 8 * 1024;

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::pin::pin;

    use tokio::time::{advance, timeout};

    use super::*;

    /// How long the clock waits in `phase`, with an hour as the end of our own patience.
    async fn patience(clock: &mut Pin<&mut Clock>, phase: Phase, steps: u32) -> Option<Duration> {
        let begun = Instant::now();
        let due = poll_fn(|cx| clock.as_mut().poll_due(phase, steps, cx));
        timeout(Duration::from_secs(3600), due).await.ok().map(|()| begun.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn each_phase_and_each_step_has_its_own_time() {
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        let mut clock = pin!(Clock::new(Deadlines::of(&Settings {
            bind: "127.0.0.1:0".parse().unwrap(),
            trusted_proxies: Arc::new([]),
            head: HeadLimits::default(),
            header_timeout: Duration::from_secs(10),
            keep_alive_timeout: Duration::from_secs(75),
        })));
        advance(Duration::from_secs(5)).await;
        assert_eq!(patience(&mut clock, Phase::Idle, 0).await, seconds(70));
        assert_eq!(patience(&mut clock, Phase::Head, 1).await, seconds(10));
        assert_eq!(patience(&mut clock, Phase::Exchange, 2).await, None);
        assert_eq!(patience(&mut clock, Phase::Body, 2).await, seconds(60));
        assert_eq!(patience(&mut clock, Phase::Body, 3).await, seconds(60));
        assert_eq!(patience(&mut clock, Phase::Clogged, 4).await, seconds(60));
        assert_eq!(patience(&mut clock, Phase::Idle, 4).await, seconds(75));
        assert_eq!(patience(&mut clock, Phase::Idle, 4).await, seconds(0));
        assert_eq!(patience(&mut clock, Phase::Idle, 5).await, seconds(75));
    }
}
