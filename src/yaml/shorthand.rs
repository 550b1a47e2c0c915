//! Values that may be written in more than one form.
//!
//! Pure. Runs at start, at reload, or on a timer.

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{Error, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A list whose items may be empty, as `- ` writes one.
pub(crate) type List<T> = Option<Vec<Option<T>>>;

/// Text, a number, or true or false, as it was written: its key decides what it means, not YAML. It is
/// serialized as a number if it is one.
#[derive(Clone, Debug)]
pub(crate) struct RawScalar(String);

/// A value that has a short form.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum TextOr<M> {
    /// The short form.
    Text(String),
    /// The long one.
    Map(M),
}

/// Texts, of which one may stand without a list.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum TextOrList {
    /// One.
    Text(String),
    /// Any number.
    List(Vec<Option<String>>),
}

/// A key whose presence selects something, so it must not be empty.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum Chosen<T> {
    /// The key is there and has no value.
    Empty,
    /// It has this one.
    Is(T),
}

/// Reads a [`Chosen`]: an `Option` alone would read an empty key as an absent one.
pub(crate) fn chosen<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<Chosen<T>>, D::Error> {
    Ok(Some(Option::deserialize(deserializer)?.map_or(Chosen::Empty, Chosen::Is)))
}

impl RawScalar {
    /// A value to be written.
    pub(crate) fn new(text: impl ToString) -> Self {
        Self(text.to_string())
    }

    /// As written; numbers as YAML shows them.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl Serialize for RawScalar {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0.parse::<u64>() {
            Ok(number) if number.to_string() == self.0 => serializer.serialize_u64(number),
            Ok(_) | Err(_) => serializer.serialize_str(&self.0),
        }
    }
}

impl<'de> Deserialize<'de> for RawScalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RawScalarVisitor)
    }
}

struct RawScalarVisitor;

impl Visitor<'_> for RawScalarVisitor {
    type Value = RawScalar;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a single value")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<RawScalar, E> {
        Ok(RawScalar(text.to_owned()))
    }

    fn visit_bool<E: Error>(self, truth: bool) -> Result<RawScalar, E> {
        Ok(RawScalar(truth.to_string()))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<RawScalar, E> {
        Ok(RawScalar(number.to_string()))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<RawScalar, E> {
        Ok(RawScalar(number.to_string()))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<RawScalar, E> {
        Ok(RawScalar(number.to_string()))
    }
}

impl<'de> Deserialize<'de> for TextOrList {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TextOrListVisitor)
    }
}

struct TextOrListVisitor;

impl<'de> Visitor<'de> for TextOrListVisitor {
    type Value = TextOrList;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text or a list")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<TextOrList, E> {
        Ok(TextOrList::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<TextOrList, A::Error> {
        Deserialize::deserialize(SeqAccessDeserializer::new(items)).map(TextOrList::List)
    }
}

impl<'de, M: Deserialize<'de>> Deserialize<'de> for TextOr<M> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TextOrVisitor(PhantomData))
    }
}

struct TextOrVisitor<M>(PhantomData<M>);

impl<'de, M: Deserialize<'de>> Visitor<'de> for TextOrVisitor<M> {
    type Value = TextOr<M>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text or a map")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<TextOr<M>, E> {
        Ok(TextOr::Text(text.to_owned()))
    }

    fn visit_bool<E: Error>(self, truth: bool) -> Result<TextOr<M>, E> {
        Ok(TextOr::Text(truth.to_string()))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<TextOr<M>, E> {
        Ok(TextOr::Text(number.to_string()))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<TextOr<M>, E> {
        Ok(TextOr::Text(number.to_string()))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<TextOr<M>, E> {
        Ok(TextOr::Text(number.to_string()))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<TextOr<M>, A::Error> {
        M::deserialize(MapAccessDeserializer::new(map)).map(TextOr::Map)
    }
}
