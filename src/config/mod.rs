//! What the operator says: a file becomes a [`Config`], which cannot be wrong, or [`Problems`].
//!
//! The room `yaml` reads the text into the types of `file`; `resolve` gives them their meaning and
//! reports what is wrong. `render` is the way back.
//!
//! Runs at start, at reload, or on a timer.

mod admin_settings;
mod defaults;
mod file;
mod in_force;
mod keys;
mod named_files;
mod outline;
mod render;
mod resolve;
mod schema;
mod source;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::access::ClientLimits;
use crate::acme::Wanted;
use crate::affinity;
use crate::exchange::Proxy;
use crate::shutdown::{self, ShutdownWatch};
use crate::site::ErrorPages;
use crate::snapshot::{Current, Snapshot, SnapshotError};
use crate::telemetry;
use crate::yaml::include::Section;
use crate::yaml::rename::Rename;
pub(crate) use crate::yaml::source::{is_read_once, read_until, within_deadline};
use crate::yaml::{self, Diagnostic};
pub use crate::yaml::{Problem, Problems, Span};
use crate::{acme, listener, logging, route, upstream};
pub use admin_settings::AdminSettings;
pub(crate) use in_force::InForce;
pub use keys::keys;
use named_files::NamedFiles;
pub use outline::Changes;
pub(crate) use outline::{Change, Outline};
pub(crate) use schema::{schema, schema_of_included};
pub(crate) use source::{Source, Translation};

