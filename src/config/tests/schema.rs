//! The JSON Schema: it takes what we ship, and knows the keys that the types know.

use std::collections::BTreeSet;
use std::fs;

use jsonschema::Validator;
use serde_json::{Value, json};

use super::super::{keys, schema};
use super::shipped::example_files;

#[test]
fn every_example_file_fits_the_schema() {
    let schema = validator();
    for path in example_files() {
        let file: Value = serde_yaml::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        let errors: Vec<_> = schema.iter_errors(&file).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{}: {errors:#?}", path.display());
    }
}

#[test]
fn the_schema_refuses_what_the_program_refuses() {
    let schema = validator();
    let check = |change: Value, refuses: bool| {
        let mut file = json!({
            "upstreams": { "chat": { "nodes": ["10.0.0.1:3000"] } },
            "routes": [{ "upstream": "chat" }],
        });
        file.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        assert_eq!(!schema.is_valid(&file), refuses, "{file}");
        assert_eq!(super::parse("a.yaml", &file.to_string()).is_err(), refuses, "{file}");
    };
    check(json!({}), false);
    check(json!({ "log": null }), false);
    check(json!({ "log": { "format": "json", "level": "trace" } }), false);
    check(json!({ "log": { "format": "xml" } }), true);
    check(json!({ "log": { "level": "loud" } }), true);
    check(json!({ "logs": {} }), true);
    check(json!({ "upstreams": null }), true);
    check(json!({ "upstreams": {} }), true);
    check(json!({ "upstreams": { "chat": null } }), true);
    check(json!({ "upstreams": { "chat": {} } }), true);
    check(json!({ "upstreams": { "chat": { "nodes": [] } } }), true);
    check(json!({ "upstreams": { "chat": { "nodes": [null] } } }), true);
    check(
        json!({ "upstreams": { "chat": { "nodes": [{ "address": "a:1", "weigth": 2 }] } } }),
        true,
    );
    check(json!({ "routes": [] }), true);
    check(json!({ "routes": [{}] }), true);
    check(json!({ "routes": [{ "upstream": "chat", "tunnel": { "idle": "1m" } }] }), true);
    check(json!({ "listeners": [{}] }), true);
    check(json!({ "upstreams": { "a b": { "nodes": ["b:1"] } } }), true);
}

/// The schema as a validator of other hands reads it.
pub(super) fn validator() -> Validator {
    jsonschema::validator_for(&schema()).unwrap()
}

#[test]
fn the_schema_has_the_keys_of_the_types() {
    let described: BTreeSet<String> = described_keys().into_iter().map(|key| key.path).collect();
    assert_eq!(described, keys().into_iter().collect());
}

/// A key and what the schema says of it.
#[derive(Clone, Debug)]
pub(super) struct DescribedKey {
    /// As [`keys`] writes it.
    pub(super) path: String,
    pub(super) description: String,
}

impl DescribedKey {
    /// The description without the default.
    pub(super) fn sentence(&self) -> &str {
        self.description.split(" Default: ").next().unwrap_or_default()
    }
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

fn referred<'a>(root: &'a Value, at: &Value) -> Option<&'a Value> {
    root.pointer(at["$ref"].as_str()?.strip_prefix('#')?)
}

fn list<'a>(at: &'a Value, word: &str) -> &'a [Value] {
    at[word].as_array().map_or(&[], Vec::as_slice)
}
