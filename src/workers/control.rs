//! What the control plane can do with the workers: begin and end to accept.
//!
//! Runs at start, at reload, or on a timer.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tracing::error;

use super::desk::{Dealing, Desk, QUEUE_MAX};
use crate::client::Places;
use crate::drain::{Drain, DrainWatch, Tasks};
use crate::listener::{Accepted, Listener, LiveSettings, Settings};
use crate::metrics::Connections;

/// A handle to the running workers. For use on the first worker only, where `control` runs.
#[derive(Clone, Debug)]
pub struct Control {
    tasks: Tasks,
    accepted: mpsc::Sender<Accepted>,
    places: Places,
    connections: Arc<[Arc<AtomicUsize>]>,
    counts: Arc<Connections>,
}

/// A listener that accepts. It stops when this is dropped.
#[derive(Debug)]
pub struct Accepting {
    stop: Drain,
    ended: oneshot::Receiver<()>,
    settings: LiveSettings,
}

impl Control {
    pub(super) fn new(
        desks: &[Desk],
        (tasks, places): (Tasks, Places),
        over: DrainWatch,
        counts: Arc<Connections>,
    ) -> (Self, Dealing) {
        let (sender, accepted) = mpsc::channel(QUEUE_MAX);
        let connections = desks.iter().map(|desk| desk.connections().clone()).collect();
        (Self { tasks, accepted: sender, places, connections, counts }, Dealing { accepted, over })
    }

    /// Accepts on `listener` from now on, until the answer is stopped or dropped.
    pub fn accept(&self, listener: Listener) -> Accepting {
        let (stop, stopped) = Drain::new();
        let (alive, ended) = oneshot::channel();
        let settings = listener.settings().clone();
        let (accepted, places) = (self.accepted.clone(), self.places.clone());
        self.tasks.spawn(async move {
            let address = listener.local_address();
            if let Err(error) = listener.accept(accepted, places, stopped).await {
                error!(%address, %error, "cannot accept");
            }
            // It is of no interest any more if nobody waits for it.
            let _ = alive.send(());
        });
        Accepting { stop, ended, settings }
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
        self.stop.begin(Duration::ZERO);
        // An error means that the loop was dropped, and its socket with it.
        let _ = (&mut self.ended).await;
    }
}

impl Drop for Accepting {
    fn drop(&mut self) {
        self.stop.begin(Duration::ZERO);
    }
}