/// All that the operator says, resolved: names exist, addresses are addresses, all is in range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// At least one; no two that cannot be listened on together, nor one and `admin`.
    pub listeners: Vec<listener::Settings>,
    /// At least one, by name.
    pub upstreams: Vec<UpstreamSettings>,
    /// At least one, in the order of the file; no two with the same host and path.
    pub routes: Vec<route::Settings>,
    /// Where certificates come from; `None`: all of them are files.
    pub acme: Option<acme::Settings>,
    /// How many clients may be connected at once; `None`: as many as descriptors and memory
    /// allow.
    pub max_connections: Option<usize>,
    /// What each client network may do.
    pub(crate) client_limits: ClientLimits,
    /// The `shutdown:` section.
    pub shutdown: shutdown::Settings,
    /// Which traces are made.
    pub(crate) tracing: telemetry::Settings,
    /// The admin listener, if there is one.
    pub admin: Option<AdminSettings>,
    /// Pages for errors, where a route has no other one.
    pub(crate) error_pages: ErrorPages,
    /// The `log:` section.
    pub log: logging::Settings,
    /// What of the file is outdated and still works, one line for each key.
    pub warnings: Vec<String>,
    /// The files and directories that it includes.
    pub included: Vec<PathBuf>,
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
    /// Two nodes of an upstream cannot be told apart by their tags, or a file of keys cannot be used.
    pub fn snapshot(&self, carried: Option<&Snapshot>) -> Result<Snapshot, SnapshotError> {
        let upstreams: Vec<_> = self
            .upstreams
            .iter()
            .map(|group| (group.upstream.clone(), group.affinity.clone()))
            .collect();
        let routes: Cow<'_, [_]> = match self.error_pages.is_empty() {
            true => (&self.routes[..]).into(),
            false => self.routes.iter().map(|route| route.with_pages(&self.error_pages)).collect(),
        };
        let snapshot = Snapshot::build(&upstreams, &routes, carried)?
            .with_error_pages(&self.error_pages)
            .with_client_limits(self.client_limits, carried);
        let snapshot = snapshot.with_tracing(&self.tracing);
        Ok(snapshot.with_challenges(self.acme.as_ref().map(acme::Settings::challenges)))
    }

    /// The certificates that the authority of `acme` is to issue.
    pub(crate) fn wanted_certificates(&self) -> Option<Wanted> {
        let mut names = Vec::new();
        for tls in self.listener_tls() {
            for issued in &tls.settings().issued {
                let name = issued.name.to_string();
                if !names.contains(&name) {
                    names.push(name);
                }
            }
        }
        Some(Wanted { settings: self.acme.clone()?, names })
    }

    /// The certificates of all listeners, and those that nodes are shown, in the order of the file.
    pub(crate) fn certificates(&self) -> impl Iterator<Item = &Arc<crate::tls::Certificate>> {
        let shown = self.listener_tls().flat_map(|tls| tls.certificates());
        let listeners = shown.map(|(_, certificate)| certificate);
        listeners.chain(self.node_tls().filter_map(|tls| tls.client_certificate()))
    }

    /// TLS to clients, and on the admin listener.
    fn listener_tls(&self) -> impl Iterator<Item = &Arc<crate::tls::ServerTls>> {
        let admin = self.admin.iter().filter_map(|admin| admin.tls.as_ref());
        self.listeners.iter().filter_map(|listener| listener.tls.as_ref()).chain(admin)
    }

    /// TLS to nodes and to authorization services.
    fn node_tls(&self) -> impl Iterator<Item = &Arc<crate::tls::NodeTls>> {
        let upstreams = self.upstreams.iter().filter_map(|group| group.upstream.tls.as_ref());
        let services = self.routes.iter().filter_map(|route| route.access.service());
        let collector = self.tracing.otlp.iter().filter_map(|collector| collector.tls.as_ref());
        upstreams.chain(services.filter_map(|service| service.tls.as_ref())).chain(collector)
    }

    /// The files that it names.
    pub(crate) fn files(&self) -> Vec<PathBuf> {
        let listeners = self.listener_tls().flat_map(|tls| tls.settings().files());
        let nodes = self.node_tls().flat_map(|tls| tls.settings().files());
        let pages = self.routes.iter().filter_map(|route| route.error_pages.as_deref());
        let pages = pages.map(|rules| &rules.pages).chain([&self.error_pages]);
        let pages = pages.flat_map(|pages| pages.iter()).map(|(_, page)| page.path().to_owned());
        listeners.chain(nodes).chain(&self.included).cloned().chain(pages).collect()
    }

    /// A proxy for a server of your own; see `examples/embed.rs`. The listeners are the server's
    /// business, and so is the end: tunnels live until their connections are dropped. Nothing is
    /// looked up, so that its nodes have to be in the file.
    ///
    /// # Errors
    ///
    /// As [`Config::snapshot`].
    pub fn proxy(&self) -> Result<Proxy, SnapshotError> {
        let current = Arc::new(Current::new(self.snapshot(None)?));
        Ok(Proxy::new(current, ShutdownWatch::never()))
    }
}

/// The configuration in the file at `path`; `-` is standard input. Blocks for 5 s at
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
    load_with_files(&Source::yaml(path.to_owned())).outcome
}

/// A configuration that was read, and the files that it names, which may be the reason of a problem.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) outcome: Result<(Config, Outline), Problems>,
    pub(crate) files: Vec<PathBuf>,
}

/// The configuration in the file of `source`, and the files that it names. Blocks for some seconds at
/// most.
pub(crate) fn load_with_files(source: &Source) -> Loaded {
    let mut files = NamedFiles::of(&source.path);
    let outcome = match source.translation() {
        None => load_naming(&source.path, &mut files),
        Some(translation) => load_translated(&source.path, translation, &mut files),
    };
    Loaded { outcome, files: files.into_named() }
}

fn load_translated(
    path: &Path,
    translation: Translation,
    files: &mut NamedFiles,
) -> Result<(Config, Outline), Problems> {
    let file_name = yaml::source::name_of(path);
    let Translation { yaml, warnings, files: translated } = translation;
    translated.iter().for_each(|file| files.name(file));
    let text = yaml.map_err(|what| Problems::of_whole_file(&file_name, Diagnostic::new(what)))?;
    let (mut config, _) = read(&file_name, &text, files)?;
    config.warnings.extend(warnings);
    config.included.extend(translated);
    // The files are those that are followed.
    let (tree, _) = yaml::parse(&file_name, &text, MINIMAL)?;
    let outline = Outline::from_tree(&tree).with_files(&config);
    Ok((config, outline))
}

