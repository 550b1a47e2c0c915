//! What the operator says: a file becomes a [`Config`], which cannot be wrong, or [`Problems`].
//!
//! `events` goes over the text once, refuses what is not fit to be read, and leaves `source_map`;
//! `typed` fits the YAML tree into the types of `file`; `resolve` gives them their meaning. Each
//! tells a `report` what is wrong, and it knows the span. `render` is the way back.
//!
//! Runs at start, at reload, or on a timer.

mod events;
mod file;
mod in_force;
mod key_path;
mod keys;
mod outline;
mod patterns;
mod source_map;
mod problem;
mod report;
mod resolve;
mod schema;
mod secrets;
mod render;
mod snippet;
mod source;
mod typed;
mod units;
#[cfg(test)]
mod tests;

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use crate::affinity::{self, TagClash};
use crate::exchange::Proxy;
use crate::shutdown::{self, ShutdownWatch};
use crate::snapshot::{Current, Snapshot};
use crate::{listener, logging, route, upstream};
pub use in_force::{AfterRestart, InForce};
pub use keys::keys;
pub use outline::{Change, Changes, Outline};
use problem::Diagnostic;
pub use problem::{Problem, Problems, Span};
use report::Report;
pub use schema::schema;
pub use source::{READ_TIMEOUT, is_read_once, within_deadline};
use source_map::SourceMap;

/// All that the operator says, resolved: names exist, addresses are addresses, all is in range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// At least one; no two that cannot be listened on together, nor one and `admin`.
    pub listeners: Vec<listener::Settings>,
    /// At least one, by name.
    pub upstreams: Vec<UpstreamSettings>,
    /// At least one, in the order of the file; no two with the same host and path.
    pub routes: Vec<route::Settings>,
    /// How many clients may be connected at once; `None`: as many as descriptors and memory
    /// allow.
    pub max_connections: Option<usize>,
    /// The `stop:` section.
    pub stop: shutdown::Settings,
    /// Where the admin listener listens; `None` is nowhere.
    pub admin: Option<SocketAddr>,
    /// The `log:` section.
    pub log: logging::Settings,
}

/// An upstream, with the rule that brings sessions back to its nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamSettings {
    /// Its name and nodes.
    pub upstream: upstream::Settings,
    /// Its `affinity:`.
    pub affinity: affinity::Settings,
}

impl Config {
    /// What routing needs of this configuration; see [`Snapshot::build`].
    ///
    /// # Errors
    ///
    /// Two nodes of an upstream cannot be told apart by their tags.
    pub fn snapshot(&self, carried: Option<&Snapshot>) -> Result<Snapshot, TagClash> {
        let upstreams: Vec<_> = self
            .upstreams
            .iter()
            .map(|group| (group.upstream.clone(), group.affinity.clone()))
            .collect();
        Snapshot::build(&upstreams, &self.routes, carried)
    }

    /// A proxy for a server of your own; see `examples/embed.rs`. The listeners are the server's
    /// business, and so is the end: tunnels live until their connections are dropped. Nothing is
    /// looked up, so that its nodes have to be in the file.
    ///
    /// # Errors
    ///
    /// As [`Config::snapshot`].
    pub fn proxy(&self) -> Result<Proxy, TagClash> {
        let current = Arc::new(Current::new(self.snapshot(None)?));
        Ok(Proxy::new(current, ShutdownWatch::never()))
    }
}

/// The configuration in the file at `path`; `-` is standard input. Blocks for [`READ_TIMEOUT`] at
/// most.
///
/// # Errors
///
/// Everything that is wrong with the file, or the one reason why it could not be read. A file of
/// more than 1 MiB is refused and not read to its end.
pub fn load(path: &Path) -> Result<Config, Problems> {
    load_with_outline(path).map(|(config, _)| config)
}

