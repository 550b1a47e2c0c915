//! How late a node answers what its event loop answers by itself: the time of its answers, less the
//! shortest one, which is the network.
//!
//! A late answer alone shows no blocked event loop: a packet may be lost. But a loop that is blocked answers
//! nobody, so it was blocked no longer than since its answer before, to whomever that was.
//!
//! Such answers are `3probe` to `2probe`, `ok` to a post, a Pong to a Ping, and the answer to a health check of Engine.IO.
//! What is remembered slides over the last 24 s, in steps of 4 s.
//!
//! Pure. Runs for every request.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::Instant;
use crate::clock::Epoch;

/// The lag of one node, whichever threads see its answers.
#[derive(Debug)]
pub struct NodeLag {
    epoch: Epoch,
    /// `None` until the first answer: many nodes are never asked.
    window: Mutex<Option<Box<Window>>>,
}

/// The lag of the answers that are remembered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LagSummary {
    /// How many answers there were.
    pub samples: u32,
    /// Half of them were at most so late.
    pub p50: Duration,
    /// 99 of 100 were at most so late.
    pub p99: Duration,
    /// The latest of them.
    pub max: Duration,
    /// How long a request that comes at any time waits for a blocked event loop, on average.
    pub wait: Duration,
    /// The time of the fastest answer, which counts as the network's.
    pub base: Duration,
    /// The longest time for which the event loop was blocked.
    blocked: Duration,
    /// How many answers waited for a loop that was blocked for [`BLOCKED_MIN`] or longer.
    kept_back: u32,
}

impl NodeLag {
    /// Without answers; `base` is no later than any time that is ever passed in.
    pub(crate) fn new(base: Instant) -> Self {
        Self { epoch: Epoch::new(base), window: Mutex::default() }
    }

    /// An answer arrived at `now` that took so long.
    pub(crate) fn record(&self, took: Duration, now: Instant) {
        let millis = self.epoch.millis(now);
        self.window().get_or_insert_default().record(micros(took), millis);
    }

    /// The lag of the last 20 to 24 s; `None` without answers.
    pub fn summary(&self, now: Instant) -> Option<LagSummary> {
        let millis = self.epoch.millis(now);
        self.window().as_mut()?.summary(millis)
    }

    fn window(&self) -> MutexGuard<'_, Option<Box<Window>>> {
        // No code under the lock panics half-way.
        self.window.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LagSummary {
    /// For how long the node's event loop was blocked, if it was.
    pub fn blocked_for(&self) -> Option<Duration> {
        (self.kept_back >= KEPT_BACK_MIN).then_some(self.blocked)
    }

    /// The share of new sessions, from a tenth to 1, that a node with this lag should get.
    pub(crate) fn share(&self) -> f64 {
        TOLERATED.div_duration_f64(self.wait.max(TOLERATED)).max(SHARE_MIN)
    }
}

/// A loop that is blocked for so long is worth a word. Load and garbage collection cause less.
const BLOCKED_MIN: Duration = Duration::from_millis(500);

/// One late answer may be a packet that was lost while nobody else asked.
const KEPT_BACK_MIN: u32 = 2;

/// The wait with which a node still gets its whole share, and with twice as much half of it.
const TOLERATED: Duration = Duration::from_millis(100);

/// A node that gets nothing would not show that it is well again.
const SHARE_MIN: f64 = 0.1;

const SLICES: usize = 6;
const SLICE_MILLIS: u64 = 4_000;

/// A loop that is free again gives all answers that waited within about this time.
const BURST_MILLIS: u64 = 20;

/// For how long the shortest answer counts: the way to a node may change.
const BASE_MILLIS: u64 = 5 * 60 * 1_000;

/// The answers that are remembered.
#[derive(Debug, Default)]
struct Window {
    /// Those of the slice of time with this number, and of the ones before it.
    latest: u64,
    slices: [Slice; SLICES],
    /// The era of the second base.
    era: u64,
    /// The shortest answers of the last era and of this one, in microseconds.
    bases: [Option<u32>; 2],
    burst: Burst,
    /// When the last answer arrived, and the first.
    answered: Option<[u64; 2]>,
}

/// Answers that arrived at about the same time.
#[derive(Debug, Default)]
struct Burst {
    began: u64,
    /// When the answer before them arrived.
    after: Option<u64>,
    /// For how long the loop was blocked before them.
    blocked: u64,
}

impl Burst {
    /// An answer that was `late` arrived at `millis`. Returns for how long it waited for a blocked loop, and
    /// for how long that was blocked as far as it was known before.
    fn extend(&mut self, late: u64, millis: u64, last: Option<u64>) -> (u64, u64) {
        if millis > self.began + BURST_MILLIS {
            *self = Self { began: millis, after: last, blocked: 0 };
        }
        let waited = self.after.map_or(0, |after| late.min(millis.saturating_sub(after)));
        let known = self.blocked;
        self.blocked = known.max(waited);
        (waited, known)
    }
}

impl Window {
    fn record(&mut self, took: u32, millis: u64) {
        let slice = self.advance(millis);
        let base = self.base().map_or(took, |base| base.min(took));
        let [_, shortest] = &mut self.bases;
        *shortest = Some(shortest.map_or(took, |shortest| shortest.min(took)));
        let (late, last) = (took - base, self.answered.map(|[last, _]| last));
        let (waited, known) = self.burst.extend(u64::from(late) / 1_000, millis, last);
        self.answered = Some([millis, self.answered.map_or(millis, |[_, first]| first)]);
        if let Some(slice) = self.slices.get_mut(slice) {
            slice.record(late);
            slice.record_wait(waited, known);
        }
    }

