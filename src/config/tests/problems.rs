//! The problems as an operator reads them: broken files, and all that is said of each.

use super::super::parse;

#[test]
fn a_wrong_route_is_told() {
    for (line, expected) in ROUTES {
        let text = format!("upstreams: {{ chat: {{ nodes: [b:1] }} }}\nroutes:\n- {{ {line} }}");
        check(&text, expected);
    }
}

#[test]
fn a_wrong_upstream_is_told() {
    for (line, expected) in UPSTREAMS {
        check(&with_upstream(line), expected);
    }
}

#[test]
fn a_wrong_affinity_is_told_without_its_secrets() {
    for (line, expected) in AFFINITIES {
        check(&with_upstream(line), expected);
    }
}

#[test]
fn wrong_listeners_and_logs_are_told_all_at_once() {
    for (text, expected) in FILES {
        check(text, expected);
    }
}

#[test]
fn what_is_no_configuration_is_told() {
    for (text, expected) in YAML {
        check(text, expected);
    }
}

#[test]
fn a_number_that_yaml_reads_otherwise_is_told() {
    let check = |text: &str, what: &str, help: &str| {
        let problems = parse("a.yaml", text).expect_err(text);
        let told: Vec<_> = problems.iter().map(|p| (&*p.what, p.help.as_deref())).collect();
        assert_eq!(told, [(what, Some(help))], "{text}");
    };
    let large = "write a smaller number, or in quotes if it is text";
    for number in ["18446744073709551616", "-99999999999999999999", "0xffffffffffffffffffff"] {
        let text = format!("max_connections: {number}");
        check(&text, "is too large for a number", large);
    }
    let hex = "upstreams: { 0x10: { nodes: [a:1] }, '16': { nodes: [b:1] } }\nroutes: []";
    check(hex, "has a key, 0x10, that is read as 16", "write \"0x10\"");
    let fraction = "upstreams: { 1.50: { nodes: [a:1] }, 1.5: { nodes: [b:1] } }\nroutes: []";
    check(fraction, "has a key, 1.50, that is read as 1.5", "write \"1.50\"");
    check("True: 1", "has a key, True, that is read as true", "write \"True\"");
    for fine in ["1", "16", "1.5", "'0x10'", "true", "2nd", "Test"] {
        let text = format!("upstreams: {{ {fine}: {{ nodes: [a:1] }} }}\nroutes: [{{ upstream: ");
        parse("a.yaml", &format!("{text}'{}' }}]", fine.trim_matches('\''))).expect(fine);
    }
}

#[test]
fn addresses_that_cannot_be_had_together_are_told() {
    let check = |text: &str, expected: &[(&str, &str, &str)]| {
        let rest = "upstreams: { a: { nodes: [b:1] } }\nroutes: [{ upstream: a }]";
        let problems = match parse("a.yaml", &format!("{text}\n{rest}")) {
            Ok(_) => Vec::new(),
            Err(problems) => problems.iter().cloned().collect(),
        };
        let told = problems.iter().map(|problem| {
            (&*problem.path, &*problem.what, problem.help.as_deref().unwrap_or_default())
        });
        assert_eq!(told.collect::<Vec<_>>(), expected, "{text}");
    };
    check("listeners: [{ bind: ':80' }, { bind: ':81' }]\nadmin: { bind: ':82' }", &[]);
    check("listeners: [{ bind: ':0' }, { bind: ':0' }]\nadmin: { bind: ':0' }", &[]);
    let first = "overlaps with listeners[0].bind (line 1)";
    check(
        "listeners: [{ bind: ':80' }, { bind: '127.0.0.1:80' }]",
        &[("listeners[1].bind", first, "0.0.0.0 takes 127.0.0.1 too: take one of the two out")],
    );
    check(
        "listeners: [{ bind: '127.0.0.1:80' }]\nadmin: { bind: '[::]:80' }",
        &[("admin.bind", first, ":: takes 127.0.0.1 too: take one of the two out")],
    );
    let same = "is the same as listeners[0].bind (line 1)";
    check(
        "listeners: [{ bind: ':80' }]\nadmin: { bind: ':80' }",
        &[("admin.bind", same, "take one of the two out")],
    );
    check(
        "admin: { bind: '127.0.0.1:8080' }",
        &[(
            "admin.bind",
            "overlaps with listeners",
            "0.0.0.0 takes 127.0.0.1 too: take one of the two out",
        )],
    );
}

