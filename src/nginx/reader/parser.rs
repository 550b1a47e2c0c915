//! The tree of one file, also of one that nginx refuses.
//!
//! Pure. Runs at start, at reload, or on a timer.

use std::sync::Arc;

use super::lexer::{End, Fault, FaultKind, Lexer, Statement};
use super::names;
use super::placeholder::placeholder;
use super::wrapping::{self, Wrapping};
use crate::nginx::finding::{Finding, Level};
use crate::nginx::tree::{Directive, Position, Word};

/// A file that was parsed.
#[derive(Debug, Default)]
pub struct Parsed {
    /// The directives outside of all blocks.
    pub directives: Vec<Directive>,
    /// What nginx would refuse.
    pub findings: Vec<Finding>,
    /// How many words there are.
    pub words: usize,
}

/// The tree of `text`, which is called `file`. Never fails: what is wrong is a finding.
pub fn parse(file: &str, text: &str) -> Parsed {
    let file: Arc<str> = file.into();
    let (text, wrapping) = wrapping::unwrap(text.strip_prefix('\u{feff}').unwrap_or(text));
    let mut parser = Parser { lexer: Lexer::new(&file, &text), parsed: Parsed::default() };
    if let Some((wrapping, line)) = wrapping {
        parser.report_wrapping(wrapping, line, &file);
    }
    loop {
        let block = parser.block(0, Content::Directives);
        parser.parsed.directives.extend(block);
        // A `}` too many ended the block.
        if parser.is_at_end() {
            break;
        }
    }
    let Parser { lexer, mut parsed } = parser;
    parsed.findings.extend(described(lexer.faults));
    parsed.findings.sort_by(|one, other| one.at.cmp(&other.at));
    parsed
}

struct Parser<'t> {
    lexer: Lexer<'t>,
    parsed: Parsed,
}

/// What a block contains.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Content {
    Directives,
    /// Words that are no names of directives, as in `map`.
    Entries,
}

impl Parser<'_> {
    fn block(&mut self, depth: usize, content: Content) -> Vec<Directive> {
        let mut directives = Vec::new();
        loop {
            let begins =
                |words: &[Word], next: &str| content == Content::Directives && begins(words, next);
            let Statement { words, end, at } = self.lexer.statement(&begins);
            self.parsed.words = self.parsed.words.saturating_add(words.len());
            if self.parsed.words > WORDS_MAX {
                self.report_too_long(&at);
                return directives;
            }
            let mut words = words.into_iter();
            let Some(name) = words.next() else {
                match end {
                    End::Semicolon => self.report_empty(&at),
                    End::Open => {
                        let what = "a block has no name before its `{`";
                        self.refused(
                            "block-without-name",
                            &at,
                            what,
                            "name it, or remove the braces",
                        );
                        self.children(depth, Content::Directives);
                    }
                    End::Close if depth == 0 => {
                        let what = "a `}` closes no block";
                        self.refused(
                            "unbalanced-braces",
                            &at,
                            what,
                            "remove it, or add the `{` that is missing",
                        );
                        return directives;
                    }
                    End::Text if depth > 0 => {
                        let what = "the file ends within a block";
                        self.refused("unbalanced-braces", &at, what, "add the `}` that is missing");
                        return directives;
                    }
                    End::Close | End::Text | End::Missing => return directives,
                }
                continue;
            };
            let mut arguments: Vec<Word> = words.collect();
            let is_placeholder = placeholder(&name.text).is_some_and(|it| it == name.text);
            if matches!(end, End::Missing | End::Close | End::Text) && !is_placeholder {
                let what = format!("{} has no `;` at its end", name.text);
                self.refused("missing-semicolon", &name.at, what, "add the `;`");
            }
            let block = (end == End::Open).then(|| match name.text.ends_with("_by_lua_block") {
                true => {
                    arguments.push(self.lexer.lua());
                    Vec::new()
                }
                false => self.children(depth, content_of(&name.text, content)),
            });
            directives.push(Directive { name: name.text, arguments, block, at: name.at });
        }
    }

    fn children(&mut self, depth: usize, content: Content) -> Vec<Directive> {
        if depth < DEPTH_MAX {
            return self.block(depth + 1, content);
        }
        let at = self.lexer.position();
        let what = format!("blocks are more than {DEPTH_MAX} deep");
        self.refused("too-deep", &at, what, "check the braces");
        // The rest of the text, without recursion.
        let mut open = 1_usize;
        while open > 0 {
            match self.lexer.statement(&|_, _| false).end {
                End::Open => open += 1,
                End::Close => open -= 1,
                End::Text => break,
                End::Semicolon | End::Missing => (),
            }
        }
        Vec::new()
    }

    fn is_at_end(&self) -> bool {
        self.lexer.is_at_end() || self.parsed.words > WORDS_MAX
    }

    fn report_empty(&mut self, at: &Position) {
        self.refused("double-semicolon", at, "a `;` ends nothing", "remove it");
    }

    fn report_too_long(&mut self, at: &Position) {
        let what = format!("the file has more than {WORDS_MAX} words; the rest was not read");
        let remedy = "import the part that is about Socket.IO and WebSockets";
        self.parsed.findings.push(Finding::new(Level::ByHand, "too-long", Some(at), what, remedy));
    }

    fn report_wrapping(&mut self, wrapping: Wrapping, line: usize, file: &Arc<str>) {
        let kind = match wrapping {
            Wrapping::Markdown => "blocks of Markdown",
            Wrapping::Yaml => "blocks of YAML",
            Wrapping::Shell => "text within a shell script",
            Wrapping::Literal => "blocks of reStructuredText",
        };
        let line = u32::try_from(line).unwrap_or(u32::MAX);
        let at = Position { file: file.clone(), line, column: 1 };
        let what = format!("the file is not a configuration: {kind} were read as one");
        let remedy = "check that they are the right ones";
        self.parsed.findings.push(Finding::new(Level::Note, "wrapped", Some(&at), what, remedy));
    }

    fn refused(&mut self, id: &'static str, at: &Position, what: impl Into<String>, remedy: &str) {
        if self.parsed.findings.len() < FINDINGS_MAX {
            self.parsed.findings.push(refused(id, at, what, remedy));
        }
    }
}

