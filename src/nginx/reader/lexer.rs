//! Words and statements, as nginx divides the text into them (`ngx_conf_read_token`).
//!
//! Where nginx would refuse the text, the lexer goes on and says so: people have files that never loaded,
//! templates, and parts of files.
//!
//! Pure. Runs at start, at reload, or on a timer.

use std::sync::Arc;

use super::placeholder::{self, Region};
use crate::nginx::tree::{Position, Word};

/// Reads a text word by word.
pub(super) struct Lexer<'t> {
    file: Arc<str>,
    text: &'t str,
    mark: Mark,
    /// What nginx would refuse, in the order of the text.
    pub(super) faults: Vec<Fault>,
}

/// How far the text was read.
#[derive(Clone, Copy)]
struct Mark {
    at: usize,
    line: u32,
    column: u32,
}

/// A directive, without its block.
pub(super) struct Statement {
    pub(super) words: Vec<Word>,
    pub(super) end: End,
    /// Where it ends.
    pub(super) at: Position,
}

/// How a statement ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// By `;`.
    Semicolon,
    /// By `{`.
    Open,
    /// By `}`, which also ends the block.
    Close,
    /// By nothing: the next directive begins.
    Missing,
    /// By the end of the text.
    Text,
}

/// What nginx would refuse, or what would mean something else than it seems.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) kind: FaultKind,
    pub(super) at: Position,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum FaultKind {
    /// A quotation mark that nothing closes.
    OpenQuote,
    /// A word that follows a closing quotation mark without a space.
    NoSpaceAfterQuote,
    /// “ or ”.
    TypographicQuote,
    /// A space that is no space to nginx.
    OtherSpace,
    /// `\$`, as in a script that writes the file.
    EscapedDollar,
    /// A statement of a template: `{% if x %}`.
    TemplateStatement,
}

impl<'t> Lexer<'t> {
    pub(super) fn new(file: &Arc<str>, text: &'t str) -> Self {
        let mark = Mark { at: 0, line: 1, column: 1 };
        Self { file: file.clone(), text, mark, faults: Vec::new() }
    }

    /// The next statement. `begins` says whether a word at the beginning of a line begins a directive,
    /// also if the one before has no `;`.
    pub(super) fn statement(&mut self, begins: &dyn Fn(&[Word], &str) -> bool) -> Statement {
        let mut words: Vec<Word> = Vec::new();
        loop {
            let line = self.mark.line;
            self.skip_space();
            let end = match self.peek() {
                None => End::Text,
                Some('}') => End::Close,
                Some(';') => End::Semicolon,
                Some('{') if self.region().is_none() => End::Open,
                Some(_) => {
                    let before = self.mark;
                    let word = self.word();
                    let is_next = !words.is_empty() && before.line > line && !word.is_quoted;
                    if is_next && begins(&words, &word.text) {
                        self.mark = before;
                        return Statement { words, end: End::Missing, at: self.position() };
                    }
                    words.push(word);
                    continue;
                }
            };
            let at = self.position();
            // A brace that comes before the `;` is left for the block.
            if end != End::Close || words.is_empty() {
                self.bump();
            }
            return Statement { words, end, at };
        }
    }

    /// The rest of a Lua block, whose `{` has been read, up to its `}`. Braces in the strings and comments
    /// of Lua do not count.
    pub(super) fn lua(&mut self) -> Word {
        let (start, at) = (self.mark.at, self.position());
        let mut depth = 1_u32;
        while let Some(c) = self.peek() {
            let rest = self.rest();
            if let Some(comment) = rest.strip_prefix("--") {
                let end = long_bracket(comment).map_or_else(
                    || comment.find('\n').map_or(rest.len(), |end| end.saturating_add(2)),
                    |length| length.saturating_add(2),
                );
                self.advance(end);
                continue;
            }
            if let Some(length) = long_bracket(rest) {
                self.advance(length);
                continue;
            }
            match c {
                '"' | '\'' => {
                    self.advance(lua_string(rest));
                    continue;
                }
                '{' => depth = depth.saturating_add(1),
                '}' => depth -= 1,
                _ => (),
            }
            if depth == 0 {
                break;
            }
            self.bump();
        }
        let text = self.text.get(start..self.mark.at).unwrap_or_default().to_owned();
        self.bump();
        Word { text, is_quoted: true, at }
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.rest().is_empty()
    }

    pub(super) fn position(&self) -> Position {
        let Mark { line, column, .. } = self.mark;
        Position { file: self.file.clone(), line, column }
    }

    fn word(&mut self) -> Word {
        let at = self.position();
        let (raw, is_quoted) = match self.peek() {
            Some(mark @ ('"' | '\'')) => (self.quoted(mark), true),
            _ => (self.bare(), false),
        };
        let mut text = self.unescape(raw, &at);
        if !is_quoted && text.contains(['\u{201c}', '\u{201d}', '\u{2018}', '\u{2019}']) {
            self.fault(FaultKind::TypographicQuote, &at);
            text.retain(|c| !matches!(c, '\u{201c}' | '\u{201d}' | '\u{2018}' | '\u{2019}'));
        }
        Word { text, is_quoted, at }
    }

