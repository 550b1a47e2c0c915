//! Mistakes in fields of requests and responses.
//!
//! Pure. Runs at start, at reload, or on a timer.

use std::collections::BTreeSet;

use super::Found;
use super::route::{Route, Serves};
use crate::nginx::model::{LevelId, Model};
use crate::nginx::tree::Directive;

pub(super) fn look(model: &Model, routes: &[Route<'_>], found: &mut Found) {
    for route in routes {
        response(route, found);
        let Some(pass) = route.pass else { continue };
        let lost = lost(route, found);
        missing(route, pass, &lost, found);
        twice(route, found);
        if matches!(route.serves, Serves::EngineIo | Serves::Any) {
            cors(route, found);
        }
    }
    untrusted(model, found);
}

/// Fields of the blocks around a location that its own `proxy_set_header` drops.
fn lost(route: &Route<'_>, found: &mut Found) -> Vec<String> {
    let names = |level: LevelId, name: &str| -> BTreeSet<String> {
        let own = route.model.own(level).iter().filter(|it| it.name == name);
        own.filter_map(|it| it.argument(0)).map(str::to_ascii_lowercase).collect()
    };
    let own = names(route.level(), "proxy_set_header");
    if own.is_empty() {
        return Vec::new();
    }
    let around =
        route.model.chain(route.level()).skip(1).map(|level| names(level, "proxy_set_header"));
    let Some(outer) = around.into_iter().find(|names| !names.is_empty()) else { return Vec::new() };
    let lost: Vec<String> =
        outer.difference(&own).filter(|name| MATTER.contains(&&***name)).cloned().collect();
    if !lost.is_empty() {
        let at = route
            .model
            .effective(route.level(), "proxy_set_header")
            .map_or_else(|| route.at(), |it| &it.at);
        found.add("fields-lost", at, format!("{} loses {}", route.location.shown, lost.join(", ")));
    }
    lost
}

/// Fields that nodes need and do not get.
fn missing(route: &Route<'_>, pass: &Directive, lost: &[String], found: &mut Found) {
    let is_sent = |name: &str| route.sets(name).is_some() || lost.iter().any(|it| it == name);
    let what = || format!("{}: {}", route.location.shown, pass.shown());
    if !is_sent("host") {
        found.add("host-missing", &pass.at, what());
    }
    if !is_sent("x-forwarded-for") {
        found.add("forwarded-for-missing", &pass.at, what());
    }
    let is_behind_proxy = route.model.effective(route.level(), "set_real_ip_from").is_some();
    let appending = route.sets("x-forwarded-for").filter(|it| {
        it.argument(1).is_some_and(|value| value.contains("$proxy_add_x_forwarded_for"))
    });
    if let Some(directive) = appending.filter(|_| !is_behind_proxy) {
        found.add("client-address-forged", &directive.at, directive.shown());
    }
    let ends_tls = route.server.listens.iter().any(|listen| listen.is_tls);
    if ends_tls && !is_sent("x-forwarded-proto") {
        found.add("forwarded-proto-missing", &pass.at, what());
    }
}

/// Fields that are set twice at one level.
fn twice(route: &Route<'_>, found: &mut Found) {
    let mut seen: Vec<(String, &str)> = Vec::new();
    for (name, value, directive) in route.sent() {
        let earlier = seen.iter().find(|(other, _)| *other == name);
        if let Some((_, other)) = earlier {
            // nginx does not send a field without a value, so one of two counts.
            let level = match value.is_empty() || other.is_empty() {
                true => crate::nginx::finding::Level::Hint,
                false => crate::nginx::finding::Level::BreaksWhen,
            };
            found.add_as(
                level,
                "field-twice",
                &directive.at,
                format!("{}: {name} is set twice", directive.shown()),
            );
        }
        seen.push((name, value));
    }
}

fn cors(route: &Route<'_>, found: &mut Found) {
    let added = |name: &str| {
        let all = route.model.effective_all(route.level(), "add_header").into_iter();
        let mut all =
            all.filter(|it| it.argument(0).is_some_and(|field| field.eq_ignore_ascii_case(name)));
        all.next()
    };
    let Some(origin) = added("access-control-allow-origin") else { return };
    let has_credentials = added("access-control-allow-credentials").is_some();
    if origin.argument(1) == Some("*") && has_credentials {
        found.add("cors-any-with-credentials", &origin.at, origin.shown());
    }
    let hidden = route.model.effective_all(route.level(), "proxy_hide_header").into_iter();
    let mut hidden = hidden.filter_map(|it| it.argument(0));
    if !hidden.any(|field| field.eq_ignore_ascii_case("access-control-allow-origin")) {
        found.add("cors-twice", &origin.at, origin.shown());
    }
}

/// Fields for browsers that a location drops.
fn response(route: &Route<'_>, found: &mut Found) {
    let names = |level: LevelId| -> BTreeSet<String> {
        let own = route.model.own(level).iter().filter(|it| it.name == "add_header");
        own.filter_map(|it| it.argument(0)).map(str::to_ascii_lowercase).collect()
    };
    let own = names(route.level());
    let around =
        route.model.chain(route.level()).skip(1).map(names).find(|names| !names.is_empty());
    let Some(outer) = around.filter(|_| !own.is_empty()) else { return };
    let lost: Vec<&String> = outer.difference(&own).collect();
    if !lost.is_empty() {
        let at = route
            .model
            .effective(route.level(), "add_header")
            .map_or_else(|| route.at(), |it| &it.at);
        let lost: Vec<&str> = lost.iter().map(|name| &***name).collect();
        found.add(
            "response-fields-lost",
            at,
            format!("{} loses {}", route.location.shown, lost.join(", ")),
        );
    }
}

/// `real_ip_header` where nobody is trusted.
fn untrusted(model: &Model, found: &mut Found) {
    for index in 0..model.levels.len() {
        let level = LevelId(index);
        let own = model.own(level).iter().find(|it| it.name == "real_ip_header");
        let Some(directive) = own else { continue };
        let is_inside = |server: &crate::nginx::model::Server| {
            model.chain(server.level).any(|it| it == level)
                && model.effective(server.level, "set_real_ip_from").is_some()
        };
        let is_trusted = model.effective(level, "set_real_ip_from").is_some()
            || model.servers.iter().any(is_inside);
        if !is_trusted {
            found.add("real-ip-untrusted", &directive.at, directive.shown());
        }
    }
}

/// The fields whose loss people notice.
const MATTER: [&str; 9] = [
    "connection",
    "host",
    "upgrade",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-proto",
    "x-real-ip",
    "authorization",
];
