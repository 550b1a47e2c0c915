//! How soon the kernel gives a side's host up that acknowledges nothing.
//!
//! While messages are under way that is as long as a slow side may leave them unread, for Linux
//! counts a closed window as well. A Ping of ours that alone is under way is acknowledged by any
//! host that is there, whether its process reads or not: then it is no longer than a side has for
//! its answer.
//!
//! Runs for every byte.

use std::time::Duration;

use super::{Limits, Side, Stream};

/// What the kernel is told of one side's host.
#[derive(Debug)]
pub(super) struct Host {
    state: State,
    lost_after: Duration,
    /// How long it may acknowledge nothing otherwise.
    unacknowledged_max: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// It has its usual time.
    Patient,
    /// A Ping is to be written.
    Pinged,
    /// A Ping alone is under way.
    PingAlone,
}

/// What one wake-up of a tunnel did with a side.
#[derive(Clone, Copy, Debug)]
pub(super) struct Contact {
    /// Bytes came from it.
    pub(super) heard: bool,
    /// Bytes were written to it.
    pub(super) wrote: bool,
    /// Bytes or a Ping are still to be written to it.
    pub(super) waits: bool,
}

impl Host {
    /// The host of `side`, which has its usual time.
    pub(super) fn new(side: Side, limits: &Limits) -> Self {
        let lost_after = limits.keepalive_times().lost_after;
        Self {
            state: State::Patient,
            // Before the next Ping, which would wait behind the one that is lost. Linux counts from
            // the first time that it sends it again.
            lost_after: lost_after.saturating_sub(MARGIN).max(Duration::from_secs(1)),
            unacknowledged_max: limits.unacknowledged_max(side),
        }
    }

    /// A Ping is the next that is written to it.
    pub(super) fn pinged(&mut self) {
        self.state = State::Pinged;
    }

    /// Takes note of `contact`, and tells the kernel what follows from it.
    #[inline]
    pub(super) fn note(&mut self, contact: Contact, stream: &impl Stream) {
        match self.state {
            State::Patient => (),
            State::Pinged if contact.wrote && !contact.waits => {
                // What waits for the side to read may wait for long.
                if stream.has_unsent() {
                    self.relent(stream);
                } else {
                    self.state = State::PingAlone;
                    stream.set_unacknowledged_max(self.lost_after);
                }
            }
            State::PingAlone if contact.wrote || contact.heard => self.relent(stream),
            State::Pinged | State::PingAlone => (),
        }
    }

    #[cold]
    fn relent(&mut self, stream: &impl Stream) {
        self.state = State::Patient;
        stream.set_unacknowledged_max(self.unacknowledged_max);
    }
}

/// More than the first retransmission takes on a slow network.
const MARGIN: Duration = Duration::from_secs(3);
