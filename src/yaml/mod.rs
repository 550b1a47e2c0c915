//! YAML with positions: text becomes a tree, and what is wrong with it becomes diagnostics that show
//! the line.
//!
//! `events` walks the text once, refuses what is unsafe or ambiguous, and leaves a `source_map`;
//! `typed` reads the tree into serde types and reports every value that does not fit; `report`
//! collects the problems and knows their spans. `rename` keeps old keys working. `units` and
//! `shorthand` are forms of single values. Nothing here knows which keys a file may have.
//!
//! Pure. Runs at start, at reload, or on a timer.

mod events;
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
pub(crate) use secrets::is_secret;
pub(crate) use shorthand::{Chosen, List, RawScalar, TextOr, chosen};
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
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    refuse_unreadable(text).map_err(|diagnostic| Problems::of_whole_file(file_name, diagnostic))?;
    let source_map =
        SourceMap::parse(text).map_err(|errors| report::unfit(file_name, text, errors))?;
    if source_map.is_empty() {
        let diagnostic = Diagnostic::new("is empty").help(example);
        return Err(Problems::of_whole_file(file_name, diagnostic));
    }
    let mut report = Report::new(file_name, text, source_map);
    match serde_yaml::from_str(text) {
        Ok(tree) => Ok((tree, report)),
        Err(error) => {
            refuse_syntax(text, &error, &mut report);
            Err(report.into_problems())
        }
    }
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

/// Reports what the second parser refuses although the first did not.
fn refuse_syntax(text: &str, error: &serde_yaml::Error, report: &mut Report<'_>) {
    let span = error.location().map(|at| Span::character(at.line(), at.column()));
    let line = span.and_then(|span| text.lines().nth(span.line.saturating_sub(1)));
    let what = error.to_string();
    let help = events::syntax_help(line.unwrap_or_default(), &what);
    let diagnostic = Diagnostic::new(format!("is not valid YAML: {what}"));
    report.refuse_span(span, diagnostic.help(help.unwrap_or(events::SYNTAX_HELP)));
}

/// The largest text that is read, in bytes: a configuration of ten thousand routes takes less.
pub(crate) const TEXT_BYTES_MAX: usize = 1 << 20;
