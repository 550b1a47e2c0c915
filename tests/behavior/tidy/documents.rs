//! What the manual says of the product: every key, configurations that load, links that lead
//! somewhere, every room on the map.

use std::collections::BTreeSet;
use std::path::Path;

use serde_yaml::Value;

use super::ranks::{is_for_tests, room_of};
use super::{Finding, TextFile, assert_tidy, file, files, numbered, root, sources};

const REFERENCE: &str = "configs/reference.yaml";
const KEYS_MANUAL: &str = "docs/configuration.md";
const KEYS_HEADING: &str = "## Keys";
const MAP: &str = "ARCHITECTURE.md";

#[test]
fn the_reference_has_every_key() {
    let reference = file(REFERENCE);
    let tree = serde_yaml::from_str(&reference.text).unwrap();
    let keys = sockeye::internal::config::keys();
    assert_tidy(keys.iter().filter_map(|key| not_in_reference(&reference, &tree, key)));
}

#[test]
fn the_manual_has_every_key_and_no_other() {
    let manual = file(KEYS_MANUAL);
    assert_tidy(not_as_in_manual(&manual, &sockeye::internal::config::keys()));
}

#[test]
fn every_configuration_loads() {
    let all = files();
    let configurations =
        all.iter().filter(|file| is_configuration_file(&file.path)).filter_map(|file| {
            // The certificates that they name are the operator's.
            let parsed = sockeye::internal::config::parse_alone(&file.path, &file.text);
            let problems = match parsed.err()? {
                _ if file.text.contains("\ninclude:") => {
                    sockeye::load(&root().join(&file.path)).err()?
                }
                problems => problems,
            };
            Some(Finding::new(file, 1, problems.to_string()))
        });
    assert_tidy(configurations);
    assert_tidy(manuals(&all).flat_map(broken_examples));
}

#[test]
fn links_lead_somewhere() {
    let all = files();
    let broken = manuals(&all).flat_map(|manual| broken_links(manual, &|path| exists(path)));
    assert_tidy(broken);
}

#[test]
fn every_room_is_on_the_map() {
    let map = file(MAP);
    let sources: Vec<TextFile> = sources().collect();
    let rooms = sources.iter().filter(|file| !is_for_tests(&file.path));
    let rooms: BTreeSet<&str> = rooms.filter_map(|file| room_of(&file.path)).collect();
    assert_tidy(rooms.into_iter().filter_map(|room| not_on_map(&map, room)));
}

fn manuals(all: &[TextFile]) -> impl Iterator<Item = &TextFile> {
    all.iter().filter(|file| file.has_extension("md"))
}

fn exists(path: &str) -> bool {
    root().join(path).exists()
}

fn not_in_reference(reference: &TextFile, tree: &Value, key: &str) -> Option<Finding> {
    let steps = key.replace("[]", ".[]");
    let steps: Vec<&str> = steps.split('.').collect();
    let advice = format!("`{key}` is missing: write it with its default and a sentence");
    (!has_key(tree, &steps)).then(|| Finding::new(reference, 1, advice))
}

/// Whether any value is at the end of `steps`, where `*` is any key and `[]` any item.
fn has_key(value: &Value, steps: &[&str]) -> bool {
    let Some((step, rest)) = steps.split_first() else { return true };
    match (*step, value) {
        ("*", Value::Mapping(map)) => map.values().any(|below| has_key(below, rest)),
        ("[]", Value::Sequence(items)) => items.iter().any(|below| has_key(below, rest)),
        (key, below) => below.get(key).is_some_and(|below| has_key(below, rest)),
    }
}

