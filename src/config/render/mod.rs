//! The way back: a [`Config`] as the file that says all of it, defaults included.
//!
//! The result can be parsed again and means the same, except for the secrets, which are hidden.
//!
//! Pure. Runs at start, at reload, or on a timer.

mod access;
mod acme;
mod admin;
mod fields;
mod node_tls;
mod tls;
mod upstream;

use std::net::SocketAddr;
use std::time::Duration;

use serde::Serialize;
use serde_yaml::Value;

use super::Config;
use super::file::listener::{self as keys, Listener};
use super::file::route::{Route, RoutePath, Tunnel};
use super::file::tracing::{Otlp, Tracing};
use super::file::{FORMAT, File, Log};
use crate::form::section;
use crate::route::PathPattern;
use crate::telemetry::{self, Sample};
use crate::yaml::units::{render_duration, render_size};
use crate::yaml::{Chosen, List, RawScalar, TextOr};
use crate::{listener, logging, route, site, tunnel};

impl Config {
    /// All of it, with the keys of the file and in their order. Secrets are hidden.
    pub fn render(&self) -> Value {
        let file = File {
            // What is included is shown as if it were written here.
            include: None,
            listeners: list(&self.listeners, listener),
            upstreams: Some(self.upstreams.iter().map(upstream::render).collect()),
            routes: list(&self.routes, route),
            error_pages: site::render_pages(&self.error_pages),
            acme: self.acme.as_ref().map(acme::render),
            client_limits: Some(section::write(&self.client_limits)),
            shutdown: Some(section::write(&self.shutdown)),
            admin: Some(admin::render(self.admin.as_ref())),
            log: Some(section::write(&self.log)),
            tracing: Some(tracing(&self.tracing)),
            ..section::write(&self.max_connections)
        };
        value(&file)
    }
}

/// `admin:` with this address alone.
pub(super) fn admin_bind(bind: Option<SocketAddr>) -> Value {
    value(&admin::at(bind))
}

/// `log:` with this format alone.
pub(super) fn log_format(format: logging::Format) -> Value {
    value(&Log { format: Some(FORMAT.render(&format)), level: None })
}

fn tracing(settings: &telemetry::Settings) -> Tracing {
    let share =
        |sample: Sample| RawScalar::new(f64::from(sample.millionths()) / f64::from(Sample::ALL));
    let otlp = settings.otlp.as_ref().map(|collector| {
        let tls = collector.tls.as_ref().map(|tls| node_tls::render(tls.settings()));
        let (url, ca) = (Some(collector.url.to_string()), tls.and_then(|tls| tls.ca));
        Chosen::Is(TextOr::Map(Otlp { url, ca }))
    });
    let sample = settings.sample.map_or_else(|| RawScalar::new("off"), share);
    Tracing { sample: Some(sample), otlp }
}

fn value(section: &impl Serialize) -> Value {
    let shown = serde_yaml::to_value(section).expect("its keys are text and its values plain");
    without_nulls(shown)
}

fn listener(settings: &listener::Settings) -> Listener {
    Listener {
        bind: Some(RawScalar::new(settings.bind)),
        tls: settings.tls.as_ref().map(|tls| tls::render(tls)),
        redirect_http: Some(match settings.redirect_http {
            None => RawScalar::new("off"),
            Some(443) => RawScalar::new("on"),
            Some(port) => RawScalar::new(port),
        }),
        trusted_proxies: list(&settings.trusted_proxies, ToString::to_string),
        http2: Some(keys::HTTP2.render(&settings.http2)),
        http2_streams_max: Some(keys::HTTP2_STREAMS_MAX.render(&settings.http2_streams_max)),
        proxy_protocol: Some(keys::PROXY_PROTOCOL.render(&settings.proxy_protocol)),
        max_connections: Some(keys::MAX_CONNECTIONS.render(&settings.max_connections)),
        head_max: Some(size(settings.head.bytes_max as u64)),
        head_fields_max: Some(RawScalar::new(settings.head.fields_max)),
        header_timeout: Some(duration(settings.header_timeout)),
        keep_alive_timeout: Some(duration(settings.keep_alive_timeout)),
        keep_alive_requests: Some(keys::KEEP_ALIVE_REQUESTS.render(&settings.keep_alive_requests)),
    }
}

