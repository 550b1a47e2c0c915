//! `return`, `rewrite`, `set` and `if`.
//!
//! Pure. Runs at start, at reload, or on a timer.

use super::Mapper;
use super::target::{FileRules, Rewritten, Target};
use super::text::translate;
use crate::nginx::Directive;
use crate::nginx::{LevelId, Location, LocationKind, Server};

impl<'m> Mapper<'m> {
    /// What these directives of `level` make of a request, in the order of the file.
    pub(super) fn rewrites(
        &mut self,
        server: &'m Server,
        location: Option<&'m Location>,
        level: LevelId,
    ) -> Rewritten<'m> {
        let mut path = None;
        for directive in self.model.own(level) {
            match &*directive.name {
                "return" => return Rewritten::Target(self.returned(server, level, directive)),
                "set" => self.ledger.carried(directive),
                "if" => self.condition(server, level, directive),
                "limit_except" => {
                    let why = "routes do not tell methods apart";
                    self.ledger.by_hand(
                        "methods",
                        directive,
                        why,
                        "let the application refuse the other methods",
                    );
                }
                "rewrite" => {
                    if path.is_some() {
                        self.ledger.by_hand(
                            "rewrite",
                            directive,
                            "there is more than one",
                            "write a route for each",
                        );
                        continue;
                    }
                    match self.rewrite(server, location, level, directive) {
                        Some(Rewritten::Target(target)) => return Rewritten::Target(target),
                        Some(Rewritten::Path(found)) => path = found,
                        None => (),
                    }
                }
                _ => (),
            }
        }
        Rewritten::Path(path)
    }

    /// `return`.
    pub(super) fn returned(
        &mut self,
        server: &Server,
        level: LevelId,
        directive: &'m Directive,
    ) -> Target<'m> {
        let first = directive.argument(0).unwrap_or_default();
        let (status, text) = match first.parse::<u16>() {
            Ok(status) => (status, directive.argument(1)),
            // A URL alone.
            Err(_) => (302, Some(first)),
        };
        if let (301 | 302 | 303 | 307 | 308, Some(to)) = (status, text) {
            return self.redirect(server, level, directive, (to, status));
        }
        let folded = self.model.fold(level, text.unwrap_or_default());
        if folded.contains("${") {
            self.ledger.by_hand(
                "variable",
                directive,
                "the body has variables",
                "write a body without",
            );
            return Target::Foreign;
        }
        match status {
            444 => {
                let what = "nginx closes the connection without a response; Sockeye answers 404";
                self.ledger.note("return-444", directive, what, "");
                Target::Respond { status: 404, body: String::new(), directive: Some(directive) }
            }
            200..=599 => {
                self.ledger.carried(directive);
                let body = if matches!(status, 204 | 205 | 304) { String::new() } else { folded };
                Target::Respond { status, body, directive: Some(directive) }
            }
            _ => {
                self.ledger.by_hand(
                    "return",
                    directive,
                    "it is no status",
                    "write respond: { status: ... }",
                );
                Target::Foreign
            }
        }
    }

    fn rewrite(
        &mut self,
        server: &'m Server,
        location: Option<&'m Location>,
        level: LevelId,
        directive: &'m Directive,
    ) -> Option<Rewritten<'m>> {
        let [pattern, to] = [0, 1].map(|index| directive.argument(index).unwrap_or_default());
        let flag = directive.argument(2).unwrap_or_default();
        let to = self.model.fold(level, to);
        let is_url = ["http://", "https://", "${scheme}"].iter().any(|it| to.starts_with(it));
        if matches!(flag, "permanent" | "redirect") || is_url {
            return self.redirected(server, (location, level), directive, to);
        }
        // The page of an application with paths of its own.
        if ALL_PATHS.contains(&pattern) && to.ends_with(".html") && !to.contains('$') {
            let root = self.root(level)?;
            self.ledger.carried(directive);
            let rules = FileRules { root, fallback: Some(to) };
            return Some(Rewritten::Target(Target::Files(rules, None)));
        }
        let passes = self.model.own(level).iter().any(|it| it.name == "proxy_pass");
        if location.is_some() && matches!(flag, "break" | "") && passes {
            self.ledger.carried(directive);
            return Some(Rewritten::Path(Some((pattern.to_owned(), to))));
        }
        let remedy = "write a route for the new path, with strip_prefix or add_prefix";
        self.ledger.by_hand("rewrite", directive, "it leads to another location", remedy);
        location.is_some().then_some(Rewritten::Target(Target::Foreign))
    }

    /// A `rewrite` that redirects to `to`.
    fn redirected(
        &mut self,
        server: &'m Server,
        (location, level): (Option<&'m Location>, LevelId),
        directive: &'m Directive,
        to: String,
    ) -> Option<Rewritten<'m>> {
        let pattern = directive.argument(0).unwrap_or_default();
        let status = if directive.argument(2) == Some("permanent") { 301 } else { 302 };
        let is_all = ALL_PATHS.contains(&pattern);
        let has_capture = to.contains("${1}");
        if has_capture && (!is_all || location.is_some_and(|it| it.kind.is_regex())) {
            let remedy = "write redirect: { to: ... } for each path";
            let why = "a redirect that changes a part of the path";
            self.ledger.by_hand("rewrite", directive, why, remedy);
            return location.is_some().then_some(Rewritten::Target(Target::Foreign));
        }
        if location.is_none()
            && let (Some(path), false) = (one_path(pattern), to.contains('$'))
        {
            self.ledger.carried(directive);
            self.moved.push((path, to, status, directive));
            return None;
        }
        if !is_all && location.is_none_or(|it| !same_path(pattern, it)) {
            let remedy = "write a route with redirect for them";
            self.ledger.by_hand("rewrite", directive, "it is for a part of the paths", remedy);
            return None;
        }
        let whole = to.replace("/${1}", "${uri}").replace("${1}", "${uri}");
        // nginx adds the query, unless a question mark ends the text.
        let whole = match whole.strip_suffix('?') {
            Some(without) => without.to_owned(),
            None => whole.replace("${uri}", "${request_uri}"),
        };
        Some(Rewritten::Target(self.redirect(server, level, directive, (&whole, status))))
    }

    /// A redirect to the text `to`.
    fn redirect(
        &mut self,
        server: &Server,
        level: LevelId,
        directive: &'m Directive,
        (to, status): (&str, u16),
    ) -> Target<'m> {
        match translate(self.model, server, level, to) {
            Ok(to) => {
                self.ledger.carried(directive);
                Target::Redirect { to, status, directive }
            }
            Err(unknown) => {
                self.unknown_variable(directive, &unknown, "redirect.to");
                Target::Foreign
            }
        }
    }

    fn condition(&mut self, server: &Server, level: LevelId, directive: &'m Directive) {
        let words = directive.texts().map(|text| text.trim_matches(['(', ')', '\'']));
        let test: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
        let variable = test.first().copied().unwrap_or_default();
        let is_file_test = variable.starts_with("!-") || variable.starts_with('-');
        let is_redirect = redirects_to_https(directive);
        let is_said = match variable {
            // `cors` answers preflights, if the location says what is allowed.
            "$request_method" if test.contains(&"OPTIONS") => self.cors(level).is_some(),
            "$http_upgrade" | "$http_connection" => self.same_nodes(server, level, directive),
            "$scheme" | "$https" | "$server_port" | "$host" | "$http_host" if is_redirect => {
                self.redirecting.insert(server.level);
                true
            }
            // A target takes it into account.
            _ if is_file_test && has(directive, "proxy_pass") => return,
            _ => false,
        };
        if is_said {
            return self.ledger.carried_whole(directive);
        }
        let is_refusal = directive
            .children()
            .iter()
            .any(|it| it.name == "return" && it.argument(0).is_some_and(|it| it.starts_with('4')));
        let (id, why, remedy) = match variable {
            "$http_upgrade" | "$http_connection" if !is_refusal => (
                "if-upgrade",
                "WebSockets go elsewhere than other requests of the same path, which a route cannot say",
                "give WebSockets a path of their own",
            ),
            "$http_x_forwarded_proto" if is_redirect => (
                "if",
                "the redirect to https for clients of a balancer",
                "let the balancer redirect, or set redirect_http and trusted_proxies of the listener",
            ),
            _ if is_refusal => (
                "if-refuses",
                "whom it refuses is let in",
                "refuse them in the application, or by deny, origins or auth of the route",
            ),
            _ => (
                "if",
                "conditions are not carried over",
                "let the application decide it, or write routes or access rules for it",
            ),
        };
        self.ledger.by_hand(id, directive, why, remedy);
    }

    /// Whether a condition on WebSockets leads to the nodes of all other requests.
    fn same_nodes(&mut self, server: &Server, level: LevelId, directive: &Directive) -> bool {
        let model = self.model;
        let pass = |directives: &'m [Directive]| {
            directives.iter().find(|it| it.name == "proxy_pass").and_then(|it| it.argument(0))
        };
        let outer = pass(model.own(level));
        let inner = directive.children().iter().find(|it| it.name == "proxy_pass");
        let inner = inner.and_then(|it| it.argument(0));
        // `return 418`, with an error page that is a named location.
        let status = directive.children().iter().find(|it| it.name == "return");
        let status = status.and_then(|it| it.argument(0));
        let mut pages = model.effective_all(level, "error_page").into_iter();
        let page = pages.find(|page| status.is_some() && page.argument(0) == status);
        let named = page.and_then(|page| server.named(page.texts().last()?));
        if let (Some(page), Some(named)) = (page, named) {
            self.ledger.carried(page);
            model.own(named.level).iter().for_each(|it| self.ledger.carried(it));
        }
        let there = inner.or_else(|| named.and_then(|named| pass(model.own(named.level))));
        outer.is_some() && (there == outer || there.is_none() && status.is_none())
    }
}

