//! What a location does with a request: which of our targets it is.
//!
//! Pure. Runs at start, at reload, or on a timer.

use super::Mapper;
use super::proxied::Passed;
use crate::nginx::Directive;
use crate::nginx::{LevelId, Location, LocationKind, Server};

/// What a route does with a request.
#[derive(Clone, Debug)]
pub(super) enum Target<'m> {
    /// Nodes answer.
    Proxy(Proxied<'m>),
    /// Files answer; what is no file may go to nodes.
    Files(FileRules<'m>, Option<Proxied<'m>>),
    Redirect {
        to: String,
        status: u16,
        directive: &'m Directive,
    },
    Respond {
        status: u16,
        body: String,
        directive: Option<&'m Directive>,
    },
    /// Something that Sockeye does not do.
    Foreign,
    /// Nothing is said of it: a 404.
    Nothing,
}

/// A `proxy_pass` and the settings that hold for it, which may be those of another location.
#[derive(Clone, Debug)]
pub(super) struct Proxied<'m> {
    pub(super) passed: Passed,
    pub(super) level: LevelId,
    pub(super) directive: &'m Directive,
    /// Whether the name is looked up for each request, because a variable holds it.
    pub(super) is_looked_up: bool,
    /// A `rewrite … break` before it, as `proxy_pass` would write it: the expression and its replacement.
    pub(super) rewrite: Option<(String, String)>,
}

/// Where files are.
#[derive(Clone, Debug)]
pub(super) struct FileRules<'m> {
    pub(super) root: &'m Directive,
    pub(super) fallback: Option<String>,
}

/// Directives of handlers that Sockeye does not have, and what they do.
const FOREIGN: [(&str, &str); 24] = [
    ("fastcgi_pass", "FastCGI (PHP)"),
    ("uwsgi_pass", "uWSGI"),
    ("scgi_pass", "SCGI"),
    ("grpc_pass", "gRPC"),
    ("memcached_pass", "memcached"),
    ("passenger_enabled", "Passenger"),
    ("passenger_app_root", "Passenger"),
    ("stub_status", "the status page of nginx"),
    ("content_by_lua_block", "code in Lua"),
    ("content_by_lua_file", "code in Lua"),
    ("content_by_lua", "code in Lua"),
    ("access_by_lua_block", "code in Lua"),
    ("access_by_lua_file", "code in Lua"),
    ("rewrite_by_lua_block", "code in Lua"),
    ("rewrite_by_lua_file", "code in Lua"),
    ("js_content", "code in JavaScript"),
    ("perl", "code in Perl"),
    ("dav_methods", "WebDAV"),
    ("mp4", "video"),
    ("flv", "video"),
    ("hls", "video"),
    ("vod", "video"),
    ("secure_link", "signed links"),
    ("empty_gif", "an empty picture"),
];

