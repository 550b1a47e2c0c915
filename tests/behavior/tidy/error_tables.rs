//! What the code calls an error or the end of a tunnel, the manual explains, with the same status
//! and the same blame.
//!
//! The source is read as text, so that nothing is public only for this.

use super::{Finding, TextFile, assert_tidy, file};

const MANUAL: &str = "docs/troubleshooting.md";

/// How the source and the manual write one table.
#[derive(Debug)]
struct Table {
    source: &'static str,
    /// Stands before each row in the source.
    mark: &'static str,
    read: fn(&str) -> Option<Row>,
    /// The heading of the section in the manual that has the table.
    heading: &'static str,
    /// The titles of the columns that must be as in the source; the first has the label.
    columns: &'static [&'static str],
}

const REFUSALS: Table = Table {
    source: "src/exchange/error.rs",
    mark: "=> facts(",
    read: refusal,
    heading: "## Answers of the proxy's own",
    columns: &["error", "status", "blame"],
};

const ENDS: Table = Table {
    source: "src/tunnel/end.rs",
    mark: "=> (\"",
    read: end,
    heading: "## Ends of tunnels",
    columns: &["end", "by"],
};

/// A label and what follows from it, in the order of [`Table::columns`].
#[derive(Debug, PartialEq, Eq)]
struct Row {
    line: usize,
    cells: Vec<String>,
}

#[test]
fn the_manual_explains_every_error() {
    assert_tidy(differences(&REFUSALS, &file(REFUSALS.source), &file(MANUAL)));
}

#[test]
fn the_manual_explains_every_end() {
    assert_tidy(differences(&ENDS, &file(ENDS.source), &file(MANUAL)));
}

/// The rows that one has and the other has not.
fn differences(table: &Table, source: &TextFile, manual: &TextFile) -> Vec<Finding> {
    let in_source = source_rows(table, &source.text);
    let in_manual = manual_rows(table, &manual.text);
    if in_source.is_empty() {
        let advice = format!("no row begins with `{}`: teach tidy the new form", table.mark);
        return vec![Finding::new(source, 1, advice)];
    }
    let lacks = |rows: &[Row], row: &Row| !rows.iter().any(|other| other.cells == row.cells);
    let shown = |row: &Row| row.cells.join(" | ");
    let unexplained = in_source.iter().filter(|row| lacks(&in_manual, row)).map(|row| {
        let advice = format!("`{}` has no row under `{}` in {MANUAL}", shown(row), table.heading);
        Finding::new(source, row.line, advice)
    });
    let unknown = in_manual.iter().filter(|row| lacks(&in_source, row)).map(|row| {
        let advice = format!("`{}` is not what {} says: mend the row", shown(row), table.source);
        Finding::new(manual, row.line, advice)
    });
    unexplained.chain(unknown).collect()
}

fn source_rows(table: &Table, source: &str) -> Vec<Row> {
    let starts = source.match_indices(table.mark);
    let rows = starts.filter_map(|(at, mark)| {
        let (before, rest) = source.split_at(at + mark.len());
        let row = (table.read)(rest)?;
        Some(Row { line: before.matches('\n').count() + 1, ..row })
    });
    rows.collect()
}

/// `400, Client, "bad_host", …`
fn refusal(rest: &str) -> Option<Row> {
    let mut arguments = rest.split(')').next()?.split(',').map(str::trim);
    let (status, blame, label) = (arguments.next()?, arguments.next()?, arguments.next()?);
    let cells = vec![label.trim_matches('"').to_owned(), status.to_owned(), blame.to_lowercase()];
    status.parse::<u16>().is_ok().then_some(Row { line: 0, cells })
}

/// `client_closed", Who::Client)`
fn end(rest: &str) -> Option<Row> {
    let (label, rest) = rest.split_once("\", Who::")?;
    let who = rest.split(')').next()?;
    Some(Row { line: 0, cells: vec![label.to_owned(), who.to_lowercase()] })
}

/// The rows of the table in the manual's section, only the columns that are compared.
fn manual_rows(table: &Table, manual: &str) -> Vec<Row> {
    let lines = super::numbered(manual).skip_while(|(_, line)| *line != table.heading).skip(1);
    let section = lines.take_while(|(_, line)| !line.starts_with("## "));
    let mut rows = section.filter(|(_, line)| line.starts_with('|'));
    let Some((_, titles)) = rows.next() else { return Vec::new() };
    let titles = cells(titles);
    let chosen: Vec<usize> = table
        .columns
        .iter()
        .filter_map(|column| titles.iter().position(|title| title == column))
        .collect();
    let rows = rows.skip(1).map(|(line, row)| {
        let row = cells(row);
        Row { line, cells: chosen.iter().filter_map(|column| row.get(*column).cloned()).collect() }
    });
    rows.collect()
}

/// The cells of a row, without the marks of code.
fn cells(row: &str) -> Vec<String> {
    let cells = row.trim().trim_matches('|').split('|');
    cells.map(|cell| cell.trim().trim_matches('`').to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(table: &Table, source: &str, rows: &str, expected: &[&str]) {
        let titles = table.columns.join(" | ");
        let manual = format!(
            "# M\n{}\n\n| {titles} | means |\n|---|---|\n{rows}\n## O\n| x |",
            table.heading
        );
        let source = TextFile::new("s.rs", source);
        let found = differences(table, &source, &TextFile::new("m.md", &manual));
        let found: Vec<String> = found.iter().map(ToString::to_string).collect();
        assert_eq!(found.len(), expected.len(), "{found:?}");
        for (found, expected) in found.iter().zip(expected) {
            assert!(found.starts_with(expected), "{found}");
        }
    }

    #[test]
    fn an_error_without_its_row_is_found() {
        let source = "\nSelf::A => facts(400, Client, \"a\", None),\nSelf::B { .. } => facts(\n    502,\n    Node,\n    \"b\",\n    None,\n),";
        let (a, b) = ("| `a` | 400 | client | is bad |\n", "| `b` | 502 | node | is bad |\n");
        check(&REFUSALS, source, &format!("{a}{b}"), &[]);
        check(&REFUSALS, source, a, &["s.rs:3: `b | 502 | node` has no row"]);
        check(&REFUSALS, source, &format!("{a}{b}{}", b.replace('b', "c")), &["m.md:8: `c |"]);
        let wrong = format!("{a}{}", b.replace("502", "504"));
        check(&REFUSALS, source, &wrong, &["s.rs:3: `b | 502", "m.md:7: `b | 504"]);
        check(&REFUSALS, "fn facts() {}", a, &["s.rs:1: no row"]);
    }

    #[test]
    fn an_end_without_its_row_is_found() {
        let source = "Self::Idle => (\"idle\", Who::Proxy),\nSelf::Left => (\"left\", Who::Node),";
        let rows = "| `idle` | proxy | silence |\n| `left` | node | gone |\n";
        check(&ENDS, source, rows, &[]);
        check(&ENDS, source, "| `idle` | proxy | silence |\n", &["s.rs:2: `left | node`"]);
    }
}
