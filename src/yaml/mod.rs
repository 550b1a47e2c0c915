//! YAML with positions: text becomes a tree, and what is wrong with it becomes diagnostics that show
//! the line.
//!
//! `events` walks the text once, refuses what is unsafe or ambiguous, and leaves a `source_map`;
//! `typed` reads the tree into serde types and reports every value that does not fit; `report`
//! collects the problems and knows their spans. `include` adds other files. `rename` keeps old keys working. `units` and
//! `shorthand` are forms of single values. Nothing here knows which keys a file may have.
//!
//! Pure. Runs at start, at reload, or on a timer.

mod directory;
mod events;
pub(crate) mod include;
mod key_path;
mod problem;
pub(crate) mod rename;
mod report;
mod secrets;
mod shorthand;
mod snippet;
pub(crate) mod source;
mod source_map;
pub(crate) mod typed;
pub(crate) mod units;

use serde_yaml::Value;

pub(crate) use key_path::{KeyPath, Step};
pub(crate) use problem::Diagnostic;
pub use problem::{Problem, Problems, Span};
pub(crate) use report::Report;
pub(crate) use secrets::{is_secret, is_secret_field};
pub(crate) use shorthand::{Chosen, List, RawScalar, TextOr, TextOrList, chosen};
use snippet::Snippet;
pub(crate) use source_map::SourceMap;

/// Reads `text` into a tree, with a report that knows where each of its values is. `file_name` is
/// what problems call the file, `example` what to write if it is empty.
///
/// # Errors
///
/// The text is too large, empty, not YAML, or YAML that is not safe to read.
pub(crate) fn parse<'t>(
    file_name: &'t str,
    text: &'t str,
    example: &str,
) -> Result<(Value, Report<'t>), Problems> {
    let text = without_mark(text);
    match read_text(text, 0, example) {
        Ok((tree, source_map)) => Ok((tree, Report::new(file_name, text, source_map))),
        Err(problems) => Err(Problems::new(file_name, problems)),
    }
}

/// Reads `text`, that of the file with that number, into a tree, with the spans of its values.
fn read_text(
    text: &str,
    file_number: usize,
    example: &str,
) -> Result<(Value, SourceMap), Vec<Problem>> {
    let whole_file = |diagnostic: Diagnostic| vec![diagnostic.into_problem(String::new())];
    refuse_unreadable(text).map_err(whole_file)?;
    let source_map =
        SourceMap::parse(text, file_number).map_err(|errors| report::unfit(text, errors))?;
    if source_map.is_empty() {
        return Err(whole_file(Diagnostic::new("is empty").help(example)));
    }
    match serde_yaml::from_str(text) {
        Ok(tree) => Ok((tree, source_map)),
        Err(error) => Err(vec![syntax_problem(text, &error, source_map.secrets())]),
    }
}

fn without_mark(text: &str) -> &str {
    text.strip_prefix('\u{feff}').unwrap_or(text)
}

/// The text of a file with these bytes, of which at most [`TEXT_BYTES_MAX`] may be read.
pub(crate) fn decode(bytes: Vec<u8>) -> Result<String, Diagnostic> {
    String::from_utf8(bytes).map_err(|error| {
        let (bytes, end) = (error.as_bytes(), error.utf8_error().valid_up_to());
        if bytes.len() > TEXT_BYTES_MAX {
            return too_large();
        }
        let line = 1 + bytes.iter().take(end).filter(|b| **b == b'\n').count();
        let diagnostic = Diagnostic::new(format!("is not UTF-8 text, first on line {line}"));
        diagnostic.help("save it as YAML text in UTF-8")
    })
}

/// The diagnostic for a text of more than [`TEXT_BYTES_MAX`].
pub(crate) fn too_large() -> Diagnostic {
    Diagnostic::new("is larger than 1 MiB")
        .help("configurations are smaller: is this the right file?")
}

/// Refuses what no editor would save as text: spans in it would be wrong, and secrets not masked.
fn refuse_unreadable(text: &str) -> Result<(), Diagnostic> {
    if text.len() > TEXT_BYTES_MAX {
        return Err(too_large());
    }
    let stray = |(at, c): (usize, char)| match c {
        '\r' => !text.get(at + 1..).is_some_and(|rest| rest.starts_with('\n')),
        '\n' | '\t' => false,
        c => c.is_control(),
    };
    let Some(at) = text.char_indices().position(stray) else { return Ok(()) };
    let line = 1 + text.chars().take(at).filter(|c| *c == '\n').count();
    let diagnostic = Diagnostic::new(format!("contains a control character, first on line {line}"));
    Err(diagnostic.help("save it as plain YAML text"))
}

/// What the second parser refuses although the first did not.
fn syntax_problem(text: &str, error: &serde_yaml::Error, secrets: &[Span]) -> Problem {
    let span = error.location().map(|at| Span::character(at.line(), at.column()));
    let line = span.and_then(|span| text.lines().nth(span.line.saturating_sub(1)));
    let what = error.to_string();
    let help = events::syntax_help(line.unwrap_or_default(), &what);
    let diagnostic = Diagnostic::new(format!("is not valid YAML: {what}"));
    let diagnostic = diagnostic.help(help.unwrap_or(events::SYNTAX_HELP));
    let snippet = span.and_then(|span| Snippet::new(text, span, secrets));
    Problem { span, snippet, ..diagnostic.into_problem(String::new()) }
}

/// The largest text that is read, in bytes: a configuration of ten thousand routes takes less.
pub(crate) const TEXT_BYTES_MAX: usize = 1 << 20;
