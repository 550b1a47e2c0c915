//! A line of the file with a caret under what is wrong, and no secret in it.
//!
//! Pure. Runs at start, at reload, or on a timer.

use std::fmt;

use super::problem::Span;

/// One line of the file, fit for a terminal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Snippet {
    line_number: usize,
    line: String,
    caret_column: usize,
    caret_length: usize,
}

impl Snippet {
    /// The line in which `span` begins; the characters of `secrets` are masked. None if `text`
    /// has no such line.
    pub(crate) fn new(text: &str, span: Span, secrets: &[Span]) -> Option<Self> {
        let line = text.lines().nth(span.line.checked_sub(1)?)?;
        let mut shown: Vec<char> = line.chars().collect();
        mask(&mut shown, span, secrets);

        let column = span.column.saturating_sub(1).min(shown.len());
        let end = if span.end_line == span.line { span.end_column } else { shown.len() + 1 };
        let from = if column < WIDTH_MAX { 0 } else { column - WIDTH_MAX / 2 };
        let width = WIDTH_MAX.min(shown.len() - from);
        let cut_short = from + width < shown.len();
        let window = shown.iter().skip(from).take(width);
        let mut line: String = if from > 0 { "…".into() } else { String::new() };
        line.extend(window.map(|c| if c.is_control() { ' ' } else { *c }));
        line.push_str(if cut_short { "…" } else { "" });
        Some(Self {
            line_number: span.line,
            line,
            caret_column: column - from + usize::from(from > 0),
            caret_length: end.saturating_sub(1).min(from + width).saturating_sub(column).max(1),
        })
    }
}

impl fmt::Display for Snippet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { line_number, line, caret_column, caret_length } = self;
        let number_width = gutter_width(*line_number);
        writeln!(f, "{line_number:>number_width$} | {line}")?;
        writeln!(f, "{:number_width$} | {:caret_column$}{}", "", "", "^".repeat(*caret_length))
    }
}

/// The width of a line's number before the bar, in columns.
pub(crate) fn gutter_width(line_number: usize) -> usize {
    line_number.to_string().len().max(2)
}

/// Replaces the characters in `secrets` by asterisks, and removes a comment after a secret, because old
/// secrets are kept in comments.
fn mask(line: &mut Vec<char>, shown: Span, secrets: &[Span]) {
    let line_number = shown.line;
    let is_here = |secret: &&Span| {
        secret.file_number == shown.file_number
            && (secret.line..=secret.end_line).contains(&line_number)
    };
    let mut masked_end = None;
    for secret in secrets.iter().filter(is_here) {
        let from = if secret.line == line_number { secret.column.saturating_sub(1) } else { 0 };
        let ends_here = secret.end_line == line_number;
        let to = if ends_here { secret.end_column.saturating_sub(1) } else { line.len() };
        let to = to.min(line.len());
        line.iter_mut().take(to).skip(from).for_each(|c| *c = '*');
        masked_end = masked_end.max(Some(to));
    }
    let Some(end) = masked_end else { return };
    let behind = line.iter().skip(end);
    if let Some(comment) = behind.clone().position(|c| *c == '#') {
        line.truncate(end + comment);
        while line.pop_if(|c| *c == ' ').is_some() {}
    }
}

/// Longer lines are cut around the caret, in characters.
const WIDTH_MAX: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;

    fn span(line: usize, column: usize, end_column: usize) -> Span {
        Span { line, column, end_line: line, end_column, file_number: 0 }
    }

    fn check(text: &str, at: Span, secrets: &[Span], expected: &str) {
        let shown = Snippet::new(text, at, secrets).map(|s| s.to_string()).unwrap_or_default();
        assert_eq!(shown, expected);
    }

    #[test]
    fn the_caret_is_under_the_value() {
        check("a: 1\nbc: xyz\n", span(2, 5, 8), &[], " 2 | bc: xyz\n   |     ^^^\n");
        check("é: ü", span(1, 4, 5), &[], " 1 | é: ü\n   |    ^\n");
        check("a:\tb", span(1, 4, 5), &[], " 1 | a: b\n   |    ^\n");
    }

    #[test]
    fn a_position_outside_the_text_does_no_harm() {
        check("a", span(7, 1, 2), &[], "");
        check("a", span(0, 0, 1), &[], "");
        check("a", span(1, 50, 60), &[], " 1 | a\n   |  ^\n");
        let beyond = Span { end_line: 9, ..span(1, 2, 1) };
        check("abc\n", beyond, &[], " 1 | abc\n   |  ^^\n");
    }

    #[test]
    fn a_long_line_is_cut_around_the_caret() {
        let line = format!("{}HERE{}", "a".repeat(300), "b".repeat(300));
        let shown = Snippet::new(&line, span(1, 301, 305), &[]).unwrap().to_string();
        let expected = format!(
            " 1 | …{}HERE{}…\n   | {}^^^^\n",
            "a".repeat(50),
            "b".repeat(46),
            " ".repeat(51)
        );
        assert_eq!(shown, expected);
    }

    #[test]
    fn secrets_are_masked_and_so_is_the_comment_behind() {
        let text = "keys: [hush, b] # old: hash\nx: |\n  hush\n  hush";
        let first = span(1, 8, 12);
        let block = Span { end_line: 4, ..span(2, 4, 7) };
        let secrets = [first, block];
        check(text, span(1, 1, 5), &secrets, " 1 | keys: [****, b]\n   | ^^^^\n");
        check(text, span(3, 3, 7), &secrets, " 3 | ******\n   |   ^^^^\n");
        check(text, span(4, 3, 7), &secrets, " 4 | ******\n   |   ^^^^\n");
    }
}
