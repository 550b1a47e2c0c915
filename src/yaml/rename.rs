//! Keys that have new names: the old key keeps working for a while, with a warning.
//!
//! Pure. Runs at start, at reload, or on a timer.

use serde_yaml::Value;

use super::key_path::KeyPath;
use super::problem::Diagnostic;
use super::report::Report;

/// A key that was renamed, or divided into several keys.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rename {
    /// The path of the old key as the manual writes it: `routes[].body_timeout`.
    pub(crate) old: &'static str,
    /// The keys of the same map that replace it. Each one that is not written gets the value.
    pub(crate) new: &'static [&'static str],
    /// The version that no longer accepts the old key.
    pub(crate) until: &'static str,
}

/// Moves the value of each old key in `tree` to its new keys, with one warning for each old key. An
/// old key whose new keys are all written too is refused: only one of them could apply.
pub(crate) fn apply(renames: &[Rename], tree: &mut Value, report: &mut Report<'_>) {
    for rename in renames {
        let path = rename.old.replace("[]", ".[]");
        let steps: Vec<&str> = path.split('.').collect();
        rename.apply(&steps, &KeyPath::root(), tree, report);
    }
}

impl Rename {
    /// Follows `steps` from `value`, which is at `path`: `[]` is each item, `*` each value of a map.
    fn apply(&self, steps: &[&str], path: &KeyPath, value: &mut Value, report: &mut Report<'_>) {
        match (steps, value) {
            ([old], value) => self.replace(old, path, value, report),
            (["[]", rest @ ..], Value::Sequence(items)) => {
                for (index, item) in items.iter_mut().enumerate() {
                    self.apply(rest, &path.index(index), item, report);
                }
            }
            (["*", rest @ ..], Value::Mapping(map)) => {
                for (key, value) in map.iter_mut() {
                    let Some(key) = key.as_str() else { continue };
                    self.apply(rest, &path.key(key), value, report);
                }
            }
            ([key, rest @ ..], value) => {
                if let Some(below) = value.get_mut(*key) {
                    self.apply(rest, &path.key(key), below, report);
                }
            }
            ([], _) => (),
        }
    }

    fn replace(&self, old: &str, path: &KeyPath, value: &mut Value, report: &mut Report<'_>) {
        let Value::Mapping(map) = value else { return };
        let Some(value) = map.get(old).cloned() else { return };
        let (at, new) = (path.key(old), self.new.join(" and "));
        map.remove(old);
        let free: Vec<&str> =
            self.new.iter().copied().filter(|key| !map.contains_key(*key)).collect();
        if free.is_empty() {
            let diagnostic = Diagnostic::new(format!("is the old name of {new}, and both are set"));
            return report.refuse_key(&at, None, diagnostic.help("remove the old key"));
        }
        let until = self.until;
        report.warn(&at, &format!("is deprecated and works until {until}: write {new}"));
        for key in free {
            map.insert(key.into(), value.clone());
            report.rename(&at, key);
        }
    }
}
