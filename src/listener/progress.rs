//! The progress of a client and its requests: what the reader below hyper and the service above it
//! see, for the deadlines of the connection.
//!
//! Reader, service and connection are parts of one task, so that relaxed atomics are enough. They are
//! atomics because the task may move between threads on an embedder's runtime.
//!
//! Runs for every byte.

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::task::Waker;

use super::head_guard::{HeadGuard, Stage};
use super::idle::{Idle, IdleTime};
use crate::net::{SocketReceiver, UpgradeHandoff};
use crate::shutdown::{Notifier, TaskWaker};

/// The state of a connection. A request is open from the last byte of its head to the last byte of its
/// answer.
#[derive(Debug)]
pub(super) struct Progress {
    stage: AtomicU8,
    refused: AtomicBool,
    heads: AtomicU32,
    /// How many requests reached the service, and how many of these are answered.
    opened: AtomicU32,
    answered: AtomicU32,
    /// How many may reach it.
    requests_max: u32,
    /// hyper waits for bytes of the client.
    awaits_bytes: AtomicBool,
    /// There are bytes of the client that hyper does not read.
    unread: AtomicBool,
    /// hyper may still hold a part of a completed answer.
    unflushed: AtomicBool,
    /// The client does not read: its socket takes no more bytes.
    write_blocked: AtomicBool,
    /// The shutdown has begun.
    shutting_down: AtomicBool,
    /// A request was answered before its body was complete, and the answer ends the connection.
    answered_early: AtomicBool,
    /// How the client is to see that its answer is truncated: a [`Truncation`], or 0.
    truncation: AtomicU8,
    steps: AtomicU32,
    idle: IdleTime,
    /// The task of the connection, which the shutdown wakes.
    task: TaskWaker,
    /// Belongs to the request that asks for an upgrade, which is the last request.
    handoff: OnceLock<UpgradeHandoff>,
}

/// What a connection waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// The next request.
    Idle,
    /// The rest of a head.
    Head,
    /// The rest of a body that the service reads.
    Body,
    /// The client reading its answer.
    WriteBlocked,
    /// The proxy.
    Exchange,
    /// Nothing: the guard found a fault, and all requests before it are answered.
    Refused,
    /// Nothing: a request was answered before its body was complete, and the connection ends.
    AnsweredEarly,
}

/// How the client sees that its answer is truncated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Truncation {
    /// By FIN, which comes before the end that the framing of the answer declares.
    Fin = 1,
    /// By RST: the body of the answer is delimited by FIN.
    Reset,
}

/// An open request. It ends when this is dropped.
#[derive(Debug)]
pub(super) struct OpenRequest(Arc<Progress>);

impl Progress {
    /// For a connection that may have so many requests.
    pub(super) fn new(requests_max: NonZeroU32) -> Self {
        Self {
            stage: AtomicU8::default(),
            refused: AtomicBool::default(),
            heads: AtomicU32::default(),
            opened: AtomicU32::default(),
            answered: AtomicU32::default(),
            requests_max: requests_max.get(),
            awaits_bytes: AtomicBool::default(),
            unread: AtomicBool::default(),
            unflushed: AtomicBool::default(),
            write_blocked: AtomicBool::default(),
            shutting_down: AtomicBool::default(),
            answered_early: AtomicBool::default(),
            truncation: AtomicU8::default(),
            steps: AtomicU32::default(),
            idle: IdleTime::default(),
            task: TaskWaker::default(),
            handoff: OnceLock::default(),
        }
    }

    /// Whether the connection has had as many requests as it may have.
    pub(super) fn is_spent(&self) -> bool {
        self.opened.load(Relaxed) >= self.requests_max
    }

    /// The guard has inspected bytes.
    pub(super) fn inspected(&self, guard: &HeadGuard) {
        let stage = guard.stage();
        let moved = self.stage.swap(stage as u8, Relaxed) != stage as u8;
        let completed = self.heads.swap(guard.heads(), Relaxed) != guard.heads();
        // The bytes of a head are no step: the whole head has one deadline.
        if moved || completed || stage == Stage::Body {
            self.step();
        }
        self.refused.store(guard.fault().is_some(), Relaxed);
    }

