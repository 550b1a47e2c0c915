//! The spans of all keys and values of a file, which serde does not keep.
//!
//! Pure. Runs at start, at reload, or on a timer.

use std::collections::BTreeMap;

use super::events::{StructureError, spanned_values};
use super::key_path::{KeyPath, Step};
use super::problem::Span;
use super::secrets::is_secret;

/// The spans of a file's keys and values.
#[derive(Debug)]
pub(crate) struct SourceMap {
    root: SpannedValue,
    secrets: Vec<Span>,
}

/// A value with its span, the span of its key, and the values below it.
#[derive(Clone, Debug)]
pub(crate) struct SpannedValue {
    pub(crate) key: Option<Span>,
    pub(crate) value: Span,
    /// The text of a scalar.
    pub(crate) scalar: Option<Box<str>>,
    pub(crate) below: BTreeMap<Step, Self>,
    /// The number of values, including itself and those that aliases repeat.
    pub(crate) count: usize,
}

impl SourceMap {
    /// Reads all of `text`, that of the file with this number.
    ///
    /// # Errors
    ///
    /// All duplicate keys, or the one error that ended the parsing.
    pub(crate) fn parse(text: &str, file_number: usize) -> Result<Self, Vec<StructureError>> {
        let mut root = spanned_values(text)?.unwrap_or_else(|| SpannedValue::scalar(START, ""));
        if file_number > 0 {
            root.set_file(file_number);
        }
        let mut secrets = Vec::new();
        root.collect_secrets(&KeyPath::root(), &mut secrets);
        Ok(Self { root, secrets })
    }

    /// The span of the value at `path`; for a map or list, that of its key. For a path that the file does
    /// not have, the span of the nearest value above it; `None` for the whole file.
    pub(crate) fn value(&self, path: &KeyPath) -> Option<Span> {
        let (mark, depth) = self.deepest(path);
        let is_shown_by_key = mark.scalar.as_deref().is_none_or(str::is_empty);
        (depth > 0).then_some(match mark.key {
            Some(key) if is_shown_by_key || depth < path.steps().len() => key,
            Some(_) | None => mark.value,
        })
    }

    /// The span of the key at `path`.
    pub(crate) fn key(&self, path: &KeyPath) -> Option<Span> {
        let (mark, depth) = self.deepest(path);
        (depth > 0).then(|| mark.key.unwrap_or(mark.value))
    }

    /// The text of the scalar at `path`; `None` for a map, a list or a secret.
    pub(crate) fn scalar(&self, path: &KeyPath) -> Option<&str> {
        let (mark, depth) = self.deepest(path);
        let is_shown = depth == path.steps().len() && !self.secrets.contains(&mark.value);
        mark.scalar.as_deref().filter(|text| is_shown && !text.is_empty())
    }

    /// Whether the value at `path` is that of a secret elsewhere, which an alias repeats.
    pub(crate) fn repeats_secret(&self, path: &KeyPath) -> bool {
        let (mark, depth) = self.deepest(path);
        depth == path.steps().len()
            && mark.scalar.is_some()
            && !is_secret(path)
            && self.secrets.contains(&mark.value)
    }

    /// Makes the value at `path` known as `key` of the same map too.
    pub(crate) fn rename(&mut self, path: &KeyPath, key: &str) {
        let Some((parent, old)) = path.split_last() else { return };
        let Some(map) = self.below(&parent) else { return };
        if let Some(value) = map.below.get(old).cloned() {
            map.below.insert(Step::Key(key.into()), value);
        }
    }

    /// Moves the value that `from`, another file, has at `path` to `step` of `section` of this one.
    pub(crate) fn include(&mut self, from: &mut Self, path: &KeyPath, section: &str, step: Step) {
        let Some((parent, last)) = path.split_last() else { return };
        let Some(from_section) = from.below(&parent) else { return };
        let mut empty = SpannedValue::collection(from_section.value);
        empty.key = from_section.key;
        let Some(value) = from_section.below.remove(last) else { return };
        let at = self.root.below.entry(Step::Key(section.into())).or_insert(empty);
        at.below.insert(step, value);
        self.secrets.append(&mut from.secrets);
    }

    /// How many values the file has, with those that aliases repeat.
    pub(crate) fn count(&self) -> usize {
        self.root.count
    }

    /// Whether the file contains only comments.
    pub(crate) fn is_empty(&self) -> bool {
        self.root.scalar.as_deref().is_some_and(str::is_empty)
    }

    /// The spans that must not be shown.
    pub(crate) fn secrets(&self) -> &[Span] {
        &self.secrets
    }

    fn below(&mut self, path: &KeyPath) -> Option<&mut SpannedValue> {
        path.steps().iter().try_fold(&mut self.root, |map, step| map.below.get_mut(step))
    }

    /// The deepest value on `path` that exists, and its depth.
    fn deepest(&self, path: &KeyPath) -> (&SpannedValue, usize) {
        let mut mark = &self.root;
        for (depth, step) in path.steps().iter().enumerate() {
            let Some(next) = mark.below.get(step) else { return (mark, depth) };
            mark = next;
        }
        (mark, path.steps().len())
    }
}

impl SpannedValue {
    /// A scalar with nothing below it.
    pub(crate) fn scalar(value: Span, text: &str) -> Self {
        let scalar = Some(text.into());
        Self { key: None, value, scalar, below: BTreeMap::new(), count: 1 }
    }

    /// A map or list that is still empty.
    pub(crate) fn collection(value: Span) -> Self {
        Self { key: None, value, scalar: None, below: BTreeMap::new(), count: 1 }
    }

    fn set_file(&mut self, number: usize) {
        self.value.file_number = number;
        if let Some(key) = &mut self.key {
            key.file_number = number;
        }
        self.below.values_mut().for_each(|value| value.set_file(number));
    }

    fn collect_secrets(&self, path: &KeyPath, secrets: &mut Vec<Span>) {
        let is_secret = is_secret(path);
        if is_secret && self.scalar.is_some() {
            secrets.push(self.value);
        }
        for (step, mark) in &self.below {
            // `keys: {hush}` is a map whose key is the secret.
            secrets.extend(mark.key.filter(|_| is_secret));
            mark.collect_secrets(&path.then(step.clone()), secrets);
        }
    }
}

const START: Span = Span { line: 1, column: 1, end_line: 1, end_column: 2, file_number: 0 };
