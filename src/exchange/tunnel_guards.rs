//! What a tunnel holds besides its bytes, and releases when it is over.
//!
//! A tunnel lives for hours, so its task holds only what it needs and nothing of its request: one
//! field that is a slice of hyper's read buffer would keep 8 KiB alive.
//!
//! Runs for every request.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;

use super::access_log::TunnelLogEntry;
use crate::metrics::InFlightGuard;
use crate::net::ConnectionPermit;
use crate::tunnel::{Report, TunnelFuture};
use crate::upstream::Lease;

/// What is held while a tunnel runs.
#[derive(Debug)]
pub(super) struct TunnelGuards {
    /// The log line of its end.
    pub(super) entry: TunnelLogEntry,
    /// Its lease on the node.
    pub(super) lease: Lease,
    /// Counts its client.
    pub(super) permit: ConnectionPermit,
    /// It counts as one of the route's open tunnels.
    pub(super) open: InFlightGuard,
}

impl TunnelGuards {
    /// Runs the tunnel to its end, while all this is held.
    pub(super) fn guard<F: TunnelFuture>(self, tunnel: F) -> GuardedTunnel<F> {
        GuardedTunnel { tunnel, guards: Some(Box::new(self)) }
    }

    fn end(self, report: &Report) {
        let Self { entry, lease, permit, open } = self;
        entry.ended(lease.node().name(), report);
        drop((lease, permit, open));
    }
}

pin_project! {
    /// A tunnel's task. An async block that awaits what it captured would hold it twice. A tunnel
    /// that is cut at a shutdown's deadline has its log line and its count like any other.
    #[derive(Debug)]
    pub(super) struct GuardedTunnel<F>
    where
        F: TunnelFuture,
    {
        #[pin]
        tunnel: F,
        guards: Option<Box<TunnelGuards>>,
    }

    impl<F> PinnedDrop for GuardedTunnel<F>
    where
        F: TunnelFuture,
    {
        fn drop(this: Pin<&mut Self>) {
            let held = this.project();
            if let (Some(guards), Some(report)) = (held.guards.take(), held.tunnel.cut()) {
                guards.end(&report);
            }
        }
    }
}

impl<F> Future for GuardedTunnel<F>
where
    F: TunnelFuture,
{
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let held = self.project();
        let report = ready!(held.tunnel.poll(cx));
        if let Some(guards) = held.guards.take() {
            guards.end(&report);
        }
        Poll::Ready(())
    }
}
