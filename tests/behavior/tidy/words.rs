//! Words that say nothing, and words that should not have been left behind.

use super::source::{code_of, is_word};
use super::{Finding, TextFile, assert_tidy, files, numbered};

/// Names of places where anything could stand.
const EMPTY_WORDS: [&str; 9] =
    ["common", "handler", "handlers", "helper", "helpers", "manager", "misc", "util", "utils"];

/// The standard library's own name for giving back what was wrapped.
const INTO_INNER: &str = "into_inner";

/// What a declared name follows.
const DECLARATIONS: [&str; 7] = ["enum", "fn", "macro_rules!", "mod", "struct", "trait", "type"];

/// Marks of what is not finished.
const UNFINISHED: [&str; 5] = ["FIXME", "TODO", "XXX", "todo!", "unimplemented!"];

/// Beginnings of paths that exist on one machine only.
const MACHINE_PATHS: [&str; 4] = ["/Users/", "/home/", "/root/", "/work/"];

/// The one place that has to spell all of this.
const HERE: &str = "tests/behavior/tidy";

#[test]
fn names_say_what_a_thing_is() {
    let sources = files().into_iter().filter(|file| file.has_extension("rs"));
    assert_tidy(sources.flat_map(|file| empty_names(&file)));
}

#[test]
fn nothing_is_left_behind() {
    let written = files().into_iter().filter(|file| !is_lock(&file.path) && !file.is_below(HERE));
    assert_tidy(written.flat_map(|file| left_behind(&file)));
}

#[test]
fn no_test_is_switched_off_in_silence() {
    let written = files().into_iter().filter(|file| !file.is_below(HERE));
    assert_tidy(written.flat_map(|file| silenced(&file)));
}

#[test]
fn lock_files_name_no_registry() {
    let locks = files().into_iter().filter(|file| is_npm_lock(&file.path));
    assert_tidy(locks.flat_map(|file| registries(&file)));
}

/// The file's own name, and the names that it declares.
fn empty_names(file: &TextFile) -> Vec<Finding> {
    let code = code_of(&file.text);
    let declared = numbered(&code)
        .flat_map(|(number, line)| declared_names(line).map(move |name| (number, name)));
    let parts = file.path.split('/').map(|name| name.trim_end_matches(".rs"));
    parts
        .map(|name| (1, name))
        .chain(declared)
        .filter_map(|(line, name)| {
            let word = empty_word(name)?;
            let advice = format!("`{name}`: `{word}` tells nothing, name what it is or does");
            Some(Finding::new(file, line, advice))
        })
        .collect()
}

fn declared_names(line: &str) -> impl Iterator<Item = &str> {
    let tokens = || line.split_whitespace();
    let named = tokens().zip(tokens().skip(1));
    named
        .filter(|(declaration, _)| DECLARATIONS.contains(declaration))
        .map(|(_, name)| name.split(|c| !is_word(c)).next().unwrap_or_default())
}

/// The part of `name` that tells nothing.
fn empty_word(name: &str) -> Option<&'static str> {
    let snake = snake_case(name);
    if snake.starts_with("get_") {
        return Some("get_");
    }
    if snake.starts_with("do_") {
        return Some("do_");
    }
    if snake.ends_with("_inner") && snake != INTO_INNER {
        return Some("_inner");
    }
    EMPTY_WORDS.into_iter().find(|empty| snake.split('_').any(|word| word == *empty))
}

/// `SidTable` is `sid_table`.
fn snake_case(name: &str) -> String {
    let mut snake = String::new();
    for c in name.chars() {
        if c.is_uppercase() && !snake.is_empty() && !snake.ends_with('_') {
            snake.push('_');
        }
        snake.extend(c.to_lowercase());
    }
    snake
}

fn left_behind(file: &TextFile) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (number, line) in file.lines() {
        if let Some(mark) = UNFINISHED.into_iter().find(|mark| has_word(line, mark)) {
            let advice = format!("`{mark}`: do it, or open an issue and say here how it is now");
            findings.push(Finding::new(file, number, advice));
        }
        if let Some(path) = MACHINE_PATHS.into_iter().find(|path| begins_path(line, path)) {
            let advice = format!("a path below `{path}`: write it from the root of the repository");
            findings.push(Finding::new(file, number, advice));
        }
    }
    findings
}