fn route(settings: &route::Settings) -> Route {
    let upstream = settings.target.upstream();
    let pages = settings.error_pages.as_deref();
    let target = target(&settings.target);
    Route {
        host: Some(settings.host.to_string()),
        path: Some(match &settings.path {
            PathPattern::Prefix(prefix) => TextOr::Text(prefix.to_string()),
            PathPattern::Exact(exact) => {
                TextOr::Map(RoutePath { exact: Some(Chosen::Is(exact.to_string())), regex: None })
            }
            PathPattern::Regex(regex) => {
                TextOr::Map(RoutePath { exact: None, regex: Some(Chosen::Is(regex.to_string())) })
            }
        }),
        upstream: upstream.map(|upstream| Chosen::Is(upstream.name.to_string())),
        error_pages: pages.and_then(|rules| site::render_pages(&rules.pages)),
        intercept_errors: pages.filter(|_| upstream.is_some()).map(|rules| rules.replaces_nodes),
        compress: settings
            .compression
            .as_ref()
            .map(|compression| Chosen::Is(TextOr::Map(site::render_compression(compression)))),
        strip_prefix: settings.rewrite.as_ref().and_then(|it| it.stripped().map(str::to_owned)),
        add_prefix: settings.rewrite.as_ref().and_then(|it| it.added().map(str::to_owned)),
        request_headers: settings.changes.as_ref().and_then(|it| fields::render(&it.request)),
        response_headers: settings.changes.as_ref().and_then(|it| fields::render(&it.response)),
        cors: settings.changes.as_ref().and_then(|it| it.cors.as_ref()).map(fields::cors),
        deny: access::networks(&settings.access.deny),
        allow: access::networks(&settings.access.allow),
        origins: settings
            .access
            .origins
            .as_ref()
            .and_then(|origins| list(origins.rules(), ToString::to_string)),
        auth: settings.access.auth.as_ref().map(access::auth),
        tunnel: upstream.map(|upstream| tunnel(&upstream.tunnel)),
        files: target.files,
        redirect: target.redirect,
        respond: target.respond,
        ..upstream.map(|upstream| section::write(&upstream.limits)).unwrap_or_default()
    }
}

/// What is answered without a node.
fn target(settings: &route::TargetSettings) -> Route {
    let none = Route::default;
    match settings {
        route::TargetSettings::Upstream(_) => none(),
        route::TargetSettings::Files(files, _) => {
            Route { files: Some(Chosen::Is(site::render_files(files))), ..none() }
        }
        route::TargetSettings::Redirect(redirect) => {
            let to = Some(redirect.to.to_string());
            let status = Some(RawScalar::new(redirect.status.as_u16()));
            let redirect = site::keys::Redirect { to, status };
            Route { redirect: Some(Chosen::Is(redirect)), ..none() }
        }
        route::TargetSettings::Respond(respond) => {
            Route { respond: Some(Chosen::Is(site::render_respond(respond))), ..none() }
        }
    }
}

fn tunnel(limits: &tunnel::Limits) -> Tunnel {
    Tunnel {
        keepalive: Some(match limits.keepalive {
            tunnel::Keepalive::Auto => TextOr::Text("auto".to_owned()),
            tunnel::Keepalive::Off => TextOr::Text("off".to_owned()),
            tunnel::Keepalive::On(times) => TextOr::Map(section::write(&times)),
        }),
        ..section::write(limits)
    }
}

/// What stands before `chosen` in `known`.
fn word<T: PartialEq>(known: &[(&str, T)], chosen: T) -> Option<String> {
    known.iter().find(|(_, value)| *value == chosen).map(|(word, _)| (*word).to_owned())
}

fn list<T, U>(items: &[T], show: impl Fn(&T) -> U) -> List<U> {
    Some(items.iter().map(|item| Some(show(item))).collect())
}

fn duration(duration: Duration) -> RawScalar {
    RawScalar::new(render_duration(duration))
}

fn size(bytes: u64) -> RawScalar {
    RawScalar::new(render_size(bytes))
}

