//! From the parser's events to [`SpannedValue`]s, or to the errors in the structure of a file.
//!
//! Structures that no configuration needs and that could be expensive are refused here, before
//! anything else is built: deep nesting, aliases that multiply, several documents, tags, keys that
//! are not words, duplicate keys. Deep files cannot overflow the stack: each event is one call.
//!
//! Pure. Runs at start, at reload, or on a timer.

use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Tag};

use super::key_path::{KeyPath, Step};
use super::problem::{Diagnostic, Span};
use super::secrets::is_secret;
use super::source_map::SpannedValue;

/// An error in the structure of a file.
#[derive(Debug)]
pub(crate) struct StructureError {
    /// The key; the root if the file is not YAML.
    pub(crate) path: KeyPath,
    pub(crate) span: Span,
    /// Whether it is below a key that holds secrets.
    pub(crate) is_among_secrets: bool,
    pub(crate) diagnostic: Diagnostic,
}

/// Reads all of `text`; `None` if it contains only comments.
///
/// # Errors
///
/// All duplicate keys, or the one error that ended the parsing.
pub(crate) fn spanned_values(text: &str) -> Result<Option<SpannedValue>, Vec<StructureError>> {
    let mut builder = Builder::default();
    for event in Parser::new_from_str(text) {
        let taken = match event {
            Ok((event, span)) => builder.take(event, span_of(span)),
            Err(error) => Err(builder.syntax_error(&error, text)),
        };
        if let Err(error) = taken {
            builder.errors.push(error);
            break;
        }
    }
    if builder.errors.is_empty() { Ok(builder.root) } else { Err(builder.errors) }
}

/// Builds the values from the events, without recursion.
#[derive(Default)]
struct Builder {
    root: Option<SpannedValue>,
    open: Vec<Open>,
    anchors: HashMap<usize, SpannedValue>,
    count: usize,
    documents: usize,
    errors: Vec<StructureError>,
}

/// A map or list that has not ended yet.
struct Open {
    mark: SpannedValue,
    anchor: usize,
    next: Next,
}

/// What comes next in a map or list.
enum Next {
    Item(usize),
    Key,
    Value(Box<str>, Span),
}

