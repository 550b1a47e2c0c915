//! The JSON Schema: it takes what we ship, and knows the keys that the types know.

use std::collections::BTreeSet;
use std::fs;

use serde_json::{Value, json};

use super::super::{keys, schema};
use super::shipped::example_files;

#[test]
fn every_example_file_fits_the_schema() {
    let schema = schema();
    for path in example_files() {
        let file: Value = serde_yaml::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        assert_eq!(misfit(&schema, &schema, &file, ""), None, "{}", path.display());
    }
}

#[test]
fn the_schema_refuses_what_the_program_refuses() {
    fn check(change: Value, expected: Option<&str>) {
        let mut file = json!({
            "upstreams": { "chat": { "nodes": ["10.0.0.1:3000"] } },
            "routes": [{ "upstream": "chat" }],
        });
        file.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let schema = schema();
        assert_eq!(misfit(&schema, &schema, &file, "").as_deref(), expected, "{file}");
        assert_eq!(
            super::parse("a.yaml", &file.to_string()).is_err(),
            expected.is_some(),
            "{file}"
        );
    }
    check(json!({}), None);
    check(json!({ "log": null }), None);
    check(json!({ "log": { "format": "json", "level": "trace" } }), None);
    check(json!({ "log": { "format": "xml" } }), Some("/log/format"));
    check(json!({ "log": { "level": "loud" } }), Some("/log/level"));
    check(json!({ "logs": {} }), Some("/logs"));
    check(json!({ "upstreams": null }), Some("/upstreams"));
    check(json!({ "upstreams": {} }), Some("/upstreams"));
    check(json!({ "upstreams": { "chat": null } }), Some("/upstreams/chat"));
    check(json!({ "upstreams": { "chat": {} } }), Some("/upstreams/chat"));
    check(json!({ "upstreams": { "chat": { "nodes": [] } } }), Some("/upstreams/chat/nodes"));
    check(json!({ "upstreams": { "chat": { "nodes": [null] } } }), Some("/upstreams/chat/nodes/0"));
    check(
        json!({ "upstreams": { "chat": { "nodes": [{ "address": "a:1", "weigth": 2 }] } } }),
        Some("/upstreams/chat/nodes/0/weigth"),
    );
    check(json!({ "routes": [] }), Some("/routes"));
    check(json!({ "routes": [{}] }), Some("/routes/0"));
    check(
        json!({ "routes": [{ "upstream": "chat", "tunnel": { "idle": "1m" } }] }),
        Some("/routes/0/tunnel/idle"),
    );
    check(json!({ "listeners": [{}] }), Some("/listeners/0"));
}

#[test]
fn the_schema_has_the_keys_of_the_types() {
    let described: BTreeSet<String> = described_keys().into_iter().map(|key| key.path).collect();
    assert_eq!(described, keys().into_iter().collect());
}

/// A key and what the schema says of it.
#[derive(Debug)]
pub(super) struct DescribedKey {
    /// As [`keys`] writes it.
    pub(super) path: String,
    pub(super) description: String,
}

/// All keys of the schema.
pub(super) fn described_keys() -> Vec<DescribedKey> {
    let schema = schema();
    let mut found = Vec::new();
    describe(&schema, &schema, "", &mut found);
    found
}

fn describe(root: &Value, at: &Value, path: &str, found: &mut Vec<DescribedKey>) {
    for below in
        [referred(root, at)].into_iter().chain(list(at, "anyOf").iter().map(Some)).flatten()
    {
        describe(root, below, path, found);
    }
    for (name, property) in at["properties"].as_object().into_iter().flatten() {
        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        let description = property["description"].as_str().unwrap_or_default().to_owned();
        found.push(DescribedKey { path: path.clone(), description });
        describe(root, property, &path, found);
    }
    describe_if_map(root, &at["items"], &format!("{path}[]"), found);
    describe_if_map(root, &at["additionalProperties"], &format!("{path}.*"), found);
}

fn describe_if_map(root: &Value, at: &Value, path: &str, found: &mut Vec<DescribedKey>) {
    if at.is_object() {
        describe(root, at, path, found);
    }
}

/// Where in `value`, which stands at `path`, the schema `at` is broken first. It knows those words
/// of JSON Schema that ours uses, and panics at another.
fn misfit(root: &Value, at: &Value, value: &Value, path: &str) -> Option<String> {
    at.as_object().unwrap().iter().find_map(|(word, says)| match word.as_str() {
        "$schema" | "$defs" | "title" | "description" | "default" | "format" => None,
        "$ref" => misfit(root, referred(root, at).unwrap(), value, path),
        "anyOf" => {
            let misfits: Vec<_> =
                list(at, "anyOf").iter().map(|choice| misfit(root, choice, value, path)).collect();
            let deepest = || misfits.iter().flatten().max_by_key(|path| path.len()).cloned();
            misfits.iter().all(Option::is_some).then(deepest).flatten()
        }
        "type" => {
            let is_one = |kind: &Value| is_of_kind(value, kind.as_str().unwrap());
            let fits =
                says.as_array().map_or_else(|| is_one(says), |kinds| kinds.iter().any(is_one));
            (!fits).then(|| path.to_owned())
        }
        "enum" => (!list(at, "enum").contains(value)).then(|| path.to_owned()),
        "minimum" => value
            .as_f64()
            .filter(|number| *number < says.as_f64().unwrap())
            .map(|_| path.to_owned()),
        "minItems" => value.as_array().filter(|items| items.is_empty()).map(|_| path.to_owned()),
        "minProperties" => value.as_object().filter(|map| map.is_empty()).map(|_| path.to_owned()),
        "required" => {
            let lacks = |key: &Value| {
                value.as_object().is_some_and(|map| !map.contains_key(key.as_str().unwrap()))
            };
            list(at, "required").iter().any(lacks).then(|| path.to_owned())
        }
        "items" => value
            .as_array()
            .into_iter()
            .flatten()
            .enumerate()
            .find_map(|(index, item)| misfit(root, says, item, &format!("{path}/{index}"))),
        "properties" => {
            value.as_object().into_iter().flatten().find_map(|(key, below)| {
                misfit(root, says.get(key)?, below, &format!("{path}/{key}"))
            })
        }
        "additionalProperties" => {
            let known = at["properties"].as_object();
            value.as_object().into_iter().flatten().find_map(|(key, below)| {
                let path = format!("{path}/{key}");
                if known.is_some_and(|known| known.contains_key(key)) {
                    return None;
                }
                if says == false { Some(path) } else { misfit(root, says, below, &path) }
            })
        }
        word => panic!("the schema uses `{word}`: teach it to this test"),
    })
}

fn is_of_kind(value: &Value, kind: &str) -> bool {
    match kind {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "string" => value.is_string(),
        "number" => value.is_number(),
        "integer" => value.is_u64() || value.is_i64(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        kind => panic!("the schema uses the type `{kind}`: teach it to this test"),
    }
}

fn referred<'a>(root: &'a Value, at: &Value) -> Option<&'a Value> {
    root.pointer(at["$ref"].as_str()?.strip_prefix('#')?)
}

fn list<'a>(at: &'a Value, word: &str) -> &'a [Value] {
    at[word].as_array().map_or(&[], Vec::as_slice)
}
