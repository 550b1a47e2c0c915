//! From the parser's events to [`SpannedValue`]s, and what stops the way there.
//!
//! What no configuration needs and what could cost much is refused here, before anything else is
//! built of the file: depth, aliases that multiply, several documents, tags, keys that are not
//! words, keys written twice. Deep files cannot overflow the stack: each event is one call.
//!
//! Pure. Runs at start, at reload, or on a timer.

use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Tag};

use super::key_path::{KeyPath, Step};
use super::problem::{Diagnostic, Span};
use super::secrets::is_secret;
use super::source_map::SpannedValue;

/// Something that makes a file unfit to be read.
#[derive(Debug)]
pub(crate) struct StructureError {
    /// The key; the whole file if it is no YAML.
    pub(crate) path: KeyPath,
    pub(crate) span: Span,
    /// Whether it stands where secrets do.
    pub(crate) is_among_secrets: bool,
    pub(crate) diagnostic: Diagnostic,
}

/// Goes over all of `text`; none if it holds nothing but comments.
///
/// # Errors
///
/// All keys that are written twice, or the one flaw that stopped the reading.
pub(crate) fn spanned_values(text: &str) -> Result<Option<SpannedValue>, Vec<StructureError>> {
    let mut builder = Builder::default();
    for event in Parser::new_from_str(text) {
        let taken = match event {
            Ok((event, span)) => builder.take(event, span_of(span)),
            Err(error) => Err(builder.syntax_error(&error, text)),
        };
        if let Err(flaw) = taken {
            builder.errors.push(flaw);
            break;
        }
    }
    if builder.errors.is_empty() { Ok(builder.root) } else { Err(builder.errors) }
}

/// Takes one event after the other; never deeper on the stack than one call.
#[derive(Default)]
struct Builder {
    root: Option<SpannedValue>,
    open: Vec<Open>,
    anchors: HashMap<usize, SpannedValue>,
    count: usize,
    documents: usize,
    errors: Vec<StructureError>,
}

/// A map or list whose end has not come.
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
            let diagnostic = Diagnostic::new("holds a second YAML document");
            return Err(self.flaw(span, diagnostic.help("write one document; take out this `---`")));
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
            let flaw = self.flaw(span, diagnostic.help("take out one of the two"));
            self.errors.push(flaw);
        }
        Ok(())
    }

    fn begin(&mut self, anchor: usize, next: Next, span: Span) -> Result<(), StructureError> {
        self.refuse_as_key(span)?;
        if self.open.len() >= DEPTH_MAX {
            return Err(self.flaw(span, too_deep()));
        }
        // A collection begins with its first character; its end is not known yet.
        let span = Span::character(span.line, span.column);
        self.open.push(Open { mark: SpannedValue::collection(span), anchor, next });
        self.count_one(span)
    }

    fn end(&mut self, span: Span) -> Result<(), StructureError> {
        let Some(Open { mark, anchor, .. }) = self.open.pop() else {
            return Err(self.flaw(span, Diagnostic::new("ends what has not begun")));
        };
        self.add(mark, anchor);
        Ok(())
    }

    fn alias(&mut self, anchor: usize, span: Span) -> Result<(), StructureError> {
        self.refuse_as_key(span)?;
        let Some(mark) = self.anchors.get(&anchor) else {
            let diagnostic = Diagnostic::new("is an alias inside what it stands for");
            return Err(self.flaw(span, diagnostic.help("write the value itself")));
        };
        self.count += mark.count;
        if self.count > COUNT_MAX {
            return Err(self.too_many(span));
        }
        self.add(mark.clone(), 0);
        Ok(())
    }

    /// Puts a value that is complete where it belongs.
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
        Err(self.flaw(span, diagnostic.help("take it out; text that begins with `!` needs quotes")))
    }

    /// Refuses numbers that YAML reads as something else than what is written: as no value that fits
    /// anywhere, or, where they are keys, as another name.
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
                return self.errors.push(self.flaw(span, diagnostic.help(QUOTES_HELP)));
            }
        };
        if is_key && read != text {
            let diagnostic = Diagnostic::new(format!("has a key, {text}, that is read as {read}"));
            self.errors.push(self.flaw(span, diagnostic.help(format!("write \"{text}\""))));
        }
    }

    fn refuse_as_key(&self, span: Span) -> Result<(), StructureError> {
        if let Some(Open { next: Next::Key, .. }) = self.open.last() {
            let diagnostic = Diagnostic::new("has a key that is not a word");
            return Err(self.flaw(span, diagnostic.help("a key is a name, written `name: value`")));
        }
        Ok(())
    }

    fn count_one(&mut self, span: Span) -> Result<(), StructureError> {
        self.count += 1;
        if self.count > COUNT_MAX { Err(self.too_many(span)) } else { Ok(()) }
    }

    fn too_many(&self, span: Span) -> StructureError {
        let diagnostic = Diagnostic::new(format!("makes more than {COUNT_MAX} values"));
        self.flaw(span, diagnostic.help("repeat less by aliases, or write fewer routes and nodes"))
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
        StructureError { path: KeyPath::root(), ..self.flaw(span, diagnostic) }
    }

    fn flaw(&self, span: Span, diagnostic: Diagnostic) -> StructureError {
        let path = self.path();
        StructureError { is_among_secrets: is_secret(&path), path, span, diagnostic }
    }

    /// The path of what the next event speaks of.
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
    Diagnostic::new("is nested too deep").help("no key needs so many levels")
}

/// What the author most likely meant, where YAML's own message does not tell.
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
    }
}

/// Where nothing better is known.
pub(crate) const SYNTAX_HELP: &str =
    "look here and on the lines before for a quote or bracket that is open, or a wrong indent";

const QUOTES_HELP: &str = "write a smaller number, or in quotes if it is text";

/// The deepest key of ours is seven levels down.
const DEPTH_MAX: usize = 16;

/// Values in a file, those that aliases repeat included: some ten thousand routes.
const COUNT_MAX: usize = 100_000;
