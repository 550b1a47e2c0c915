//! What is declared of each key, as the annotated schema has it.

use serde_json::Value;

use crate::config::schema::annotated;
use crate::config::schema::described::properties;

/// What is declared of a key, in words.
#[derive(Clone, Debug)]
pub(crate) struct DescribedKey {
    /// As [`crate::config::keys`] writes it.
    pub(crate) path: String,
    /// What the key is for.
    pub(crate) sentence: String,
    /// More about it, for the manual alone.
    pub(crate) more: String,
    /// What it accepts, if that is a single value with a form: `off` or duration, `1s` to `1h`.
    pub(crate) value: Option<String>,
    /// The manual's name for its type.
    pub(crate) kind: String,
    /// Its default in words, with what can be written in backquotes; none for most maps.
    pub(crate) default: Option<String>,
    /// Whether it must be written.
    pub(crate) is_needed: bool,
}

/// All keys of the schema, in no order.
pub(crate) fn described_keys() -> Vec<DescribedKey> {
    let schema = annotated();
    let found = properties(&schema).into_iter();
    found.filter_map(|(pointer, path)| described(path, schema.pointer(&pointer)?)).collect()
}

fn described(path: String, property: &Value) -> Option<DescribedKey> {
    let text = |key: &str| property.get(key).and_then(Value::as_str).map(str::to_owned);
    Some(DescribedKey {
        path,
        sentence: text("x-sentence")?,
        more: text("x-more").unwrap_or_default(),
        value: text("x-value"),
        kind: text("x-type").unwrap_or_default(),
        default: text("x-default"),
        is_needed: property.get("x-needed").is_some(),
    })
}
