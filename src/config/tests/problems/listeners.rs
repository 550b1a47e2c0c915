//! Problems in `listeners:`.

use super::check;

#[test]
fn a_wrong_listener_is_reported() {
    for (line, expected) in LISTENERS {
        let text = format!(
            "upstreams: {{ chat: {{ nodes: [b:1] }} }}\nroutes: [{{ upstream: chat }}]\n\
             listeners:\n- {{ bind: \":80\", {line} }}"
        );
        check(&text, expected);
    }
}

/// A listener of a file that is right otherwise.
const LISTENERS: &[(&str, &str)] = &[
    (
        "proxy_protocol: on, trusted_proxies: [10.0.0.0/8]",
        "
a.yaml:4:34: listeners[0].proxy_protocol: `on` is not a known word
 4 | - { bind: \":80\", proxy_protocol: on, trusted_proxies: [10.0.0.0/8] }
   |                                  ^^
   = help: write one of: off, optional, required
1 problem in a.yaml",
    ),
    (
        "proxy_protocol: required",
        "
a.yaml:4:34: listeners[0].proxy_protocol: `required` needs trusted_proxies, and there are none
 4 | - { bind: \":80\", proxy_protocol: required }
   |                                  ^^^^^^^^
   = help: write trusted_proxies: [10.0.0.0/24] with the addresses of your balancers
1 problem in a.yaml",
    ),
];
