//! Servers, upstreams and what holds for them.

use super::*;

#[test]
fn a_server_that_redirects_to_https_is_a_listener_that_does() {
    let tls = format!(
        "server {{ listen 443 ssl http2; server_name a.example; ssl_certificate /c.pem; ssl_certificate_key /k.pem; location / {{ {APP} }} }}"
    );
    let listeners = [
        "bind: \":80\" redirect_http: on - bind: \":443\" tls: chain: /c.pem key: /k.pem http2: on",
    ];
    check(
        &format!("server {{ listen 80; return 301 https://$host$request_uri; }} {tls}"),
        &listeners,
        &[],
    );
    check(
        &format!(
            "server {{ listen 80; if ($host = a.example) {{ return 301 https://$host$request_uri; }} return 404; }} {tls}"
        ),
        &listeners,
        &[],
    );
    check(
        &format!(
            "server {{ listen 80; location / {{ return 301 https://$host$request_uri; }} location /.well-known/acme-challenge/ {{ root /acme; }} }} {tls}"
        ),
        &["path: /.well-known/acme-challenge/ files: root: /acme", listeners[0]],
        &[],
    );
    check(
        &format!(
            "server {{ listen 80; location / {{ {APP} if ($scheme = http) {{ return 301 https://$host$request_uri; }} }} }}"
        ),
        &["redirect_http: on"],
        &[],
    );
}

#[test]
fn servers_are_hosts() {
    let server = |name: &str, port: u16| {
        format!(
            "server {{ listen {port}; server_name {name}; location / {{ proxy_pass http://a:{port}; }} }}"
        )
    };
    check(
        &format!("{} {}", server("a.example", 80), server("b.example *.b.example", 80)),
        &[
            "- path: / upstream: a-80 - host: b.example path: / upstream: a-80 - host: \"*.b.example\"",
        ],
        &[],
    );
    check(
        &format!("{} {}", server("a.example", 80), server("_", 81)),
        &["bind: \":81\""],
        &["server-names"],
    );
    check(
        &format!("{} {}", server("a.example", 80), server("~^(?<s>.+)\\.b\\.example$", 80)),
        &["host: \"*.b.example\""],
        &[],
    );
}

#[test]
fn nodes_have_weights_backups_and_stickiness() {
    let of = |upstream: &str, location: &str| {
        format!(
            "upstream u {{ {upstream} }} server {{ location {location} {{ proxy_pass http://u; }} }}"
        )
    };
    check(&of("server a:1 weight=3; server b:1 backup; server unix:/run/x.sock down;", "/"), &["- address: a:1 weight: 3 - address: b:1 backup: true - address: \"unix:/run/x.sock\" drain: true".replace('"', "").as_str()], &[]);
    check(
        &of("ip_hash; server a:1; server b:1;", "/"),
        &["affinity: rendezvous: by: address"],
        &[],
    );
    check(
        &of("hash $arg_room consistent; server a:1; server b:1;", "/"),
        &["affinity: rendezvous: by: query: room"],
        &[],
    );
    check(&of("hash $http_x_user; server a:1; server b:1;", "/"), &["by: header: x-user"], &[]);
    check(
        &of("hash $request_uri; server a:1; server b:1;", "/"),
        &["nodes: [a:1, b:1]"],
        &["hash"],
    );
    check(
        &of("sticky cookie srv; server a:1; server b:1;", "/"),
        &["affinity: cookie: name: srv"],
        &[],
    );
    check(
        &of("sticky cookie srv; server a:1; server b:1;", "/socket.io/"),
        &["nodes: [a:1, b:1] routes:"],
        &[],
    );
    check(
        &of("random two least_conn; server a:1; server b:1;", "/"),
        &["balance: random-two"],
        &[],
    );
    check(
        "upstream u { zone z 1m; server a:1 resolve; } server { resolver 127.0.0.11 valid=10s; location / { proxy_pass http://u; } }",
        &["discover: dns: a:1 server: 127.0.0.11:53 every: 10s"],
        &[],
    );
    check_server(
        "resolver 127.0.0.11; set $up http://app:3000; location / { proxy_pass $up; }",
        &["discover: dns: app:3000"],
        &[],
    );
    check_server(
        "location / { proxy_pass https://api.example.com; }",
        &["nodes: [api.example.com:443]", "tls: verify: off", "Host: api.example.com"],
        &[],
    );
    check_server(
        "location / { proxy_pass http://unix:/run/app.sock:/; }",
        &["nodes: [unix:/run/app.sock]"],
        &[],
    );
}