    fn summary(&mut self, millis: u64) -> Option<LagSummary> {
        self.advance(millis);
        let mut all = Slice::default();
        for slice in &self.slices {
            all.add(slice);
        }
        let samples = all.samples;
        let since = self.answered.map_or(0, |[_, first]| millis.saturating_sub(first));
        let span = since.clamp(SLICE_MILLIS, SLICE_MILLIS * SLICES as u64);
        (samples > 0).then(|| LagSummary {
            samples,
            p50: all.quantile(50),
            p99: all.quantile(99),
            max: Duration::from_micros(all.max.into()),
            wait: Duration::from_millis(all.waits / span),
            base: Duration::from_micros(self.base().unwrap_or_default().into()),
            blocked: Duration::from_millis(all.blocked),
            kept_back: all.kept_back,
        })
    }

    fn base(&self) -> Option<u32> {
        self.bases.into_iter().flatten().min()
    }

    /// Forgets what is too old at `millis`. Returns the index of the slice of that time. A time before the
    /// latest counts as the latest.
    fn advance(&mut self, millis: u64) -> usize {
        let number = (millis / SLICE_MILLIS).max(self.latest);
        let index = |number: u64| (number % SLICES as u64) as usize;
        for passed in (self.latest + 1..=number).rev().take(SLICES) {
            if let Some(slice) = self.slices.get_mut(index(passed)) {
                *slice = Slice::default();
            }
        }
        self.latest = number;
        let era = (millis / BASE_MILLIS).max(self.era);
        match era - self.era {
            0 => (),
            1 => self.bases = [self.bases[1], None],
            _ => self.bases = [None; 2],
        }
        self.era = era;
        index(number)
    }
}

/// The answers of one slice of time. Lags are microseconds, all else milliseconds.
#[derive(Clone, Copy, Debug)]
struct Slice {
    counts: [u32; BUCKETS],
    samples: u32,
    max: u32,
    kept_back: u32,
    blocked: u64,
    /// The sum of the waits of requests that come once a millisecond.
    waits: u64,
}

impl Default for Slice {
    fn default() -> Self {
        Self { counts: [0; BUCKETS], samples: 0, max: 0, kept_back: 0, blocked: 0, waits: 0 }
    }
}

impl Slice {
    fn record(&mut self, lag: u32) {
        if let Some(count) = self.counts.get_mut(bucket(lag)) {
            *count = count.saturating_add(1);
        }
        self.samples = self.samples.saturating_add(1);
        self.max = self.max.max(lag);
    }

