//! CPU time of a process tree, in nanoseconds where the kernel tells them.

use std::collections::HashMap;
use std::fs;

use serde::{Deserialize, Serialize};

use super::text::schedstat_nanoseconds;
use super::{numbered_entries, process_tree, stat_of};

/// What a process tree has spent until one moment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cpu {
    /// By process and thread, of those alive.
    nanoseconds: HashMap<(u32, u32), u64>,
    seconds_by_ticks: f64,
}

/// What a process tree spent between two moments.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Spent {
    pub(crate) seconds: f64,
    pub(crate) source: Source,
}

/// How exact it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Source {
    /// Nanoseconds of each thread.
    Schedstat,
    /// Ticks of 10 ms, threads that ended included.
    Stat,
}

impl Cpu {
    /// What the tree below `roots` has spent.
    pub(crate) fn of(roots: &[u32]) -> Self {
        let mut cpu = Self::default();
        let mut ticks = 0;
        for process in process_tree(roots) {
            ticks += stat_of(process).map_or(0, |stat| stat.own_ticks + stat.reaped_ticks);
            for thread in numbered_entries(&format!("/proc/{process}/task")) {
                let path = format!("/proc/{process}/task/{thread}/schedstat");
                let line = fs::read_to_string(path).ok();
                if let Some(spent) = line.as_deref().and_then(schedstat_nanoseconds) {
                    cpu.nanoseconds.insert((process, thread), spent);
                }
            }
        }
        cpu.seconds_by_ticks = seconds(ticks);
        cpu
    }

    /// What was spent from `earlier` until this moment.
    ///
    /// A thread that ended in between took its nanoseconds with it; so did one that also began
    /// there, and then the ticks are clearly more.
    pub(crate) fn since(&self, earlier: &Self) -> Spent {
        let of_thread = |(thread, now): (&(u32, u32), &u64)| {
            now.saturating_sub(earlier.nanoseconds.get(thread).copied().unwrap_or(0))
        };
        let exact = self.nanoseconds.iter().map(of_thread).sum::<u64>() as f64 / 1e9;
        let by_ticks = (self.seconds_by_ticks - earlier.seconds_by_ticks).max(0.0);
        let all_live = earlier.nanoseconds.keys().all(|it| self.nanoseconds.contains_key(it));
        let is_whole = all_live && !earlier.nanoseconds.is_empty();
        if is_whole && by_ticks <= exact * 1.05 + TICKS_ERROR_SECONDS {
            Spent { seconds: exact, source: Source::Schedstat }
        } else {
            Spent { seconds: by_ticks, source: Source::Stat }
        }
    }
}

/// `ticks` of the kernel's accounting as seconds.
pub(super) fn seconds(ticks: u64) -> f64 {
    ticks as f64 / rustix::param::clock_ticks_per_second() as f64
}

/// How far ticks may be above the truth because they are rounded, once for each thread.
const TICKS_ERROR_SECONDS: f64 = 0.05;

#[cfg(test)]
mod tests {
    use super::*;

    fn cpu(threads: &[(u32, u64)], seconds_by_ticks: f64) -> Cpu {
        let threads = threads.iter().map(|(thread, spent)| ((1, *thread), spent * 1_000_000_000));
        Cpu { nanoseconds: threads.collect(), seconds_by_ticks }
    }

    #[test]
    fn nanoseconds_count_unless_a_thread_took_some_with_it() {
        let check = |before: &Cpu, after: &Cpu, seconds: f64, source: Source| {
            assert_eq!(after.since(before), Spent { seconds, source });
        };
        check(&cpu(&[(1, 2)], 2.0), &cpu(&[(1, 5)], 5.0), 3.0, Source::Schedstat);
        check(&cpu(&[(1, 2)], 2.0), &cpu(&[(1, 5), (2, 1)], 6.0), 4.0, Source::Schedstat);
        check(&cpu(&[(1, 2), (2, 1)], 3.0), &cpu(&[(1, 5)], 6.5), 3.5, Source::Stat);
        check(&cpu(&[(1, 2)], 2.0), &cpu(&[(1, 3)], 5.0), 3.0, Source::Stat);
        check(&cpu(&[], 0.0), &cpu(&[], 0.0), 0.0, Source::Stat);
    }

    #[test]
    fn this_process_is_alive_and_has_spent_something() {
        let ours = [std::process::id()];
        assert!(process_tree(&ours).contains(&ours[0]));
        assert!(!Cpu::of(&ours).nanoseconds.is_empty());
        assert!(super::super::pss_bytes(&ours) > 0);
    }
}
