//! Collects all problems of one file, and of those that it includes.
//!
//! A key has at most one problem, and none if a key below it has one: problems that follow from others
//! are not reported.
//!
//! Pure. Runs at start, at reload, or on a timer.

use std::borrow::Cow;

use super::events::StructureError;
use super::key_path::{KeyPath, Step};
use super::problem::{Diagnostic, PROBLEMS_MAX, Problem, Problems, Span};
use super::secrets::may_hold_secret;
use super::shorthand::{Chosen, List};
use super::snippet::Snippet;
use super::source_map::SourceMap;

/// The problems of one file so far, and of those that it includes.
#[derive(Debug)]
pub(crate) struct Report<'a> {
    /// The file itself, then those that it includes. Their numbers are those of the spans.
    files: Vec<SourceFile<'a>>,
    source_map: SourceMap,
    /// The items of included files that were added to lists of the file.
    added: Vec<AddedItems>,
    problems: Vec<Problem>,
    settled: Vec<KeyPath>,
    warnings: Vec<String>,
}

/// A file whose text has been read.
#[derive(Debug)]
struct SourceFile<'a> {
    name: Cow<'a, str>,
    text: Cow<'a, str>,
}

/// Items that an included file adds to the list `section`.
#[derive(Debug)]
struct AddedItems {
    section: Step,
    /// The number of its first item in the whole list.
    first: usize,
}

impl<'a> Report<'a> {
    /// A file without a problem so far.
    pub(crate) fn new(file_name: &'a str, text: &'a str, source_map: SourceMap) -> Self {
        let files = vec![SourceFile { name: file_name.into(), text: text.into() }];
        let (problems, settled, warnings) = (Vec::new(), Vec::new(), Vec::new());
        Self { files, source_map, added: Vec::new(), problems, settled, warnings }
    }

    /// The bytes of all texts so far.
    pub(crate) fn text_bytes(&self) -> usize {
        self.files.iter().map(|file| file.text.len()).sum()
    }

    /// How many values the file has, with those that aliases repeat.
    pub(crate) fn count(&self) -> usize {
        self.source_map.count()
    }

    /// The name of the file itself.
    pub(crate) fn file_name(&self) -> &str {
        self.name_of(0)
    }

    /// Adds a file that the file includes. Returns its number.
    pub(crate) fn add_file(&mut self, name: String, text: String) -> usize {
        self.files.push(SourceFile { name: name.into(), text: text.into() });
        self.files.len() - 1
    }

    /// Adds the value that `from` has at `path` as the entry or item `step` of `section`.
    pub(crate) fn include(&mut self, from: &mut SourceMap, path: &KeyPath, to: (&str, Step)) {
        let (section, step) = to;
        if let (Some((_, Step::Index(0))), Step::Index(first)) = (path.split_last(), &step) {
            self.added.push(AddedItems { section: Step::Key(section.into()), first: *first });
        }
        self.source_map.include(from, path, section, step);
    }

    /// The number of the file that has the value at `path`.
    pub(crate) fn file_of(&self, path: &KeyPath) -> usize {
        self.source_map.key(path).map_or(0, |span| span.file_number)
    }

