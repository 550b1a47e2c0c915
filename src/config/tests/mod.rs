//! What `config` takes, what it refuses, and in which words.

mod described;
mod docs;
mod generated;
mod hostile;
mod include;
mod include_places;
mod problems;
mod renames;
mod schema;
mod shipped;

use std::time::Duration;

use super::*;
use crate::affinity::Settings as Affinity;
use crate::affinity::settings::{CookieSettings, RendezvousKey, Secret, SidSettings, TagForm};
use crate::route::{HostPattern, PathPattern};
use crate::tunnel::{self, IdleTimeout, Keepalive, KeepaliveTimes, MessageMax, StalledClient};
use crate::yaml::{KeyPath, is_secret};

/// The upstream with this `affinity:`.
fn affinity(written: &str) -> Affinity {
    let text = format!(
        "upstreams: {{ a: {{ nodes: [b:1], affinity: {written} }} }}\nroutes: [{{ upstream: a }}]"
    );
    parse("a.yaml", &text).unwrap().upstreams[0].affinity.clone()
}

#[test]
fn the_minimal_configuration_has_all_defaults() {
    let config = parse(
        "a.yaml",
        "upstreams: { chat: { nodes: [Chat:3000] } }\nroutes: [{ upstream: chat }]",
    )
    .unwrap();

    assert_eq!(config.listeners, [listener::Settings::default()]);
    let [UpstreamSettings { upstream, affinity }] = &config.upstreams[..] else { panic!() };
    assert_eq!(*affinity, Affinity::default());
    assert_eq!(&*upstream.nodes[0].name, "Chat:3000");
    assert_eq!(upstream.nodes[0].address.to_string(), "chat:3000");
    assert_eq!(upstream.connect_timeout, upstream::Settings::CONNECT_TIMEOUT);
    let [route] = &config.routes[..] else { panic!() };
    assert_eq!(route.host, HostPattern::Any);
    assert_eq!(route.path, PathPattern::Prefix("/".into()));
    let upstream = route.target.upstream().unwrap();
    assert_eq!(upstream.limits, route::Limits::default());
    assert_eq!(upstream.tunnel, tunnel::Limits::default());
    assert_eq!(config.shutdown, shutdown::Settings::default());
    assert_eq!(config.log, logging::Settings::default());
}

#[test]
fn every_key_reaches_its_setting() {
    let config = parse(
        "a.yaml",
        r#"
listeners:
  - bind: "[::1]:81"
    trusted_proxies: [10.0.0.0/8, "::1"]
    header_timeout: 2s
    keep_alive_timeout: 3s
    keep_alive_requests: 4
upstreams:
  chat:
    nodes: [{ address: 10.0.0.2:3000, name: n2, weight: 2 }]
    connect_timeout: 250ms
routes:
  - host: "*.Example.com"
    path: { exact: /health }
    upstream: chat
    response_timeout: 4s
    request_body_timeout: 5s
    response_body_timeout: 6s
    body_max: 6KiB
    tunnel: { buffer: 8KiB }
shutdown: { delay: 9s, timeout: 10s }
log: { format: json, level: debug }
"#,
    )
    .unwrap();

    let listener = &config.listeners[0];
    assert_eq!(listener.bind.to_string(), "[::1]:81");
    assert_eq!(listener.trusted_proxies.len(), 2);
    assert_eq!(listener.header_timeout, Duration::from_secs(2));
    assert_eq!(listener.keep_alive_timeout, Duration::from_secs(3));
    assert_eq!(listener.keep_alive_requests.get(), 4);
    let upstream = &config.upstreams[0].upstream;
    assert_eq!((&*upstream.name, &*upstream.nodes[0].name), ("chat", "n2"));
    assert_eq!(upstream.nodes[0].weight, 2);
    assert_eq!(upstream.connect_timeout, Duration::from_millis(250));
    let route = &config.routes[0];
    assert_eq!(route.host, HostPattern::Below(".example.com".into()));
    assert_eq!(route.path, PathPattern::Exact("/health".into()));
    let route = route.target.upstream().unwrap();
    assert_eq!(&*route.name, "chat");
    assert_eq!(route.limits.response_timeout, Some(Duration::from_secs(4)));
    let seconds = Duration::from_secs;
    assert_eq!(route.limits.request_body_timeout, seconds(5));
    assert_eq!(route.limits.response_body_timeout, route::Silence::After(seconds(6)));
    assert_eq!(route.limits.body_bytes_max, Some(6 * 1024));
    assert_eq!(route.tunnel.buffer_bytes, 8 * 1024);
    assert_eq!(config.shutdown.delay, Duration::from_secs(9));
    assert_eq!(config.shutdown.timeout, Duration::from_secs(10));
    assert_eq!(config.log.format, logging::Format::Json);
    assert_eq!(config.log.level, tracing::Level::DEBUG);
}

