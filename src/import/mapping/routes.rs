//! The locations of a server as routes.
//!
//! Pure. Runs at start, at reload, or on a timer.

use super::Mapper;
use super::access::Access;
use super::fields::{added, from};
use super::paths::{self, RoutePath};
use super::proxied::{self, Rewrite};
use super::target::{Proxied, Rewritten, Target};
use super::yaml::{Entry, Yaml};
use crate::nginx::Position;
use crate::nginx::{Finding, Level};
use crate::nginx::{LevelId, Location, LocationKind, Server};

/// A route, without its host.
#[derive(Clone, Debug)]
pub(super) struct Draft {
    pub(super) path: RoutePath,
    pub(super) body: Vec<Entry>,
    /// Where it came from.
    pub(super) from: String,
    pub(super) at: Position,
    /// Whether no expression is asked for its paths.
    pub(super) is_first: bool,
    /// Whether it was an expression.
    pub(super) is_expression: bool,
    /// Whether Sockeye answers as nginx does, or 501.
    pub(super) is_carried: bool,
}

impl Draft {
    /// Whether its prefix may be written as an expression.
    pub(super) fn is_plain(&self) -> bool {
        !self.body.iter().any(|entry| entry.key == "strip_prefix")
    }
}

/// What a route is made of.
struct Place<'m> {
    server: &'m Server,
    location: Option<&'m Location>,
    level: LevelId,
    /// Where it came from, in words.
    from: String,
    at: Position,
}

impl Place<'_> {
    fn is_engineio(&self) -> bool {
        self.location.is_some_and(Location::is_engineio)
    }
}

impl<'m> Mapper<'m> {
    /// The routes of `server`.
    pub(super) fn routes(&mut self, server: &'m Server) -> Vec<Draft> {
        let mut drafts = Vec::new();
        let root = RoutePath::Prefix("/".to_owned());
        let (from, at) = (format!("{} server", server.at), server.at.clone());
        let place = Place { server, location: None, level: server.level, from, at };
        // What is written in the server itself comes before all locations.
        if let Rewritten::Target(target) = self.rewrites(server, None, server.level)
            && matches!(target, Target::Redirect { .. } | Target::Respond { .. } | Target::Foreign)
        {
            drafts.push(self.draft(&place, root, target));
            return drafts;
        }
        self.locations(server, &server.locations, None, &mut drafts);
        for (path, to, status, directive) in std::mem::take(&mut self.moved) {
            let target = Target::Redirect { to, status, directive };
            let draft = self.draft(&place, RoutePath::Exact(path), target);
            if drafts.iter().all(|other| other.path != draft.path) {
                drafts.push(draft);
            }
        }
        if !drafts.iter().any(|draft| draft.path == root) {
            // Paths without a location are those of the server itself.
            let target = self.target(server, None, server.level);
            if !matches!(target, Target::Nothing) {
                drafts.push(self.draft(&place, root, target));
            }
        }
        self.without_slash(server, &mut drafts);
        self.ordered(drafts)
    }

    /// Adds the routes of `locations`, which are within the location of the path `above`.
    fn locations(
        &mut self,
        server: &'m Server,
        locations: &'m [Location],
        above: Option<&str>,
        drafts: &mut Vec<Draft>,
    ) {
        for location in locations {
            let prefix = (!location.kind.is_regex()).then_some(&*location.pattern);
            self.locations(server, &location.nested, prefix.or(above), drafts);
            let is_page = location.kind == LocationKind::Exact
                && self.is_stock_page(server, &location.pattern);
            if is_page {
                self.model.own(location.level).iter().for_each(|it| self.ledger.carried(it));
            } else if location.kind != LocationKind::Named {
                self.location(server, location, above, drafts);
            }
        }
    }

    fn location(
        &mut self,
        server: &'m Server,
        location: &'m Location,
        above: Option<&str>,
        drafts: &mut Vec<Draft>,
    ) {
        let found = match paths::of(location, above) {
            Ok(found) => found,
            Err(why) => return self.left_out(location, why),
        };
        if let Some(note) = found.note {
            let what = format!("{}: {note}", location.shown);
            self.ledger.add(Finding::new(Level::Note, "path", Some(&location.at), what, ""));
        }
        let (from, at) = (format!("{} {}", location.at, location.shown), location.at.clone());
        let level = location.level;
        let place = Place { server, location: Some(location), level, from, at };
        for path in found.paths {
            let target = self.target(server, Some(location), level);
            let draft = self.draft(&place, path, target);
            if drafts.iter().any(|other| other.path == draft.path) {
                // nginx refuses two such paths, and takes the first of two such expressions.
                let what = format!("{} is there twice; the first one counts", location.shown);
                let finding = Finding::new(Level::Note, "path-twice", Some(&location.at), what, "");
                self.ledger.add(finding);
            } else {
                drafts.push(draft);
            }
        }
    }