    /// Reports a problem of the value at `path`.
    pub(crate) fn refuse(&mut self, path: &KeyPath, diagnostic: Diagnostic) {
        let span = self.source_map.value(path);
        let value = self.source_map.scalar(path).map(shown);
        let diagnostic = match self.source_map.repeats_secret(path) {
            // What is said of another value quotes it.
            true => Diagnostic::new("repeats a secret by an alias, and cannot be used here")
                .help("write the value itself"),
            false => diagnostic,
        };
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

    /// Reports a problem of the key `path` of the file with that number, which is not included.
    pub(crate) fn refuse_in_file(
        &mut self,
        (number, map): (usize, &SourceMap),
        path: &KeyPath,
        diagnostic: Diagnostic,
    ) {
        let text = self.files.get(number).map_or("", |file| &file.text);
        let mut problem = diagnostic.into_problem(path.to_string());
        problem.span = map.key(path);
        problem.snippet = problem.span.and_then(|span| Snippet::new(text, span, map.secrets()));
        self.adopt(number, [problem]);
    }

    /// Adds problems that were found in the file with that number alone.
    pub(crate) fn adopt(&mut self, number: usize, problems: impl IntoIterator<Item = Problem>) {
        for mut problem in problems {
            if self.is_full() {
                return;
            }
            self.name_of(number).clone_into(&mut problem.file);
            problem.file_number = number;
            self.problems.push(problem);
        }
    }

    /// Adds a warning about the key at `path`, on one line. At most [`PROBLEMS_MAX`] are kept.
    pub(crate) fn warn(&mut self, path: &KeyPath, is: &str) {
        if self.warnings.len() < PROBLEMS_MAX {
            let span = self.source_map.key(path);
            let name = self.name_of(span.map_or(0, |span| span.file_number));
            let at = span.map(|span| format!(":{}:{}", span.line, span.column)).unwrap_or_default();
            self.warnings.push(format!("{name}{at}: {}: {is}", self.path_in_file(path)));
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

    /// The file and the line of the key at `path`.
    pub(crate) fn place(&self, path: &KeyPath) -> String {
        let span = self.source_map.key(path);
        let name = self.name_of(span.map_or(0, |span| span.file_number));
        span.map_or_else(|| name.to_owned(), |span| format!("{name}, line {}", span.line))
    }

    /// `path`, and the line on which its value stands, in which file if there are several.
    pub(crate) fn locate(&self, path: &KeyPath) -> String {
        let shown = self.path_in_file(path);
        match self.source_map.value(path) {
            Some(Span { line, file_number, .. }) if self.files.len() > 1 => {
                format!("{shown} ({}, line {line})", self.name_of(file_number))
            }
            Some(Span { line, .. }) => format!("{shown} (line {line})"),
            None => shown.to_string(),
        }
    }

    /// Whether there is a problem.
    pub(crate) fn has_problems(&self) -> bool {
        !self.problems.is_empty()
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
        Problems::new(self.files.first().map_or("", |file| &file.name), self.problems)
    }

    /// `path` as its own file has it: an included file counts the items of a list from 0.
    fn path_in_file(&self, path: &KeyPath) -> KeyPath {
        let [section, Step::Index(index), rest @ ..] = path.steps() else { return path.clone() };
        let is_before = |added: &&AddedItems| added.section == *section && added.first <= *index;
        let first = self.added.iter().rfind(is_before).map_or(0, |added| added.first);
        let steps = [section.clone(), Step::Index(index - first)];
        steps.into_iter().chain(rest.iter().cloned()).collect()
    }

    fn name_of(&self, number: usize) -> &str {
        self.files.get(number).map_or("", |file| &file.name)
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
        let number = span.map_or(0, |span| span.file_number);
        let mut problem = diagnostic.into_problem(self.path_in_file(path).to_string());
        problem.value = value;
        problem.span = span;
        let text = self.files.get(number).map_or("", |file| &file.text);
        problem.snippet = span.and_then(|span| Snippet::new(text, span, self.source_map.secrets()));
        self.adopt(number, [problem]);
    }
}

/// The problems of a file whose structure is wrong. It is not known which of its values are secrets, so
/// lines that could contain one are not shown.
pub(crate) fn unfit(text: &str, errors: Vec<StructureError>) -> Vec<Problem> {
    let problem = |StructureError { path, span, is_among_secrets, diagnostic }: StructureError| {
        let line = text.lines().nth(span.line.saturating_sub(1)).unwrap_or_default();
        let is_hidden = is_among_secrets || may_hold_secret(line);
        let mut problem = diagnostic.into_problem(path.to_string());
        problem.span = Some(span);
        problem.snippet = Snippet::new(text, span, &[]).filter(|_| !is_hidden);
        problem
    };
    errors.into_iter().take(PROBLEMS_MAX).map(problem).collect()
}

/// A value on one line and not too long.
fn shown(value: &str) -> String {
    let shown: String = value.chars().take(VALUE_SHOWN_MAX).collect();
    let ellipsis = if shown.len() < value.len() { "…" } else { "" };
    format!("{}{ellipsis}", shown.escape_debug())
}

/// Longer values are cut, in characters.
const VALUE_SHOWN_MAX: usize = 60;