impl<'m> Mapper<'m> {
    /// The target of `location`, or of `server` itself.
    pub(super) fn target(
        &mut self,
        server: &'m Server,
        location: Option<&'m Location>,
        level: LevelId,
    ) -> Target<'m> {
        // Locations may lead to each other forever.
        if self.depth >= DEPTH_MAX {
            return Target::Foreign;
        }
        self.depth += 1;
        let target = self.target_of(server, location, level);
        self.depth -= 1;
        target
    }

    fn target_of(
        &mut self,
        server: &'m Server,
        location: Option<&'m Location>,
        level: LevelId,
    ) -> Target<'m> {
        let model = self.model;
        for (name, what) in FOREIGN {
            if let Some(directive) = model.own(level).iter().find(|it| it.name == name) {
                self.foreign(directive, what);
                return Target::Foreign;
            }
        }
        let rewrite = match self.rewrites(server, location, level) {
            Rewritten::Target(target) => return target,
            Rewritten::Path(rewrite) => rewrite,
        };
        if let Some(internal) = self.model.own(level).iter().find(|it| it.name == "internal") {
            self.model.own(level).iter().for_each(|it| self.ledger.carried_whole(it));
            return Target::Respond { status: 404, body: String::new(), directive: Some(internal) };
        }
        if let Some(tries) = model.own(level).iter().find(|it| it.name == "try_files") {
            return self.try_files(server, level, tries);
        }
        if let Some(pass) = model.own(level).iter().find(|it| it.name == "proxy_pass") {
            return self.proxy(level, pass, rewrite);
        }
        self.static_files(server, location, level)
    }

    /// What `proxy_pass` says.
    pub(super) fn proxy(
        &mut self,
        level: LevelId,
        directive: &'m Directive,
        rewrite: Option<(String, String)>,
    ) -> Target<'m> {
        let written = directive.argument(0).unwrap_or_default();
        let folded = self.model.fold(level, written);
        let folded = self.with_default(level, directive, folded);
        match Passed::parse(&folded) {
            Ok(passed) => {
                self.ledger.carried(directive);
                let host = written.split_once("://").map_or(written, |(_, rest)| rest);
                let host = host.split('/').next().unwrap_or_default();
                let is_looked_up =
                    host.contains('$') && self.model.value(level, "resolver").is_some();
                Target::Proxy(Proxied { passed, level, directive, is_looked_up, rewrite })
            }
            Err(why) => {
                let remedy = "write a route for each target; until then, Sockeye answers 501 here";
                self.ledger.by_hand("proxy-pass", directive, &why, remedy);
                Target::Foreign
            }
        }
    }

    /// `target` with the default of what decides where requests go, which is reported.
    fn with_default(&mut self, level: LevelId, directive: &'m Directive, target: String) -> String {
        let model = self.model;
        let name = target.split_once("${").and_then(|(_, rest)| rest.split_once('}'));
        let Some((name, _)) = name.filter(|_| Passed::parse(&target).is_err()) else {
            return target;
        };
        let map = model.map(name);
        let is_set = |it: &&Directive| {
            it.name == "set" && it.argument(0).and_then(|it| it.strip_prefix('$')) == Some(name)
        };
        let set = model.chain(level).find_map(|level| model.own(level).iter().find(is_set));
        let default = match map {
            Some(map) => map.default.as_deref(),
            None => set.and_then(|set| set.argument(1)),
        };
        let Some(default) = default else { return target };
        let default = model.fold(level, default);
        let whole = target.replace(&format!("${{{name}}}"), &default);
        if Passed::parse(&whole).is_err() {
            return target;
        }
        let by = map.map_or("a condition", |map| &map.source);
        let why = format!("{by} decides where requests go; all go where its default does");
        let remedy = "write a route for each host or path that has to go elsewhere";
        self.ledger.by_hand("map", directive, &why, remedy);
        whole
    }

    fn try_files(
        &mut self,
        server: &'m Server,
        level: LevelId,
        tries: &'m Directive,
    ) -> Target<'m> {
        self.ledger.carried(tries);
        let words: Vec<String> = tries.texts().map(|text| self.model.fold(level, text)).collect();
        let Some((last, candidates)) = words.split_last() else { return Target::Nothing };
        // `/dev/null`, `/nonexistent`: nothing but the last one is meant.
        let has_files = candidates.iter().any(|candidate| {
            candidate.contains("${uri}") || candidate.contains("${request_filename}")
        });
        for odd in candidates.iter().filter(|it| {
            it.contains("${uri}") && !matches!(&***it, "${uri}" | "${uri}/" | "${uri}/index.html")
        }) {
            let why = format!("{odd} is not looked for; {{path}} and {{path}}/ are");
            let why = why.replace("{path}", "the path");
            self.ledger.by_hand(
                "try-files",
                tries,
                &why,
                "rename the files, or let the application answer",
            );
        }
        if last.starts_with('@') {
            let Some(named) = server.named(last) else {
                let why = format!("there is no location {last}");
                self.ledger.by_hand("named-location", tries, &why, "add it");
                return Target::Foreign;
            };
            let target = self.target(server, Some(named), named.level);
            // They have no effect in nginx: those of the named location count.
            let is_lost =
                |it: &&Directive| it.name.starts_with("proxy_") && it.name != "proxy_pass";
            self.model.own(level).iter().filter(is_lost).for_each(|it| self.ledger.carried(it));
            return match (self.root(level).filter(|_| has_files), target) {
                (Some(root), Target::Proxy(proxied)) => {
                    Target::Files(FileRules { root, fallback: None }, Some(proxied))
                }
                (_, target) => target,
            };
        }
        let Some(root) = self.root(level) else {
            return self.without_root(level, tries);
        };
        if let Some(status) = last.strip_prefix('=') {
            if status != "404" {
                self.ledger.note("try-files", tries, "a path without a file gets 404", "");
            }
            return Target::Files(FileRules { root, fallback: None }, None);
        }
        self.fallback(server, level, tries, (last, root))
    }

    /// The last of `try_files` is a path, which nginx looks for as for a request.
    fn fallback(
        &mut self,
        server: &'m Server,
        level: LevelId,
        tries: &'m Directive,
        (last, root): (&str, &'m Directive),
    ) -> Target<'m> {
        let path = last.split('?').next().unwrap_or(last);
        let path = path.strip_suffix("${is_args}${args}").unwrap_or(path);
        let (found, _) = self.model.find(server, path);
        let other = found.filter(|location| location.level != level);
        let is_file = other.is_none_or(|location| self.root(location.level).is_some());
        if path.ends_with(".php") || path.contains('$') {
            self.foreign(tries, "a program answers what is no file");
            return Target::Foreign;
        }
        if let Some(location) = other.filter(|location| {
            self.model.own(location.level).iter().any(|it| it.name == "proxy_pass")
        }) {
            return match self.target(server, Some(location), location.level) {
                Target::Proxy(proxied) if proxied.passed.uri.is_none() => {
                    let why = format!(
                        "nginx sends the path {path} to nodes for what is no file; they get the path of the client"
                    );
                    self.ledger.note("try-files", tries, &why, "");
                    Target::Files(FileRules { root, fallback: None }, Some(proxied))
                }
                _ => Target::Foreign,
            };
        }
        if !is_file {
            self.ledger.by_hand(
                "try-files",
                tries,
                "what is no file goes to a location that has no files",
                "write a route for it",
            );
            return Target::Foreign;
        }
        Target::Files(FileRules { root, fallback: Some(path.to_owned()) }, None)
    }

    /// `try_files` in a place whose files are nowhere: nginx takes its own directory.
    fn without_root(&mut self, level: LevelId, tries: &'m Directive) -> Target<'m> {
        if let Some(pass) = self.model.own(level).iter().find(|it| it.name == "proxy_pass") {
            return self.proxy(level, pass, None);
        }
        self.ledger.by_hand(
            "root",
            tries,
            "no root says where the files are",
            "write files: { root: ... }",
        );
        Target::Foreign
    }

    fn static_files(
        &mut self,
        server: &'m Server,
        location: Option<&'m Location>,
        level: LevelId,
    ) -> Target<'m> {
        // `if (!-f $request_filename) { proxy_pass … }`.
        let model = self.model;
        let missing = model.own(level).iter().find(|it| {
            it.name == "if" && it.texts().any(|text| text.contains("!-f") || text.contains("!-e"))
        });
        let pass = missing.and_then(|it| it.children().iter().find(|it| it.name == "proxy_pass"));
        if let (Some(condition), Some(pass)) = (missing, pass) {
            self.ledger.carried_whole(condition);
            return match (self.root(level), self.proxy(level, pass, None)) {
                (Some(root), Target::Proxy(proxied)) => {
                    Target::Files(FileRules { root, fallback: None }, Some(proxied))
                }
                (_, target) => target,
            };
        }
        // `error_page 404 = @app;` does what `try_files $uri @app` does.
        let page = model.effective_all(level, "error_page").into_iter().find(|page| {
            page.texts().next() == Some("404")
                && page.texts().last().is_some_and(|it| it.starts_with('@'))
        });
        let named = page.and_then(|page| server.named(page.texts().last()?));
        let is_self = named.is_some_and(|named| named.level == level);
        if let (Some(page), Some(named), Some(root), false) =
            (page, named, self.root(level), is_self)
            && let Target::Proxy(proxied) = self.target(server, Some(named), named.level)
        {
            self.ledger.carried(page);
            return Target::Files(FileRules { root, fallback: None }, Some(proxied));
        }
        let is_named = location.is_some_and(|location| location.kind == LocationKind::Named);
        match self.root(level).filter(|_| !is_named) {
            Some(root) => Target::Files(FileRules { root, fallback: None }, None),
            None => Target::Nothing,
        }
    }

    /// `root` or `alias` in `level`, whichever is nearer.
    pub(super) fn root(&self, level: LevelId) -> Option<&'m Directive> {
        let model = self.model;
        model.chain(level).find_map(|level| {
            model.own(level).iter().find(|it| matches!(&*it.name, "alias" | "root"))
        })
    }

    pub(super) fn foreign(&mut self, directive: &Directive, what: &str) {
        let why = format!("{what} stays with nginx");
        let remedy = "pass it to nginx, or to a server of its own, as an upstream; until then, Sockeye answers 501 here";
        self.ledger.by_hand("left-with-nginx", directive, &why, remedy);
    }
}

/// What `rewrite`, `return` and `if` make of a request.
pub(super) enum Rewritten<'m> {
    Target(Target<'m>),
    /// The request goes on, with another path for nodes.
    Path(Option<(String, String)>),
}

/// How many locations may lead to each other.
const DEPTH_MAX: usize = 8;
