//! From the file's values to the rooms' settings, complete with defaults.
//!
//! A value that cannot be resolved is reported and gets a placeholder, so that the rest is checked
//! too. No placeholder is used: a report with a problem gives no `Config`.
//!
//! Pure, but for the files of certificates, keys and users. Runs at start, at reload, or on a timer.

mod access;
mod acme;
mod address;
mod admin;
mod affinity;
mod auth;
mod balance;
mod binds;
mod discover;
mod fields;
mod forward_auth;
mod health;
mod issued;
mod listener;
mod node_tls;
mod pacing;
mod pattern;
mod route;
mod target;
mod tls;
mod tracing;
mod tunnel;
mod upstream;

pub(super) use address::endpoint;
pub(super) use balance::RULES as BALANCE_RULES;
pub(super) use tls::{CLIENT_AUTH, MIN_VERSIONS, TICKETS};

use super::Config;
use super::file::File;
use super::named_files::NamedFiles;
use crate::access::ClientLimits;
use crate::form::section;
use crate::logging;
use crate::shutdown;
use crate::site;
use crate::yaml::{Diagnostic, KeyPath, Report};
use target::page_reader;

/// The settings in `file`. Problems go to `report`.
pub(super) fn resolve(file: &File, files: &mut NamedFiles, report: &mut Report<'_>) -> Config {
    let top = KeyPath::root();
    let at_acme = top.key("acme");
    let acme = file.acme.as_ref().map(|acme| acme::resolve(&at_acme, acme, files, report));
    let listeners = (file.listeners.as_deref(), acme.as_ref());
    let listeners = listener::resolve(&top.key("listeners"), listeners, files, report);
    if let Some(acme) = &acme {
        issued::warn_about_listeners(&at_acme, acme, &listeners, report);
    }
    let binds = listeners.iter().map(|(path, settings)| (path.clone(), settings.bind));
    let at_admin = top.key("admin");
    let admin = admin::resolve(&at_admin, file.admin.as_ref(), files, report);
    let of_admin = admin.as_ref().map(|admin| (at_admin.key("bind"), admin.bind));
    binds::refuse_overlaps(&binds.chain(of_admin).collect::<Vec<_>>(), report);
    let at_pages = top.key("error_pages");
    let pages = file.error_pages.as_ref();
    let error_pages = site::error_pages(&at_pages, pages, &mut page_reader(files), report);
    Config {
        acme,
        max_connections: section::read(&top, Some(file), None, report),
        client_limits: section::read(
            &top.key("client_limits"),
            file.client_limits.as_ref(),
            ClientLimits::default(),
            report,
        ),
        shutdown: section::read(
            &top.key("shutdown"),
            file.shutdown.as_ref(),
            shutdown::Settings::default(),
            report,
        ),
        admin,
        log: section::read(
            &top.key("log"),
            file.log.as_ref(),
            logging::Settings::default(),
            report,
        ),
        tracing: tracing::resolve(&top.key("tracing"), file.tracing.as_ref(), files, report),
        listeners: listeners.into_iter().map(|(_, settings)| settings).collect(),
        upstreams: upstream::resolve(&top.key("upstreams"), file, files, report),
        error_pages,
        routes: route::resolve(&top.key("routes"), file, files, report),
        warnings: Vec::new(),
        included: Vec::new(),
    }
}

/// The value of `word` in `known`.
fn choose<T: Clone>(word: &str, what: &str, known: &[(&str, T)]) -> Result<T, Diagnostic> {
    let chosen = known.iter().find(|(name, _)| *name == word).map(|(_, chosen)| chosen.clone());
    chosen.ok_or_else(|| Diagnostic::none_of(what, word, known.iter().map(|(name, _)| *name)))
}
