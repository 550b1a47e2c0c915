//! How long the end of a tunnel may take: while bytes move, at most a minute.
//!
//! Pure. Runs for every byte.

use std::time::Duration;

use super::close_rules::{Awaited, Flows};
use super::deadlines::{Deadlines, Timer};
use super::end::CloseStyle;
use super::{End, Side};
use crate::Instant;

/// A tunnel's end that has begun.
#[derive(Clone, Copy, Debug)]
pub(super) struct Closing {
    pub(super) end: End,
    awaited: Option<Awaited>,
    /// Bytes waited for the client when the end began, or later.
    is_client_slow: bool,
}

impl Closing {
    /// Begins at `now`, and replaces the tunnel's timers by those of its end.
    pub(super) fn begin(
        end: End,
        flows: &mut Flows,
        deadlines: &mut Deadlines,
        now: Instant,
    ) -> Self {
        deadlines.clear();
        deadlines.set(Timer::Cut, Some(now + CLOSING_MAX));
        match end.facts().style {
            CloseStyle::PassedOn => (),
            CloseStyle::Orderly => deadlines.set(Timer::CloseFrame, Some(now + PROGRESS_TIMEOUT)),
            CloseStyle::Offence => {
                flows.from_node.gate.await_close();
                deadlines.set(Timer::CloseFrame, Some(now + LAST_WORDS_TIMEOUT));
            }
            CloseStyle::AtOnce => {
                flows.advance_close(end);
                flows.cut(end);
            }
        }
        for side in Side::ALL {
            flows.flows_of(side).0.reset_progress();
        }
        Self { end, awaited: None, is_client_slow: false }
    }

    /// Bytes for the client wait here or in the kernel. It answers when it has read the last of
    /// them, and what it sends until then must not reach a closed socket: the reset would discard
    /// what it has not read.
    pub(super) fn set_client_slow(&mut self) {
        self.is_client_slow = true;
    }

    /// Extends the end while bytes move, and sets how long it waits for what is next.
    pub(super) fn update_deadlines(
        &mut self,
        flows: &mut Flows,
        deadlines: &mut Deadlines,
        now: Instant,
    ) {
        let [up, down] = Side::ALL.map(|side| flows.flows_of(side).0.take_progress(PROGRESS_BYTES));
        let has_moved = up || down;
        if deadlines.is_set(Timer::CloseFrame) && flows.await_insert_point() {
            if has_moved && !flows.from_node.awaits_close() {
                deadlines.set(Timer::CloseFrame, Some(now + PROGRESS_TIMEOUT));
            }
            return;
        }
        deadlines.set(Timer::CloseFrame, None);
        let awaited = self.awaited(flows);
        if has_moved || self.awaited != Some(awaited) {
            self.awaited = Some(awaited);
            deadlines.set(Timer::Idle, Some(now + timeout_of(awaited)));
        }
    }

    fn awaited(&self, flows: &Flows) -> Awaited {
        let (to_client, from_client) = (&flows.from_node, &flows.from_client);
        let is_there = self.end.facts().gone != Some(Side::Client) && !to_client.is_sink_failed();
        match flows.awaited(self.end) {
            Awaited::CloseReply | Awaited::Remainder
                if self.is_client_slow && is_there && !from_client.is_source_done() =>
            {
                Awaited::SlowReader
            }
            awaited @ (Awaited::Delivery
            | Awaited::CloseReply
            | Awaited::Remainder
            | Awaited::SlowReader) => awaited,
        }
    }

    /// The time for an insert point is over: our Close frames stop waiting for the node's last
    /// messages, or are not sent.
    pub(super) fn on_close_frame_timeout(
        flows: &mut Flows,
        deadlines: &mut Deadlines,
        now: Instant,
    ) {
        if flows.from_node.awaits_close() {
            // Only the rest of the current frame passes, and then our Close frame.
            flows.from_node.find_insert_point();
            deadlines.set(Timer::CloseFrame, Some(now + PROGRESS_TIMEOUT));
        } else {
            flows.abandon_close_frames();
        }
    }
}

/// The time at `share` of a shutdown that ends at `deadline`, early enough that both sides can still
/// answer. A random share keeps the clients from reconnecting all at once.
pub(super) fn shutdown_slot(now: Instant, deadline: Instant, share: f64) -> Instant {
    let window = deadline.saturating_duration_since(now);
    let for_the_answer = ANSWER_TIMEOUT.min(window / 4);
    now + (window - for_the_answer).mul_f64(share)
}

fn timeout_of(awaited: Awaited) -> Duration {
    match awaited {
        Awaited::SlowReader => CLOSING_MAX,
        Awaited::Delivery => PROGRESS_TIMEOUT,
        Awaited::CloseReply => ANSWER_TIMEOUT,
        Awaited::Remainder => GRACE,
    }
}

/// The bytes that a side has to take within `timeout` to make progress; at least 1. The rate is
/// that of [`PROGRESS_TIMEOUT`], which is the longest time that counts.
pub(super) fn progress_bytes(timeout: Duration) -> u16 {
    let share = timeout.as_secs_f64() / PROGRESS_TIMEOUT.as_secs_f64();
    (f64::from(PROGRESS_BYTES) * share.min(1.0)).max(1.0) as u16
}

/// How long a side may take to answer a Close frame that it can read immediately.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// How long an end may take even if bytes move: what a slow client has not taken is limited to our
/// backlog and the socket buffers.
const CLOSING_MAX: Duration = Duration::from_secs(60);

/// A side that does not take [`PROGRESS_BYTES`] in this time is given up. So is a frame of which no
/// more than that arrives while a Close frame of ours waits for its end.
const PROGRESS_TIMEOUT: Duration = Duration::from_secs(10);

/// The slowest progress, in [`PROGRESS_TIMEOUT`].
const PROGRESS_BYTES: u16 = 1024;

/// How long a node may still answer what a client sent before it broke a rule: enough for a round
/// trip, not for long work.
const LAST_WORDS_TIMEOUT: Duration = Duration::from_secs(1);

/// How long a side may still send, if nothing moves, when the other side is gone and it has been
/// informed. A WebSocket has no use for half a connection, and a side that was given up gets
/// nothing more.
const GRACE: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_timeout_requires_less_progress() {
        let check = |millis, expected| {
            assert_eq!(progress_bytes(Duration::from_millis(millis)), expected, "{millis} ms");
        };
        check(0, 1);
        check(1000, 102);
        check(10_000, 1024);
        check(3_600_000, 1024);
    }
}
