//! Fields of the log are plain values: a number, a word, a sentence.
//!
//! By `?field` they would be what `Debug` writes, which is for programmers: a string with quotes and
//! escapes of its own, `Some("x")`, `1.5s`. A search for a value in JSON logs would not find it.

use super::source::{code_of, without_tests};
use super::{Finding, TextFile, assert_tidy, numbered, sources};

#[test]
fn no_field_of_the_log_is_what_debug_writes() {
    assert_tidy(sources().filter(|file| file.is_below("src")).flat_map(|file| debug_fields(&file)));
}

fn debug_fields(file: &TextFile) -> Vec<Finding> {
    let code = without_tests(&code_of(&file.text));
    let found = numbered(&code).filter(|(_, line)| has_debug_field(line));
    let advice = "`?field` in a log line: write `%field`, or a number with its unit in the name";
    found.map(|(number, _)| Finding::new(file, number, advice)).collect()
}

/// Whether a question mark stands before a name, as it does nowhere else but in `?Sized`.
fn has_debug_field(line: &str) -> bool {
    line.match_indices('?').any(|(at, _)| {
        let (before, rest) = line.split_at(at);
        let name = rest.get(1..).unwrap_or_default();
        let begins = before.is_empty() || before.ends_with([' ', '(', ',', '\t']);
        begins && !name.starts_with("Sized") && name.starts_with(|c: char| c.is_alphabetic())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_debug_field_is_found() {
        let check = |line: &str, expected: bool| {
            let file = TextFile::new("src/a.rs", line);
            assert_eq!(debug_fields(&file).len(), usize::from(expected), "{line}");
        };
        check("info!(?delay, \"stopping\");", true);
        check("    ?addresses,", true);
        check("warn!(request = ?self.id, \"x\");", true);
        check("fn a<T: ?Sized>() -> Option<T> { b?.c()?; d()? }", false);
        check("let help = \"write ?format=json\"; // what ?then", false);
        check("info!(%delay, seconds, \"stopping\");", false);
    }
}
