//! Reads an `nginx.conf` with all that it includes.
//!
//! `reader` makes a tree of the text, `model` knows what nginx does with it, and `findings` what was wrong with
//! it. Whatever there is to say is a [`Finding`].
//!
//! Runs at start, at reload, or on a timer.

mod finding;
mod findings;
mod model;
mod reader;
mod tree;

use std::path::Path;

pub use finding::{Finding, Level, as_json, as_text};
pub use findings::{RULES, Rule, findings};
pub use model::{
    Level as Settings, LevelId, Listen, Location, LocationKind, Map, Method, Model, PathRegex,
    Selection, Server, ServerName, Upstream, UpstreamServer, size, time,
};
pub(crate) use model::{Part, parts, rust_of};
pub use reader::{Files, Parsed, Read, ReadError, parse, read};
pub use tree::{Directive, Position, Word};

/// The name of a file in messages.
fn name_of(path: &Path) -> String {
    match path.as_os_str() == "-" {
        true => "standard input".to_owned(),
        false => path.display().to_string(),
    }
}
