//! The tasks that look up.
//!
//! Runs at start, at reload, or on a timer.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use super::run;
use crate::tasks::Tasks;
use crate::upstream::discovery::{Discovery, Found, Stage};

/// Runs a task for each upstream whose nodes are discovered. All end when this is dropped.
#[derive(Debug)]
pub(crate) struct Lookups {
    tasks: Tasks,
    changed: mpsc::Sender<Found>,
    running: Vec<RunningLookup>,
}

/// A discovery that runs for as long as this lives.
#[derive(Debug)]
struct RunningLookup {
    discovery: Arc<Discovery>,
    _stop: oneshot::Sender<()>,
}

impl Lookups {
    /// No tasks yet. The receiver gets changed answers and is to put them in force.
    pub(crate) fn new() -> (Self, mpsc::Receiver<Found>) {
        let (changed, found) = mpsc::channel(1);
        (Self { tasks: Tasks::default(), changed, running: Vec::new() }, found)
    }

    /// Looks up for exactly these from now on. Tasks that run already go on.
    pub(crate) fn follow<'a>(&mut self, discoveries: impl Iterator<Item = &'a Arc<Discovery>>) {
        let mut former = std::mem::take(&mut self.running);
        for discovery in discoveries {
            let same = |running: &RunningLookup| Arc::ptr_eq(&running.discovery, discovery);
            let running = match former.iter().position(same) {
                Some(index) => former.swap_remove(index),
                None => self.start(discovery.clone()),
            };
            self.running.push(running);
        }
    }

    /// How many tasks run.
    #[cfg(test)]
    pub(super) fn running(&self) -> usize {
        self.tasks.len()
    }

    fn start(&self, discovery: Arc<Discovery>) -> RunningLookup {
        let (stop, stopped) = oneshot::channel();
        let (running, changed) = (discovery.clone(), self.changed.clone());
        // Requests may wait from now on, not only once the task is first polled.
        discovery.enter(Stage::Asking);
        self.tasks.spawn(async move {
            tokio::select! {
                // Always an error: the sender is dropped.
                _ = stopped => (),
                () = run(&running, changed) => (),
            }
            running.enter(Stage::Off);
        });
        RunningLookup { discovery, _stop: stop }
    }
}
