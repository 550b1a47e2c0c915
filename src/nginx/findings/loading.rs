//! What nginx refuses to load.
//!
//! Pure. Runs at start, at reload, or on a timer.

use std::collections::BTreeSet;

use super::Found;
use crate::nginx::finding::Level;
use crate::nginx::model::{Location, LocationKind, Method, Model, Part, parts};
use crate::nginx::tree::Directive;

pub(super) fn look(directives: &[Directive], model: &Model, found: &mut Found) {
    // A whole configuration; parts of one may have the rest elsewhere.
    let is_whole = directives.iter().any(|it| it.name == "http")
        && directives.iter().any(|it| it.name == "events");
    inside(directives, None, found);
    for level in &model.levels {
        once(&level.own, found);
    }
    for server in &model.servers {
        locations(&server.locations, found);
        for location in server.all_locations() {
            path_in_target(model, location, found);
        }
        let has_certificate = ["ssl_certificate", "ssl_reject_handshake"]
            .iter()
            .any(|name| model.effective(server.level, name).is_some());
        let tls = server.listens.iter().find(|listen| listen.is_tls && !listen.is_quic);
        if let Some(listen) = tls.filter(|_| !has_certificate && !model.is_snippet) {
            let level = if is_whole { Level::Breaks } else { Level::BreaksWhen };
            found.add_as(
                level,
                "no-certificate",
                &listen.at,
                format!("listen {} ssl", listen.port),
            );
        }
    }
    for upstream in &model.upstreams {
        let is_hash = matches!(upstream.method, Method::IpHash | Method::Hash(_) | Method::Random);
        // nginx reads the servers with the method that stands above them.
        let method = upstream
            .directives
            .iter()
            .find(|it| matches!(&*it.name, "ip_hash" | "hash" | "random"));
        let comes_behind = |it: &Directive| method.is_some_and(|method| method.at < it.at);
        let mut backups = upstream.servers.iter().filter(|server| server.is_backup && is_hash);
        if let Some(server) = backups.find(|server| comes_behind(&server.directive)) {
            found.add("backup-with-hash", &server.directive.at, server.directive.shown());
        }
    }
    variables(directives, is_whole, found);
}

/// Directives in blocks where they cannot be.
fn inside(directives: &[Directive], block: Option<&str>, found: &mut Found) {
    for directive in directives {
        let name = &*directive.name;
        let is_misplaced = match block {
            Some("if") => matches!(
                name,
                "proxy_set_header"
                    | "proxy_http_version"
                    | "location"
                    | "try_files"
                    | "limit_req"
                    | "proxy_buffering"
                    | "proxy_read_timeout"
                    | "server"
            ),
            Some("server") => {
                ONLY_HTTP.contains(&name)
                    || name == "proxy_pass"
                    || name == "server" && directive.block.is_some()
            }
            Some("location") => {
                ONLY_HTTP.contains(&name) || matches!(name, "server" | "listen" | "server_name")
            }
            Some("http") => matches!(
                name,
                "proxy_pass" | "try_files" | "return" | "rewrite" | "listen" | "server_name"
            ),
            _ => false,
        };
        if is_misplaced {
            let what = format!("{} in {}", directive.shown(), block.unwrap_or_default());
            found.add("misplaced", &directive.at, what);
        }
        if INVENTED.contains(&name) {
            found.add("unknown-directive", &directive.at, directive.shown());
        }
        let is_old = name == "ssl" && directive.argument(0) == Some("on")
            || name == "listen" && directive.texts().any(|text| text == "spdy");
        if is_old {
            found.add("old-words", &directive.at, directive.shown());
        }
        if directive.block.is_some()
            && matches!(name, "http" | "server" | "location" | "if" | "limit_except")
        {
            inside(directive.children(), Some(name), found);
        }
    }
}

/// Directives that may be there once.
fn once(own: &[Directive], found: &mut Found) {
    let mut seen = BTreeSet::new();
    for directive in own.iter().filter(|it| ONCE.contains(&&*it.name)) {
        if !seen.insert(&*directive.name) {
            found.add("directive-twice", &directive.at, directive.shown());
        }
    }
}

fn locations(locations: &[Location], found: &mut Found) {
    let mut seen = BTreeSet::new();
    for location in locations {
        let kind = match location.kind {
            LocationKind::Exact => "=",
            LocationKind::Prefix | LocationKind::PrefixFirst => "",
            // nginx takes these twice.
            LocationKind::Named | LocationKind::Regex | LocationKind::RegexIgnoreCase => continue,
        };
        if !seen.insert((kind, &*location.pattern)) {
            found.add("location-twice", &location.at, location.shown.clone());
        }
        self::locations(&location.nested, found);
    }
}

