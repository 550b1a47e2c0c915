//! What the control plane can do with the workers: begin and end to accept.
//!
//! Runs at start, at reload, or on a timer.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tracing::error;

use super::desk::{Dealing, Desk, QUEUE_MAX};
use crate::client::Places;
use crate::listener::{Accepted, Listener, LiveSettings, Settings};
use crate::metrics::Connections;
use crate::tasks::Tasks;

/// A handle to the running workers. For use on the first worker only, where `control` runs.
#[derive(Clone, Debug)]
pub struct Control {
    tasks: Tasks,
    accepted: mpsc::Sender<Accepted>,
    places: Places,
    connections: Arc<[Arc<AtomicUsize>]>,
    counts: Arc<Connections>,
    /// Those that have not been stopped.
    acceptors: Arc<Mutex<Vec<Weak<Acceptor>>>>,
}

/// A listener that accepts. It stops when this is dropped.
#[derive(Debug)]
pub struct Accepting {
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
    pub(super) fn new(
        desks: &[Desk],
        (tasks, places): (Tasks, Places),
        over: CancellationToken,
        counts: Arc<Connections>,
    ) -> (Self, Dealing) {
        let (sender, accepted) = mpsc::channel(QUEUE_MAX);
        let connections = desks.iter().map(|desk| desk.connections().clone()).collect();
        let acceptors = Arc::default();
        let control = Self { tasks, accepted: sender, places, connections, counts, acceptors };
        (control, Dealing { accepted, over })
    }

    /// Accepts on `listener` from now on, until the answer is stopped or dropped.
    pub fn accept(&self, listener: Listener) -> Accepting {
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let (alive, ended) = oneshot::channel();
        let settings = listener.settings().clone();
        let (accepted, places) = (self.accepted.clone(), self.places.clone());
        let address = listener.local_address();
        let acceptor = Arc::new(Acceptor { address, is_lost: AtomicBool::new(false) });
        self.add(&acceptor);
        let noted = Arc::downgrade(&acceptor);
        self.tasks.spawn(async move {
            let result = listener.accept(accepted, places, stopped.clone()).await;
            if let Err(error) = result {
                error!(%address, %error, "cannot accept");
            }
            if let Some(acceptor) = noted.upgrade().filter(|_| !stopped.is_cancelled()) {
                acceptor.is_lost.store(true, Ordering::Relaxed);
            }
            // It is of no interest any more if nobody waits for it.
            let _ = alive.send(());
        });
        Accepting { stop, ended, settings, _acceptor: acceptor }
    }

    /// The addresses of listeners that accept no more, though nobody stopped them.
    pub fn lost_listeners(&self) -> impl Iterator<Item = SocketAddr> + use<> {
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
        // Nothing that is done under the lock panics.
        self.acceptors.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The places of all clients.
    pub fn places(&self) -> &Places {
        &self.places
    }

    /// How many connections and tunnels each worker has, with those that are still on its desk.
    pub fn connections(&self) -> impl Iterator<Item = usize> {
        self.connections.iter().map(|taken| taken.load(Ordering::Relaxed))
    }

    /// What became of the connections of all workers.
    pub fn counts(&self) -> &Arc<Connections> {
        &self.counts
    }

    /// The tasks of the first worker.
    pub fn tasks(&self) -> &Tasks {
        &self.tasks
    }
}

impl Accepting {
    /// Connections that are accepted from now on have these settings; the address stays.
    pub fn change(&self, settings: Settings) {
        self.settings.change(settings);
    }

    /// Stops to accept. When this returns the address is free; connections that were accepted
    /// live on.
    pub async fn stop(mut self) {
        self.stop.cancel();
        // An error means that the loop was dropped, and its socket with it.
        let _ = (&mut self.ended).await;
    }
}

impl Drop for Accepting {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
