//! How long a side's host may acknowledge nothing before the kernel fails its connection.
//!
//! While messages are in flight, this is as long as a slow side may leave them unread, because
//! Linux also counts a closed window. A Ping of ours that is alone in flight is acknowledged by
//! every host that is there, whether its process reads or not: then it is at most the time that a
//! side has for its answer.
//!
//! Runs for every byte.

use std::time::Duration;

use super::{Limits, Side, Stream};

/// The timeout of one side's host.
#[derive(Debug)]
pub(super) struct AckTimeout {
    state: State,
    lost_after: Duration,
    /// The usual timeout.
    unacknowledged_max: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The usual timeout.
    Usual,
    /// A Ping has to be written.
    Pinged,
    /// Only a Ping is in flight.
    PingAlone,
}

/// What happened on a side in one poll of a tunnel.
#[derive(Clone, Copy, Debug)]
pub(super) struct SideActivity {
    /// Bytes arrived from it.
    pub(super) arrived: bool,
    /// Bytes were written to it.
    pub(super) wrote: bool,
    /// Bytes or a Ping wait to be written to it.
    pub(super) waits: bool,
}

impl AckTimeout {
    /// The usual timeout for `side`.
    pub(super) fn new(side: Side, limits: &Limits) -> Self {
        let lost_after = limits.keepalive_times().lost_after;
        Self {
            state: State::Usual,
            // Before the next Ping, which would wait behind the lost one. Linux counts from the
            // first retransmission.
            lost_after: lost_after.saturating_sub(MARGIN).max(Duration::from_secs(1)),
            unacknowledged_max: limits.unacknowledged_max(side),
        }
    }

    /// The next frame that is written to the side is a Ping.
    pub(super) fn set_pinged(&mut self) {
        self.state = State::Pinged;
    }

    /// Sets the timeout that follows from `activity`.
    #[inline]
    pub(super) fn update(&mut self, activity: SideActivity, stream: &impl Stream) {
        match self.state {
            State::Usual => (),
            State::Pinged if activity.wrote && !activity.waits => {
                // Bytes that wait for the side to read may wait for long.
                if stream.has_unsent() {
                    self.restore(stream);
                } else {
                    self.state = State::PingAlone;
                    stream.set_unacknowledged_max(self.lost_after);
                }
            }
            State::PingAlone if activity.wrote || activity.arrived => self.restore(stream),
            State::Pinged | State::PingAlone => (),
        }
    }

    #[cold]
    fn restore(&mut self, stream: &impl Stream) {
        self.state = State::Usual;
        stream.set_unacknowledged_max(self.unacknowledged_max);
    }
}

/// More than the first retransmission takes on a slow network.
const MARGIN: Duration = Duration::from_secs(3);
