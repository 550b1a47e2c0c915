//! The configuration's JSON Schema (draft 2020-12): the types of `file` for editors.
//!
//! Everything in it comes from the declarations in `file` and from `defaults`. The schema refuses
//! what the parser refuses in a value by itself; a test compares the two. What two values say of
//! each other, such as the name of an upstream, is known to `sockeye check` alone.
//!
//! Pure. Runs at start, at reload, or on a timer.

pub(super) mod described;

use std::borrow::Cow;

use schemars::generate::SchemaSettings;
use schemars::transform::{Transform, transform_subschemas};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Map, Value, json};

use super::INCLUDE;
use super::file::File;
use super::file::access::{Forward, SERVICE_URL};
use super::file::affinity::{Affinity, Balance, RendezvousBy};
use super::file::health::Health;
use super::file::node_tls::{NodeTls, Pinned};
use super::file::pacing::Rebalance;
use super::file::route::{Keepalive, RoutePath};
use super::file::tls::Tickets;
use super::file::tracing::Otlp;
use super::file::upstream::Node;
use super::resolve::BALANCE_RULES;
use crate::form::Accepts;
use crate::form::patterns;
pub(super) use crate::form::patterns::whole;
use crate::site::keys::Compress;
use crate::yaml::{RawScalar, TextOr, TextOrList};

/// The JSON Schema that each configuration file fits.
pub(crate) fn schema() -> Value {
    let mut schema = annotated();
    described::remove_annotations(&mut schema);
    schema
}

/// The JSON Schema that each included file fits.
pub(crate) fn schema_of_included() -> Value {
    let mut schema = schema();
    if let Some(schema) = schema.as_object_mut() {
        schema.remove("anyOf");
        schema.insert("title".to_owned(), "A file that Sockeye's configuration includes".into());
        if let Some(Value::Object(properties)) = schema.get_mut("properties") {
            properties.retain(|key, _| INCLUDE.sections.iter().any(|(name, _)| name == key));
        }
    }
    schema
}

/// The schema with the annotations of each key, from which its texts are generated.
pub(super) fn annotated() -> Value {
    let settings = SchemaSettings::draft2020_12().with_transform(AsDeclared);
    let mut schema = settings.into_generator().into_root_schema_for::<File>();
    schema.insert("title".to_owned(), "Sockeye's configuration".into());
    let mut schema = schema.to_value();
    need_own_or_included(&mut schema);
    described::describe(&mut schema);
    schema
}

/// What a file must have may be in the files that it includes.
fn need_own_or_included(schema: &mut Value) {
    let Some(schema) = schema.as_object_mut() else { return };
    let Some(needed) = schema.remove("required") else { return };
    let choices = json!([{ "required": needed }, { "required": ["include"] }]);
    schema.insert("anyOf".to_owned(), choices);
}

/// States in the schema's own terms what the keys declare.
#[derive(Clone, Debug)]
struct AsDeclared;

impl Transform for AsDeclared {
    fn transform(&mut self, schema: &mut Schema) {
        transform_subschemas(self, schema);
        let Some(keys) = schema.as_object_mut() else { return };
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
            state_need(property).then(|| Value::from(name.as_str()))
        });
        let needed: Vec<Value> = needed.collect();
        if !needed.is_empty() {
            keys.insert("required".to_owned(), needed.into());
        }
    }
}

/// Says what a [`RawScalar`] value may be, as its key declares it.
fn state_scalar(property: &mut Map<String, Value>) {
    let Some(accepts) = property.remove("x-accepts") else { return };
    let Ok(accepts) = serde_json::from_value::<Accepts>(accepts) else { return };
    let pattern = whole(&accepts.pattern());
    property.entry("x-type").or_insert_with(|| accepts.label().into());
    property.insert("x-value".to_owned(), accepts.label().into());
    if let Some(words) = accepts.only_words() {
        let words = words.iter().map(|word| json!(word)).chain([Value::Null]);
        property.remove("type");
        property.insert("enum".to_owned(), words.collect());
        return;
    }
    let Some([least, most]) = accepts.numbers() else {
        property.insert("type".to_owned(), json!(["string", "null"]));
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

/// Whether a key has no default, in which case it has no empty value either.
fn state_need(property: &mut Map<String, Value>) -> bool {
    property.remove("default");
    if property.get("x-needed").is_none() {
        return false;
    }
    refuse_null(property);
    let bound = match property.get("type").and_then(Value::as_str) {
        Some("array") => "minItems",
        Some("object") => "minProperties",
        Some(_) | None => return true,
    };
    property.insert(bound.to_owned(), 1.into());
    true
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

impl JsonSchema for RawScalar {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "RawScalar".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string" })
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
    Balance => BALANCE_RULES.map(|(word, _)| word),
    Health => ["tcp", "off"],
    Keepalive => ["auto", "off"],
    NodeTls => ["on", "off"],
    Pinned => ["on", "off"],
    Rebalance => ["off"],
    RendezvousBy => ["address"],
    Tickets => ["auto", "off"],
    Compress => ["on", "off"],
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

impl Shorthand for Forward {
    fn text() -> Value {
        json!({ "type": "string", "pattern": whole(SERVICE_URL) })
    }
}

impl Shorthand for Otlp {
    fn text() -> Value {
        json!({ "type": "string", "pattern": whole(SERVICE_URL) })
    }
}

impl JsonSchema for TextOrList {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "TextOrList".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let text = json!({ "type": "string", "minLength": 1 });
        json_schema!({ "anyOf": [text, { "type": "array", "items": text, "maxItems": 100 }] })
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
