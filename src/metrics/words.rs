//! Counts by words of ours, such as the labels of errors, of which each is seldom.
//!
//! Pure. Runs for every request.

use std::sync::OnceLock;

use prometheus_client::metrics::counter::Counter;

/// Counts by `N` words that the program itself names: their number is bounded by the program's
/// text. A word's count exists once it was counted.
///
/// It is a list that only grows, so that neither counting nor reading takes a lock. To find a word
/// takes a step for each that came before it: meant for what is rare beside requests.
#[derive(Debug, Default)]
pub struct Words<const N: usize>(Link<N>);

/// The end of the list, or what stands there.
type Link<const N: usize> = OnceLock<Box<Entry<N>>>;

#[derive(Debug)]
struct Entry<const N: usize> {
    words: [&'static str; N],
    counter: Counter,
    next: Link<N>,
}

impl<const N: usize> Words<N> {
    /// Counts one of `words`.
    pub fn count(&self, words: [&'static str; N]) {
        let mut link = &self.0;
        loop {
            let new = || Entry { words, counter: Counter::default(), next: Link::new() };
            let entry = link.get_or_init(|| Box::new(new()));
            if entry.words == words {
                entry.counter.inc();
                return;
            }
            link = &entry.next;
        }
    }

    /// All that was counted, in the order in which each was counted first.
    pub fn iter(&self) -> impl Iterator<Item = ([&'static str; N], u64)> {
        let entries = std::iter::successors(self.0.get(), |entry| entry.next.get());
        entries.map(|entry| (entry.words, entry.counter.get()))
    }

    /// The sum of all.
    pub fn total(&self) -> u64 {
        self.iter().map(|(_, count)| count).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_word_has_its_count() {
        let words = Words::default();
        for word in [["a", "x"], ["b", "x"], ["a", "x"], ["a", "y"]] {
            words.count(word);
        }
        let counts: Vec<_> = words.iter().collect();
        assert_eq!(counts, [(["a", "x"], 2), (["b", "x"], 1), (["a", "y"], 1)]);
        assert_eq!(words.total(), 4);
    }

    #[test]
    fn no_count_is_lost_between_threads() {
        let words = Words::default();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for word in ["a", "b", "c", "d"].into_iter().cycle().take(4000) {
                        words.count([word]);
                    }
                });
            }
        });
        let mut counts: Vec<_> = words.iter().collect();
        counts.sort_unstable();
        assert_eq!(counts, [(["a"], 4000), (["b"], 4000), (["c"], 4000), (["d"], 4000)]);
    }
}