    /// An answer `waited` for a loop that was blocked at least for as long as was `known` before.
    fn record_wait(&mut self, waited: u64, known: u64) {
        let is_kept_back = u128::from(waited) >= BLOCKED_MIN.as_millis();
        self.kept_back = self.kept_back.saturating_add(is_kept_back.into());
        self.blocked = self.blocked.max(waited);
        let of = |blocked: u64| blocked.saturating_mul(blocked) / 2;
        self.waits = self.waits.saturating_add(of(waited).saturating_sub(of(known)));
    }

    fn add(&mut self, other: &Self) {
        for (count, more) in self.counts.iter_mut().zip(other.counts) {
            *count = count.saturating_add(more);
        }
        self.samples = self.samples.saturating_add(other.samples);
        self.max = self.max.max(other.max);
        self.kept_back = self.kept_back.saturating_add(other.kept_back);
        self.blocked = self.blocked.max(other.blocked);
        self.waits = self.waits.saturating_add(other.waits);
    }

    /// The lag that `percent` of the answers do not exceed, rounded up to its bucket.
    fn quantile(&self, percent: u64) -> Duration {
        let rank = (u64::from(self.samples) * percent).div_ceil(100);
        let mut below = 0;
        let found = self.counts.iter().position(|count| {
            below += u64::from(*count);
            below >= rank
        });
        let upper = found.map_or(self.max, |bucket| upper(bucket).min(self.max));
        Duration::from_micros(upper.into())
    }
}

/// Four for each octave from 128 µs to 67 s, and one for what is less.
const BUCKETS: usize = 1 + 4 * 19;

fn bucket(micros: u32) -> usize {
    match micros.checked_ilog2() {
        None | Some(..7) => 0,
        Some(octave) => {
            let quarter = micros >> (octave - 2) & 3;
            (1 + 4 * (octave as usize - 7) + quarter as usize).min(BUCKETS - 1)
        }
    }
}

/// The largest value of a bucket; the last one has none.
fn upper(bucket: usize) -> u32 {
    match bucket.checked_sub(1) {
        None => 127,
        Some(above) if bucket < BUCKETS - 1 => {
            let (octave, quarter) = (above as u32 / 4 + 7, above as u32 % 4);
            (1 << octave) + ((quarter + 1) << (octave - 2)) - 1
        }
        Some(_) => u32::MAX,
    }
}

fn micros(time: Duration) -> u32 {
    u32::try_from(time.as_micros()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    /// The lag at `now` after these answers, each with its time and how long it took, in milliseconds.
    fn lag(answers: &[(u64, u64)], now: u64) -> Option<LagSummary> {
        let base = Instant::now();
        let lag = NodeLag::new(base);
        for (at, took) in answers {
            lag.record(ms(*took), base + ms(*at));
        }
        lag.summary(base + ms(now))
    }

    #[test]
    fn the_fastest_answer_is_the_network() {
        assert_eq!(lag(&[], 0), None);
        let far: Vec<_> = (0..100).map(|at| (at * 100, 80)).collect();
        let seen = lag(&far, 10_000).unwrap();
        assert_eq!((seen.samples, seen.base, seen.max), (100, ms(80), ms(0)));
        assert_eq!((seen.blocked_for(), seen.share()), (None, 1.0));

        let slow: Vec<_> = (0..100).map(|at| (at * 100, 80 + at % 2 * 40)).collect();
        let seen = lag(&slow, 10_000).unwrap();
        assert_eq!((seen.max, seen.p99, seen.share()), (ms(40), ms(40), 1.0));
        assert!(seen.p50 < ms(1), "{:?}", seen.p50);
    }

    /// The answers of a node that is asked ten times a second and whose event loop blocks for the first
    /// `blocked` of each `every` milliseconds.
    fn of_blocking(blocked: u64, every: u64, until: u64) -> Option<LagSummary> {
        let asked = (0..until / 100).map(|asked| asked * 100);
        let answered = asked.filter_map(|asked| {
            let waits = blocked.saturating_sub(asked % every);
            (asked + waits <= until).then_some((asked + waits, waits + 1))
        });
        let mut answers: Vec<_> = answered.collect();
        answers.sort_unstable();
        lag(&answers, until)
    }

    #[test]
    fn a_node_that_blocks_for_two_seconds_in_five_is_named_within_ten() {
        let seen = of_blocking(2_000, 5_000, 10_000).unwrap();
        assert_eq!(seen.blocked_for(), Some(ms(2_000)));
        assert_eq!(seen.share(), 0.4);
        assert_eq!((seen.wait, seen.max), (ms(250), ms(2_000)));
        let long_since = of_blocking(0, 5_000, 10_000).unwrap();
        assert_eq!((long_since.blocked_for(), long_since.share()), (None, 1.0));
    }

    #[test]
    fn packets_that_are_lost_name_no_node() {
        // One in ten answers is late, but others came meanwhile.
        let answers: Vec<_> =
            (0..500).map(|n| (n * 10, if n % 10 == 9 { 900 } else { 1 })).collect();
        let seen = lag(&answers, 5_000).unwrap();
        assert_eq!((seen.blocked_for(), seen.share(), seen.max), (None, 1.0, ms(899)));
        // A single one while nobody else asks.
        assert_eq!(lag(&[(0, 1), (2_000, 900)], 2_000).unwrap().blocked_for(), None);
        let seen = lag(&[(0, 1), (2_000, 700), (2_001, 900)], 2_000).unwrap();
        assert_eq!(seen.blocked_for(), Some(ms(899)));
    }

    #[test]
    fn a_client_that_waits_for_its_answer_hides_no_blocked_loop() {
        // Seven clients post all the time, and each waits once while the loop is blocked.
        let free = (0..30).flat_map(|n| (0..7).map(move |client| (n * 100 + client, 1)));
        let kept_back = (0..7).map(|client| (5_000 + client, 2_000 - client));
        let answers: Vec<_> = free.chain(kept_back).collect();
        let seen = lag(&answers, 5_010).unwrap();
        assert_eq!(seen.blocked_for(), Some(ms(1_999)));
        assert!((0.2..0.3).contains(&seen.share()), "{}", seen.share());
    }

    #[test]
    fn what_is_old_is_forgotten() {
        let answers = [(0, 1), (100, 2_000), (200, 2_000), (300, 3_000)];
        assert_eq!(lag(&answers, 20_000).unwrap().samples, 4);
        assert_eq!(lag(&answers, 24_000), None);
        assert_eq!(lag(&answers, 1_000_000_000), None);
        let again = [&answers[..], &[(24_000, 4), (20_000, 5)]].concat();
        let seen = lag(&again, 24_000).unwrap();
        assert_eq!((seen.samples, seen.max), (2, ms(4)), "an earlier time counts as the latest");
    }

    #[test]
    fn the_network_may_become_slower() {
        let minutes = |minutes: u64| minutes * 60_000;
        let moved = [(0, 1), (minutes(4), 70), (minutes(6), 70)];
        assert_eq!(lag(&moved, minutes(6)).unwrap().base, ms(1));
        let moved = [&moved[..], &[(minutes(11), 70)]].concat();
        assert_eq!(lag(&moved, minutes(11)).unwrap().base, ms(70));
    }

    #[test]
    fn a_bucket_has_its_values() {
        for value in (0..5_000).chain([1_000_000, 66_000_000, 67_108_863]) {
            let own = bucket(value);
            assert!(value <= upper(own), "{value}");
            assert!(own == 0 || value > upper(own - 1), "{value}");
        }
        assert_eq!((bucket(u32::MAX), upper(BUCKETS - 1)), (BUCKETS - 1, u32::MAX));
    }
}
