//! The texts of `/proc`, read. Pure.

use std::collections::{BTreeSet, HashMap};

/// What of `/proc/PID/stat` counts here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stat {
    pub(super) parent: u32,
    /// Of all threads of the process, ended ones too.
    pub(super) own_ticks: u64,
    /// Of the children that ended and that it waited for.
    pub(super) reaped_ticks: u64,
}

impl Stat {
    /// Reads the whole line. The name in it may have blanks and brackets: the fields count from
    /// its last bracket.
    pub(super) fn read(line: &str) -> Option<Self> {
        let fields: Vec<&str> = line.rsplit_once(')')?.1.split_ascii_whitespace().collect();
        let ticks = |at: usize| fields.get(at)?.parse::<u64>().ok();
        Some(Self {
            parent: fields.get(1)?.parse().ok()?,
            own_ticks: ticks(11)? + ticks(12)?,
            reaped_ticks: ticks(13)? + ticks(14)?,
        })
    }
}

/// Nanoseconds on a core: the first number of `/proc/PID/task/TID/schedstat`.
pub(super) fn schedstat_nanoseconds(line: &str) -> Option<u64> {
    line.split_ascii_whitespace().next()?.parse().ok()
}

/// The sum in `/proc/PID/smaps_rollup`.
pub(super) fn pss_bytes(rollup: &str) -> Option<u64> {
    let value = rollup.lines().find_map(|line| line.strip_prefix("Pss:"))?;
    let kibibytes: u64 = value.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

/// `roots` and all below them, by the parent of each process.
pub(super) fn tree(roots: &[u32], parents: &HashMap<u32, u32>) -> BTreeSet<u32> {
    let mut found: BTreeSet<u32> = roots.iter().copied().collect();
    loop {
        let below = parents.iter().filter(|(_, parent)| found.contains(parent));
        let below: Vec<u32> = below.map(|(process, _)| *process).collect();
        let before = found.len();
        found.extend(below);
        if found.len() == before {
            return found;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stat_is_read_behind_the_last_bracket_of_the_name() {
        let check = |line: &str, expected: Option<(u32, u64, u64)>| {
            let expected = expected.map(|(parent, own_ticks, reaped_ticks)| Stat {
                parent,
                own_ticks,
                reaped_ticks,
            });
            assert_eq!(Stat::read(line), expected, "{line}");
        };
        let fields = "S 7 1 1 0 -1 4194560 5 6 7 8 100 20 3 4 20 0 1 0 99";
        check(&format!("42 (nginx) {fields}"), Some((7, 120, 7)));
        check(&format!("42 (a) b (c)) {fields}"), Some((7, 120, 7)));
        check("42 (nginx) S 7 1", None);
        check("42 nginx S 7", None);
        check("", None);
    }

    #[test]
    fn time_on_a_core_is_the_first_number() {
        assert_eq!(schedstat_nanoseconds("123456 7 8\n"), Some(123_456));
        assert_eq!(schedstat_nanoseconds("\n"), None);
        assert_eq!(schedstat_nanoseconds("a b"), None);
    }

    #[test]
    fn memory_is_the_line_of_the_sum() {
        let rollup = "5-7 ---p 0 [rollup]\nRss:  900 kB\nPss:    321 kB\nPss_Dirty: 5 kB\n";
        assert_eq!(pss_bytes(rollup), Some(321 * 1024));
        assert_eq!(pss_bytes("Rss: 900 kB\n"), None);
    }

    #[test]
    fn a_tree_has_children_of_children_and_no_others() {
        let parents = HashMap::from([(2, 1), (3, 2), (4, 3), (5, 1), (6, 99)]);
        assert_eq!(tree(&[2], &parents), BTreeSet::from([2, 3, 4]));
        assert_eq!(tree(&[3, 5], &parents), BTreeSet::from([3, 4, 5]));
        assert_eq!(tree(&[], &parents), BTreeSet::new());
    }
}