#[test]
fn fields_are_set_removed_and_left_to_sockeye() {
    check_server(
        "location / { proxy_pass http://a:1; proxy_set_header X-A $http_x_b; proxy_set_header Origin \"\"; proxy_set_header X-User $cookie_user; proxy_set_header X-Forwarded-Proto https; }",
        &[
            "request_headers: set: X-A: \"${header.x-b}\" X-User: \"${cookie.user}\" X-Forwarded-Proto: https remove: [Origin]",
        ],
        &[],
    );
    check_server(
        "location / { proxy_pass http://a:1; proxy_set_header X-A $ssl_client_s_dn; }",
        &[],
        &["variable"],
    );
    check_server(
        "add_header X-Frame-Options DENY always; proxy_hide_header X-Powered-By; location / { proxy_pass http://a:1; }",
        &["response_headers: set: X-Frame-Options: DENY remove: [X-Powered-By]"],
        &[],
    );
    check(
        "map $http_x_forwarded_proto $proto { default $scheme; https https; } server { location / { proxy_pass http://a:1; proxy_set_header X-Forwarded-Proto $proto; } }",
        &[],
        &["trusted-proxies"],
    );
}

#[test]
fn cors_of_a_location_is_cors_of_a_route() {
    check_server(
        "location / { proxy_pass http://a:1; add_header Access-Control-Allow-Origin https://app.example; add_header Access-Control-Allow-Credentials true;
           if ($request_method = OPTIONS) { add_header Access-Control-Allow-Methods 'GET, POST, OPTIONS'; add_header Access-Control-Max-Age 1728000; return 204; } }",
        &["cors: origins: [\"https://app.example\"] credentials: true methods: [GET, POST] max_age: 86400s".replace("\"https://app.example\"", "https://app.example").as_str()],
        &[],
    );
    check_server(
        "location / { proxy_pass http://a:1; add_header Access-Control-Allow-Origin *; }",
        &["origins: [any]"],
        &[],
    );
    check_server(
        "location / { proxy_pass http://a:1; add_header Access-Control-Allow-Origin $http_origin; add_header Access-Control-Allow-Credentials true; }",
        &[],
        &["cors"],
    );
}

#[test]
fn access_is_never_wider_than_before() {
    check_server(
        &format!("location / {{ {APP} deny 10.0.0.1; allow 10.0.0.0/8; deny all; }}"),
        &["deny: [10.0.0.1] allow: [10.0.0.0/8]"],
        &[],
    );
    check_server(
        &format!("location / {{ {APP} auth_basic Staging; auth_basic_user_file /h; }}"),
        &["auth: basic: htpasswd_file: /h realm: Staging"],
        &[],
    );
    check_server(
        &format!(
            "location / {{ {APP} auth_request /auth; auth_request_set $user $upstream_http_x_user; proxy_set_header X-User $user; }} location = /auth {{ internal; proxy_pass http://auth:9000/check; proxy_pass_request_body off; }}"
        ),
        &["auth: forward: url: http://auth:9000/check response_fields: [X-User]"],
        &[],
    );
    check_server(
        &format!(
            "location / {{ {APP} }} location /x {{ {APP} auth_request /none; }} location /none {{ internal; }}"
        ),
        &["path: /x respond: status: 403"],
        &["auth"],
    );
    check_server(
        &format!("location / {{ {APP} }} location /x {{ {APP} auth_jwt x; }}"),
        &["path: /x respond: status: 403"],
        &["auth"],
    );
}