/// Keys without a value, which a person would not write.
fn without_nulls(value: Value) -> Value {
    match value {
        Value::Mapping(map) => {
            let entries = map.into_iter().filter(|(_, value)| !value.is_null());
            Value::Mapping(entries.map(|(key, value)| (key, without_nulls(value))).collect())
        }
        Value::Sequence(items) => Value::Sequence(items.into_iter().map(without_nulls).collect()),
        value @ (Value::Null
        | Value::Bool(_)
        | Value::Number(_)
        | Value::String(_)
        | Value::Tagged(_)) => value,
    }
}

#[cfg(test)]
mod tests {
    use super::upstream::HIDDEN;
    use crate::config::{Config, parse_alone as parse};

    /// What is shown of `text` means the same.
    fn check(text: &str) -> String {
        let config = parse("a.yaml", text).unwrap();
        let shown = serde_yaml::to_string(&config.render()).unwrap();
        match parse("shown.yaml", &shown) {
            // A warning says where.
            Ok(again) => {
                let warnings = again.warnings.len();
                assert_eq!(warnings, config.warnings.len(), "{shown}");
                assert_eq!(again, Config { warnings: again.warnings.clone(), ..config }, "{shown}");
            }
            Err(problems) => panic!("{problems}\n{shown}"),
        }
        shown
    }

