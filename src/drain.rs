//! The orderly end: who is told of it, and who owns the tasks that end.
//!
//! Runs at start, at reload, or on a timer.

use std::future::Future;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::task::TaskTracker;

use crate::Instant;

/// Begins the orderly end of what watches it.
#[derive(Debug)]
pub struct Drain(watch::Sender<Phase>);

/// Sees a drain begin.
#[derive(Clone, Debug)]
pub struct DrainWatch(watch::Receiver<Phase>);

/// How far a drain is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Running,
    Draining { until: Instant },
}

impl Drain {
    /// A drain that has not begun, and its first watch.
    pub fn new() -> (Self, DrainWatch) {
        let (sender, receiver) = watch::channel(Phase::Running);
        (Self(sender), DrainWatch(receiver))
    }

    /// Tells all watches that they should be done within `timeout`. A second call changes
    /// nothing.
    pub fn begin(&self, timeout: Duration) {
        self.0.send_if_modified(|phase| {
            let begins = *phase == Phase::Running;
            if begins {
                *phase = Phase::Draining { until: Instant::now() + timeout };
            }
            begins
        });
    }
}

impl DrainWatch {
    /// Waits for the drain to begin and says when it ends. Never returns if the [`Drain`] is
    /// dropped before it began. Nothing is lost if the future is dropped.
    pub async fn begun(&mut self) -> Instant {
        match self.0.wait_for(|phase| *phase != Phase::Running).await.map(|phase| *phase) {
            Ok(Phase::Draining { until }) => until,
            Ok(Phase::Running) | Err(_) => std::future::pending().await,
        }
    }

    /// Whether the drain has begun.
    pub fn is_draining(&self) -> bool {
        *self.0.borrow() != Phase::Running
    }
}

/// Owns tasks: it counts them and can wait for their end. Clones share the count.
#[derive(Clone, Debug, Default)]
pub struct Tasks(TaskTracker);

impl Tasks {
    /// Runs `task` on the current runtime.
    #[expect(clippy::disallowed_methods, reason = "this is the owner that the ban speaks of")]
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        tokio::spawn(self.0.track_future(task));
    }

    /// How many tasks run.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether no task runs.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Waits until no task runs. New tasks may still be spawned meanwhile and are waited for too.
    pub async fn ended(&self) {
        self.0.close();
        self.0.wait().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn every_watch_sees_the_drain_and_its_end() {
        let (drain, mut watch) = Drain::new();
        let mut other = watch.clone();
        assert!(!watch.is_draining());

        let end = Instant::now() + Duration::from_secs(5);
        drain.begin(Duration::from_secs(5));
        drain.begin(Duration::from_secs(50));

        assert!(watch.is_draining());
        assert_eq!(watch.begun().await, end);
        assert_eq!(other.begun().await, end);
    }

    #[tokio::test(start_paused = true)]
    async fn tasks_are_waited_for() {
        let tasks = Tasks::default();
        let begun = Instant::now();
        tasks.spawn(tokio::time::sleep(Duration::from_secs(3)));
        assert_eq!(tasks.len(), 1);
        tasks.ended().await;
        assert!(tasks.is_empty());
        assert_eq!(begun.elapsed(), Duration::from_secs(3));
    }
}