#[test]
fn limits_of_time_size_and_number() {
    check_server(
        "client_max_body_size 10m; proxy_read_timeout 7d; proxy_connect_timeout 5s; location / { proxy_pass http://a:1; }",
        &["connect_timeout: 5s", "response_timeout: 1h body_max: 10MiB tunnel: idle_timeout: off"],
        &[],
    );
    check(
        "limit_conn_zone $binary_remote_addr zone=c:1m; limit_req_zone $binary_remote_addr zone=r:1m rate=20r/s;
         server { limit_conn c 10; limit_req zone=r burst=5; location / { proxy_pass http://a:1; } }",
        &["client_limits: connections: 10 requests_per_second: 20"],
        &[],
    );
    check(
        "limit_req_zone $binary_remote_addr zone=r:1m rate=1r/s; server { location / { proxy_pass http://a:1; } location /login { proxy_pass http://a:1; limit_req zone=r; } }",
        &[],
        &["limit"],
    );
    check_server(
        "gzip on; gzip_types text/css application/json; gzip_min_length 1k; location / { proxy_pass http://a:1; }",
        &["compress: types: [application/json, text/css, text/html] min_size: 1KiB"],
        &[],
    );
}

#[test]
fn listeners_have_addresses_proxies_and_certificates() {
    check(
        "server { listen 80; listen [::]:80; listen 127.0.0.1:80; location / { proxy_pass http://a:1; } }",
        &["listeners: - bind: \"[::]:80\" upstreams:"],
        &[],
    );
    check(
        "server { listen 80 proxy_protocol; set_real_ip_from 10.0.0.0/8; real_ip_header proxy_protocol; location / { proxy_pass http://a:1; } }",
        &["proxy_protocol: required trusted_proxies: [10.0.0.0/8]"],
        &[],
    );
    check(
        "server { listen 80 proxy_protocol; location / { proxy_pass http://a:1; } }",
        &["proxy_protocol: required"],
        &["trusted-proxies"],
    );
    check(
        "server { listen 443 ssl; location / { proxy_pass http://a:1; } }",
        &["chain: /etc/sockeye/fullchain.pem"],
        &["certificate"],
    );
    check(
        "server { listen 443 ssl; ssl_certificate c.pem; ssl_certificate_key k.pem; ssl_protocols TLSv1.3; ssl_verify_client optional; ssl_client_certificate /ca.pem; location / { proxy_pass http://a:1; } }",
        &[
            "chain: /etc/nginx/c.pem key: /etc/nginx/k.pem min_version: \"1.3\" client_certificates: mode: optional ca: /ca.pem",
        ],
        &[],
    );
}

#[test]
fn parts_templates_and_broken_files_are_imported() {
    check(
        "location /socket.io/ { proxy_pass http://localhost:3000; }",
        &["path: /socket.io/", "nodes: [localhost:3000]"],
        &["snippet"],
    );
    check(
        "server { listen ${PORT}; location / { proxy_pass http://{{ host }}:{{ port }}; } }",
        &["bind: \":8080\"", "nodes: [host:3000]"],
        &["placeholder"; 3],
    );
    check("server { listen 80\n location / { proxy_pass http://a:1 } }", &["nodes: [a:1]"], &[]);
    let nothing = imported("events { }");
    assert!(nothing.yaml.is_none() && !nothing.is_whole());
    assert_eq!(ids(&nothing, Level::ByHand), ["nothing"]);
    let torn = imported("server { location / { proxy_pass http://a:1; }");
    assert_eq!(torn.damage().unwrap().id, "unbalanced-braces");
}

#[test]
fn websockets_by_a_condition_or_a_map_are_nothing_special() {
    check(
        "map $http_upgrade $connection_upgrade { default upgrade; '' close; } server { location / { proxy_pass http://a:1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $connection_upgrade; } }",
        &["path: / upstream: a-1"],
        &[],
    );
    check_server(
        "error_page 418 = @ws; location / { proxy_pass http://a:1; if ($http_upgrade) { return 418; } } location @ws { proxy_pass http://a:1; }",
        &["path: / upstream: a-1"],
        &[],
    );
    check_server(
        "location / { proxy_pass http://a:1; if ($http_upgrade) { proxy_pass http://b:1; } }",
        &[],
        &["if-upgrade"],
    );
}

#[test]
fn a_field_that_cannot_be_set_is_not_left_to_clients() {
    check_server(
        "location / { proxy_pass http://a:1; proxy_set_header X-User $ssl_client_s_dn; }",
        &["request_headers: remove: [X-User]"],
        &["variable"],
    );
}
