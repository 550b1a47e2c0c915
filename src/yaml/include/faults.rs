//! What is said of a file that cannot be included.
//!
//! Pure. Runs at start, at reload, or on a timer.

use std::io;
use std::path::Path;

use super::{Rules, Section};
use crate::yaml::problem::Diagnostic;

/// What is wrong with a key that an included file cannot have.
pub(super) fn foreign(rules: &Rules, key: &str, own_file: &str) -> Diagnostic {
    if key == rules.key {
        let what = "cannot be in a file that is included itself";
        return Diagnostic::new(what).help(format!("write the path under {key} in {own_file}"));
    }
    if rules.own.contains(&key) {
        let what = "cannot be in an included file, because it is for the whole process";
        return Diagnostic::new(what).help(format!("move it to {own_file}"));
    }
    let sections = rules.sections.iter().map(|(name, _)| *name);
    Diagnostic::none_of("is not a key of an included file", key, sections)
}

/// What an included file is to have.
pub(super) fn write_sections(rules: &Rules) -> String {
    let names: Vec<&str> = rules.sections.iter().map(|(name, _)| *name).collect();
    format!("write {}", names.join(": and ") + ":")
}

/// What is wrong with the file with which all files have too many bytes.
pub(super) fn too_much() -> Diagnostic {
    Diagnostic::new("is too much: all files together are larger than 1 MiB")
        .help("write fewer routes and nodes, or run several proxies")
}

/// What is wrong with a path at which nothing can be read.
pub(super) fn unreachable(base: &Path, written: &str, error: &io::Error) -> Diagnostic {
    let base = base.display();
    match error.kind() {
        io::ErrorKind::NotFound if written.contains(['*', '?', '[']) => {
            Diagnostic::new("is a pattern, and only paths can be included")
                .help("write the directory: its files that end in .yaml or .yml are included")
        }
        io::ErrorKind::NotFound if Path::new(written).is_absolute() => {
            Diagnostic::new("does not exist").help("create the directory, or correct the path")
        }
        io::ErrorKind::NotFound => Diagnostic::new(format!("does not exist in {base}"))
            .help("create the directory, or correct the path"),
        io::ErrorKind::PermissionDenied => Diagnostic::new("cannot be read: permission denied")
            .help("let the user that Sockeye runs as read the directory"),
        _ => Diagnostic::new(format!("cannot be read: {error}"))
            .help("write a directory, or a regular file, whose file system responds"),
    }
}

/// What is wrong with a file that cannot be read.
pub(super) fn unreadable(error: &io::Error) -> Diagnostic {
    match error.kind() {
        io::ErrorKind::IsADirectory => {
            Diagnostic::new("is a directory, and its name is that of a file")
                .help("give it another name, or write its path under include")
        }
        io::ErrorKind::NotFound => {
            Diagnostic::new("cannot be read: it is a link to a file that does not exist")
                .help("correct the link or remove it")
        }
        io::ErrorKind::PermissionDenied => Diagnostic::new("cannot be read: permission denied")
            .help("let the user that Sockeye runs as read the file"),
        _ => Diagnostic::new(format!("cannot be read: {error}"))
            .help("put a regular file there, or remove it"),
    }
}

impl Section {
    /// What is wrong with a section of another kind.
    pub(super) fn misfit(self) -> Diagnostic {
        match self {
            Self::Map => Diagnostic::new("is not a map").help("write a map: { name: { … } }"),
            Self::List => Diagnostic::new("is not a list").help("begin each item with `- `"),
        }
    }
}
