//! From a YAML tree to serde types; every mismatch is reported, not only the first.
//!
//! serde stops at its first error. So each refused value is removed from the tree and the rest is read
//! again: all keys of the types must be optional, and missing keys are reported later.
//!
//! Pure. Runs at start, at reload, or on a timer.

use std::fmt;

use serde::de::value::{MapDeserializer, SeqDeserializer};
use serde::de::{self, DeserializeOwned, Deserializer, IntoDeserializer, Unexpected, Visitor};
use serde::forward_to_deserialize_any;
use serde_path_to_error::Segment;
use serde_yaml::Value;

use super::key_path::{KeyPath, Step};
use super::problem::{Diagnostic, PROBLEMS_MAX, nearest};
use super::report::Report;

/// Why a value does not fit its type.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Mismatch {
    /// A map has a key that its type does not know.
    #[error("unknown key")]
    UnknownKey { known: &'static [&'static str] },
    /// It is not a map, which could have these keys.
    #[error("not a map")]
    NoMap { known: &'static [&'static str] },
    /// It is of another kind.
    #[error("not {expected}")]
    Kind { expected: String },
    /// The message of a type's own.
    #[error("{0}")]
    Other(String),
}

/// Reads `tree` and reports each value that does not fit. `None` if the remaining values do not fit
/// either.
pub(crate) fn read<T: DeserializeOwned>(tree: &mut Value, report: &mut Report<'_>) -> Option<T> {
    for _ in 0..PROBLEMS_MAX {
        let (path, mismatch) = match read_once(tree) {
            Ok(read) => return Some(read),
            Err(refused) => refused,
        };
        match &mismatch {
            Mismatch::UnknownKey { known } => refuse_key(&path, known, report),
            Mismatch::NoMap { .. } | Mismatch::Kind { .. } | Mismatch::Other(_) => {
                report.refuse(&path, mismatch.diagnostic());
            }
        }
        prune(tree, &path, &mismatch)?;
    }
    None
}

/// Reads `tree` up to the first value that does not fit.
pub(crate) fn read_once<T: DeserializeOwned>(tree: &Value) -> Result<T, (KeyPath, Mismatch)> {
    serde_path_to_error::deserialize(Node(tree)).map_err(|error| {
        let path = error.path().iter().filter_map(step).collect();
        (path, error.into_inner())
    })
}

fn step(segment: &Segment) -> Option<Step> {
    match segment {
        Segment::Seq { index } => Some(Step::Index(*index)),
        Segment::Map { key } => Some(Step::Key(key.as_str().into())),
        Segment::Enum { .. } | Segment::Unknown => None,
    }
}

fn refuse_key(path: &KeyPath, known: &'static [&'static str], report: &mut Report<'_>) {
    let Some((parent, Step::Key(key))) = path.split_last() else { return };
    let meant = nearest(key, known.iter().copied()).map(|near| parent.key(near));
    let diagnostic = Diagnostic::none_of("is not a known key", key, known.iter().copied());
    report.refuse_key(path, meant, diagnostic);
}

/// Removes the value at `path`: an unknown key together with its value, any other value by making it
/// null, so that the items of a list keep their numbers. `None` if there is nothing to remove.
fn prune(tree: &mut Value, path: &KeyPath, mismatch: &Mismatch) -> Option<()> {
    let (parent, last) = path.split_last()?;
    let parent = parent.steps().iter().try_fold(tree, below)?;
    match (mismatch, last) {
        (Mismatch::UnknownKey { .. }, Step::Key(key)) => {
            let Value::Mapping(map) = parent else { return None };
            let is_key = |value: &Value| key_text(value).as_deref() == Some(&**key);
            let key = map.keys().find(|value| is_key(value)).cloned()?;
            map.remove(&key).map(drop)
        }
        (
            Mismatch::UnknownKey { .. }
            | Mismatch::NoMap { .. }
            | Mismatch::Kind { .. }
            | Mismatch::Other(_),
            _,
        ) => {
            let value = below(parent, last)?;
            (!value.is_null()).then(|| *value = Value::Null)
        }
    }
}

