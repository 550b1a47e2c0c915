//! Servers of the same name on several ports: our routes are the same on all of them.
//!
//! Pure. Runs at start, at reload, or on a timer.

use std::collections::BTreeSet;

use super::Mapper;
use super::hosts::Plan;
use crate::nginx::Directive;
use crate::nginx::{Finding, Level};
use crate::nginx::{LevelId, Location, Server};

impl<'m> Mapper<'m> {
    /// Says which hosts get another server than with nginx on one of their ports.
    pub(super) fn report_ports(&mut self, plan: &Plan<'m>) {
        let model = self.model;
        let is_redirect = |level| plan.redirects.iter().any(|server| server.level == level);
        let mut reported: BTreeSet<(LevelId, LevelId)> = BTreeSet::new();
        let asked = model.servers.iter().flat_map(|server| {
            let ports = server.listens.iter().filter(|it| !it.is_quic).map(|listen| listen.port);
            // A server without names serves all hosts of its ports.
            let is_for_all = server.names.iter().all(|name| name.text().is_none());
            let named = model.servers.iter().filter(|it| is_for_all || it.level == server.level);
            let names = named.flat_map(|it| it.names.iter().filter_map(|name| name.text()));
            let hosts: Vec<&str> = names.chain([NOBODY]).take(HOSTS_MAX).collect();
            ports.flat_map(move |port| hosts.clone().into_iter().map(move |host| (port, host)))
        });
        for (port, host) in asked.take(PAIRS_MAX) {
            let Some(theirs) = model.server(Some(port), host) else { continue };
            let Some(ours) = plan.server(host) else { continue };
            let is_alike = theirs.level == ours.level
                || plan.is_left_out(theirs)
                || is_redirect(theirs.level)
                || self.redirecting.contains(&theirs.level)
                || self.shape(theirs) == self.shape(ours);
            if is_alike || !reported.insert((theirs.level, ours.level)) {
                continue;
            }
            let shown = if host == NOBODY { "hosts that no server names" } else { host };
            let what =
                format!("port {port}, {shown}: the routes are those of the server at {}", ours.at);
            let remedy = "routes are the same on all ports: give the servers names of their own, or run another process for one of the ports";
            let level = if host == NOBODY { Level::Note } else { Level::ByHand };
            self.ledger.add(Finding::new(level, "ports", Some(&theirs.at), what, remedy));
        }
    }

    /// What `server` does with requests, as text.
    fn shape(&self, server: &Server) -> String {
        let own = |level: LevelId| -> String {
            let own = self.model.own(level).iter().filter(|it| {
                !matches!(&*it.name, "listen" | "server_name") && !it.name.starts_with("ssl_")
            });
            own.map(written).collect()
        };
        let location = |it: &Location| format!("{} {{{}}}", it.shown, own(it.level));
        let locations: String = server.all_locations().into_iter().map(location).collect();
        own(server.level) + &locations
    }
}

/// `directive` as text, without its position.
fn written(directive: &Directive) -> String {
    let words: Vec<&str> = directive.texts().collect();
    let children: String = directive.children().iter().map(written).collect();
    format!("{} {words:?} {{{children}}}", directive.name)
}

/// Stands for all hosts that no server has.
const NOBODY: &str = "nobody.invalid";
const HOSTS_MAX: usize = 64;
const PAIRS_MAX: usize = 4096;