fn load_naming(path: &Path, files: &mut NamedFiles) -> Result<(Config, Outline), Problems> {
    let file_name = yaml::source::name_of(path);
    let bytes = yaml::source::read(path, yaml::TEXT_BYTES_MAX).map_err(|error| {
        let diagnostic = match error.kind() {
            io::ErrorKind::IsADirectory => {
                Diagnostic::new("is a directory").help("name the YAML file in it")
            }
            io::ErrorKind::TimedOut => Diagnostic::new(format!("cannot be read: {error}")).help(
                "check for a pipe without a writer, or a network mount that does not respond",
            ),
            _ => Diagnostic::new(format!("cannot be read: {error}")),
        };
        Problems::of_whole_file(&file_name, diagnostic)
    })?;
    let text = yaml::decode(bytes);
    let text = text.map_err(|diagnostic| Problems::of_whole_file(&file_name, diagnostic))?;
    read(&file_name, &text, files)
}

/// The configuration in `text`; `file_name` is what its problems call it, and the files that it names
/// are relative to it.
///
/// # Errors
///
/// Everything that is wrong with the text.
pub fn parse(file_name: &str, text: &str) -> Result<Config, Problems> {
    let mut files = NamedFiles::of(file_name.as_ref());
    read(file_name, text, &mut files).map(|(config, _)| config)
}

/// The configuration in `text`, without the files that it names: a listener with TLS has no certificate.
///
/// # Errors
///
/// As [`parse`].
pub fn parse_alone(file_name: &str, text: &str) -> Result<Config, Problems> {
    read(file_name, text, &mut NamedFiles::unread()).map(|(config, _)| config)
}

fn read(
    file_name: &str,
    text: &str,
    files: &mut NamedFiles,
) -> Result<(Config, Outline), Problems> {
    let (mut tree, mut report) = yaml::parse(file_name, text, MINIMAL)?;
    files.include(&mut tree, &mut report);
    if report.has_problems() && files.are_included() {
        // What is missing would be reported at each of its uses.
        return Err(report.into_problems());
    }
    yaml::rename::apply(RENAMED_KEYS, &mut tree, &mut report);
    let config = yaml::typed::read(&mut tree, &mut report)
        .map(|file| resolve::resolve(&file, files, &mut report));
    let (config, warnings) = report.finish(config)?;
    let outline = Outline::from_tree(&tree).with_files(&config);
    Ok((Config { warnings, included: files.included(), ..config }, outline))
}

/// What other files may add to the configuration: what an application needs.
const INCLUDE: yaml::include::Rules = yaml::include::Rules {
    key: "include",
    sections: &[("upstreams", Section::Map), ("routes", Section::List)],
    own: &[
        "listeners",
        "error_pages",
        "acme",
        "max_connections",
        "client_limits",
        "shutdown",
        "admin",
        "log",
    ],
};

/// Keys that have new names.
const RENAMED_KEYS: &[Rename] = &[
    Rename { old: "stop", new: &["shutdown"], until: "1.0" },
    Rename {
        old: "routes[].body_timeout",
        new: &["request_body_timeout", "response_body_timeout"],
        until: "1.0",
    },
    Rename { old: "upstreams.*.answer_head_max", new: &["response_head_max"], until: "1.0" },
    Rename { old: "upstreams.*.answer_fields_max", new: &["response_fields_max"], until: "1.0" },
];

const MINIMAL: &str = "the least that works is\n\
    \n    upstreams:\
    \n      chat: { nodes: [10.0.0.1:3000] }\
    \n    routes:\
    \n      - { path: /socket.io/, upstream: chat }";