/// A finding that nginx would not load the file.
pub(in crate::nginx) fn refused(
    id: &'static str,
    at: &Position,
    what: impl Into<String>,
    remedy: impl Into<String>,
) -> Finding {
    let finding = Finding::new(Level::Breaks, id, Some(at), what, remedy);
    finding.with_symptom("nginx does not load the file")
}

/// Whether `next`, the first word of a line, begins a directive although `words` have no `;`.
fn begins(words: &[Word], next: &str) -> bool {
    let Some(first) = words.first() else { return false };
    let is_placeholder = placeholder(&first.text).is_some_and(|it| it == first.text);
    is_placeholder && words.len() == 1 || names::is_directive(next)
}

fn content_of(name: &str, outer: Content) -> Content {
    let is_entries = matches!(
        name,
        "map" | "geo" | "types" | "split_clients" | "charset_map" | "match" | "keyval"
    );
    if is_entries { Content::Entries } else { outer }
}

fn described(faults: Vec<Fault>) -> Vec<Finding> {
    let mut kinds: Vec<FaultKind> = Vec::new();
    let mut findings = Vec::new();
    for Fault { kind, at } in faults {
        // One of a kind is enough: the rest has the same cause.
        if kinds.contains(&kind) {
            continue;
        }
        kinds.push(kind);
        findings.push(match kind {
            FaultKind::OpenQuote => {
                refused("open-quote", &at, "a quotation mark is not closed", "close it")
            }
            FaultKind::NoSpaceAfterQuote => {
                let what = "a word follows a closing quotation mark without a space";
                refused("space-after-quote", &at, what, "add a space, or quote all of it")
            }
            FaultKind::TypographicQuote => {
                let what = "the quotation marks are typographic ones, which nginx takes for text";
                refused("typographic-quotes", &at, what, "write \" instead")
            }
            FaultKind::OtherSpace => {
                let what = "a space is a no-break space or another one that nginx takes for text";
                refused("other-space", &at, what, "write a plain space instead")
            }
            FaultKind::EscapedDollar => {
                let what = "a variable is written `\\$`, as in a shell script; read as `$`";
                let remedy = "if nginx reads this file itself, remove the backslashes";
                Finding::new(Level::BreaksWhen, "escaped-dollar", Some(&at), what, remedy)
                    .with_symptom("nodes get texts such as \\$host instead of values")
            }
            FaultKind::TemplateStatement => {
                let what = "the file is a template: its conditions were not evaluated, all parts were read";
                let remedy = "render the template first and import the result, or check what is there twice";
                Finding::new(Level::ByHand, "template", Some(&at), what, remedy)
            }
        });
    }
    findings
}

/// Deeper blocks are mistakes or attacks.
const DEPTH_MAX: usize = 64;
/// Of one file; a word takes about 100 bytes of memory.
const WORDS_MAX: usize = 1_000_000;
const FINDINGS_MAX: usize = 200;
