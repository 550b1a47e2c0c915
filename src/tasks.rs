//! Tasks and their owners: none is spawned without one.
//!
//! Runs for every request.

use std::future::Future;

use tokio_util::task::TaskTracker;

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
    use std::time::Duration;

    use super::*;
    use crate::Instant;

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
