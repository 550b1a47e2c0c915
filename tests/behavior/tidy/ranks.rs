//! Imports run with the request: a room uses only rooms of lower rank.
//!
//! So the house can be read from the door inwards, and a room can be understood, tested and moved
//! without those above it.

use std::collections::BTreeSet;

use super::source::{code_of, is_word, without_tests};
use super::{Finding, TextFile, assert_tidy, file, sources};

/// All rooms from the lowest to the highest; rooms of one rank do not know each other.
const RANKS: [&[&str]; 17] = [
    &[
        "clock",
        "descriptors",
        "logging",
        "metrics",
        "net",
        "rate",
        "readiness",
        "shutdown",
        "systemd",
        "tasks",
        "yaml",
    ],
    &["engineio", "form", "http1", "lag", "tls", "websocket"],
    &["site", "telemetry", "tunnel"],
    &["upstream"],
    &["pool"],
    &["access", "acme", "affinity", "insight", "maintenance"],
    &["route"],
    &["snapshot"],
    &["exchange"],
    &["listener"],
    &["config"],
    &["reload"],
    &["workers"],
    &["admin", "doctor", "nginx"],
    &["import", "server"],
    &["cli"],
    &["main"],
];

/// What is not of any room: the clock, which the root names so that nobody takes another.
const OF_THE_HOUSE: [&str; 1] = ["Instant"];

#[test]
fn rooms_use_only_rooms_of_lower_rank() {
    let sources: Vec<TextFile> = sources().collect();
    let rooms: BTreeSet<&str> = sources.iter().filter_map(|file| room_of(&file.path)).collect();
    assert_tidy(sources.iter().flat_map(|file| looks_upward(file, &rooms)));
}

#[test]
fn every_room_has_a_rank() {
    let unranked = sources().filter_map(|file| {
        let room = room_of(&file.path).filter(|_| !is_for_tests(&file.path))?;
        let advice = format!("`{room}` has no rank: give it one in tests/behavior/tidy/ranks.rs");
        rank_of(room).is_none().then(|| Finding::new(&file, 1, advice))
    });
    assert_tidy(unranked);
}

#[test]
fn the_map_shows_the_ranks() {
    let sources: Vec<TextFile> = sources().collect();
    let rooms: BTreeSet<&str> = sources.iter().filter_map(|file| room_of(&file.path)).collect();
    assert_tidy(wrong_map(&file("ARCHITECTURE.md"), &rooms));
}

/// What is wrong with the ranks as the map quotes them, from the highest to the lowest.
fn wrong_map(map: &TextFile, rooms: &BTreeSet<&str>) -> Option<Finding> {
    let ranks = RANKS.iter().rev().map(|rank| {
        let built = rank.iter().copied().filter(|room| rooms.contains(room));
        built.collect::<Vec<_>>().join(", ")
    });
    let expected = ranks.filter(|rank| !rank.is_empty()).collect::<Vec<_>>().join(" > ");
    let quoted: Vec<(usize, &str)> =
        map.lines().filter_map(|(number, line)| Some((number, line.strip_prefix("> ")?))).collect();
    let shown = quoted.iter().map(|(_, line)| *line).collect::<Vec<_>>().join(" ");
    let line = quoted.first().map_or(1, |(number, _)| *number);
    let advice = format!("the ranks are to be quoted as `> {expected}`");
    (shown != expected).then(|| Finding::new(map, line, advice))
}

/// The uses of rooms that `file` must not know. Tests may look anywhere.
fn looks_upward(file: &TextFile, rooms: &BTreeSet<&str>) -> Vec<Finding> {
    let Some(room) = room_of(&file.path).filter(|_| !is_for_tests(&file.path)) else {
        return Vec::new();
    };
    let code = without_tests(&code_of(&file.text));
    let depth = depth_of(&file.path);
    let mut findings = Vec::new();
    for (at, path) in paths(&code) {
        let line = code[..at].matches('\n').count() + 1;
        let uses = below_root(path, depth);
        findings.extend(
            uses.into_iter()
                .filter_map(|used| fault(room, used, rooms))
                .map(|advice| Finding::new(file, line, advice)),
        );
    }
    findings
}

/// What is wrong with `room` using `used`, a name below the root of the crate.
fn fault(room: &str, used: &str, rooms: &BTreeSet<&str>) -> Option<String> {
    // The program is a crate of its own, and has no other door.
    let is_program = (room, used) == ("main", "internal");
    if used == room || is_program || OF_THE_HOUSE.contains(&used) {
        return None;
    }
    if !rooms.contains(used) {
        return Some(format!("`crate::{used}` is not of the house: name the room that has it"));
    }
    (rank_of(used) >= rank_of(room)).then(|| {
        format!("`{room}` uses `{used}`, which is not below it: pass in what it needs, or move it")
    })
}

fn rank_of(room: &str) -> Option<usize> {
    RANKS.iter().position(|rank| rank.contains(&room))
}

/// `src/tunnel/relay.rs` and `src/tunnel.rs` are of the room `tunnel`; `src/lib.rs`, which
/// only names them, is of none.
pub(super) fn room_of(path: &str) -> Option<&str> {
    let first = path.strip_prefix("src/")?.split('/').next()?;
    Some(first.strip_suffix(".rs").unwrap_or(first)).filter(|room| *room != "lib")
}

/// How many modules are between the root and what stands in the file at `path`.
fn depth_of(path: &str) -> usize {
    let names = path.split('/').skip(1);
    names.filter(|name| *name != "mod.rs").count()
}

