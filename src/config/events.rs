//! From the parser's events to [`Mark`]s, and what stops the way there.
//!
//! What no configuration needs and what could cost much is refused here, before anything else is
//! built of the file: depth, aliases that multiply, several documents, tags, keys that are not
//! words, keys written twice. Deep files cannot overflow the stack: each event is one call.
//!
//! Pure. Runs at start, at reload, or on a timer.

use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span, Tag};

use super::key_path::{KeyPath, Step};
use super::positions::Mark;
use super::problem::{Fault, Place};
use super::secrets::is_secret;

/// Something that makes a file unfit to be read.
#[derive(Debug)]
pub(super) struct Flaw {
    /// The key; the whole file if it is no YAML.
    pub(super) path: KeyPath,
    pub(super) place: Place,
    /// Whether it stands where secrets do.
    pub(super) is_among_secrets: bool,
    pub(super) fault: Fault,
}

/// Goes over all of `text`; none if it holds nothing but comments.
///
/// # Errors
///
/// All keys that are written twice, or the one flaw that stopped the reading.
pub(super) fn marks_of(text: &str) -> Result<Option<Mark>, Vec<Flaw>> {
    let mut builder = Builder::default();
    for event in Parser::new_from_str(text) {
        let taken = match event {
            Ok((event, span)) => builder.take(event, place_of(span)),
            Err(error) => Err(builder.syntax_flaw(&error, text)),
        };
        if let Err(flaw) = taken {
            builder.flaws.push(flaw);
            break;
        }
    }
    if builder.flaws.is_empty() { Ok(builder.root) } else { Err(builder.flaws) }
}

/// Takes one event after the other; never deeper on the stack than one call.
#[derive(Default)]
struct Builder {
    root: Option<Mark>,
    open: Vec<Open>,
    anchors: HashMap<usize, Mark>,
    count: usize,
    documents: usize,
    flaws: Vec<Flaw>,
}

/// A map or list whose end has not come.
struct Open {
    mark: Mark,
    anchor: usize,
    next: Next,
}

/// What comes next in a map or list.
enum Next {
    Item(usize),
    Key,
    Value(Box<str>, Place),
}