/// Whether the expression of a `rewrite` is for all paths of the location.
fn same_path(pattern: &str, location: &Location) -> bool {
    let plain: String = pattern.chars().filter(|c| *c != '\\').collect();
    let plain = plain.trim_start_matches('^').trim_end_matches('$');
    let whole = plain.strip_suffix("(.*)").or_else(|| plain.strip_suffix(".*")).unwrap_or(plain);
    location.kind == LocationKind::Exact && plain == location.pattern || whole == location.pattern
}

/// The one path that the expression of a `rewrite` is for.
fn one_path(pattern: &str) -> Option<String> {
    let plain =
        pattern.strip_prefix('^')?.strip_suffix('$')?.replace("\\.", ".").replace("\\-", "-");
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-_.~%".contains(&byte);
    (plain.starts_with('/') && plain.bytes().all(is_plain)).then_some(plain)
}

/// Whether all that `directive` guards is a redirect to https.
pub(super) fn redirects_to_https(directive: &Directive) -> bool {
    directive.children().iter().any(|it| {
        let is_redirect = matches!(&*it.name, "return" | "rewrite");
        is_redirect && it.argument(1).is_some_and(|to| to.starts_with("https://"))
    })
}

fn has(directive: &Directive, name: &str) -> bool {
    directive.children().iter().any(|it| it.name == name)
}

/// Expressions of `rewrite` for all paths.
const ALL_PATHS: [&str; 10] =
    ["^", ".*", "^.*", "^.*$", "^(.*)$", "^/(.*)$", "^/(.*)", "(.*)", "^(.*)", "^/?(.*)$"];