impl Builder {
    fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), StructureError> {
        match event {
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => Ok(()),
            Event::DocumentStart(_) => self.begin_document(span),
            Event::Scalar(text, style, anchor, tag) => {
                self.refuse_tag(tag.as_deref(), span)?;
                if style == ScalarStyle::Plain {
                    self.refuse_unclear_number(&text, span);
                }
                self.scalar(&text, anchor, span)
            }
            Event::SequenceStart(anchor, tag) => {
                self.refuse_tag(tag.as_deref(), span)?;
                self.begin(anchor, Next::Item(0), span)
            }
            Event::MappingStart(anchor, tag) => {
                self.refuse_tag(tag.as_deref(), span)?;
                self.begin(anchor, Next::Key, span)
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(span),
            Event::Alias(anchor) => self.alias(anchor, span),
        }
    }

    fn begin_document(&mut self, span: Span) -> Result<(), StructureError> {
        self.documents += 1;
        if self.documents > 1 {
            let diagnostic = Diagnostic::new("contains a second YAML document");
            return Err(self.error(span, diagnostic.help("write one document; remove this `---`")));
        }
        Ok(())
    }

    fn scalar(&mut self, text: &str, anchor: usize, span: Span) -> Result<(), StructureError> {
        let Some(Open { mark, next: next @ Next::Key, .. }) = self.open.last_mut() else {
            self.add(SpannedValue::scalar(span, text), anchor);
            return self.count_one(span);
        };
        let first = mark.below.get(&Step::Key(text.into())).and_then(|twin| twin.key);
        *next = Next::Value(text.into(), span);
        if let Some(first) = first {
            let diagnostic =
                Diagnostic::new(format!("is written twice, first on line {}", first.line));
            let error = self.error(span, diagnostic.help("remove one of the two"));
            self.errors.push(error);
        }
        Ok(())
    }

    fn begin(&mut self, anchor: usize, next: Next, span: Span) -> Result<(), StructureError> {
        self.refuse_as_key(span)?;
        if self.open.len() >= DEPTH_MAX {
            return Err(self.error(span, too_deep()));
        }
        // A collection begins with its first character; its end is not known yet.
        let span = Span::character(span.line, span.column);
        self.open.push(Open { mark: SpannedValue::collection(span), anchor, next });
        self.count_one(span)
    }

    fn end(&mut self, span: Span) -> Result<(), StructureError> {
        let Some(Open { mark, anchor, .. }) = self.open.pop() else {
            return Err(self.error(span, Diagnostic::new("closes something that was not opened")));
        };
        self.add(mark, anchor);
        Ok(())
    }

    fn alias(&mut self, anchor: usize, span: Span) -> Result<(), StructureError> {
        self.refuse_as_key(span)?;
        let Some(mark) = self.anchors.get(&anchor) else {
            let diagnostic = Diagnostic::new("is an alias inside its own anchor");
            return Err(self.error(span, diagnostic.help("write the value itself")));
        };
        self.count += mark.count;
        if self.count > COUNT_MAX {
            return Err(self.too_many(span));
        }
        self.add(mark.clone(), 0);
        Ok(())
    }

    /// Adds a complete value to its parent.
    fn add(&mut self, mut mark: SpannedValue, anchor: usize) {
        let Some(parent) = self.open.last_mut() else {
            self.root = Some(mark);
            return;
        };
        let step = match std::mem::replace(&mut parent.next, Next::Key) {
            Next::Item(index) => {
                parent.next = Next::Item(index + 1);
                mark.key = None;
                Step::Index(index)
            }
            Next::Value(key, span) => {
                mark.key = Some(span);
                Step::Key(key)
            }
            Next::Key => return,
        };
        if anchor != 0 {
            self.anchors.insert(anchor, mark.clone());
        }
        parent.mark.count += mark.count;
        parent.mark.below.insert(step, mark);
    }

    fn refuse_tag(&self, tag: Option<&Tag>, span: Span) -> Result<(), StructureError> {
        let Some(tag) = tag else { return Ok(()) };
        let diagnostic = Diagnostic::new(format!("has a tag, {}", tag.to_string().escape_debug()));
        Err(self.error(span, diagnostic.help("remove it; text that begins with `!` needs quotes")))
    }

    /// Refuses plain numbers whose value differs from their text: numbers that are too large, and keys
    /// that would get another name.
    fn refuse_unclear_number(&mut self, text: &str, span: Span) {
        if !text.starts_with(|c: char| c.is_ascii_digit() || "+-.TF".contains(c)) {
            return;
        }
        let is_key = matches!(self.open.last(), Some(Open { next: Next::Key, .. }));
        let read = match serde_yaml::from_str(text) {
            Ok(serde_yaml::Value::Number(number)) => number.to_string(),
            Ok(serde_yaml::Value::Bool(truth)) => truth.to_string(),
            Ok(_) => return,
            Err(_) => {
                let diagnostic = Diagnostic::new("is too large for a number");
                return self.errors.push(self.error(span, diagnostic.help(QUOTES_HELP)));
            }
        };
        if is_key && read != text {
            let diagnostic = Diagnostic::new(format!("has a key, {text}, that is read as {read}"));
            self.errors.push(self.error(span, diagnostic.help(format!("write \"{text}\""))));
        }
    }

    fn refuse_as_key(&self, span: Span) -> Result<(), StructureError> {
        if let Some(Open { next: Next::Key, .. }) = self.open.last() {
            let diagnostic = Diagnostic::new("has a key that is not a word");
            return Err(self.error(span, diagnostic.help("a key is a name, written `name: value`")));
        }
        Ok(())
    }

    fn count_one(&mut self, span: Span) -> Result<(), StructureError> {
        self.count += 1;
        if self.count > COUNT_MAX { Err(self.too_many(span)) } else { Ok(()) }
    }

    fn too_many(&self, span: Span) -> StructureError {
        let diagnostic = Diagnostic::new(format!("expands to more than {COUNT_MAX} values"));
        self.error(span, diagnostic.help("repeat less by aliases, or write fewer routes and nodes"))
    }

    fn syntax_error(&self, error: &ScanError, text: &str) -> StructureError {
        let marker = error.marker();
        let (line, column) = (marker.line().max(1), marker.col() + 1);
        let span = Span::character(line, column);
        let source = text.lines().nth(line - 1).unwrap_or_default();
        let diagnostic = match (error.info(), syntax_help(source, error.info())) {
            // The parser reads ahead, and meets its own limit before ours.
            ("recursion limit exceeded", _) => too_deep(),
            (info, help) => Diagnostic::new(format!("is not valid YAML: {info}"))
                .help(help.unwrap_or(SYNTAX_HELP)),
        };
        StructureError { path: KeyPath::root(), ..self.error(span, diagnostic) }
    }

    fn error(&self, span: Span, diagnostic: Diagnostic) -> StructureError {
        let path = self.path();
        StructureError { is_among_secrets: is_secret(&path), path, span, diagnostic }
    }

    /// The path of the next event's value.
    fn path(&self) -> KeyPath {
        let step = |open: &Open| match &open.next {
            Next::Item(index) => Some(Step::Index(*index)),
            Next::Value(key, _) => Some(Step::Key(key.clone())),
            Next::Key => None,
        };
        self.open.iter().filter_map(step).collect()
    }
}

fn too_deep() -> Diagnostic {
    Diagnostic::new("is nested too deeply").help("no key needs so many levels")
}

/// What the author most likely meant, for errors whose YAML message does not say it.
pub(crate) fn syntax_help(line: &str, info: &str) -> Option<&'static str> {
    let value = line.trim_start().trim_start_matches("- ");
    let value = value.split_once(": ").map_or(value, |(_, value)| value).trim_start();
    if info.contains("expected ',' or") {
        return Some("close the bracket before this, or write a comma");
    }
    if line.starts_with([' ', '\t']) && line.trim_start_matches(' ').starts_with('\t') {
        return Some("indent with spaces: YAML takes no tabs");
    }
    if value.starts_with('*') {
        return Some("text that begins with `*` needs quotes: \"*.example.com\"");
    }
    if value.starts_with('[') && value.contains("]:") {
        return Some("an address that begins with `[` needs quotes: \"[::]:80\"");
    }
    if value.starts_with(['@', '`', '%', '&', '!']) {
        return Some("text that begins with this sign needs quotes");
    }
    info.contains("mapping values are not allowed")
        .then_some("text with a colon and a space in it needs quotes, or the indent is wrong")
}

fn span_of(span: saphyr_parser::Span) -> Span {
    Span {
        line: span.start.line(),
        column: span.start.col() + 1,
        end_line: span.end.line(),
        end_column: span.end.col() + 1,
        file_number: 0,
    }
}

/// The help for all other syntax errors.
pub(crate) const SYNTAX_HELP: &str =
    "look here and on the lines before for a quote or bracket that is open, or a wrong indent";

const QUOTES_HELP: &str = "write a smaller number, or in quotes if it is text";

/// The deepest known key is seven levels down.
const DEPTH_MAX: usize = 16;

/// Values in a file, including those that aliases repeat: about ten thousand routes.
pub(crate) const COUNT_MAX: usize = 100_000;
