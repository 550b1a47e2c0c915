//! The timer of a connection's deadlines.
//!
//! Runs for every request.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use pin_project_lite::pin_project;
use tokio::time::{Sleep, sleep_until};

use super::deadlines::Deadlines;
use super::progress::Phase;
use crate::Instant;

pin_project! {
    /// Fires at the deadline of the current phase. It resets its timer only if the timer would fire too
    /// late; a timer that fires too early is reset then.
    pub(super) struct PhaseTimer {
        deadlines: Deadlines,
        phase: Phase,
        steps: u32,
        since: Instant,
        armed: Instant,
        #[pin]
        timer: Sleep,
    }
}

impl PhaseTimer {
    /// For a connection that begins now, idle.
    pub(super) fn new(deadlines: Deadlines) -> Self {
        let now = Instant::now();
        let armed = deadlines.due(Phase::Idle, now).unwrap_or(now);
        Self {
            deadlines,
            phase: Phase::Idle,
            steps: 0,
            since: now,
            armed,
            timer: sleep_until(armed),
        }
    }

    /// The shutdown begins at `now`.
    pub(super) fn shut_down(self: Pin<&mut Self>, now: Instant) {
        self.project().deadlines.shut_down(now);
    }

    /// Ready if the connection has been in `phase` without a step for as long as allowed.
    pub(super) fn poll_due(
        self: Pin<&mut Self>,
        phase: Phase,
        steps: u32,
        cx: &mut Context<'_>,
    ) -> Poll<()> {
        let mut this = self.project();
        let moved = (*this.phase, *this.steps) != (phase, steps);
        (*this.phase, *this.steps) = (phase, steps);
        if moved && phase != Phase::Exchange {
            *this.since = Instant::now();
        }
        let Some(due) = this.deadlines.due(phase, *this.since) else { return Poll::Pending };
        if due < *this.armed {
            *this.armed = due;
            this.timer.as_mut().reset(due);
        }
        while this.timer.as_mut().poll(cx).is_ready() {
            if due <= *this.armed {
                return Poll::Ready(());
            }
            *this.armed = due;
            this.timer.as_mut().reset(due);
        }
        Poll::Pending
    }

    /// Since when the connection is in its phase.
    pub(super) fn since(&self) -> Instant {
        self.since
    }

    /// Wakes the task within [`UNREAD_CHECK_INTERVAL`].
    pub(super) fn wake_soon(self: Pin<&mut Self>, cx: &mut Context<'_>) {
        let mut this = self.project();
        let soon = Instant::now() + UNREAD_CHECK_INTERVAL;
        if soon < *this.armed {
            *this.armed = soon;
            this.timer.as_mut().reset(soon);
        }
        while this.timer.as_mut().poll(cx).is_ready() {
            *this.armed = soon;
            this.timer.as_mut().reset(soon);
        }
    }
}

/// How often the end of the client's stream is polled for while there are unread bytes before it,
/// because no event reports it.
const UNREAD_CHECK_INTERVAL: Duration = Duration::from_millis(500);

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::pin::pin;

    use tokio::time::{advance, timeout};

    use super::super::Settings;
    use super::*;

    /// How long the timer waits in `phase`. `None` for more than an hour.
    async fn waited(
        timer: &mut Pin<&mut PhaseTimer>,
        phase: Phase,
        steps: u32,
    ) -> Option<Duration> {
        let begun = Instant::now();
        let due = poll_fn(|cx| timer.as_mut().poll_due(phase, steps, cx));
        timeout(Duration::from_secs(3600), due).await.ok().map(|()| begun.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn each_phase_and_each_step_has_its_own_time() {
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        let mut timer = pin!(PhaseTimer::new(Deadlines::new(&Settings {
            header_timeout: Duration::from_secs(10),
            keep_alive_timeout: Duration::from_secs(75),
            ..Settings::default()
        })));
        advance(Duration::from_secs(5)).await;
        assert_eq!(waited(&mut timer, Phase::Idle, 0).await, seconds(70));
        assert_eq!(waited(&mut timer, Phase::Head, 1).await, seconds(10));
        assert_eq!(waited(&mut timer, Phase::Exchange, 2).await, None);
        assert_eq!(waited(&mut timer, Phase::Body, 2).await, seconds(60));
        assert_eq!(waited(&mut timer, Phase::Body, 3).await, seconds(60));
        assert_eq!(waited(&mut timer, Phase::WriteBlocked, 4).await, seconds(60));
        assert_eq!(waited(&mut timer, Phase::Idle, 4).await, seconds(75));
        assert_eq!(waited(&mut timer, Phase::Idle, 4).await, seconds(0));
        assert_eq!(waited(&mut timer, Phase::Idle, 5).await, seconds(75));
    }
}
