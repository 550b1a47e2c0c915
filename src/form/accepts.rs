//! What a single value may be: declared with each key, for the JSON Schema and the manual.
//!
//! The ranges are the resolver's own, so they are written once.
//!
//! Pure. Runs at start, at reload, or on a timer.

use std::ops::RangeInclusive;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::patterns;
use crate::yaml::units::{DURATION_UNITS, SIZE_UNITS, render_duration, render_size};

/// The words and the form of a value.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct Accepts {
    words: Vec<String>,
    /// What the manual calls the form, with its range.
    label: Option<String>,
    /// The form as a regular expression.
    pattern: Option<String>,
    /// The range of a value that may be written as a number.
    numbers: Option<[u64; 2]>,
}

impl Accepts {
    /// A duration in `range`.
    pub(crate) fn duration(range: &RangeInclusive<Duration>) -> Self {
        let [least, most] = [range.start(), range.end()].map(|end| render_duration(*end));
        let millis = |end: &Duration| u64::try_from(end.as_millis()).unwrap_or(u64::MAX);
        let pattern =
            patterns::duration(&DURATION_UNITS, millis(range.start())..=millis(range.end()));
        Self::form(&format!("duration, `{least}` to `{most}`"), pattern)
    }

    /// A size in `range`, in bytes.
    pub(crate) fn size(range: &RangeInclusive<u64>) -> Self {
        let [least, most] = [range.start(), range.end()].map(|end| render_size(*end));
        let pattern = patterns::size(&SIZE_UNITS, range.clone());
        Self::form(&format!("size, `{least}` to `{most}`"), pattern)
    }

    /// A whole number in `range`.
    pub(crate) fn number(range: &RangeInclusive<u32>) -> Self {
        let (least, most) = (*range.start(), *range.end());
        let range = u64::from(least)..=u64::from(most);
        let pattern = format!("0*{}", patterns::number(range));
        Self::form(&format!("number, {least} to {most}"), pattern).or_number(least, most)
    }

    /// A percentage in `range`.
    pub(crate) fn percent(range: &RangeInclusive<u32>) -> Self {
        let (least, most) = (*range.start(), *range.end());
        let pattern = format!("0*{}%", patterns::number(u64::from(least)..=u64::from(most)));
        Self::form(&format!("percentage, {least}% to {most}%"), pattern)
    }

    /// Text of the form `pattern`, which the manual calls `label`.
    pub(crate) fn form(label: &str, pattern: impl Into<String>) -> Self {
        let (label, pattern) = (Some(label.to_owned()), Some(pattern.into()));
        Self { label, pattern, ..Self::default() }
    }

    /// This word too.
    pub(crate) fn or(mut self, word: &str) -> Self {
        self.words.push(word.to_owned());
        self
    }

    /// The same as a number from `least` to `most`.
    pub(crate) fn or_number(self, least: u32, most: u32) -> Self {
        Self { numbers: Some([least.into(), most.into()]), ..self }
    }

    /// The range of a value that may be written as a number.
    pub(crate) fn numbers(&self) -> Option<[u64; 2]> {
        self.numbers
    }

    /// The words, if nothing else is accepted.
    pub(crate) fn only_words(&self) -> Option<&[String]> {
        self.pattern.is_none().then_some(&self.words)
    }

    /// What the text of a value looks like, as a regular expression.
    pub(crate) fn pattern(&self) -> String {
        let forms = self.words.iter().chain(&self.pattern).map(String::as_str);
        forms.collect::<Vec<_>>().join("|")
    }

    /// What the manual says of the type: `off` or duration, `1s` to `1h`.
    pub(crate) fn label(&self) -> String {
        let words = self.words.iter().map(|word| format!("`{word}`"));
        one_of(&words.chain(self.label.clone()).collect::<Vec<_>>())
    }
}

/// `a`, `b` or `c`.
pub(crate) fn one_of(choices: &[String]) -> String {
    match choices {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}
