//! Problems in listeners and sections, and several problems of one file.

use super::check;
use crate::config::parse;

#[test]
fn wrong_listeners_and_logs_are_reported_together() {
    for (text, expected) in FILES {
        check(text, expected);
    }
}

#[test]
fn addresses_that_overlap_are_reported() {
    let check = |text: &str, expected: &[(&str, &str, &str)]| {
        let rest = "upstreams: { a: { nodes: [b:1] } }\nroutes: [{ upstream: a }]";
        let problems = match parse("a.yaml", &format!("{text}\n{rest}")) {
            Ok(_) => Vec::new(),
            Err(problems) => problems.iter().cloned().collect(),
        };
        let reported = problems.iter().map(|problem| {
            (&*problem.path, &*problem.what, problem.help.as_deref().unwrap_or_default())
        });
        assert_eq!(reported.collect::<Vec<_>>(), expected, "{text}");
    };
    check("listeners: [{ bind: ':80' }, { bind: ':81' }]\nadmin: { bind: ':82' }", &[]);
    check("listeners: [{ bind: ':0' }, { bind: ':0' }]\nadmin: { bind: ':0' }", &[]);
    let first = "overlaps with listeners[0].bind (line 1)";
    check(
        "listeners: [{ bind: ':80' }, { bind: '127.0.0.1:80' }]",
        &[("listeners[1].bind", first, "0.0.0.0 includes 127.0.0.1: remove one of the two")],
    );
    check(
        "listeners: [{ bind: '127.0.0.1:80' }]\nadmin: { bind: '[::]:80' }",
        &[("admin.bind", first, ":: includes 127.0.0.1: remove one of the two")],
    );
    let same = "is the same as listeners[0].bind (line 1)";
    check(
        "listeners: [{ bind: ':80' }]\nadmin: { bind: ':80' }",
        &[("admin.bind", same, "remove one of the two")],
    );
    check(
        "admin: { bind: '127.0.0.1:8080' }",
        &[(
            "admin.bind",
            "overlaps with listeners",
            "0.0.0.0 includes 127.0.0.1: remove one of the two",
        )],
    );
}

/// Whole files.
const FILES: &[(&str, &str)] = &[
    (
        "\
max_connections: off
upstreams: { a: { nodes: [b:1] } }
routes: [{ upstream: a }]
",
        "
a.yaml:1:18: max_connections: `off` is out of range
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
a.yaml:1:16: admin.bind: `9090` is only a port
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
a.yaml:2:11: listeners[0].bind: `8080` is only a port
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
   = help: remove one of the two
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
   = help: set it or remove it
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
   = help: remove the key to listen on 0.0.0.0:8080
a.yaml:2:16: log.format: `xml` is not a known word
 2 | log: { format: xml, level: inof }
   |                ^^^
   = help: write one of: text, json
a.yaml:2:28: log.level: `inof` is not a known word
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
