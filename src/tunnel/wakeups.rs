//! What wakes a tunnel besides bytes: its timer, the shutdown, and the roster that dismisses it.
//!
//! All of them wake the task through the tunnel's roster entry, which remembers the notification. A
//! wake-up for bytes therefore checks one flag and none of the three.
//!
//! Runs for every byte.

use std::pin::Pin;
use std::task::{Context, Waker};

use pin_project_lite::pin_project;
use tokio::time::Sleep;

use super::RosterGuard;
use crate::Instant;
use crate::shutdown::{Registration, ShutdownWatch};

pin_project! {
    /// A tunnel's timer and its registration for the shutdown.
    #[derive(Debug)]
    pub(super) struct Wakeups {
        // The task that the roster entry wakes.
        task: Option<Waker>,
        shutdown: Registration,
        // The shutdown's deadline was taken.
        is_shutdown_taken: bool,
        // The sleep's end is waited for.
        is_armed: bool,
        #[pin]
        sleep: Sleep,
    }
}

impl Wakeups {
    /// The timer is not armed yet; the shutdown notifies the entry of `roster_guard`.
    ///
    /// # Panics
    /// Outside of a tokio runtime with its timer enabled.
    pub(super) fn new(shutdown: &ShutdownWatch, roster_guard: &RosterGuard) -> Self {
        Self {
            task: None,
            shutdown: shutdown.register(roster_guard.notifier()),
            is_shutdown_taken: false,
            is_armed: false,
            sleep: tokio::time::sleep_until(Instant::now()),
        }
    }

    /// Whether one of the three may need attention. Always true at the first call, and when another
    /// task polls the tunnel.
    #[inline]
    pub(super) fn was_notified(
        mut self: Pin<&mut Self>,
        cx: &Context<'_>,
        roster_guard: &RosterGuard,
    ) -> bool {
        let task = self.as_mut().project().task;
        match task {
            Some(task) if task.will_wake(cx.waker()) => {
                if !roster_guard.take_notified() {
                    return false;
                }
            }
            Some(_) | None => {
                roster_guard.set_waker(cx.waker());
                *task = Some(cx.waker().clone());
            }
        }
        self.poll_sleep(&roster_guard.waker());
        true
    }

    /// The shutdown's deadline, once, if the shutdown has begun.
    pub(super) fn take_shutdown_deadline(self: Pin<&mut Self>) -> Option<Instant> {
        let deadline = self.shutdown.deadline().filter(|_| !self.is_shutdown_taken);
        *self.project().is_shutdown_taken |= deadline.is_some();
        deadline
    }

    /// Makes the timer fire at `next`. A later time than the last one costs nothing: the timer
    /// fires at the earlier one, without effect, and is armed again then.
    #[inline]
    pub(super) fn arm(mut self: Pin<&mut Self>, next: Option<Instant>, roster_guard: &RosterGuard) {
        let Some(next) = next else { return };
        if self.is_armed && self.sleep.deadline() <= next {
            return;
        }
        let this = self.as_mut().project();
        this.sleep.reset(next);
        *this.is_armed = true;
        let waker = roster_guard.waker();
        if self.poll_sleep(&waker) {
            waker.wake();
        }
    }

    /// Whether the sleep is over; if not, it wakes `waker` when it is.
    fn poll_sleep(self: Pin<&mut Self>, waker: &Waker) -> bool {
        if !self.is_armed {
            return false;
        }
        let this = self.project();
        let is_over = this.sleep.poll(&mut Context::from_waker(waker)).is_ready();
        *this.is_armed = !is_over;
        is_over
    }
}
