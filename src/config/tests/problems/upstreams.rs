//! Problems in `upstreams:`.

use super::{check, with_upstream};
use crate::config::parse;

#[test]
fn a_wrong_upstream_is_reported() {
    for (line, expected) in UPSTREAMS {
        check(&with_upstream(line), expected);
    }
}

#[test]
fn a_wrong_affinity_is_reported_without_its_secrets() {
    for (line, expected) in AFFINITIES {
        check(&with_upstream(line), expected);
    }
}

#[test]
fn an_empty_key_that_selects_something_is_reported() {
    let check = |upstream: &str, path: &str, help: &str| {
        let text = with_upstream(&format!("{{ nodes: [b:1], {upstream} }}"));
        let problems = parse("a.yaml", &text).unwrap_err();
        let reported = problems.iter().map(|problem| (&*problem.path, problem.help.as_deref()));
        let path = format!("upstreams.chat.{path}");
        assert_eq!(reported.collect::<Vec<_>>(), [(&*path, Some(help))], "{upstream}");
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

/// An upstream of a file whose route is right.
const UPSTREAMS: &[(&str, &str)] = &[
    (
        "{ nodes: [b:1], balance: rendezvous, health: ping, slow_start: 10, max_connections: 0 }",
        "
a.yaml:4:30: upstreams.chat.balance: `rendezvous` needs the key `by`
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
a.yaml:4:21: upstreams.chat.discover: cannot be combined with nodes
 4 |     { nodes: [b:1], discover: { dns: 'c:1', srv: d }, rebalance: { within: 0.1 } }
   |                     ^^^^^^^^
   = help: remove one of the two
a.yaml:4:76: upstreams.chat.rebalance.within: `0.1` is not a percentage in range
 4 |     { nodes: [b:1], discover: { dns: 'c:1', srv: d }, rebalance: { within: 0.1 } }
   |                                                                            ^^^
   = help: write 1% to 100%
2 problems in a.yaml",
    ),
    (
        "{ discover: { dns: '10.0.0.1:3000' }, health: { engineio: '/a?b', http: {} } }",
        "
a.yaml:4:24: upstreams.chat.discover.dns: `10.0.0.1:3000` is already an address
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
a.yaml:4:13: upstreams.chat.nodes[0]: `http://10.0.0.1:3000` is a URL, not an address
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
a.yaml:4:13: upstreams.chat.nodes[0]: `3000` is only a port
 4 |     nodes: [3000]
   |             ^^^^
   = help: write 127.0.0.1:3000
1 problem in a.yaml",
    ),
    (
        "nodes: [b:1, { address: b:1, name: c }]",
        "
a.yaml:4:18: upstreams.chat.nodes[1]: has the same address as upstreams.chat.nodes[0] (line 4)
 4 |     nodes: [b:1, { address: b:1, name: c }]
   |                  ^
   = help: remove one of the two
1 problem in a.yaml",
    ),
    (
        "nodes: [{ address: b:1, name: c }, { address: d:1, name: c }]",
        "
a.yaml:4:40: upstreams.chat.nodes[1]: has the same name as upstreams.chat.nodes[0] (line 4)
 4 |     nodes: [{ address: b:1, name: c }, { address: d:1, name: c }]
   |                                        ^
   = help: give each node a name of its own
1 problem in a.yaml",
    ),
    (
        "nodes: [{ address: b:1, backup: true }, { address: b:2, backup: true }]",
        "
a.yaml:4:5: upstreams.chat.nodes: has only backups
 4 |     nodes: [{ address: b:1, backup: true }, { address: b:2, backup: true }]
   |     ^^^^^
   = help: remove backup: true from one of them
1 problem in a.yaml",
    ),
    (
        "{ nodes: ['unix:app.sock', 'unix://run/app.sock', 'https+unix:/a'], tls: on }",
        "
a.yaml:4:15: upstreams.chat.nodes[0]: `unix:app.sock` has no absolute path of a socket
 4 |     { nodes: ['unix:app.sock', 'unix://run/app.sock', 'https+unix:/a'], tls: on }
   |               ^^^^^^^^^^^^^^^
   = help: write unix:/run/app/1.sock, without spaces
a.yaml:4:32: upstreams.chat.nodes[1]: `unix://run/app.sock` has no absolute path of a socket
 4 |     { nodes: ['unix:app.sock', 'unix://run/app.sock', 'https+unix:/a'], tls: on }
   |                                ^^^^^^^^^^^^^^^^^^^^^
   = help: write unix:/run/app/1.sock, without spaces
a.yaml:4:55: upstreams.chat.nodes[2]: `https+unix:/a` is a Unix socket
 4 |     { nodes: ['unix:app.sock', 'unix://run/app.sock', 'https+unix:/a'], tls: on }
   |                                                       ^^^^^^^^^^^^^^^
   = help: write nodes: [unix:/run/app/1.sock], without TLS
3 problems in a.yaml",
    ),
    (
        "{ nodes: [unix:/run/a.sock], tls: on }",
        "
a.yaml:4:34: upstreams.chat.tls: cannot be used with nodes on Unix sockets
 4 |     { nodes: [unix:/run/a.sock], tls: on }
   |                                  ^^^
   = help: remove it: nobody else reads a Unix socket
1 problem in a.yaml",
    ),
    (
        "nodes: ['UNIX:/run/a.sock']",
        "
a.yaml:4:13: upstreams.chat.nodes[0]: `UNIX:/run/a.sock` begins with `UNIX:`
 4 |     nodes: ['UNIX:/run/a.sock']
   |             ^^^^^^^^^^^^^^^^^^
   = help: write unix:/run/a.sock
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
a.yaml:4:35: upstreams.chat.nodes[0].name: `two words` is not a valid node name
 4 |     nodes: [{ address: b:1, name: 'two words' }]
   |                                   ^^^^^^^^^^^^
   = help: use at most 64 characters of a-z A-Z 0-9 - _ . :
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
   = help: write one of: nodes, discover, affinity, connect_timeout, proxy_protocol, tls, response_head_max, response_fields_max, connections, pool_idle_timeout, balance, slow_start
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

/// An upstream that is wrong in its affinity.
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
a.yaml:4:31: upstreams.chat.affinity: `rendezvous` needs the key `by`
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
a.yaml:4:49: upstreams.chat.affinity.cookie.name: `my cookie` is not a valid cookie name
 4 |     { nodes: [b:1], affinity: { cookie: { name: 'my cookie' } } }
   |                                                 ^^^^^^^^^^^^
   = help: use only letters, digits, - and _
1 problem in a.yaml",
    ),
    (
        "{ nodes: [b:1], affinity: { rendezvous: { by: { header: 'X User' } } } }",
        "
a.yaml:4:61: upstreams.chat.affinity.rendezvous.by.header: `X User` is not a valid header name
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
   = help: write by: address, or by: { header: X-User-Id }, { query: room }, { cookie: user } or { path: /echo/*/:key }
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
