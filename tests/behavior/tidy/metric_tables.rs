//! The manual explains every metric, with the type and the labels that it has.

use sockeye::internal::metrics::{ALL, Metric};

use super::{Finding, TextFile, assert_tidy, file};

const MANUAL: &str = "docs/metrics.md";

#[test]
fn the_manual_explains_every_metric() {
    assert_tidy(differences(&ALL, &file(MANUAL)));
}

/// The rows that one has and the other has not.
fn differences(metrics: &[Metric], manual: &TextFile) -> Vec<Finding> {
    let expected: Vec<String> = metrics.iter().map(row).collect();
    let rows: Vec<(usize, String)> = manual
        .lines()
        .filter(|(_, line)| line.starts_with("| `sockeye_"))
        .map(|(number, line)| (number, beginning(line)))
        .collect();
    let missing = expected.iter().filter(|row| !rows.iter().any(|(_, found)| found == *row));
    let missing = missing
        .map(|row| Finding::new(manual, 1, format!("no row begins with `{row}`: explain it")));
    let unknown = rows.iter().filter(|(_, row)| !expected.contains(row));
    let unknown = unknown.map(|(number, row)| {
        let advice = format!("`{row}` is not what src/metrics/table.rs says: mend the row");
        Finding::new(manual, *number, advice)
    });
    missing.chain(unknown).collect()
}

/// The first three cells as the manual has to write them.
fn row(metric: &Metric) -> String {
    let labels: Vec<String> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
    format!("| `{}` | {} | {} |", metric.name, metric.kind.label(), labels.join(", "))
}

/// The first three cells, each with one space around it.
fn beginning(line: &str) -> String {
    let cells: Vec<&str> = line.split('|').skip(1).take(3).map(str::trim).collect();
    format!("| {} |", cells.join(" | "))
}

#[cfg(test)]
mod tests {
    use sockeye::internal::metrics::{BUILD, RELOADS};

    use super::*;

    #[test]
    fn a_metric_without_its_row_is_found() {
        let build = "| `sockeye_build_info` | gauge | `version` | x |\n";
        let reloads = "| `sockeye_reloads_total` | counter | `outcome` | x | y |\n";
        let check = |rows: &str, expected: &[usize]| {
            let found = differences(&[BUILD, RELOADS], &TextFile::new("m.md", rows));
            let lines: Vec<usize> = found.iter().map(|finding| finding.line).collect();
            assert_eq!(lines, expected, "{rows}\n{found:?}");
        };
        check(&format!("{build}{reloads}"), &[]);
        check(build, &[1]);
        check(&format!("{build}{}", reloads.replace("counter", "gauge")), &[1, 2]);
        check(&format!("{build}{reloads}{}", build.replace("build", "other")), &[3]);
    }
}
