//! Collects all problems of one file.
//!
//! A key has at most one problem, and none if a key below it has one: problems that follow from others
//! are not reported.
//!
//! Pure. Runs at start, at reload, or on a timer.

use super::events::StructureError;
use super::key_path::KeyPath;
use super::problem::{Diagnostic, PROBLEMS_MAX, Problem, Problems, Span};
use super::secrets::may_hold_secret;
use super::shorthand::{Chosen, List};
use super::snippet::Snippet;
use super::source_map::SourceMap;

/// The problems of one file so far.
#[derive(Debug)]
pub(crate) struct Report<'a> {
    file_name: &'a str,
    text: &'a str,
    source_map: SourceMap,
    problems: Vec<Problem>,
    settled: Vec<KeyPath>,
    warnings: Vec<String>,
}

impl<'a> Report<'a> {
    /// A file without a problem so far.
    pub(crate) fn new(file_name: &'a str, text: &'a str, source_map: SourceMap) -> Self {
        let (problems, settled, warnings) = (Vec::new(), Vec::new(), Vec::new());
        Self { file_name, text, source_map, problems, settled, warnings }
    }

    /// Reports a problem of the value at `path`.
    pub(crate) fn refuse(&mut self, path: &KeyPath, diagnostic: Diagnostic) {
        let span = self.source_map.value(path);
        let value = self.source_map.scalar(path).map(shown);
        self.add(path, span, value, diagnostic);
    }

    /// Reports a problem of the key at `path`; `meant` is the key that the author probably meant, whose
    /// absence is then not reported.
    pub(crate) fn refuse_key(
        &mut self,
        path: &KeyPath,
        meant: Option<KeyPath>,
        diagnostic: Diagnostic,
    ) {
        let span = self.source_map.key(path);
        self.add(path, span, None, diagnostic);
        self.settled.extend(meant);
    }

    /// Reports a problem of text without a key, such as invalid YAML.
    pub(crate) fn refuse_span(&mut self, span: Option<Span>, diagnostic: Diagnostic) {
        let mut problem = diagnostic.into_problem(String::new());
        problem.span = span;
        problem.snippet =
            span.and_then(|span| Snippet::new(self.text, span, self.source_map.secrets()));
        self.problems.push(problem);
    }

    /// Adds a warning about the key at `path`, on one line. At most [`PROBLEMS_MAX`] are kept.
    pub(crate) fn warn(&mut self, path: &KeyPath, is: &str) {
        if self.warnings.len() < PROBLEMS_MAX {
            let span = self.source_map.key(path);
            let at = span.map(|span| format!(":{}:{}", span.line, span.column)).unwrap_or_default();
            self.warnings.push(format!("{}{at}: {path}: {is}", self.file_name));
        }
    }

    /// Makes the value at `path` known as `key` of the same map too.
    pub(crate) fn rename(&mut self, path: &KeyPath, key: &str) {
        self.source_map.rename(path, key);
    }

    /// `written`, the value at `path`, as `parse` reads it; `default` if it is absent or refused.
    pub(crate) fn read<T>(
        &mut self,
        path: &KeyPath,
        written: Option<&str>,
        default: T,
        parse: impl FnOnce(&str) -> Result<T, Diagnostic>,
    ) -> T {
        match written.map(parse) {
            None => default,
            Some(Ok(value)) => value,
            Some(Err(diagnostic)) => {
                self.refuse(path, diagnostic);
                default
            }
        }
    }

    /// As [`Report::read`], for a value without a default.
    pub(crate) fn optional<T>(
        &mut self,
        path: &KeyPath,
        written: Option<&str>,
        parse: impl FnOnce(&str) -> Result<T, Diagnostic>,
    ) -> Option<T> {
        self.read(path, written, None, |text| parse(text).map(Some))
    }

    /// As [`Report::read`], for a value that must be written; `example` is what to write.
    pub(crate) fn require<T>(
        &mut self,
        path: &KeyPath,
        written: Option<&str>,
        example: &str,
        parse: impl FnOnce(&str) -> Result<T, Diagnostic>,
    ) -> Option<T> {
        if written.is_none() {
            self.refuse(path, Diagnostic::new("is missing").help(format!("write {example}")));
        }
        self.optional(path, written, parse)
    }

