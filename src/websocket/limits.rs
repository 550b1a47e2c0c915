//! How much a client may send: the size of a message, messages and control frames each second.
//!
//! Pure. Runs for every byte.

use std::time::Duration;

use super::head::{Head, Opcode};
use crate::Instant;

/// What is left to one sender.
#[derive(Clone, Debug)]
pub(crate) struct Bounds {
    message_bytes_max: u64,
    /// What the message has that goes on, by the heads of its frames.
    message_bytes: u64,
    /// Boxed, for few have it.
    messages: Option<Box<Credit>>,
    control_frames: Option<Credit>,
    /// Pongs that answer Pings, and so cost nothing.
    pongs_asked: u32,
}

/// A bound that a frame would break.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Breach {
    /// The message is longer than allowed.
    TooBig,
    /// There are more messages or control frames than allowed.
    TooFast,
}

/// A token bucket that looks at the clock only when it is empty: with a second's tokens at first and
/// as many at most after a refill, whoever keeps to a bucket that is filled all the time keeps to
/// this one, and nobody spends more than those of two seconds at once.
#[derive(Clone, Debug)]
struct Credit {
    left: u32,
    per_second: u32,
    refilled_at: Instant,
}

impl Bounds {
    /// Bounds that begin at `now`: bytes of a message as on the wire, messages and control frames
    /// each second, with as many at once.
    pub(crate) fn new(
        message_bytes_max: u64,
        messages_per_second: Option<u32>,
        control_frames_per_second: Option<u32>,
        now: Instant,
    ) -> Self {
        Self {
            message_bytes_max,
            message_bytes: 0,
            messages: messages_per_second.map(|rate| Box::new(Credit::new(rate, now))),
            control_frames: control_frames_per_second.map(|rate| Credit::new(rate, now)),
            pongs_asked: 0,
        }
    }

    /// The next `pings` Pongs are answers.
    pub(crate) fn ask_for_pongs(&mut self, pings: u16) {
        self.pongs_asked = self.pongs_asked.saturating_add(pings.into());
    }

    /// Charges for a frame.
    ///
    /// # Errors
    /// The frame is too much.
    #[inline]
    pub(super) fn admit(&mut self, head: &Head, now: Instant) -> Result<(), Breach> {
        match head.opcode {
            Opcode::Text | Opcode::Binary => {
                self.message_bytes = head.payload_bytes;
                if let Some(credit) = &mut self.messages {
                    credit.spend(now)?;
                }
            }
            Opcode::Continuation => {
                self.message_bytes = self.message_bytes.saturating_add(head.payload_bytes);
                // A frame that brings nothing costs as much as a Ping, and is no message.
                if head.payload_bytes == 0 && !head.fin {
                    self.spend_control_frame(now)?;
                }
            }
            Opcode::Pong if self.pongs_asked > 0 => {
                self.pongs_asked -= 1;
                return Ok(());
            }
            Opcode::Close | Opcode::Ping | Opcode::Pong => return self.spend_control_frame(now),
            // Whether it is control or data only the two sides know.
            Opcode::Reserved => {
                self.spend_control_frame(now)?;
                self.message_bytes = head.payload_bytes;
            }
        }
        if self.message_bytes > self.message_bytes_max { Err(Breach::TooBig) } else { Ok(()) }
    }

    fn spend_control_frame(&mut self, now: Instant) -> Result<(), Breach> {
        self.control_frames.as_mut().map_or(Ok(()), |credit| credit.spend(now))
    }
}

impl Credit {
    fn new(per_second: u32, now: Instant) -> Self {
        Self { left: per_second, per_second, refilled_at: now }
    }

    #[inline]
    fn spend(&mut self, now: Instant) -> Result<(), Breach> {
        if self.left == 0 {
            self.refill(now);
        }
        self.left = self.left.checked_sub(1).ok_or(Breach::TooFast)?;
        Ok(())
    }

    #[cold]
    fn refill(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.refilled_at);
        let earned = passed.as_nanos() * u128::from(self.per_second) / NANOS_PER_SECOND;
        match u32::try_from(earned) {
            Ok(earned) if earned < self.per_second => {
                // Not `now`: the part of a token that is earned already is not lost.
                self.refilled_at += Duration::from_secs(earned.into()) / self.per_second.max(1);
                self.left = earned;
            }
            Ok(_) | Err(_) => {
                self.refilled_at = now;
                self.left = self.per_second;
            }
        }
    }
}

const NANOS_PER_SECOND: u128 = 1_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    /// Which of frames at these milliseconds is the first that is too much, at `rate` a second?
    fn check(rate: u32, frames: impl IntoIterator<Item = u64>, expected: Option<usize>) {
        let begin = Instant::now();
        let mut credit = Credit::new(rate, begin);
        let at = |millis| begin + Duration::from_millis(millis);
        let refused = frames.into_iter().position(|millis| credit.spend(at(millis)).is_err());
        assert_eq!(refused, expected, "{rate} each second");
    }

    #[test]
    fn whoever_keeps_to_the_rate_is_never_refused() {
        check(1, (0..1000).map(|i| i * 1000), None);
        check(3, (0..1000).map(|i| i * 334), None);
        check(10, (0..1000).map(|i| i * 100), None);
        check(1000, 0..10_000, None);
        // Nothing for an hour, then a volley, again and again.
        check(10, (0..100).flat_map(|i| vec![i * 3_600_000; 10]), None);
    }

    #[test]
    fn a_volley_is_taken_once_and_one_more_is_too_much() {
        check(10, vec![0; 11], Some(10));
        check(10, [vec![0; 10], vec![99; 1]].concat(), Some(10));
        check(10, [vec![0; 10], vec![100; 2]].concat(), Some(11));
        check(10, [vec![0; 5], vec![5000; 16]].concat(), Some(20));
        check(1, vec![0, 0], Some(1));
    }

    #[test]
    fn whoever_is_too_fast_in_the_long_run_is_refused() {
        // A bucket that is filled all the time would have refused the hundredth or so.
        check(10, (0..1000).map(|i| i * 90), Some(91));
        check(u32::MAX, vec![0; 1000], None);
    }
}