#[test]
fn an_empty_key_that_says_something_is_told() {
    let check = |upstream: &str, path: &str, help: &str| {
        let text = with_upstream(&format!("{{ nodes: [b:1], {upstream} }}"));
        let problems = parse("a.yaml", &text).unwrap_err();
        let told = problems.iter().map(|problem| (&*problem.path, problem.help.as_deref()));
        let path = format!("upstreams.chat.{path}");
        assert_eq!(told.collect::<Vec<_>>(), [(&*path, Some(help))], "{upstream}");
    };
    check("affinity: { sid: }", "affinity.sid", "write sid: {}, or affinity: sid");
    check("affinity: { cookie: }", "affinity.cookie", "write cookie: {}, or affinity: cookie");
    check("health: { http: }", "health.http", "write http: { path: /health }");
    check("health: { engineio: }", "health.engineio", "write engineio: /socket.io/");
    let by = "write rendezvous: { by: address }";
    check("balance: { rendezvous: }", "balance.rendezvous", by);
    check("affinity: { rendezvous: }", "affinity.rendezvous", by);
    let header = "balance.rendezvous.by.header";
    check("balance: { rendezvous: { by: { header: } } }", header, "write header: X-User-Id");
}

fn with_upstream(line: &str) -> String {
    format!("routes: [{{ upstream: chat }}]\nupstreams:\n  chat:\n    {line}")
}

fn check(text: &str, expected: &str) {
    let shown = parse("a.yaml", text).unwrap_err().to_string();
    assert_eq!(shown, expected.trim_start_matches('\n'), "of\n{text}");
}

