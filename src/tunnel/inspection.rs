//! An open tunnel as others see it, and what they can ask of it: its end, what it knows of its sides, its
//! frames.
//!
//! The tunnel itself answers, when its task is woken: it shares nothing with others but a few words, and it
//! never waits for them.
//!
//! Runs at start, at reload, or on a timer.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use super::roster::Roster;
use super::roster_entry::RosterEntry;
use super::tap::{self, FrameSender};
use super::{Identity, Side, WatchedFrames};
use crate::Instant;
use crate::websocket::{PastFrame, Trail};

/// An open tunnel.
#[derive(Debug)]
pub(crate) struct OpenTunnel {
    roster: Arc<Roster>,
    entry: Arc<RosterEntry>,
}

/// What a tunnel is asked for.
#[derive(Debug, Default)]
pub(super) struct Orders {
    pub(super) inspections: Vec<oneshot::Sender<Inspection>>,
    pub(super) watchers: Vec<FrameSender>,
}

/// What a tunnel knows of itself.
#[derive(Clone, Debug)]
pub(crate) struct Inspection {
    /// What it noted of its sides.
    pub(crate) evidence: Evidence,
    /// Its last frames.
    pub(crate) frames: LastFrames,
}

/// What a tunnel noted of its sides. Pairs are of the client and of the node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Evidence {
    /// How long nothing has come; from the beginning, if nothing ever did.
    pub(crate) quiet: [Duration; 2],
    /// How long ago the last heartbeat of Engine.IO came.
    pub(crate) heartbeat: [Option<Duration>; 2],
    /// The shortest time between two heartbeats of the node.
    pub(crate) heartbeat_gap: Option<Duration>,
    /// How long bytes have waited for the side.
    pub(crate) waiting: [Option<Duration>; 2],
    /// The longest that a session with both ends alive is silent, if known.
    pub(crate) silence_max: Option<Duration>,
    /// Whether the kernel gave the connection up because the host acknowledged nothing.
    pub(crate) is_unacknowledged: [bool; 2],
    /// Whether the side ended its stream, or answered our Close frame, before the tunnel was over.
    pub(crate) has_ended: [bool; 2],
}

/// The last frames of both directions; none of a quiet one.
#[derive(Clone, Debug, Default)]
pub(crate) struct LastFrames([Option<Box<Trail>>; 2]);

impl LastFrames {
    /// Those of the client and of the node.
    pub(super) fn new(trails: [Option<&Trail>; 2]) -> Self {
        Self(trails.map(|trail| trail.map(|trail| Box::new(trail.clone()))))
    }

    /// All of them with their senders, the oldest first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Side, PastFrame)> {
        let of_side = |side: Side| {
            let trail = self.0[side as usize].as_deref();
            trail.into_iter().flat_map(Trail::frames).map(move |frame| (side, frame))
        };
        let mut frames: Vec<_> = Side::ALL.into_iter().flat_map(of_side).collect();
        frames.sort_by_key(|(_, frame)| frame.at);
        frames.into_iter()
    }
}

impl OpenTunnel {
    pub(super) fn new(roster: Arc<Roster>, entry: Arc<RosterEntry>) -> Self {
        Self { roster, entry }
    }

    /// Whose it is.
    pub(crate) fn identity(&self) -> &Identity {
        self.entry.identity()
    }

    /// When the last bytes came; `None` while bytes wait for a side.
    pub(crate) fn quiet_since(&self) -> Option<Instant> {
        self.entry.quiet_since().map(|millis| self.roster.instant(millis))
    }

    /// What came from the client and from the node: bytes and messages.
    pub(crate) fn traffic(&self) -> [(u64, u64); 2] {
        self.entry.traffic()
    }

    /// Tells it to end, as an order of the operator.
    pub(crate) fn end(&self) {
        self.roster.end(&self.entry);
    }

    /// Watches its frames, from now on until it ends.
    pub(crate) fn watch(&self) -> WatchedFrames {
        let (sender, frames) = tap::watch();
        self.entry.order(|orders| orders.watchers.push(sender));
        frames
    }

    /// Asks it what it knows. There is no answer if it ends before.
    pub(crate) fn inspect(&self) -> oneshot::Receiver<Inspection> {
        let (sender, receiver) = oneshot::channel();
        self.entry.order(|orders| {
            // Anyone who asked before and gave up would fill the memory of a tunnel that is not polled.
            orders.inspections.retain(|asked| !asked.is_closed());
            orders.inspections.push(sender);
        });
        receiver
    }
}
