//! Problems in `routes:`.

use super::check;

#[test]
fn a_wrong_route_is_reported() {
    for (line, expected) in ROUTES {
        let text = format!("upstreams: {{ chat: {{ nodes: [b:1] }} }}\nroutes:\n- {{ {line} }}");
        check(&text, expected);
    }
}

/// A route of a file whose upstream is right.
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
        "path: /a//b, upstream: chat",
        "
a.yaml:3:11: routes[0].path: `/a//b` has two slashes in a row, which no path of a route has
 3 | - { path: /a//b, upstream: chat }
   |           ^^^^^
   = help: write one: `//a` is refused if `/a` has another route
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
   = help: write one of: host, path, upstream, files, redirect, respond, strip_prefix, add_prefix, request_headers, response_headers, cors, error_pages
1 problem in a.yaml",
    ),
    (
        "upstream: chat, auth: {}",
        "
a.yaml:3:21: routes[0].auth: must be one kind
 3 | - { upstream: chat, auth: {} }
   |                     ^^^^
   = help: write one of: jwt, forward, basic
1 problem in a.yaml",
    ),
    (
        "upstream: chat, auth: { jwt: { jwks_file: a }, forward: 'http://a' }",
        "
a.yaml:3:21: routes[0].auth: must be one kind
 3 | - { upstream: chat, auth: { jwt: { jwks_file: a }, forward: 'http://a' } }
   |                     ^^^^
   = help: write one of: jwt, forward, basic
1 problem in a.yaml",
    ),
    (
        "upstream: chat, auth: { forward: 'https://a:b@c' }",
        "
a.yaml:3:38: routes[0].auth.forward: `https://a:b@c` has a user, and a service is asked without one
 3 | - { upstream: chat, auth: { forward: 'https://a:b@c' } }
   |                                      ^^^^^^^^^^^^^^^^
   = help: write a URL such as http://127.0.0.1:9000/check
1 problem in a.yaml",
    ),
    (
        "upstream: chat, origins: [app.example.com]",
        "
a.yaml:3:31: routes[0].origins[0]: `app.example.com` has no scheme
 3 | - { upstream: chat, origins: [app.example.com] }
   |                               ^^^^^^^^^^^^^^^
   = help: write https://app.example.com
1 problem in a.yaml",
    ),
    (
        "upstream: chat, origins: ['https://a.b/c']",
        "
a.yaml:3:31: routes[0].origins[0]: `https://a.b/c` has a path, and an origin has none
 3 | - { upstream: chat, origins: ['https://a.b/c'] }
   |                               ^^^^^^^^^^^^^^^
   = help: write https://a.b
1 problem in a.yaml",
    ),
    (
        "upstream: chat, origins: []",
        "
a.yaml:3:21: routes[0].origins: allows no page
 3 | - { upstream: chat, origins: [] }
   |                     ^^^^^^^
   = help: write [same-host], or [any] to allow all pages
1 problem in a.yaml",
    ),
    (
        "upstream: chat, allow: []",
        "
a.yaml:3:21: routes[0].allow: allows nobody
 3 | - { upstream: chat, allow: [] }
   |                     ^^^^^
   = help: name a network, or take the key out
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
a.yaml:3:11: routes[0].path: `/chat/*` ends with `*`, but a path is a prefix without it
 3 | - { path: /chat/*, upstream: chat }
   |           ^^^^^^^
   = help: write /chat/
1 problem in a.yaml",
    ),
    (
        "path: { exact: '/a?b' }, upstream: chat",
        "
a.yaml:3:20: routes[0].path.exact: `/a?b` has a '?', which is not valid in a path
 3 | - { path: { exact: '/a?b' }, upstream: chat }
   |                    ^^^^^^^
   = help: write the path as clients send it, percent-encoded, without query
1 problem in a.yaml",
    ),
    (
        "upstream: chat, request_headers: { set: { X-A: '${hots}' } }",
        "
a.yaml:3:52: routes[0].request_headers.set.X-A: `${hots}` has an unknown variable, `hots`
 3 | - { upstream: chat, request_headers: { set: { X-A: '${hots}' } } }
   |                                                    ^^^^^^^^^^
   = help: write one of: client_address, host, hostname, scheme, request_id, path, query, target, header.NAME, cookie.NAME
1 problem in a.yaml",
    ),
    (
        "upstream: chat, response_headers: { remove: [Connection] }",
        "
a.yaml:3:50: routes[0].response_headers.remove[0]: `Connection` belongs to the connection, which Sockeye makes itself
 3 | - { upstream: chat, response_headers: { remove: [Connection] } }
   |                                                  ^^^^^^^^^^
   = help: take it out: Sockeye sets what is needed
1 problem in a.yaml",
    ),
    (
        "path: {}, upstream: chat",
        "
a.yaml:3:5: routes[0].path: must be one kind
 3 | - { path: {}, upstream: chat }
   |     ^^^^
   = help: write a prefix, or one of: exact, regex
1 problem in a.yaml",
    ),
    (
        "path: { regex: '^/a|/b' }, upstream: chat",
        "
a.yaml:3:20: routes[0].path.regex: `^/a|/b` has an alternative that begins anywhere
 3 | - { path: { regex: '^/a|/b' }, upstream: chat }
   |                    ^^^^^^^^^
   = help: write ^/(a|b)/ instead of ^/a/|/b/
1 problem in a.yaml",
    ),
    (
        "path: /chat/, upstream: chat, strip_prefix: /app",
        "
a.yaml:3:49: routes[0].strip_prefix: `/app` is not the beginning of the route's path
 3 | - { path: /chat/, upstream: chat, strip_prefix: /app }
   |                                                 ^^^^
   = help: write path: /app/
1 problem in a.yaml",
    ),
    (
        "upstream: chat, add_prefix: /a//b",
        "
a.yaml:3:33: routes[0].add_prefix: `/a//b` has an empty segment
 3 | - { upstream: chat, add_prefix: /a//b }
   |                                 ^^^^^
   = help: write a prefix such as /app/chat
1 problem in a.yaml",
    ),
    (
        "host: https://chat.example.com/x, upstream: chat",
        "
a.yaml:3:11: routes[0].host: `https://chat.example.com/x` is a URL, not a host name
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
   = help: write upstream: NAME, or one of: files, redirect, respond
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
a.yaml:3:84: routes[0].tunnel.messages_per_second: `0` is out of range
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
a.yaml:4:3: routes[1]: has the same host and path as routes[0] (line 3)
 4 | - { path: /, upstream: chat }
   |   ^
   = help: change or remove one of the two
1 problem in a.yaml",
    ),
];
