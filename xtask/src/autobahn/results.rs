//! What the suite says of each case, directly and through Sockeye.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::command::Failure;

/// The results of all runs. Each run has those of one server.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Results {
    direct: BTreeMap<Case, Verdict>,
    through: BTreeMap<Case, Verdict>,
}

/// What [`Results`] calls its members, and so what the suite is to call its servers.
pub(super) const DIRECT: &str = "direct";
/// As [`DIRECT`].
pub(super) const THROUGH: &str = "through";

/// The suite's judgement on one case, in its own words, such as `OK` or `NON-STRICT`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Verdict {
    /// On the messages.
    pub(super) behavior: String,
    /// On the end of the connection.
    pub(super) behavior_close: String,
}

/// A case's number, such as 9.3.1; in the order of the numbers.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(from = "String")]
pub(super) struct Case(Vec<u32>);

/// Direct and through, side by side.
pub(super) struct Comparison {
    results: Results,
    /// Differing cases that the server alone does not pass alike twice.
    unsteady: Vec<Case>,
}

/// A case that is not judged alike.
pub(super) struct Difference<'a> {
    pub(super) case: &'a Case,
    /// `None` if it was not played.
    pub(super) direct: Option<&'a Verdict>,
    /// As `direct`.
    pub(super) through: Option<&'a Verdict>,
    /// Whether the server alone is not judged alike twice, so that this says nothing.
    pub(super) is_unsteady: bool,
}

impl Results {
    /// Reads what the two runs of one portion have left in `directory`.
    pub(super) fn read(directory: &Path) -> Result<Self, Failure> {
        let mut results = Self::default();
        for path in indices(directory) {
            let unreadable = |why: &dyn fmt::Display| {
                let path = path.display();
                Failure(format!("cannot read what the suite found in {path}: {why}"))
            };
            let text = fs::read_to_string(&path).map_err(|error| unreadable(&error))?;
            results.add(serde_json::from_str(&text).map_err(|error| unreadable(&error))?);
        }
        Ok(results)
    }

    /// As [`read`](Self::read), if both runs ended after `program` was built.
    pub(super) fn read_newer_than(program: &Path, directory: &Path) -> Option<Self> {
        let changed_at = |path: &Path| fs::metadata(path).and_then(|file| file.modified()).ok();
        let built_at = changed_at(program)?;
        let all_are_newer =
            indices(directory).iter().all(|path| changed_at(path).is_some_and(|at| at > built_at));
        if all_are_newer { Self::read(directory).ok() } else { None }
    }

    /// Takes those of another portion in.
    pub(super) fn add(&mut self, other: Self) {
        self.direct.extend(other.direct);
        self.through.extend(other.through);
    }
}

/// Where the suite puts the results of the two runs of a portion.
fn indices(directory: &Path) -> [PathBuf; 2] {
    [DIRECT, THROUGH].map(|agent| directory.join(agent).join("index.json"))
}

impl Comparison {
    pub(super) fn new(results: Results) -> Self {
        Self { results, unsteady: Vec::new() }
    }

    /// The cases that are not judged alike.
    pub(super) fn differing(&self) -> Vec<String> {
        self.differences().map(|difference| difference.case.to_string()).collect()
    }

    /// Compares the differing cases with a second run of the server alone.
    pub(super) fn check_again(&mut self, again: &Results) {
        let is_unsteady =
            |difference: &Difference<'_>| again.direct.get(difference.case) != difference.direct;
        let unsteady =
            self.differences().filter(is_unsteady).map(|difference| difference.case.clone());
        self.unsteady = unsteady.collect();
    }

    /// Whether no difference says anything about Sockeye, and there were cases at all.
    pub(super) fn is_alike(&self) -> bool {
        !self.results.direct.is_empty()
            && self.differences().all(|difference| difference.is_unsteady)
    }

