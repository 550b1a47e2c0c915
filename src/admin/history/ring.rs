//! Values of one resolution: the mean of each step, for as many steps as the ring has.
//!
//! Pure. Runs at start, at reload, or on a timer.

use super::Values;
use super::series::SERIES;

/// The steps of one resolution. A step is finished when a value of a later one comes.
#[derive(Debug)]
pub(super) struct Ring {
    step_seconds: u64,
    /// The means of finished steps. NaN for a step without values.
    means: Box<[Values]>,
    /// The number of the step that is under way, from 0 at the begin of the history.
    step: u64,
    sums: [f64; SERIES],
    count: u32,
}

impl Ring {
    /// A ring for `steps` of `step_seconds` each. Nothing was recorded yet.
    pub(super) fn new(step_seconds: u64, steps: usize) -> Self {
        Self {
            step_seconds,
            means: vec![[f32::NAN; SERIES]; steps].into(),
            step: 0,
            sums: [0.0; SERIES],
            count: 0,
        }
    }

    pub(super) fn step_seconds(&self) -> u64 {
        self.step_seconds
    }

    /// The time that its steps cover.
    pub(super) fn span_seconds(&self) -> u64 {
        self.step_seconds * self.means.len() as u64
    }

    /// Adds the values of this second, which is not before the last one.
    pub(super) fn record(&mut self, second: u64, values: &Values) {
        let step = second / self.step_seconds;
        if step > self.step {
            self.finish();
            // A clock that jumps past the whole ring clears it once.
            let missing = (step - self.step - 1).min(self.means.len() as u64);
            for skipped in 1..=missing {
                *self.slot(step - skipped) = [f32::NAN; SERIES];
            }
            self.step = step;
        }
        for (sum, value) in self.sums.iter_mut().zip(values) {
            *sum += f64::from(*value);
        }
        self.count += 1;
    }

    fn finish(&mut self) {
        let count = f64::from(self.count);
        let means = self.sums.map(|sum| (sum / count) as f32);
        *self.slot(self.step) = means;
        (self.sums, self.count) = ([0.0; SERIES], 0);
    }

    fn slot(&mut self, step: u64) -> &mut Values {
        let index = (step % self.means.len() as u64) as usize;
        &mut self.means[index]
    }

    /// The second at which the first of the last `steps` finished steps began, and these steps, the oldest
    /// first. There are fewer if the history is younger.
    pub(super) fn last(&self, steps: u64) -> (u64, impl Iterator<Item = &Values>) {
        let steps = steps.min(self.step).min(self.means.len() as u64);
        let first = self.step - steps;
        let length = self.means.len() as u64;
        let values = (first..self.step).map(move |step| &self.means[(step % length) as usize]);
        (first * self.step_seconds, values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(seconds: &[(u64, f32)], steps: u64, expected: (u64, &[Option<f32>])) {
        let mut ring = Ring::new(10, 4);
        for (second, value) in seconds {
            ring.record(*second, &[*value; SERIES]);
        }
        let (begins, values) = ring.last(steps);
        let shown: Vec<_> =
            values.map(|values| Some(values[0]).filter(|value| value.is_finite())).collect();
        assert_eq!((begins, shown.as_slice()), expected, "{seconds:?}");
    }

    #[test]
    fn a_step_is_the_mean_of_its_seconds_and_is_shown_when_it_is_over() {
        check(&[(0, 1.0), (9, 3.0)], 4, (0, &[]));
        check(&[(0, 1.0), (9, 3.0), (10, 8.0)], 4, (0, &[Some(2.0)]));
        check(&[(0, 1.0), (10, 8.0), (20, 0.0)], 1, (10, &[Some(8.0)]));
    }

    #[test]
    fn a_step_without_values_is_a_gap() {
        check(&[(0, 1.0), (31, 2.0), (40, 9.0)], 9, (0, &[Some(1.0), None, None, Some(2.0)]));
        check(&[(0, 1.0), (1_000_000, 2.0)], 9, (999_960, &[None; 4]));
        check(&[(0, 1.0), (1_000_000, 2.0), (1_000_010, 0.0)], 1, (1_000_000, &[Some(2.0)]));
    }

    #[test]
    fn the_oldest_steps_are_forgotten() {
        let seconds: Vec<_> = (0..10).map(|step| (step * 10, step as f32)).collect();
        check(&seconds, 99, (50, &[Some(5.0), Some(6.0), Some(7.0), Some(8.0)]));
    }
}
