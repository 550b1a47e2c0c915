//! How far a client and its requests are: what the reader under hyper and the service above it
//! see, for the connection that has to keep time.
//!
//! All three are parts of one task, so that relaxed atomics are enough; they are atomics since
//! the task may move between threads where an embedder's runtime does that.
//!
//! Runs for every byte.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::task::Waker;

use super::head_guard::{HeadGuard, Stage};
use crate::client::{Heir, Takeover};
use crate::shutdown::{Notifier, TaskWaker};

/// What is shared. A request is open from the last byte of its head to the last byte of its
/// answer.
#[derive(Debug, Default)]
pub(super) struct Progress {
    stage: AtomicU8,
    refused: AtomicBool,
    heads: AtomicU32,
    /// How many requests have reached the service, and how many of these are answered.
    opened: AtomicU32,
    answered: AtomicU32,
    /// hyper waits for the client's bytes.
    starved: AtomicBool,
    /// The client's bytes wait although hyper does not read.
    unread: AtomicBool,
    /// hyper may hold a part of an answer that is ended.
    unflushed: AtomicBool,
    /// The client takes no more bytes.
    clogged: AtomicBool,
    /// The drain has begun.
    draining: AtomicBool,
    /// An answer said that it is the last one, before the body of its request was there.
    early: AtomicBool,
    /// How an answer that broke off is told to the client.
    cut: AtomicU8,
    steps: AtomicU32,
    /// What serves the connection, which the drain wakes.
    task: TaskWaker,
    /// That of the request that asks for an upgrade: there is none after it.
    takeover: OnceLock<Takeover>,
}

/// For what a connection waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// For the next request.
    Idle,
    /// For the rest of a head.
    Head,
    /// For the rest of a body, with someone who would take it.
    Body,
    /// For the client to take an answer.
    Clogged,
    /// For us.
    Exchange,
    /// For nothing: a fault was found, and all requests before it are answered.
    Refused,
    /// For nothing: a request was answered before its body was there, and the connection ends.
    Early,
}

/// How the client sees that an answer broke off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cut {
    /// By the end of the stream: it comes before the end that the answer's framing tells.
    End = 1,
    /// By a reset: the answer's body is delimited by the end of the stream.
    Reset,
}

/// An open request, whose end drops it.
#[derive(Debug)]
pub(super) struct OpenRequest(Arc<Progress>);

impl Progress {
    /// The guard has inspected bytes.
    pub(super) fn inspected(&self, guard: &HeadGuard) {
        let stage = guard.stage();
        let moved = self.stage.swap(stage as u8, Relaxed) != stage as u8;
        let completed = self.heads.swap(guard.heads(), Relaxed) != guard.heads();
        // The bytes of one head are no step: the whole head has one deadline.
        if moved || completed || stage == Stage::Body {
            self.step();
        }
        self.refused.store(guard.fault().is_some(), Relaxed);
    }

    /// `task` serves the connection. Whoever calls this looks afterwards whether the drain has begun.
    pub(super) fn serve_in(&self, task: &Waker) {
        self.task.set_waker(task);
    }

    /// The connection has a request that asks for an upgrade.
    pub(super) fn may_end_in(&self, takeover: Takeover) {
        // A second one would come from what the guard takes for a tunnel.
        let _ = self.takeover.set(takeover);
    }

    /// Who gets the socket, if an upgrade was answered.
    pub(super) fn heir(&self) -> Option<Heir> {
        self.takeover.get()?.heir()
    }

    /// Each answer from now on is the connection's last.
    pub(super) fn drain(&self) {
        self.draining.store(true, Relaxed);
    }

    /// hyper has read, or waits for the client.
    pub(super) fn starved(&self, starved: bool) {
        self.starved.store(starved, Relaxed);
    }

    /// Whether hyper waits for the client's bytes.
    pub(super) fn is_starved(&self) -> bool {
        self.starved.load(Relaxed)
    }

    /// Whether the client's bytes wait although hyper does not read.
    pub(super) fn leaves_unread(&self, unread: bool) {
        self.unread.store(unread, Relaxed);
    }

    /// Whether the end of the client's stream wakes nobody, for there are bytes before it.
    pub(super) fn has_unread(&self) -> bool {
        self.unread.load(Relaxed)
    }

    /// The client took bytes.
    pub(super) fn wrote(&self) {
        self.clogged.store(false, Relaxed);
        self.step();
    }

    /// The client takes no bytes at the moment.
    pub(super) fn clogged(&self) {
        self.clogged.store(true, Relaxed);
    }

    /// hyper holds no bytes for the client any more: it flushes what it writes to only then.
    pub(super) fn flushed(&self) {
        self.unflushed.store(false, Relaxed);
    }

    /// A request reached the service.
    pub(super) fn open(self: &Arc<Self>) -> OpenRequest {
        self.opened.fetch_add(1, Relaxed);
        OpenRequest(self.clone())
    }

    /// Whether what hyper writes belongs to the answer of a request.
    pub(super) fn is_answering(&self) -> bool {
        self.opened.load(Relaxed) != self.answered.load(Relaxed) || self.unflushed.load(Relaxed)
    }

    /// For what the connection waits.
    pub(super) fn phase(&self) -> Phase {
        let answered = self.heads.load(Relaxed) == self.answered.load(Relaxed);
        let stage = self.stage.load(Relaxed);
        let in_body = stage == Stage::Body as u8;
        let in_tunnel = stage == Stage::Tunnel as u8;
        let is_flushed = !self.unflushed.load(Relaxed);
        if self.clogged.load(Relaxed) {
            Phase::Clogged
        } else if answered && is_flushed && self.early.load(Relaxed) {
            Phase::Early
        } else if in_body && self.starved.load(Relaxed) {
            Phase::Body
        } else if !answered || !is_flushed || in_body || in_tunnel {
            Phase::Exchange
        } else if self.refused.load(Relaxed) {
            Phase::Refused
        } else if stage == Stage::Head as u8 {
            Phase::Head
        } else {
            Phase::Idle
        }
    }

    /// How the client is to see that an answer broke off, if one did.
    pub(super) fn cut(&self) -> Option<Cut> {
        [Cut::End, Cut::Reset].into_iter().find(|cut| *cut as u8 == self.cut.load(Relaxed))
    }

    /// Changes whenever the client did something that earns it new patience. Wraps.
    pub(super) fn steps(&self) -> u32 {
        self.steps.load(Relaxed)
    }

    fn step(&self) {
        self.steps.fetch_add(1, Relaxed);
    }
}

impl Notifier for Progress {
    fn wake(&self) {
        self.task.wake();
    }
}

impl OpenRequest {
    /// Whether its answer is the last one of the connection, since a drain has begun.
    pub(super) fn is_last(&self) -> bool {
        self.0.draining.load(Relaxed)
    }

    /// Its answer begins. Whether the connection must end with it since a part of the request's
    /// body is still to come: the client may never send it, and nobody may take it.
    pub(super) fn is_early(&self) -> bool {
        let early = self.0.stage.load(Relaxed) == Stage::Body as u8;
        self.0.early.store(early, Relaxed);
        early
    }

    /// Its answer broke off.
    pub(super) fn broke_off(&self, cut: Cut) {
        self.0.cut.store(cut as u8, Relaxed);
    }
}

impl Drop for OpenRequest {
    fn drop(&mut self) {
        self.0.unflushed.store(true, Relaxed);
        self.0.answered.fetch_add(1, Relaxed);
    }
}