/// `proxy_pass` with a path in an expression, a named location, `if` or `limit_except`.
fn path_in_target(model: &Model, location: &Location, found: &mut Found) {
    let has_path = |pass: &&Directive| {
        let target = pass.argument(0).unwrap_or_default();
        let rest = target.split_once("://").map_or("", |(_, rest)| rest);
        rest.contains('/') && !target.contains('$') && !rest.starts_with("unix:")
    };
    let own = model.own(location.level);
    let is_pass = |it: &&Directive| it.name == "proxy_pass";
    if location.kind.is_regex() || location.kind == LocationKind::Named {
        for pass in own.iter().filter(is_pass).filter(has_path) {
            found.add(
                "uri-not-allowed",
                &pass.at,
                format!("{} in {}", pass.shown(), location.shown),
            );
        }
    }
    for block in own.iter().filter(|it| matches!(&*it.name, "if" | "limit_except")) {
        for pass in block.children().iter().filter(is_pass).filter(has_path) {
            found.add("uri-not-allowed", &pass.at, format!("{} in {}", pass.shown(), block.name));
        }
    }
}

/// Variables in fields that nothing sets.
fn variables(directives: &[Directive], is_whole: bool, found: &mut Found) {
    let mut set = BTreeSet::new();
    let mut used = Vec::new();
    each(directives, &mut |directive| {
        definitions(directive, &mut set);
        let is_field = directive.name == "proxy_set_header"
            && directive.argument(0).is_some_and(|name| {
                ["connection", "upgrade"].contains(&&*name.to_ascii_lowercase())
            });
        if is_field {
            used.push(directive.clone());
        }
    });
    for directive in used {
        let value = directive.argument(1).unwrap_or_default();
        let unknown = parts(value).into_iter().find_map(|part| match part {
            Part::Variable(name) if !is_built_in(name) && !set.contains(name) => {
                Some(name.to_owned())
            }
            Part::Variable(_) | Part::Text(_) => None,
        });
        if let Some(name) = unknown {
            let level = if is_whole { Level::Breaks } else { Level::BreaksWhen };
            found.add_as(
                level,
                "unknown-variable",
                &directive.at,
                format!("${name} is not in this file"),
            );
        }
    }
}

pub(super) fn each(directives: &[Directive], see: &mut impl FnMut(&Directive)) {
    for directive in directives {
        see(directive);
        each(directive.children(), see);
    }
}

/// The variables that `directive` sets.
fn definitions(directive: &Directive, set: &mut BTreeSet<String>) {
    let position = match &*directive.name {
        "set" | "auth_request_set" | "perl_set" | "js_set" | "set_by_lua_block" | "set_by_lua"
        | "set_by_lua_file" => Some(0),
        "map" | "split_clients" => Some(1),
        "geo" | "geoip2" => Some(directive.arguments.len().saturating_sub(1)),
        _ => None,
    };
    let variable = position.and_then(|position| directive.argument(position));
    set.extend(variable.map(|name| name.trim_start_matches('$').to_owned()));
    // Groups of expressions.
    for text in directive.texts() {
        for (_, rest) in
            text.match_indices("(?").filter_map(|(at, _)| text.split_at_checked(at + 2))
        {
            let name = rest
                .trim_start_matches('P')
                .strip_prefix('<')
                .and_then(|rest| rest.split('>').next());
            set.extend(name.map(str::to_owned));
        }
    }
}

fn is_built_in(name: &str) -> bool {
    let families = [
        "http_",
        "arg_",
        "cookie_",
        "sent_http_",
        "upstream_",
        "ssl_",
        "proxy_",
        "request",
        "remote_",
        "server_",
    ];
    let is_digit = name.bytes().all(|byte| byte.is_ascii_digit());
    // A map that is called like a family: nginx has no such variable itself.
    let is_invented =
        matches!(name, "proxy_connection" | "upstream_connection" | "http_connection_upgrade");
    is_digit
        || !is_invented
            && (families.iter().any(|family| name.starts_with(family)) || BUILT_IN.contains(&name))
}

/// Directives of `http` alone.
const ONLY_HTTP: [&str; 9] = [
    "limit_req_zone",
    "limit_conn_zone",
    "map",
    "upstream",
    "log_format",
    "proxy_cache_path",
    "geo",
    "split_clients",
    "http",
];

/// Names that people write and nginx does not have, or only with a licence or a module.
const INVENTED: [&str; 10] = [
    "proxy_response_buffering",
    "proxy_websocket",
    "proxy_websockets",
    "websocket",
    "websockets",
    "health_check",
    "proxy_upgrade",
    "enable_websocket",
    "proxy_timeout_read",
    "proxy_keepalive_timeout",
];

/// Directives that nginx refuses to see twice in one block.
const ONCE: [&str; 11] = [
    "proxy_pass",
    "proxy_http_version",
    "proxy_read_timeout",
    "proxy_send_timeout",
    "proxy_connect_timeout",
    "proxy_buffering",
    "client_max_body_size",
    "root",
    "try_files",
    "ssl_certificate_by_lua_block",
    "proxy_request_buffering",
];

const BUILT_IN: [&str; 12] = [
    "args",
    "uri",
    "host",
    "hostname",
    "scheme",
    "is_args",
    "query_string",
    "document_uri",
    "connection",
    "connection_requests",
    "msec",
    "https",
];