    fn bare(&mut self) -> &'t str {
        let start = self.mark.at;
        let mut is_variable = false;
        while let Some(c) = self.peek() {
            if let Some(Region { length, .. }) = self.region() {
                self.advance(length);
                is_variable = false;
                continue;
            }
            match c {
                '\\' => {
                    self.bump();
                    is_variable = false;
                }
                '{' if is_variable => is_variable = false,
                ' ' | '\t' | '\r' | '\n' | ';' | '{' | NO_BREAK_SPACE => break,
                c => is_variable = c == '$',
            }
            self.bump();
        }
        self.text.get(start..self.mark.at).unwrap_or_default()
    }

    /// The text up to the closing `mark`.
    fn quoted(&mut self, mark: char) -> &'t str {
        let at = self.position();
        self.bump();
        let start = self.mark.at;
        while let Some(c) = self.peek() {
            match c {
                '\\' => self.bump(),
                c if c == mark => {
                    let text = self.text.get(start..self.mark.at).unwrap_or_default();
                    self.bump();
                    let is_end =
                        |c: char| c.is_whitespace() || matches!(c, ';' | '{' | ')' | '}' | '#');
                    if self.peek().is_some_and(|c| !is_end(c)) {
                        let at = self.position();
                        self.fault(FaultKind::NoSpaceAfterQuote, &at);
                    }
                    return text;
                }
                // `"{{ index . "name" }}"`.
                '{' => {
                    if let Some(region) = self.region() {
                        self.advance(region.length);
                        continue;
                    }
                }
                _ => (),
            }
            self.bump();
        }
        self.fault(FaultKind::OpenQuote, &at);
        self.text.get(start..).unwrap_or_default()
    }

    /// `raw` with the escapes that nginx knows; all others stay as they are.
    fn unescape(&mut self, raw: &str, at: &Position) -> String {
        if !raw.contains('\\') {
            return raw.to_owned();
        }
        let mut text = String::with_capacity(raw.len());
        let mut chars = raw.chars().peekable();
        while let Some(c) = chars.next() {
            let replaced = match (c, chars.peek()) {
                ('\\', Some(quote @ ('"' | '\'' | '\\'))) => Some(*quote),
                ('\\', Some('t')) => Some('\t'),
                ('\\', Some('r')) => Some('\r'),
                ('\\', Some('n')) => Some('\n'),
                _ => None,
            };
            if let Some(replaced) = replaced {
                chars.next();
                text.push(replaced);
                continue;
            }
            let mut after = chars.clone().skip(1);
            let is_name = |c: char| c.is_ascii_lowercase() || c == '_' || c == '{';
            if c == '\\' && chars.peek() == Some(&'$') && after.next().is_some_and(is_name) {
                self.fault(FaultKind::EscapedDollar, at);
                continue;
            }
            text.push(c);
        }
        text
    }

    /// Skips spaces, comments and the statements of templates.
    fn skip_space(&mut self) {
        while let Some(c) = self.peek() {
            match c {
                ' ' | '\t' | '\r' | '\n' => self.bump(),
                NO_BREAK_SPACE | ZERO_WIDTH_SPACE | BYTE_ORDER_MARK => {
                    let at = self.position();
                    self.fault(FaultKind::OtherSpace, &at);
                    self.bump();
                }
                '#' => {
                    let rest = self.rest();
                    let end = rest.find('\n').unwrap_or(rest.len());
                    self.advance(end);
                }
                _ => match self.region() {
                    Some(Region { length, is_statement: true }) => {
                        let at = self.position();
                        self.fault(FaultKind::TemplateStatement, &at);
                        self.advance(length);
                    }
                    Some(_) | None => return,
                },
            }
        }
    }

    fn region(&self) -> Option<Region> {
        placeholder::region(self.rest())
    }

    fn fault(&mut self, kind: FaultKind, at: &Position) {
        if self.faults.len() < FAULTS_MAX {
            self.faults.push(Fault { kind, at: at.clone() });
        }
    }

    fn rest(&self) -> &'t str {
        self.text.get(self.mark.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn bump(&mut self) {
        let Some(c) = self.peek() else { return };
        self.mark.at += c.len_utf8();
        if c == '\n' {
            self.mark.line += 1;
            self.mark.column = 1;
        } else {
            self.mark.column += 1;
        }
    }

    /// Goes on by `length` bytes, up to the end of a character.
    fn advance(&mut self, length: usize) {
        let end = self.mark.at.saturating_add(length);
        while self.mark.at < end && self.peek().is_some() {
            self.bump();
        }
    }
}

/// The length of the long bracket of Lua, `[[ ]]` or `[==[ ]==]`, at the beginning of `text`.
fn long_bracket(text: &str) -> Option<usize> {
    let inner = text.strip_prefix('[')?;
    let level = inner.bytes().take_while(|byte| *byte == b'=').count();
    let body = inner.get(level..)?.strip_prefix('[')?;
    let close = format!("]{}]", "=".repeat(level.min(LUA_LEVEL_MAX)));
    let length = body.find(&close).map_or(body.len(), |at| at + close.len());
    Some(2 + level + length)
}

/// The length of the string of Lua at the beginning of `text`; a line's end ends it.
fn lua_string(text: &str) -> usize {
    let mut chars = text.char_indices();
    let mark = chars.next().map(|(_, mark)| mark);
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => drop(chars.next()),
            '\n' => return at,
            c if Some(c) == mark => return at + 1,
            _ => (),
        }
    }
    text.len()
}

const NO_BREAK_SPACE: char = '\u{a0}';
const ZERO_WIDTH_SPACE: char = '\u{200b}';
const BYTE_ORDER_MARK: char = '\u{feff}';
/// More are of no use to anyone.
const FAULTS_MAX: usize = 200;
const LUA_LEVEL_MAX: usize = 64;
