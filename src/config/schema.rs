//! The configuration's JSON Schema (draft 2020-12): the types of `file`, told to editors.
//!
//! Everything in it comes from those types and their sentences: what ends a sentence as
//! "Default: `10s`." is the key's default, "it is needed" makes it required, and "1s to 5m, or `off`"
//! is what the value may be. Other forms are in `patterns`. The schema refuses what the parser
//! refuses in a value by itself; a test compares the two. What two values say of each other, such as
//! the name of an upstream, is known to `sockeye check` alone.
//!
//! Pure. Runs at start, at reload, or on a timer.

use std::borrow::Cow;
use std::time::Duration;

use schemars::generate::SchemaSettings;
use schemars::transform::{Transform, transform_subschemas};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Map, Value, json};

use super::file::{
    Affinity, Balance, File, Health, Keepalive, Node, Rebalance, RendezvousBy, RoutePath,
};
use super::patterns;
use crate::yaml::units::{DURATION_UNITS, SIZE_UNITS, parse_duration, parse_size};
use crate::yaml::{RawScalar, TextOr};

/// The JSON Schema that each configuration file fits.
pub fn schema() -> Value {
    let settings = SchemaSettings::draft2020_12().with_transform(AsTheManualSays);
    let mut schema = settings.into_generator().into_root_schema_for::<File>();
    schema.insert("title".to_owned(), "Sockeye's configuration".into());
    schema.to_value()
}

/// States in the schema's own terms what the sentences say.
#[derive(Clone, Debug)]
struct AsTheManualSays;

impl Transform for AsTheManualSays {
    fn transform(&mut self, schema: &mut Schema) {
        transform_subschemas(self, schema);
        let Some(keys) = schema.as_object_mut() else { return };
        if let Some(Value::String(description)) = keys.get_mut("description") {
            *description = on_one_line(description);
        }
        if let Some(Value::Object(more)) = keys.remove("x-items")
            && let Some(Value::Object(items)) = keys.get_mut("items")
        {
            items.extend(more);
        }
        // An item or a named thing that holds nothing is refused, unlike a key that does.
        for below in ["items", "additionalProperties"] {
            if let Some(Value::Object(below)) = keys.get_mut(below) {
                refuse_null(below);
            }
        }
        let Some(Value::Object(properties)) = keys.get_mut("properties") else { return };
        let needed = properties.iter_mut().filter_map(|(name, property)| {
            let property = property.as_object_mut()?;
            state_scalar(property);
            state_default(property).then(|| Value::from(name.as_str()))
        });
        let needed: Vec<Value> = needed.collect();
        if !needed.is_empty() {
            keys.insert("required".to_owned(), needed.into());
        }
    }
}

/// Says what a [`RawScalar`] value may be: the words and the range of its sentence, or its own form.
fn state_scalar(property: &mut Map<String, Value>) {
    if property.remove("x-scalar").is_none() {
        return;
    }
    let description = property.get("description").and_then(Value::as_str).unwrap_or_default();
    let sentence = description.split(" Default: ").next().unwrap_or_default();
    let words = ["auto", "off"].into_iter().filter(|word| sentence.contains(&format!("`{word}`")));
    let mut forms: Vec<String> = words.map(str::to_owned).collect();
    let range = range_of(sentence);
    let own = property.remove("x-form");
    forms.extend(own.as_ref().and_then(Value::as_str).map(str::to_owned));
    forms.extend(range.as_ref().map(Range::form));
    let own_numbers = property.remove("x-number");
    let numbers = own_numbers.as_ref().and_then(|numbers| Some([numbers.get(0)?, numbers.get(1)?]));
    let numbers = numbers.map(|numbers| numbers.map(|number| number.as_u64().unwrap_or_default()));
    let numbers = numbers.or_else(|| range.as_ref().and_then(Range::numbers));
    property.insert("type".to_owned(), json!(["string", "null"]));
    let pattern = whole(&forms.join("|"));
    let Some([least, most]) = numbers else {
        property.insert("pattern".to_owned(), pattern.into());
        return;
    };
    property.remove("type");
    let choices = json!([
        { "type": "integer", "minimum": least, "maximum": most },
        { "type": "string", "pattern": pattern },
        { "type": "null" },
    ]);
    property.insert("anyOf".to_owned(), choices);
}

/// A range as a sentence tells it.
#[derive(Debug)]
enum Range {
    Duration(u64, u64),
    Size(u64, u64),
    Percent(u64, u64),
    Number(u64, u64),
}

impl Range {
    /// What the text of a value in it looks like.
    fn form(&self) -> String {
        match *self {
            Self::Duration(least, most) => patterns::duration(&DURATION_UNITS, least..=most),
            Self::Size(least, most) => patterns::size(&SIZE_UNITS, least..=most),
            Self::Percent(least, most) => format!("0*{}%", patterns::number(least..=most)),
            Self::Number(least, most) => format!("0*{}", patterns::number(least..=most)),
        }
    }