/// The manual has a row for each key, which begins with the whole of it, and no other rows.
fn not_as_in_manual(manual: &TextFile, keys: &[String]) -> Vec<Finding> {
    let rows: Vec<(usize, &str)> = manual
        .lines()
        .skip_while(|(_, line)| *line != KEYS_HEADING)
        .filter_map(|(number, line)| Some((number, line.strip_prefix("| `")?.split('`').next()?)))
        .collect();
    let missing = keys.iter().filter(|key| !rows.iter().any(|(_, row)| row == key)).map(|key| {
        let advice = format!("`{key}` has no row: say what it does, its range and its default");
        Finding::new(manual, 1, advice)
    });
    let unknown = rows.iter().filter(|(_, row)| !keys.iter().any(|key| key == row));
    let unknown = unknown.map(|(number, row)| {
        Finding::new(manual, *number, format!("there is no key `{row}`: mend the row"))
    });
    missing.chain(unknown).collect()
}

/// A whole configuration in a manual is one that can be copied.
fn broken_examples(manual: &TextFile) -> Vec<Finding> {
    let broken = |(line, block): (usize, String)| {
        let parsed = sockeye::internal::config::parse_alone(&manual.path, &block);
        let problems = parsed.err()?;
        Some(Finding::new(manual, line, format!("this configuration does not load: {problems}")))
    };
    let blocks = yaml_blocks(&manual.text).into_iter();
    blocks.filter(|(_, block)| is_configuration(block)).filter_map(broken).collect()
}

/// The fenced blocks of YAML, each with the number of its first line.
fn yaml_blocks(text: &str) -> Vec<(usize, String)> {
    let mut blocks = Vec::new();
    let mut open: Option<(usize, String)> = None;
    for (number, line) in numbered(text) {
        match &mut open {
            Some(_) if line.trim_start().starts_with("```") => blocks.extend(open.take()),
            Some((_, block)) => {
                block.push_str(line);
                block.push('\n');
            }
            None if line.trim() == "```yaml" => open = Some((number + 1, String::new())),
            None => (),
        }
    }
    blocks
}

/// What stands deeper below `configs/` is for other programs, such as Kubernetes.
fn is_configuration_file(path: &str) -> bool {
    let name = path.strip_prefix("configs/").and_then(|name| name.strip_suffix(".yaml"));
    name.is_some_and(|name| !name.contains('/'))
}

fn is_configuration(block: &str) -> bool {
    let said = |line: &&str| !line.trim().is_empty() && !line.starts_with('#');
    let first = block.lines().find(said).unwrap_or_default();
    first.starts_with("upstreams:") || first.starts_with("listeners:")
}

fn broken_links(manual: &TextFile, exists: &dyn Fn(&str) -> bool) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut is_in_fence = false;
    for (number, line) in manual.lines() {
        if line.trim_start().starts_with("```") {
            is_in_fence = !is_in_fence;
        }
        for target in link_targets(line).filter(|_| !is_in_fence) {
            let path = target.split('#').next().unwrap_or_default();
            let is_elsewhere = path.contains("://") || path.starts_with("mailto:");
            if !path.is_empty() && !is_elsewhere && !exists(&resolved(&manual.path, path)) {
                let advice = format!("the link to `{path}` leads nowhere: mend it or take it out");
                findings.push(Finding::new(manual, number, advice));
            }
        }
    }
    findings
}

/// The targets of `[text](target)` and `[text]: target`.
fn link_targets(line: &str) -> impl Iterator<Item = &str> {
    let inline = line.split("](").skip(1).filter_map(|rest| rest.split([')', ' ']).next());
    let definition = line.strip_prefix('[').and_then(|rest| rest.split_once("]: "));
    inline.chain(definition.map(|(_, target)| target.trim()))
}

/// `target` as the file at `path` names it, from the root.
fn resolved(path: &str, target: &str) -> String {
    let directory = Path::new(path).parent().unwrap_or_else(|| Path::new(""));
    directory.join(target).to_string_lossy().into_owned()
}

