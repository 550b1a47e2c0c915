//! The key tables of `docs/configuration.md`.
//!
//! A comment `<!-- keys: log -->` stands before each table and names the keys whose rows are there:
//! these and all below them, except those that a longer name has in another table.

use std::collections::BTreeMap;

use crate::config::keys;
use crate::config::tests::described::{DescribedKey, described_keys};

/// `manual` with its tables generated.
pub(super) fn with_tables(manual: &str) -> String {
    let tables: Vec<&str> =
        manual.lines().filter_map(roots).flat_map(str::split_whitespace).collect();
    let described = described_keys().into_iter();
    let described: BTreeMap<String, DescribedKey> =
        described.map(|key| (key.path.clone(), key)).collect();
    let mut text = String::new();
    let mut is_in_table = false;
    for line in manual.lines() {
        is_in_table = is_in_table && !line.is_empty();
        if is_in_table {
            continue;
        }
        text.extend([line, "\n"]);
        if let Some(roots) = roots(line) {
            is_in_table = true;
            text.push_str("| key | type | default | |\n| --- | --- | --- | --- |\n");
            let roots: Vec<&str> = roots.split_whitespace().collect();
            for key in keys().iter().filter(|key| is_of(key, &roots, &tables)) {
                text.push_str(&row(&described[key]));
            }
        }
    }
    for key in keys() {
        assert!(text.contains(&format!("| `{key}` |")), "`{key}` is in no table of the manual");
    }
    text
}

fn roots(line: &str) -> Option<&str> {
    line.strip_prefix("<!-- keys:")?.strip_suffix("-->")
}

/// Whether the nearest of all `tables` above `key` is one of `roots`.
fn is_of(key: &str, roots: &[&str], tables: &[&str]) -> bool {
    let above = tables.iter().filter(|root| {
        key.strip_prefix(**root).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    });
    above.max_by_key(|root| root.len()).is_some_and(|root| roots.contains(root))
}

fn row(key: &DescribedKey) -> String {
    let default = match (&key.default, key.is_needed) {
        (_, true) => "needed ",
        (Some(default), false) => &format!("{default} "),
        (None, false) => "",
    };
    let text = format!("{} {}", key.sentence, key.more);
    format!("| `{}` | {} | {default}| {} |\n", key.path, key.kind, text.trim_end())
}

#[test]
fn a_key_is_in_the_table_with_the_longest_name_above_it() {
    let tables = ["upstreams", "upstreams.*.health", "log"];
    assert!(is_of("upstreams.*.health.every", &["upstreams.*.health"], &tables));
    assert!(!is_of("upstreams.*.health.every", &["upstreams"], &tables));
    assert!(is_of("upstreams.*.nodes[]", &["upstreams", "log"], &tables));
    assert!(!is_of("logs", &["log"], &tables));
}