    /// A location with an expression that Sockeye does not have. What it protects stays protected.
    fn left_out(&mut self, location: &Location, why: &str) {
        let own = self.model.own(location.level);
        let is_denied = own.iter().any(|it| {
            it.name == "deny"
                || it.name == "return" && it.argument(0).is_some_and(|it| it.starts_with('4'))
        });
        own.iter().for_each(|directive| self.ledger.carried_whole(directive));
        if is_denied && location.pattern.contains("\\.") {
            let what = format!("{}: files that begin with a dot are never served", location.shown);
            let remedy =
                "paths of nodes that begin so are passed on: let the application refuse them";
            self.ledger.add(Finding::new(
                Level::Note,
                "hidden-files",
                Some(&location.at),
                what,
                remedy,
            ));
            return;
        }
        let what = format!("{} is left out: {why}", location.shown);
        let remedy =
            "write routes for its paths; until then, the route of a shorter path serves them";
        self.ledger.add(Finding::new(Level::ByHand, "location", Some(&location.at), what, remedy));
    }

    /// The route for `path` of `place`, which `target` answers.
    fn draft(&mut self, place: &Place<'m>, path: RoutePath, target: Target<'m>) -> Draft {
        self.auth_fields.clear();
        let (server, level) = (place.server, place.level);
        let is_first = place.location.is_some_and(|it| it.kind == LocationKind::PrefixFirst);
        let is_expression = place.location.is_some_and(|it| it.kind.is_regex());
        let (from, at) = (place.from.clone(), place.at.clone());
        let access = match self.access(server, level) {
            Access::Keys(access) => access,
            Access::Closed => {
                self.model.own(level).iter().for_each(|it| self.ledger.carried_whole(it));
                let body = respond(403, "", "deny");
                return Draft { path, body, from, at, is_first, is_expression, is_carried: true };
            }
        };
        // After a jump to a named location, all that it says holds.
        let level = match &target {
            Target::Proxy(proxied) => proxied.level,
            _ => level,
        };
        let cors = self.cors(level);
        let mut path = path;
        let Some(mut body) = self.answer(place, &mut path, target) else {
            // All that the location says is a part of what is left.
            self.model.own(place.level).iter().for_each(|it| self.ledger.carried_whole(it));
            let mut body = respond(501, "Not carried over from nginx.\n", "left with nginx");
            body.extend(access);
            return Draft { path, body, from, at, is_first, is_expression, is_carried: false };
        };
        let has = |body: &[Entry], keys: &[&str]| body.iter().any(|it| keys.contains(&&*it.key));
        let is_proxied = has(&body, &["upstream"]);
        let is_answer = has(&body, &["redirect", "respond"]);
        body.extend(access);
        body.extend(self.response_headers(server, level, (cors.is_some(), is_proxied)));
        body.extend(cors);
        if !is_answer && !place.is_engineio() {
            body.extend(self.compress(level));
        }
        let pages = self.error_pages(server, level, is_proxied);
        body.extend(pages.into_iter().filter(|_| !is_answer));
        Draft { path, body, from, at, is_first, is_expression, is_carried: true }
    }

    /// The keys of what answers; `None` if it is nothing that Sockeye does.
    fn answer(
        &mut self,
        place: &Place<'m>,
        path: &mut RoutePath,
        target: Target<'m>,
    ) -> Option<Vec<Entry>> {
        match target {
            Target::Proxy(proxied) => self.proxied_body(place, path, &proxied),
            Target::Files(rules, proxied) => {
                let mut entries = self.files(place.location, path, place.level, &rules)?;
                if let Some(proxied) = proxied {
                    if entries.iter().any(|entry| entry.key == "strip_prefix") {
                        let why = "nodes would not get the prefix that alias replaces";
                        let remedy = "give the files a path of their own";
                        self.ledger.by_hand("alias", rules.root, why, remedy);
                        return None;
                    }
                    entries.extend(self.proxied_body(place, path, &proxied)?);
                }
                Some(entries)
            }
            Target::Redirect { to, status, directive } => {
                let keys = vec![
                    Entry::new("to", Yaml::text(to), from(directive)),
                    Entry::new("status", Yaml::plain(status), ""),
                ];
                Some(vec![Entry::new("redirect", Yaml::Map(keys), "")])
            }
            Target::Respond { status, body, directive } => {
                let mut entries = respond(status, &body, &directive.map(from).unwrap_or_default());
                self.content_type(place.level, &body, &mut entries);
                Some(entries)
            }
            Target::Foreign => None,
            Target::Nothing => {
                self.model.own(place.level).iter().for_each(|it| self.ledger.carried(it));
                Some(respond(404, "", "no proxy_pass and no root"))
            }
        }
    }

