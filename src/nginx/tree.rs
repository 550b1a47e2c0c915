//! A configuration of nginx as a tree: directives with their words, blocks and positions.
//!
//! Pure. Runs at start, at reload, or on a timer.

use std::fmt;
use std::sync::Arc;

/// A place in a file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// The file as it was found, or what stands for it: `standard input`.
    pub file: Arc<str>,
    /// Counted from 1.
    pub line: u32,
    /// In characters, counted from 1.
    pub column: u32,
}

/// A word of a directive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word {
    /// Without quotation marks, with its escapes resolved as nginx does.
    pub text: String,
    /// Whether it was written in quotation marks.
    pub is_quoted: bool,
    /// Where it begins.
    pub at: Position,
}

/// A directive, which ends with `;` or has a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Directive {
    /// The first word. In `map`, `geo`, `types` and `split_clients` it is the key of an entry.
    pub name: String,
    /// The other words. The code of a Lua block is one word.
    pub arguments: Vec<Word>,
    /// What is between its braces, if it has any.
    pub block: Option<Vec<Self>>,
    /// Where it begins.
    pub at: Position,
}

impl Directive {
    /// The argument at `index`, counted from 0.
    pub fn argument(&self, index: usize) -> Option<&str> {
        self.arguments.get(index).map(|word| &*word.text)
    }

    /// All arguments.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        self.arguments.iter().map(|word| &*word.text)
    }

    /// What is between its braces; nothing if it has none.
    pub fn children(&self) -> &[Self] {
        self.block.as_deref().unwrap_or_default()
    }

    /// The directive without its block on one line, for messages.
    pub fn shown(&self) -> String {
        let mut shown = self.name.clone();
        for text in self.texts() {
            shown.push(' ');
            shown.push_str(if text.is_empty() { "\"\"" } else { text });
            if shown.len() > SHOWN_BYTES_MAX {
                break;
            }
        }
        let line: String =
            shown.chars().map(|c| if c.is_control() { ' ' } else { c }).take(SHOWN_MAX).collect();
        if line.len() < shown.len() { format!("{line}...") } else { line }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// How many characters of a directive a message shows.
const SHOWN_MAX: usize = 80;
const SHOWN_BYTES_MAX: usize = 4 * SHOWN_MAX;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directive_is_shown_on_one_short_line() {
        let at = Position { file: "a".into(), line: 1, column: 1 };
        let word = |text: &str| Word { text: text.to_owned(), is_quoted: false, at: at.clone() };
        let shown = |words: &[&str]| {
            let arguments = words.iter().map(|text| word(text)).collect();
            Directive { name: "set".to_owned(), arguments, block: None, at: at.clone() }.shown()
        };
        assert_eq!(shown(&["$a", "", "b\nc"]), "set $a \"\" b c");
        let long = shown(&[&"x".repeat(1000), "y"]);
        assert_eq!(long.len(), SHOWN_MAX + 3, "{long}");
    }
}
