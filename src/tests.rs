//! What the manual's tables say of errors and of the ends of tunnels is what the code does.

use crate::exchange::ExchangeError;
use crate::tunnel::End;

const MANUAL: &str = include_str!("../docs/troubleshooting.md");

#[test]
fn the_manual_explains_every_error_with_its_status_and_blame() {
    let expected = ExchangeError::all().map(|error| {
        let facts = error.facts();
        let status = facts.status.as_u16().to_string();
        [facts.label.to_owned(), status, facts.blame.as_str().to_owned()]
    });
    let rows = rows(MANUAL, "## Answers of the proxy's own", ["error", "status", "blame"]);
    assert_same(expected.collect(), rows);
}

#[test]
fn the_manual_explains_every_end_and_who_made_it() {
    let expected = End::all().map(|end| [end.label().to_owned(), end.who().label().to_owned()]);
    assert_same(expected.collect(), rows(MANUAL, "## Ends of tunnels", ["end", "by"]));
}

#[test]
fn the_manual_tells_what_the_client_gets_at_each_end_that_it_is_there_to_hear() {
    let has_twin = |end: End| End::all().filter(|other| other.label() == end.label()).count() > 1;
    let heard = End::all().filter_map(|end| {
        let facts = end.facts();
        let name = match has_twin(end) {
            true => format!("{} of the {}", facts.label, facts.who.label()),
            false => facts.label.to_owned(),
        };
        facts.to_client.map(|message| [name, message.code.to_string()])
    });
    let heading = "## Who reconnects after which end";
    let told = rows(MANUAL, heading, ["end", "what the client gets"]);
    let is_code = |gets: &str| gets.parse::<u16>().is_ok();
    let told = told.into_iter().filter(|[_, gets]| is_code(gets)).flat_map(|[ends, gets]| {
        let names: Vec<_> = ends.replace('`', "").split(", ").map(str::to_owned).collect();
        names.into_iter().map(move |name| [name, gets.clone()])
    });
    assert_same(heard.collect(), told.collect());
}

#[test]
fn the_cells_of_the_named_columns_are_read() {
    let manual =
        "## A\n\n| b | a |\n|---|---|\n| `1` | `2`, `3` |\n\n## B\n| a | b |\n|-|-|\n| 4 | 5 |\n";
    assert_eq!(rows(manual, "## A", ["a", "b"]), [["2`, `3".to_owned(), "1".to_owned()]]);
    assert_eq!(rows(manual, "## B", ["b"]), [["5".to_owned()]]);
}

/// The cells of these columns in the only table of a section, without the marks of code around them.
fn rows<const N: usize>(manual: &str, heading: &str, columns: [&str; N]) -> Vec<[String; N]> {
    let section = manual.lines().skip_while(|line| *line != heading).skip(1);
    let section = section.take_while(|line| !line.starts_with("## "));
    let mut rows = section.filter(|line| line.starts_with('|')).map(cells);
    let titles = rows.next().unwrap_or_else(|| panic!("no table under `{heading}`"));
    let at = columns.map(|column| titles.iter().position(|title| title == column).unwrap());
    rows.skip(1).map(|row| at.map(|at| row[at].clone())).collect()
}

fn cells(row: &str) -> Vec<String> {
    let cells = row.trim().trim_matches('|').split('|');
    cells.map(|cell| cell.trim().trim_matches('`').to_owned()).collect()
}

/// Both have the same rows, in whatever order.
#[track_caller]
fn assert_same<const N: usize>(code: Vec<[String; N]>, manual: Vec<[String; N]>) {
    let without = |rows: &[[String; N]], others: &[[String; N]]| -> Vec<[String; N]> {
        rows.iter().filter(|row| !others.contains(row)).cloned().collect()
    };
    let (missing, unknown) = (without(&code, &manual), without(&manual, &code));
    assert!(missing.is_empty(), "the manual lacks {missing:?}");
    assert!(unknown.is_empty(), "the manual has {unknown:?}, which the code has not");
    assert_eq!(code.len(), manual.len(), "the manual tells something twice");
}
