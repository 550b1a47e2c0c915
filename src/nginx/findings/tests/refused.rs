//! Files that nginx does not load.

use super::*;

pub(super) fn in_parts() -> Vec<Example> {
    vec![
        (
            "unknown-variable",
            sound("").replace("$upgrades;", "$connection_upgrade;"),
            format!("{MAP} {}", sound("").replace("$upgrades;", "$connection_upgrade;")),
        ),
        ("misplaced", sound("if ($a) { proxy_set_header A 1; }"), sound("if ($a) { return 403; }")),
        (
            "directive-twice",
            sound("proxy_pass http://b;"),
            sound("proxy_hide_header A; proxy_hide_header B;"),
        ),
        (
            "location-twice",
            "server { location /a { } location ^~ /a { } }".into(),
            "server { location /a { } location = /a { } }".into(),
        ),
        ("unknown-directive", sound("proxy_response_buffering off;"), sound("")),
        (
            "uri-not-allowed",
            within("~ ^/a", "proxy_pass http://b/c;"),
            within("~ ^/a", "proxy_pass http://b$request_uri;"),
        ),
        (
            "no-certificate",
            "server { listen 443 ssl; }".into(),
            "ssl_certificate a; server { listen 443 ssl; }".into(),
        ),
        (
            "backup-with-hash",
            upstream("ip_hash; server a; server b backup;"),
            upstream("server a; server b backup; ip_hash;"),
        ),
    ]
}

pub(super) fn as_a_whole() -> Vec<Example> {
    vec![
        (
            "events-missing",
            format!("http {{ {} }}", sound("")),
            format!("events {{ }} http {{ {} }}", sound("")),
        ),
        (
            "zone-unknown",
            "server { limit_conn a 1; }".into(),
            "limit_conn_zone $a zone=a:1m; server { limit_conn a 1; }".into(),
        ),
        (
            "upstream-twice",
            "upstream a { server b; } upstream a { server c; }".into(),
            "upstream a { server b; server b; }".into(),
        ),
        (
            "listen-twice",
            "server { listen 80; listen 0.0.0.0:80; }".into(),
            "server { listen 80; listen [::]:80; } server { listen 80 default_server; }".into(),
        ),
        (
            "arguments",
            sound("add_header A b c always;"),
            sound("add_header A \"b c\" always; map $a $b { add_header 1; }"),
        ),
        (
            "old-words",
            "server { listen 443; ssl on; ssl_certificate a; }".into(),
            "server { listen 443; ssl off; }".into(),
        ),
    ]
}
