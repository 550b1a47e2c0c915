//! The configuration's JSON Schema (draft 2020-12): the types of `file`, told to editors.
//!
//! Everything in it comes from those types and their sentences: what ends a sentence as
//! "Default: `10s`." is the key's default, and "it is needed" makes it required. The schema refuses
//! unknown keys; what a value means is said by `sockeye check` alone.
//!
//! Pure. Runs at start, at reload, or on a timer.

use std::borrow::Cow;

use schemars::generate::SchemaSettings;
use schemars::transform::{Transform, transform_subschemas};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Map, Value};

use super::file::{File, TextOr, Written};

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
        // An item or a named thing that holds nothing is refused, unlike a key that does.
        for below in ["items", "additionalProperties"] {
            if let Some(Value::Object(below)) = keys.get_mut(below) {
                refuse_null(below);
            }
        }
        let Some(Value::Object(properties)) = keys.get_mut("properties") else { return };
        let needed = properties.iter_mut().filter_map(|(name, property)| {
            let property = property.as_object_mut()?;
            state_default(property).then(|| Value::from(name.as_str()))
        });
        let needed: Vec<Value> = needed.collect();
        if !needed.is_empty() {
            keys.insert("required".to_owned(), needed.into());
        }
    }
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

impl JsonSchema for Written {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Written".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["string", "number"] })
    }
}

impl<M: JsonSchema> JsonSchema for TextOr<M> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("TextOr{}", M::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": [{ "type": "string" }, generator.subschema_for::<M>()] })
    }
}