    /// `written`, the value at `path`; `None` if it is absent, or if it is empty, which is refused.
    /// `example` is what to write.
    pub(crate) fn chosen<'w, T>(
        &mut self,
        path: &KeyPath,
        written: Option<&'w Chosen<T>>,
        example: &str,
    ) -> Option<&'w T> {
        match written? {
            Chosen::Is(value) => Some(value),
            Chosen::Empty => {
                self.refuse(path, Diagnostic::new("is empty").help(format!("write {example}")));
                None
            }
        }
    }

    /// The items of a list or map, each with its path; those that are empty are refused.
    pub(crate) fn filled<T>(
        &mut self,
        items: impl Iterator<Item = (KeyPath, Option<T>)>,
    ) -> Vec<(KeyPath, T)> {
        let mut filled = Vec::new();
        for (path, item) in items {
            match item {
                Some(item) => filled.push((path, item)),
                None => self.refuse(&path, Diagnostic::new("is empty").help("set it or remove it")),
            }
        }
        filled
    }

    /// The values of the list at `path`, without those that are refused.
    pub(crate) fn list<T>(
        &mut self,
        path: &KeyPath,
        written: &List<String>,
        parse: impl Fn(&str) -> Result<T, Diagnostic>,
    ) -> Vec<T> {
        let items = written.iter().flatten().enumerate();
        let items = self.filled(items.map(|(i, item)| (path.index(i), item.as_deref())));
        let read = |(path, text): (KeyPath, &str)| self.optional(&path, Some(text), &parse);
        items.into_iter().filter_map(read).collect()
    }

    /// `path`, and the line on which its value stands.
    pub(crate) fn locate(&self, path: &KeyPath) -> String {
        match self.source_map.value(path) {
            Some(span) => format!("{path} (line {})", span.line),
            None => path.to_string(),
        }
    }

    /// Whether there are so many problems that no more are kept.
    pub(crate) fn is_full(&self) -> bool {
        self.problems.len() >= PROBLEMS_MAX
    }

    /// `value` and the warnings, if there are no problems.
    pub(crate) fn finish<T>(self, value: Option<T>) -> Result<(T, Vec<String>), Problems> {
        match value {
            Some(value) if self.problems.is_empty() => Ok((value, self.warnings)),
            Some(_) | None => Err(self.into_problems()),
        }
    }

    /// The problems, of which there is at least one.
    pub(crate) fn into_problems(self) -> Problems {
        Problems::new(self.file_name, self.problems)
    }

    fn add(
        &mut self,
        path: &KeyPath,
        span: Option<Span>,
        value: Option<String>,
        diagnostic: Diagnostic,
    ) {
        let is_settled = self.settled.iter().any(|settled| settled.starts_with(path));
        if is_settled || self.is_full() {
            return;
        }
        self.settled.push(path.clone());
        let mut problem = diagnostic.into_problem(path.to_string());
        problem.value = value;
        problem.span = span;
        problem.snippet =
            span.and_then(|span| Snippet::new(self.text, span, self.source_map.secrets()));
        self.problems.push(problem);
    }
}

/// The problems of a file whose structure is wrong. It is not known which of its values are secrets, so
/// lines that could contain one are not shown.
pub(crate) fn unfit(file_name: &str, text: &str, errors: Vec<StructureError>) -> Problems {
    let problem = |StructureError { path, span, is_among_secrets, diagnostic }: StructureError| {
        let line = text.lines().nth(span.line.saturating_sub(1)).unwrap_or_default();
        let is_hidden = is_among_secrets || may_hold_secret(line);
        let mut problem = diagnostic.into_problem(path.to_string());
        problem.span = Some(span);
        problem.snippet = Snippet::new(text, span, &[]).filter(|_| !is_hidden);
        problem
    };
    Problems::new(file_name, errors.into_iter().take(PROBLEMS_MAX).map(problem).collect())
}

/// A value on one line and not too long.
fn shown(value: &str) -> String {
    let shown: String = value.chars().take(VALUE_SHOWN_MAX).collect();
    let ellipsis = if shown.len() < value.len() { "…" } else { "" };
    format!("{}{ellipsis}", shown.escape_debug())
}

/// Longer values are cut, in characters.
const VALUE_SHOWN_MAX: usize = 60;
