//! The defaults of the keys, as the settings of the rooms have them.
//!
//! A template that writes only what has no default is resolved and rendered: whatever the rendered
//! file has besides the template is a default. So no default is written twice.
//!
//! Pure. Runs at start, at reload, or on a timer.

use std::collections::BTreeMap;

use serde_yaml::Value;

use super::parse_alone;

/// A configuration that has each map of keys at least once, and writes only what has no default.
/// `configs/reference.yaml` has its shape.
pub(super) const TEMPLATE: &str = include_str!("template.yaml");

/// The template as it is written and as it is rendered.
pub(super) fn template() -> (Value, Value) {
    let written = serde_yaml::from_str(TEMPLATE).unwrap_or_default();
    let rendered = parse_alone("template.yaml", TEMPLATE).map(|config| config.render());
    (with_include(&written), rendered.map(|shown| with_include(&shown)).unwrap_or_default())
}

/// The default of each key that has one and is no map, by its path as [`super::keys`] writes it.
pub(super) fn defaults() -> BTreeMap<String, Value> {
    let (written, rendered) = template();
    let mut found = BTreeMap::new();
    collect("", &rendered, Some(&written), &mut found);
    found
}

/// `file` with the one key that no rendered file has, as its first.
fn with_include(file: &Value) -> Value {
    let entries =
        file.as_mapping().into_iter().flatten().map(|(key, value)| (key.clone(), value.clone()));
    Value::Mapping([("include".into(), "apps.d/".into())].into_iter().chain(entries).collect())
}

fn collect(
    path: &str,
    value: &Value,
    written: Option<&Value>,
    found: &mut BTreeMap<String, Value>,
) {
    match (value, written) {
        (Value::Mapping(map), None | Some(Value::Mapping(_))) => {
            for (key, value) in map {
                let Some(name) = key.as_str() else { continue };
                collect(&below(path, name), value, written.and_then(|map| map.get(key)), found);
            }
        }
        (Value::Sequence(items), None | Some(Value::Sequence(_))) if !items.is_empty() => {
            for (index, item) in items.iter().enumerate() {
                let written = written.and_then(|items| items.get(index));
                collect(&format!("{path}[]"), item, written, found);
            }
        }
        (value, None) => _ = found.entry(path.to_owned()).or_insert_with(|| value.clone()),
        (_, Some(_)) => (),
    }
}

/// The path of `key` in the map at `path`; the names of upstreams are `*`.
pub(super) fn below(path: &str, key: &str) -> String {
    match path {
        "" => key.to_owned(),
        "upstreams" => "upstreams.*".to_owned(),
        path => format!("{path}.{key}"),
    }
}
