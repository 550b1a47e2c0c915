//! How much a client may send: the size of a message, messages and control frames each second.
//!
//! Pure. Runs for every byte.

use std::time::Duration;

use super::head::{Head, Opcode};
use crate::Instant;

/// What one sender may still send.
#[derive(Clone, Debug)]
pub(crate) struct SenderLimits {
    message_bytes_max: u64,
    /// The size of the unfinished message so far, by the heads of its frames.
    message_bytes: u64,
    /// Boxed, because few tunnels have it.
    messages: Option<Box<TokenBucket>>,
    control_frames: Option<TokenBucket>,
    /// Pongs that answer Pings: they cost nothing.
    expected_pongs: u32,
}

/// A limit that a frame exceeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Breach {
    /// The message is longer than allowed.
    TooBig,
    /// There are more messages or control frames than allowed.
    TooFast,
}

/// A token bucket that reads the clock only when it is empty. It begins with the tokens of one
/// second and holds at most as many after a refill. A sender that would not exceed a continuously
/// filled bucket does not exceed this one, and no sender spends more than the tokens of two seconds
/// at once.
///
/// [`rate::TokenBucket`](crate::rate::TokenBucket) does not fit here: it is shared between threads and
/// needs the time for each token, which would cost a read of the clock for each frame.
#[derive(Clone, Debug)]
struct TokenBucket {
    tokens: u32,
    per_second: u32,
    refilled_at: Instant,
}

impl SenderLimits {
    /// Limits that begin at `now`: bytes of a message as on the wire; messages and control frames
    /// per second, which is also the burst that is allowed.
    pub(crate) fn new(
        message_bytes_max: u64,
        messages_per_second: Option<u32>,
        control_frames_per_second: Option<u32>,
        now: Instant,
    ) -> Self {
        Self {
            message_bytes_max,
            message_bytes: 0,
            messages: messages_per_second.map(|rate| Box::new(TokenBucket::new(rate, now))),
            control_frames: control_frames_per_second.map(|rate| TokenBucket::new(rate, now)),
            expected_pongs: 0,
        }
    }

    /// The next `pings` Pongs are answers.
    pub(crate) fn expect_pongs(&mut self, pings: u16) {
        self.expected_pongs = self.expected_pongs.saturating_add(pings.into());
    }

    /// Charges the sender for a frame.
    ///
    /// # Errors
    /// The frame exceeds a limit.
    #[inline]
    pub(super) fn admit(&mut self, head: &Head, now: Instant) -> Result<(), Breach> {
        match head.opcode {
            Opcode::Text | Opcode::Binary => {
                self.message_bytes = head.payload_bytes;
                if let Some(bucket) = &mut self.messages {
                    bucket.spend(now)?;
                }
            }
            Opcode::Continuation => {
                self.message_bytes = self.message_bytes.saturating_add(head.payload_bytes);
                // An empty fragment costs as much as a Ping, and is not a message.
                if head.payload_bytes == 0 && !head.fin {
                    self.spend_control_frame(now)?;
                }
            }
            Opcode::Pong if self.expected_pongs > 0 => {
                self.expected_pongs -= 1;
                return Ok(());
            }
            Opcode::Close | Opcode::Ping | Opcode::Pong => return self.spend_control_frame(now),
            // Only the two sides know whether it is control or data.
            Opcode::Reserved => {
                self.spend_control_frame(now)?;
                self.message_bytes = head.payload_bytes;
            }
        }
        if self.message_bytes > self.message_bytes_max { Err(Breach::TooBig) } else { Ok(()) }
    }

    fn spend_control_frame(&mut self, now: Instant) -> Result<(), Breach> {
        self.control_frames.as_mut().map_or(Ok(()), |bucket| bucket.spend(now))
    }
}

impl TokenBucket {
    fn new(per_second: u32, now: Instant) -> Self {
        Self { tokens: per_second, per_second, refilled_at: now }
    }

    #[inline]
    fn spend(&mut self, now: Instant) -> Result<(), Breach> {
        if self.tokens == 0 {
            self.refill(now);
        }
        self.tokens = self.tokens.checked_sub(1).ok_or(Breach::TooFast)?;
        Ok(())
    }

    #[cold]
    fn refill(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.refilled_at);
        let earned = passed.as_nanos() * u128::from(self.per_second) / NANOS_PER_SECOND;
        match u32::try_from(earned) {
            Ok(earned) if earned < self.per_second => {
                // Not `now`, so that the earned part of the next token is not lost.
                self.refilled_at += Duration::from_secs(earned.into()) / self.per_second.max(1);
                self.tokens = earned;
            }
            Ok(_) | Err(_) => {
                self.refilled_at = now;
                self.tokens = self.per_second;
            }
        }
    }
}

const NANOS_PER_SECOND: u128 = 1_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    /// The first of the frames at these milliseconds that exceeds `rate` per second.
    fn check(rate: u32, frames: impl IntoIterator<Item = u64>, expected: Option<usize>) {
        let begin = Instant::now();
        let mut bucket = TokenBucket::new(rate, begin);
        let at = |millis| begin + Duration::from_millis(millis);
        let refused = frames.into_iter().position(|millis| bucket.spend(at(millis)).is_err());
        assert_eq!(refused, expected, "{rate} per second");
    }

    #[test]
    fn a_sender_within_the_rate_is_never_refused() {
        check(1, (0..1000).map(|i| i * 1000), None);
        check(3, (0..1000).map(|i| i * 334), None);
        check(10, (0..1000).map(|i| i * 100), None);
        check(1000, 0..10_000, None);
        // A burst every hour.
        check(10, (0..100).flat_map(|i| vec![i * 3_600_000; 10]), None);
    }

    #[test]
    fn one_burst_is_accepted_and_one_more_frame_is_not() {
        check(10, vec![0; 11], Some(10));
        check(10, [vec![0; 10], vec![99; 1]].concat(), Some(10));
        check(10, [vec![0; 10], vec![100; 2]].concat(), Some(11));
        check(10, [vec![0; 5], vec![5000; 16]].concat(), Some(20));
        check(1, vec![0, 0], Some(1));
    }

    #[test]
    fn a_sender_above_the_rate_is_refused_in_the_long_run() {
        // A continuously filled bucket would have refused about the hundredth.
        check(10, (0..1000).map(|i| i * 90), Some(91));
        check(u32::MAX, vec![0; 1000], None);
    }
}
