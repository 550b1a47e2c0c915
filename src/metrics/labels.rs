//! Counts by labels of the program, such as those of errors.
//!
//! Pure. Runs for every request.

use std::sync::OnceLock;

use prometheus_client::metrics::counter::Counter;

/// Counts by `N` labels that are constants of the program, so that their number is bounded. A count
/// exists when it was first incremented.
///
/// It is a list that only grows, so that neither counting nor reading takes a lock. Finding a count takes
/// one step for each earlier one, which suits events that are rare compared with requests.
#[derive(Debug, Default)]
pub struct LabelCounts<const N: usize>(Link<N>);

/// The end of the list, or the next entry.
type Link<const N: usize> = OnceLock<Box<Entry<N>>>;

#[derive(Debug)]
struct Entry<const N: usize> {
    labels: [&'static str; N],
    counter: Counter,
    next: Link<N>,
}

impl<const N: usize> LabelCounts<N> {
    /// Counts one with these labels.
    pub fn count(&self, labels: [&'static str; N]) {
        let mut link = &self.0;
        loop {
            let new = || Entry { labels, counter: Counter::default(), next: Link::new() };
            let entry = link.get_or_init(|| Box::new(new()));
            if entry.labels == labels {
                entry.counter.inc();
                return;
            }
            link = &entry.next;
        }
    }

    /// All counts, in the order of their first increments.
    pub fn iter(&self) -> impl Iterator<Item = ([&'static str; N], u64)> {
        let entries = std::iter::successors(self.0.get(), |entry| entry.next.get());
        entries.map(|entry| (entry.labels, entry.counter.get()))
    }

    /// The sum of all counts.
    pub fn total(&self) -> u64 {
        self.iter().map(|(_, count)| count).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_label_has_its_count() {
        let counts = LabelCounts::default();
        for labels in [["a", "x"], ["b", "x"], ["a", "x"], ["a", "y"]] {
            counts.count(labels);
        }
        let all: Vec<_> = counts.iter().collect();
        assert_eq!(all, [(["a", "x"], 2), (["b", "x"], 1), (["a", "y"], 1)]);
        assert_eq!(counts.total(), 4);
    }

    #[test]
    fn no_count_is_lost_between_threads() {
        let counts = LabelCounts::default();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for label in ["a", "b", "c", "d"].into_iter().cycle().take(4000) {
                        counts.count([label]);
                    }
                });
            }
        });
        let mut all: Vec<_> = counts.iter().collect();
        all.sort_unstable();
        assert_eq!(all, [(["a"], 4000), (["b"], 4000), (["c"], 4000), (["d"], 4000)]);
    }
}
