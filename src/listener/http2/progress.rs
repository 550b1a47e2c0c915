//! What a connection, its streams and the reader below h2 know of each other, for the deadlines.
//!
//! All of them run on one thread of ours, so that relaxed atomics are enough. They are atomics because
//! tasks may move between threads.
//!
//! Runs for every byte.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::task::Waker;

use super::frame_guard::{Flood, Stage};
use crate::listener::idle::{Idle, IdleTime};
use crate::listener::progress::Phase;
use crate::net::StreamOwner;
use crate::shutdown::{Notifier, TaskWaker};

/// The state of an HTTP/2 connection.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// A [`Stage`].
    stage: AtomicU8,
    /// Requests whose response is not complete, and tunnels.
    streams: AtomicUsize,
    /// Tunnels, and requests for one.
    tunnels: AtomicUsize,
    /// The client's socket takes no bytes at the moment.
    is_write_blocked: AtomicBool,
    /// Changes whenever something restarts a deadline. Wraps.
    steps: AtomicU32,
    /// Set when the reader has refused a frame. h2 keeps only the text of its error.
    flood: OnceLock<Flood>,
    idle: IdleTime,
    task: TaskWaker,
}

/// A stream that is being served, until this is dropped.
#[derive(Debug)]
pub(super) struct OpenStream(Arc<Progress>);

/// A stream that is a tunnel or asks for one, until this is dropped.
#[derive(Debug)]
pub(super) struct OpenTunnel(Arc<Progress>);

impl Progress {
    /// Sets the task of the connection. The caller has to look at the rest afterwards.
    pub(super) fn set_task(&self, task: &Waker) {
        self.task.set_waker(task);
    }

    /// Since when the connection is idle, while it is.
    pub(super) fn idle_time(&self) -> &IdleTime {
        &self.idle
    }

    /// A request has arrived.
    pub(super) fn open_stream(self: &Arc<Self>) -> OpenStream {
        self.streams.fetch_add(1, Relaxed);
        OpenStream(self.clone())
    }

    /// A request for a tunnel has arrived.
    pub(super) fn open_tunnel(self: &Arc<Self>) -> OpenTunnel {
        self.tunnels.fetch_add(1, Relaxed);
        OpenTunnel(self.clone())
    }

    /// Whether a GOAWAY would reach a client that has tunnels: Firefox ends them then.
    pub(super) fn has_tunnels(&self) -> bool {
        self.tunnels.load(Relaxed) > 0
    }

    /// Bytes of the client were read, and left the connection in `stage`.
    pub(super) fn read(&self, stage: Stage) {
        let moved = self.stage.swap(stage as u8, Relaxed) != stage as u8;
        // A header block has one deadline, and a whole frame ends no idle time.
        if moved || stage == Stage::Frame {
            self.step();
        }
    }

    /// The reader has refused a frame.
    pub(super) fn flooded(&self, flood: Flood) {
        // The first one is the reason.
        let _ = self.flood.set(flood);
    }

    /// What the reader has refused.
    pub(super) fn flood(&self) -> Option<Flood> {
        self.flood.get().copied()
    }

    /// The client's socket took bytes.
    pub(super) fn wrote(&self) {
        if self.is_write_blocked.swap(false, Relaxed) {
            self.step();
        }
    }

    /// The client's socket takes no bytes at the moment.
    pub(super) fn write_blocked(&self) {
        self.is_write_blocked.store(true, Relaxed);
    }

    /// What the connection waits for.
    pub(super) fn phase(&self) -> Phase {
        let stage = self.stage.load(Relaxed);
        if self.is_write_blocked.load(Relaxed) {
            // Each tunnel has its own rule for a client that takes nothing.
            if self.has_tunnels() { Phase::Exchange } else { Phase::WriteBlocked }
        } else if stage == Stage::Preface as u8 || stage == Stage::HeaderBlock as u8 {
            Phase::Head
        } else if stage == Stage::Frame as u8 {
            Phase::Body
        } else if self.streams.load(Relaxed) > 0 || self.has_tunnels() {
            Phase::Exchange
        } else {
            Phase::Idle
        }
    }

    /// See [`Self::phase`]: a deadline restarts when this changes.
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

impl StreamOwner for OpenTunnel {
    fn is_write_blocked(&self) -> bool {
        self.0.is_write_blocked.load(Relaxed)
    }
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        self.0.streams.fetch_sub(1, Relaxed);
        self.0.step();
        self.0.task.wake();
    }
}

impl Drop for OpenTunnel {
    fn drop(&mut self) {
        self.0.tunnels.fetch_sub(1, Relaxed);
        self.0.step();
        self.0.task.wake();
    }
}
