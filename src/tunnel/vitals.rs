//! What a tunnel notes of its sides, so that its end can be explained: when each was heard, when its
//! heartbeats came, since when bytes wait for it.
//!
//! Pure. Runs for every byte.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use super::flow_state::FlowStep;
use super::{Evidence, Side};
use crate::Instant;
use crate::clock::Epoch;

/// The notes on both sides, in milliseconds since the tunnel began; zero for never. Only the tunnel writes
/// them, others may read them at any time. 40 bytes.
#[derive(Debug, Default)]
pub(super) struct Vitals {
    /// When bytes came last.
    heard: [AtomicU32; 2],
    /// When a heartbeat of Engine.IO came last.
    heartbeat: [AtomicU32; 2],
    /// How many heartbeats have come.
    heartbeats: [AtomicU32; 2],
    /// The shortest time between two heartbeats of the node.
    gap: AtomicU32,
    /// Since when bytes wait for the side.
    waiting: [AtomicU32; 2],
    /// When the tunnel began to close: what comes from then on explains nothing.
    closing: AtomicU32,
}

impl Vitals {
    /// Notes what both flows did: `up` from the client, `down` from the node, which have sent so many
    /// `heartbeats`. Returns whether these are the first bytes of a second.
    #[inline]
    pub(super) fn note(
        &self,
        (up, down): (FlowStep, FlowStep),
        heartbeats: [u32; 2],
        (begun_at, now): (Instant, Instant),
    ) -> bool {
        let is_waiting = [down.waits, up.waits];
        let were_waiting = self.waiting.each_ref().map(|at| at.load(Relaxed) != 0);
        if !up.arrived && !down.arrived && is_waiting == were_waiting {
            return false;
        }
        if self.closing.load(Relaxed) != 0 {
            return false;
        }
        let millis = millis(begun_at, now);
        let before = self.heard.each_ref().map(|at| at.load(Relaxed)).into_iter().max();
        let begins_second = before.is_none_or(|before| before / 1000 != millis / 1000);
        for (side, arrived) in [(Side::Client, up.arrived), (Side::Node, down.arrived)] {
            let index = side as usize;
            if arrived {
                self.heard[index].store(millis, Relaxed);
                if heartbeats[index] != self.heartbeats[index].load(Relaxed) {
                    self.heartbeats[index].store(heartbeats[index], Relaxed);
                    self.note_heartbeat(side, millis);
                }
            }
            match (is_waiting[index], were_waiting[index]) {
                (true, false) => self.waiting[index].store(millis, Relaxed),
                (false, true) => self.waiting[index].store(0, Relaxed),
                (true, true) | (false, false) => (),
            }
        }
        begins_second && (up.arrived || down.arrived)
    }

    /// The tunnel begins to close.
    pub(super) fn freeze(&self, begun_at: Instant, now: Instant) {
        self.closing.store(millis(begun_at, now), Relaxed);
    }

    fn note_heartbeat(&self, side: Side, millis: u32) {
        let before = self.heartbeat[side as usize].swap(millis, Relaxed);
        if side == Side::Node && before != 0 {
            let (gap, known) = (millis.saturating_sub(before).max(1), self.gap.load(Relaxed));
            self.gap.store(if known == 0 { gap } else { gap.min(known) }, Relaxed);
        }
    }

    /// What is known at `now`; of a tunnel that closes, when it began to.
    pub(super) fn evidence(&self, begun_at: Instant, now: Instant) -> Evidence {
        let closing = self.closing.load(Relaxed);
        let now = if closing == 0 { millis(begun_at, now) } else { closing };
        let ago = |at: u32| Duration::from_millis(now.saturating_sub(at).into());
        let known = |at: &AtomicU32| Some(at.load(Relaxed)).filter(|at| *at != 0).map(ago);
        let gap = Some(self.gap.load(Relaxed)).filter(|gap| *gap != 0);
        Evidence {
            quiet: self.heard.each_ref().map(|at| ago(at.load(Relaxed))),
            heartbeat: self.heartbeat.each_ref().map(known),
            heartbeat_gap: gap.map(|gap| Duration::from_millis(gap.into())),
            waiting: self.waiting.each_ref().map(known),
            ..Evidence::default()
        }
    }
}

/// Milliseconds since the tunnel began, at least one.
fn millis(begun_at: Instant, now: Instant) -> u32 {
    u32::try_from(Epoch::new(begun_at).millis(now)).unwrap_or(u32::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTHING: FlowStep = FlowStep { arrived: false, wrote: false, waits: false, more: false };
    const ARRIVED: FlowStep = FlowStep { arrived: true, ..NOTHING };
    const WAITS: FlowStep = FlowStep { waits: true, ..NOTHING };

    /// What is known a second after these seconds, at which the flows did this.
    fn evidence(steps: &[(u64, FlowStep, FlowStep, [u32; 2])]) -> Evidence {
        let begun_at = Instant::now();
        let at = |second| begun_at + Duration::from_secs(second);
        let vitals = Vitals::default();
        for (second, up, down, heartbeats) in steps {
            vitals.note((*up, *down), *heartbeats, (begun_at, at(*second)));
        }
        vitals.evidence(begun_at, at(steps.last().map_or(0, |step| step.0) + 1))
    }

    const fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn each_side_is_quiet_since_its_last_bytes() {
        let seen = evidence(&[(3, ARRIVED, NOTHING, [0; 2]), (8, NOTHING, ARRIVED, [0; 2])]);
        assert_eq!(seen.quiet, [seconds(6), seconds(1)]);
        assert_eq!(seen.heartbeat, [None, None]);
        assert_eq!(evidence(&[]).quiet, [seconds(1); 2], "from the beginning, if nothing came");
    }

    #[test]
    fn the_shortest_time_between_heartbeats_is_the_usual_one() {
        let steps = [(25, [0, 1]), (50, [0, 2]), (75, [0, 3]), (112, [0, 4])];
        let steps = steps.map(|(at, heartbeats)| (at, NOTHING, ARRIVED, heartbeats));
        let seen = evidence(&steps);
        assert_eq!(seen.heartbeat_gap, Some(seconds(25)));
        assert_eq!(seen.heartbeat, [None, Some(seconds(1))]);
        let answered = evidence(&[(25, NOTHING, ARRIVED, [0, 1]), (26, ARRIVED, NOTHING, [1, 1])]);
        assert_eq!(answered.heartbeat, [Some(seconds(1)), Some(seconds(2))]);
        assert_eq!(answered.heartbeat_gap, None, "one heartbeat shows no time between two");
    }

    #[test]
    fn each_second_begins_once() {
        let (begun_at, vitals) = (Instant::now(), Vitals::default());
        let begins = [10, 20, 1001, 1999, 5000, 5001].map(|millis| {
            let now = begun_at + Duration::from_millis(millis);
            vitals.note((ARRIVED, NOTHING), [0; 2], (begun_at, now))
        });
        assert_eq!(begins, [false, false, true, false, true, false]);
    }

    #[test]
    fn bytes_wait_since_the_first_was_not_taken() {
        let waits = |at| (at, NOTHING, WAITS, [0; 2]);
        assert_eq!(evidence(&[waits(3), waits(5), waits(9)]).waiting, [Some(seconds(7)), None]);
        let taken = (10, NOTHING, NOTHING, [0; 2]);
        assert_eq!(evidence(&[waits(3), taken]).waiting, [None, None]);
        assert_eq!(evidence(&[waits(3), taken, waits(11)]).waiting, [Some(seconds(1)), None]);
    }
}