    #[test]
    fn a_rendered_configuration_means_the_same() {
        let least = "upstreams: { chat: { nodes: [10.0.0.1:3000] } }\nroutes: [{ upstream: chat }]";
        let shown = check(least);
        for line in ["header_timeout: 10s", "idle_timeout: auto", "bind: off", "level: info"] {
            assert!(shown.contains(line), "{line} is not in\n{shown}");
        }
        check(
            "listeners:
  - { bind: '[::1]:80', trusted_proxies: [10.0.0.0/8], header_timeout: 1500ms, max_connections: 900, head_max: 16KiB, head_fields_max: 99 }
  - { bind: ':81', redirect_http: on }
  - { bind: ':82', redirect_http: 8443, tls: }
  - { bind: ':85', tls: { acme: [c.d] } }
  - { bind: ':83', tls: { chain: a.pem, tickets: off, min_version: 1.3, client_certificates: { mode: optional, ca: ca.pem, crl: [x.crl] } } }
  - { bind: ':84', tls: { certificates: [{ chain: /a/b.pem, key: /a/k.pem, ocsp: o.der }, { chain: c.pem }], tickets: { key_file: t }, handshakes_max: 20, acme: [a.b] } }
upstreams:
  a: { nodes: ['[0:0::1]:3000', 'Chat:1', { address: 'h:1', name: n1, weight: 7 }], connect_timeout: 1500ms, response_head_max: 8KiB, response_fields_max: 10 }
  b: { nodes: [h:1], affinity: { cookie: { name: c } } }
  c: { nodes: [h:1], affinity: { rendezvous: { by: address } } }
  d: { nodes: [h:1], affinity: { rendezvous: { by: { header: X-User-Id } } } }
  e: { nodes: [h:1], affinity: { rendezvous: { by: { query: room } } } }
  f: { nodes: [h:1], affinity: none }
  g: { nodes: [h:1], affinity: { sid: { tag_eio3: true } } }
  h: { nodes: [{ address: 'h:1', drain: true }], balance: round-robin, slow_start: off, max_connections: 7, health: off }
  i: { nodes: [h:1], balance: { rendezvous: { by: { cookie: user } } }, rebalance: { within: 5% } }
  j: { nodes: [h:1], health: { engineio: /e/, every: 1s, timeout: 1s, fail: 1, pass: 1, eject_after: off } }
  k: { nodes: [h:1], health: { http: { path: '/h?a=b', status: 204, body: ok, drain: leaving } } }
  l: { nodes: [h:1], admission: { handshakes_per_second: 9, node_handshakes_per_second: 3, hold: off, queue: 5 } }
  m: { nodes: [h:1], admission: { handshakes_per_second: 9, burst: 90 }, drain: { timeout: 1m, closes_per_second: 9 } }
  n: { discover: { dns: 'chat.internal:3000', every: 9s, server: '127.0.0.1:53' }, balance: random-two }
  o: { discover: { srv: _socketio._tcp.chat.internal }, tls: on }
  p: { discover: { dns: 'chat.internal.:3000' }, tls: { verify: on } }
  q: { nodes: [h:1], tls: { ca: ca.pem, server_name: '[::1]', client_certificate: { chain: c.pem, key: k.pem } } }
  r: { nodes: [h:1], tls: { verify: off, client_certificate: { chain: c.pem } } }
  s: { nodes: [h:1], tls: { verify: { fingerprints: [000102030405060708090a0b0c0d0e0f000102030405060708090a0b0c0d0e0f] } } }
  t: { nodes: [h:1], tls: off }
routes:
  - { host: '*.example.com', path: /a, upstream: a, body_max: 1MB, response_timeout: 2m }
  - { host: '[::1]', path: { exact: /b }, upstream: b, request_body_timeout: 1m30s, response_body_timeout: off }
  - { upstream: c, tunnel: { idle_timeout: off, buffer: 1MiB } }
  - { path: /d, upstream: d, tunnel: { idle_timeout: 90s, keepalive: { every: 10s } } }
  - { path: /e, upstream: d, tunnel: { keepalive: off, message_max: 1MiB, max_age: 1h } }
  - { path: /g, upstream: d, deny: [10.0.0.1], allow: [10.0.0.0/8], origins: [same-host, 'https://*.example.com:8443', 'null'] }
  - { path: /h, upstream: d, auth: { jwt: { pem_files: [/a.pem], jwks_file: /b.json, issuers: [i], audiences: [a], cookie: c, query: q, claims: [{ claim: sub, field: X-User-Id }], close_expired: true } } }
  - { path: /n, upstream: d, auth: { forward: 'https://a/b' } }
  - { path: /o, upstream: d, auth: { forward: { url: 'https://a', tls: { ca: ca.pem, server_name: b } } } }
  - { path: { regex: '^/v[0-9]+/' }, upstream: d }
  - { path: /m, upstream: d, cors: { origins: [any], methods: [GET], headers: [A], max_age: 0s } }
  - { path: /k, upstream: d, request_headers: { set: { Host: a.b, X-A: '${host}$${' }, remove: [Origin] } }
  - { path: /l, upstream: d, response_headers: { set: { A: 1 }, add: { A: '${header.x-a}' }, remove: [] } }
  - { path: /p/, files: { root: /srv/www, fallback: app/index.html, cache_control: 'max-age=60' } }
  - { path: /q/, files: { root: /srv/www, index: start.htm }, upstream: d, strip_prefix: /q }
  - { path: /r/, redirect: { to: 'https://${hostname}${target}', status: 301 }, compress: off }
  - { path: /s/, respond: { status: 503, body: soon, content_type: text/html } }
  - { path: /t/, upstream: d, error_pages: { 404: /a.html, 5xx: /b.txt }, intercept_errors: true, compress: on }
  - { path: /u/, upstream: d, compress: { codings: [br], min_size: 1B, types: [text/*, text/event-stream] } }
  - { path: /i/, upstream: d, strip_prefix: /i, add_prefix: /j/k/ }
  - { path: /f, upstream: d, tunnel: { messages_per_second: 200, idle_messages: 5m } }
error_pages: { 502: /c.json }
acme: { store: /s, directory: 'https://a/b', contact: [a@b.c], challenge: tls-alpn-01, ca: /ca.pem, eab: { kid: k, hmac_file: /f }, agree_to_terms: true }
max_connections: 5000
client_limits: { connections: 100, sessions_per_second: 5, requests_per_second: 50 }
admin: { bind: 127.0.0.1:9090 }
log: { format: json, level: debug }
",
        );
    }

    #[test]
    fn the_reference_means_the_same() {
        check(include_str!("../../../configs/reference.yaml"));
    }

    #[test]
    fn secrets_are_hidden() {
        let text = "upstreams:
  a: { nodes: [h:1], affinity: { sid: { keys: [0123456789abcdef] } } }
  b: { nodes: [h:1], affinity: { cookie: { keys: [0123456789abcdef] } } }
routes:
  - { upstream: a, auth: { jwt: { secrets: [0123456789abcdef0123456789abcdef] } } }";
        let shown = serde_yaml::to_string(&parse("a.yaml", text).unwrap().render()).unwrap();
        assert!(!shown.contains("0123456789abcdef"), "{shown}");
        assert_eq!(shown.matches(HIDDEN).count(), 3, "{shown}");
        let problems = parse("shown.yaml", &shown).unwrap_err().to_string();
        assert!(problems.contains("too short for a secret"), "{problems}");
    }
}
