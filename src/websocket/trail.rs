//! The last frames of one direction, for the autopsy of an abnormal end: when, what kind, how long. No
//! payload.
//!
//! A busy direction has one, a quiet one has none: see [`Trail::KEPT`].
//!
//! Pure. Runs for every byte.

use std::time::Duration;

use super::head::{Head, Opcode};
use crate::Instant;
use crate::clock::Epoch;

/// The last frames of one direction: 96 bytes.
#[derive(Clone, Debug)]
pub(crate) struct Trail {
    epoch: Epoch,
    /// How many frames were ever noted.
    noted: u32,
    /// Milliseconds from the epoch.
    at: [u32; FRAMES_MAX],
    bytes: [u32; FRAMES_MAX],
    opcodes: [Opcode; FRAMES_MAX],
}

/// A frame that has passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PastFrame {
    /// When its head arrived.
    pub(crate) at: Instant,
    /// What it carried.
    pub(crate) opcode: Opcode,
    /// The length of its payload, in bytes, saturating.
    pub(crate) bytes: u32,
}

impl Trail {
    /// A quiet direction forgets its frames after this time.
    pub(crate) const KEPT: Duration = Duration::from_secs(60);

    /// Without frames; none is noted before `now`.
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            epoch: Epoch::new(now),
            noted: 0,
            at: [0; FRAMES_MAX],
            bytes: [0; FRAMES_MAX],
            opcodes: [Opcode::Continuation; FRAMES_MAX],
        }
    }

    /// Notes a frame whose head arrived `now`.
    pub(crate) fn note(&mut self, head: &Head, now: Instant) {
        let slot = self.noted as usize % FRAMES_MAX;
        self.at[slot] = u32::try_from(self.epoch.millis(now)).unwrap_or(u32::MAX);
        self.bytes[slot] = u32::try_from(head.payload_bytes).unwrap_or(u32::MAX);
        self.opcodes[slot] = head.opcode;
        self.noted = self.noted.wrapping_add(1);
    }

    /// The frames, the oldest first.
    pub(crate) fn frames(&self) -> impl Iterator<Item = PastFrame> {
        let kept = (self.noted as usize).min(FRAMES_MAX);
        (self.noted as usize - kept..self.noted as usize).map(|index| {
            let slot = index % FRAMES_MAX;
            PastFrame {
                at: self.epoch.instant(self.at[slot].into()),
                opcode: self.opcodes[slot],
                bytes: self.bytes[slot],
            }
        })
    }

    /// Whether the last frame is so old that none is of interest.
    pub(crate) fn is_stale(&self, now: Instant) -> bool {
        let last = self.frames().last();
        last.is_none_or(|frame| now.saturating_duration_since(frame.at) > Self::KEPT)
    }
}

/// What fits in 96 bytes.
const FRAMES_MAX: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    fn head(payload_bytes: u64) -> Head {
        let (fin, rsv1, rsv2_or_rsv3) = (true, false, false);
        let opcode = Opcode::Text;
        Head { fin, rsv1, rsv2_or_rsv3, opcode, mask: None, payload_bytes, head_bytes: 2 }
    }

    #[test]
    fn the_last_frames_are_kept_in_their_order() {
        let begin = Instant::now();
        let at = |seconds| begin + Duration::from_secs(seconds);
        let mut trail = Trail::new(begin);
        for count in 1..20 {
            trail.note(&head(count), at(count));
            let first = count.saturating_sub(7).max(1);
            let seen: Vec<_> =
                trail.frames().map(|frame| (frame.at, u64::from(frame.bytes))).collect();
            let expected: Vec<_> = (first..=count).map(|count| (at(count), count)).collect();
            assert_eq!(seen, expected);
        }
        assert!(!trail.is_stale(at(79)));
        assert!(trail.is_stale(at(80)));
    }

    #[test]
    fn both_directions_have_less_than_256_bytes() {
        assert!(2 * size_of::<Trail>() <= 224, "{}", size_of::<Trail>());
    }

    #[test]
    fn the_longest_frame_is_not_lost() {
        let mut trail = Trail::new(Instant::now());
        trail.note(&head(1 << 40), Instant::now());
        assert_eq!(trail.frames().map(|frame| frame.bytes).collect::<Vec<_>>(), [u32::MAX]);
    }
}
