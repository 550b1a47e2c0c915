//! How long the end of a tunnel may take: as long as bytes move, and a minute at most.
//!
//! Pure. Runs for every byte.

use std::time::Duration;

use super::deadlines::{Deadlines, Timer};
use super::end::CloseStyle;
use super::ending::{Awaited, Flows};
use super::{End, Side};
use crate::Instant;

/// A tunnel's end that has begun.
#[derive(Clone, Copy, Debug)]
pub(super) struct Closing {
    pub(super) end: End,
    awaited: Option<Awaited>,
    /// Bytes have waited for the client when the end began or since.
    is_read_slowly: bool,
}

impl Closing {
    /// Begins at `now`; of the tunnel's timers only those of its end are set.
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
            CloseStyle::Orderly => deadlines.set(Timer::Boundary, Some(now + PROGRESS_TIMEOUT)),
            CloseStyle::Offence => {
                flows.from_node.gate.await_close();
                deadlines.set(Timer::Boundary, Some(now + LAST_WORDS_TIMEOUT));
            }
            CloseStyle::AtOnce => {
                flows.settle(end);
                flows.cut(end);
            }
        }
        for side in Side::ALL {
            flows.of(side).0.forget_moved();
        }
        Self { end, awaited: None, is_read_slowly: false }
    }

    /// The client has yet to read so much that some of it waits here or in the kernel. It answers when it
    /// has read the last, and what it sends until then must not meet a socket that is closed: the
    /// reset would take from it what it has not read.
    pub(super) fn note_slow_client(&mut self) {
        self.is_read_slowly = true;
    }

    /// Puts the end off while bytes move, and sets how long it waits for what comes next.
    pub(super) fn tend(&mut self, flows: &mut Flows, deadlines: &mut Deadlines, now: Instant) {
        let [up, down] = Side::ALL.map(|side| flows.of(side).0.take_progress(PROGRESS_BYTES));
        let has_moved = up || down;
        if deadlines.is_set(Timer::Boundary) && flows.wait_for_gap() {
            if has_moved && !flows.from_node.awaits_close() {
                deadlines.set(Timer::Boundary, Some(now + PROGRESS_TIMEOUT));
            }
            return;
        }
        deadlines.set(Timer::Boundary, None);
        let awaited = self.awaited(flows);
        if has_moved || self.awaited != Some(awaited) {
            self.awaited = Some(awaited);
            deadlines.set(Timer::Idle, Some(now + patience(awaited)));
        }
    }

    fn awaited(&self, flows: &Flows) -> Awaited {
        let (to_client, from_client) = (&flows.from_node, &flows.from_client);
        let is_there = self.end.facts().gone != Some(Side::Client) && !to_client.is_broken();
        match flows.awaited(self.end) {
            Awaited::Answer | Awaited::Rest
                if self.is_read_slowly && is_there && !from_client.has_said_its_last() =>
            {
                Awaited::SlowReader
            }
            awaited @ (Awaited::Taking | Awaited::Answer | Awaited::Rest | Awaited::SlowReader) => {
                awaited
            }
        }
    }

    /// Our Close frames do not wait any longer for what they waited for.
    pub(super) fn give_way(flows: &mut Flows, deadlines: &mut Deadlines, now: Instant) {
        if flows.from_node.awaits_close() {
            // Nothing passes any more but the rest of a frame, and then ours.
            flows.from_node.find_gap();
            deadlines.set(Timer::Boundary, Some(now + PROGRESS_TIMEOUT));
        } else {
            flows.give_gaps_up();
        }
    }
}

fn patience(awaited: Awaited) -> Duration {
    match awaited {
        Awaited::SlowReader => CLOSING_MAX,
        Awaited::Taking => PROGRESS_TIMEOUT,
        Awaited::Answer => ANSWER_TIMEOUT,
        Awaited::Rest => GRACE,
    }
}

/// The bytes that a side has to take within `patience`, which is at most [`PROGRESS_TIMEOUT`] for
/// this, so that it counts as progress; at least 1.
pub(super) fn progress_bytes(patience: Duration) -> u16 {
    let share = patience.as_secs_f64() / PROGRESS_TIMEOUT.as_secs_f64();
    (f64::from(PROGRESS_BYTES) * share.min(1.0)).max(1.0) as u16
}

/// How long a side may take to answer a Close frame that it could read at once.
pub(super) const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// How long an end may take however much moves: what a slow client has yet to take is at most what
/// we keep and what its kernel and ours do.
const CLOSING_MAX: Duration = Duration::from_secs(60);

/// A side that does not take [`PROGRESS_BYTES`] of what waits for it in this time is given up, and
/// so is a frame of which no more than that comes, for whose end a Close frame of ours waits.
const PROGRESS_TIMEOUT: Duration = Duration::from_secs(10);

/// The slowest progress, in [`PROGRESS_TIMEOUT`].
const PROGRESS_BYTES: u16 = 1024;

/// How long a node may still answer what a client said before it broke a rule: the way there and
/// back, and not what takes work.
const LAST_WORDS_TIMEOUT: Duration = Duration::from_secs(1);

/// How long a side may still speak when the other is gone and it knows, if nothing moves. A
/// WebSocket has no use for half a connection; nor does a side that was given up get more.
const GRACE: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_patience_asks_for_less_progress() {
        let check = |millis, expected| {
            assert_eq!(progress_bytes(Duration::from_millis(millis)), expected, "{millis} ms");
        };
        check(0, 1);
        check(1000, 102);
        check(10_000, 1024);
        check(3_600_000, 1024);
    }
}
