//! Mistakes in paths: what a location matches, and what the node sees of it.
//!
//! Pure. Runs at start, at reload, or on a timer.

use super::Found;
use super::route::{Route, Serves};
use crate::nginx::model::{Location, LocationKind, Model, Server, ServerName};
use crate::nginx::tree::Directive;

pub(super) fn look(model: &Model, routes: &[Route<'_>], found: &mut Found) {
    for route in routes {
        replaced_path(route, found);
        jump(route, found);
        if route.is_realtime() {
            query_filter(route, found);
        }
        if route.serves == Serves::EngineIo && route.location.kind != LocationKind::Named {
            loose_expression(route, found);
            exact(route, found);
            stolen_script(model, route, found);
        }
        slash_redirect(route, found);
        within_word(route, found);
    }
    for server in &model.servers {
        shadowed(&server.locations, found);
    }
    names(model, found);
}

/// What the path in `proxy_pass` does to the path of the client.
fn replaced_path(route: &Route<'_>, found: &mut Found) {
    let Some(pass) = route.pass else { return };
    let pattern = &*route.location.pattern;
    if let Some(rewrite) = removing_rewrite(route) {
        return found.add("path-removed", &rewrite.at, rewrite.shown());
    }
    let is_prefix = matches!(route.location.kind, LocationKind::Prefix | LocationKind::PrefixFirst);
    let Some((_, Some(path))) = route.target() else { return };
    // A path with a variable replaces all of the client's.
    if route.location.kind.is_regex() || path.contains('$') {
        return;
    }
    let what = || format!("{} in location {pattern}", pass.shown());
    let names = ["socket.io", "engine.io"];
    if names.iter().any(|name| pattern.contains(name))
        && !names.iter().any(|name| path.contains(name))
    {
        found.add("path-removed", &pass.at, what());
    } else if is_prefix && path.ends_with('/') && !pattern.ends_with('/') {
        found.add("slash-doubled", &pass.at, what());
    } else if is_prefix && pattern.ends_with('/') && !path.ends_with('/') && !path.contains('?') {
        found.add("slash-lost", &pass.at, what());
    }
}

/// A `rewrite` that takes the path of Socket.IO away.
fn removing_rewrite<'m>(route: &Route<'m>) -> Option<&'m Directive> {
    let mut rewrites = route.model.own(route.level()).iter().filter(|it| it.name == "rewrite");
    rewrites.find(|it| {
        let [expression, replacement] =
            [0, 1].map(|index| it.argument(index).unwrap_or_default().replace('\\', ""));
        let is_internal = it.argument(2) == Some("break");
        is_internal
            && expression.contains("socket.io")
            && !replacement.contains("socket.io")
            && route.serves == Serves::EngineIo
    })
}

/// A location that leads to a named one, with settings that stay behind.
fn jump(route: &Route<'_>, found: &mut Found) {
    let own = route.model.own(route.level());
    let jumps = own.iter().any(|it| {
        it.name == "try_files" && it.arguments.last().is_some_and(|last| last.text.starts_with('@'))
    });
    if !jumps || route.pass.is_some() {
        return;
    }
    for directive in own.iter().filter(|it| LEFT_BEHIND.contains(&&*it.name)) {
        let what = format!("{} in {}", directive.shown(), route.location.shown);
        found.add("named-location-settings", &directive.at, what);
    }
}

fn query_filter(route: &Route<'_>, found: &mut Found) {
    let chain: Vec<&Directive> =
        route.model.chain(route.level()).flat_map(|level| route.model.own(level)).collect();
    for condition in chain.into_iter().filter(|it| it.name == "if") {
        let test: Vec<&str> = condition.texts().collect();
        let asks_query = test.first().is_some_and(|it| {
            ["query_string", "args", "request_uri"]
                .iter()
                .any(|name| it.trim_start_matches('(').trim_start_matches('$') == *name)
        });
        let is_expression = test.get(1).is_some_and(|it| it.starts_with('~'));
        let refuses = condition.children().iter().any(|it| {
            it.name == "return" && it.argument(0).is_some_and(|status| status.starts_with('4'))
        });
        if asks_query && is_expression && refuses {
            found.add("query-filter", &condition.at, condition.shown());
        }
    }
}

fn loose_expression(route: &Route<'_>, found: &mut Found) {
    let location = route.location;
    if !location.kind.is_regex() {
        return;
    }
    let has_bare_dot = location.pattern.match_indices(".io").any(|(at, _)| {
        !location.pattern.get(..at).is_some_and(|before| before.ends_with(['\\', '[']))
    });
    if has_bare_dot || !location.pattern.starts_with('^') {
        found.add("expression-loose", route.at(), location.shown.clone());
    }
}

