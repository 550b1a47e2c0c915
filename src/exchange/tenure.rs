//! What a tunnel holds besides its bytes, and gives back when it is over.
//!
//! A tunnel lives for hours, so its task is made of what it needs and of nothing that belongs to
//! the request it came from: one field that is a slice of hyper's read buffer would keep 8 KiB
//! alive with it.
//!
//! Runs for every request.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;

use super::access_log::TunnelEntry;
use crate::client::Place;
use crate::metrics::Open;
use crate::tunnel::{Report, TunnelFuture};
use crate::upstream::Lease;

/// What is held while a tunnel lives.
#[derive(Debug)]
pub(super) struct Tenure {
    /// The line of its end.
    pub(super) entry: TunnelEntry,
    /// Its place on the node.
    pub(super) lease: Lease,
    /// Its place on the worker.
    pub(super) place: Place,
    /// Its place among the open tunnels of the route.
    pub(super) open: Open,
}

impl Tenure {
    /// `life` to its end, with all that is held meanwhile.
    pub(super) fn of<F: TunnelFuture>(self, life: F) -> Held<F> {
        Held { life, tenure: Some(Box::new(self)) }
    }

    fn end(self, report: &Report) {
        let Self { entry, lease, place, open } = self;
        entry.ended(lease.node().name(), report);
        drop((lease, place, open));
    }
}

pin_project! {
    /// A tunnel's task. An async block that awaits what it captured would hold it twice. A tunnel that
    /// is cut, since the time of a stop is over, has its line and its count as any other.
    #[derive(Debug)]
    pub(super) struct Held<F>
    where
        F: TunnelFuture,
    {
        #[pin]
        life: F,
        tenure: Option<Box<Tenure>>,
    }

    impl<F> PinnedDrop for Held<F>
    where
        F: TunnelFuture,
    {
        fn drop(this: Pin<&mut Self>) {
            let held = this.project();
            if let (Some(tenure), Some(report)) = (held.tenure.take(), held.life.cut()) {
                tenure.end(&report);
            }
        }
    }
}

impl<F> Future for Held<F>
where
    F: TunnelFuture,
{
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let held = self.project();
        let report = ready!(held.life.poll(cx));
        if let Some(tenure) = held.tenure.take() {
            tenure.end(&report);
        }
        Poll::Ready(())
    }
}
