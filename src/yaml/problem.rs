//! Problems of a file, shown as a compiler does: position, value, what is wrong, what to write.
//!
//! A problem owns all text that it prints. It contains no secrets: the code that makes it masks them.
//!
//! Pure. Runs at start, at reload, or on a timer.

use std::fmt;

use super::snippet::{Snippet, gutter_width};

/// All problems of a configuration, in the order of its files and their positions.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Problems {
    file_name: String,
    problems: Vec<Problem>,
}

/// One thing that is wrong, and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The name of its file.
    pub file: String,
    /// The key, such as `routes[0].tunnel.idle_timeout`; empty if it is the whole file.
    pub path: String,
    /// Where it is; `None` if it is the whole file, or a file that could not be read.
    pub span: Option<Span>,
    /// The value as written; `None` for maps, lists and secrets.
    pub value: Option<String>,
    /// What is wrong, as the rest of a sentence that begins with the key or its value.
    pub what: String,
    /// What to write instead.
    pub help: Option<String>,
    pub(crate) snippet: Option<Snippet>,
    /// The number of its file, in the order in which they were read.
    pub(crate) file_number: usize,
}

/// A range of the file's text. Lines and columns count from 1, columns in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The line of its first character.
    pub line: usize,
    /// The column of its first character.
    pub column: usize,
    /// The line in which it ends.
    pub end_line: usize,
    /// The column after its last character.
    pub end_column: usize,
    /// The number of its file, in the order in which they were read.
    pub(crate) file_number: usize,
}

/// What is wrong with a value and what to write instead, without its position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Diagnostic {
    what: String,
    help: Option<String>,
}

impl Problems {
    /// The problems of the file with that name, and of those that it includes; at least one.
    pub(crate) fn new(file_name: &str, mut problems: Vec<Problem>) -> Self {
        debug_assert!(!problems.is_empty(), "no problems are not an error");
        problems.sort_by_key(|problem| {
            (problem.file_number, problem.span.map(|span| (span.line, span.column)))
        });
        problems.truncate(PROBLEMS_MAX);
        for problem in problems.iter_mut().filter(|problem| problem.file.is_empty()) {
            file_name.clone_into(&mut problem.file);
        }
        Self { file_name: file_name.to_owned(), problems }
    }

    /// The one problem of a file that cannot be read.
    pub(crate) fn of_whole_file(file_name: &str, diagnostic: Diagnostic) -> Self {
        Self::new(file_name, vec![diagnostic.into_problem(String::new())])
    }

    /// Each problem, in the order of the file; at least one and at most a hundred.
    pub fn iter(&self) -> impl Iterator<Item = &Problem> {
        self.problems.iter()
    }
}

impl Problems {
    /// The first of them, each with its position and what to write, on one line for a log.
    pub fn on_one_line(&self) -> String {
        let shown = self.problems.iter().take(PROBLEMS_ON_ONE_LINE_MAX);
        let mut line = shown.map(Problem::on_one_line).collect::<Vec<_>>().join("; ");
        let more = self.problems.len().saturating_sub(PROBLEMS_ON_ONE_LINE_MAX);
        if more > 0 {
            line.push_str(&format!("; and {more} more: see sockeye check"));
        }
        line
    }
}

impl Span {
    /// The span of one character.
    pub(crate) fn character(line: usize, column: usize) -> Self {
        Self { line, column, end_line: line, end_column: column + 1, file_number: 0 }
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for problem in &self.problems {
            problem.write(f)?;
        }
        match self.problems.len() {
            1 => f.write_str("1 problem in ")?,
            PROBLEMS_MAX => write!(f, "{PROBLEMS_MAX} or more problems in ")?,
            count => write!(f, "{count} problems in ")?,
        }
        let mut files: Vec<&str> = self.problems.iter().map(|problem| &*problem.file).collect();
        files.dedup();
        match &files[..] {
            [] => f.write_str(&self.file_name),
            [one] => f.write_str(one),
            [one, other] => write!(f, "{one} and {other}"),
            more => write!(f, "{} files", more.len()),
        }
    }
}

impl Problem {
    /// Position, key, value, and what is wrong with it.
    fn sentence(&self) -> String {
        let mut sentence = self.file.clone();
        if let Some(span) = self.span {
            sentence.push_str(&format!(":{}:{}", span.line, span.column));
        }
        sentence.push(':');
        if !self.path.is_empty() {
            sentence.push_str(&format!(" {}:", self.path));
        }
        if let Some(value) = &self.value {
            sentence.push_str(&format!(" `{value}`"));
        }
        sentence.push_str(&format!(" {}", self.what));
        sentence
    }

    fn on_one_line(&self) -> String {
        let help = self.help.as_ref().map(|help| format!(" ({help})")).unwrap_or_default();
        let line = format!("{}{help}", self.sentence());
        line.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.sentence())?;
        if let Some(snippet) = &self.snippet {
            write!(f, "{snippet}")?;
        }
        if let Some(help) = &self.help {
            let gutter = gutter_width(self.span.map_or(0, |span| span.line));
            writeln!(f, "{:gutter$} = help: {help}", "")?;
        }
        Ok(())
    }
}

