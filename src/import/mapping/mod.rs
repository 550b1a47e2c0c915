//! Says what nginx does in our keys.
//!
//! Pure. Runs at start, at reload, or on a timer.

mod access;
mod affinity;
mod cors;
mod fields;
mod files;
mod hosts;
mod ledger;
mod limits;
mod listeners;
mod not_needed;
mod order;
mod paths;
mod ports;
mod proxied;
mod rates;
mod render;
mod rewrites;
mod routes;
mod target;
#[cfg(test)]
mod tests;
mod text;
mod upstreams;
mod yaml;

use std::collections::BTreeSet;

use crate::nginx::{Directive, Finding, Level, LevelId, Location, Model, Read, Server};
use ledger::Ledger;
use paths::RoutePath;
pub(super) use render::Document;
use routes::Draft;
use upstreams::UpstreamDraft;
use yaml::{Entry, Yaml};

/// What is being said.
struct Mapper<'m> {
    model: &'m Model,
    ledger: Ledger,
    upstreams: Vec<UpstreamDraft<'m>>,
    /// The servers that redirect requests without TLS by a condition.
    redirecting: BTreeSet<LevelId>,
    /// Whether nodes are told what a proxy in front says.
    needs_trust: bool,
    /// The fields that nodes get from the authorization service of the route.
    auth_fields: Vec<String>,
    /// How many locations lead to the one that is looked at.
    depth: usize,
    /// Paths that a `rewrite` of the server redirects: the path, where to, the status.
    moved: Vec<(String, String, u16, &'m Directive)>,
}

/// The new file for `read`, if there is anything in it, and all that there is to say.
pub(super) fn map(read: &Read, model: &Model) -> (Option<Document>, Vec<Finding>) {
    let mut mapper = Mapper {
        model,
        ledger: Ledger::default(),
        upstreams: Vec::new(),
        redirecting: BTreeSet::new(),
        needs_trust: false,
        auth_fields: Vec::new(),
        depth: 0,
        moved: Vec::new(),
    };
    for finding in read.findings.iter().chain(&model.findings) {
        mapper.ledger.add(finding.clone());
    }
    let document = mapper.document();
    mapper.outside();
    mapper.ledger.close(&read.directives);
    (document, mapper.ledger.findings)
}

impl<'m> Mapper<'m> {
    fn document(&mut self) -> Option<Document> {
        let plan = self.plan();
        let mut routes: Vec<(Option<String>, Draft)> = Vec::new();
        for hosted in &plan.content {
            if hosted.hosts.is_empty() {
                self.forget(hosted.server);
                continue;
            }
            let mut drafts = self.routes(hosted.server);
            // Without these, a request would get what another server says.
            let is_stopper_needed = !hosted.hosts.contains(&"*".to_owned());
            if is_stopper_needed
                && !drafts.iter().any(|it| it.path == RoutePath::Prefix("/".to_owned()))
            {
                drafts.push(stopper(hosted.server));
            }
            for host in &hosted.hosts {
                let name = (host != "*").then(|| host.clone());
                routes.extend(drafts.iter().map(|draft| (name.clone(), draft.clone())));
            }
        }
        for server in &plan.redirects {
            self.challenges(server, &mut routes);
        }
        if !routes.iter().any(|(_, draft)| draft.is_carried) {
            return None;
        }
        self.report_ports(&plan);
        let listeners = self.listeners(&plan);
        let limits = self.client_limits(&plan);
        let upstreams = self.upstream_entries();
        for map in &self.model.maps {
            self.ledger.carried_whole(&map.directive);
        }
        let networks = |level: usize| self.model.effective_all(LevelId(level), "set_real_ip_from");
        let has_trust = (0..self.model.levels.len()).any(|level| !networks(level).is_empty());
        if self.needs_trust {
            let what = "nodes are told the scheme or the address that a proxy in front says";
            let remedy = match has_trust {
                true => "trusted_proxies of the listener are believed, others are not",
                false => {
                    "write the addresses of that proxy into trusted_proxies of the listener; others are not believed"
                }
            };
            let level = if has_trust { Level::Note } else { Level::ByHand };
            self.ledger.add(Finding::new(level, "trusted-proxies", None, what, remedy));
        }
        Some(Document { listeners, upstreams, routes, limits })
    }

    /// Files by which an authority sees that a name is yours.
    fn challenges(&mut self, server: &'m Server, routes: &mut Vec<(Option<String>, Draft)>) {
        for directive in self.model.own(server.level) {
            if matches!(
                &*directive.name,
                "server_name" | "return" | "rewrite" | "if" | "root" | "index"
            ) {
                self.ledger.carried_whole(directive);
            }
        }
        let is_challenge = |it: &Location| it.pattern.contains("/.well-known");
        if !server.all_locations().into_iter().any(is_challenge) {
            return;
        }
        for draft in self.routes(server) {
            let is_challenge =
                matches!(&draft.path, RoutePath::Prefix(path) if path.starts_with("/.well-known/"));
            let is_new =
                routes.iter().all(|(host, other)| host.is_some() || other.path != draft.path);
            if is_challenge && is_new && draft.is_carried {
                routes.push((None, draft));
            }
        }
    }

    /// A server that is left out was reported as a whole.
    fn forget(&mut self, server: &Server) {
        let levels = server.all_locations().into_iter().map(|location| location.level);
        let levels: Vec<LevelId> = std::iter::once(server.level).chain(levels).collect();
        for level in levels {
            self.model.own(level).iter().for_each(|directive| self.ledger.carried_whole(directive));
        }
    }

    /// Blocks outside of `http`.
    fn outside(&mut self) {
        for directive in &self.model.outside {
            if matches!(&*directive.name, "stream" | "mail" | "rtmp") {
                let why = "it is not HTTP";
                self.ledger.by_hand("left-with-nginx", directive, why, "leave it with nginx");
            }
        }
    }
}

/// The route for all paths of `server` that no location serves.
fn stopper(server: &Server) -> Draft {
    let status = Entry::new("status", Yaml::plain(404), "no location serves these paths");
    Draft {
        path: RoutePath::Prefix("/".to_owned()),
        body: vec![Entry::new("respond", Yaml::Map(vec![status]), "")],
        from: format!("{} server", server.at),
        at: server.at.clone(),
        is_first: false,
        is_expression: false,
        is_carried: false,
    }
}
