//! The control plane's handle on the workers: start and stop accepting.
//!
//! Runs at start, at reload, or on a timer.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tracing::error;

use super::dispatch::{QUEUE_MAX, WorkerQueue};
use crate::descriptors::Reserve;
use crate::listener::{AcceptBounds, Accepted, IdleConnections, Listener, LiveSettings, Settings};
use crate::metrics::Connections;
use crate::net::ConnectionLimit;
use crate::tasks::{Tasks, survived};

/// A handle to the running workers, for use on the first worker only.
#[derive(Clone, Debug)]
pub(crate) struct Control {
    tasks: Tasks,
    accepted: mpsc::Sender<Accepted>,
    limit: ConnectionLimit,
    connections: Arc<[Arc<AtomicUsize>]>,
    counts: Arc<Connections>,
    idle: IdleConnections,
    /// The listeners that were not stopped.
    acceptors: Arc<Mutex<Vec<Weak<Acceptor>>>>,
}

/// A listener that accepts until this is dropped.
#[derive(Debug)]
pub(crate) struct AcceptHandle {
    stop: CancellationToken,
    ended: oneshot::Receiver<()>,
    settings: LiveSettings,
    _acceptor: Arc<Acceptor>,
}

/// A listener and whether it accepts.
#[derive(Debug)]
struct Acceptor {
    address: SocketAddr,
    is_lost: AtomicBool,
}

impl Control {
    /// A handle to the workers with these queues, and the connections that are to be dispatched to them.
    pub(super) fn new(
        queues: &[WorkerQueue],
        tasks: Tasks,
        limit: ConnectionLimit,
        counts: Arc<Connections>,
    ) -> (Self, mpsc::Receiver<Accepted>) {
        let (sender, accepted) = mpsc::channel(QUEUE_MAX);
        let connections = queues.iter().map(|queue| queue.connections().clone()).collect();
        let acceptors = Arc::default();
        let idle = IdleConnections::default();
        let control = Self { tasks, accepted: sender, limit, connections, counts, idle, acceptors };
        (control, accepted)
    }

    /// Accepts on `listener` until the returned handle is stopped or dropped.
    pub(crate) fn accept(&self, listener: Listener) -> AcceptHandle {
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let (ended, end) = oneshot::channel();
        let settings = listener.settings().clone();
        let accepted = self.accepted.clone();
        let (limit, counts) = (self.limit.clone(), self.counts.clone());
        let bounds =
            AcceptBounds { limit, reserve: Reserve::new(), idle: self.idle.clone(), counts };
        let address = listener.local_address();
        let acceptor = Arc::new(Acceptor { address, is_lost: AtomicBool::new(false) });
        self.add(&acceptor);
        let weak = Arc::downgrade(&acceptor);
        self.tasks.spawn(async move {
            let result = accept_until(listener, accepted, bounds, &stopped).await;
            if let Err(error) = result {
                error!(%address, %error, "cannot accept");
            }
            if let Some(acceptor) = weak.upgrade().filter(|_| !stopped.is_cancelled()) {
                acceptor.is_lost.store(true, Ordering::Relaxed);
            }
            // Fails if the handle is dropped.
            let _ = ended.send(());
        });
        AcceptHandle { stop, ended: end, settings, _acceptor: acceptor }
    }

    /// The addresses of listeners that failed: they no longer accept although they were not stopped.
    pub(crate) fn lost_listeners(&self) -> impl Iterator<Item = SocketAddr> + use<> {
        let acceptors: Vec<_> = self.acceptors().iter().filter_map(Weak::upgrade).collect();
        let is_lost = |acceptor: &Arc<Acceptor>| acceptor.is_lost.load(Ordering::Relaxed);
        acceptors.into_iter().filter(is_lost).map(|acceptor| acceptor.address)
    }

    fn add(&self, acceptor: &Arc<Acceptor>) {
        let mut acceptors = self.acceptors();
        acceptors.retain(|acceptor| acceptor.strong_count() > 0);
        acceptors.push(Arc::downgrade(acceptor));
    }

    fn acceptors(&self) -> MutexGuard<'_, Vec<Weak<Acceptor>>> {
        // No code under the lock panics.
        self.acceptors.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The limit for the clients of all workers.
    pub(crate) fn connection_limit(&self) -> &ConnectionLimit {
        &self.limit
    }

    /// How many connections and tunnels each worker has, with those in its queue.
    pub(crate) fn connections(&self) -> impl Iterator<Item = usize> {
        self.connections.iter().map(|connections| connections.load(Ordering::Relaxed))
    }

    /// The counts of the connections of all workers.
    pub(crate) fn counts(&self) -> &Arc<Connections> {
        &self.counts
    }

    /// The tasks of the first worker.
    #[cfg(test)]
    pub(crate) fn tasks(&self) -> &Tasks {
        &self.tasks
    }
}

/// Accepts until `stop` is cancelled, also after a panic: the address stays open, and clients wait in the
/// system's queue until the loop runs again.
async fn accept_until(
    mut listener: Listener,
    accepted: mpsc::Sender<Accepted>,
    bounds: AcceptBounds,
    stop: &CancellationToken,
) -> io::Result<()> {
    loop {
        let again = listener.try_clone()?;
        let accepting = listener.accept(accepted.clone(), bounds.clone(), stop.clone());
        match survived("accept", accepting).await {
            Some(result) => return result,
            None => listener = again,
        }
    }
}

impl AcceptHandle {
    /// Replaces the settings for new connections. The address stays.
    pub(crate) fn change(&self, settings: Settings) {
        self.settings.change(settings);
    }

    /// Stops accepting. When this returns, the address is free. Accepted connections continue.
    pub(crate) async fn stop(mut self) {
        self.stop.cancel();
        // An error means that the task was dropped, and its socket with it.
        let _ = (&mut self.ended).await;
    }
}

impl Drop for AcceptHandle {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
