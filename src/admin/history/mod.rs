//! What the last 24 hours were like, in memory: each second of the last five minutes, each ten seconds of
//! the last hour, each minute of the last day.
//!
//! Its size does not depend on the configuration or on the load: 168 KB.
//!
//! Pure. Runs at start, at reload, or on a timer.

mod ring;
mod series;
mod window;

use std::time::Duration;

use crate::Instant;
use ring::Ring;
pub(super) use series::{SERIES, Series};
pub(super) use window::{Growth, LabelWindows};

/// A value for each series, in the order of [`Series::ALL`].
pub(super) type Values = [f32; SERIES];

/// The values of the last 24 hours.
#[derive(Debug)]
pub(super) struct History {
    /// When it begins.
    begun: Instant,
    /// From the finest to the coarsest.
    rings: [Ring; 3],
    /// The last totals, of series that are rates, and when they were taken.
    last: Option<([f64; SERIES], Instant)>,
}

/// Some of the history.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Excerpt {
    pub(super) step: Duration,
    pub(super) begins: Instant,
    /// In the order of the request; `None` where nothing was recorded.
    pub(super) series: Vec<Vec<Option<f32>>>,
}

impl History {
    /// The longest time that is kept.
    pub(super) const SPAN: Duration = Duration::from_hours(24);

    /// A history that begins at `now`.
    pub(super) fn new(now: Instant) -> Self {
        let rings = RINGS.map(|(step, steps)| Ring::new(step, steps));
        Self { begun: now, rings, last: None }
    }

    /// Records the levels and totals of this moment. Called once a second; of a second call within the
    /// same second the mean is taken.
    pub(super) fn record(&mut self, totals: &[f64; SERIES], now: Instant) {
        let Some((last, at)) = self.last.replace((*totals, now)) else { return };
        let seconds = now.saturating_duration_since(at).as_secs_f64();
        if seconds <= 0.0 {
            self.last = Some((last, at));
            return;
        }
        let mut values = [0.0; SERIES];
        for series in Series::ALL {
            let (before, after) = (last[series as usize], totals[series as usize]);
            values[series as usize] = match series.is_rate() {
                // A route that leaves takes its totals along.
                true => ((after - before).max(0.0) / seconds) as f32,
                false => after as f32,
            };
        }
        let second = now.saturating_duration_since(self.begun).as_secs();
        for ring in &mut self.rings {
            ring.record(second, &values);
        }
    }

    /// The mean of a series over the last `span`, as far as it is known.
    pub(super) fn mean(&self, series: Series, span: Duration) -> f64 {
        let (_, values) = self.ring(span).last(span.as_secs());
        let known = values.map(|values| f64::from(values[series as usize]));
        let (sum, count) = known
            .filter(|value| value.is_finite())
            .fold((0.0, 0_u32), |(sum, count), value| (sum + value, count + 1));
        if count == 0 { 0.0 } else { sum / f64::from(count) }
    }

    /// The last `span` of these series, in the finest resolution that covers it.
    pub(super) fn excerpt(&self, wanted: &[Series], span: Duration) -> Excerpt {
        let ring = self.ring(span);
        let steps = span.as_secs().div_ceil(ring.step_seconds());
        let (begins, values) = ring.last(steps);
        let mut series: Vec<Vec<Option<f32>>> = wanted.iter().map(|_| Vec::new()).collect();
        for step in values {
            for (shown, series) in series.iter_mut().zip(wanted) {
                let value = step[*series as usize];
                shown.push(Some(value).filter(|value| value.is_finite()));
            }
        }
        let step = Duration::from_secs(ring.step_seconds());
        Excerpt { step, begins: self.begun + Duration::from_secs(begins), series }
    }

    fn ring(&self, span: Duration) -> &Ring {
        let [fine, middle, coarse] = &self.rings;
        let covers = |ring: &&Ring| span.as_secs() <= ring.span_seconds();
        [fine, middle].into_iter().find(covers).unwrap_or(coarse)
    }
}

/// The seconds of a step and the number of steps of each ring.
const RINGS: [(u64, usize); 3] = [(1, 300), (10, 360), (60, 1440)];

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// Totals in which only `series` is not 0.
    fn only(series: Series, total: f64) -> [f64; SERIES] {
        let mut totals = [0.0; SERIES];
        totals[series as usize] = total;
        totals
    }

    /// A history of `seconds` in which `series` has these totals.
    fn recorded(series: Series, seconds: u64, total: impl Fn(u64) -> f64) -> History {
        let begun = Instant::now();
        let mut history = History::new(begun);
        for second in 0..=seconds {
            let now = begun + Duration::from_secs(second);
            history.record(&only(series, total(second)), now);
        }
        history
    }

    #[test]
    fn totals_become_rates_and_levels_stay() {
        let history = recorded(Series::Requests, 10, |second| (second * 5) as f64);
        let shown = history.excerpt(&[Series::Requests, Series::Websockets], 3 * SECOND);
        assert_eq!(shown.series, [vec![Some(5.0); 3], vec![Some(0.0); 3]]);
        assert_eq!((shown.step, shown.begins), (SECOND, history.begun + 7 * SECOND));
        let history = recorded(Series::Websockets, 10, |second| second as f64);
        let shown = history.excerpt(&[Series::Websockets], 2 * SECOND);
        assert_eq!(shown.series, [[Some(8.0), Some(9.0)]]);
        assert!((history.mean(Series::Websockets, 5 * SECOND) - 7.0).abs() < 1e-6);
    }

    #[test]
    fn a_total_that_shrinks_is_no_negative_rate_and_a_late_call_is_divided() {
        let begun = Instant::now();
        let mut history = History::new(begun);
        for (second, total) in [(0, 100.0), (1, 50.0), (5, 90.0), (6, 90.0)] {
            history.record(&only(Series::Errors, total), begun + second * SECOND);
        }
        let shown = history.excerpt(&[Series::Errors], 60 * SECOND);
        let expected = [None, Some(0.0), None, None, None, Some(10.0)];
        assert_eq!(shown.series, [expected]);
    }

    #[test]
    fn older_times_have_a_coarser_resolution() {
        let history = recorded(Series::Websockets, 25 * 3600, |second| second as f64);
        let check = |span: u64, step: u64, length: usize| {
            let shown = history.excerpt(&[Series::Websockets], Duration::from_secs(span));
            assert_eq!((shown.step.as_secs(), shown.series[0].len()), (step, length), "{span}");
            assert!(shown.series[0].iter().all(Option::is_some), "{span}");
        };
        check(60, 1, 60);
        check(300, 1, 300);
        check(301, 10, 31);
        check(3600, 10, 360);
        check(3601, 60, 61);
        check(24 * 3600, 60, 1440);
        check(999_999, 60, 1440);
    }

    #[test]
    fn its_memory_is_bounded() {
        let steps: usize = RINGS.iter().map(|(_, steps)| steps).sum();
        assert_eq!(steps * size_of::<Values>(), 168_000);
    }

    #[test]
    fn a_history_without_values_is_empty() {
        let now = Instant::now();
        let mut history = History::new(now);
        for _ in 0..3 {
            history.record(&[1.0; SERIES], now);
        }
        assert_eq!(history.mean(Series::Memory, SECOND), 0.0);
        assert_eq!(history.excerpt(&[Series::Memory], History::SPAN).series, [[]]);
    }
}
