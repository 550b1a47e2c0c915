//! Locations as routes.

use super::*;

#[test]
fn a_socketio_route_needs_nothing_but_its_nodes() {
    let text = "upstream chat { ip_hash; server a:1; server b:1; }
        server { listen 80; location /socket.io/ { proxy_pass http://chat; proxy_http_version 1.1;
          proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection \"upgrade\"; proxy_set_header Host $host;
          proxy_set_header X-Real-IP $remote_addr; proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
          proxy_set_header X-Forwarded-Proto $scheme; proxy_buffering off; proxy_read_timeout 86400; } }";
    let import = imported(text);
    let expected = "listeners:\n  - bind: \":80\"\nupstreams:\n  chat:\n    nodes: [a:1, b:1]\nroutes:\n  - path: /socket.io/\n    upstream: chat\n  - path:\n      exact: /socket.io\n    redirect:\n      to: /socket.io/\n      status: 301";
    assert_eq!(yaml(&import), expected);
    assert!(import.is_whole(), "{:#?}", import.findings);
    assert!(import.yaml.unwrap().contains("path: /socket.io/  # n:2 location /socket.io/"));
}

#[test]
fn nothing_is_dropped_without_a_word() {
    let import =
        imported(&format!("server {{ location / {{ {APP} strange_thing on; sendfile on; }} }}"));
    assert_eq!(ids(&import, Level::ByHand), ["not-carried"]);
    assert!(ids(&import, Level::NotNeeded).contains(&"not-needed"));
    check(
        "stream { server { listen 1; } } http { server { location / { proxy_pass http://a:1; } } }",
        &["a:1"],
        &["left-with-nginx"],
    );
}

#[test]
fn paths_behind_the_host_are_prefixes_that_are_changed() {
    check_server(
        "location /app/ { proxy_pass http://a:1/; }",
        &[
            "path: /app/ upstream: a-1 strip_prefix: /app",
            "exact: /app redirect: to: /app/ status: 301",
        ],
        &[],
    );
    check_server(
        "location /app/ { proxy_pass http://a:1/v2/; }",
        &["strip_prefix: /app add_prefix: /v2"],
        &[],
    );
    check_server(
        "location /app/ { rewrite ^/app/(.*)$ /$1 break; proxy_pass http://a:1; }",
        &["strip_prefix: /app"],
        &[],
    );
    check_server(
        "location ~ ^/api/(.*)$ { proxy_pass http://a:1/$1$is_args$args; }",
        &["path: /api/ upstream: a-1 strip_prefix: /api"],
        &[],
    );
    check_server(
        "location /b { proxy_pass http://a:1; } location /a { proxy_pass http://a:1/?x=1; }",
        &["status: 501"],
        &["proxy-path"],
    );
    check_server(
        "location /b { proxy_pass http://a:1; } location /a/ { proxy_pass http://$1:80; }",
        &["status: 501"],
        &["proxy-pass"],
    );
}

#[test]
fn expressions_are_routes_in_the_order_that_nginx_has() {
    let app = "{ proxy_pass http://a:1; }";
    check_server(
        &format!("location /api/ {app} location ~ ^/api/v[0-9]+/ws$ {app} location / {app}"),
        &[
            "regex: \"^/api/v[0-9]+/ws$\" upstream: a-1 - path: / upstream: a-1 - path: exact: /api redirect: to: /api/ status: 301 - path: regex: \"^/api/\" upstream",
        ],
        &[],
    );
    check_server(
        "location ~* \\.(js|css)$ { root /srv; } location / { proxy_pass http://a:1; }",
        &["regex: \"(?i)^/.*\\\\.(js|css)$\" files: root: /srv"],
        &[],
    );
    check_server(&format!("location ~ /\\.(?!x) {app} location / {app}"), &[], &["location"]);
    // What PHP would run must not be sent as a file.
    check_server(
        "root /srv; location / { } location ~ \\.php$ { fastcgi_pass a:9000; }",
        &["regex: \"^/.*\\\\.php$\" respond: status: 501"],
        &["left-with-nginx"],
    );
}

