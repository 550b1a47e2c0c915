//! Medians and spreads of a few runs. Pure.

/// A figure of several runs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Sample {
    pub(super) median: f64,
    /// (highest - lowest) / median; 0 of one run. Differences below it are none.
    pub(super) spread: f64,
}

impl Sample {
    /// Of `values`, in any order; `None` of none.
    pub(super) fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let (lowest, highest) = (values.first()?, values.last()?);
        let median = match values.len() {
            odd if odd % 2 == 1 => *values.get(odd / 2)?,
            even => f64::midpoint(*values.get(even / 2 - 1)?, *values.get(even / 2)?),
        };
        let width = highest - lowest;
        let spread = if width == 0.0 { 0.0 } else { width / median.abs() };
        Some(Self { median, spread })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle_and_the_spread_is_relative_to_it() {
        let check = |values: &[f64], median: f64, spread: f64| {
            let expected = Some(Sample { median, spread });
            assert_eq!(Sample::of(values.iter().copied()), expected, "{values:?}");
        };
        check(&[3.0], 3.0, 0.0);
        check(&[4.0, 2.0], 3.0, 2.0 / 3.0);
        check(&[9.0, 1.0, 4.0], 4.0, 2.0);
        check(&[1.0, 2.0, 3.0, 10.0], 2.5, 3.6);
        check(&[0.0, 0.0], 0.0, 0.0);
        check(&[-2.0, -4.0], -3.0, 2.0 / 3.0);
        assert_eq!(Sample::of([]), None);
    }
}