fn below<'t>(tree: &'t mut Value, step: &Step) -> Option<&'t mut Value> {
    match (tree, step) {
        (Value::Sequence(items), Step::Index(index)) => items.get_mut(*index),
        (Value::Mapping(map), Step::Key(key)) => map
            .iter_mut()
            .find(|(candidate, _)| key_text(candidate).as_deref() == Some(&**key))
            .map(|(_, value)| value),
        _ => None,
    }
}

/// A key's text: `1:` and `true:` are keys too.
pub(crate) fn key_text(key: &Value) -> Option<String> {
    match key {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        Value::Null => Some(String::new()),
        Value::Sequence(_) | Value::Mapping(_) | Value::Tagged(_) => None,
    }
}

impl Mismatch {
    fn diagnostic(&self) -> Diagnostic {
        let expected = match self {
            Self::Kind { expected } => expected,
            Self::UnknownKey { .. } => return Diagnostic::new("is not a known key"),
            Self::NoMap { known } => {
                let help = format!("write a map with any of these keys: {}", known.join(", "));
                return Diagnostic::new("is not a map").help(help);
            }
            Self::Other(what) => return Diagnostic::new(what.as_str()),
        };
        match expected.as_str() {
            "a sequence" => Diagnostic::new("is not a list").help("write a list: [one, two]"),
            "a map" => Diagnostic::new("is not a map").help("write a map: { key: value }"),
            "a string" => Diagnostic::new("is not text")
                .help("write text; a number, and true or false, need quotes"),
            "a boolean" => Diagnostic::new("is not true or false").help("write true or false"),
            "a single value" => {
                Diagnostic::new("is not a single value").help("write one value, not a list or map")
            }
            "text or a list" => Diagnostic::new("is neither text nor a list")
                .help("write text, or a list: [one, two]"),
            "text or a map" => Diagnostic::new("is neither text nor a map")
                .help("write text, or a map: { key: value }"),
            expected => Diagnostic::new(format!("is not {expected}")),
        }
    }
}

impl de::Error for Mismatch {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::Other(message.to_string())
    }

    // The unexpected value is not kept: it could be a secret, and the report shows it if it is not.
    fn invalid_type(_: Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self::Kind { expected: expected.to_string() }
    }

    fn invalid_value(_: Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self::Kind { expected: expected.to_string() }
    }

    fn unknown_field(_: &str, known: &'static [&'static str]) -> Self {
        Self::UnknownKey { known }
    }
}

/// A tree that is read with [`Mismatch`] as its error: `serde_yaml`'s own is text alone.
struct Node<'t>(&'t Value);

impl<'de> Deserializer<'de> for Node<'de> {
    type Error = Mismatch;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        match self.0 {
            Value::Null => visitor.visit_unit(),
            Value::Bool(truth) => visitor.visit_bool(*truth),
            Value::Number(number) => visit_number(number, visitor),
            Value::String(text) => visitor.visit_borrowed_str(text),
            Value::Sequence(items) => {
                visitor.visit_seq(SeqDeserializer::new(items.iter().map(Node)))
            }
            Value::Mapping(map) => {
                let entry = |(key, value)| Some((key_text(key)?, Node(value)));
                visitor.visit_map(MapDeserializer::new(map.iter().filter_map(entry)))
            }
            Value::Tagged(_) => Err(de::Error::custom("has a tag")),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        if self.0.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    /// Derived structs would accept a list too, as the values of their fields.
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        known: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Mismatch> {
        if self.0.is_mapping() {
            return self.deserialize_any(visitor);
        }
        Err(Mismatch::NoMap { known })
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

fn visit_number<'de, V: Visitor<'de>>(
    number: &serde_yaml::Number,
    visitor: V,
) -> Result<V::Value, Mismatch> {
    if let Some(number) = number.as_u64() {
        visitor.visit_u64(number)
    } else if let Some(number) = number.as_i64() {
        visitor.visit_i64(number)
    } else {
        visitor.visit_f64(number.as_f64().unwrap_or(f64::NAN))
    }
}

impl<'de> IntoDeserializer<'de, Mismatch> for Node<'de> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}