fn exact(route: &Route<'_>, found: &mut Found) {
    let location = route.location;
    let has_other = route
        .server
        .locations
        .iter()
        .any(|other| other.is_engineio() && other.kind != LocationKind::Exact);
    if location.kind == LocationKind::Exact && location.pattern.ends_with(".io") && !has_other {
        found.add("slash-missing", route.at(), location.shown.clone());
    }
}

/// An expression that takes the client script, which Socket.IO serves below its path.
fn stolen_script(model: &Model, route: &Route<'_>, found: &mut Found) {
    if route.location.kind != LocationKind::Prefix {
        return;
    }
    let base = route.location.pattern.trim_end_matches('/');
    let script = format!("{base}/socket.io.js");
    let (Some(taken), _) = model.find(route.server, &script) else { return };
    if taken.at != *route.at() && taken.kind.is_regex() && !taken.is_engineio() {
        found.add("static-steals", &taken.at, format!("{} takes {script}", taken.shown));
    }
}

/// A WebSocket path that ends with a slash: nginx redirects the one without it.
fn slash_redirect(route: &Route<'_>, found: &mut Found) {
    let pattern = &*route.location.pattern;
    let is_prefix = matches!(route.location.kind, LocationKind::Prefix | LocationKind::PrefixFirst);
    if route.serves != Serves::WebSocket || !is_prefix || route.pass.is_none() || pattern.len() < 2
    {
        return;
    }
    let Some(without) = pattern.strip_suffix('/') else { return };
    if route.model.find(route.server, without).1 {
        found.add("slash-redirect", route.at(), route.location.shown.clone());
    }
}

/// A prefix that goes on in the middle of a word.
fn within_word(route: &Route<'_>, found: &mut Found) {
    let pattern = &*route.location.pattern;
    let is_prefix = matches!(route.location.kind, LocationKind::Prefix | LocationKind::PrefixFirst);
    if is_prefix && route.pass.is_some() && pattern.len() > 1 && !pattern.ends_with('/') {
        found.add("prefix-within-word", route.at(), route.location.shown.clone());
    }
}

/// Expressions behind one that matches all they match.
fn shadowed(locations: &[Location], found: &mut Found) {
    let expressions: Vec<&Location> = locations.iter().filter(|it| it.kind.is_regex()).collect();
    for (index, later) in expressions.iter().enumerate() {
        let first = expressions.iter().take(index).find(|earlier| {
            let core = later.pattern.strip_prefix(&*earlier.pattern);
            let is_longer = core.is_some_and(|rest| {
                !rest.starts_with(['*', '+', '?', '{', '|']) || rest.is_empty()
            });
            is_longer
                && !earlier.pattern.ends_with('$')
                && !earlier.pattern.contains('|')
                && !later.pattern.contains('|')
                && (earlier.kind == later.kind || earlier.kind == LocationKind::RegexIgnoreCase)
        });
        if let Some(earlier) = first {
            found.add(
                "expression-shadowed",
                &later.at,
                format!("{} comes behind {}", later.shown, earlier.shown),
            );
        }
    }
    for location in locations {
        shadowed(&location.nested, found);
    }
}

/// Names that two servers have on one address.
fn names(model: &Model, found: &mut Found) {
    let names_of = |server: &Server| -> Vec<String> {
        let exact = server.names.iter().filter_map(|name| match name {
            ServerName::Exact(name) => Some(name.clone()),
            ServerName::Below(_)
            | ServerName::WithBelow(_)
            | ServerName::Ending(_)
            | ServerName::Regex(..)
            | ServerName::Nobody => None,
        });
        exact.collect()
    };
    for (index, server) in model.servers.iter().enumerate() {
        for earlier in model.servers.iter().take(index) {
            let shares_address = server.listens.iter().any(|one| {
                earlier.listens.iter().any(|other| {
                    (one.address, one.port) == (other.address, other.port) && one.port != 0
                })
            });
            let known = names_of(earlier);
            if let Some(name) = names_of(server)
                .into_iter()
                .find(|name| known.contains(name))
                .filter(|_| shares_address)
            {
                found.add(
                    "name-twice",
                    &server.at,
                    format!("server_name {name} is that of {} too", earlier.at),
                );
            }
        }
    }
}

/// Settings of a location that count where the request is answered.
const LEFT_BEHIND: [&str; 8] = [
    "proxy_read_timeout",
    "proxy_send_timeout",
    "proxy_connect_timeout",
    "proxy_set_header",
    "proxy_http_version",
    "proxy_buffering",
    "proxy_request_buffering",
    "proxy_hide_header",
];