    /// Sets the task that the shutdown wakes. The caller has to check afterwards whether it has begun.
    pub(super) fn set_task(&self, task: &Waker) {
        self.task.set_waker(task);
    }

    /// The connection has a request that asks for an upgrade.
    pub(super) fn set_handoff(&self, handoff: UpgradeHandoff) {
        // A second one would be among the bytes that the guard does not inspect.
        let _ = self.handoff.set(handoff);
    }

    /// Takes the receiver of the socket, if an upgrade was answered.
    pub(super) fn take_receiver(&self) -> Option<SocketReceiver> {
        self.handoff.get()?.take_receiver()
    }

    /// Since when the connection is idle, while it is.
    pub(super) fn idle_time(&self) -> &IdleTime {
        &self.idle
    }

    /// Makes each answer from now on the last one of the connection.
    pub(super) fn shut_down(&self) {
        self.shutting_down.store(true, Relaxed);
    }

    /// Sets whether hyper waits for bytes of the client.
    pub(super) fn set_awaits_bytes(&self, awaits: bool) {
        self.awaits_bytes.store(awaits, Relaxed);
    }

    /// Whether hyper waits for bytes of the client.
    pub(super) fn awaits_bytes(&self) -> bool {
        self.awaits_bytes.load(Relaxed)
    }

    /// Sets whether there are bytes of the client that hyper does not read.
    pub(super) fn set_unread(&self, unread: bool) {
        self.unread.store(unread, Relaxed);
    }

    /// Whether the end of the client's stream would wake no task, because there are bytes before it.
    pub(super) fn has_unread(&self) -> bool {
        self.unread.load(Relaxed)
    }

    /// The client's socket took bytes.
    pub(super) fn wrote(&self) {
        self.write_blocked.store(false, Relaxed);
        self.step();
    }

    /// The client's socket takes no bytes at the moment.
    pub(super) fn write_blocked(&self) {
        self.write_blocked.store(true, Relaxed);
    }

    /// hyper holds no more bytes for the client: it flushes only then.
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

    /// What the connection waits for.
    pub(super) fn phase(&self) -> Phase {
        let answered = self.heads.load(Relaxed) == self.answered.load(Relaxed);
        let stage = self.stage.load(Relaxed);
        let in_body = stage == Stage::Body as u8;
        let in_tunnel = stage == Stage::Tunnel as u8;
        let is_flushed = !self.unflushed.load(Relaxed);
        if self.write_blocked.load(Relaxed) {
            Phase::WriteBlocked
        } else if answered && is_flushed && self.answered_early.load(Relaxed) {
            Phase::AnsweredEarly
        } else if in_body && self.awaits_bytes.load(Relaxed) {
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

    /// How the client is to see that its answer is truncated. `None` if none is.
    pub(super) fn truncation(&self) -> Option<Truncation> {
        let found = self.truncation.load(Relaxed);
        [Truncation::Fin, Truncation::Reset].into_iter().find(|known| *known as u8 == found)
    }

    /// Changes whenever the client did something that restarts its deadline. Wraps.
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

impl Idle for Progress {
    fn is_idle(&self) -> bool {
        self.phase() == Phase::Idle
    }

    fn idle_time(&self) -> &IdleTime {
        &self.idle
    }
}

impl OpenRequest {
    /// Whether its answer is the last one of the connection: because the shutdown has begun, or because
    /// the connection has had its requests.
    pub(super) fn is_last(&self) -> bool {
        self.0.shutting_down.load(Relaxed) || self.0.is_spent()
    }

    /// Its answer begins. Returns whether the connection must end with it, because a part of the
    /// request body is missing: the client may never send it, and the service may never read it.
    pub(super) fn is_answered_early(&self) -> bool {
        let early = self.0.stage.load(Relaxed) == Stage::Body as u8;
        self.0.answered_early.store(early, Relaxed);
        early
    }

    /// Its answer is truncated.
    pub(super) fn truncated(&self, seen_as: Truncation) {
        self.0.truncation.store(seen_as as u8, Relaxed);
    }
}

impl Drop for OpenRequest {
    fn drop(&mut self) {
        self.0.unflushed.store(true, Relaxed);
        self.0.answered.fetch_add(1, Relaxed);
    }
}