    /// `upstream` and what holds for it; `None` if it cannot be said.
    fn proxied_body(
        &mut self,
        place: &Place<'m>,
        path: &mut RoutePath,
        proxied: &Proxied<'m>,
    ) -> Option<Vec<Entry>> {
        let rewrite = match self.node_path(place, path, proxied) {
            Ok(rewrite) => rewrite,
            Err(why) => {
                let remedy = "write routes with strip_prefix and add_prefix; until then, Sockeye answers 501 here";
                self.ledger.by_hand("proxy-path", proxied.directive, why, remedy);
                return None;
            }
        };
        if let Some(note) = rewrite.note {
            self.ledger.note("proxy-path", proxied.directive, note, "");
        }
        if rewrite.strip.is_some() {
            let what = "Location and the paths of cookies get the prefix back, also where nginx leaves them";
            let (at, level) = (Some(&proxied.directive.at), Level::Note);
            self.ledger.add(Finding::new(level, "location-prefix", at, what, ""));
        }
        let name = self.upstream(proxied, place.is_engineio());
        let comment = from(proxied.directive);
        let mut entries = vec![Entry::new("upstream", Yaml::text(name), comment.clone())];
        for (key, prefix) in [("strip_prefix", rewrite.strip), ("add_prefix", rewrite.add)] {
            let entry = prefix.map(|prefix| Entry::new(key, Yaml::text(prefix), comment.clone()));
            entries.extend(entry);
        }
        entries.extend(self.limits(proxied.level, place.is_engineio()));
        let authority = &*proxied.passed.authority;
        let plain = authority.rsplit_once(':').filter(|(_, port)| matches!(*port, "80" | "443"));
        let host = plain.map_or(authority, |(host, _)| host);
        entries.extend(self.request_headers(place.server, proxied.level, host));
        Some(entries)
    }

    /// What nodes get of the paths of the route at `path`.
    fn node_path(
        &self,
        place: &Place<'m>,
        path: &mut RoutePath,
        proxied: &Proxied<'m>,
    ) -> Result<Rewrite, &'static str> {
        let pattern = place.location.filter(|it| it.kind.is_regex()).map(|it| &*it.pattern);
        let rewrite = match (&proxied.rewrite, &proxied.passed.uri) {
            (Some((expression, to)), _) if to.contains('$') => proxied::captured(to, expression)
                .map(|rewrite| {
                    let is_open = matches!(path, RoutePath::Prefix(path) if !path.ends_with('/'));
                    let is_changed = rewrite.strip.is_some() || rewrite.add.is_some();
                    let note = (is_changed && is_open && expression.contains("/("))
                        .then_some("nginx does not change the path without a slash; Sockeye does");
                    Rewrite { note: rewrite.note.or(note), ..rewrite }
                }),
            (Some((expression, to)), _) => proxied::fixed(expression, to, path),
            (None, Some(uri)) => {
                proxied::rewrite(&self.model.fold(proxied.level, uri), path, pattern)
            }
            (None, None) => Ok(Rewrite::default()),
        };
        fitting(rewrite?, path)
    }

    fn content_type(&mut self, level: LevelId, body: &str, entries: &mut [Entry]) {
        let field = added(self.model, level, "Content-Type").and_then(|it| it.argument(1));
        let default = self.model.effective(level, "default_type");
        default.iter().for_each(|directive| self.ledger.carried(directive));
        // That of nginx for files that it does not know.
        let default =
            default.and_then(|it| it.argument(0)).filter(|it| *it != "application/octet-stream");
        let Some(found) = field.or(default).filter(|it| *it != "text/plain") else { return };
        let is_valid = !found.is_empty()
            && found.bytes().all(|byte| (b' '..=b'~').contains(&byte) && byte != b'$')
            && found.trim() == found;
        if !body.is_empty()
            && is_valid
            && let Some(Entry { value: Yaml::Map(keys), .. }) = entries.first_mut()
        {
            keys.push(Entry::new("content_type", Yaml::text(found), "default_type"));
        }
    }
}

/// `rewrite`, if the prefix that it removes is the beginning of `path`. An expression becomes that prefix.
fn fitting(rewrite: Rewrite, path: &mut RoutePath) -> Result<Rewrite, &'static str> {
    let Some(strip) = rewrite.strip.as_deref() else { return Ok(rewrite) };
    let begins = |path: &str| {
        path.strip_prefix(strip).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    match path {
        RoutePath::Prefix(path) | RoutePath::Exact(path) if begins(path) => Ok(rewrite),
        RoutePath::Regex(expression) if paths::literal_start(expression).starts_with(strip) => {
            let prefix = format!("{strip}/");
            let note = (!paths::is_all_below(expression, &prefix))
                .then_some("the expression became a prefix; all paths below it are served");
            *path = RoutePath::Prefix(prefix);
            Ok(Rewrite { note: rewrite.note.or(note), ..rewrite })
        }
        _ => Err("the prefix that is removed is not the beginning of the path"),
    }
}

fn respond(status: u16, body: &str, from: &str) -> Vec<Entry> {
    let mut keys = vec![Entry::new("status", Yaml::plain(status), from)];
    if !body.is_empty() {
        keys.push(Entry::new("body", Yaml::text(body), ""));
    }
    vec![Entry::new("respond", Yaml::Map(keys), "")]
}
