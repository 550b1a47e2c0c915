//! Mistakes in how a server is chosen and connected to.
//!
//! Pure. Runs at start, at reload, or on a timer.

use super::Found;
use super::route::{Ask, Route, Serves, names_upgrade};
use crate::nginx::finding::Level;
use crate::nginx::model::{Method, Upstream};
use crate::nginx::tree::Directive;

pub(super) fn look(routes: &[Route<'_>], found: &mut Found) {
    for route in routes {
        let Some((pass, (host, _))) = route.pass.zip(route.target()) else { continue };
        let name = host.split(':').next().unwrap_or_default();
        match route.model.upstream(&host).or_else(|| route.model.upstream(name)) {
            Some(upstream) => {
                if route.is_realtime() {
                    stickiness(route, upstream, found);
                }
                keepalive(route, upstream, found);
                for server in &upstream.servers {
                    local(&server.address, &server.directive, found);
                }
            }
            None => {
                local(&host, pass, found);
                if route.is_realtime() && stands_for_several(name) {
                    found.add("one-name", &pass.at, pass.shown());
                }
            }
        }
        tls(route, pass, &host, found);
    }
}

fn stickiness(route: &Route<'_>, upstream: &Upstream, found: &mut Found) {
    let usable =
        upstream.servers.iter().filter(|server| !server.is_down && !server.is_backup).count();
    if usable < 2 {
        let only = upstream.servers.first().filter(|_| upstream.servers.len() == 1);
        if let Some(server) = only.filter(|it| it.is_resolved || stands_for_several(&it.address)) {
            found.add("one-name", &server.directive.at, server.directive.shown());
        }
        return;
    }
    let of_address = match &upstream.method {
        Method::IpHash => true,
        Method::Hash(key) => key.contains("remote_addr"),
        Method::RoundRobin
        | Method::LeastConnections
        | Method::Random
        | Method::StickyCookie(_)
        | Method::StickyOther => false,
    };
    if of_address {
        let is_method = |it: &&Directive| matches!(&*it.name, "ip_hash" | "hash");
        let at = upstream.directives.iter().find(is_method).map_or(&upstream.at, |it| &it.at);
        let what = format!("upstream {} is selected by the client's address", upstream.name);
        let level = if has_proxy_before(route) { Level::BreaksWhen } else { Level::Hint };
        found.add_as(level, "address-affinity", at, what);
    } else if !upstream.is_sticky() && route.serves != Serves::WebSocket {
        let what = format!("upstream {} has {usable} servers", upstream.name);
        let level =
            if route.serves == Serves::EngineIo { Level::Breaks } else { Level::BreaksWhen };
        let is_known = found
            .findings
            .iter()
            .any(|it| it.id == "not-sticky" && it.at.as_ref() == Some(&upstream.at));
        if level == Level::Breaks && is_known {
            found
                .findings
                .retain(|it| it.id != "not-sticky" || it.at.as_ref() != Some(&upstream.at));
        }
        if level == Level::Breaks || !is_known {
            found.add_as(level, "not-sticky", &upstream.at, what);
        }
    }
}

/// Whether another proxy stands before nginx, whose address nginx takes for that of all clients.
fn has_proxy_before(route: &Route<'_>) -> bool {
    let is_known = route.model.effective(route.level(), "set_real_ip_from").is_some();
    let reads = |text: &str| {
        ["$http_x_forwarded", "$http_cf_", "$http_x_real"].iter().any(|name| text.contains(name))
    };
    let of_maps = route.model.maps.iter().any(|map| reads(&map.source));
    let of_fields = route.sent().iter().any(|(_, value, _)| reads(value));
    !is_known
        && (of_maps
            || of_fields
            || route.server.listens.iter().any(|listen| listen.has_proxy_header))
}

fn keepalive(route: &Route<'_>, upstream: &Upstream, found: &mut Found) {
    let Some(keepalive) = upstream.directives.iter().find(|it| it.name == "keepalive") else {
        return;
    };
    let is_1_0 = route.setting("proxy_http_version").is_none_or(|version| version == "1.0");
    let connection = route.value("connection", Ask::Plain);
    let closes = match route.sets("connection") {
        None => true,
        Some(_) => connection
            .as_deref()
            .is_some_and(|it| it.eq_ignore_ascii_case("close") || names_upgrade(it)),
    };
    if is_1_0 || closes {
        let what = format!("{} is not used by {}", keepalive.shown(), route.location.shown);
        found.add("keepalive-unused", &keepalive.at, what);
    }
}

fn local(address: &str, directive: &Directive, found: &mut Found) {
    if address == "localhost" || address.starts_with("localhost:") {
        found.add("localhost", &directive.at, directive.shown());
    }
}

fn tls(route: &Route<'_>, pass: &Directive, host: &str, found: &mut Found) {
    let is_tls = pass.argument(0).is_some_and(|target| target.starts_with("https://"));
    let is_address =
        host.rsplit_once(':').map_or(host, |(host, _)| host).parse::<std::net::IpAddr>().is_ok();
    if is_tls && !is_address && route.setting("proxy_ssl_server_name") != Some("on") {
        found.add("no-sni", &pass.at, pass.shown());
    }
}

/// Whether `name` is one of a cluster, which usually stands for several servers.
fn stands_for_several(name: &str) -> bool {
    let host = name.split(':').next().unwrap_or_default();
    host.contains(".svc.")
        || host.ends_with(".svc")
        || host.starts_with("tasks.")
        || host.ends_with("-headless")
}
