//! A WebSocket, or a stream of another protocol, after the 101.
//!
//! [`run`] moves bytes between two streams, follows the frames in them without changing them, and
//! reports at the end why it ended and who ended it. It knows no HTTP, no nodes and no
//! configuration.
//!
//! - `task`: both directions and the timers; `wakeups`: what wakes it besides bytes; `deadlines`:
//!   when
//! - `flow`: one direction, read and written; `backlog`: what of it waits; `gate`: what of it may
//!   pass
//! - `policies`: the rules for quiet and slow sides; `keepalive`: when a quiet side gets a Ping,
//!   and when it is lost; `ack_timeout`: when the kernel fails the connection of a lost host;
//!   `stream`: what is needed of the kernel
//! - `close_rules`: what ends a tunnel and what each side gets; `closing`: how long that may take;
//!   `control`: the frames that we send
//! - `roster`: the open tunnels of a node, and which of them have to end; `roster_entry`: one of
//!   them; `traffic_metrics`: the bytes and messages that metrics know already
//! - `identity`: whose tunnel it is; `vitals`: what it notes of its sides; `inspection`: what others see of it
//!   and ask of it; `tap`: its frames for somebody who watches it
//! - `readers`: what reads frames as they pass; `open_packet`: the open packet of an Engine.IO session, read as it passes; `upgrade_progress`:
//!   the steps of an upgrade from polling
//!
//! Runs for every byte.

mod ack_timeout;
mod backlog;
mod close_rules;
mod closing;
mod control;
mod deadlines;
mod end;
mod flow;
mod flow_state;
mod gate;
mod identity;
mod inspection;
mod keepalive;
mod limits;
mod open_packet;
mod policies;
mod readers;
mod roster;
mod roster_entry;
mod scratch_buffer;
mod stream;
mod tap;
mod task;
#[cfg(test)]
mod tests;
mod traffic_metrics;
mod upgrade_progress;
mod vitals;
mod wakeups;

pub(crate) use end::{End, Report, Side, Who};
pub use identity::Identity;
pub(crate) use identity::SessionId;
pub(crate) use inspection::{Evidence, Inspection, LastFrames, OpenTunnel};
pub use limits::Limits;
pub(crate) use limits::{IdleTimeout, Keepalive, KeepaliveTimes, MessageMax, StalledClient};
pub(crate) use roster::Dismissal;
pub use roster::Roster;
pub(crate) use roster_entry::RosterGuard;
pub(crate) use stream::{Stream, set_socket_options};
pub(crate) use tap::{PAYLOAD_BYTES_MAX as WATCHED_BYTES_MAX, WatchedFrame, WatchedFrames};
pub(crate) use upgrade_progress::{UpgradeProgress, UpgradeStep};

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
use task::Tunnel;
use wakeups::Wakeups;

/// What a tunnel begins with.
#[derive(Debug)]
pub struct Setup {
    /// What it may cost, how long it may be silent, and how its sides may behave.
    pub limits: Limits,
    /// What the client sent after its request.
    pub client_read_ahead: Bytes,
    /// What the node sent after its 101; often the open packet.
    pub node_read_ahead: Bytes,
    /// The protocol in it.
    pub protocol: Protocol,
    /// Receives the steps of a session's upgrade from polling; `None` for other tunnels, and if the
    /// steps are not needed.
    pub upgrade_progress: Option<Arc<UpgradeProgress>>,
    /// When the client's right to it ends; `None`: never.
    pub expires_at: Option<Instant>,
    /// What the 101 agreed on.
    pub extensions: Extensions,
    /// When this begins, the tunnel ends at a random time before the shutdown's deadline.
    pub shutdown: ShutdownWatch,
    /// Its entry among the tunnels of its node, whose [`Roster`] may tell it to end.
    pub roster_guard: RosterGuard,
    /// The metrics of its bytes and messages, updated when its timer fires and at its end.
    pub counts: Arc<TunnelCounts>,
}

/// The protocol in a tunnel.
#[derive(Debug)]
pub enum Protocol {
    /// Any protocol over WebSocket.
    Plain,
    /// Another protocol than WebSocket, of which nothing is known: bytes both ways, and each side may end
    /// its own direction before the other does.
    Unknown,
    /// An Engine.IO session.
    EngineIo {
        /// After this long without a byte both sides have given the session up, as its handshake by
        /// polling stated; `None` if that is not known yet or at all.
        silence_max: Option<Duration>,
        /// Reads the node's first frame, which is the open packet of a session that begins with a
        /// WebSocket. `None` for a session that was opened by polling.
        open: Option<ReadOpen>,
    },
}

/// Reads an open packet, the payload of a text frame, and returns the `silence_max` of its session.
pub struct ReadOpen(pub Box<ReadSilence>);

/// What [`ReadOpen`] calls.
pub(crate) type ReadSilence = dyn Fn(&[u8]) -> Option<Duration> + Send + Sync;

impl fmt::Debug for ReadOpen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ReadOpen(...)")
    }
}

/// Runs a tunnel. Ends when both sides have ended, at most a minute after the cause of its end.
///
/// Both streams are closed when the future is ready. If it is dropped before, both are closed
/// immediately: what was read and not yet written (at most [`Limits::buffer_bytes`] per direction)
/// is lost, no side gets a Close frame, and there is no report except that of
/// [`TunnelFuture::cut`].
///
/// # Panics
/// Outside of a tokio runtime with its timer enabled.
pub fn run<C, N>(client: C, node: N, setup: Setup) -> impl TunnelFuture
where
    C: Stream,
    N: Stream,
{
    let wakeups = Wakeups::new(&setup.shutdown, &setup.roster_guard);
    Running { tunnel: Some(Tunnel::new(client, node, setup, Instant::now())), wakeups }
}

/// A running tunnel; its output is the report of its end.
pub trait TunnelFuture: Future<Output = Report> {
    /// Closes both streams immediately and returns the report of a tunnel that the shutdown's
    /// deadline cuts: [`End::Shutdown`], unless another end has begun. `None` if it is over
    /// already.
    fn cut(self: Pin<&mut Self>) -> Option<Report>;
}

pin_project! {
    /// The future of [`run`]; without a tunnel when it is over. An async block would be larger by
    /// the pointers into itself.
    struct Running<C, N> {
        tunnel: Option<Tunnel<C, N>>,
        #[pin]
        wakeups: Wakeups,
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
        let report = ready!(tunnel.poll(this.wakeups, cx));
        *this.tunnel = None;
        Poll::Ready(report)
    }
}

impl<C, N> TunnelFuture for Running<C, N>
where
    C: Stream,
    N: Stream,
{
    fn cut(self: Pin<&mut Self>) -> Option<Report> {
        self.project().tunnel.take().map(|tunnel| tunnel.cut(Instant::now()))
    }
}
