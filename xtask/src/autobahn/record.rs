//! What was found, as the part of docs/autobahn.md between two marks.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::process::Command;

use super::results::{Comparison, Verdict};
use super::suite::Suite;
use super::{ALL, Options};
use crate::command::{Failure, output, root};

/// Of all that takes part.
pub(super) struct Versions {
    suite: String,
    ws: String,
    node: String,
}

impl Versions {
    /// Asks everyone.
    pub(super) fn gather(suite: &Suite) -> Self {
        let node = |script: &str| {
            let mut node = Command::new("node");
            node.args(["--print", script]).current_dir(root().join("tests/node"));
            output(&mut node).map_or_else(unknown, |version| version.trim().to_owned())
        };
        Self {
            suite: suite.version().unwrap_or_else(unknown),
            ws: node("require('ws/package.json').version"),
            node: node("process.versions.node"),
        }
    }
}

/// The whole result as Markdown.
pub(super) fn report(versions: &Versions, options: &Options, comparison: &Comparison) -> String {
    let Versions { suite, ws, node } = versions;
    let played: Vec<&str> = options.portions().map(String::as_str).collect();
    let cases = if played == ALL { "all".to_owned() } else { format!("`{}`", played.join(" ")) };
    let mut text = format!(
        "Autobahn Testsuite {suite}; server: ws {ws} on Node.js {node}; Sockeye {}, with debug \
         assertions. Cases: {cases}.\n\n\
         | group | cases | direct | through Sockeye |\n|---|---|---|---|\n",
        env!("CARGO_PKG_VERSION")
    );
    let mut sums = [BTreeMap::new(), BTreeMap::new()];
    for (group, verdicts) in comparison.groups() {
        put_row(&mut text, &format!("{group}. {}", title(group)), &verdicts);
        for (sum, verdicts) in sums.iter_mut().zip(verdicts) {
            for (verdict, count) in verdicts {
                *sum.entry(verdict).or_default() += count;
            }
        }
    }
    put_row(&mut text, "all", &sums);
    text.push('\n');
    put_differences(&mut text, comparison);
    text
}

/// Puts `report` into the manual.
pub(super) fn write(report: &str, tls: bool) -> Result<(), Failure> {
    let path = root().join(PAGE);
    let broken = |why: &dyn std::fmt::Display| Failure(format!("cannot renew {PAGE}: {why}"));
    let page = fs::read_to_string(&path).map_err(|error| broken(&error))?;
    let page = put_into(&page, if tls { BEGIN_TLS } else { BEGIN }, report)
        .ok_or_else(|| broken(&"its marks are gone"))?;
    fs::write(&path, page).map_err(|error| broken(&error))
}

fn put_row(text: &mut String, title: &str, verdicts: &[BTreeMap<&Verdict, usize>; 2]) {
    let cells = verdicts.each_ref().map(|verdicts| {
        let cells: Vec<String> =
            verdicts.iter().map(|(verdict, count)| format!("{count} {verdict}")).collect();
        cells.join(", ")
    });
    let [direct, through] = cells;
    let cases: usize = verdicts[0].values().sum();
    let _ = writeln!(text, "| {title} | {cases} | {direct} | {through} |");
}

fn put_differences(text: &mut String, comparison: &Comparison) {
    let shown = |verdict: Option<&Verdict>| {
        verdict.map_or_else(|| "not played".to_owned(), ToString::to_string)
    };
    let mut rows = comparison.differences().peekable();
    if rows.peek().is_none() {
        text.push_str("No case differs.\n");
        return;
    }
    text.push_str("| differs | direct | through Sockeye | |\n|---|---|---|---|\n");
    for row in rows {
        let (direct, through) = (shown(row.direct), shown(row.through));
        let unsteady =
            if row.is_unsteady { "timing: direct differs too, played twice" } else { "" };
        let _ = writeln!(text, "| {} | {direct} | {through} | {unsteady} |", row.case);
    }
}

/// `page` with `report` in the place of what is between the marks.
fn put_into(page: &str, begin: &str, report: &str) -> Option<String> {
    let (before, rest) = page.split_once(begin)?;
    let (_, behind) = rest.split_once(END)?;
    Some(format!("{before}{begin}\n{report}{END}{behind}"))
}

/// What the suite calls a group.
fn title(group: u32) -> &'static str {
    match group {
        1 => "Framing",
        2 => "Pings and Pongs",
        3 => "Reserved bits",
        4 => "Opcodes",
        5 => "Fragmentation",
        6 => "UTF-8",
        7 => "Close",
        9 => "Limits and performance",
        10 => "Automatic fragmentation",
        12 => "Compression, payloads",
        13 => "Compression, parameters",
        _ => "Others",
    }
}

fn unknown() -> String {
    "unknown".to_owned()
}

const PAGE: &str = "docs/autobahn.md";
const BEGIN: &str = "<!-- result: written by `cargo xtask autobahn --write-docs` -->";
const BEGIN_TLS: &str = "<!-- result: written by `cargo xtask autobahn --tls --write-docs` -->";
const END: &str = "<!-- end of result -->";

#[cfg(test)]
mod tests {
    use super::super::results::tests::results;
    use super::*;

    #[test]
    fn a_report_has_the_counts_and_the_differences() {
        let options = Options {
            cases: ["1.*", "7.*", "12.1.*"].map(str::to_owned).to_vec(),
            except: vec!["12.*".to_owned()],
            resume: false,
            tls: false,
            write_docs: false,
        };
        let versions = Versions { suite: unknown(), ws: unknown(), node: unknown() };
        let direct = [("1.1", "OK", "OK"), ("1.2", "OK", "OK"), ("7.1", "NON-STRICT", "OK")];
        let through = [("1.1", "OK", "OK"), ("1.2", "FAILED", "UNCLEAN")];
        let comparison = Comparison::new(results(&direct, &through));
        let report = report(&versions, &options, &comparison);
        for line in [
            "| 1. Framing | 2 | 2 OK | 1 FAILED (close UNCLEAN), 1 OK |",
            "| 7. Close | 1 | 1 NON-STRICT (close OK) |  |",
            "| 1.2 | OK | FAILED (close UNCLEAN) |  |",
            "| 7.1 | NON-STRICT (close OK) | not played |  |",
        ] {
            assert!(report.lines().any(|other| other == line), "{line}\n{report}");
        }
        assert!(report.contains("Cases: `1.* 7.*`."), "{report}");
    }

    #[test]
    fn a_report_takes_the_place_of_the_one_before() {
        for begin in [BEGIN, BEGIN_TLS] {
            let page = format!("head\n{begin}\nold\n{END}\ntail\n");
            assert_eq!(put_into(&page, begin, "new\n").unwrap(), page.replace("old", "new"));
            assert!(put_into("no marks", begin, "new").is_none());
            let page = include_str!("../../../docs/autobahn.md");
            assert!(put_into(page, begin, "new\n").is_some());
        }
    }
}
