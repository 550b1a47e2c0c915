//! What wakes a tunnel though no byte came: its timer, the drain, and the roster that dismisses it.
//!
//! All wake the task through the bell of its place on the roster, which remembers having rung, so
//! that a wake-up for bytes asks none of them.
//!
//! Runs for every byte.

use std::pin::Pin;
use std::task::{Context, Waker};

use pin_project_lite::pin_project;
use tokio::time::Sleep;

use super::Occupant;
use crate::Instant;
use crate::shutdown::{Registration, ShutdownWatch};

pin_project! {
    /// A tunnel's timer and its bell on the drain.
    #[derive(Debug)]
    pub(super) struct Alarms {
        // What the bell wakes.
        task: Option<Waker>,
        drain: Registration,
        // The drain was heeded.
        is_drained: bool,
        // The sleep's end is waited for.
        is_armed: bool,
        #[pin]
        sleep: Sleep,
    }
}

impl Alarms {
    /// Nothing is armed yet; the drain rings the bell of `occupant`.
    ///
    /// # Panics
    /// Outside of a tokio runtime with its timer enabled.
    pub(super) fn new(drain: &ShutdownWatch, occupant: &Occupant) -> Self {
        Self {
            task: None,
            drain: drain.register(occupant.notifier()),
            is_drained: false,
            is_armed: false,
            sleep: tokio::time::sleep_until(Instant::now()),
        }
    }

    /// Whether one of them may have something to say; always at the first call, and when
    /// another task took the tunnel over.
    #[inline]
    pub(super) fn have_rung(
        mut self: Pin<&mut Self>,
        cx: &Context<'_>,
        occupant: &Occupant,
    ) -> bool {
        let task = self.as_mut().project().task;
        match task {
            Some(task) if task.will_wake(cx.waker()) => {
                if !occupant.take_rung() {
                    return false;
                }
            }
            Some(_) | None => {
                occupant.hang_bell(cx.waker());
                *task = Some(cx.waker().clone());
            }
        }
        self.listen_to_sleep(&occupant.bell());
        true
    }

    /// When the drain will end, once, if it has begun.
    pub(super) fn take_drain(self: Pin<&mut Self>) -> Option<Instant> {
        let until = self.drain.deadline().filter(|_| !self.is_drained);
        *self.project().is_drained |= until.is_some();
        until
    }

    /// Makes the bell ring at `next`. A later moment than the last one's costs nothing: the bell
    /// rings at the earlier one, in vain, and is armed again then.
    #[inline]
    pub(super) fn arm(mut self: Pin<&mut Self>, next: Option<Instant>, occupant: &Occupant) {
        let Some(next) = next else { return };
        if self.is_armed && self.sleep.deadline() <= next {
            return;
        }
        let this = self.as_mut().project();
        this.sleep.reset(next);
        *this.is_armed = true;
        let bell = occupant.bell();
        if self.listen_to_sleep(&bell) {
            bell.wake();
        }
    }

    /// Whether the sleep is over; else hangs the bell on it.
    fn listen_to_sleep(self: Pin<&mut Self>, bell: &Waker) -> bool {
        if !self.is_armed {
            return false;
        }
        let this = self.project();
        let is_over = this.sleep.poll(&mut Context::from_waker(bell)).is_ready();
        *this.is_armed = !is_over;
        is_over
    }
}
