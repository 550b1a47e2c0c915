//! Which worker gets which connection.
//!
//! Runs for every request.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::error;

use crate::listener::Accepted;

/// The queue of connections for one worker.
#[derive(Debug)]
pub(super) struct WorkerQueue {
    sender: mpsc::Sender<Accepted>,
    connections: Arc<AtomicUsize>,
}

impl WorkerQueue {
    /// An empty queue, and the worker's end of it, which is closed when the queue is dropped.
    pub(super) fn new() -> (Self, mpsc::Receiver<Accepted>) {
        let (sender, receiver) = mpsc::channel(QUEUE_MAX);
        (Self { sender, connections: Arc::default() }, receiver)
    }

    /// How many connections and tunnels the worker has, with those in the queue.
    pub(super) fn connections(&self) -> &Arc<AtomicUsize> {
        &self.connections
    }
}

/// Puts each accepted connection into the queue of the worker with the fewest, until `stop` is
/// cancelled. If all queues are full it waits, the listeners wait for it, and clients wait in the
/// system's queue.
pub(super) async fn dispatch(
    queues: &[WorkerQueue],
    accepted: &mut mpsc::Receiver<Accepted>,
    stop: &CancellationToken,
) {
    let mut is_stopped = false;
    loop {
        let next = tokio::select! {
            next = accepted.recv() => next,
            () = stop.cancelled(), if !is_stopped => {
                is_stopped = true;
                // The connections that were accepted already are still dispatched.
                accepted.close();
                continue;
            }
        };
        let Some(next) = next else { return };
        let Some(queue) = least_loaded(queues) else { continue };
        let permit = next.permit.for_worker(&queue.connections);
        if queue.sender.send(Accepted { permit, ..next }).await.is_err() {
            error!("a worker has died");
        }
    }
}

/// The queue of the worker with the fewest connections: a full queue only if all are full, and never
/// the queue of a worker that has died.
fn least_loaded(queues: &[WorkerQueue]) -> Option<&WorkerQueue> {
    queues.iter().filter(|queue| !queue.sender.is_closed()).min_by_key(|queue| {
        (queue.sender.capacity() == 0, queue.connections.load(Ordering::Relaxed))
    })
}

/// How many connections may wait for a worker, and how many may wait to be dispatched.
pub(super) const QUEUE_MAX: usize = 128;