fn not_on_map(map: &TextFile, room: &str) -> Option<Finding> {
    let name = format!("`{room}`");
    let is_there = map.lines().any(|(_, line)| line.starts_with("### ") && line.contains(&name));
    let advice = format!("the room {name} is missing: a paragraph under `### {name}`");
    (!is_there).then(|| Finding::new(map, 1, advice))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_the_reference_lacks_is_found() {
        let text =
            "routes:\n- path: /\n- tunnel: { buffer: 1KiB }\nupstreams:\n  chat: { nodes: [a] }";
        let (reference, tree) =
            (TextFile::new("r.yaml", text), serde_yaml::from_str(text).unwrap());
        let check = |key: &str, expected: bool| {
            assert_eq!(not_in_reference(&reference, &tree, key).is_none(), expected, "{key}");
        };
        check("routes", true);
        check("routes[].path", true);
        check("routes[].tunnel.buffer", true);
        check("routes[].tunnel.idle_timeout", false);
        check("upstreams.*.nodes", true);
        check("upstreams.*.nodes[].name", false);
        check("log", false);
    }

    #[test]
    fn a_manual_with_too_few_or_too_many_keys_is_found() {
        let keys = ["log".to_owned(), "log.level".to_owned()];
        let check = |text: &str, expected: &[usize]| {
            let found = not_as_in_manual(&TextFile::new("m.md", text), &keys);
            let lines: Vec<usize> = found.iter().map(|finding| finding.line).collect();
            assert_eq!(lines, expected, "{text}\n{found:?}");
        };
        check("| `duration` |\n## Keys\n| `log` | map |\n| `log.level` | word |", &[]);
        check("## Keys\n| `log` | map, with `log.level` |", &[1]);
        check("## Keys\n| `log` | |\n| `log.level` | |\n| `log.colour` | |", &[4]);
        check("| `log` | |\n| `log.level` | |", &[1, 1]);
    }

    #[test]
    fn an_example_that_does_not_load_is_found() {
        let whole =
            "upstreams:\n  chat: { nodes: [10.0.0.1:3000] }\nroutes:\n  - { upstream: chat }\n";
        let check = |block: &str, expected: usize| {
            let manual = TextFile::new("m.md", &format!("text\n\n```yaml\n{block}```\n"));
            let found = broken_examples(&manual);
            assert_eq!(found.len(), expected, "{block}\n{found:?}");
            assert!(found.iter().all(|finding| finding.line == 4));
        };
        check(whole, 0);
        check(&format!("# the least\n{whole}"), 0);
        check(&whole.replace("nodes", "noddes"), 1);
        check("listeners:\n  - { bind: here }\n", 1);
        check("apiVersion: v1\n", 0);
    }

    #[test]
    fn a_configuration_is_a_file_directly_below_configs() {
        assert!(is_configuration_file("configs/a.yaml"));
        assert!(!is_configuration_file("configs/kubernetes/a.yaml"));
        assert!(!is_configuration_file("configs/a.service"));
        assert!(!is_configuration_file("docs/a.yaml"));
    }

    #[test]
    fn a_link_that_leads_nowhere_is_found() {
        let check = |line: &str, expected: usize| {
            let manual = TextFile::new("docs/m.md", line);
            let found =
                broken_links(&manual, &|path| path == "docs/a.md" || path == "docs/../b.md");
            assert_eq!(found.len(), expected, "{line}\n{found:?}");
        };
        check("[a](a.md), [a](a.md#b), [b](../b.md \"title\"), [top](#top)", 0);
        check("[a](b.md)", 1);
        check("[a](a.md) and [c](c.md)", 1);
        check("[a]: c.md", 1);
        check("[a](https://example.com/c.md) <mailto:a@b.c>", 0);
        check("```\n[a](c.md)\n```", 0);
    }

    #[test]
    fn a_room_that_is_not_on_the_map_is_found() {
        let map = TextFile::new("m.md", "### `cli`, `tunnel`\nnot `route`");
        assert!(not_on_map(&map, "tunnel").is_none());
        assert!(not_on_map(&map, "route").is_some());
    }
}