#[test]
fn affinity_is_a_word_or_a_rule() {
    let secret = || vec![Secret("0123456789abcdef".into())];
    let cookie = |name: &str, keys| Affinity::Cookie(CookieSettings { name: name.into(), keys });

    assert_eq!(affinity("sid"), Affinity::default());
    assert_eq!(affinity("none"), Affinity::None);
    assert_eq!(affinity("cookie"), cookie("sockeye", Vec::new()));
    assert_eq!(
        affinity("{ sid: { keys: ['0123456789abcdef'], tag_eio3: true, tag: short } }"),
        Affinity::Sid(SidSettings { keys: secret(), tag_eio3: true, tag: TagForm::Short })
    );
    assert_eq!(
        affinity("{ cookie: { name: node, keys: ['0123456789abcdef'] } }"),
        cookie("node", secret())
    );
    assert_eq!(
        affinity("{ rendezvous: { by: address } }"),
        Affinity::Rendezvous(RendezvousKey::Address)
    );
    assert_eq!(
        affinity("{ rendezvous: { by: { header: X-User } } }"),
        Affinity::Rendezvous(RendezvousKey::Header(http::HeaderName::from_static("x-user")))
    );
    assert_eq!(
        affinity("{ rendezvous: { by: { query: room } } }"),
        Affinity::Rendezvous(RendezvousKey::Query("room".into()))
    );
}

/// The bounds of a route with this `tunnel:`.
fn limits(written: &str) -> tunnel::Limits {
    let text = format!(
        "upstreams: {{ a: {{ nodes: [b:1] }} }}\nroutes: [{{ upstream: a, tunnel: {written} }}]"
    );
    parse("a.yaml", &text).unwrap().routes[0].target.upstream().unwrap().tunnel
}

#[test]
fn every_key_of_a_tunnel_reaches_its_setting() {
    let written = "{ idle_timeout: 7s, idle_messages: 8s, buffer: 8KiB, message_max: 11B, \
                   keepalive: { every: 9s, lost_after: 10s }, messages_per_second: 12, \
                   control_frames_per_second: 15, stalled_client: 13s, max_age: 14s }";
    let expected = tunnel::Limits {
        idle_timeout: IdleTimeout::After(Duration::from_secs(7)),
        idle_messages: Some(Duration::from_secs(8)),
        keepalive: Keepalive::On(KeepaliveTimes {
            every: Duration::from_secs(9),
            lost_after: Duration::from_secs(10),
        }),
        message_max: MessageMax::Bytes(11),
        messages_per_second: Some(12),
        control_frames_per_second: Some(15),
        stalled_client: StalledClient::After(Duration::from_secs(13)),
        max_age: Some(Duration::from_secs(14)),
        buffer_bytes: 8 * 1024,
    };
    assert_eq!(limits(written), expected);
}

#[test]
fn what_can_be_off_or_automatic_is_so_when_written() {
    let auto = "{ idle_timeout: auto, idle_messages: off, keepalive: auto, message_max: auto, \
                messages_per_second: off, max_age: off }";
    assert_eq!(limits(auto), tunnel::Limits::default());
    let off = limits("{ keepalive: off, message_max: off }");
    assert_eq!((off.keepalive, off.message_max), (Keepalive::Off, MessageMax::Off));
    let half = limits("{ keepalive: { every: 9s } }").keepalive;
    let every = Duration::from_secs(9);
    assert_eq!(half, Keepalive::On(KeepaliveTimes { every, ..KeepaliveTimes::default() }));
}

#[test]
fn an_alias_repeats_what_its_anchor_says() {
    let config = parse(
        "a.yaml",
        "upstreams: { a: { nodes: [b:1] } }
routes:
  - { path: /a, upstream: a, tunnel: &slow { idle_timeout: off } }
  - { path: /b, upstream: a, tunnel: *slow }",
    )
    .unwrap();
    assert_eq!(config.routes[1].target.upstream().unwrap().tunnel.idle_timeout, IdleTimeout::Off);
}

#[test]
fn the_keys_of_secrets_are_secret_and_no_other() {
    for key in keys() {
        let last = key.rsplit('.').next().unwrap_or_default();
        // The paths of keys are none, but a key may be written in place of its path.
        let may_be = ["keys", "key", "key_file", "secrets", "passwords"].contains(&last)
            || last.ends_with("_keys");
        assert_eq!(is_secret(&KeyPath::root().key(last).index(0)), may_be, "{key}");
    }
}

#[test]
fn an_alias_of_a_secret_is_not_shown() {
    let text = "upstreams:
  a: { nodes: [b:1], affinity: { sid: { keys: &k [0123456789abcdef0123456789abcdef-hush] } } }
  b: { nodes: *k }
routes: [{ upstream: a, auth: { basic: { passwords: [&s hush] } } }, { path: /b, upstream: *s }]";
    let problems = parse("a.yaml", text).unwrap_err().to_string();
    assert!(problems.contains("repeats a secret by an alias"), "{problems}");
    assert!(!problems.contains("hush"), "{problems}");
}

#[test]
fn a_byte_order_mark_and_windows_line_ends_do_no_harm() {
    let text = "\u{feff}upstreams: { a: { nodes: [b:1] } }\r\nroutes: [{ upstream: a }]\r\n";
    assert_eq!(parse("a.yaml", text).unwrap().routes.len(), 1);
}
