//! The shape of a source file: what its head promises, and how long it may be.

use std::collections::BTreeMap;

use super::ranks::{is_for_tests, room_of};
use super::source::{code_of, test_lines, without_tests, words};
use super::{Finding, TextFile, assert_tidy, numbered, sources};

/// Where the heat is: one of these ends the head of each file.
const HEATS: [&str; 3] =
    ["Runs for every byte.", "Runs for every request.", "Runs at start, at reload, or on a timer."];

/// Stands before the heat of a file that only computes: what it does depends on its arguments
/// alone, so it can be tested at all its edges and fuzzed.
const PURE: &str = "Pure.";

/// What a pure file cannot name. Its time is an argument, of the type `crate::Instant`.
const IMPURE: [&str; 7] =
    ["tokio", "tokio_util", "hyper", "hyper_util", "socket2", "SystemTime", "fastrand"];

/// Longer files are two files; so are longer files of tests.
const LINES_MAX: usize = 400;

/// A room that holds more than this share of all lines without tests is two rooms, in percent.
const ROOM_SHARE_MAX: usize = 12;

#[test]
fn every_file_says_what_it_is_for_and_how_hot_it_is() {
    assert_tidy(sources().flat_map(|file| head_faults(&file)));
}

#[test]
fn pure_files_know_no_io_and_no_clock() {
    assert_tidy(sources().flat_map(|file| impurities(&file)));
}

#[test]
fn files_are_short() {
    assert_tidy(sources().filter_map(|file| excess(&file)));
}

#[test]
fn no_room_holds_too_much() {
    let sources: Vec<TextFile> = sources().collect();
    assert_tidy(crowded_rooms(&sources));
}

fn head_faults(file: &TextFile) -> Vec<Finding> {
    let head = head_of(&file.text);
    if head.is_empty() {
        return vec![Finding::new(file, 1, "begin with `//!` and what the file is for")];
    }
    let last_line = head_lines(&file.text).count();
    let heats: usize = HEATS.iter().map(|heat| head.matches(heat).count()).sum();
    let ends_hot = HEATS.iter().any(|heat| head.ends_with(heat));
    if is_without_heat(&file.path) || (heats == 1 && ends_hot) {
        return Vec::new();
    }
    let advice = format!("end the head with exactly one of {HEATS:?}");
    vec![Finding::new(file, last_line, advice)]
}

fn impurities(file: &TextFile) -> Vec<Finding> {
    if !is_pure(&file.text) {
        return Vec::new();
    }
    let code = without_tests(&code_of(&file.text));
    let impure = |line: &str| {
        let library = words(line).find(|word| IMPURE.contains(word)).map(str::to_owned);
        library.or_else(|| line.contains("Instant::now").then(|| "Instant::now".to_owned()))
    };
    let lines = numbered(&code).filter_map(|(number, line)| Some((number, impure(line)?)));
    lines
        .map(|(number, word)| {
            let advice = format!("`{word}` in a pure file: take an argument, or be not pure");
            Finding::new(file, number, advice)
        })
        .collect()
}

fn excess(file: &TextFile) -> Option<Finding> {
    let (lines, what) = match is_for_tests(&file.path) {
        true => (file.text.lines().count(), "of tests"),
        false => (product_lines(file), "without tests"),
    };
    let advice = format!("{lines} lines {what}, {LINES_MAX} at most: divide it");
    (lines > LINES_MAX).then(|| Finding::new(file, lines, advice))
}

fn product_lines(file: &TextFile) -> usize {
    file.text.lines().count() - test_lines(&code_of(&file.text))
}

fn crowded_rooms(sources: &[TextFile]) -> Vec<Finding> {
    let mut rooms = BTreeMap::<&str, (&TextFile, usize)>::new();
    for file in sources.iter().filter(|file| !is_for_tests(&file.path)) {
        if let Some(room) = room_of(&file.path) {
            rooms.entry(room).or_insert((file, 0)).1 += product_lines(file);
        }
    }
    let all: usize = rooms.values().map(|(_, lines)| lines).sum();
    let crowded = rooms.iter().filter(|(_, (_, lines))| lines * 100 > all * ROOM_SHARE_MAX);
    crowded
        .map(|(room, (file, lines))| {
            let advice = format!("`{room}` has {lines} of {all} lines, {ROOM_SHARE_MAX} % at most");
            Finding::new(file, 1, advice)
        })
        .collect()
}

