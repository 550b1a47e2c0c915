//! The JSON Schema: it takes what we ship, and knows the keys that the types know.

use std::collections::BTreeSet;
use std::fs;

use jsonschema::Validator;
use serde_json::{Value, json};

use super::super::{keys, schema};
use super::described::described_keys;
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
    check(json!({ "upstreams": null, "routes": [{ "respond": { "body": "ok" } }] }), false);
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
