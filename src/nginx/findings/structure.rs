//! What nginx refuses to load because something is not there, is there twice, or has too many words.
//!
//! Pure. Runs at start, at reload, or on a timer.

use std::collections::BTreeSet;

use super::Found;
use super::loading::each;
use crate::nginx::finding::Level;
use crate::nginx::model::Model;
use crate::nginx::tree::Directive;

pub(super) fn look(directives: &[Directive], model: &Model, found: &mut Found) {
    let has = |name: &str| directives.iter().find(|it| it.name == name);
    if let (Some(http), None) = (has("http"), has("events")) {
        found.add("events-missing", &http.at, "there is http and no events");
    }
    zones(directives, has("http").is_some() && has("events").is_some(), found);
    let mut names = BTreeSet::new();
    for upstream in &model.upstreams {
        if !names.insert(&*upstream.name) {
            found.add("upstream-twice", &upstream.at, format!("upstream {}", upstream.name));
        }
    }
    listens(model, found);
    arguments(directives, found);
}

/// `limit_req`, `limit_conn` and `proxy_cache` whose zone nothing defines.
fn zones(directives: &[Directive], is_whole: bool, found: &mut Found) {
    let (mut defined, mut used) = (BTreeSet::new(), Vec::new());
    each(directives, &mut |directive| {
        let zone = |key: &str| {
            let text = directive.texts().find_map(|text| text.strip_prefix(key))?;
            text.split(':').next().map(str::to_owned)
        };
        match &*directive.name {
            "limit_req_zone" | "limit_conn_zone" => defined.extend(zone("zone=")),
            "proxy_cache_path" => defined.extend(zone("keys_zone=")),
            "limit_req" => used.extend(zone("zone=").map(|name| (name, directive.clone()))),
            "limit_conn" | "proxy_cache" => {
                let name = directive.argument(0).filter(|it| *it != "off" && !it.contains('$'));
                used.extend(name.map(|name| (name.to_owned(), directive.clone())));
            }
            _ => (),
        }
    });
    let level = if is_whole { Level::Breaks } else { Level::BreaksWhen };
    for (_, directive) in used.iter().filter(|(name, _)| !defined.contains(name)) {
        found.add_as(level, "zone-unknown", &directive.at, directive.shown());
    }
}

/// An address that one server has twice, or a port with two default servers.
fn listens(model: &Model, found: &mut Found) {
    let mut defaults = BTreeSet::new();
    for server in &model.servers {
        let mut own = BTreeSet::new();
        for listen in server.listens.iter().filter(|listen| !listen.is_quic) {
            let Some(address) = listen.address else { continue };
            let shown = std::net::SocketAddr::new(address, listen.port).to_string();
            let is_twice = !own.insert(shown.clone());
            if is_twice || listen.is_default && !defaults.insert(shown.clone()) {
                let default = if is_twice { "" } else { " default_server" };
                found.add("listen-twice", &listen.at, format!("listen {shown}{default}"));
            }
        }
    }
}

/// Directives with more or fewer words than they may have.
fn arguments(directives: &[Directive], found: &mut Found) {
    for directive in directives {
        let bounds = ARGUMENTS.iter().find(|(name, ..)| *name == directive.name);
        let count = directive.arguments.len();
        if bounds.is_some_and(|(_, least, most)| !(*least..=*most).contains(&count)) {
            found.add("arguments", &directive.at, directive.shown());
        }
        let is_block = ["http", "server", "location", "upstream", "if", "limit_except"]
            .contains(&&*directive.name);
        if is_block {
            arguments(directive.children(), found);
        }
    }
}

/// The fewest and the most words behind some names.
const ARGUMENTS: [(&str, usize, usize); 34] = [
    ("add_header", 2, 3),
    ("alias", 1, 1),
    ("auth_basic", 1, 1),
    ("auth_basic_user_file", 1, 1),
    ("auth_request", 1, 1),
    ("client_max_body_size", 1, 1),
    ("gzip", 1, 1),
    ("include", 1, 1),
    ("internal", 0, 0),
    ("ip_hash", 0, 0),
    ("keepalive", 1, 1),
    ("least_conn", 0, 0),
    ("listen", 1, usize::MAX),
    ("proxy_buffering", 1, 1),
    ("proxy_connect_timeout", 1, 1),
    ("proxy_hide_header", 1, 1),
    ("proxy_http_version", 1, 1),
    ("proxy_pass", 1, 1),
    ("proxy_read_timeout", 1, 1),
    ("proxy_redirect", 1, 2),
    ("proxy_request_buffering", 1, 1),
    ("proxy_send_timeout", 1, 1),
    ("proxy_set_header", 2, 2),
    ("return", 1, 2),
    ("rewrite", 2, 3),
    ("root", 1, 1),
    ("sendfile", 1, 1),
    ("server_name", 1, usize::MAX),
    ("set", 2, 2),
    ("ssl_certificate", 1, 1),
    ("ssl_certificate_key", 1, 1),
    ("ssl_protocols", 1, usize::MAX),
    ("try_files", 2, usize::MAX),
    ("worker_connections", 1, 1),
];
