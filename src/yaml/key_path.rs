//! The path of a key in the file: `routes[0].tunnel.idle_timeout`.
//!
//! Pure. Runs at start, at reload, or on a timer.

use std::fmt;

/// The steps from the root of the file to one of its values.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct KeyPath(Vec<Step>);

/// One step down.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Step {
    /// To a key's value.
    Key(Box<str>),
    /// To an item of a list, counted from 0.
    Index(usize),
}

impl KeyPath {
    /// The whole file.
    pub(crate) fn root() -> Self {
        Self::default()
    }

    /// The value of `key` in this map.
    pub(crate) fn key(&self, key: &str) -> Self {
        self.then(Step::Key(key.into()))
    }

    /// The item of this list with that number, counted from 0.
    pub(crate) fn index(&self, index: usize) -> Self {
        self.then(Step::Index(index))
    }

    /// One step further down.
    pub(crate) fn then(&self, step: Step) -> Self {
        let mut steps = Vec::with_capacity(self.0.len() + 1);
        steps.extend_from_slice(&self.0);
        steps.push(step);
        Self(steps)
    }

    /// The steps from the root.
    pub(crate) fn steps(&self) -> &[Step] {
        &self.0
    }

    /// Whether this path is `above` or a path below it.
    pub(crate) fn starts_with(&self, above: &Self) -> bool {
        self.0.starts_with(&above.0)
    }

    /// The path of the map or list that contains the last step, and that step; `None` at the root.
    pub(crate) fn split_last(&self) -> Option<(Self, &Step)> {
        self.0.split_last().map(|(last, parents)| (Self(parents.to_vec()), last))
    }
}

impl FromIterator<Step> for KeyPath {
    fn from_iter<I: IntoIterator<Item = Step>>(steps: I) -> Self {
        Self(steps.into_iter().collect())
    }
}

impl fmt::Display for KeyPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (depth, step) in self.0.iter().enumerate() {
            match step {
                Step::Index(index) => write!(f, "[{index}]")?,
                Step::Key(key) => {
                    f.write_str(if depth == 0 { "" } else { "." })?;
                    write_key(f, key)?;
                }
            }
        }
        Ok(())
    }
}

/// Writes a key so that it is one word on one line, whatever the file's author wrote.
fn write_key(f: &mut fmt::Formatter<'_>, key: &str) -> fmt::Result {
    let is_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    if !key.is_empty() && key.len() <= KEY_SHOWN_MAX && key.chars().all(is_word) {
        return f.write_str(key);
    }
    let shown: String = key.chars().take(KEY_SHOWN_MAX).collect();
    let ellipsis = if shown.len() < key.len() { "…" } else { "" };
    write!(f, "{shown:?}{ellipsis}")
}

/// Longer keys are cut, in characters: a problem's line should fit a terminal.
const KEY_SHOWN_MAX: usize = 40;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_reads_like_the_manual_writes_it() {
        let check = |path: KeyPath, shown: &str| assert_eq!(path.to_string(), shown);
        check(KeyPath::root(), "");
        check(KeyPath::root().key("log").key("level"), "log.level");
        check(KeyPath::root().key("routes").index(3).key("path"), "routes[3].path");
        check(KeyPath::root().key("upstreams").key("a.b"), "upstreams.\"a.b\"");
        check(KeyPath::root().key("a\nb"), "\"a\\nb\"");
        check(KeyPath::root().key(&"x".repeat(50)), &format!("\"{}\"…", "x".repeat(40)));
    }
}
