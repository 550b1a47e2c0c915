//! `/reload`.
//!
//! Pure. Runs at start, at reload, or on a timer.

use serde::{Deserialize, Serialize};

/// `/reload`, if it succeeded.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct Reloaded {
    /// Always true.
    pub reloaded: bool,
    /// One sentence for each change.
    pub changes: Vec<String>,
}

/// `/reload`, if it failed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct ReloadFailed {
    /// Always false.
    pub reloaded: bool,
    /// The error as text, on several lines.
    pub error: String,
    /// The problems of the file.
    pub problems: Vec<Problem>,
}

/// A problem of the configuration file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct Problem {
    /// The name of its file.
    pub file: String,
    /// The path of the key. Empty if it concerns the whole file.
    pub path: String,
    /// The line, from 1.
    pub line: Option<usize>,
    /// The column, from 1.
    pub column: Option<usize>,
    /// The value as written.
    pub value: Option<String>,
    /// What is wrong.
    pub what: String,
    /// What to write instead.
    pub help: Option<String>,
}
