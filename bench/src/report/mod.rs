//! From runs to a table, a chart and a page.

mod chart;
mod placement;
mod run;
mod statistics;
mod summary;
mod table;

use serde::{Deserialize, Serialize};

use crate::Outcome;
use crate::compare::Peer;
use crate::machine::Machine;
pub(crate) use placement::Placement;
pub(crate) use run::Run;
pub(crate) use summary::FOREIGN_CORES_MAX;

/// A whole comparison.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Report {
    pub(crate) machine: Machine,
    pub(crate) placement: Placement,
    /// How long each run was measured.
    pub(crate) seconds: f64,
    pub(crate) rounds: u32,
    pub(crate) versions: Vec<(Peer, String)>,
    pub(crate) runs: Vec<Run>,
}

impl Report {
    /// The same with the runs of `earlier` in scenarios that have none here.
    pub(crate) fn with(mut self, earlier: Self) -> Self {
        let is_new = |run: &Run| self.runs.iter().all(|known| known.scenario != run.scenario);
        let added: Vec<Run> = earlier.runs.into_iter().filter(is_new).collect();
        self.runs.extend(added);
        self
    }

    /// `page` with our figures in the place of those that it has between its two marks.
    pub(crate) fn put_into(&self, page: &str) -> Outcome<String> {
        let marks = page.split_once(BEGIN).and_then(|(before, rest)| {
            let (_, after) = rest.split_once(END)?;
            Some((before, after))
        });
        let (before, after) = marks.ok_or("the page lacks the marks of the place for figures")?;
        let chart = "![CPU time and memory of each proxy](performance.svg)";
        let table = self.markdown();
        Ok(format!("{before}{BEGIN}\n\n{chart}\n\n{}\n\n{END}{after}", table.trim_end()))
    }
}

const BEGIN: &str =
    "<!-- figures: written by `cargo run --release -p bench -- compare --write-docs` -->";
const END: &str = "<!-- end of figures -->";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_take_the_place_of_those_before() {
        let report = table::tests::report();
        let page = format!("head\n{BEGIN}\nold\n{END}\ntail\n");
        let once = report.put_into(&page).unwrap();
        assert!(once.starts_with("head\n") && once.ends_with("\ntail\n"), "{once}");
        assert!(!once.contains("old") && once.contains("echo64"), "{once}");
        assert_eq!(report.put_into(&once).unwrap(), once);
        assert!(report.put_into("no marks").is_err());
    }

    #[test]
    fn earlier_runs_complete_a_report_and_replace_nothing() {
        let mut earlier = table::tests::report();
        let mut of_another = earlier.runs[0].clone();
        of_another.scenario = crate::scenario::Scenario::Polling;
        earlier.runs.push(of_another);
        let text = serde_json::to_string(&earlier).unwrap();
        let report = table::tests::report().with(serde_json::from_str(&text).unwrap());
        assert_eq!(report.runs.len(), earlier.runs.len());
    }

    #[test]
    fn the_page_in_the_repository_has_the_marks() {
        let page = include_str!("../../../docs/performance.md");
        assert!(table::tests::report().put_into(page).is_ok());
    }
}
