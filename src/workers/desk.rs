//! Who gets which connection.
//!
//! Runs for every request.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::error;

use crate::listener::Accepted;

/// Where connections are laid down for one worker.
#[derive(Debug)]
pub(super) struct Desk {
    work: mpsc::Sender<Accepted>,
    connections: Arc<AtomicUsize>,
}

/// The worker's side of a desk: nothing comes any more when the desk is gone.
pub(super) type Work = mpsc::Receiver<Accepted>;

/// What is to be dealt.
#[derive(Debug)]
pub(super) struct Dealing {
    /// What the listeners accepted.
    pub(super) accepted: mpsc::Receiver<Accepted>,
    /// Cancelled when nothing more is to be taken.
    pub(super) over: CancellationToken,
}

impl Desk {
    /// An empty desk.
    pub(super) fn new() -> (Self, Work) {
        let (sender, work) = mpsc::channel(QUEUE_MAX);
        (Self { work: sender, connections: Arc::default() }, work)
    }

    /// How many connections and tunnels its worker has.
    pub(super) fn connections(&self) -> &Arc<AtomicUsize> {
        &self.connections
    }
}

/// Lays each connection on the desk of the worker with the fewest. If all desks are full it
/// waits, the listeners wait for it, and clients wait in the system's queue.
pub(super) async fn deal(desks: Vec<Desk>, dealing: Dealing) {
    let Dealing { mut accepted, over } = dealing;
    let mut is_over = false;
    loop {
        let next = tokio::select! {
            next = accepted.recv() => next,
            () = over.cancelled(), if !is_over => {
                is_over = true;
                // What was accepted already is still dealt.
                accepted.close();
                continue;
            }
        };
        let Some(next) = next else { return };
        let Some(desk) = least(&desks) else { continue };
        let place = next.place.at_worker(&desk.connections);
        if desk.work.send(Accepted { place, ..next }).await.is_err() {
            error!("a worker has died");
        }
    }
}

/// The desk of the worker with the fewest connections; one that is full only if all are, and one
/// whose worker has died never.
fn least(desks: &[Desk]) -> Option<&Desk> {
    desks
        .iter()
        .filter(|desk| !desk.work.is_closed())
        .min_by_key(|desk| (desk.work.capacity() == 0, desk.connections.load(Ordering::Relaxed)))
}

/// How many connections may lie on a desk, and wait to be dealt.
pub(super) const QUEUE_MAX: usize = 128;
