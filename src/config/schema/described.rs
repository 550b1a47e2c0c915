//! The texts, the type and the default of every key of the schema.
//!
//! Pure. Runs at start, at reload, or on a timer.

use serde_json::{Map, Value};

use crate::config::defaults::{below, defaults};
use crate::form::one_of;

/// Adds to each property its type and default, and makes its description of them.
pub(super) fn describe(schema: &mut Value) {
    let defaults = defaults();
    for (pointer, path) in properties(schema) {
        let Some(Value::Object(property)) = schema.pointer_mut(&pointer) else { continue };
        if property.contains_key("x-sentence") {
            continue;
        }
        let text = property.get("description").and_then(Value::as_str).unwrap_or_default();
        let (sentence, more) = text.split_once("\n\n").unwrap_or((text, ""));
        let (sentence, more) = (on_one_line(sentence), on_one_line(more));
        annotate_default(property, defaults.get(&path));
        let kind = kind_of(property);
        property.entry("x-type").or_insert_with(|| kind.into());
        property.insert("description".to_owned(), description(&sentence, property).into());
        property.insert("x-sentence".to_owned(), sentence.into());
        property.insert("x-more".to_owned(), more.into());
    }
}

/// Removes what is not JSON Schema.
pub(super) fn remove_annotations(schema: &mut Value) {
    match schema {
        Value::Object(map) => {
            map.retain(|key, _| !key.starts_with("x-"));
            map.values_mut().for_each(remove_annotations);
        }
        Value::Array(items) => items.iter_mut().for_each(remove_annotations),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => (),
    }
}

/// The description in an editor.
fn description(sentence: &str, property: &Map<String, Value>) -> String {
    let text = |key: &str| property.get(key).and_then(Value::as_str);
    let value = text("x-value").map(|value| format!(" Value: {value}.")).unwrap_or_default();
    let default = text("x-default").map(|said| format!(" Default: {said}.")).unwrap_or_default();
    let need = property.get("x-needed").map_or("", |_| " It is needed.");
    format!("{sentence}{value}{default}{need}")
}

/// The default as a value and in words; `rendered` is what a rendered file shows.
fn annotate_default(property: &mut Map<String, Value>, rendered: Option<&serde_yaml::Value>) {
    if property.contains_key("x-needed") {
        return;
    }
    let declared = property.get("x-default").and_then(Value::as_str);
    let literal = declared.and_then(|said| said.strip_prefix('`')?.strip_suffix('`'));
    let value = match (declared, rendered) {
        (Some(_), _) => literal.map(Value::from),
        (None, Some(rendered)) => serde_json::to_value(rendered).ok(),
        (None, None) => None,
    };
    let Some(value) = value else { return };
    let shown = match &value {
        Value::String(text) => text.clone(),
        value => value.to_string(),
    };
    property.insert("x-default".to_owned(), format!("`{shown}`").into());
    property.insert("default".to_owned(), value);
}

/// The manual's name for the type of a property that declares none.
fn kind_of(property: &Map<String, Value>) -> String {
    if let Some(words) = property.get("enum").and_then(Value::as_array) {
        let words = words.iter().filter_map(Value::as_str).map(|word| format!("`{word}`"));
        return one_of(&words.collect::<Vec<_>>());
    }
    let choices = property.get("anyOf").and_then(Value::as_array);
    let kind = match property.get("type") {
        Some(Value::Array(kinds)) => kinds.first().and_then(Value::as_str),
        Some(kind) => kind.as_str(),
        None => None,
    };
    match kind {
        Some("array") => "list",
        Some("boolean") => "`true` or `false`",
        Some("string") => "text",
        Some(_) | None if choices.into_iter().flatten().any(|it| it.get("enum").is_some()) => {
            "word or map"
        }
        Some(_) | None => "map",
    }
    .to_owned()
}

/// The JSON pointer and the path of each property that is a key; a type that is used twice is
/// there twice.
pub(crate) fn properties(schema: &Value) -> Vec<(String, String)> {
    let mut found = Vec::new();
    explore(schema, "", "", &mut found);
    found
}

fn explore(schema: &Value, at: &str, path: &str, found: &mut Vec<(String, String)>) {
    let Some(Value::Object(node)) = schema.pointer(at) else { return };
    if let Some(referred) = node.get("$ref").and_then(Value::as_str) {
        explore(schema, referred.trim_start_matches('#'), path, found);
    }
    let choices = node.get("anyOf").and_then(Value::as_array).map_or(0, Vec::len);
    for index in 0..choices {
        explore(schema, &format!("{at}/anyOf/{index}"), path, found);
    }
    let properties = node.get("properties").and_then(Value::as_object);
    for (name, property) in properties.into_iter().flatten() {
        // Conditions name properties too, without a description.
        if property.get("description").is_some() {
            let (at, path) = (format!("{at}/properties/{name}"), below(path, name));
            found.push((at.clone(), path.clone()));
            explore(schema, &at, &path, found);
        }
    }
    explore(schema, &format!("{at}/items"), &format!("{path}[]"), found);
    explore(schema, &format!("{at}/additionalProperties"), &below(path, "*"), found);
}

fn on_one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