    /// All differences, in the order of the cases.
    pub(super) fn differences(&self) -> impl Iterator<Item = Difference<'_>> {
        let Results { direct, through } = &self.results;
        let missing = through.keys().filter(|case| !direct.contains_key(case));
        direct.keys().chain(missing).filter_map(|case| {
            let (direct, through) = (direct.get(case), through.get(case));
            let is_unsteady = self.unsteady.contains(case);
            (direct != through).then_some(Difference { case, direct, through, is_unsteady })
        })
    }

    /// For each group of cases, how many were judged how: directly, and through.
    pub(super) fn groups(&self) -> BTreeMap<u32, [BTreeMap<&Verdict, usize>; 2]> {
        let mut groups = BTreeMap::<u32, [BTreeMap<&Verdict, usize>; 2]>::new();
        for (i, verdicts) in [&self.results.direct, &self.results.through].into_iter().enumerate() {
            for (case, verdict) in verdicts {
                *groups.entry(case.group()).or_default()[i].entry(verdict).or_default() += 1;
            }
        }
        groups
    }
}

impl Case {
    /// 9 of 9.3.1.
    fn group(&self) -> u32 {
        self.0.first().copied().unwrap_or_default()
    }
}

impl From<String> for Case {
    fn from(number: String) -> Self {
        Self(number.split('.').map(|part| part.parse().unwrap_or_default()).collect())
    }
}

impl fmt::Display for Case {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts: Vec<String> = self.0.iter().map(u32::to_string).collect();
        formatter.write_str(&parts.join("."))
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.behavior == self.behavior_close {
            return formatter.write_str(&self.behavior);
        }
        write!(formatter, "{} (close {})", self.behavior, self.behavior_close)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Case, behaviour and close of each, directly and through.
    pub(in crate::autobahn) fn results(
        direct: &[(&str, &str, &str)],
        through: &[(&str, &str, &str)],
    ) -> Results {
        let object = |verdicts: &[(&str, &str, &str)]| {
            let members = verdicts.iter().map(|(case, behavior, close)| {
                let verdict = serde_json::json!({ "behavior": behavior, "behaviorClose": close, "duration": 1 });
                ((*case).to_owned(), verdict)
            });
            serde_json::Value::Object(members.collect())
        };
        let index = serde_json::json!({ DIRECT: object(direct), THROUGH: object(through) });
        serde_json::from_value(index).unwrap()
    }

    #[test]
    fn a_case_differs_by_behavior_by_close_or_by_being_there_at_all() {
        let ok = ("1.1", "OK", "OK");
        let check = |direct: &[_], through: &[_], expected: &[&str]| {
            let comparison = Comparison::new(results(direct, through));
            assert_eq!(comparison.differing(), expected, "{direct:?} {through:?}");
            assert_eq!(comparison.is_alike(), expected.is_empty() && !direct.is_empty());
        };
        check(&[ok], &[ok], &[]);
        check(&[], &[], &[]);
        check(&[ok], &[("1.1", "NON-STRICT", "OK")], &["1.1"]);
        check(&[ok], &[("1.1", "OK", "UNCLEAN")], &["1.1"]);
        check(&[ok, ("10.1", "OK", "OK"), ("9.1", "OK", "OK")], &[ok], &["9.1", "10.1"]);
        check(&[ok], &[ok, ("2.1", "OK", "OK")], &["2.1"]);
    }

    #[test]
    fn a_case_that_the_server_does_not_pass_alike_twice_says_nothing() {
        let check = |direct: &str, through: &str, again: &str, expected: bool| {
            let mut comparison =
                Comparison::new(results(&[("1.1", direct, "OK")], &[("1.1", through, "OK")]));
            comparison.check_again(&results(&[("1.1", again, "OK")], &[]));
            assert_eq!(comparison.is_alike(), expected, "{direct} {through} {again}");
        };
        check("OK", "FAILED", "OK", false);
        check("OK", "FAILED", "FAILED", true);
        check("OK", "OK", "FAILED", true);
    }
}
