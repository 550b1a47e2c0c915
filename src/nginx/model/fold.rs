//! Texts with variables: what is constant is put in.
//!
//! Pure. Runs at start, at reload, or on a timer.

use super::{LevelId, Map, Model};
use crate::nginx::tree::Directive;

/// A part of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Part<'t> {
    Text(&'t str),
    /// A variable, without `$` and braces.
    Variable(&'t str),
}

/// The parts of `text`.
pub(crate) fn parts(text: &str) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        let braced = after.strip_prefix('{').and_then(|inner| inner.split_once('}'));
        let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
        let (name, behind) = match braced {
            Some((name, behind)) => (name, behind),
            None => {
                let digits = after.bytes().take(1).filter(u8::is_ascii_digit).count();
                let length =
                    if digits > 0 { digits } else { after.bytes().take_while(is_name).count() };
                after.split_at(length)
            }
        };
        let text_end = if name.is_empty() { before.len() + 1 } else { before.len() };
        if text_end > 0 {
            parts.extend(rest.get(..text_end).map(Part::Text));
        }
        if !name.is_empty() {
            parts.push(Part::Variable(name));
        }
        rest = behind;
    }
    if !rest.is_empty() {
        parts.push(Part::Text(rest));
    }
    parts
}

impl Model {
    /// `text` as it is in `level`, with the values of variables that are the same for all requests.
    pub fn fold(&self, level: LevelId, text: &str) -> String {
        self.folded(level, text, 0)
    }

    fn folded(&self, level: LevelId, text: &str, depth: usize) -> String {
        if depth > DEPTH_MAX || !text.contains('$') {
            return text.to_owned();
        }
        let mut result = String::with_capacity(text.len());
        for part in parts(text) {
            match part {
                Part::Text(text) => result.push_str(text),
                Part::Variable(name) => match self.constant(level, name) {
                    Some(value) => result.push_str(&self.folded(level, value, depth + 1)),
                    None => result.push_str(&format!("${{{name}}}")),
                },
            }
            if result.len() > BYTES_MAX {
                return text.to_owned();
            }
        }
        result
    }

    /// The value of the variable `name`, if each request in `level` sees the same one.
    fn constant(&self, level: LevelId, name: &str) -> Option<&str> {
        let sets = |directives: &[Directive]| directives.iter().any(|it| is_set(it, name));
        for level in self.chain(level) {
            let own = self.own(level);
            let conditional = own.iter().filter(|directive| directive.name == "if");
            if conditional.clone().any(|it| sets(it.children())) {
                return None;
            }
            if let Some(set) = own.iter().rev().find(|directive| is_set(directive, name)) {
                return set
                    .argument(1)
                    .filter(|value| !parts(value).contains(&Part::Variable(name)));
            }
        }
        self.map(name).and_then(Map::constant)
    }
}

impl Map {
    /// Its value, if it has only one.
    pub(crate) fn constant(&self) -> Option<&str> {
        let default = self.default.as_deref()?;
        self.entries.iter().all(|(_, value)| value == default).then_some(default)
    }
}

fn is_set(directive: &Directive, name: &str) -> bool {
    directive.name == "set"
        && directive.argument(0).is_some_and(|it| it.strip_prefix('$') == Some(name))
}

const DEPTH_MAX: usize = 8;
const BYTES_MAX: usize = 8192;