fn silenced(file: &TextFile) -> Vec<Finding> {
    let advice = |line: &str| match file.path.rsplit_once('.').map(|(_, extension)| extension) {
        Some("rs") => line.contains("#[ignore]").then_some("write `#[ignore = \"why\"]`"),
        Some("js" | "mjs" | "cjs" | "ts") => line
            .contains(".only(")
            .then_some("`.only` keeps the other tests from running: take it out"),
        Some(_) | None => None,
    };
    let lines = file.lines().filter_map(|(number, line)| Some((number, advice(line)?)));
    lines.map(|(number, advice)| Finding::new(file, number, advice)).collect()
}

/// Where a package was fetched from on one machine is no business of another.
fn registries(file: &TextFile) -> Vec<Finding> {
    let named = file.lines().filter(|(_, line)| line.contains("\"resolved\": \"http"));
    let advice = "names a registry: set `omit-lockfile-registry-resolved=true` in .npmrc";
    named.map(|(number, _)| Finding::new(file, number, advice)).collect()
}

fn is_lock(path: &str) -> bool {
    path.ends_with("Cargo.lock") || is_npm_lock(path)
}

fn is_npm_lock(path: &str) -> bool {
    path.ends_with("package-lock.json")
}

pub(super) fn has_word(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let (before, rest) = line.split_at(at);
        let after = rest.strip_prefix(word).and_then(|rest| rest.chars().next());
        !before.ends_with(is_word) && !after.is_some_and(is_word)
    })
}

/// Whether a path begins with `start`: an address has a host before it, a relative path a name.
fn begins_path(line: &str, start: &str) -> bool {
    line.match_indices(start).any(|(at, _)| {
        let before = line.split_at(at).0;
        !before.ends_with(|c: char| is_word(c) || matches!(c, '.' | '-' | '/' | '}' | ')'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_names_are_found_in_paths_and_declarations() {
        let check = |path: &str, text: &str, expected: usize| {
            let found = empty_names(&TextFile::new(path, text));
            assert_eq!(found.len(), expected, "{path}: {text}\n{found:?}");
        };
        check("src/tunnel/relay.rs", "fn run() { handler.util() } // fn get_a", 0);
        check("src/utils.rs", "", 1);
        check("src/tunnel/helper/mod.rs", "", 1);
        check("src/a.rs", "pub(super) struct NodeManager;", 1);
        check("src/a.rs", "mod common;\ntype Handler<T> = T;", 2);
        check("src/a.rs", "fn get_node() {}\nasync fn do_run() {}\nfn run_inner() {}", 3);
        check("src/a.rs", "fn forget_node() {}\nfn redo_it() {}\nfn into_inner(self) {}", 0);
    }

    #[test]
    fn what_was_left_behind_is_found() {
        let check = |line: &str, expected: usize| {
            let found = left_behind(&TextFile::new("src/a.rs", line));
            assert_eq!(found.len(), expected, "{line}\n{found:?}");
        };
        check("// TODO: more", 1);
        check("todo!()", 1);
        check("let todo = 1; // METODOS", 0);
        check("see /home/me/notes", 1);
        check("(/root/y)", 1);
        check("https://example.com/home/ and ./home/x and a/work/b", 0);
    }

    #[test]
    fn silent_tests_and_registries_are_found() {
        let silenced = |path: &str, line: &str| silenced(&TextFile::new(path, line)).len();
        assert_eq!(silenced("tests/a.rs", "#[ignore]"), 1);
        assert_eq!(silenced("tests/a.rs", "#[ignore = \"needs Node.js\"]"), 0);
        assert_eq!(silenced("tests/node/a.js", "it.only('a', b)"), 1);
        assert_eq!(silenced("README.md", "no `.only(` and no `#[ignore]`"), 0);

        let lock = r#""resolved": "https://registry.example.com/ws/-/ws-8.tgz","#;
        assert_eq!(registries(&TextFile::new("package-lock.json", lock)).len(), 1);
        assert_eq!(registries(&TextFile::new("package-lock.json", r#""link": true"#)).len(), 0);
    }
}
