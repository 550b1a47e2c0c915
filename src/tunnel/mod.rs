//! A WebSocket's life after the 101.
//!
//! [`run`] moves bytes between two streams, follows the frames in them without touching them, and
//! says at the end why it ended and who ended it. It knows no HTTP, no nodes and no configuration.
//!
//! - `relay`: one direction, read and written; `waiting`: what of it waits; `gate`: what of it may
//!   pass
//! - `life`: both directions and the time; `alarm`: what wakes them but bytes; `deadlines`: when
//! - `policies`: the rules that look at the sides; `keepalive`: when a quiet one is asked, and lost;
//!   `host`: when the kernel gives its host up; `stream`: what is asked of the kernel
//! - `ending`: what is an end and what each side gets; `closing`: how long that may take;
//!   `control`: the frames that we send
//! - `tally`: what of it metrics know already; `roster`: who is there and who is told
//!   to end; `occupant`: one of them
//! - `opening`: the open packet of an Engine.IO session, read on its way; `probe`: how far the
//!   upgrade of one that comes from polling gets
//!
//! Runs for every byte.

mod alarm;
mod closing;
mod control;
mod deadlines;
mod end;
mod ending;
mod gate;
mod host;
mod keepalive;
mod life;
mod limits;
mod occupant;
mod opening;
mod policies;
mod probe;
mod relay;
mod roster;
mod scratch;
mod stream;
mod tally;
#[cfg(test)]
mod tests;
mod waiting;
mod wake_up;

pub use end::{End, Report, Side, Who};
pub use limits::{IdleTimeout, Keepalive, KeepaliveTimes, Limits, MessageMax, StalledClient};
pub use occupant::Occupant;
pub use probe::{UpgradeStep, Upgrading};
pub use roster::{Dismissal, Roster};
pub use stream::Stream;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use pin_project_lite::pin_project;

use crate::Instant;
use crate::metrics::TunnelCounts;
use crate::shutdown::ShutdownWatch;
use crate::websocket::Extensions;
use alarm::Alarms;
use life::Tunnel;

/// What a tunnel begins with.
#[derive(Debug)]
pub struct Setup {
    /// What it may cost, how long it may be silent, and how its sides may behave.
    pub limits: Limits,
    /// What the client sent behind its request.
    pub client_read_ahead: Bytes,
    /// What the node sent behind its 101; often the open packet.
    pub node_read_ahead: Bytes,
    /// What speaks through it.
    pub kind: Kind,
    /// Where to tell how far the upgrade of a session gets that comes from polling; `None` for all
    /// others, and if nobody wants to know.
    pub upgrading: Option<Arc<Upgrading>>,
    /// What the 101 agreed on.
    pub extensions: Extensions,
    /// When this begins, the tunnel ends at a random moment before the drain does.
    pub drain: ShutdownWatch,
    /// Its place among the tunnels of its node, whose [`Roster`] may tell it to end.
    pub occupant: Occupant,
    /// Where its bytes and messages are counted: whenever its timer fires, and at its end.
    pub counts: Arc<TunnelCounts>,
}

/// What speaks through a tunnel.
#[derive(Debug)]
pub enum Kind {
    /// Any protocol over WebSocket.
    Plain,
    /// An Engine.IO session.
    EngineIo {
        /// After this long without a byte both ends have given the session up, as its handshake by
        /// polling stated; `None` if that is not known, or not yet.
        silence_max: Option<Duration>,
        /// Reads the node's first frame, which is the open packet of a session that begins with a
        /// WebSocket. `None` for a session that comes from polling: it was opened there.
        open: Option<ReadOpen>,
    },
}

/// Reads an open packet, the payload of a text frame, and returns the `silence_max` of its session.
pub struct ReadOpen(pub Box<ReadSilence>);

/// What [`ReadOpen`] calls.
pub type ReadSilence = dyn Fn(&[u8]) -> Option<Duration> + Send + Sync;

impl fmt::Debug for ReadOpen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ReadOpen(...)")
    }
}

/// Lives a tunnel's life. Ends when both sides have ended, and always within a minute of the first
/// cause.
///
/// Both streams are closed when the future is ready. If it is dropped before, both are closed at
/// once: what was read and not yet written (at most [`Limits::buffer_bytes`] for each direction)
/// is lost, no side gets a Close frame, and there is no report unless [`Life::cut`] gave it.
///
/// # Panics
/// When called outside of a tokio runtime with its timer enabled.
pub fn run<C, N>(client: C, node: N, setup: Setup) -> impl Life
where
    C: Stream,
    N: Stream,
{
    let alarms = Alarms::new(&setup.drain, &setup.occupant);
    Running { tunnel: Some(Tunnel::new(client, node, setup, Instant::now())), alarms }
}

/// The life of a tunnel, to the report of its end.
pub trait Life: Future<Output = Report> {
    /// Closes both streams at once, and gives the report of a tunnel that the process had no more time
    /// for: [`End::Drained`], unless another end has begun. `None` if it is over already.
    fn cut(self: Pin<&mut Self>) -> Option<Report>;
}

pin_project! {
    /// The future of [`run`]; without a tunnel when it is over. An async block would hold pointers
    /// into itself besides.
    struct Running<C, N> {
        tunnel: Option<Tunnel<C, N>>,
        #[pin]
        alarms: Alarms,
    }
}

impl<C, N> Future for Running<C, N>
where
    C: Stream,
    N: Stream,
{
    type Output = Report;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Report> {
        let this = self.project();
        let Some(tunnel) = this.tunnel else { return Poll::Pending };
        let report = ready!(tunnel.poll(this.alarms, cx));
        *this.tunnel = None;
        Poll::Ready(report)
    }
}

impl<C, N> Life for Running<C, N>
where
    C: Stream,
    N: Stream,
{
    fn cut(self: Pin<&mut Self>) -> Option<Report> {
        self.project().tunnel.take().map(|tunnel| tunnel.cut(Instant::now()))
    }
}
