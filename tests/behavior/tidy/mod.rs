//! The rules of the house, as tests: what a reviewer would otherwise have to remember.
//!
//! Each rule is a function from text to [`Finding`]s. One test holds it against the repository,
//! others hold it against a few lines that break it, so that no rule is one that cannot fail.

mod documents;
mod language;
mod log_fields;
mod metric_tables;
mod named_tests;
mod ranks;
mod shape;
mod source;
mod words;

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

/// A place where a rule is broken, and what to do about it.
#[derive(Debug, PartialEq, Eq)]
struct Finding {
    file: String,
    /// Counted from 1.
    line: usize,
    advice: String,
}

impl Finding {
    fn new(file: &TextFile, line: usize, advice: impl Into<String>) -> Self {
        Self { file: file.path.clone(), line, advice: advice.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.advice)
    }
}

/// A file of the repository that people read and write.
#[derive(Debug)]
struct TextFile {
    /// From the root of the repository, with `/`.
    path: String,
    text: String,
}

impl TextFile {
    fn new(path: &str, text: &str) -> Self {
        Self { path: path.to_owned(), text: text.to_owned() }
    }

    /// The lines, each with its number.
    fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        numbered(&self.text)
    }

    fn is_below(&self, directory: &str) -> bool {
        self.path.strip_prefix(directory).is_some_and(|rest| rest.starts_with('/'))
    }

    fn has_extension(&self, extension: &str) -> bool {
        self.path.rsplit_once('.').is_some_and(|(_, found)| found == extension)
    }
}

/// The lines of `text`, counted from 1.
fn numbered(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().enumerate().map(|(index, line)| (index + 1, line))
}

/// Fails with all of `findings`, one a line.
#[track_caller]
fn assert_tidy(findings: impl IntoIterator<Item = Finding>) {
    let lines: Vec<String> = findings.into_iter().map(|finding| finding.to_string()).collect();
    assert!(lines.is_empty(), "{} to do:\n{}", lines.len(), lines.join("\n"));
}

/// All files of the repository that are our own and text.
fn files() -> Vec<TextFile> {
    let mut files = Vec::new();
    collect(&root(), &mut files);
    assert!(files.len() > 20, "the repository was not found at {}", root().display());
    files
}

/// The files of the library and the binary.
fn sources() -> impl Iterator<Item = TextFile> {
    files().into_iter().filter(|file| file.is_below("src") && file.has_extension("rs"))
}

/// One file that must be there.
#[track_caller]
fn file(path: &str) -> TextFile {
    match fs::read_to_string(root().join(path)) {
        Ok(text) => TextFile { path: path.to_owned(), text },
        Err(error) => panic!("{path}:1: cannot be read ({error}): write it"),
    }
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn collect(directory: &Path, files: &mut Vec<TextFile>) {
    let entries = fs::read_dir(directory).expect("a directory that can be listed");
    let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.sort();
    for path in paths {
        let is_ours = NOT_OURS.iter().all(|name| !path.ends_with(name)) && !path.is_symlink();
        if !is_ours {
            continue;
        }
        if path.is_dir() {
            collect(&path, files);
        } else if let Ok(text) = fs::read_to_string(&path) {
            let path = path.strip_prefix(root()).expect("it was found below the root");
            files.push(TextFile { path: path.to_string_lossy().replace('\\', "/"), text });
        }
    }
}

/// Directories of what was built, fetched, found by machines, or written elsewhere.
const NOT_OURS: [&str; 10] = [
    ".git",
    ".venv",
    ".venv-autobahn",
    "__pycache__",
    "artifacts",
    "corpus",
    "node_modules",
    "results",
    "target",
    "vendor",
];