/// The root runs nothing, it is the map; how hot a test is does not matter.
fn is_without_heat(path: &str) -> bool {
    path == "src/lib.rs" || is_for_tests(path)
}

fn is_pure(text: &str) -> bool {
    let head = head_of(text);
    HEATS.iter().any(|heat| head.ends_with(&format!("{PURE} {heat}")))
}

/// The module's documentation as one line.
fn head_of(text: &str) -> String {
    let words = head_lines(text).flat_map(str::split_whitespace);
    words.collect::<Vec<_>>().join(" ")
}

fn head_lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map_while(|line| line.strip_prefix("//!"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_without_purpose_or_with_a_wrong_heat_is_found() {
        let check = |path: &str, text: &str, expected: usize| {
            assert_eq!(head_faults(&TextFile::new(path, text)).len(), expected, "{path}: {text}");
        };
        check("src/a.rs", "//! For a.\n//!\n//! Runs for every byte.\n", 0);
        check(
            "src/a.rs",
            "//! For a.\n//!\n//! Pure. Runs at start, at\n//! reload, or on a timer.",
            0,
        );
        check("src/a.rs", "use a;\n", 1);
        check("src/a.rs", "", 1);
        check("src/a.rs", "//! For a.\n", 1);
        check("src/a.rs", "//! Runs for every byte. And so on.\n", 1);
        check("src/a.rs", "//! Runs for every byte. Runs for every request.\n", 1);
        check("src/lib.rs", "//! The map.\n", 0);
        check("src/a/tests.rs", "//! What a does.\n", 0);
    }

    #[test]
    fn io_and_clocks_are_found_in_a_pure_file() {
        let check = |heat: &str, code: &str, expected: &[usize]| {
            let file = TextFile::new("src/a.rs", &format!("//! For a. {heat}\n{code}"));
            let lines: Vec<usize> = impurities(&file).iter().map(|found| found.line).collect();
            assert_eq!(lines, expected, "{heat} {code}");
        };
        let pure = "Pure. Runs for every byte.";
        check(pure, "use tokio::net::TcpStream;\nuse hyper::Request;", &[2, 3]);
        check(pure, "fn a() { let now = Instant::now(); }", &[2]);
        check(pure, "use crate::Instant; // not tokio's\nfn a(now: Instant) {}", &[]);
        check(pure, "#[cfg(test)]\nmod tests { use tokio::time; }", &[]);
        check("Runs for every byte.", "use tokio::net::TcpStream;", &[]);
    }

    #[test]
    fn a_room_with_more_than_its_share_is_found() {
        let check = |lines: [usize; 3], expected: usize| {
            let file = |(room, lines)| TextFile::new(room, &"fn a() {}\n".repeat(lines));
            let rooms = ["src/a/b.rs", "src/a/c.rs", "src/d.rs"];
            let others = (0..20)
                .map(|room| TextFile::new(&format!("src/o{room}.rs"), "//\n".repeat(10).as_str()));
            let files: Vec<_> = rooms.into_iter().zip(lines).map(file).chain(others).collect();
            assert_eq!(crowded_rooms(&files).len(), expected, "{lines:?}");
        };
        check([10, 10, 20], 0);
        check([20, 20, 20], 1);
        check([10, 10, 40], 1);
    }

    #[test]
    fn a_long_file_is_found_and_its_tests_do_not_count() {
        let check = |path: &str, text: &str, expected: bool| {
            assert_eq!(excess(&TextFile::new(path, text)).is_some(), expected, "{path}");
        };
        let most = "fn a() {}\n".repeat(LINES_MAX);
        check("src/a.rs", &most, false);
        check("src/a.rs", &format!("{most}fn b() {{}}\n"), true);
        check("src/a.rs", &format!("{most}#[cfg(test)]\nmod tests {{\n fn b() {{}}\n}}\n"), false);
        check("src/a/tests.rs", &most, false);
        check("src/a/tests.rs", &format!("{most}fn b() {{}}\n"), true);
    }
}
