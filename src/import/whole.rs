//! The whole way from an `nginx.conf` to our YAML.
//!
//! Runs at start, at reload, or on a timer.

use std::path::{Path, PathBuf};

use super::mapping::{Document, map};
use crate::config::parse_alone;
use crate::nginx::{Files, Finding, Level, Model, Position, ReadError, read};

/// What became of a configuration of nginx.
#[derive(Debug)]
pub struct Import {
    /// The YAML, which loads; `None` if there is nothing that Sockeye could serve.
    pub yaml: Option<String>,
    /// All that there is to say, the most important first.
    pub findings: Vec<Finding>,
    /// The files that were read, and those that may come later.
    pub files: Vec<PathBuf>,
}

impl Import {
    /// What the file lacks so that it may mean anything: half of it is not what its author wants.
    pub fn damage(&self) -> Option<&Finding> {
        let ids = [
            "unbalanced-braces",
            "missing-semicolon",
            "open-quote",
            "block-without-name",
            "too-deep",
            "too-long",
        ];
        self.findings.iter().find(|finding| ids.contains(&finding.id))
    }

    /// Whether nothing has to be done by hand.
    pub fn is_whole(&self) -> bool {
        self.yaml.is_some() && self.findings.iter().all(|finding| finding.level != Level::ByHand)
    }
}

/// Imports the configuration at `path`; `command` is what the header of the YAML says of its origin.
///
/// # Errors
///
/// The file cannot be read.
pub fn import(path: &Path, files: &dyn Files, command: &str) -> Result<Import, ReadError> {
    let read = read(path, files)?;
    let model = Model::new(&read.directives);
    let (document, mut findings) = map(&read, &model);
    findings.extend(crate::nginx::findings(&read.directives, &model));
    let yaml = document.and_then(|document| loadable(document, command, &mut findings));
    if yaml.is_none() {
        let what = "there is nothing that Sockeye could serve";
        let remedy = "import the file with the servers and locations of your application";
        findings.push(Finding::new(Level::ByHand, "nothing", None, what, remedy));
    }
    findings.sort_by(|one, other| {
        (one.level, &one.at, one.id).cmp(&(other.level, &other.at, other.id))
    });
    Ok(Import { yaml, findings, files: read.files })
}

/// The text of `document`. What `config` does not accept, which should be nothing, is left out with a
/// finding.
fn loadable(mut document: Document, command: &str, findings: &mut Vec<Finding>) -> Option<String> {
    let header = format!("{command}\n{HEADER}");
    for _ in 0..ROUNDS_MAX {
        let text = document.text(&header, true);
        let text = if text.len() > TEXT_MAX { document.text(&header, false) } else { text };
        if text.len() > TEXT_MAX {
            let what = "the new file would be larger than 1 MiB";
            findings.push(Finding::new(
                Level::ByHand,
                "too-long",
                None,
                what,
                "import a part of it",
            ));
            return None;
        }
        let Err(problems) = parse_alone("sockeye.yaml", &text) else { return Some(text) };
        let mut at: Option<Position> = None;
        // From the last one, so that the numbers of the others stay.
        let mut paths: Vec<(String, String)> =
            problems.iter().map(|it| (it.path.clone(), it.what.clone())).collect();
        paths.reverse();
        for (path, what) in paths {
            let number = path.split(['[', ']']).nth(1).and_then(|number| number.parse().ok());
            match (path.split(['[', '.']).next(), number) {
                (Some("routes"), Some(index)) => at = document.give_up_route(index),
                (Some("listeners"), Some(index)) => document.reduce_listener(index),
                (Some("upstreams"), _) => {
                    document.reduce_upstream(path.split('.').nth(1).unwrap_or_default());
                }
                (Some("client_limits"), _) => document.drop_limits(),
                // It is not even YAML.
                _ => return None,
            }
            let what = format!("{path} of the new file was left out: {what}");
            findings.push(Finding::new(
                Level::ByHand,
                "not-accepted",
                at.as_ref(),
                what,
                "write it by hand",
            ));
        }
        if !document.has_routes() {
            return None;
        }
    }
    None
}

const HEADER: &str = "Each comment says where a line came from. See what the command reported, then run \
                      sockeye check.";
/// Of a configuration.
const TEXT_MAX: usize = 1 << 20;
const ROUNDS_MAX: usize = 20;