impl Builder {
    fn take(&mut self, event: Event<'_>, place: Place) -> Result<(), Flaw> {
        match event {
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => Ok(()),
            Event::DocumentStart(_) => self.begin_document(place),
            Event::Scalar(text, style, anchor, tag) => {
                self.refuse_tag(tag.as_deref(), place)?;
                if style == ScalarStyle::Plain {
                    self.refuse_unclear_number(&text, place);
                }
                self.scalar(&text, anchor, place)
            }
            Event::SequenceStart(anchor, tag) => {
                self.refuse_tag(tag.as_deref(), place)?;
                self.begin(anchor, Next::Item(0), place)
            }
            Event::MappingStart(anchor, tag) => {
                self.refuse_tag(tag.as_deref(), place)?;
                self.begin(anchor, Next::Key, place)
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(place),
            Event::Alias(anchor) => self.alias(anchor, place),
        }
    }

    fn begin_document(&mut self, place: Place) -> Result<(), Flaw> {
        self.documents += 1;
        if self.documents > 1 {
            let fault = Fault::new("holds a second YAML document");
            return Err(self.flaw(place, fault.help("write one document; take out this `---`")));
        }
        Ok(())
    }

    fn scalar(&mut self, text: &str, anchor: usize, place: Place) -> Result<(), Flaw> {
        let Some(Open { mark, next: next @ Next::Key, .. }) = self.open.last_mut() else {
            self.add(Mark::scalar(place, text), anchor);
            return self.count_one(place);
        };
        let first = mark.below.get(&Step::Key(text.into())).and_then(|twin| twin.key);
        *next = Next::Value(text.into(), place);
        if let Some(first) = first {
            let fault = Fault::new(format!("is written twice, first on line {}", first.line));
            let flaw = self.flaw(place, fault.help("take out one of the two"));
            self.flaws.push(flaw);
        }
        Ok(())
    }

    fn begin(&mut self, anchor: usize, next: Next, place: Place) -> Result<(), Flaw> {
        self.refuse_as_key(place)?;
        if self.open.len() >= DEPTH_MAX {
            return Err(self.flaw(place, too_deep()));
        }
        // A collection begins with its first character; its end is not known yet.
        let place = Place::of_character(place.line, place.column);
        self.open.push(Open { mark: Mark::collection(place), anchor, next });
        self.count_one(place)
    }

    fn end(&mut self, place: Place) -> Result<(), Flaw> {
        let Some(Open { mark, anchor, .. }) = self.open.pop() else {
            return Err(self.flaw(place, Fault::new("ends what has not begun")));
        };
        self.add(mark, anchor);
        Ok(())
    }

    fn alias(&mut self, anchor: usize, place: Place) -> Result<(), Flaw> {
        self.refuse_as_key(place)?;
        let Some(mark) = self.anchors.get(&anchor) else {
            let fault = Fault::new("is an alias inside what it stands for");
            return Err(self.flaw(place, fault.help("write the value itself")));
        };
        self.count += mark.count;
        if self.count > COUNT_MAX {
            return Err(self.too_many(place));
        }
        self.add(mark.clone(), 0);
        Ok(())
    }

    /// Puts a value that is complete where it belongs.
    fn add(&mut self, mut mark: Mark, anchor: usize) {
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
            Next::Value(key, place) => {
                mark.key = Some(place);
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

    fn refuse_tag(&self, tag: Option<&Tag>, place: Place) -> Result<(), Flaw> {
        let Some(tag) = tag else { return Ok(()) };
        let fault = Fault::new(format!("has a tag, {}", tag.to_string().escape_debug()));
        Err(self.flaw(place, fault.help("take it out; text that begins with `!` needs quotes")))
    }

    /// Refuses numbers that YAML reads as something else than what is written: as no value that fits
    /// anywhere, or, where they are keys, as another name.
    fn refuse_unclear_number(&mut self, text: &str, place: Place) {
        if !text.starts_with(|c: char| c.is_ascii_digit() || "+-.TF".contains(c)) {
            return;
        }
        let is_key = matches!(self.open.last(), Some(Open { next: Next::Key, .. }));
        let read = match serde_yaml::from_str(text) {
            Ok(serde_yaml::Value::Number(number)) => number.to_string(),
            Ok(serde_yaml::Value::Bool(truth)) => truth.to_string(),
            Ok(_) => return,
            Err(_) => {
                let fault = Fault::new("is too large for a number");
                return self.flaws.push(self.flaw(place, fault.help(QUOTES_HELP)));
            }
        };
        if is_key && read != text {
            let fault = Fault::new(format!("has a key, {text}, that is read as {read}"));
            self.flaws.push(self.flaw(place, fault.help(format!("write \"{text}\""))));
        }
    }

    fn refuse_as_key(&self, place: Place) -> Result<(), Flaw> {
        if let Some(Open { next: Next::Key, .. }) = self.open.last() {
            let fault = Fault::new("has a key that is not a word");
            return Err(self.flaw(place, fault.help("a key is a name, written `name: value`")));
        }
        Ok(())
    }

    fn count_one(&mut self, place: Place) -> Result<(), Flaw> {
        self.count += 1;
        if self.count > COUNT_MAX { Err(self.too_many(place)) } else { Ok(()) }
    }

    fn too_many(&self, place: Place) -> Flaw {
        let fault = Fault::new(format!("makes more than {COUNT_MAX} values"));
        self.flaw(place, fault.help("repeat less by aliases, or write fewer routes and nodes"))
    }

    fn syntax_flaw(&self, error: &ScanError, text: &str) -> Flaw {
        let marker = error.marker();
        let (line, column) = (marker.line().max(1), marker.col() + 1);
        let place = Place::of_character(line, column);
        let source = text.lines().nth(line - 1).unwrap_or_default();
        let fault = match (error.info(), syntax_help(source, error.info())) {
            // The parser reads ahead, and meets its own limit before ours.
            ("recursion limit exceeded", _) => too_deep(),
            (info, help) => {
                Fault::new(format!("is not valid YAML: {info}")).help(help.unwrap_or(SYNTAX_HELP))
            }
        };
        Flaw { path: KeyPath::root(), ..self.flaw(place, fault) }
    }

    fn flaw(&self, place: Place, fault: Fault) -> Flaw {
        let path = self.path();
        Flaw { is_among_secrets: is_secret(&path), path, place, fault }
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

fn too_deep() -> Fault {
    Fault::new("is nested too deep").help("no key needs so many levels")
}

/// What the author most likely meant, where YAML's own message does not tell.
pub(super) fn syntax_help(line: &str, info: &str) -> Option<&'static str> {
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

fn place_of(span: Span) -> Place {
    Place {
        line: span.start.line(),
        column: span.start.col() + 1,
        end_line: span.end.line(),
        end_column: span.end.col() + 1,
    }
}

/// Where nothing better is known.
pub(super) const SYNTAX_HELP: &str =
    "look here and on the lines before for a quote or bracket that is open, or a wrong indent";

const QUOTES_HELP: &str = "write a smaller number, or in quotes if it is text";

/// The deepest key of ours is seven levels down.
const DEPTH_MAX: usize = 16;

/// Values in a file, those that aliases repeat included: some ten thousand routes.
const COUNT_MAX: usize = 100_000;