#[test]
fn files_and_the_page_of_an_application() {
    check_server(
        "location / { root /srv; try_files $uri $uri/ /index.html; } location /a { proxy_pass http://a:1; }",
        &["path: / files: root: /srv fallback: index.html"],
        &[],
    );
    check_server(
        "root /srv; location / { try_files $uri @app; } location @app { proxy_pass http://a:1; }",
        &["path: / files: root: /srv upstream: a-1"],
        &[],
    );
    check_server(
        "location / { try_files /dev/null @app; } location @app { proxy_pass http://a:1; }",
        &["path: / upstream: a-1"],
        &[],
    );
    check_server(
        "location /a/ { alias /srv/b/; expires 1h; } location / { proxy_pass http://a:1; }",
        &["path: /a/ strip_prefix: /a files: root: /srv/b cache_control: max-age=3600"],
        &[],
    );
    check_server(
        "location / { root /srv; try_files $uri /index.php?$args; } location /a { proxy_pass http://a:1; }",
        &["path: / respond: status: 501"],
        &["left-with-nginx"],
    );
    check_server(
        "root /srv; location / { error_page 404 = @app; } location @app { proxy_pass http://a:1; }",
        &["files: root: /srv upstream: a-1"],
        &[],
    );
}

#[test]
fn redirects_and_responses() {
    check_server(
        &format!(
            "location /old {{ return 301 https://www.example.com$request_uri; }} location / {{ {APP} }}"
        ),
        &["redirect: to: \"https://www.example.com${target}\" status: 301"],
        &[],
    );
    check_server(
        &format!(
            "location = /ping {{ default_type application/json; return 200 '{{}}'; }} location / {{ {APP} }}"
        ),
        &["exact: /ping respond: status: 200 body: \"{}\" content_type: application/json"],
        &[],
    );
    check_server(
        &format!("location /x {{ return 444; }} location / {{ {APP} }}"),
        &["status: 404"],
        &[],
    );
    check_server(
        &format!("location /x {{ deny all; }} location / {{ {APP} }}"),
        &["path: /x respond: status: 403"],
        &[],
    );
    check_server(
        &format!("location /x {{ return 301 /y$arg_z; }} location / {{ {APP} }}"),
        &["status: 501"],
        &["variable"],
    );
}

#[test]
fn locations_that_lead_to_each_other_end() {
    check_server(
        "location / { proxy_pass http://a:1; } location /x { try_files /none @b; } location @b { try_files /none @c; }
           location @c { try_files /none @b; }",
        &["path: /x respond: status: 501"],
        &[],
    );
}

#[test]
fn the_letter_case_of_an_expression_is_kept_or_reported() {
    check_server(
        "location ~* ^/Socket\\.io { proxy_pass http://a:1; }",
        &["path: /socket.io upstream: a-1"],
        &[],
    );
    check_server(
        "location ~* ^/api/ { proxy_pass http://a:1; }",
        &["regex: \"(?i)^/api/\" upstream: a-1"],
        &[],
    );
}

#[test]
fn both_halves_of_cache_control_are_kept() {
    check_server(
        "location /a/ { root /srv; expires 1h; add_header Cache-Control public; } location / { proxy_pass http://a:1; }",
        &["response_headers: set: Cache-Control: \"max-age=3600, public\""],
        &[],
    );
}

#[test]
fn a_rewrite_to_one_path_keeps_its_slash_or_is_closed() {
    check_server(
        "location / { proxy_pass http://b:1; } location /ws { rewrite ^/ws$ /socket.io/ break; proxy_pass http://a:1; }",
        &["path: /ws respond: status: 501"],
        &["proxy-path"],
    );
    check_server(
        "location = /ws { rewrite ^ /chat break; proxy_pass http://a:1; }",
        &["exact: /ws upstream: a-1 strip_prefix: /ws add_prefix: /chat"],
        &[],
    );
}
