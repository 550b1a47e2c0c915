//! How a single value may be written: as one of some words, or as a quantity in a range.
//!
//! A [`Form`] parses a value, writes it, and says for the JSON Schema and the manual what it accepts.
//! So a word or a range stands in one place, next to the key. A [`section`] is a map of such keys.
//!
//! Pure. Runs at start, at reload, or on a timer.

mod accepts;
mod header_name;
pub(crate) mod patterns;
pub(crate) mod section;

use std::convert::Infallible;
use std::num::NonZeroU32;
use std::ops::RangeInclusive;
use std::time::Duration;

use crate::yaml::units::{self, render_duration, render_size};
use crate::yaml::{Diagnostic, RawScalar};
pub(crate) use accepts::{Accepts, one_of};
pub(crate) use header_name::header_name;

/// Words and what they mean.
type Words<T> = &'static [(&'static str, T)];

/// How a value of type `T` is written: as a word, or as a quantity of type `V`.
#[derive(Clone, Debug)]
pub(crate) struct Form<T: 'static, V: 'static = T> {
    words: Words<T>,
    quantity: Option<Quantity<T, V>>,
}

#[derive(Clone, Debug)]
struct Quantity<T, V> {
    range: RangeInclusive<V>,
    parse: fn(&str, &RangeInclusive<V>) -> Result<V, Diagnostic>,
    render: fn(V) -> String,
    accepts: fn(&RangeInclusive<V>) -> Accepts,
    into: fn(V) -> T,
    from: fn(&T) -> Option<V>,
}

impl<T: Clone + PartialEq, V> Form<T, V> {
    /// The value in `text`.
    pub(crate) fn parse(&self, text: &str) -> Result<T, Diagnostic> {
        if let Some((_, value)) = self.words.iter().find(|(word, _)| *word == text) {
            return Ok(value.clone());
        }
        let words = self.words.iter().map(|(word, _)| *word);
        if words.clone().any(|word| word == "off") {
            units::refuse_other_off(text)?;
        }
        let Some(quantity) = &self.quantity else {
            return Err(Diagnostic::none_of("is not a known word", text, words));
        };
        let words = words.collect::<Vec<_>>().join(" or ");
        let parsed = (quantity.parse)(text, &quantity.range).map(quantity.into);
        parsed.map_err(|diagnostic| match &*words {
            "" => diagnostic,
            words => diagnostic.or_write(words),
        })
    }

    /// `value` as the file writes it.
    pub(crate) fn render(&self, value: &T) -> RawScalar {
        let word = self.words.iter().find(|(_, known)| known == value);
        let quantity = || {
            let quantity = self.quantity.as_ref()?;
            (quantity.from)(value).map(quantity.render)
        };
        RawScalar::new(match word {
            Some((word, _)) => (*word).to_owned(),
            None => quantity().unwrap_or_default(),
        })
    }

    /// What the schema and the manual say of it.
    pub(crate) fn accepts(&self) -> Accepts {
        let quantity = self.quantity.as_ref();
        let quantity = quantity.map(|quantity| (quantity.accepts)(&quantity.range));
        let words = self.words.iter().map(|(word, _)| *word);
        words.fold(quantity.unwrap_or_default(), Accepts::or)
    }
}

impl<T> Form<T, Infallible> {
    /// One of `words`.
    pub(crate) const fn word(words: Words<T>) -> Self {
        Self { words, quantity: None }
    }
}

impl<T> Form<T, Duration> {
    /// A duration in `range`, or one of `words`.
    pub(crate) const fn duration_or(
        words: Words<T>,
        range: RangeInclusive<Duration>,
        into: fn(Duration) -> T,
        from: fn(&T) -> Option<Duration>,
    ) -> Self {
        let (parse, render, accepts) = (units::duration, render_duration, Accepts::duration);
        let quantity = Quantity { range, parse, render, accepts, into, from };
        Self { words, quantity: Some(quantity) }
    }
}

impl<T> Form<T, u64> {
    /// A size in `range`, or one of `words`.
    pub(crate) const fn size_or(
        words: Words<T>,
        range: RangeInclusive<u64>,
        into: fn(u64) -> T,
        from: fn(&T) -> Option<u64>,
    ) -> Self {
        let (parse, render, accepts) = (units::size, render_size, Accepts::size);
        let quantity = Quantity { range, parse, render, accepts, into, from };
        Self { words, quantity: Some(quantity) }
    }
}

impl<T> Form<T, u32> {
    /// A whole number in `range`, or one of `words`.
    pub(crate) const fn number_or(
        words: Words<T>,
        range: RangeInclusive<u32>,
        into: fn(u32) -> T,
        from: fn(&T) -> Option<u32>,
    ) -> Self {
        let (parse, accepts) = (units::number, Accepts::number);
        let render = |number: u32| number.to_string();
        let quantity = Quantity { range, parse, render, accepts, into, from };
        Self { words, quantity: Some(quantity) }
    }
}

impl Form<Duration> {
    /// A duration in `range`.
    pub(crate) const fn duration(range: RangeInclusive<Duration>) -> Self {
        Self::duration_or(&[], range, |duration| duration, |duration| Some(*duration))
    }

    /// A duration in `range`, or `off`, which is zero.
    pub(crate) const fn duration_or_off(range: RangeInclusive<Duration>) -> Self {
        const OFF: Words<Duration> = &[("off", Duration::ZERO)];
        Self::duration_or(OFF, range, |duration| duration, |duration| Some(*duration))
    }
}

impl Form<Option<Duration>, Duration> {
    /// A duration in `range`, or `word`, which is `None`.
    pub(crate) const fn optional_duration(
        word: Words<Option<Duration>>,
        range: RangeInclusive<Duration>,
    ) -> Self {
        Self::duration_or(word, range, Some, |duration| *duration)
    }
}

impl Form<usize, u64> {
    /// A size in `range` of something in memory.
    pub(crate) const fn size_in_memory(range: RangeInclusive<u64>) -> Self {
        let into = |bytes| usize::try_from(bytes).unwrap_or(usize::MAX);
        Self::size_or(&[], range, into, |bytes| u64::try_from(*bytes).ok())
    }
}

impl Form<u32> {
    /// A percentage in `range`.
    pub(crate) const fn percent(range: RangeInclusive<u32>) -> Self {
        let (parse, accepts) = (units::percent, Accepts::percent);
        let render = |percent: u32| format!("{percent}%");
        let (into, from) = (|percent| percent, |percent: &u32| Some(*percent));
        let quantity = Quantity { range, parse, render, accepts, into, from };
        Self { words: &[], quantity: Some(quantity) }
    }
}

impl Form<usize, u32> {
    /// A whole number in `range`.
    pub(crate) const fn count(range: RangeInclusive<u32>) -> Self {
        Self::number_or(&[], range, |number| number as usize, |number| u32::try_from(*number).ok())
    }
}

impl Form<NonZeroU32, u32> {
    /// A whole number in `range`, which does not contain 0.
    pub(crate) const fn positive(range: RangeInclusive<u32>) -> Self {
        let into = |number| NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN);
        Self::number_or(&[], range, into, |number| Some(number.get()))
    }
}

impl Form<Option<NonZeroU32>, u32> {
    /// A whole number in `range`, which does not contain 0, or `word`, which is `None`.
    pub(crate) const fn optional_positive(
        word: Words<Option<NonZeroU32>>,
        range: RangeInclusive<u32>,
    ) -> Self {
        Self::number_or(word, range, NonZeroU32::new, |number| number.map(NonZeroU32::get))
    }
}
