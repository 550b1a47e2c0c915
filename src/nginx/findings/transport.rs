//! Mistakes that lose WebSockets: `Upgrade`, `Connection`, the versions of HTTP.
//!
//! Pure. Runs at start, at reload, or on a timer.

use super::Found;
use super::route::{Ask, Route, Serves, names_upgrade};
use crate::nginx::finding::Level;
use crate::nginx::model::{Listen, Model};
use crate::nginx::tree::Directive;

pub(super) fn look(model: &Model, routes: &[Route<'_>], found: &mut Found) {
    for route in routes.iter().filter(|route| route.is_realtime()) {
        match route.pass {
            Some(pass) => {
                upgrade(route, found);
                version(route, pass, found);
            }
            None => without_target(route, found),
        }
    }
    for server in &model.servers {
        for listen in &server.listens {
            http2(listen, found);
        }
    }
    unused_maps(model, found);
}

fn upgrade(route: &Route<'_>, found: &mut Found) {
    let (Some(upgrade), Some(connection)) =
        (route.value("upgrade", Ask::WebSocket), route.value("connection", Ask::WebSocket))
    else {
        return;
    };
    let (Some(plain), Some(plain_connection)) =
        (route.value("upgrade", Ask::Plain), route.value("connection", Ask::Plain))
    else {
        return;
    };
    let at = |name: &str| route.sets(name).map_or_else(|| route.at(), |directive| &directive.at);
    let shown = |name: &str| {
        route.sets(name).map_or_else(|| route.location.shown.clone(), Directive::shown)
    };
    if !upgrade.eq_ignore_ascii_case("websocket") {
        let is_swapped = upgrade.to_ascii_lowercase().contains("upgrade");
        match is_swapped {
            true => found.add(
                "upgrade-swapped",
                at("upgrade"),
                format!("{}: it is \"{upgrade}\" for a WebSocket", shown("upgrade")),
            ),
            false => missing(route, found),
        }
    } else if !names_upgrade(&connection) {
        let value = if connection.is_empty() { "missing" } else { &*connection };
        let what = format!("{}: Connection is {value} for a WebSocket", route.location.shown);
        found.add("connection-not-upgrade", at("connection"), what);
    } else if !plain.is_empty() && names_upgrade(&plain_connection) {
        found.add(
            "upgrade-fixed",
            at("upgrade"),
            format!("{}: it is there for polls too", shown("upgrade")),
        );
    } else if names_upgrade(&plain_connection) {
        found.add("connection-always-upgrade", at("connection"), shown("connection"));
    }
}

fn missing(route: &Route<'_>, found: &mut Found) {
    let pattern = &*route.location.pattern;
    // `~ \.io` may be meant for anything, and SignalR negotiates without an upgrade.
    let is_meant = match route.serves {
        Serves::EngineIo => !route.location.kind.is_regex() || pattern.contains("socket"),
        Serves::WebSocket | Serves::Any => !pattern.contains("negotiate"),
        Serves::Other => false,
    };
    if !is_meant {
        return;
    }
    let what = format!("{} passes no Upgrade on", route.location.shown);
    found.add("upgrade-missing", route.at(), what);
}

fn version(route: &Route<'_>, pass: &Directive, found: &mut Found) {
    let is_1_1 = route.setting("proxy_http_version").is_some_and(|version| version != "1.0");
    if !is_1_1 && route.passes_upgrades() != Some(false) {
        let what = format!("{}: no proxy_http_version 1.1", pass.shown());
        found.add("http-1.0", &pass.at, what);
    }
}

/// A location that sets the fields of an upgrade, and answers nothing.
fn without_target(route: &Route<'_>, found: &mut Found) {
    let own = route.model.own(route.level());
    let sets_upgrade = own.iter().any(|it| {
        it.name == "proxy_set_header"
            && it.argument(0).is_some_and(|name| name.eq_ignore_ascii_case("upgrade"))
    });
    let answers = own.iter().any(|it| {
        ANSWERS.contains(&&*it.name) || it.name.ends_with("_pass") || it.name.contains("_by_lua")
    });
    if sets_upgrade && !answers && route.location.nested.is_empty() {
        found.add("no-target", route.at(), format!("{} has no proxy_pass", route.location.shown));
    }
}

fn http2(listen: &Listen, found: &mut Found) {
    if !listen.is_http2 || listen.is_quic {
        return;
    }
    let what = format!("listen {} http2", listen.port);
    match listen.is_tls {
        true => found.add("http2-without-websockets", &listen.at, what),
        false => found.add("http2-only", &listen.at, what),
    }
}

fn unused_maps(model: &Model, found: &mut Found) {
    for map in model.maps.iter().filter(|map| map.source.contains("http_upgrade")) {
        let name = format!("${}", map.variable);
        let braced = format!("${{{}}}", map.variable);
        let uses = |directive: &Directive| {
            directive.texts().any(|text| text.contains(&name) || text.contains(&braced))
        };
        let is_used =
            model.levels.iter().any(|level| level.own.iter().any(|it| anywhere(it, &uses)))
                || model.maps.iter().any(|other| {
                    other.source.contains(&name)
                        || uses(&other.directive) && other.variable != map.variable
                });
        // In a file without servers it is for others.
        if !is_used && !model.servers.is_empty() {
            found.add_as(Level::Hint, "map-unused", &map.directive.at, map.directive.shown());
        }
    }
}

fn anywhere(directive: &Directive, uses: &impl Fn(&Directive) -> bool) -> bool {
    uses(directive) || directive.children().iter().any(|child| anywhere(child, uses))
}

/// Directives by which a location answers or leads elsewhere.
const ANSWERS: [&str; 8] =
    ["return", "try_files", "alias", "root", "rewrite", "error_page", "stub_status", "empty_gif"];
