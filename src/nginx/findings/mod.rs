//! What was wrong before: mistakes in a configuration of nginx, and what people see of them.
//!
//! Pure. Runs at start, at reload, or on a timer.

mod fields;
mod limits;
mod loading;
mod nodes;
mod paths;
mod route;
mod rules;
mod structure;
#[cfg(test)]
mod tests;
mod transport;

use super::finding::{Finding, Level};
use super::model::Model;
use super::tree::{Directive, Position};
pub use rules::{RULES, Rule};

/// All mistakes in `directives`, whose model is `model`, in the order of the file.
pub fn findings(directives: &[Directive], model: &Model) -> Vec<Finding> {
    let mut found = Found::default();
    let routes = route::routes(model);
    transport::look(model, &routes, &mut found);
    paths::look(model, &routes, &mut found);
    nodes::look(&routes, &mut found);
    limits::look(&routes, &mut found);
    fields::look(model, &routes, &mut found);
    loading::look(directives, model, &mut found);
    structure::look(directives, model, &mut found);
    found.findings.sort_by(|one, other| one.at.cmp(&other.at));
    found.findings
}

/// The findings so far.
#[derive(Debug, Default)]
struct Found {
    findings: Vec<Finding>,
}

impl Found {
    /// Adds the mistake `id` at its own level.
    fn add(&mut self, id: &'static str, at: &Position, what: impl Into<String>) {
        let level = rule(id).map_or(Level::Hint, |rule| rule.level);
        self.add_as(level, id, at, what);
    }

    /// Adds the mistake `id` at a level that is lower than its own.
    fn add_as(&mut self, level: Level, id: &'static str, at: &Position, what: impl Into<String>) {
        let Some(rule) = rule(id) else { return };
        let finding =
            Finding::new(level, id, Some(at), what, rule.remedy).with_symptom(rule.symptom);
        if self.findings.len() < FINDINGS_MAX && !self.findings.contains(&finding) {
            self.findings.push(finding);
        }
    }
}

fn rule(id: &str) -> Option<&'static Rule> {
    let rule = RULES.iter().find(|rule| rule.id == id);
    debug_assert!(rule.is_some(), "{id} is not in the table");
    rule
}

/// More than anyone reads.
const FINDINGS_MAX: usize = 2000;