impl Diagnostic {
    /// `what` continues a sentence that begins with the key or its value: `has no unit`.
    pub(crate) fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), help: None }
    }

    /// Says what to write instead.
    pub(crate) fn help(self, help: impl Into<String>) -> Self {
        Self { help: Some(help.into()), ..self }
    }

    /// Adds `words` to what can be written instead.
    pub(crate) fn or_write(self, words: &str) -> Self {
        let help = self.help.map(|help| format!("{help}, or {words}"));
        Self { help, ..self }
    }

    /// A value that is not one of `known`, with the most similar one as help.
    pub(crate) fn none_of<'a>(
        what: &str,
        word: &str,
        known: impl Iterator<Item = &'a str> + Clone,
    ) -> Self {
        match nearest(word, known.clone()) {
            Some(near) => Self::new(what).help(format!("write {near}")),
            None => {
                let names: Vec<&str> = known.take(NAMES_SHOWN_MAX).collect();
                Self::new(what).help(format!("write one of: {}", names.join(", ")))
            }
        }
    }

    /// The problem of the value at `path`, without a position.
    pub(crate) fn into_problem(self, path: String) -> Problem {
        let (what, help) = (presentable(&self.what), self.help.as_deref().map(presentable));
        let file = String::new();
        Problem { file, path, span: None, value: None, what, help, snippet: None, file_number: 0 }
    }

    /// What is wrong.
    #[cfg(test)]
    pub(crate) fn what(&self) -> &str {
        &self.what
    }

    /// What to write instead.
    #[cfg(test)]
    pub(crate) fn help_text(&self) -> Option<&str> {
        self.help.as_deref()
    }
}

/// A diagnostic may quote the file: control characters, such as escape sequences, are removed.
fn presentable(text: &str) -> String {
    let harmless = |c: char| if c.is_control() && c != '\n' { ' ' } else { c };
    text.chars().take(TEXT_SHOWN_MAX).map(harmless).collect()
}

/// The most similar one of `known`, if it differs from `word` in a few letters only.
pub(crate) fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_lowercase();
    // The distance takes time by the product of the lengths: no real name is longer.
    if word.len() > NAME_COMPARED_MAX {
        return None;
    }
    known
        .take(NAMES_COMPARED_MAX)
        .filter(|name| name.len() <= NAME_COMPARED_MAX)
        .map(|name| (strsim::osa_distance(&word, &name.to_lowercase()), name))
        .filter(|(distance, name)| *distance <= (name.chars().count() / 3).max(1))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// Nobody reads more, and a hostile file must not cost more.
pub(crate) const PROBLEMS_MAX: usize = 100;

/// More would be too long for a line of a log.
const PROBLEMS_ON_ONE_LINE_MAX: usize = 10;

/// In characters; what we say ourselves is shorter.
const TEXT_SHOWN_MAX: usize = 400;
const NAME_COMPARED_MAX: usize = 64;
const NAMES_COMPARED_MAX: usize = 1000;
const NAMES_SHOWN_MAX: usize = 12;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_only_some_letters_off() {
        let known = ["nodes", "affinity", "connect_timeout", "by"];
        let check = |word: &str, near: Option<&str>| {
            assert_eq!(nearest(word, known.into_iter()), near, "{word}");
        };
        check("node", Some("nodes"));
        check("Nodes", Some("nodes"));
        check("afinnity", Some("affinity"));
        check("connect-timeout", Some("connect_timeout"));
        check("timeout", None);
        check("backend", None);
        check("", None);
        check(&"nodes".repeat(1000), None);
    }

    #[test]
    fn a_log_gets_the_problems_on_one_line() {
        let problem = |number: usize| {
            let diagnostic = Diagnostic::new("has no unit").help("write\n  10s");
            Problem {
                span: Some(Span::character(number, 1)),
                ..diagnostic.into_problem("a".into())
            }
        };
        let two = Problems::new("a.yaml", vec![problem(1), problem(2)]);
        let expected =
            "a.yaml:1:1: a: has no unit (write 10s); a.yaml:2:1: a: has no unit (write 10s)";
        assert_eq!(two.on_one_line(), expected);
        let many = Problems::new("a.yaml", (1..13).map(problem).collect());
        assert!(many.on_one_line().ends_with("; and 2 more: see sockeye check"));
    }

    #[test]
    fn a_problem_without_a_place_names_the_file_alone() {
        let problems =
            Problems::of_whole_file("a.yaml", Diagnostic::new("is empty").help("write routes"));
        assert_eq!(
            problems.to_string(),
            "a.yaml: is empty\n   = help: write routes\n1 problem in a.yaml"
        );
    }
}
