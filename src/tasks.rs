//! Tasks and their owners: none is spawned without one.
//!
//! Runs for every request.

use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use tokio::time::sleep;
use tokio_util::task::TaskTracker;
use tracing::error;

/// Owns tasks: it counts them and can wait for their end. Clones share the count.
#[derive(Clone, Debug, Default)]
pub struct Tasks(TaskTracker);

impl Tasks {
    /// Runs `task` on the current runtime.
    #[expect(clippy::disallowed_methods, reason = "this is the owner that the ban speaks of")]
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        tokio::spawn(self.0.track_future(task));
    }

    /// Runs a task that the process needs as long as it lives: one made by `make`, and another one after
    /// each that panicked, until one returns. `name` is for the log.
    pub(crate) fn spawn_lasting<F>(&self, name: &'static str, make: impl Fn() -> F + Send + 'static)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.spawn(async move { while survived(name, make()).await.is_none() {} });
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

/// The output of `task`. `None` if it panics: this is logged, and a second later it is time for another
/// one. What the task shares with others must be whole whenever it may panic.
pub(crate) async fn survived<T>(name: &'static str, task: impl Future<Output = T>) -> Option<T> {
    let mut task = pin!(task);
    let polled = poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| task.as_mut().poll(cx))) {
        Ok(Poll::Ready(output)) => Poll::Ready(Some(output)),
        Ok(Poll::Pending) => Poll::Pending,
        // The hook has logged and counted it. The future is not polled again.
        Err(_) => Poll::Ready(None),
    });
    let output = polled.await;
    if output.is_none() {
        error!(task = name, "a task that the process needs has panicked, starting it again");
        sleep(RESTART_AFTER).await;
    }
    output
}

/// A task that panics at once must not use up a core or fill the log.
const RESTART_AFTER: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

    use super::*;
    use crate::Instant;

    #[tokio::test(start_paused = true)]
    async fn tasks_are_waited_for() {
        let tasks = Tasks::default();
        let begun = Instant::now();
        tasks.spawn(sleep(Duration::from_secs(3)));
        assert_eq!(tasks.len(), 1);
        tasks.ended().await;
        assert!(tasks.is_empty());
        assert_eq!(begun.elapsed(), Duration::from_secs(3));
    }

    #[tokio::test(start_paused = true)]
    async fn a_lasting_task_is_started_again_a_second_after_each_panic() {
        let (tasks, begun, starts) =
            (Tasks::default(), Instant::now(), Arc::new(AtomicU32::new(0)));
        let counted = starts.clone();
        tasks.spawn_lasting("test", move || {
            let start = counted.fetch_add(1, Relaxed);
            async move { assert!(start >= 3, "as this test wants it") }
        });
        tasks.ended().await;
        assert_eq!(starts.load(Relaxed), 4);
        assert_eq!(begun.elapsed(), 3 * RESTART_AFTER);
    }
}