/// Whether a whole file is compiled for tests only.
pub(super) fn is_for_tests(path: &str) -> bool {
    path.split('/').any(|name| matches!(name, "tests" | "tests.rs"))
}

/// Where paths that leave their module begin, and what follows there.
fn paths(code: &str) -> impl Iterator<Item = (usize, &str)> {
    let starts = ["crate::", "super::", "sockeye::"].into_iter();
    starts.flat_map(move |start| {
        let begins = move |at: &usize| {
            let before = code[..*at].chars().next_back();
            before.is_none_or(|c| !is_word(c) && c != ':')
        };
        let found = code.match_indices(start).map(|(at, _)| at).filter(begins);
        found.map(move |at| (at, &code[at..]))
    })
}

/// The names below the root that `path` leads to, when it stands `depth` modules below the root.
fn below_root(path: &str, depth: usize) -> Vec<&str> {
    let path = path.trim_start();
    if let Some(rest) = path.strip_prefix("crate::").or_else(|| path.strip_prefix("sockeye::")) {
        return below_root(rest, 0);
    }
    if let Some(rest) = path.strip_prefix("super::") {
        return below_root(rest, depth.saturating_sub(1));
    }
    if let Some(group) = path.strip_prefix('{') {
        return members(group).into_iter().flat_map(|member| below_root(member, depth)).collect();
    }
    let name = path.split(|c| !is_word(c)).next().unwrap_or_default();
    if depth > 0 || matches!(name, "" | "self") { Vec::new() } else { vec![name] }
}

/// The members of a group whose opening brace was taken off.
fn members(group: &str) -> Vec<&str> {
    let mut members = Vec::new();
    let (mut depth, mut begin) = (0, 0);
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => {
                members.push(&group[begin..at]);
                return members;
            }
            '}' => depth -= 1,
            ',' if depth == 0 => {
                members.push(&group[begin..at]);
                begin = at + 1;
            }
            _ => (),
        }
    }
    members
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The lines of `source`, the file at `path`, that look upward.
    fn check(path: &str, source: &str, expected: &[usize]) {
        let rooms = RANKS.iter().copied().flatten().copied().collect();
        let findings = looks_upward(&TextFile::new(path, source), &rooms);
        let lines: Vec<usize> = findings.iter().map(|finding| finding.line).collect();
        assert_eq!(lines, expected, "{path}: {source}\n{findings:?}");
    }

    #[test]
    fn a_look_upward_is_found_however_it_is_written() {
        check("src/tunnel/relay.rs", "use crate::engineio::Timings;", &[]);
        check("src/tunnel/relay.rs", "use crate::route::Route;", &[1]);
        check(
            "src/tunnel/relay.rs",
            "\nuse crate::{\n    shutdown::Shutdown,\n    route::Route,\n};",
            &[2],
        );
        check("src/tunnel/relay.rs", "use crate::{self, shutdown, exchange::{A, B}};", &[1]);
        check("src/tunnel/relay.rs", "fn a() -> crate::route::Route;", &[1]);
        check("src/tunnel/relay.rs", "use super::super::route::Route;", &[1]);
        check("src/tunnel/relay.rs", "use super::{End, super::route};", &[1]);
        check("src/tunnel/mod.rs", "use super::route::Route;", &[1]);
        check("src/admin/page/mod.rs", "use super::route::Route;", &[]);
        check("src/snapshot.rs", "use super::config::Config;", &[1]);
        check("src/cli.rs", "use sockeye::main;", &[1]);
        check("src/cli.rs", "fn a() { crate::internal::main() }", &[1]);
        check("src/main.rs", "fn a() { sockeye::internal::main() }", &[]);
    }

    #[test]
    fn rooms_of_one_rank_do_not_know_each_other() {
        check("src/logging.rs", "use crate::shutdown::Shutdown;", &[1]);
        check("src/logging.rs", "use crate::logging::Format;", &[]);
    }

    #[test]
    fn an_export_of_the_root_hides_its_room() {
        check("src/tunnel/relay.rs", "use crate::Instant;", &[]);
        check("src/tunnel/relay.rs", "use crate::{Instant, Proxy};", &[1]);
    }

    #[test]
    fn tests_and_comments_may_look_anywhere() {
        check("src/tunnel/relay.rs", "#[cfg(test)]\nmod tests { use crate::route; }", &[]);
        check("src/tunnel/tests.rs", "use crate::route;", &[]);
        check("src/tunnel/relay.rs", "/// See [`crate::route`].\nfn a() {}", &[]);
        check("src/lib.rs", "pub use crate::exchange::Proxy;", &[]);
    }

    #[test]
    fn a_map_with_other_ranks_is_found() {
        let rooms = BTreeSet::from(["net", "shutdown", "tunnel"]);
        let check = |text: &str, expected: bool| {
            assert_eq!(
                wrong_map(&TextFile::new("m.md", text), &rooms).is_some(),
                expected,
                "{text}"
            );
        };
        check("text\n\n> tunnel >\n> net, shutdown\n\ntext", false);
        check("> net, shutdown > tunnel", true);
        check("> tunnel > net", true);
        check("text", true);
    }

    #[test]
    fn a_room_is_a_file_or_a_directory() {
        assert_eq!(room_of("src/tunnel/relay.rs"), Some("tunnel"));
        assert_eq!(room_of("src/shutdown.rs"), Some("shutdown"));
        assert_eq!(room_of("src/lib.rs"), None);
        assert_eq!(rank_of("cellar"), None);
    }
}
