//! Whether memory stays flat: windows of some seconds, six to a period, ten periods to a run.

use std::time::Duration;

use super::super::figures::{CHANCE_KIB, median};

/// How long the run takes, and how it is cut.
#[derive(Clone, Copy)]
pub struct Plan {
    pub total: Duration,
}

impl Plan {
    /// As the environment says, else ten minutes.
    pub fn from_environment() -> Self {
        let seconds = std::env::var(SECONDS).ok().map(|seconds| seconds.parse().expect(SECONDS));
        let seconds: u64 = seconds.unwrap_or(SECONDS_DEFAULT);
        assert!(seconds >= SECONDS_LEAST, "{SECONDS} is {SECONDS_LEAST} at least");
        Self { total: Duration::from_secs(seconds) }
    }

    /// A minute of ten.
    pub fn period(self) -> Duration {
        self.total / PERIODS as u32
    }

    /// How often to look: ten times in each window.
    pub fn look(self) -> Duration {
        self.period() / (WINDOWS * LOOKS) as u32
    }
}

/// Resident memory at each look, in KiB, and at what part of the run that was.
#[derive(Default)]
pub struct Looks(Vec<(f64, usize)>);

impl Looks {
    /// Notes a look when `part` of the run was over, 0 to 1.
    pub fn note(&mut self, part: f64, kib: usize) {
        self.0.push((part, kib));
    }

    /// The median of each window, in order.
    pub fn windows(&self) -> Vec<usize> {
        let count = PERIODS * WINDOWS;
        let number = |part: f64| ((part * count as f64) as usize).min(count - 1);
        let of = |window| {
            let looks = self.0.iter().filter(|(part, _)| number(*part) == window);
            median(looks.map(|(_, kib)| *kib).collect())
        };
        (0..count).filter_map(of).collect()
    }
}

/// The median of each period of these windows.
pub fn periods(windows: &[usize]) -> Vec<usize> {
    windows.chunks(WINDOWS).filter_map(|period| median(period.to_vec())).collect()
}

/// The most that any period may have behind the third: the first two are for tables and the allocator to
/// fill.
pub fn bound_kib(periods: &[usize]) -> usize {
    periods[WARM_UP] + periods[WARM_UP] / 20 + CHANCE_KIB
}

/// The periods that the bound is for.
pub fn judged(periods: &[usize]) -> &[usize] {
    &periods[WARM_UP + 1..]
}

const PERIODS: usize = 10;
const WINDOWS: usize = 6;
const LOOKS: usize = 10;
const WARM_UP: usize = 2;

/// How long the load lasts, in seconds: for who works on it.
const SECONDS: &str = "SOAK_SECONDS";
const SECONDS_DEFAULT: u64 = 600;
/// A drain has to fit into a period.
const SECONDS_LEAST: u64 = 60;

#[cfg(test)]
mod tests {
    use super::*;

    /// Looks at a run in which `kib` tells the memory of each period.
    fn check(kib: impl Fn(usize) -> usize, flat: bool) {
        let mut looks = Looks::default();
        let count = PERIODS * WINDOWS * LOOKS;
        for look in 0..count {
            let spike = if look % LOOKS == 0 { 1_000_000 } else { 0 };
            let period = look / (WINDOWS * LOOKS);
            looks.note(look as f64 / count as f64, kib(period) + spike);
        }
        let periods = periods(&looks.windows());
        assert_eq!(periods, (0..PERIODS).map(&kib).collect::<Vec<_>>());
        let is_flat = judged(&periods).iter().all(|kib| *kib <= bound_kib(&periods));
        assert_eq!(is_flat, flat, "{periods:?}");
    }

    #[test]
    fn memory_that_grows_behind_the_warm_up_is_found() {
        check(|_| 20_000, true);
        check(|period| if period < WARM_UP { 5_000 } else { 20_000 }, true);
        check(|period| if period == WARM_UP { 20_000 } else { 22_024 }, true);
        check(|period| if period == 6 { 22_025 } else { 20_000 }, false);
        check(|period| 20_000 + period * 320, false);
    }
}
