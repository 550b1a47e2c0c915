//! Problems of YAML itself.

use super::check;
use crate::config::parse;

#[test]
fn text_that_is_not_a_configuration_is_reported() {
    for (text, expected) in YAML {
        check(text, expected);
    }
}

#[test]
fn a_number_that_yaml_reads_as_another_is_reported() {
    let check = |text: &str, what: &str, help: &str| {
        let problems = parse("a.yaml", text).expect_err(text);
        let reported: Vec<_> = problems.iter().map(|p| (&*p.what, p.help.as_deref())).collect();
        assert_eq!(reported, [(what, Some(help))], "{text}");
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

/// Whole files that are not YAML, or YAML that is refused.
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
   = help: remove one of the two
a.yaml:4:1: b: is written twice, first on line 3
 4 | b: 2
   | ^
   = help: remove one of the two
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
   = help: write a map with any of these keys: include, listeners, upstreams, routes, error_pages, acme, max_connections, client_limits, shutdown, admin, log, tracing
1 problem in a.yaml",
    ),
    (
        "- a",
        "
a.yaml: is not a map
   = help: write a map with any of these keys: include, listeners, upstreams, routes, error_pages, acme, max_connections, client_limits, shutdown, admin, log, tracing
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
   = help: remove it; text that begins with `!` needs quotes
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
a.yaml:3:1: contains a second YAML document
 3 | ---
   | ^^^
   = help: write one document; remove this `---`
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
