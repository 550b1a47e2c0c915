//! A `location`.
//!
//! Pure. Runs at start, at reload, or on a timer.

use super::LevelId;
use super::regex::PathRegex;
use crate::nginx::tree::{Directive, Position};

/// A `location`.
#[derive(Clone, Debug)]
pub struct Location {
    /// How `pattern` is compared.
    pub kind: LocationKind,
    /// The path, the expression, or the name with its `@`.
    pub pattern: String,
    /// The compiled expression; `None` also if it has look-around or a mistake.
    pub regex: Option<PathRegex>,
    /// Its settings.
    pub level: LevelId,
    /// The locations in it.
    pub nested: Vec<Self>,
    /// Where it is written.
    pub at: Position,
    /// The words behind `location`, for messages.
    pub shown: String,
}

/// How the pattern of a location is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LocationKind {
    /// `= /path`.
    Exact,
    /// `/path`: the longest wins, unless an expression matches.
    Prefix,
    /// `^~ /path`: no expression is asked.
    PrefixFirst,
    /// `~ expression`.
    Regex,
    /// `~* expression`: the letter case does not matter.
    RegexIgnoreCase,
    /// `@name`: no path leads to it.
    Named,
}

impl LocationKind {
    /// Whether it is an expression.
    pub fn is_regex(self) -> bool {
        matches!(self, Self::Regex | Self::RegexIgnoreCase)
    }
}

impl Location {
    /// The kind and the pattern that the words behind `location` write.
    pub(super) fn pattern(directive: &Directive) -> Option<(LocationKind, String)> {
        let modifiers = [
            ("^~", LocationKind::PrefixFirst),
            ("~*", LocationKind::RegexIgnoreCase),
            ("~", LocationKind::Regex),
            ("=", LocationKind::Exact),
        ];
        let first = directive.argument(0)?;
        if let Some(second) = directive.argument(1) {
            let (_, kind) = modifiers.into_iter().find(|(modifier, _)| *modifier == first)?;
            return Some((kind, second.to_owned()));
        }
        // The modifier may stand before the path without a space.
        for (modifier, kind) in modifiers {
            if let Some(pattern) = first.strip_prefix(modifier) {
                return Some((kind, pattern.to_owned()));
            }
        }
        let kind = if first.starts_with('@') { LocationKind::Named } else { LocationKind::Prefix };
        Some((kind, first.to_owned()))
    }

    /// Whether its path, or one below it, is that of Socket.IO or Engine.IO.
    pub fn is_engineio(&self) -> bool {
        let plain: String = self.pattern.chars().filter(|c| *c != '\\').collect();
        ["socket.io", "engine.io"].iter().any(|name| plain.contains(name))
            || self.kind.is_regex() && plain.contains(".io")
    }
}