/// A route after a right upstream.
const ROUTES: &[(&str, &str)] = &[
    (
        "upstream: chta",
        "
a.yaml:3:15: routes[0].upstream: `chta` is not an upstream
 3 | - { upstream: chta }
   |               ^^^^
   = help: write chat
1 problem in a.yaml",
    ),
    (
        "upstreem: chat",
        "
a.yaml:3:5: routes[0].upstreem: is not a known key
 3 | - { upstreem: chat }
   |     ^^^^^^^^
   = help: write upstream
1 problem in a.yaml",
    ),
    (
        "upstream: billing",
        "
a.yaml:3:15: routes[0].upstream: `billing` is not an upstream
 3 | - { upstream: billing }
   |               ^^^^^^^
   = help: write one of: chat
1 problem in a.yaml",
    ),
    (
        "timeout: 5s, upstream: chat",
        "
a.yaml:3:5: routes[0].timeout: is not a known key
 3 | - { timeout: 5s, upstream: chat }
   |     ^^^^^^^
   = help: write one of: host, path, upstream, response_timeout, request_body_timeout, response_body_timeout, body_timeout, body_max, tunnel
1 problem in a.yaml",
    ),
    (
        "path: socket.io/, upstream: chat",
        "
a.yaml:3:11: routes[0].path: `socket.io/` does not begin with a slash
 3 | - { path: socket.io/, upstream: chat }
   |           ^^^^^^^^^^
   = help: write /socket.io/
1 problem in a.yaml",
    ),
    (
        "path: /chat/*, upstream: chat",
        "
a.yaml:3:11: routes[0].path: `/chat/*` ends with `*`, and a path is a prefix as it is
 3 | - { path: /chat/*, upstream: chat }
   |           ^^^^^^^
   = help: write /chat/
1 problem in a.yaml",
    ),
    (
        "path: { exact: '/a?b' }, upstream: chat",
        "
a.yaml:3:20: routes[0].path.exact: `/a?b` has a '?', which no path has
 3 | - { path: { exact: '/a?b' }, upstream: chat }
   |                    ^^^^^^^
   = help: write the path as clients send it, percent-encoded, without query
1 problem in a.yaml",
    ),
    (
        "host: https://chat.example.com/x, upstream: chat",
        "
a.yaml:3:11: routes[0].host: `https://chat.example.com/x` is a URL, and a host is a name
 3 | - { host: https://chat.example.com/x, upstream: chat }
   |           ^^^^^^^^^^^^^^^^^^^^^^^^^^
   = help: write chat.example.com
1 problem in a.yaml",
    ),
    (
        "host: 'chat.example.com:443', upstream: chat",
        "
a.yaml:3:11: routes[0].host: `chat.example.com:443` has a port
 3 | - { host: 'chat.example.com:443', upstream: chat }
   |           ^^^^^^^^^^^^^^^^^^^^^^
   = help: write chat.example.com; the port is the listener's
1 problem in a.yaml",
    ),
    (
        "path: /",
        "
a.yaml:3:3: routes[0].upstream: is missing
 3 | - { path: / }
   |   ^
   = help: write upstream: NAME
1 problem in a.yaml",
    ),
    (
        "upstream: chat, response_timeout: 60",
        "
a.yaml:3:39: routes[0].response_timeout: `60` has no unit
 3 | - { upstream: chat, response_timeout: 60 }
   |                                       ^^
   = help: write 60s for seconds, or auto
1 problem in a.yaml",
    ),
    (
        "upstream: chat, request_body_timeout: off",
        "
a.yaml:3:43: routes[0].request_body_timeout: `off` is not a duration
 3 | - { upstream: chat, request_body_timeout: off }
   |                                           ^^^
   = help: write a whole number and its unit: 500ms, 30s, 10m, 1h or 1m30s
1 problem in a.yaml",
    ),
    (
        "upstream: chat, body_max: 1M",
        "
a.yaml:3:31: routes[0].body_max: `1M` is not a size
 3 | - { upstream: chat, body_max: 1M }
   |                               ^^
   = help: write a whole number and its unit: 512B, 64KiB, 1MiB, 1GiB or 1MB, or auto
1 problem in a.yaml",
    ),
    (
        "upstream: chat, tunnel: { idle_timeout: 500ms }",
        "
a.yaml:3:45: routes[0].tunnel.idle_timeout: `500ms` is too short
 3 | - { upstream: chat, tunnel: { idle_timeout: 500ms } }
   |                                             ^^^^^
   = help: write 1s to 24h, or auto or off
1 problem in a.yaml",
    ),
    (
        "upstream: chat, tunnel: { buffer: 1GiB }",
        "
a.yaml:3:39: routes[0].tunnel.buffer: `1GiB` is too large
 3 | - { upstream: chat, tunnel: { buffer: 1GiB } }
   |                                       ^^^^
   = help: write 4KiB to 16MiB
1 problem in a.yaml",
    ),
    (
        "upstream: chat, tunnel: { keepalive: on, message_max: 0B, messages_per_second: 0 }",
        "
a.yaml:3:42: routes[0].tunnel.keepalive: `on` is not a keepalive
 3 | - { upstream: chat, tunnel: { keepalive: on, message_max: 0B, messages_per_second: 0 } }
   |                                          ^^
   = help: write auto, off, or { every: 25s, lost_after: 20s }
a.yaml:3:59: routes[0].tunnel.message_max: `0B` is too small
 3 | - { upstream: chat, tunnel: { keepalive: on, message_max: 0B, messages_per_second: 0 } }
   |                                                           ^^
   = help: write 1B to 1024GiB, or auto or off
a.yaml:3:84: routes[0].tunnel.messages_per_second: `0` is not a rate
 3 | - { upstream: chat, tunnel: { keepalive: on, message_max: 0B, messages_per_second: 0 } }
   |                                                                                    ^
   = help: write a whole number from 1 to 1000000, or off
3 problems in a.yaml",
    ),
    (
        "upstream: chat, tunnel: { keepalive: { every: 0s }, stalled_client: off, max_age: 1000h }",
        "
a.yaml:3:51: routes[0].tunnel.keepalive.every: `0s` is too short
 3 | - { upstream: chat, tunnel: { keepalive: { every: 0s }, stalled_client: off, max_age: 1000h } }
   |                                                   ^^
   = help: write 1s to 1h
a.yaml:3:73: routes[0].tunnel.stalled_client: `off` is not a duration
 3 | - { upstream: chat, tunnel: { keepalive: { every: 0s }, stalled_client: off, max_age: 1000h } }
   |                                                                         ^^^
   = help: write a whole number and its unit: 500ms, 30s, 10m, 1h or 1m30s, or auto
a.yaml:3:87: routes[0].tunnel.max_age: `1000h` is too long
 3 | - { upstream: chat, tunnel: { keepalive: { every: 0s }, stalled_client: off, max_age: 1000h } }
   |                                                                                       ^^^^^
   = help: write 10s to 720h, or off
3 problems in a.yaml",
    ),
    (
        "upstream: chat, tunnel: off",
        "
a.yaml:3:29: routes[0].tunnel: `off` is not a map
 3 | - { upstream: chat, tunnel: off }
   |                             ^^^
   = help: write a map with any of these keys: idle_timeout, idle_messages, keepalive, message_max, messages_per_second, control_frames_per_second, stalled_client, max_age, buffer
1 problem in a.yaml",
    ),
    (
        "upstream: 5",
        "
a.yaml:3:15: routes[0].upstream: `5` is not text
 3 | - { upstream: 5 }
   |               ^
   = help: write text; a number, and true or false, need quotes
1 problem in a.yaml",
    ),
    (
        "upstream: [chat]",
        "
a.yaml:3:5: routes[0].upstream: is not text
 3 | - { upstream: [chat] }
   |     ^^^^^^^^
   = help: write text; a number, and true or false, need quotes
1 problem in a.yaml",
    ),
    (
        "upstream: chat }\n- { path: /, upstream: chat",
        "
a.yaml:4:3: routes[1]: has the host and path of routes[0] (line 3)
 4 | - { path: /, upstream: chat }
   |   ^
   = help: change one of the two or take it out
1 problem in a.yaml",
    ),
];

/// An upstream after a right route.
const UPSTREAMS: &[(&str, &str)] = &[
    (
        "{ nodes: [b:1], balance: rendezvous, health: ping, slow_start: 10, max_connections: 0 }",
        "
a.yaml:4:30: upstreams.chat.balance: `rendezvous` does not say by what
 4 |     { nodes: [b:1], balance: rendezvous, health: ping, slow_start: 10, max_connections: 0 }
   |                              ^^^^^^^^^^
   = help: write { rendezvous: { by: address } }, or by a header, a query parameter or a cookie
a.yaml:4:50: upstreams.chat.health: `ping` is not a health check
 4 |     { nodes: [b:1], balance: rendezvous, health: ping, slow_start: 10, max_connections: 0 }
   |                                                  ^^^^
   = help: write tcp, off, { engineio: /socket.io/ } or { http: { path: /health } }
a.yaml:4:68: upstreams.chat.slow_start: `10` has no unit
 4 |     { nodes: [b:1], balance: rendezvous, health: ping, slow_start: 10, max_connections: 0 }
   |                                                                    ^^
   = help: write 10s for seconds, or off
a.yaml:4:89: upstreams.chat.max_connections: `0` is out of range
 4 |     { nodes: [b:1], balance: rendezvous, health: ping, slow_start: 10, max_connections: 0 }
   |                                                                                         ^
   = help: write a whole number from 1 to 1000000, or off
4 problems in a.yaml",
    ),
    (
        "{ nodes: [b:1], discover: { dns: 'c:1', srv: d }, rebalance: { within: 0.1 } }",
        "
a.yaml:4:21: upstreams.chat.discover: stands beside nodes
 4 |     { nodes: [b:1], discover: { dns: 'c:1', srv: d }, rebalance: { within: 0.1 } }
   |                     ^^^^^^^^
   = help: take one of the two out
a.yaml:4:76: upstreams.chat.rebalance.within: `0.1` is not a percentage in range
 4 |     { nodes: [b:1], discover: { dns: 'c:1', srv: d }, rebalance: { within: 0.1 } }
   |                                                                            ^^^
   = help: write 1% to 100%
2 problems in a.yaml",
    ),
    (
        "{ discover: { dns: '10.0.0.1:3000' }, health: { engineio: '/a?b', http: {} } }",
        "
a.yaml:4:24: upstreams.chat.discover.dns: `10.0.0.1:3000` is an address already
 4 |     { discover: { dns: '10.0.0.1:3000' }, health: { engineio: '/a?b', http: {} } }
   |                        ^^^^^^^^^^^^^^^^
   = help: write nodes: [10.0.0.1:3000]
a.yaml:4:43: upstreams.chat.health: must be one check
 4 |     { discover: { dns: '10.0.0.1:3000' }, health: { engineio: '/a?b', http: {} } }
   |                                           ^^^^^^
   = help: write tcp, off, { engineio: /socket.io/ } or { http: { path: /health } }
2 problems in a.yaml",
    ),
    (
        "{ nodes: [b:1], admission: { hold: 20s, burst: many, queue: 0 }, drain: { timeout: 2 } }",
        "
a.yaml:4:40: upstreams.chat.admission.hold: `20s` is too long
 4 |     { nodes: [b:1], admission: { hold: 20s, burst: many, queue: 0 }, drain: { timeout: 2 } }
   |                                        ^^^
   = help: write 100ms to 15s, or off
a.yaml:4:52: upstreams.chat.admission.burst: `many` is out of range
 4 |     { nodes: [b:1], admission: { hold: 20s, burst: many, queue: 0 }, drain: { timeout: 2 } }
   |                                                    ^^^^
   = help: write a whole number from 1 to 1000000, or auto
a.yaml:4:65: upstreams.chat.admission.queue: `0` is out of range
 4 |     { nodes: [b:1], admission: { hold: 20s, burst: many, queue: 0 }, drain: { timeout: 2 } }
   |                                                                 ^
   = help: write a whole number from 1 to 1000000
a.yaml:4:88: upstreams.chat.drain.timeout: `2` has no unit
 4 |     { nodes: [b:1], admission: { hold: 20s, burst: many, queue: 0 }, drain: { timeout: 2 } }
   |                                                                                        ^
   = help: write 2s for seconds
4 problems in a.yaml",
    ),
    (
        "nodes: []",
        "
a.yaml:4:5: upstreams.chat.nodes: must have at least one node
 4 |     nodes: []
   |     ^^^^^
   = help: write nodes: [10.0.0.1:3000]
1 problem in a.yaml",
    ),
    (
        "nodes: 10.0.0.1:3000",
        "
a.yaml:4:12: upstreams.chat.nodes: `10.0.0.1:3000` is not a list
 4 |     nodes: 10.0.0.1:3000
   |            ^^^^^^^^^^^^^
   = help: write a list: [one, two]
1 problem in a.yaml",
    ),
    (
        "nodes: [http://10.0.0.1:3000]",
        "
a.yaml:4:13: upstreams.chat.nodes[0]: `http://10.0.0.1:3000` is a URL, and a node is an address
 4 |     nodes: [http://10.0.0.1:3000]
   |             ^^^^^^^^^^^^^^^^^^^^
   = help: write 10.0.0.1:3000
1 problem in a.yaml",
    ),
    (
        "nodes: [10.0.0.1]",
        "
a.yaml:4:13: upstreams.chat.nodes[0]: `10.0.0.1` has no port
 4 |     nodes: [10.0.0.1]
   |             ^^^^^^^^
   = help: write 10.0.0.1:3000
1 problem in a.yaml",
    ),
    (
        "nodes: [3000]",
        "
a.yaml:4:13: upstreams.chat.nodes[0]: `3000` is a port alone
 4 |     nodes: [3000]
   |             ^^^^
   = help: write 127.0.0.1:3000
1 problem in a.yaml",
    ),
    (
        "nodes: [b:1, { address: b:1, name: c }]",
        "
a.yaml:4:18: upstreams.chat.nodes[1]: has the address of upstreams.chat.nodes[0] (line 4)
 4 |     nodes: [b:1, { address: b:1, name: c }]
   |                  ^
   = help: take one of the two out
1 problem in a.yaml",
    ),
    (
        "nodes: [{ address: b:1, name: c }, { address: d:1, name: c }]",
        "
a.yaml:4:40: upstreams.chat.nodes[1]: has the name of upstreams.chat.nodes[0] (line 4)
 4 |     nodes: [{ address: b:1, name: c }, { address: d:1, name: c }]
   |                                        ^
   = help: give each node a name of its own
1 problem in a.yaml",
    ),
    (
        "nodes: [{ address: b:1, weight: 0 }]",
        "
a.yaml:4:37: upstreams.chat.nodes[0].weight: `0` is not a weight
 4 |     nodes: [{ address: b:1, weight: 0 }]
   |                                     ^
   = help: write 1 to 1000
1 problem in a.yaml",
    ),
    (
        "nodes: [{ name: c }]",
        "
a.yaml:4:13: upstreams.chat.nodes[0].address: is missing
 4 |     nodes: [{ name: c }]
   |             ^
   = help: write address: 10.0.0.1:3000
1 problem in a.yaml",
    ),
    (
        "nodes: [{ address: b:1, name: 'two words' }]",
        "
a.yaml:4:35: upstreams.chat.nodes[0].name: `two words` is not a node's name
 4 |     nodes: [{ address: b:1, name: 'two words' }]
   |                                   ^^^^^^^^^^^^
   = help: write at most 64 of the characters a-z A-Z 0-9 - _ . :
1 problem in a.yaml",
    ),
    (
        "servers: [b:1]",
        "
a.yaml:3:3: upstreams.chat.nodes: must have at least one node
 3 |   chat:
   |   ^^^^
   = help: write nodes: [10.0.0.1:3000]
a.yaml:4:5: upstreams.chat.servers: is not a known key
 4 |     servers: [b:1]
   |     ^^^^^^^
   = help: write one of: nodes, discover, affinity, connect_timeout, answer_head_max, answer_fields_max, connections, pool_idle_timeout, balance, slow_start, max_connections, health
2 problems in a.yaml",
    ),
    (
        "{ nodes: [b:1], connect_timeout: 5m }",
        "
a.yaml:4:38: upstreams.chat.connect_timeout: `5m` is too long
 4 |     { nodes: [b:1], connect_timeout: 5m }
   |                                      ^^
   = help: write 100ms to 1m
1 problem in a.yaml",
    ),
];

/// The same, wrong in its affinity.
const AFFINITIES: &[(&str, &str)] = &[
    (
        "{ nodes: [b:1], affinity: ip_hash }",
        "
a.yaml:4:31: upstreams.chat.affinity: `ip_hash` is not an affinity
 4 |     { nodes: [b:1], affinity: ip_hash }
   |                               ^^^^^^^
   = help: write one of: sid, cookie, rendezvous, none
1 problem in a.yaml",
    ),
    (
        "{ nodes: [b:1], affinity: rendezvous }",
        "
a.yaml:4:31: upstreams.chat.affinity: `rendezvous` does not say by what
 4 |     { nodes: [b:1], affinity: rendezvous }
   |                               ^^^^^^^^^^
   = help: write { rendezvous: { by: address } }, or by a header or a query parameter
1 problem in a.yaml",
    ),
    (
        "{ nodes: [b:1], affinity: { sid: {}, cookie: {} } }",
        "
a.yaml:4:21: upstreams.chat.affinity: must be one rule
 4 |     { nodes: [b:1], affinity: { sid: {}, cookie: {} } }
   |                     ^^^^^^^^
   = help: write one of: sid, cookie, rendezvous, none
1 problem in a.yaml",
    ),
    (
        "{ nodes: [b:1], affinity: { cookie: { name: 'my cookie' } } }",
        "
a.yaml:4:49: upstreams.chat.affinity.cookie.name: `my cookie` is not a cookie's name
 4 |     { nodes: [b:1], affinity: { cookie: { name: 'my cookie' } } }
   |                                                 ^^^^^^^^^^^^
   = help: write letters, digits, - and _ alone
1 problem in a.yaml",
    ),
    (
        "{ nodes: [b:1], affinity: { rendezvous: { by: { header: 'X User' } } } }",
        "
a.yaml:4:61: upstreams.chat.affinity.rendezvous.by.header: `X User` is not a header's name
 4 |     { nodes: [b:1], affinity: { rendezvous: { by: { header: 'X User' } } } }
   |                                                             ^^^^^^^^^
   = help: write a name such as X-User-Id
1 problem in a.yaml",
    ),
    (
        "{ nodes: [b:1], affinity: { rendezvous: { by: ip } } }",
        "
a.yaml:4:51: upstreams.chat.affinity.rendezvous.by: `ip` is not a property of the request
 4 |     { nodes: [b:1], affinity: { rendezvous: { by: ip } } }
   |                                                   ^^
   = help: write by: address, by: { header: X-User-Id }, by: { query: room } or by: { cookie: user }
1 problem in a.yaml",
    ),
    (
        "{ nodes: [b:1], affinity: { sid: { keys: [hush] } } } # or: hush2",
        "
a.yaml:4:47: upstreams.chat.affinity.sid.keys[0]: is too short for a secret: at least 16 characters
 4 |     { nodes: [b:1], affinity: { sid: { keys: [****] } } }
   |                                               ^^^^
   = help: write what `openssl rand -base64 24` prints
1 problem in a.yaml",
    ),
    (
        "{ nodes: [b:1], affinity: { sid: { kesy: [hush-hush-hush-hush] } } }",
        "
a.yaml:4:40: upstreams.chat.affinity.sid.kesy: is not a known key
 4 |     { nodes: [b:1], affinity: { sid: { kesy: [*******************] } } }
   |                                        ^^^^
   = help: write keys
1 problem in a.yaml",
    ),
    (
        "{ nodes: [b:1], affinity: { sid: { keys: hush-hush-hush-hush } } }",
        "
a.yaml:4:46: upstreams.chat.affinity.sid.keys: is not a list
 4 |     { nodes: [b:1], affinity: { sid: { keys: ******************* } } }
   |                                              ^^^^^^^^^^^^^^^^^^^
   = help: write a list: [one, two]
1 problem in a.yaml",
    ),
    (
        "{ nodes: [b:1], affinity: { sid: { keys: [5318008] } } }",
        "
a.yaml:4:47: upstreams.chat.affinity.sid.keys[0]: is not text
 4 |     { nodes: [b:1], affinity: { sid: { keys: [*******] } } }
   |                                               ^^^^^^^
   = help: write text; a number, and true or false, need quotes
1 problem in a.yaml",
    ),
];

/// Whole files.
const FILES: &[(&str, &str)] = &[
    (
        "\
max_connections: off
upstreams: { a: { nodes: [b:1] } }
routes: [{ upstream: a }]
",
        "
a.yaml:1:18: max_connections: `off` is not a number of connections
 1 | max_connections: off
   |                  ^^^
   = help: write a whole number from 1 to 10000000, or auto
1 problem in a.yaml",
    ),
    (
        "\
admin: { bind: 9090 }
upstreams: { a: { nodes: [b:1] } }
routes: [{ upstream: a }]
",
        r#"
a.yaml:1:16: admin.bind: `9090` is a port alone
 1 | admin: { bind: 9090 }
   |                ^^^^
   = help: write ":9090" or 0.0.0.0:9090, or off
1 problem in a.yaml"#,
    ),
    (
        "\
listeners:
  - bind: '8080'
  - bind: localhost:80
  - bind: 0.0.0.0
  - bind: :80
    header_timeout: 6m
  - bind: 0.0.0.0:80
    trusted_proxies: [10.0.0.0/33]
  - {}
  -
upstreams: { a: { nodes: [b:1] } }
routes: [{ upstream: a }]
",
        r#"
a.yaml:2:11: listeners[0].bind: `8080` is a port alone
 2 |   - bind: '8080'
   |           ^^^^^^
   = help: write ":8080" or 0.0.0.0:8080
a.yaml:3:11: listeners[1].bind: `localhost:80` is not an IP address and a port
 3 |   - bind: localhost:80
   |           ^^^^^^^^^^^^
   = help: write 0.0.0.0:80 for all addresses, "[::]:80" for IPv6 too
a.yaml:4:11: listeners[2].bind: `0.0.0.0` has no port
 4 |   - bind: 0.0.0.0
   |           ^^^^^^^
   = help: write 0.0.0.0:80
a.yaml:6:21: listeners[3].header_timeout: `6m` is too long
 6 |     header_timeout: 6m
   |                     ^^
   = help: write 1s to 5m
a.yaml:7:11: listeners[4].bind: `0.0.0.0:80` is the same as listeners[3].bind (line 5)
 7 |   - bind: 0.0.0.0:80
   |           ^^^^^^^^^^
   = help: take one of the two out
a.yaml:8:23: listeners[4].trusted_proxies[0]: `10.0.0.0/33` is not a network
 8 |     trusted_proxies: [10.0.0.0/33]
   |                       ^^^^^^^^^^^
   = help: write a network such as 10.0.0.0/8, or an address
a.yaml:9:5: listeners[5].bind: is missing
 9 |   - {}
   |     ^
   = help: write bind: 0.0.0.0:8080
a.yaml:10:4: listeners[6]: is empty
10 |   -
   |    ^
   = help: fill it or take it out
8 problems in a.yaml"#,
    ),
    (
        "\
listeners: []
log: { format: xml, level: inof }
upstreams: { a: { nodes: [b:1] } }
routes: [{ upstream: a }]
",
        "
a.yaml:1:1: listeners: has no listener
 1 | listeners: []
   | ^^^^^^^^^
   = help: take the key out to listen on 0.0.0.0:8080
a.yaml:2:16: log.format: `xml` is not a format
 2 | log: { format: xml, level: inof }
   |                ^^^
   = help: write one of: text, json
a.yaml:2:28: log.level: `inof` is not a level
 2 | log: { format: xml, level: inof }
   |                            ^^^^
   = help: write info
3 problems in a.yaml",
    ),
    (
        "log: {}",
        "
a.yaml: upstreams: has no upstream
   = help: write upstreams: { chat: { nodes: [10.0.0.1:3000] } }
a.yaml: routes: has no route, so nothing would be served
   = help: write routes: [{ path: /socket.io/, upstream: NAME }]
2 problems in a.yaml",
    ),
];

/// Whole files that are hardly YAML.
const YAML: &[(&str, &str)] = &[
    (
        "listeners:\n  - bind: [::]:80\n",
        r#"
a.yaml:2:15: is not valid YAML: while parsing a block mapping, did not find expected key
 2 |   - bind: [::]:80
   |               ^
   = help: an address that begins with `[` needs quotes: "[::]:80"
1 problem in a.yaml"#,
    ),
    (
        "routes:\n  - host: *.example.com\n",
        r#"
a.yaml:2:11: is not valid YAML: while parsing node, found unknown anchor
 2 |   - host: *.example.com
   |           ^
   = help: text that begins with `*` needs quotes: "*.example.com"
1 problem in a.yaml"#,
    ),
    (
        "upstreams:\n  chat: { nodes: [a:1, b:1 }\n",
        "
a.yaml:2:28: is not valid YAML: while parsing a flow sequence, expected ',' or ']'
 2 |   chat: { nodes: [a:1, b:1 }
   |                            ^
   = help: close the bracket before this, or write a comma
1 problem in a.yaml",
    ),
    (
        "routes:\n\t- upstream: a\n",
        "
a.yaml:2:2: is not valid YAML: tabs disallowed within this context (block indentation)
 2 |  - upstream: a
   |  ^
   = help: indent with spaces: YAML takes no tabs
1 problem in a.yaml",
    ),
    (
        "\tupstreams: {}\n",
        "
a.yaml:1:1: is not valid YAML: found character that cannot start any token, while scanning for the next token
 1 |  upstreams: {}
   | ^
   = help: indent with spaces: YAML takes no tabs
1 problem in a.yaml",
    ),
    (
        "a: 1\na: 2\nb: 1\nb: 2",
        "
a.yaml:2:1: a: is written twice, first on line 1
 2 | a: 2
   | ^
   = help: take out one of the two
a.yaml:4:1: b: is written twice, first on line 3
 4 | b: 2
   | ^
   = help: take out one of the two
2 problems in a.yaml",
    ),
    (
        "upstream:\n  chat: { nodes: [b:1] }\nroutes:\n- { upstream: chat }\n",
        "
a.yaml:1:1: upstream: is not a known key
 1 | upstream:
   | ^^^^^^^^
   = help: write upstreams
a.yaml:4:15: routes[0].upstream: `chat` is not an upstream
 4 | - { upstream: chat }
   |               ^^^^
   = help: there is none: write it under upstreams
2 problems in a.yaml",
    ),
    (
        "hello",
        "
a.yaml: `hello` is not a map
   = help: write a map with any of these keys: listeners, upstreams, routes, max_connections, stop, admin, log
1 problem in a.yaml",
    ),
    (
        "- a",
        "
a.yaml: is not a map
   = help: write a map with any of these keys: listeners, upstreams, routes, max_connections, stop, admin, log
1 problem in a.yaml",
    ),
    (
        "",
        "
a.yaml: is empty
   = help: the least that works is

    upstreams:
      chat: { nodes: [10.0.0.1:3000] }
    routes:
      - { path: /socket.io/, upstream: chat }
1 problem in a.yaml",
    ),
    (
        "a: !x 1",
        "
a.yaml:1:4: a: has a tag, !x
 1 | a: !x 1
   |    ^^^^
   = help: take it out; text that begins with `!` needs quotes
1 problem in a.yaml",
    ),
    (
        "? [a]\n: b",
        "
a.yaml:1:3: has a key that is not a word
 1 | ? [a]
   |   ^
   = help: a key is a name, written `name: value`
1 problem in a.yaml",
    ),
    (
        "--- \na: 1\n---\nb: 2\n",
        "
a.yaml:3:1: holds a second YAML document
 3 | ---
   | ^^^
   = help: write one document; take out this `---`
1 problem in a.yaml",
    ),
    (
        "routes: [",
        "
a.yaml:2:1: is not valid YAML: while parsing a node, did not find expected node content
   = help: look here and on the lines before for a quote or bracket that is open, or a wrong indent
1 problem in a.yaml",
    ),
    (
        "\
upstreams:
  a:
    nodes: [b:1]
    affinity: { sid: { keys: [hush-hush-hush-hush, \"hush } } }",
        "
a.yaml:4:52: is not valid YAML: while scanning a quoted scalar, found unexpected end of stream
   = help: look here and on the lines before for a quote or bracket that is open, or a wrong indent
1 problem in a.yaml",
    ),
];
