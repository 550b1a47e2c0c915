//! The tests that SECURITY.md names exist.

use super::source::words;
use super::{Finding, TextFile, assert_tidy, file, files};

const TABLES: &str = "SECURITY.md";

#[test]
fn the_tests_that_the_security_tables_name_exist() {
    let (tables, all) = (file(TABLES), files());
    assert!(named(&tables).count() > 20, "{TABLES}: the tables were not found");
    assert_tidy(named(&tables).filter_map(|(line, path)| not_a_test(&tables, line, path, &all)));
}

/// What the last cells of the tables with a column `test` name, as `module::function`.
fn named(tables: &TextFile) -> impl Iterator<Item = (usize, &str)> {
    let mut is_in_table = false;
    let rows = tables.lines().filter(move |(_, line)| {
        is_in_table = line.ends_with("| test |") || (is_in_table && line.starts_with('|'));
        is_in_table && line.contains('`')
    });
    rows.flat_map(|(number, line)| {
        let cell = line.trim_end_matches([' ', '|']).rsplit(" | ").next().unwrap_or_default();
        cell.split('`').skip(1).step_by(2).map(move |path| (number, path))
    })
}

/// A path ends in a test, or in a module of tests; each step before it is a file or a directory.
fn not_a_test(tables: &TextFile, line: usize, path: &str, all: &[TextFile]) -> Option<Finding> {
    let mut steps = path.rsplit("::");
    let name = steps.next().unwrap_or_default();
    let within: Vec<&str> = steps.filter(|step| !matches!(*step, "…" | "tests")).collect();
    let is_there = all.iter().filter(|file| file.has_extension("rs")).any(|file| {
        let is_its_file = within.iter().all(|step| {
            file.path.split(['/', '.']).any(|part| part == *step) || *step == "behavior"
        });
        is_its_file && has_test(file, name)
    });
    let advice = format!("there is no test `{path}`: name one that exists");
    (!is_there).then(|| Finding::new(tables, line, advice))
}

fn has_test(file: &TextFile, name: &str) -> bool {
    let is_test_file = file.path.contains("tests") || file.text.contains("#[cfg(test)]");
    let defines = |line: &str, kind: &str| {
        let found: Vec<&str> = words(line).collect();
        found.windows(2).any(|pair| pair == [kind, name])
    };
    let is_module = file.path.ends_with(&format!("/{name}.rs"));
    is_test_file
        && (is_module
            || file
                .lines()
                .any(|(_, line)| defines(line, "fn") || (name == "tests" && defines(line, "mod"))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_of_no_test_is_found() {
        let file = TextFile::new("tests/behavior/access.rs", "#[test]\nasync fn who_may() {}");
        let room = TextFile::new("src/access/origins.rs", "#[cfg(test)]\nmod tests {}");
        let all = [file, room];
        let check = |cell: &str, expected: usize| {
            let text =
                format!("| threat | test |\n|---|---|\n| `not::this` | {cell} |\n\n`nor::this`");
            let tables = TextFile::new("s.md", &text);
            let found: Vec<_> = named(&tables)
                .filter_map(|(line, path)| not_a_test(&tables, line, path, &all))
                .collect();
            assert_eq!(found.len(), expected, "{cell}: {found:?}");
        };
        check("`access::who_may`, `access::origins::tests`", 0);
        check("the same", 0);
        check("`access::who_may_not`", 1);
        check("`tokens::who_may`, `access::jwt::tests`", 2);
    }
}