    /// The bounds of a value that may be a number too.
    fn numbers(&self) -> Option<[u64; 2]> {
        match *self {
            Self::Number(least, most) => Some([least, most]),
            Self::Duration(..) | Self::Size(..) | Self::Percent(..) => None,
        }
    }
}

/// The first range of `sentence`: `1s to 5m`, `1B to 1GiB`, `1% to 100%`, `1 to 100`.
fn range_of(sentence: &str) -> Option<Range> {
    let words: Vec<&str> = sentence.split_whitespace().collect();
    words.windows(3).find_map(|words| {
        let [least, "to", most] = words else { return None };
        range_between(least, most.trim_end_matches([',', '.', ';', ':']))
    })
}

fn range_between(least: &str, most: &str) -> Option<Range> {
    if let (Ok(least), Ok(most)) = (least.parse(), most.parse()) {
        return Some(Range::Number(least, most));
    }
    if let (Some(least), Some(most)) = (least.strip_suffix('%'), most.strip_suffix('%')) {
        return Some(Range::Percent(least.parse().ok()?, most.parse().ok()?));
    }
    if let (Ok(least), Ok(most)) = (parse_duration(least), parse_duration(most)) {
        let millis = |duration: Duration| u64::try_from(duration.as_millis()).ok();
        return Some(Range::Duration(millis(least)?, millis(most)?));
    }
    Some(Range::Size(parse_size(least).ok()?, parse_size(most).ok()?))
}

/// The pattern of a text that is `form` from its beginning to its end.
pub(super) fn whole(form: &str) -> String {
    format!("^({form})$")
}

/// Sets the default of a key, and says whether there is none because the key is needed.
fn state_default(property: &mut Map<String, Value>) -> bool {
    property.remove("default");
    let description = property.get("description").and_then(Value::as_str).unwrap_or_default();
    let Some((_, said)) = description.rsplit_once("Default: ") else { return false };
    let said = said.trim_end_matches('.');
    if said.ends_with("is needed") {
        let least = said.contains("at least one");
        refuse_null(property);
        if least {
            let bound = if property.contains_key("items") { "minItems" } else { "minProperties" };
            property.insert(bound.to_owned(), 1.into());
        }
        return true;
    }
    let literal = said.strip_prefix('`').and_then(|said| said.strip_suffix('`'));
    let value = literal.and_then(|literal| serde_yaml::from_str(literal).ok());
    property.extend(value.map(|value: Value| ("default".to_owned(), value)));
    false
}

/// Takes out what schemars says of an `Option`.
fn refuse_null(schema: &mut Map<String, Value>) {
    if let Some(Value::Array(types)) = schema.get_mut("type") {
        types.retain(|kind| kind != "null");
        if let [one] = &types[..] {
            let one = one.clone();
            schema.insert("type".to_owned(), one);
        }
    }
    if let Some(Value::Array(choices)) = schema.get_mut("anyOf") {
        choices.retain(|choice| choice.get("type").is_none_or(|kind| kind != "null"));
        if let [Value::Object(one)] = &choices[..] {
            let one = one.clone();
            schema.remove("anyOf");
            schema.extend(one);
        }
    }
}

fn on_one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

impl JsonSchema for RawScalar {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "RawScalar".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "x-scalar": true })
    }
}

/// What stands as text for a map.
pub(super) trait Shorthand {
    /// The schema of the text.
    fn text() -> Value;
}

/// A type whose text is one of some words.
macro_rules! words_for {
    ($($map:ty => $words:expr),+ $(,)?) => {
        $(impl Shorthand for $map {
            fn text() -> Value {
                json!({ "enum": $words })
            }
        })+
    };
}

words_for! {
    Affinity => ["sid", "cookie", "none"],
    Balance => ["least-connections", "round-robin", "random-two"],
    Health => ["tcp", "off"],
    Keepalive => ["auto", "off"],
    Rebalance => ["off"],
    RendezvousBy => ["address"],
}

impl Shorthand for Node {
    fn text() -> Value {
        json!({ "type": "string", "pattern": whole(&patterns::node()) })
    }
}

impl Shorthand for RoutePath {
    fn text() -> Value {
        let (pattern, refused) = (whole(patterns::PATH), patterns::NO_PREFIX);
        json!({ "type": "string", "pattern": pattern, "not": { "pattern": refused } })
    }
}

impl<M: JsonSchema + Shorthand> JsonSchema for TextOr<M> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("TextOr{}", M::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": [M::text(), generator.subschema_for::<M>()] })
    }
}
