//! What wakes a tunnel though no byte came: its timer, the drain, and the roster that dismisses it.
//!
//! All wake the task through the bell of its place on the roster, which remembers having rung, so
//! that a wake-up for bytes asks none of them: the drain's watch has a lock that all tunnels of all
//! workers share.
//!
//! Runs for every byte.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use tokio::time::Sleep;

use super::Occupant;
use crate::Instant;

/// A tunnel's timer and its watch on the drain.
pub(super) struct Alarms<'a, F> {
    /// What the bell wakes.
    task: Option<Waker>,
    sleep: Pin<&'a mut Sleep>,
    /// When the sleep ends, while it does.
    armed: Option<Instant>,
    /// Gone when the drain has begun: a future is not polled again after it is ready.
    drain: Option<Pin<&'a mut F>>,
    /// The end of the drain that has begun, until it is heeded.
    until: Option<Instant>,
}

impl<'a, F: Future<Output = Instant>> Alarms<'a, F> {
    /// `drain` says when the drain that begins will end; `sleep` is armed when needed.
    pub(super) fn new(sleep: Pin<&'a mut Sleep>, drain: Pin<&'a mut F>) -> Self {
        Self { task: None, sleep, armed: None, drain: Some(drain), until: None }
    }

    /// Whether one of them may have something to say; always at the first call, and when
    /// another task took the tunnel over.
    #[inline]
    pub(super) fn have_rung(&mut self, cx: &Context<'_>, occupant: &Occupant) -> bool {
        match &self.task {
            Some(task) if task.will_wake(cx.waker()) => {
                if !occupant.take_rung() {
                    return false;
                }
            }
            Some(_) | None => {
                occupant.hang_bell(cx.waker().clone());
                self.task = Some(cx.waker().clone());
            }
        }
        self.listen(&occupant.bell());
        true
    }

    /// When the drain will end, once, if it has begun.
    pub(super) fn take_drain(&mut self) -> Option<Instant> {
        self.until.take()
    }

    /// Makes the bell ring at `next`. A later moment than the last one's costs nothing: the bell
    /// rings at the earlier one, in vain, and is armed again then.
    #[inline]
    pub(super) fn arm(&mut self, next: Option<Instant>, occupant: &Occupant) {
        let Some(next) = next else { return };
        if self.armed.is_some_and(|armed| armed <= next) {
            return;
        }
        self.sleep.as_mut().reset(next);
        self.armed = Some(next);
        let bell = occupant.bell();
        if self.listen_to_sleep(&bell) {
            bell.wake();
        }
    }

    /// Asks both and hangs the bell on what has nothing to say yet.
    fn listen(&mut self, bell: &Waker) {
        self.listen_to_sleep(bell);
        if let Some(drain) = &mut self.drain
            && let Poll::Ready(until) = drain.as_mut().poll(&mut Context::from_waker(bell))
        {
            self.drain = None;
            self.until = Some(until);
        }
    }

    /// Whether the sleep is over.
    fn listen_to_sleep(&mut self, bell: &Waker) -> bool {
        if self.armed.is_none() {
            return false;
        }
        let is_over = self.sleep.as_mut().poll(&mut Context::from_waker(bell)).is_ready();
        if is_over {
            self.armed = None;
        }
        is_over
    }
}
