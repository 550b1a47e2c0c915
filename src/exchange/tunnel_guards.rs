//! What a tunnel holds besides its bytes, and releases when it is over.
//!
//! A tunnel lives for hours, so its task holds only what it needs and nothing of its request: one
//! field that is a slice of hyper's read buffer would keep 8 KiB alive.
//!
//! Runs for every request.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;

use super::tunnel_log::{LateLine, TunnelLogEntry};
use crate::metrics::InFlightGuard;
use crate::net::ConnectionPermit;
use crate::tunnel::{Report, TunnelFuture, Who};
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
        GuardedTunnel { tunnel, held: Some(Box::new(Held::Guards(self))) }
    }

    /// Returns all that was held, and the line of the end if that is to be written later.
    fn end(self, report: Report) -> Option<LateLine> {
        let Self { entry, lease, permit, open } = self;
        let node = lease.node().clone();
        node.counts().ends.count([report.end.label(), report.end.who().label()]);
        drop((lease, permit, open));
        entry.ended(node, report)
    }

    fn panicked(self) {
        let Self { entry, lease, permit, open } = self;
        lease.node().counts().ends.count(["panicked", Who::Proxy.label()]);
        entry.panicked(lease.node().name());
        drop((lease, permit, open));
    }
}

/// What a task holds: one pointer, because it is part of the memory of each idle tunnel.
#[derive(Debug)]
enum Held {
    /// While the tunnel runs.
    Guards(TunnelGuards),
    /// Afterwards, if the line of its end is written later.
    Line(LateLine),
}

pin_project! {
    /// A tunnel's task. An async block that awaits what it captured would hold it twice. A tunnel
    /// that is cut at a shutdown's deadline, or that panics, has its log line and its count like any
    /// other.
    #[derive(Debug)]
    pub(super) struct GuardedTunnel<F>
    where
        F: TunnelFuture,
    {
        #[pin]
        tunnel: F,
        held: Option<Box<Held>>,
    }

    impl<F> PinnedDrop for GuardedTunnel<F>
    where
        F: TunnelFuture,
    {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            let Some(Held::Guards(guards)) = this.held.take().map(|held| *held) else { return };
            if std::thread::panicking() {
                // Asking the tunnel for a report might panic again, which ends the process.
                return guards.panicked();
            }
            if let Some(report) = this.tunnel.cut() {
                // Dropping the line writes it.
                guards.end(report);
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
        let this = self.project();
        if let Some(Held::Guards(_)) = this.held.as_deref() {
            let report = ready!(this.tunnel.poll(cx));
            if let Some(Held::Guards(guards)) = this.held.take().map(|held| *held) {
                *this.held = guards.end(report).map(|line| Box::new(Held::Line(line)));
            }
        }
        match this.held.as_deref_mut() {
            Some(Held::Line(line)) => Pin::new(line).poll(cx),
            Some(Held::Guards(_)) | None => Poll::Ready(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::metrics::{Protocol, RouteCounts, WhenUsed};
    use crate::net::ConnectionLimit;
    use crate::tasks::Tasks;
    use crate::upstream::tests::node_at;

    /// A tunnel that panics, and would panic again.
    struct Panicking;

    impl Future for Panicking {
        type Output = Report;

        fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Report> {
            panic!("as this test wants it")
        }
    }

    impl TunnelFuture for Panicking {
        fn cut(self: Pin<&mut Self>) -> Option<Report> {
            panic!("a panic within a panic ends the process")
        }
    }

    #[tokio::test]
    async fn a_tunnel_that_panics_returns_all_it_held_and_is_counted() {
        let node = node_at("127.0.0.1:1".parse().unwrap());
        let counts = WhenUsed::<RouteCounts>::default();
        let (limit, worker) = (ConnectionLimit::new(1), Arc::<AtomicUsize>::default());
        let guards = TunnelGuards {
            entry: TunnelLogEntry::of_test(counts.clone()),
            lease: Lease::new(node.clone()).into_tunnel(),
            permit: limit.issue().for_worker(&worker),
            open: counts.tunnels.open.of(Protocol::Http1).begin(),
        };
        assert_eq!((node.tunnels(), limit.is_reached()), (1, true));
        let tasks = Tasks::default();
        tasks.spawn(guards.guard(Panicking));
        tasks.ended().await;
        assert_eq!((node.tunnels(), limit.is_reached()), (0, false));
        assert_eq!(worker.load(Ordering::Relaxed), 0);
        assert_eq!(counts.tunnels.open.of(Protocol::Http1).open(), 0);
        let ends: Vec<_> = counts.tunnels.ends.iter().collect();
        assert_eq!(ends, [(["panicked", "proxy"], 1)]);
    }
}