/// The configuration in the file at `path`, and what of it can be compared with the next one.
///
/// # Errors
///
/// As [`load`].
pub fn load_with_outline(path: &Path) -> Result<(Config, Outline), Problems> {
    let file_name = source::name_of(path);
    let bytes = source::read(path, TEXT_BYTES_MAX).map_err(|error| {
        let diagnostic = match error.kind() {
            io::ErrorKind::IsADirectory => {
                Diagnostic::new("is a directory").help("name the YAML file in it")
            }
            io::ErrorKind::TimedOut => Diagnostic::new(format!("cannot be read: {error}"))
                .help("look for a pipe that nobody writes to, or a network mount that is gone"),
            _ => Diagnostic::new(format!("cannot be read: {error}")),
        };
        Problems::of_whole_file(&file_name, diagnostic)
    })?;
    match std::str::from_utf8(&bytes) {
        Ok(text) => read(&file_name, text),
        Err(_) if bytes.len() > TEXT_BYTES_MAX => {
            Err(Problems::of_whole_file(&file_name, too_large()))
        }
        Err(error) => {
            let line = 1 + bytes.iter().take(error.valid_up_to()).filter(|b| **b == b'\n').count();
            let diagnostic = Diagnostic::new(format!("is not UTF-8 text, first on line {line}"));
            Err(Problems::of_whole_file(
                &file_name,
                diagnostic.help("save it as YAML text in UTF-8"),
            ))
        }
    }
}

/// The configuration in `text`; `file_name` is what its problems call it.
///
/// # Errors
///
/// Everything that is wrong with the text.
pub fn parse(file_name: &str, text: &str) -> Result<Config, Problems> {
    read(file_name, text).map(|(config, _)| config)
}

fn read(file_name: &str, text: &str) -> Result<(Config, Outline), Problems> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    refuse_unreadable(text).map_err(|diagnostic| Problems::of_whole_file(file_name, diagnostic))?;
    let source_map =
        SourceMap::parse(text).map_err(|errors| report::unfit(file_name, text, errors))?;
    if source_map.is_empty() {
        return Err(Problems::of_whole_file(file_name, Diagnostic::new("is empty").help(LEAST)));
    }

    let mut report = Report::new(file_name, text, source_map);
    let config = match serde_yaml::from_str(text) {
        Ok(mut tree) => {
            let config = typed::read(&mut tree, &mut report)
                .map(|file| resolve::resolve(&file, &mut report));
            config.map(|config| (config, Outline::from_tree(&tree)))
        }
        Err(error) => {
            let span = error.location().map(|at| Span::character(at.line(), at.column()));
            let line = span.and_then(|span| text.lines().nth(span.line.saturating_sub(1)));
            let what = error.to_string();
            let help = events::syntax_help(line.unwrap_or_default(), &what);
            let diagnostic = Diagnostic::new(format!("is not valid YAML: {what}"));
            report.refuse_place(span, diagnostic.help(help.unwrap_or(events::SYNTAX_HELP)));
            None
        }
    };
    report.finish(config)
}

/// Refuses what no editor would save as text: places in it could not be told, nor secrets masked.
fn refuse_unreadable(text: &str) -> Result<(), Diagnostic> {
    if text.len() > TEXT_BYTES_MAX {
        return Err(too_large());
    }
    let stray = |(at, c): (usize, char)| match c {
        '\r' => !text.get(at + 1..).is_some_and(|rest| rest.starts_with('\n')),
        '\n' | '\t' => false,
        c => c.is_control(),
    };
    let Some(at) = text.char_indices().position(stray) else { return Ok(()) };
    let line = 1 + text.chars().take(at).filter(|c| *c == '\n').count();
    let diagnostic = Diagnostic::new(format!("holds a control character, first on line {line}"));
    Err(diagnostic.help("save it as plain YAML text"))
}

fn too_large() -> Diagnostic {
    Diagnostic::new("is larger than 1 MiB").help("no configuration is: is this the right file?")
}

/// A configuration of ten thousand routes takes less.
const TEXT_BYTES_MAX: usize = 1 << 20;

const LEAST: &str = "the least that works is\n\
    \n    upstreams:\
    \n      chat: { nodes: [10.0.0.1:3000] }\
    \n    routes:\
    \n      - { path: /socket.io/, upstream: chat }";
